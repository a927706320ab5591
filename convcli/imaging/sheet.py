"""Contact sheets: a labeled grid of small pictures, such as kernels on one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from convcli.engine.correlation import correlate
from convcli.errors import InputError
from convcli.files import new_file
from convcli.imaging.formats import read_picture
from convcli.imaging.picture import as_bytes, to_gray, white_level
from convcli.kernels import Kernel, Magnitude

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


CELL_WIDTH = 176
"""The picture is reduced to this width first: filtered larger, a 3x3 kernel would not show."""

STRETCHED_TO_WHITE = 99.5
"""Percentile of the magnitudes of edges that is drawn white."""

SHEET_SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp")


def read_small(path: Path, width: int = CELL_WIDTH) -> Pixels:
    """Return a picture as gray levels, reduced to at most `width` pixels across (and twice down).

    Transparency is laid on white; of numbers without a white the largest is white.
    """
    frame = to_gray(read_picture(path).frames[0])
    shares = frame.pixels / np.float32(white_level(frame.pixels.dtype))
    if frame.has_alpha:
        shares = 1 - shares[..., 1] * (1 - shares[..., 0])
    if shares.ndim == 3:
        shares = shares[..., 0]
    if frame.pixels.dtype.kind == "f":
        shares = shares / (float(shares.max()) or 1.0)
    gray = Image.fromarray(as_bytes(shares))
    share = min(1.0, width / gray.width, TALLEST * width / gray.height)
    if share < 1:
        size = (max(1, round(gray.width * share)), max(1, round(gray.height * share)))
        gray = gray.resize(size, Image.Resampling.BOX)
    return np.asarray(gray, np.uint8)


def filtered(picture: Pixels, kernel: Kernel | Magnitude) -> Pixels:
    """Return a uint8 picture (gray or RGB) under a kernel, ready to be looked at.

    Zero-sum kernels and magnitudes give magnitudes, stretched so that one value in 200 is white:
    at their own scale some would be all black and others all white. All others keep their scale
    and are cut off at 0 and 255.
    """
    if isinstance(kernel, Magnitude):
        x, y = (_response(picture, component) for component in kernel.components)
        values = np.hypot(x, y)
    else:
        values = _response(picture, kernel) + kernel.offset
    if isinstance(kernel, Magnitude) or (kernel.is_zero_sum and not kernel.offset):
        values = np.abs(values)
        values *= 255 / (float(np.percentile(values, STRETCHED_TO_WHITE)) or 1.0)
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _response(picture: Pixels, kernel: Kernel) -> NDArray[np.float64]:
    rows = np.array(kernel.rows, np.float64)
    if picture.ndim == 3:
        rows = rows[:, :, None]
    values = correlate(picture, rows, engine="numpy")
    return np.asarray(values / kernel.divisor, np.float64)


def kernel_cells(picture: Pixels, kernels: Sequence[Kernel | Magnitude]) -> Iterator[Cell]:
    """Yield the original and then one cell a kernel, a heading where the group changes."""
    yield Cell("original", picture)
    group = ""
    for kernel in kernels:
        yield Cell(kernel.name, filtered(picture, kernel), kernel.group * (kernel.group != group))
        group = kernel.group


def check_sheet_suffix(path: Path) -> None:
    """Refuse a name that no sheet is written to."""
    if path.suffix.lower() not in SHEET_SUFFIXES:
        raise InputError(
            f"{path}: a sheet is written as {', '.join(SHEET_SUFFIXES)}; "
            f"{path.suffix or 'no suffix'} is none of them."
        )


def save_sheet(
    cells: Iterable[Cell],
    path: Path,
    *,
    force: bool = False,
    inputs: Iterable[Path] = (),
    cell_width: int = CELL_WIDTH,
    columns: int | None = None,
    title: str = "",
) -> tuple[int, int]:
    """Write a contact sheet as a picture and return its height and width."""
    check_sheet_suffix(path)
    sheet = contact_sheet(list(cells), cell_width=cell_width, columns=columns, title=title)
    with new_file(path, force=force, inputs=inputs) as temporary:
        Image.fromarray(sheet).save(temporary)
    return sheet.shape[0], sheet.shape[1]
