"""How to filter: every choice that the command line and `filter_image` offer, as one value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from convcli.errors import InputError, UsageError, did_you_mean
from convcli.option import byte_count, option

RangeName = Literal["clip", "abs", "offset", "stretch", "raw"]
AlphaName = Literal["keep", "filter", "premultiply"]
MagnitudeName = Literal["l2", "l1", "max"]
GradientName = Literal["magnitude", "direction", "both"]
PaddingName = Literal["same", "valid", "full"]
EngineName = Literal["auto", "numba", "numpy"]
CompareName = Literal["side", "wipe"]
BlendName = Literal[
    "normal", "difference", "add", "subtract", "multiply", "screen", "darken", "lighten"
]

_WORDS = {
    "value_range": RangeName,
    "alpha": AlphaName,
    "magnitude": MagnitudeName,
    "gradient": GradientName,
    "padding": PaddingName,
    "engine": EngineName,
    "blend": BlendName,
    "compare": CompareName,
}


DEFAULT_MAX_PIXELS = 200_000_000
"""Pictures with more pixels than this are refused unless the caller allows more."""

DEFAULT_MEMORY_LIMIT = 4 << 30
"""Pictures that would need more bytes than this are refused unless the caller allows more."""

COPIES = 3
"""Whole pictures in memory at a time: the decoder's, ours and the result."""

EDGE_BYTES = 32
"""For each row and column: where the kernel's taps read."""


Shape = tuple[int, int, int, int]
"""Height, width, channels and bytes of a number of one frame."""

Later = tuple[int, tuple[str, ...]]
"""How many bytes are needed beside what is read and written, and by what."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input may become in memory.

    Attributes:
        pixels: of all frames together.
        memory: bytes, all copies together.
        later: what becomes of a frame needs so much more.
    """

    pixels: int = DEFAULT_MAX_PIXELS
    memory: int = DEFAULT_MEMORY_LIMIT
    later: Callable[[Shape], Later] = lambda _: (0, ())

    def check(self, name: str, shape: Shape, frames: int = 1) -> None:
        """Refuse a picture that is larger than allowed, before its pixels are unpacked.

        Args:
            name: of the file.
            shape: of a frame.
            frames: how many there are.
        """
        height, width, channels, number = shape
        rows, pixel_bytes = height * frames, channels * number
        pixels = rows * width
        if pixels > self.pixels:
            raise InputError(
                f"{name}: {width} x {rows} = {pixels:,} pixels are more than the limit of "
                f"{self.pixels:,}. Allow more with --max-pixels {pixels}."
            )
        later, steps = self.later(shape)
        needed = pixels * COPIES * pixel_bytes + later + EDGE_BYTES * (rows + width)
        if needed > self.memory:
            told = f" ({_size(later)} of it for {', '.join(steps)})" if steps else ""
            raise InputError(
                f"{name}: {width} x {rows} pixels of {pixel_bytes} bytes need about "
                f"{_size(needed)} of memory{told}, more than the limit of {_size(self.memory)}. "
                f"Allow more with --memory-limit {-(-needed // 1_000_000)}MB."
            )


