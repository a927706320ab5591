"""Steps of single values: however many there are, one pass through memory turns them into pixels.

A value goes through a list of points, is cut, rounded and counted, strip by strip: here in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from convcli.engine.filter_numpy import QUIET, converted

STRIP_BYTES = 1 << 20
"""Values of one strip in NumPy: they stay in a core's own cache over all points."""

COMPILED = {"uint8", "uint16", "float32"}
"""Numbers of values and of pixels in compiled strips; others are NumPy's."""


class Code(IntEnum):
    """What a point does; the last ones lay the value on the original."""

    LINE = 0  # value * a + b
    CUT = 1  # not below a, not above b
    ABS = 2
    STEP = 3  # b above a, else 0
    POWER = 4  # b * (value / b) ** a
    ENCODE = 5  # light up to a becomes levels of sRGB
    DIFFERENCE = 6
    ADD = 7
    SUBTRACT = 8
    MULTIPLY = 9  # a is white, as below
    SCREEN = 10
    DARKEN = 11
    LIGHTEN = 12
    MIX = 13  # a times the value, the rest the original


class Point(NamedTuple):
    """One step of a single value: what is done, and its numbers."""

    code: Code
    a: float = 0.0
    b: float = 0.0


def encoded(light: Any, white: float) -> Any:
    """Return the levels of sRGB for light; below black and above white straight on.

    >>> encoded(np.array([-1.0, 127.5, 300]), 255.0).round(1).tolist()
    [-12.9, 187.5, 273.8]
    """
    shares = light / white
    curve = 1.055 * shares.clip(0.0031308) ** (1 / 2.4) - 0.055
    return white * np.where(shares <= 0.0031308, shares * 12.92, curve)


_RULES: dict[Code, Callable[[Any, Any, float, float], Any]] = {
    Code.LINE: lambda value, base, a, b: value * a + b,
    Code.CUT: lambda value, base, a, b: value.clip(a, b),
    Code.ABS: lambda value, base, a, b: abs(value),
    Code.STEP: lambda value, base, a, b: np.where(value > a, value.dtype.type(b), 0),
    Code.POWER: lambda value, base, a, b: b * (value.clip(0) / b) ** a,
    Code.ENCODE: lambda value, base, a, b: encoded(value, a),
    Code.DIFFERENCE: lambda value, base, a, b: abs(value - base),
    Code.ADD: lambda value, base, a, b: base + value,
    Code.SUBTRACT: lambda value, base, a, b: base - value,
    Code.MULTIPLY: lambda value, base, a, b: base * value / a,
    Code.SCREEN: lambda value, base, a, b: a - (a - base) * (a - value) / a,
    Code.DARKEN: lambda value, base, a, b: np.minimum(base, value),
    Code.LIGHTEN: lambda value, base, a, b: np.maximum(base, value),
    Code.MIX: lambda value, base, a, b: base + a * (value - base),
}


def point_text(point: Point, value: float, base: float) -> tuple[str, float]:
    """Return what a point does to one value, in numbers, and what comes out.

    >>> point_text(Point(Code.STEP, 100, 255), 131.25, 0)
    ('131.25 > 100: 255', 255.0)
    >>> point_text(Point(Code.MIX, 0.5), 10, 30)
    ('30 + 0.5 x (10 - 30) = 20', 20.0)
    """
    code, a, b = point
    result = float(_RULES[code](np.float64(value), np.float64(base), a, b))
    v, o, n, m = (f"{number + 0.0:.7g}" for number in (value, base, a, b))
    if code == Code.STEP:
        return f"{v} {'>' if value > a else '<='} {n}: {result:.7g}", result
    if code == Code.LINE:
        product = v if a == 1 else f"{n} x {v}" if value >= 0 else f"{n} x ({v})"
        sign = "+" if b > 0 else "-"
        text = product if not b else f"{product} {sign} {abs(b):.7g}"
    else:
        text = {
            Code.CUT: f"{v} not below {n}" + (f", not above {m}" if math.isfinite(b) else ""),
            Code.ABS: f"|{v}|",
            Code.POWER: f"{m} x ({v} / {m})^{n}",
            Code.ENCODE: f"sRGB of {v}",
            Code.DIFFERENCE: f"|{v} - {o}|",
            Code.ADD: f"{o} + {v}",
            Code.SUBTRACT: f"{o} - {v}",
            Code.MULTIPLY: f"{o} x {v} / {n}",
            Code.SCREEN: f"{n} - ({n} - {o}) x ({n} - {v}) / {n}",
            Code.DARKEN: f"the smaller one of {o} and {v}",
            Code.LIGHTEN: f"the larger one of {o} and {v}",
            Code.MIX: f"{o} + {n} x ({v} - {o})",
        }[code]
    return f"{text} = {result + 0.0:.7g}", result


