"""Scenes: matrices side by side at one moment of a calculation, drawn large enough to project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Cells = frozenset[tuple[int, int]]
Box = tuple[int, int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WIDTH, HEIGHT = 1280, 720
MOST_NUMBERED = 14
"""Cells along a side whose numbers are written; finer grids are shown as pictures."""
MARGIN, GAP = 40, 36
TITLE, HEADING, TEXT = 24, 32, 30
LARGEST_CELL, LARGEST_BESIDE_FINE = 76, 46

PAPER, INK, SOFT, LINE = (255, 255, 255), (20, 20, 20), (140, 140, 140), (150, 150, 150)
PADDING, READ, UNKNOWN = (236, 236, 236), (253, 226, 196), (250, 250, 250)
WINDOW, CHOSEN = (194, 87, 26), (28, 138, 63)
"""Edges of the cells in question, and of those that decide."""
NEGATIVE, POSITIVE = (33, 102, 172), (178, 40, 50)


@dataclass(frozen=True)
class Grid:
    """A matrix in a scene.

    Attributes:
        title: above it.
        rows: numbers; None where there is none yet.
        window: cells that are read, or written, now.
        chosen: cells among them that decide, such as the largest.
        rim: zeros of padding: rows and columns before, rows and columns after.
    """

    title: str
    rows: Sequence[Sequence[float | None]]
    window: Cells = frozenset()
    chosen: Cells = frozenset()
    rim: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def is_fine(self) -> bool:
        """It has so many cells that it is shown as a picture."""
        return max(len(self.rows), len(self.rows[0])) > MOST_NUMBERED

    def is_padding(self, row: int, column: int) -> bool:
        """Tell whether a cell is a zero of padding."""
        top, left, bottom, right = self.rim
        height, width = len(self.rows), len(self.rows[0])
        return not (top <= row < height - bottom and left <= column < width - right)


@dataclass(frozen=True)
class Scene:
    """One moment: grids in rows, a heading, and the arithmetic in words."""

    heading: str
    grids: tuple[tuple[Grid, ...], ...]
    text: str


def draw_scene(scene: Scene) -> NDArray[np.uint8]:
    """Return a scene as pixels, `HEIGHT` x `WIDTH` x 3.

    >>> draw_scene(Scene("A sum", ((Grid("one", [[1, None]]),),), "1 = 1")).shape
    (720, 1280, 3)
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    _centered(draw, scene.heading, 14, HEADING)
    lines = scene.text.splitlines()
    foot = HEIGHT - 16 - (TEXT + 8) * len(lines)
    for number, line in enumerate(lines):
        _centered(draw, line, foot + number * (TEXT + 8), TEXT)
    top, bottom = HEADING + 26, foot - 8
    high = (bottom - top) // len(scene.grids)
    sizes = cell_sizes(scene, high - TITLE - 16)
    first = scene.grids[0]
    width = sum(sizes[grid.is_fine] * len(grid.rows[0]) for grid in first) + GAP * (len(first) - 1)
    for number, row in enumerate(scene.grids):
        left = (WIDTH - width) / 2
        for grid in row:
            _draw_grid(image, draw, grid, (left, top + number * high), sizes[grid.is_fine])
            left += sizes[grid.is_fine] * len(grid.rows[0]) + GAP
    return np.asarray(image)


def cell_sizes(scene: Scene, high: float) -> tuple[float, float]:
    """Return the pixels of a cell with a number, and of one in a fine grid.

    Args:
        scene: whose rows of grids are to fit.
        high: pixels down that a row of grids has.
    """
    room = WIDTH - 2 * MARGIN - GAP * (max(map(len, scene.grids)) - 1)
    across = [
        max(sum(len(grid.rows[0]) for grid in row if grid.is_fine == fine) for row in scene.grids)
        for fine in (False, True)
    ]
    down = [
        max(
            (len(grid.rows) for row in scene.grids for grid in row if grid.is_fine == fine),
            default=1,
        )
        for fine in (False, True)
    ]
    largest = LARGEST_BESIDE_FINE if across[1] else LARGEST_CELL
    cell = min(largest, room / max(across[0], 1), high / down[0])
    return cell, min((room - cell * across[0]) / max(across[1], 1), high / down[1])


