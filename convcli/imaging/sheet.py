"""Contact sheets: a labeled grid of small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

GAP = 12
CAPTION_SIZE = 13
HEADING_SIZE = 17
LINE_SPACING = 5
HEADING_LINE = HEADING_SIZE + 2 * LINE_SPACING
CAPTION_LINE = CAPTION_SIZE + LINE_SPACING
TALLEST = 2
"""Cells are at most this many times as high as wide: a strip would make an endless sheet."""

PAPER = (255, 255, 255)
INK = (32, 32, 32)
FRAME = (200, 200, 200)


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
        caption: written under it, shortened where it does not fit; line breaks are kept.
        pixels: uint8, height x width (gray) or height x width x 3 (RGB).
        heading: if given, a new row begins with this cell, under this heading.
    """

    caption: str
    pixels: Pixels
    heading: str = ""

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) not in {2, 3} or shape[2:] not in {(), (3,)}:
            raise ValueError(
                f"cell {self.caption!r}: {self.pixels.dtype} {shape}; "
                "want uint8, height x width or height x width x 3"
            )
        if 0 in shape:
            raise ValueError(f"cell {self.caption!r} is empty: {shape}")


def contact_sheet(
    cells: Sequence[Cell],
    *,
    width: int = 1200,
    cell_width: int = 176,
    columns: int | None = None,
    title: str = "",
) -> Pixels:
    """Return a sheet with the cells in rows, each with its caption.

    Cells are brought to `cell_width`: large ones are averaged down, small ones enlarged by a whole
    factor without smoothing, so that single cells of a filter stay visible.

    Args:
        cells: what to show, in order.
        width: widest the sheet may be, in pixels, when `columns` is left out.
        cell_width: width of each cell, in pixels.
        columns: cells a row; as many as fit `width` when left out, never more than there are.
        title: a line at the top.

    Returns:
        uint8, height x width x 3.

    >>> import numpy as np
    >>> gray = np.zeros((8, 8), np.uint8)
    >>> contact_sheet([Cell("one", gray), Cell("two", gray)], cell_width=64).shape
    (111, 164, 3)
    """
    if not cells or cell_width < 1 or (columns is not None and columns < 1):
        raise ValueError("a sheet needs at least one cell, one column and one pixel of width")
    fitting = max(1, (width - GAP) // (cell_width + GAP))
    across = min(columns or fitting, len(cells))
    rows = [_Row(row, cell_width) for row in rows_of(cells, across)]
    top = GAP + (HEADING_LINE if title else 0)
    size = (across * (cell_width + GAP) + GAP, top + sum(row.height for row in rows))
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        font = _font(HEADING_SIZE)
        draw.text((GAP, GAP), _shortened(title, font, sheet.width - 2 * GAP), INK, font)
    for row in rows:
        row.draw_on(sheet, draw, top)
        top += row.height
    return np.asarray(sheet)


class _Row:
    """One row of cells, measured and ready to be drawn."""

    def __init__(self, cells: list[Cell], cell_width: int) -> None:
        self.cells = cells
        self.cell_width = cell_width
        self.pictures = [_resized(cell.pixels, cell_width) for cell in cells]
        self.picture_top = HEADING_LINE if cells[0].heading else 0
        tallest = max(picture.height for picture in self.pictures)
        lines = max(len(cell.caption.splitlines()) for cell in cells)
        self.caption_top = self.picture_top + tallest + LINE_SPACING
        self.height = self.caption_top + lines * CAPTION_LINE + GAP

    def draw_on(self, sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int) -> None:
        """Draw heading, pictures and captions with the row's upper edge at `top`."""
        if self.cells[0].heading:
            draw.text((GAP, top), self.cells[0].heading, INK, _font(HEADING_SIZE))
        font = _font(CAPTION_SIZE)
        for column, (cell, picture) in enumerate(zip(self.cells, self.pictures, strict=True)):
            left = GAP + column * (self.cell_width + GAP)
            at_x = left + (self.cell_width - picture.width) // 2
            at_y = top + self.picture_top
            sheet.paste(picture, (at_x, at_y))
            frame = (at_x - 1, at_y - 1, at_x + picture.width, at_y + picture.height)
            draw.rectangle(frame, outline=FRAME)
            for number, text in enumerate(cell.caption.splitlines()):
                place = (left, top + self.caption_top + number * CAPTION_LINE)
                draw.text(place, _shortened(text, font, self.cell_width), INK, font)


def gray_levels(values: NDArray[np.floating], *, about_zero: bool = False) -> Pixels:
    """Return any real array as gray levels 0..255 that show it best.

    Args:
        values: finite numbers of any shape.
        about_zero: map zero to the middle gray 128 and the largest magnitude to an end, so that
            signs can be told apart; else the smallest is black and the largest white.

    >>> import numpy as np
    >>> gray_levels(np.array([-1.0, 0.0, 0.5]), about_zero=True).tolist()
    [1, 128, 192]
    >>> gray_levels(np.array([3.0, 4.0, 5.0])).tolist()
    [0, 128, 255]
    """
    if values.size == 0:
        return np.zeros(values.shape, np.uint8)
    if about_zero:
        scale = float(np.abs(values).max()) or 1.0
        return np.asarray(np.rint(128 + 127 * (values / scale)), np.uint8)
    low, high = float(values.min()), float(values.max())
    return np.asarray(np.rint(255 * ((values - low) / ((high - low) or 1.0))), np.uint8)


def rows_of(cells: Sequence[Cell], across: int) -> list[list[Cell]]:
    """Return the cells in rows; a heading begins a new one."""
    rows: list[list[Cell]] = []
    for cell in cells:
        if not rows or cell.heading or len(rows[-1]) == across:
            rows.append([])
        rows[-1].append(cell)
    return rows


def _resized(pixels: Pixels, width: int) -> Image.Image:
    """Return the cell's picture, as wide as the cell but at most TALLEST times as high as wide."""
    picture = Image.fromarray(pixels)
    share = min(width / picture.width, TALLEST * width / picture.height)
    if share >= 1:
        size = (picture.width * int(share), picture.height * int(share))
        return picture.resize(size, Image.Resampling.NEAREST).convert("RGB")
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    return picture.resize(size, Image.Resampling.BOX).convert("RGB")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Return `text`, its end replaced by an ellipsis where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
