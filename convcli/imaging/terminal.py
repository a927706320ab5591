"""Pictures in a terminal: two pixels a character, the upper half block colored on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convcli.imaging.picture import Frame, white_level
from convcli.imaging.sheet import Cell, Pixels, rows_of

UPPER_HALF = "\N{UPPER HALF BLOCK}"
RESET = "\x1b[0m"


def half_blocks(frame: Frame, columns: int, rows: int) -> str:
    """Return lines of 24-bit color escapes that draw the frame.

    Args:
        frame: any depth; transparency is drawn on black, float values between their extremes.
        columns: width to fit into, one pixel a column.
        rows: height to fit into in pixels, two a line.
    """
    colors = _as_rgb(frame, shrunk(frame.pixels, max(columns, 1), max(rows, 2)))
    return "".join(line + "\n" for line in color_lines(colors))


def color_lines(colors: Any) -> list[str]:
    """Return one line for every two rows of (H, W, 3) uint8, as 24-bit color escapes.

    >>> [line.count(UPPER_HALF) for line in color_lines(np.zeros((3, 5, 3), np.uint8))]
    [5, 5]
    """
    if len(colors) % 2:
        colors = np.concatenate([colors, np.zeros_like(colors[:1])])
    lines = []
    for upper, lower in zip(colors[0::2].tolist(), colors[1::2].tolist(), strict=True):
        cells = (
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m{UPPER_HALF}"
            for a, b in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + RESET)
    return lines


def shrunk(pixels: Any, columns: int, rows: int) -> Any:
    """Return the means of square blocks, as few as fit `columns` by `rows`, float64."""
    height, width = pixels.shape[:2]
    block = max(1, -(-width // columns), -(-height // rows))
    places = np.arange(0, height, block), np.arange(0, width, block)
    sums = np.add.reduceat(pixels.astype(np.float64), places[0], axis=0)
    sums = np.add.reduceat(sums, places[1], axis=1)
    sizes = [np.diff([*at, end]) for at, end in zip(places, (height, width), strict=True)]
    counts = np.outer(*sizes)
    return sums / counts.reshape(counts.shape + (1,) * (sums.ndim - 2))


def _as_rgb(frame: Frame, means: Any) -> Any:
    """Return 8-bit RGB of the shrunk pixels."""
    if frame.pixels.dtype.kind == "u":
        levels = means * (255 / white_level(frame.pixels.dtype))
    else:
        low, high = means.min(), means.max()
        levels = (means - low) * (255 / (high - low) if high > low else 0)
    if levels.ndim == 2:
        levels = levels[..., None]
    if frame.has_alpha:
        levels = levels[..., :-1] * (levels[..., -1:] / 255)
    if levels.shape[2] < 3:
        levels = np.repeat(levels[..., :1], 3, axis=2)
    return np.rint(levels[..., :3]).astype(np.uint8)


SHADES = " .:-=+*#%@"
"""From dark to light, for terminals without color: on a dark ground ink is light."""

GAP = 2
NARROWEST, WIDEST = 14, 32
"""Columns of a cell among others: room for a caption, and for a digit of 28 pixels."""
MANY, WIDEST_OF_MANY = 12, 18
"""Above so many cells they are smaller, so that a window shows more than a few."""


def draw_cells(
    cells: Sequence[Cell], *, columns: int, rows: int, color: bool, title: str = ""
) -> str:
    """Return the cells side by side as lines of at most `columns` letters.

    Args:
        cells: as for `contact_sheet`; a heading begins a new row.
        columns: letters in a line of the terminal.
        rows: lines of the terminal; a single picture is kept lower than that.
        color: 24-bit colors in half blocks; else letters of different darkness.
        title: first line.

    >>> black_and_white = Cell("edge", np.array([[0, 255], [0, 255]], np.uint8))
    >>> print(draw_cells([black_and_white], columns=4, rows=9, color=False))
      @@
      @@
    edge
    <BLANKLINE>
    """
    width = _cell_width(cells, columns)
    across = max(1, (columns + GAP) // (width + GAP))
    lines = [title[:columns]] if title else []
    for row in rows_of(cells, across):
        if row[0].heading:
            lines += [*([""] if lines else []), row[0].heading[:columns]]
        lines += _row(row, width, 2 * max(rows - 4, 4), color)
    return "\n".join(lines) + "\n"


def _cell_width(cells: Sequence[Cell], columns: int) -> int:
    """Return the columns of a cell: all of the window for one picture."""
    if len(cells) == 1:
        return max(1, columns)
    pictures = max(int(cell.pixels.shape[1]) for cell in cells)
    words = max(len(line) for cell in cells for line in cell.caption.splitlines() or [""])
    widest = WIDEST if len(cells) <= MANY else WIDEST_OF_MANY
    return max(1, min(max(pictures, words, NARROWEST), widest, columns))


def _row(cells: Sequence[Cell], width: int, tallest: int, color: bool) -> list[str]:
    """Return the lines of some pictures side by side, their captions below."""
    pictures = [_fitted(cell.pixels, width, tallest) for cell in cells]
    blocks = [color_lines(p) if color else _shade_lines(p) for p in pictures]
    height = max(map(len, blocks))
    lines = []
    for number in range(height):
        parts = []
        for block, picture in zip(blocks, pictures, strict=True):
            blank = " " * (width - picture.shape[1] if number < len(block) else width)
            parts.append((block[number] if number < len(block) else "") + blank)
        lines.append((" " * GAP).join(parts).rstrip(" "))
    captions = [cell.caption.splitlines() or [""] for cell in cells]
    for number in range(max(map(len, captions))):
        texts = [_line(caption, number)[:width].ljust(width) for caption in captions]
        lines.append((" " * GAP).join(texts).rstrip())
    return lines


def _line(caption: Sequence[str], number: int) -> str:
    return caption[number] if number < len(caption) else ""


def _fitted(pixels: Pixels, width: int, tallest: int) -> Any:
    """Return (h, w, 3) uint8: enlarged by a whole factor, or reduced by one."""
    rgb = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    factor = min(width // rgb.shape[1], tallest // rgb.shape[0])
    if factor >= 1:
        return rgb.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.rint(shrunk(rgb, width, tallest)).astype(np.uint8)


def _shade_lines(rgb: Any) -> list[str]:
    """Return one letter for every two pixels, one above the other."""
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    if len(luma) % 2:
        luma = np.concatenate([luma, np.zeros_like(luma[:1])])
    levels = (luma[0::2] + luma[1::2]) / 2
    places = np.rint(levels * ((len(SHADES) - 1) / 255)).astype(int)
    return ["".join(SHADES[place] for place in line) for line in places.tolist()]
