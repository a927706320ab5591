"""A confusion matrix as pixels: counts and shares, shaded by their share of the row."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

PAPER, INK, SOFT = (255, 255, 255), (32, 32, 32), (110, 110, 110)
RIGHT, WRONG = (47, 111, 176), (179, 38, 30)
"""Shades of the diagonal and of the mistakes."""
TEXT, SMALL = 14, 11
MARGIN = 16


def matrix_picture(
    title: str,
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    row_label: str = "true",
    column_label: str = "predicted",
) -> Pixels:
    """Return a square matrix of counts as a picture, each with its share of the row below it.

    Args:
        title: first line.
        counts: rows are true classes, columns the answers.
        names: of the classes.
        row_label: beside the rows.
        column_label: above the columns.

    Returns:
        uint8, height x width x 3.

    >>> drawn = matrix_picture("Confusion", [[9, 1], [0, 5]], ["cat", "dog"])
    >>> drawn.dtype, drawn.shape[2]
    (dtype('uint8'), 3)
    """
    font, small = ImageFont.load_default(TEXT), ImageFont.load_default(SMALL)
    name_width = round(max(font.getlength(name) for name in names)) + 8
    widest = max(font.getlength(f"{count:,}") for row in counts for count in row)
    cell = max(52, round(widest) + 12)
    left, top = MARGIN + 24 + name_width, MARGIN + 24 + 22 + name_width
    size = left + cell * len(names) + MARGIN, top + cell * len(names) + MARGIN
    sheet = Image.new(
        "RGB", (max(size[0], round(font.getlength(title)) + 2 * MARGIN), size[1]), PAPER
    )
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 4), title, INK, font)
    middle = cell * len(names) / 2
    draw.text((left + middle, MARGIN + 18), column_label, SOFT, font, anchor="ma")
    _turned(sheet, row_label, font, SOFT, (MARGIN, round(top + middle)))
    for index, name in enumerate(names):
        draw.text((left - 6, top + cell * (index + 0.5)), name, INK, font, anchor="rm")
        _turned(sheet, name, font, INK, (round(left + cell * (index + 0.5)) - 8, top - 4), up=True)
    for i, row in enumerate(counts):
        total = max(1, sum(row))
        for j, count in enumerate(row):
            corner = left + cell * j, top + cell * i
            _cell(draw, corner, cell, count, count / total, RIGHT if i == j else WRONG, font, small)
    return np.asarray(sheet)


def _cell(
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    cell: int,
    count: int,
    share: float,
    color: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    small: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    shade = max(0.03, sqrt(share))  # the root keeps small shares visible
    fill = tuple(round(255 + (level - 255) * shade) for level in color)
    x, y = corner
    draw.rectangle((x, y, x + cell - 2, y + cell - 2), fill=fill)
    if not count:
        return
    ink = PAPER if shade > 0.6 else INK
    draw.text((x + cell / 2, y + cell / 2 - 7), f"{count:,}", ink, font, anchor="mm")
    draw.text((x + cell / 2, y + cell / 2 + 10), share_text(share), ink, small, anchor="mm")


def share_text(share: float) -> str:
    """Return a share as a short percentage.

    >>> share_text(0.9934), share_text(0.0012), share_text(1.0)
    ('99.3%', '0.1%', '100%')
    """
    return "100%" if share == 1 else f"{share:.1%}"


def _turned(
    sheet: Image.Image,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    color: tuple[int, int, int],
    place: tuple[int, int],
    *,
    up: bool = False,
) -> None:
    """Write text from below upwards: ending at `place` if `up`, else with its middle there."""
    width, height = round(font.getlength(text)) + 2, TEXT + 6
    strip = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(strip).text((1, 1), text, color, font)
    turned = strip.rotate(90, expand=True)
    x, y = place
    sheet.paste(turned, (x, y - turned.height if up else y - turned.height // 2))
