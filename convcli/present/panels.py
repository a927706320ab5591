"""What figures are made of: panels of numbers, how numbers become colors, both in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convcli.imaging.terminal import color_lines, shrunk
from convcli.report.chart import NEGATIVE, POSITIVE, STOPS
from convcli.report.printable import printable

Values = NDArray[Any]
Pixels = NDArray[np.uint8]

PAPER, BOX = (255, 255, 255), (0, 160, 70)
"""What bars and lines stand on, and the frame of a window."""


@dataclass(frozen=True)
class Scale:
    """How numbers become colors, and what the numbers are.

    Attributes:
        low, high: numbers at the ends of the colors; of a signed scale -high and high, of
            directions 0 and 360 degrees, counterclockwise from the right.
        label: the quantity with its unit, written at the color bar.
    """

    kind: Literal["magnitude", "signed", "direction"]
    low: float
    high: float
    label: str = ""

    @staticmethod
    def of(values: Values, label: str = "", *, signed: bool | None = None) -> Scale:
        """Return the scale that shows all of `values`; from zero on where none is negative.

        >>> Scale.of(np.array([-1.0, 3.0])), Scale.of(np.array([1.0, 3.0]), "gray level").low
        (Scale(kind='signed', low=-3.0, high=3.0, label=''), 0.0)
        """
        largest = float(np.abs(values).max(initial=0)) or 1.0
        if float(values.min(initial=0)) < 0 if signed is None else signed:
            return Scale("signed", -largest, largest, label)
        return Scale("magnitude", 0.0, largest, label)

    def colors(self, values: Values) -> Pixels:
        """Return RGB of real numbers of any shape, linear between the stops.

        >>> Scale("signed", -2.0, 2.0).colors(np.array([-2.0, 0.0, 2.0])).tolist()
        [[5, 48, 97], [255, 255, 255], [103, 0, 31]]
        """
        table = np.array(STOPS[self.kind], np.float64)
        shares = (values - self.low) / ((self.high - self.low) or 1.0)
        places = np.linspace(0, 1, len(table))
        return np.rint(
            np.stack([np.interp(shares, places, table[:, channel]) for channel in range(3)], -1)
        ).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Panel:
    """One part of a figure.

    Attributes:
        caption: written under it; line breaks are kept.
        values: of a picture (h, w) numbers, or bytes (h, w) or (h, w, 3) that are shown as they
            are; of bars (n,); of lines (time, channels).
        heading: if given, a new row begins with this panel, under this heading.
        scale: of the numbers; beside bytes, what their colors mean.
        names: of the bars, or of the lines.
        box: first row and column, and rows and columns of a window that is framed.
        ticks: rows and columns are numbered.
        text: how the number of a bar with a name is written.
    """

    caption: str
    values: Values
    heading: str = ""
    scale: Scale | None = None
    form: Literal["picture", "bars", "lines"] = "picture"
    names: tuple[str, ...] = ()
    box: tuple[int, int, int, int] | None = None
    ticks: bool = False
    text: str = "{:.3g}"

    @property
    def pixels(self) -> Pixels:
        """The panel as (h, w) or (h, w, 3) bytes, one pixel a number."""
        if self.form == "bars":
            return _bar_pixels(self.values)
        if self.form == "lines":
            return _line_pixels(self.values)
        if self.values.dtype == np.uint8:
            return self.values
        return (self.scale or Scale.of(self.values)).colors(self.values)


def over(
    picture: Pixels, values: Values, scale: Scale, strength: float = 0.8, light: float = 0.6
) -> Pixels:
    """Return a picture in half light under the colors of `values`: clear where they are 0.

    Args:
        picture: (H, W, 3) or (H, W).
        values: (H, W).
        scale: of the values; negative ones on a scale without signs count as 0.
        strength: opacity of the largest magnitude, 0 to 1.
        light: what is left of the picture's.

    >>> two = over(np.full((1, 2), 100, np.uint8), np.array([[0.0, 1.0]]),
    ...            Scale("magnitude", 0, 1), strength=1.0)
    >>> two.tolist()
    [[[60, 60, 60], [252, 255, 164]]]
    """
    under = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    shares = np.clip(values / scale.high, -1 if scale.kind == "signed" else 0, 1)[..., None]
    opacity = strength * np.sqrt(np.abs(shares))  # the root keeps small shares visible
    if scale.kind == "signed":
        colors: Values = np.where(shares < 0, NEGATIVE, POSITIVE)
    else:
        colors = scale.colors(values)
    return np.rint(light * under * (1 - opacity) + colors * opacity).astype(np.uint8)


def _bar_pixels(values: Values, height: int = 24) -> Pixels:
    """Return bars from left to right on white, the zero line gray, the longest as high as it is."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    span = (high - low) or 1.0
    zero = round(high / span * (height - 1))
    drawn = np.full((height, 2 * len(values), 3), PAPER, np.uint8)
    for at, value in enumerate(values.tolist()):
        end = round((high - value) / span * (height - 1))
        rows = slice(min(zero, end), max(zero, end) + 1)
        drawn[rows, 2 * at] = POSITIVE if value >= 0 else NEGATIVE
    drawn[zero, 1::2] = 128
    return drawn


