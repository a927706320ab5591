"""Sheets of cells in a terminal: they fit, with color and without."""

from __future__ import annotations

import re

import numpy as np
import pytest

from convcli.imaging.sheet import Cell
from convcli.imaging.terminal import SHADES, draw_cells

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

CELLS = [
    Cell(
        f"number {index}\nsecond line",
        np.full((9, 7), 20 * index, np.uint8),
        "group" * (index == 6),
    )
    for index in range(12)
]


@pytest.mark.parametrize("columns", [20, 80, 200])
@pytest.mark.parametrize("color", [True, False])
def test_lines_fit_the_window(columns: int, color: bool) -> None:
    drawn = draw_cells(CELLS, columns=columns, rows=24, color=color, title="title " * 50)
    plain = ESCAPES.sub("", drawn)
    assert max(map(len, plain.splitlines())) <= columns
    assert ("\x1b" in drawn) == color
    assert all(f"number {index}" in plain for index in range(12))
    assert plain.count("second line") == 12
    assert "\ngroup\n" in plain


def test_a_wide_window_has_more_cells_a_line() -> None:
    narrow, wide = (
        len(draw_cells(CELLS, columns=columns, rows=24, color=False).splitlines())
        for columns in (40, 120)
    )
    assert wide < narrow


def test_shades_follow_the_light_and_small_pictures_are_enlarged_whole() -> None:
    ramp = np.repeat(np.linspace(0, 255, len(SHADES)).astype(np.uint8)[None], 2, axis=0)
    drawn = draw_cells([Cell("ramp", ramp)], columns=20, rows=24, color=False)
    ref = "".join(2 * shade for shade in SHADES)
    assert drawn.splitlines()[0].rstrip() == ref.rstrip()


def test_colors_are_those_of_the_picture() -> None:
    red_over_blue = np.array([[[200, 10, 20]], [[1, 2, 250]]], np.uint8)
    drawn = draw_cells([Cell("", red_over_blue)], columns=1, rows=8, color=True)
    assert "38;2;200;10;20;48;2;1;2;250" in drawn


def test_a_large_picture_is_reduced_to_the_window() -> None:
    large = Cell("", np.full((400, 1000), 255, np.uint8))
    lines = draw_cells([large], columns=80, rows=24, color=False).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24
    assert "@" * 70 in lines[0]
