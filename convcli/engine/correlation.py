"""scipy.ndimage's correlate and convolve, for any number of axes, by the engine of this project."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from convcli.engine import filter as picture_filter, filter_numpy
from convcli.engine.borders import border_mode, correlation_axis
from convcli.errors import InputError, UsageError

PerAxis = int | Sequence[int]


def correlate(
    image: Any,
    kernel: Any,
    mode: str | Sequence[str] = "reflect",
    cval: float = 0.0,
    origin: PerAxis = 0,
    *,
    output: Any = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    padding: str = "same",
    engine: str = "auto",
    threads: int | None = None,
) -> Any:
    """Lay the kernel on every place of an n-D array and add up the products.

    The values are those of `scipy.ndimage.correlate`: the center is `size // 2 + origin`.

    Args:
        image: real array of any number of axes.
        kernel: real array of as many axes; its size counts the zeros that `dilation` puts between.
        mode: reflect, mirror, nearest, wrap, constant, an alias, or one for each axis.
        cval: the value behind a constant border.
        origin: moves the center, one number or one for each axis.
        output: dtype or array of the result. An integer one is rounded half to even and saturated.
            Without it the result is float32 for a float32 image, else float64.
        stride: every stride-th value of the result, from the first.
        dilation: distance between the kernel's taps.
        padding: "same", "valid" (kernel inside the image) or "full" (kernel touches the image).
        engine: "auto" by size, "numba" or "numpy".
        threads: how many to use; the result does not depend on it.

    >>> import numpy as np
    >>> picture = np.array([[3, 0, 1, 2], [1, 5, 8, 9], [2, 7, 2, 5], [0, 1, 3, 1]])
    >>> correlate(picture, [[1, 0, -1]] * 3, padding="valid")  # 3+1+2 - (1+8+2) = -5
    array([[ -5.,  -4.],
           [-10.,  -2.]])
    >>> correlate(np.array([10, 20], dtype=np.uint8), [1, 1], output=np.uint8)
    array([20, 30], dtype=uint8)

    Raises:
        UsageError: a word or number that means nothing, or a kernel of other axes.
        InputError: an image that holds no real numbers, or is smaller than a `valid` kernel.
    """
    return _correlation(
        image, kernel, mode, cval, origin, output, stride, dilation, padding, engine, threads, False
    )


def convolve(
    image: Any,
    kernel: Any,
    mode: str | Sequence[str] = "reflect",
    cval: float = 0.0,
    origin: PerAxis = 0,
    *,
    output: Any = None,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    padding: str = "same",
    engine: str = "auto",
    threads: int | None = None,
) -> Any:
    """Convolve an n-D array: `correlate` with the kernel turned by 180 degrees.

    The values are those of `scipy.ndimage.convolve`, whose turned kernel has its center at
    `(size - 1) // 2 - origin`. Arguments, result and errors are those of `correlate`.

    >>> convolve([1, 2, 3], [1, 0, 0], mode="constant")  # a flipped kernel moves to the left
    array([2., 3., 0.])
    """
    return _correlation(
        image, kernel, mode, cval, origin, output, stride, dilation, padding, engine, threads, True
    )


def _correlation(
    image, kernel, mode, cval, origin, output, stride, dilation, padding, engine, threads, turned
):  # fmt: skip
    samples = np.asarray(image)
    if samples.dtype.kind not in "uifb":
        raise InputError(f"correlation takes real numbers, not {samples.dtype}.")
    weights = np.asarray(kernel)
    if weights.dtype.kind not in "uifb":
        raise UsageError(f"a kernel holds real numbers, not {weights.dtype}.")
    weights = weights.astype(np.float64)
    if weights.ndim != samples.ndim or weights.size == 0:
        raise UsageError(
            f"a kernel of {weights.ndim} axes (shape {weights.shape}) does not fit an image of "
            f"{samples.ndim} axes (shape {samples.shape}); both must have the same number."
        )
    axes = samples.ndim
    modes = [mode] * axes if isinstance(mode, str) else list(mode)
    origins, strides, dilations = (
        _per_axis(value, axes, name)
        for value, name in ((origin, "origin"), (stride, "stride"), (dilation, "dilation"))
    )
    if len(modes) != axes:
        raise UsageError(f"{len(modes)} modes for {axes} axes.")
    for name in modes:
        border_mode(name)
    if samples.size == 0:
        return _in_output(np.zeros(samples.shape), samples.dtype, output)
    settings = {
        "cval": float(cval), "padding": padding, "engine": engine, "convolve": turned,
        "stride": strides, "dilation": dilations, "origin": origins,
    }  # fmt: skip
    if len(set(modes)) == 1 and _is_picture(weights, strides, origins):
        return _as_picture(samples, weights, modes[0], settings, output, threads)
    if turned:
        weights = np.flip(weights)
    windows = [
        correlation_axis(
            length, taps, mode=name, padding=padding, stride=step, dilation=gap, origin=shift,
            turned=turned,
        )
        for length, taps, name, step, gap, shift in zip(
            samples.shape, weights.shape, modes, strides, dilations, origins, strict=True
        )
    ]  # fmt: skip
    sums = filter_numpy.correlation_sums(samples, weights, windows, float(cval))
    return _in_output(sums, samples.dtype, output)


def _is_picture(weights: Any, strides: Any, origins: Any) -> bool:
    """Return whether a row, a plane or independent channels are all that the kernel spans."""
    if weights.ndim != 3:
        return bool(weights.ndim in {1, 2})
    return bool((weights.shape[2], strides[2], origins[2]) == (1, 1, 0))


def _as_picture(samples, weights, mode, settings, output, threads):
    """Run a 1-D, 2-D or channels-last correlation on the picture filter."""
    flat = samples.ndim == 1
    if flat:
        samples, weights = samples[None, :], weights[None, :]
        for name, plain in (("stride", 1), ("dilation", 1), ("origin", 0)):
            settings[name] = (plain, *settings[name])
    result = picture_filter.apply(
        samples,
        weights.reshape(weights.shape[:2]),
        border=mode,
        threads=threads,
        output_dtype=_result_dtype(samples.dtype, output),
        **settings,
    ).values
    return _in_output(result[0] if flat else result, samples.dtype, output)


def _per_axis(value: PerAxis, axes: int, name: str) -> tuple[int, ...]:
    values = (value,) * axes if isinstance(value, int | np.integer) else tuple(value)
    if len(values) != axes or any(int(number) != number for number in values):
        raise UsageError(
            f"{name} {value!r} is neither one integer nor one for each of {axes} axes."
        )
    return tuple(int(number) for number in values)


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