def _centered(draw: ImageDraw.ImageDraw, text: str, top: float, size: int) -> None:
    font = _fitting(text, WIDTH - 2 * MARGIN, size)
    draw.text((WIDTH / 2, top), text, INK, font, anchor="ma")


def _fitting(text: str, room: float, size: int) -> Font:
    """Return the font in which a line fits, at most so large."""
    width = _font(size).getlength(text)
    return _font(size if width <= room else max(8, int(size * room / width)))


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _draw_grid(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    grid: Grid,
    corner: tuple[float, float],
    cell: float,
) -> None:
    """Draw a matrix: its numbers, or where it is fine a picture, and what is marked in it."""
    left, top = corner
    height, width = len(grid.rows), len(grid.rows[0])
    room = max(cell * width, 60.0) + GAP - 8
    title = _fitting(grid.title, room, TITLE)
    draw.text((left + cell * width / 2, top), grid.title, INK, title, anchor="ma")
    top += TITLE + 10

    def box(y: int, x: int) -> Box:
        return (
            round(left + x * cell),
            round(top + y * cell),
            round(left + (x + 1) * cell),
            round(top + (y + 1) * cell),
        )

    if grid.is_fine:
        levels = Image.fromarray(_colors(grid.rows))
        size = round(width * cell), round(height * cell)
        image.paste(levels.resize(size, Image.Resampling.NEAREST), (round(left), round(top)))
        draw.rectangle((left - 1, top - 1, left + size[0], top + size[1]), outline=LINE)
        for cells, color in ((grid.window, WINDOW), (grid.chosen, CHOSEN)):
            if cells:
                first, last = (edge(y for y, _ in cells) for edge in (min, max))
                begin, end = (edge(x for _, x in cells) for edge in (min, max))
                outline = (*box(first, begin)[:2], *box(last, end)[2:])
                draw.rectangle(outline, outline=color, width=4)
        return
    for y, line in enumerate(grid.rows):
        for x, value in enumerate(line):
            is_padding = grid.is_padding(y, x)
            ground = PADDING if is_padding else PAPER if value is not None else UNKNOWN
            ground = READ if (y, x) in grid.window | grid.chosen else ground
            draw.rectangle(box(y, x), ground, LINE)
            if value is not None:
                text = f"{value + 0.0:.4g}"
                font = _fitting(text, 0.86 * cell, max(8, int(0.48 * cell)))
                middle = left + (x + 0.5) * cell, top + (y + 0.5) * cell
                draw.text(middle, text, SOFT if is_padding else INK, font, anchor="mm")
    for cells, color in ((grid.window, WINDOW), (grid.chosen, CHOSEN)):
        for y, x in cells:
            draw.rectangle(box(y, x), outline=color, width=4)


def _colors(rows: Sequence[Sequence[float | None]]) -> NDArray[np.uint8]:
    """Return a fine matrix as colors: gray levels up to 255, or blue and red where it has signs."""
    values = np.array([[np.nan if v is None else v for v in line] for line in rows], np.float64)
    known = np.isfinite(values)
    plain = np.where(known, values, 0)
    largest = float(np.abs(plain).max()) or 1.0
    if plain.min() >= 0:
        levels = plain * (255 / max(largest, 255.0 if largest > 1 else 1.0))
        colors = np.repeat(levels[..., None], 3, axis=2)
    else:
        share = np.abs(plain)[..., None] / largest
        ends = np.where(plain[..., None] < 0, NEGATIVE, POSITIVE)
        colors = 255 + (ends - 255) * share
    colors = np.where(known[..., None], colors, 225)
    return np.rint(colors).astype(np.uint8)
