"""scipy.ndimage's correlate and convolve, for any number of axes, by the engine of this project."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from convcli.engine import filter as picture_filter, filter_numpy
from convcli.engine.borders import border_mode, correlation_axis
from convcli.errors import InputError, UsageError, WrongTypeError

PerAxis = int | Sequence[int]
NamedAxes = int | Sequence[int] | None


def correlate(
    input: Any,  # noqa: A002  (scipy's name)
    weights: Any,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: float = 0.0,
    origin: PerAxis = 0,
    *,
    axes: NamedAxes = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    padding: str = "same",
    engine: str = "auto",
    threads: int | None = None,
) -> Any:
    """Lay the weights on every place of an n-D array and add up the products.

    Names, order and values are those of `scipy.ndimage.correlate`: the center is
    `size // 2 + origin`. The arguments from `stride` on are ours.

    Args:
        input: real array of any number of axes.
        weights: real array of as many axes; its size counts the zeros that `dilation` puts between.
        output: dtype or array of the result. An integer one is rounded half to even and saturated.
            Without it the result is float32 for a float32 input, else float64.
        mode: reflect, mirror, nearest, wrap, constant, an alias, or one for each axis.
        cval: the value behind a constant border.
        origin: moves the center, one number or one for each axis.
        axes: that the weights lie along, in the input's order; all when left out. What is told for
            each axis then has one value for each of these.
        stride: every stride-th value of the result, from the first.
        dilation: distance between the taps.
        padding: "same", "valid" (weights inside the input) or "full" (weights touch the input).
        engine: "auto" by size, "numba" or "numpy".
        threads: how many to use; the result does not depend on it.

    >>> import numpy as np
    >>> picture = np.array([[3, 0, 1, 2], [1, 5, 8, 9], [2, 7, 2, 5], [0, 1, 3, 1]])
    >>> correlate(picture, [[1, 0, -1]] * 3, padding="valid")  # 3+1+2 - (1+8+2) = -5
    array([[ -5.,  -4.],
           [-10.,  -2.]])
    >>> correlate(np.array([10, 20], dtype=np.uint8), [1, 1], np.uint8)
    array([20, 30], dtype=uint8)
    >>> correlate(np.eye(2), [1, 1, 1], axes=1)  # along the rows
    array([[2., 1.],
           [1., 2.]])

    Raises:
        UsageError: a word or number that means nothing, or weights of other axes; a
            `WrongTypeError`, which is a TypeError, where an axis is no integer.
        InputError: an input that holds no real numbers, or is smaller than `valid` weights.
    """
    settings = _Settings(cval, padding, engine, threads, convolve=False)
    along = axes, {"mode": mode, "origin": origin, "stride": stride, "dilation": dilation}
    return _correlation(input, weights, output, along, settings)


def convolve(
    input: Any,  # noqa: A002  (scipy's name)
    weights: Any,
    output: Any = None,
    mode: str | Sequence[str] = "reflect",
    cval: float = 0.0,
    origin: PerAxis = 0,
    *,
    axes: NamedAxes = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    padding: str = "same",
    engine: str = "auto",
    threads: int | None = None,
) -> Any:
    """Convolve an n-D array: `correlate` with the weights turned by 180 degrees.

    The values are those of `scipy.ndimage.convolve`, whose turned weights have their center at
    `(size - 1) // 2 - origin`. Arguments, result and errors are those of `correlate`.

    >>> convolve([1, 2, 3], [1, 0, 0], mode="constant")  # flipped weights move to the left
    array([2., 3., 0.])
    """
    settings = _Settings(cval, padding, engine, threads, convolve=True)
    along = axes, {"mode": mode, "origin": origin, "stride": stride, "dilation": dilation}
    return _correlation(input, weights, output, along, settings)


class _Settings(NamedTuple):
    """What holds for all axes."""

    cval: float
    padding: str
    engine: str
    threads: int | None
    convolve: bool


def _correlation(
    image: Any,
    kernel: Any,
    output: Any,
    along: tuple[NamedAxes, dict[str, Any]],
    settings: _Settings,
) -> Any:
    samples = np.asarray(image)
    if samples.dtype.kind not in "uifb":
        raise InputError(f"correlation takes real numbers, not {samples.dtype}.")
    weights = np.asarray(kernel)
    if weights.dtype.kind not in "uifb":
        raise UsageError(f"a kernel holds real numbers, not {weights.dtype}.")
    axes = _checked_axes(along[0], samples.ndim)
    if weights.ndim != len(axes) or weights.size == 0:
        raise UsageError(
            f"weights.ndim ({weights.ndim}) must match len(axes) ({len(axes)}): weights of shape "
            f"{weights.shape}, input of shape {samples.shape}."
        )
    others = [axis for axis in range(samples.ndim) if axis not in axes]
    weights = np.expand_dims(weights.astype(np.float64), others)
    told = {name: _per_axis(value, axes, samples.ndim, name) for name, value in along[1].items()}
    modes = told.pop("mode")
    for name in modes:
        border_mode(name)
    if samples.size == 0:
        return _in_output(np.zeros(samples.shape), samples.dtype, output)
    whole = len({modes[axis] for axis in axes}) == 1
    if whole and _is_picture(weights, told["stride"], told["origin"]):
        return _as_picture(samples, weights, modes[axes[0]], settings, told, output)
    if settings.convolve:
        weights = np.flip(weights)
    windows = [
        correlation_axis(
            length, taps, mode=name, padding=settings.padding, stride=step, dilation=gap,
            origin=shift, turned=settings.convolve,
        )
        for length, taps, name, step, gap, shift in zip(
            samples.shape, weights.shape, modes, told["stride"], told["dilation"], told["origin"],
            strict=True,
        )
    ]  # fmt: skip
    sums = filter_numpy.correlation_sums(samples, weights, windows, float(settings.cval))
    return _in_output(sums, samples.dtype, output)


def _checked_axes(axes: NamedAxes, count: int) -> tuple[int, ...]:
    """Return the axes as numbers from 0.

    >>> _checked_axes(None, 2), _checked_axes(-1, 3)
    ((0, 1), (2,))
    """
    if axes is None:
        return tuple(range(count))
    try:
        named = [operator.index(axis) for axis in np.atleast_1d(np.asarray(axes, object)).tolist()]
    except TypeError as problem:
        raise WrongTypeError(f"axes {axes!r}: {problem}; use whole numbers, or None.") from None
    for axis in named:
        if not -count <= axis < count:
            raise UsageError(f"axis {axis} of axes is out of range; the input has {count} axes.")
    found = tuple(axis % count for axis in named)
    if len(set(found)) != len(found) or not found:
        raise UsageError(f"axes {axes!r}: name each axis once, and at least one.")
    return found


def _is_picture(weights: Any, strides: Any, origins: Any) -> bool:
    """Return whether a row, a plane or independent channels are all that the kernel spans."""
    if weights.ndim != 3:
        return bool(weights.ndim in {1, 2})
    return bool((weights.shape[2], strides[2], origins[2]) == (1, 1, 0))


def _as_picture(
    samples: Any, weights: Any, mode: str, settings: _Settings, told: dict[str, Any], output: Any
) -> Any:
    """Run a 1-D, 2-D or channels-last correlation on the picture filter."""
    flat = samples.ndim == 1
    if flat:
        samples, weights = samples[None, :], weights[None, :]
        plain = {"stride": 1, "dilation": 1, "origin": 0}
        told = {name: (plain[name], *values) for name, values in told.items()}
    result = picture_filter.apply(
        samples,
        weights.reshape(weights.shape[:2]),
        border=mode,
        output_dtype=_result_dtype(samples.dtype, output),
        **told,
        **settings._asdict() | {"cval": float(settings.cval)},
    ).values
    return _in_output(result[0] if flat else result, samples.dtype, output)


PLAIN = {"mode": "constant", "origin": 0, "stride": 1, "dilation": 1}
"""What holds along an axis that the weights do not lie along."""


def _per_axis(value: Any, axes: tuple[int, ...], count: int, name: str) -> tuple[Any, ...]:
    """Return one value for each of `count` axes of the input."""
    single = isinstance(value, int | np.integer | str)
    values = (value,) * len(axes) if single else tuple(value)
    wrong = name != "mode" and any(int(number) != number for number in values)
    if len(values) != len(axes) or wrong:
        raise UsageError(
            f"{name} {value!r} is neither one value nor one for each of {len(axes)} axes."
        )
    found = [PLAIN[name]] * count
    for axis, one in zip(axes, values, strict=True):
        found[axis] = one if name == "mode" else int(one)
    return tuple(found)


def _result_dtype(image_dtype: Any, output: Any) -> Any:
    if output is None:
        return np.dtype(np.float32 if image_dtype == np.float32 else np.float64)
    return output.dtype if isinstance(output, np.ndarray) else np.dtype(output)


def _in_output(values: Any, image_dtype: Any, output: Any) -> Any:
    dtype = _result_dtype(image_dtype, output)
    if values.dtype != dtype:
        low, high = -math.inf, math.inf
        if dtype.kind in "iu":
            low, high = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
        values = filter_numpy.converted(values, dtype, low, high)
    if not isinstance(output, np.ndarray):
        return values
    if output.shape != values.shape:
        raise UsageError(f"output has the shape {output.shape}, the result {values.shape}.")
    output[...] = values
    return output
