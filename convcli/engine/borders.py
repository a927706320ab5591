"""What a picture looks like beyond its edge, and where the kernel's taps fall on each axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convcli.errors import InputError, UsageError, did_you_mean

MODES = ("reflect", "mirror", "nearest", "wrap", "constant")
"""The borders by scipy.ndimage's names: `d c b a | a b c d | d c b a`, `d c b | a b c d | c b a`,
`a a a a | a b c d | d d d d`, `a b c d | a b c d | a b c d`, `k k k k | a b c d | k k k k`."""

ALIASES = {
    "symmetric": "reflect",
    "reflect101": "mirror",
    "edge": "nearest",
    "replicate": "nearest",
    "zero": "constant",
    "grid-mirror": "reflect",
    "grid-wrap": "wrap",
    "grid-constant": "constant",
}

PADDINGS = ("same", "valid", "full")

OUTSIDE = -1
"""Stands in an index table where the constant border value is read."""


def border_mode(name: str) -> str:
    """Return the mode that `name` or its alias means.

    >>> border_mode("symmetric"), border_mode("wrap")
    ('reflect', 'wrap')

    Raises:
        UsageError: no border has this name.
    """
    mode = ALIASES.get(name, name)
    if mode not in MODES:
        raise UsageError(
            f"there is no border {name!r}; the borders are {', '.join(MODES)} "
            f"(also {', '.join(ALIASES)}).{did_you_mean(name, [*MODES, *ALIASES])}"
        )
    return mode


def extended_index(mode: str, length: int, positions: Any) -> Any:
    """Return where on an axis of `length` samples each of `positions` (any integers) is read.

    >>> extended_index("reflect", 4, range(-3, 7))
    array([2, 1, 0, 0, 1, 2, 3, 3, 2, 1])
    >>> extended_index("mirror", 4, range(-3, 7))
    array([3, 2, 1, 0, 1, 2, 3, 2, 1, 0])
    >>> extended_index("constant", 2, range(-1, 3))
    array([-1,  0,  1, -1])
    """
    places = np.asarray(positions, dtype=np.int64)
    mode = border_mode(mode)
    if mode == "constant":
        return np.where((places < 0) | (places >= length), OUTSIDE, places)
    if mode == "nearest":
        return places.clip(0, length - 1)
    if mode == "wrap":
        return places % length
    if mode == "mirror":
        period = max(2 * length - 2, 1)
        folded = places % period
        return np.where(folded < length, folded, period - folded)
    folded = places % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a correlation: output `o` reads taps `t` at `source[o * stride + t * dilation]`.

    Attributes:
        size: samples of the output.
        taps: samples of the kernel.
        stride: steps between outputs.
        dilation: steps between taps.
        source: index of the sample behind each position of the extended axis, OUTSIDE for none.
        before: positions before the first sample.
    """

    size: int
    taps: int
    stride: int
    dilation: int
    source: Any
    before: int = 0

    def part(self, first: int, last: int) -> Axis:
        """Return the axis of outputs `first` to `last` (exclusive)."""
        extent = (last - first - 1) * self.stride + (self.taps - 1) * self.dilation + 1
        begin = first * self.stride
        source = self.source[begin : begin + extent]
        return Axis(last - first, self.taps, self.stride, self.dilation, source)

    def without_stride(self) -> Axis:
        """Return the axis that makes every output which this one skips, too."""
        return replace(self, size=(self.size - 1) * self.stride + 1, stride=1)


def correlation_axis(
    length: int,
    taps: int,
    *,
    mode: str = "reflect",
    padding: str = "same",
    stride: int = 1,
    dilation: int = 1,
    origin: int = 0,
    turned: bool = False,
) -> Axis:
    """Return the axis of a correlation of `length` samples with `taps` taps.

    The center is scipy's: `size // 2 + origin` of the dilated kernel's size; for a kernel that is
    `turned` by 180 degrees (a convolution) it is `(size - 1) // 2 - origin`. A stride takes every
    stride-th of the result, from the first.

    >>> correlation_axis(5, 3).source
    array([0, 0, 1, 2, 3, 4, 4])
    >>> correlation_axis(5, 3, padding="valid").size, correlation_axis(5, 3, padding="full").size
    (3, 7)

    Raises:
        InputError: a kernel that must lie inside is larger than the axis.
        UsageError: a padding, stride, dilation or origin that means nothing.
    """
    if padding not in PADDINGS:
        raise UsageError(f"there is no padding {padding!r}; use {', '.join(PADDINGS)}.")
    if stride < 1 or dilation < 1:
        raise UsageError(f"stride {stride} and dilation {dilation} must both be 1 or more.")
    extent = (taps - 1) * dilation + 1
    center = (extent - 1) // 2 - origin if turned else extent // 2 + origin
    if not 0 <= center < extent:
        raise UsageError(f"origin {origin} lies outside a kernel of {extent} samples.")
    size = length
    if padding == "valid":
        center, size = 0, length - extent + 1
        if size < 1:
            raise InputError(
                f"a kernel of {extent} samples does not fit inside {length}. "
                "Use padding 'same' or 'full', or a smaller kernel."
            )
    elif padding == "full":
        center, size = extent - 1, length + extent - 1
    outputs = -(-size // stride)
    reach = (outputs - 1) * stride + extent
    source = extended_index(mode, length, np.arange(-center, reach - center))
    return Axis(outputs, taps, stride, dilation, source, center)