def _size(count: int) -> str:
    """Return bytes as people read them.

    >>> _size(4 << 30), _size(3_500_000)
    ('4.29 GB', '3.5 MB')
    """
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What to do with files, whatever is done to the pictures in them.

    Attributes:
        threads: None or 0 for all processors.
    """

    PANEL = "Files and limits"

    output: str | None = option(
        "Where the result goes: a file, a folder (made with a / behind it), - for stdout, or a "
        "pattern such as 'out/{stem}-{kernel}.{ext}' ({folder}: the input's).",
        "-o",
        "--output",
        metavar="PLACE",
        rich_help_panel=None,
    )
    recursive: bool = option(
        "Take the pictures in directories, at any depth.", "--recursive", default=False
    )
    in_place: bool = option(
        "Replace the inputs themselves; needs --force.", "--in-place", default=False
    )
    skip_existing: bool = option(
        "Leave out inputs whose result exists already.", "--skip-existing", default=False
    )
    force: bool = option(
        "Replace an existing output file (never an input).", "--force", default=False
    )
    compress: bool = option(
        "The smallest file instead of the fastest to write.", "--compress", default=False
    )
    quality: int | None = option(
        "Of JPEG, WebP and AVIF files.",
        min=1,
        max=100,
        show_default="95 for JPEG, else lossless",
    )
    max_pixels: int = option(
        "Refuse inputs with more pixels than this.", default=DEFAULT_MAX_PIXELS, min=1
    )
    memory_limit: int = option(
        "Refuse inputs that would need more, such as 8GiB.",
        default=DEFAULT_MEMORY_LIMIT,
        metavar="SIZE",
        parser=byte_count,
        show_default="4GiB",
    )
    format_out: str | None = option(
        "Format of results that -o does not name: png, jpg, tif, webp, avif, jp2, tga, npy, ...",
        metavar="EXT",
    )
    threads: int | None = option("Processor threads; 0 means all there are.", min=0)

    @property
    def limits(self) -> Limits:
        """What an input may become in memory."""
        return Limits(self.max_pixels, self.memory_limit)


@dataclass(frozen=True, slots=True)
class FilterOptions(FileOptions):
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
        strength: how much of the result is laid on the original: 1 all, 0.5 half; over 1 and below
            0 go beyond, so that -1 with a blur is an unsharp mask.
        blend: how the result is laid on the original.
        linear: filter light instead of sRGB's levels, so that a checkerboard blurs to 188.
        gray: brightness (ITU-R BT.601) instead of colors.
        alpha: keep, filter or premultiply; None chooses from the kernel.
        channels: filter only these, by name or number; the others stay as they are.
        region: filter only this rectangle: left, top, width, height; the rest stays as it is.
        magnitude: how the components of a gradient become one number.
        gradient: its magnitude, its direction as a color, or both.
        compare: write the original and the result, side by side or one half each.
        stats: describe the values before conversion: a second pass.
        engine: auto, numba or numpy.
        on_compile: called before code is compiled, on its first use on a machine.

    Raises:
        UsageError: a word that is not one of those, or a number out of range.
    """

    PANEL = ""

    convolve: bool = option(
        "Turn the kernel by 180 degrees, or lay it on as it is.",
        "--convolve/--correlate",
        default=False,
        show_default="correlate",
    )
    border: str = option(
        "reflect, mirror, nearest, wrap, constant[:V]; also symmetric, reflect101, edge, "
        "replicate, zero.",
        default="reflect",
    )
    padding: PaddingName = option(
        "Result as large as the input, only where the kernel fits, or beyond.", default="same"
    )
    stride: int = option("Keep every N-th row and column.", default=1, min=1)
    dilation: int = option("Distance between kernel cells.", default=1, min=1)
    divisor: float | None = option("Divide by this instead of the kernel's own (last kernel).")
    offset: float | None = option("Add this many 8-bit levels (last kernel).")
    normalize: bool = option(
        "GIMP's rule: divide by the sum, or shift to gray.", "--normalize", default=False
    )
    value_range: RangeName | None = option(
        "How values become pixels: cut, magnitude, plus middle gray, stretched, or not at all.",
        "--range",
        show_default="clip, abs for zero-sum kernels, raw for matrices and float",
    )
    stretch_from: tuple[float, float] | None = None
    strength: float = option(
        "How much of the result is laid on the original: 0.5 half, over 1 or below 0 beyond.",
        default=1.0,
    )
    blend: BlendName = option("How the result is laid on the original.", default="normal")
    linear: bool = option(
        "Add up light (linear) instead of sRGB's levels: a checkerboard blurs to 188, not 128.",
        "--linear",
        default=False,
    )
    gray: bool = option(
        "Brightness (Rec. 601) instead of colors.", "--gray", "--grey", default=False
    )
    alpha: AlphaName | None = option(
        "Transparency: leave, filter like a color, or weight colors by it.",
        show_default="premultiply, keep for zero-sum kernels",
    )
    channels: str | None = option(
        "Filter only these channels, such as red,blue; the others stay as they are."
    )
    region: str | None = option(
        "Filter only this rectangle of the picture; the rest stays as it is.", metavar="X,Y,W,H"
    )
    magnitude: MagnitudeName = option("How a gradient's two parts are joined.", default="l2")
    gradient: GradientName = option(
        "A gradient's strength, its direction as a hue, or both.", default="magnitude"
    )
    compare: CompareName | None = option(
        "Write original and result as one picture: side by side, or the left and the right half."
    )
    stats: bool = option(
        "Also mean, deviation, percentiles and a histogram of the values before conversion.",
        "--stats",
        default=False,
    )
    engine: EngineName = option(
        "Compiled, plain NumPy, or chosen from the amount of work.", default="auto"
    )
    on_compile: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        for field, literal in _WORDS.items():
            word, words = getattr(self, field), get_args(literal)
            if word is not None and word not in words:
                raise UsageError(
                    f"there is no {field.replace('_', ' ')} {word!r}; use {', '.join(words)}."
                    f"{did_you_mean(str(word), words)}"
                )
        if self.stride < 1 or self.dilation < 1:
            raise UsageError(
                f"stride {self.stride} and dilation {self.dilation} must both be 1 or more."
            )
        if not math.isfinite(self.strength):
            raise UsageError(f"--strength {self.strength} is no finite number.")
        parse_border(self.border)
        if self.region is not None:
            parse_region(self.region)


def parse_region(text: str) -> tuple[int, int, int, int]:
    """Return left, top, width and height of `X,Y,W,H`.

    >>> parse_region("10,20,300,200")
    (10, 20, 300, 200)

    Raises:
        UsageError: anything else, or a rectangle without pixels.
    """
    words = [word.strip() for word in text.split(",")]
    if len(words) != 4 or not all(word.isdecimal() and len(word) < 10 for word in words):
        raise UsageError(
            f"--region {text[:60]!r} is no rectangle. Write X,Y,WIDTH,HEIGHT in pixels from the "
            "upper left corner, such as 10,20,300,200."
        )
    left, top, width, height = map(int, words)
    if not width * height:
        raise UsageError(f"--region {text} holds no pixel: width and height begin at 1.")
    return left, top, width, height


def parse_border(text: str) -> tuple[str, float]:
    """Return a border's name and the value behind a constant one.

    >>> parse_border("replicate"), parse_border("constant:7.5")
    (('nearest', 0.0), ('constant', 7.5))

    Raises:
        UsageError: no such border, or a value where none belongs.
    """
    from convcli.engine.borders import border_mode  # NumPy, which `--help` does without

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