class Statistics(NamedTuple):
    """The values before conversion, over all channels.

    Attributes:
        minimum: the smallest value, signed.
        maximum: the largest value.
        below: how many values saturated at the low end, that is, rounded to less than it.
        above: how many saturated at the high end, magnitudes if the mapping takes them.
    """

    minimum: float
    maximum: float
    below: int
    above: int


@dataclass(frozen=True, kw_only=True)
class Points:
    """What becomes of each value.

    Attributes:
        first: points up to the values whose extremes are told.
        then: points behind them.
        dtype: of the pixels; integers are rounded half to even.
        depth: floating point in which the points are done.
        white: pixels are cut to 0..white; infinity leaves them.
    """

    first: tuple[Point, ...] = ()
    then: tuple[Point, ...] = ()
    dtype: Any
    depth: Any
    white: float = math.inf

    @property
    def are_idle(self) -> bool:
        """Whether values stay what they are."""
        return not (self.first or self.then or self.cuts) and self.dtype == self.depth

    @property
    def cuts(self) -> bool:
        """Whether pixels have a black and a white."""
        return not math.isinf(self.white)

    @property
    def limits(self) -> tuple[float, float]:
        """The value below which a pixel is cut to black, and the one from which on to white."""
        if self.dtype.kind == "u":
            return -0.5, self.white + 0.5
        return 0.0, float(np.nextafter(self.depth.type(self.white), self.depth.type(np.inf)))

    def cut(self, values: Any) -> tuple[Any, Any]:
        """Return which values are cut below and above."""
        low, high = self.limits if self.cuts else (-math.inf, math.nan)
        return values < low, values >= high

    def values(self, values: Any, base: Any) -> tuple[Any, Any]:
        """Return values behind the first points, and behind all, by NumPy's rules."""
        values = values.astype(self.depth, copy=False)
        if base is not None:
            base = base.astype(self.depth, copy=False)
        for point in self.first:
            values = _RULES[point.code](values, base, point.a, point.b)
        seen = values
        for point in self.then:
            values = _RULES[point.code](values, base, point.a, point.b)
        return seen, values

    @QUIET
    def strip(self, values: Any, base: Any, out: Any) -> Statistics:
        """Write the pixels of one strip of values, and return its statistics."""
        seen, values = self.values(values, base)
        below, above = (int(cut.sum()) for cut in self.cut(values))
        out[...] = converted(values, self.dtype, 0.0, self.white) if self.cuts else values
        ends = float(np.fmin.reduce(seen, None)), float(np.fmax.reduce(seen, None))
        return Statistics(*ends, below, above)

    def compiles(self, *arrays: Any) -> bool:
        """Tell whether compiled strips exist for the numbers of these arrays."""
        kinds = {one.dtype.name for one in arrays if one is not None} | {self.dtype.name}
        return self.depth == np.float32 and kinds <= COMPILED


def total_statistics(parts: Iterable[Statistics]) -> Statistics:
    """Return the statistics of the whole from those of its parts.

    >>> total_statistics([Statistics(0.0, 1.0, 2, 3), Statistics(-1.0, 0.5, 4, 5)])
    Statistics(minimum=-1.0, maximum=1.0, below=6, above=8)
    """
    lowest, highest, below, above = zip(*parts, strict=True)
    return Statistics(
        float(np.fmin.reduce(lowest)), float(np.fmax.reduce(highest)), sum(below), sum(above)
    )


def strips(values: Any) -> Sequence[slice]:
    """Return the rows that are worked on together."""
    rows = max(1, STRIP_BYTES // max(1, values[0].nbytes))
    return [slice(top, top + rows) for top in range(0, len(values), rows)]