def _line_pixels(values: Values, height: int = 48) -> Pixels:
    """Return series over time as colored lines on white, each on the scale of all."""
    low, high = float(values.min()), float(values.max())
    rows = np.rint((high - values) / ((high - low) or 1.0) * (height - 1)).astype(int)
    drawn = np.full((height, len(values), 3), PAPER, np.uint8)
    spread = np.linspace(0.1, 0.8, values.shape[1])
    for channel, color in enumerate(Scale("magnitude", 0.0, 1.0).colors(spread)):
        line = rows[:, channel].tolist()
        for at, (here, there) in enumerate(pairwise([line[0], *line])):
            drawn[min(here, there) : max(here, there) + 1, at] = color
    return drawn


def rows_of(panels: Sequence[Panel], across: int) -> Iterator[list[Panel]]:
    """Yield the panels in rows; a heading begins a new one, and bars or lines take one each."""
    row: list[Panel] = []
    for panel in panels:
        wide = panel.form != "picture"
        if row and (panel.heading or wide or len(row) == across or row[-1].form != "picture"):
            yield row
            row = []
        row.append(panel)
    if row:
        yield row


# ---- in a terminal -----------------------------------------------------------------------------

SHADES = " .:-=+*#%@"
"""From dark to light, for terminals without color: on a dark ground ink is light."""
GAP = 2
NARROWEST, WIDEST = 14, 32
"""Columns of a panel among others: room for a caption, and for a digit of 28 pixels."""
MANY, WIDEST_OF_MANY = 12, 18
"""Above so many panels they are smaller, so that a window shows more than a few."""


