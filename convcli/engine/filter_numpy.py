"""Filtering in NumPy alone, in double precision: the small jobs, and the compiled code's oracle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from convcli.engine.borders import OUTSIDE, Axis

BLOCK_BYTES = 1 << 18
"""Sums of one block of rows: they stay in a core's own cache over all taps."""


def extended(samples: Any, axis: int, source: Any, outside: float) -> Any:
    """Return `samples` read at `source` along `axis`, `outside` where the index says OUTSIDE.

    >>> extended(np.array([1.0, 2.0]), 0, np.array([-1, 0, 1, 1]), 9.0)
    array([9., 1., 2., 2.])
    """
    if source.size == samples.shape[axis] and np.array_equal(source, np.arange(source.size)):
        return samples
    taken = np.take(samples, source.clip(0), axis=axis)
    beyond = source == OUTSIDE
    if beyond.any():
        taken[(slice(None),) * axis + (beyond,)] = outside
    return taken


QUIET = np.errstate(over="ignore", invalid="ignore")
"""Infinities, and values beyond float32, are answers as in the compiled engine, not warnings."""


@QUIET
def correlation_sums(image: Any, kernel: Any, axes: Sequence[Axis], cval: float = 0.0) -> Any:
    """Return `sum_t kernel[t] * extended_image[o * stride + t * dilation]` for any number of axes.

    Taps of weight zero are not read. The sums are float64, and are added in the kernel's order.

    >>> from convcli.engine.borders import correlation_axis
    >>> correlation_sums(np.arange(4.0), np.array([-1.0, 0, 1]), [correlation_axis(4, 3)])
    array([1., 2., 2., 1.])
    """
    samples = np.asarray(image, dtype=np.float64)
    for place, axis in enumerate(axes):
        samples = extended(samples, place, axis.source, cval)
    sums = np.zeros([axis.size for axis in axes])
    part = np.empty_like(sums)
    for tap in product(*(range(axis.taps) for axis in axes)):
        weight = kernel[tap]
        if weight == 0:
            continue
        window = tuple(
            slice(
                step * axis.dilation,
                step * axis.dilation + (axis.size - 1) * axis.stride + 1,
                axis.stride,
            )
            for step, axis in zip(tap, axes, strict=True)
        )
        np.multiply(samples[window], weight, out=part)
        sums += part
    return sums


def identity_axis(size: int) -> Axis:
    """Return the axis that is left as it is, such as the channels."""
    return Axis(size, 1, 1, 1, np.arange(size))


def picture_sums(
    planes: Any, kernel: Any, terms: Any, rows: Axis, columns: Axis, cval: float
) -> Any:
    """Return the sums of one kernel over H x W x C `planes`, as products of factors if given.

    `terms` are (column, row) factors whose outer products add up to the kernel, or None.
    """
    channels = identity_axis(planes.shape[2])
    if terms is None:
        return correlation_sums(planes, kernel[:, :, None], (rows, columns, channels), cval)
    total = None
    width = identity_axis(planes.shape[1])
    for column, row in terms:
        upright = correlation_sums(planes, column[:, None, None], (rows, width, channels), cval)
        height = identity_axis(upright.shape[0])
        outside = cval * float(column.sum())
        sums = correlation_sums(upright, row[None, :, None], (height, columns, channels), outside)
        total = sums if total is None else total + sums
    return total


def combined(parts: Sequence[Any], norm: str) -> Any:
    """Return the sums of one kernel as they are, or the norm over several kernels' sums.

    >>> combined([np.array([3.0]), np.array([-4.0])], "l2")
    array([5.])
    """
    if norm == "none":
        return parts[0]
    if norm == "l2":
        total = parts[0] * parts[0]
        for part in parts[1:]:
            total = total + part * part
        return np.sqrt(total)
    total = np.abs(parts[0])
    for part in parts[1:]:
        total = total + np.abs(part) if norm == "l1" else np.maximum(total, np.abs(part))
    return total


@QUIET
def converted(values: Any, dtype: Any, low: float, high: float) -> Any:
    """Return `values` in `dtype`: cut to low..high, integers rounded half to even, NaN as 0.

    >>> converted(np.array([-3.0, 0.5, 1.5, 300.0]), np.dtype(np.uint8), 0, 255)
    array([  0,   0,   2, 255], dtype=uint8)
    """
    if dtype.kind == "f":
        return values.clip(low, high).astype(dtype)
    whole = np.nan_to_num(np.rint(values), nan=0.0, posinf=high, neginf=low)
    inside = whole.clip(low, high)
    result = inside.astype(dtype)
    if high >= 2**53:  # the top of 64-bit integers is no double: cut again, exactly
        result[whole >= high] = np.iinfo(dtype).max
    return result
