"""How to filter: every choice that the command line and `filter_image` offer, as one value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from convcli.engine.borders import border_mode
from convcli.errors import UsageError, did_you_mean

RangeName = Literal["clip", "abs", "offset", "stretch", "raw"]
AlphaName = Literal["keep", "filter", "premultiply"]
MagnitudeName = Literal["l2", "l1", "max"]
GradientName = Literal["magnitude", "direction", "both"]
PaddingName = Literal["same", "valid", "full"]

_WORDS = {
    "value_range": ("clip", "abs", "offset", "stretch", "raw"),
    "alpha": ("keep", "filter", "premultiply"),
    "magnitude": ("l2", "l1", "max"),
    "gradient": ("magnitude", "direction", "both"),
    "padding": ("same", "valid", "full"),
    "engine": ("auto", "numba", "numpy"),
}


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The choices of one filtering; each default is what a bare call does.

    Attributes:
        convolve: turn kernels by 180 degrees, as mathematics does; off: correlation, as CNNs do.
        border: reflect, mirror, nearest, wrap, constant, an alias, or `constant:V`.
        padding: same, valid or full.
        stride: every stride-th row and column of the result, from the first.
        dilation: distance between the kernel's cells.
        divisor: replaces the last kernel's own.
        offset: replaces the last kernel's own, in 8-bit levels.
        normalize: GIMP's rule for divisor and offset, for every kernel.
        value_range: how results become pixels; None chooses from the kernel and the pixels.
        stretch_from: the values that `stretch` takes for black and white; None: the smallest and
            largest of each frame.
        gray: brightness (ITU-R BT.601) instead of colors.
        alpha: keep, filter or premultiply; None chooses from the kernel.
        magnitude: how the components of a gradient become one number.
        gradient: its magnitude, its direction as a color, or both.
        engine: auto, numba or numpy.
        threads: None for all processors.
        on_compile: called before code is compiled, on its first use on a machine.

    Raises:
        UsageError: a word that is not one of those, or a number out of range.
    """

    convolve: bool = False
    border: str = "reflect"
    padding: PaddingName = "same"
    stride: int = 1
    dilation: int = 1
    divisor: float | None = None
    offset: float | None = None
    normalize: bool = False
    value_range: RangeName | None = None
    stretch_from: tuple[float, float] | None = None
    gray: bool = False
    alpha: AlphaName | None = None
    magnitude: MagnitudeName = "l2"
    gradient: GradientName = "magnitude"
    engine: Literal["auto", "numba", "numpy"] = "auto"
    threads: int | None = None
    on_compile: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        for field, words in _WORDS.items():
            word = getattr(self, field)
            if word is not None and word not in words:
                raise UsageError(
                    f"there is no {field.replace('_', ' ')} {word!r}; use {', '.join(words)}."
                    f"{did_you_mean(str(word), words)}"
                )
        if self.stride < 1 or self.dilation < 1:
            raise UsageError(
                f"stride {self.stride} and dilation {self.dilation} must both be 1 or more."
            )
        parse_border(self.border)


def parse_border(text: str) -> tuple[str, float]:
    """Return a border's name and the value behind a constant one.

    >>> parse_border("replicate"), parse_border("constant:7.5")
    (('nearest', 0.0), ('constant', 7.5))

    Raises:
        UsageError: no such border, or a value where none belongs.
    """
    word, colon, value = text.strip().lower().partition(":")
    mode = border_mode(word)
    if not colon:
        return mode, 0.0
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if mode != "constant" or not math.isfinite(number):
        raise UsageError(f"border {text!r}: only constant takes a value, as in constant:128.")
    return mode, number