def draw_panels(
    panels: Sequence[Panel], *, columns: int, rows: int, color: bool, title: str = ""
) -> str:
    """Return the panels side by side as lines of at most `columns` letters.

    Args:
        panels: a heading begins a new row.
        columns: letters in a line of the terminal.
        rows: lines of the terminal; a single picture is kept lower than that.
        color: 24-bit colors in half blocks; else letters of different darkness.
        title: first line.

    >>> black_and_white = Panel("edge", np.array([[0, 255], [0, 255]], np.uint8))
    >>> print(draw_panels([black_and_white], columns=4, rows=9, color=False))
      @@
      @@
    edge
    <BLANKLINE>
    """
    width = _panel_width(panels, columns)
    across = max(1, (columns + GAP) // (width + GAP))
    lines = [printable(title)[:columns]] if title else []
    for row, after in pairwise([*rows_of(panels, across), []]):
        if row[0].heading:
            lines += [*([""] if lines else []), printable(row[0].heading)[:columns]]
        wide = columns if row[0].form != "picture" else width
        lines += _row(row, wide, 2 * max(rows - 4, 4), color)
        scale = row[0].scale
        if scale is not None and not (after and after[0].scale == scale and not after[0].heading):
            lines.append(f"{scale.low:.3g} to {scale.high:.3g} {scale.label}".rstrip()[:columns])
    return "\n".join(lines) + "\n"


def _panel_width(panels: Sequence[Panel], columns: int) -> int:
    """Return the columns of a panel: all of the window for one picture."""
    if len(panels) == 1:
        return max(1, columns)
    pictures = [panel for panel in panels if panel.form == "picture"] or panels
    cells = max(int(panel.pixels.shape[1]) for panel in pictures)
    words = max(len(line) for one in pictures for line in one.caption.splitlines() or [""])
    widest = WIDEST if len(panels) <= MANY else WIDEST_OF_MANY
    return max(1, min(max(cells, words, NARROWEST), widest, columns))


def _row(panels: Sequence[Panel], width: int, tallest: int, color: bool) -> list[str]:
    """Return the lines of some panels side by side, their captions below."""
    blocks = [_block(panel, width, tallest, color) for panel in panels]
    captions = [printable(panel.caption).splitlines() or [""] for panel in panels]
    lines = []
    for number in range(max(len(block) for block, _ in blocks)):
        parts = [
            block[number] + " " * (width - wide) if number < len(block) else " " * width
            for block, wide in blocks
        ]
        lines.append((" " * GAP).join(parts).rstrip(" "))
    for number in range(max(map(len, captions))):
        texts = [one[number] if number < len(one) else "" for one in captions]
        lines.append((" " * GAP).join(text[:width].ljust(width) for text in texts).rstrip())
    return lines


def _block(panel: Panel, width: int, tallest: int, color: bool) -> tuple[list[str], int]:
    """Return a panel's lines, and how many letters wide they are."""
    if panel.form == "bars" and panel.names:
        return _named_bars(panel, width), width
    pixels = panel.pixels
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    factor = min(width // rgb.shape[1], tallest // rgb.shape[0])
    if factor >= 1:
        rgb = rgb.repeat(factor, axis=0).repeat(factor, axis=1)
    if panel.box is not None:
        rgb = _framed(rgb, panel.box, max(factor, 1))
    if factor < 1:
        rgb = np.rint(shrunk(rgb, width, tallest)).astype(np.uint8)
    return (color_lines(rgb) if color else _shade_lines(rgb)), rgb.shape[1]


def _framed(rgb: Pixels, box: tuple[int, int, int, int], factor: int) -> Pixels:
    """Return pixels with the edge of a window, clipped to the picture, in its color."""
    top, left, height, width = (factor * part for part in box)
    drawn = rgb.copy()
    inside = drawn[max(0, top) : top + height, max(0, left) : left + width]
    kept = inside[1:-1, 1:-1].copy()
    inside[...] = BOX
    inside[1:-1, 1:-1] = kept
    return drawn


def _named_bars(panel: Panel, width: int) -> list[str]:
    """Return a line for each bar: its name, its length from the zero line, its number."""
    longest = float(np.abs(panel.values).max(initial=0)) or 1.0
    texts = [panel.text.format(value) for value in panel.values.tolist()]
    names = [printable(name)[:24] for name in panel.names]
    margin, end = max(map(len, names)), max(map(len, texts))
    room = max(1, min(40, width - margin - end - 3))
    lines = []
    for name, text, value in zip(names, texts, panel.values.tolist(), strict=True):
        bar = ("█" if value >= 0 else "░") * round(room * abs(value) / longest)
        lines.append(f"{name:<{margin}} │{bar:<{room}} {text:>{end}}")
    return lines


def _shade_lines(rgb: Pixels) -> list[str]:
    """Return one letter for every two pixels, one above the other."""
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    if len(luma) % 2:
        luma = np.concatenate([luma, np.zeros_like(luma[:1])])
    levels = (luma[0::2] + luma[1::2]) / 2
    places = np.rint(levels * ((len(SHADES) - 1) / 255)).astype(int)
    return ["".join(SHADES[place] for place in line) for line in places.tolist()]
