"""Contact sheets: what is shown, where, and how large."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.imaging.picture import gray_levels
from convcli.imaging.sheet import GAP, PAPER, Cell, contact_sheet


def flat(level: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width), level, np.uint8)


def test_each_cell_lies_in_its_place() -> None:
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    cells = [
        Cell(f"cell {number}", np.broadcast_to(np.uint8(color), (40, 40, 3)).copy())
        for number, color in enumerate(colors)
    ]
    got = contact_sheet(cells, cell_width=40, columns=2)
    assert got.shape[1] == 2 * 40 + 3 * GAP
    assert tuple(got[GAP + 20, GAP + 20]) == colors[0]
    assert tuple(got[GAP + 20, 2 * GAP + 60]) == colors[1]
    assert tuple(got[-GAP - 40, GAP + 20]) == colors[2]
    assert tuple(got[-1, -1]) == PAPER


def test_columns_follow_the_width_and_a_heading_begins_a_row() -> None:
    cells = [Cell("a", flat(0)), Cell("b", flat(0)), Cell("c", flat(0), heading="second part")]
    wide = contact_sheet(cells, width=1000, cell_width=100)
    narrow = contact_sheet(cells, width=130, cell_width=100)
    assert wide.shape[1] == 3 * 100 + 4 * GAP
    assert narrow.shape[1] == 100 + 2 * GAP
    assert wide.shape[0] < narrow.shape[0]
    plain = contact_sheet([*cells[:2], Cell("c", flat(0))], width=1000, cell_width=100)
    assert plain.shape[0] < wide.shape[0]


def test_small_cells_are_enlarged_without_smoothing_and_large_ones_averaged() -> None:
    checks = np.uint8([[0, 255], [255, 0]])
    got = contact_sheet([Cell("2x2", checks)], cell_width=64)
    inside = got[GAP : GAP + 64, GAP : GAP + 64, 0]
    np.testing.assert_array_equal(np.kron(checks, np.ones((32, 32), np.uint8)), inside)
    fine = np.tile(checks, (64, 64))
    averaged = contact_sheet([Cell("128x128", fine)], cell_width=64)
    assert abs(int(averaged[GAP + 30, GAP + 30, 0]) - 128) <= 1


def test_a_caption_is_drawn_and_a_long_one_stays_in_its_cell() -> None:
    short = contact_sheet([Cell("one", flat(255)), Cell("", flat(255))], cell_width=60)
    long = contact_sheet([Cell("one" * 50, flat(255)), Cell("", flat(255))], cell_width=60)
    for got in (short, long):
        caption = got[GAP + 41 :]
        assert caption[:, :72].min() < 100, "nothing is written"
        assert caption[:, 73 + GAP :].min() == 255, "the caption runs into the next cell"


def test_a_strip_is_shown_whole_in_a_cell_of_bounded_height() -> None:
    for strip in (flat(0, 5000, 3), flat(0, 300, 1)):
        got = contact_sheet([Cell("strip", strip)], cell_width=60)
        assert got.shape[0] <= 2 * 60 + 60


def test_a_title_is_drawn_on_top() -> None:
    bare = contact_sheet([Cell("a", flat(255))], cell_width=200)
    titled = contact_sheet([Cell("a", flat(255))], cell_width=200, title="Title")
    assert titled.shape[0] > bare.shape[0]
    assert titled[: titled.shape[0] - bare.shape[0] + GAP].min() < 100


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((2, 2), np.float32), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 2), np.uint8)],
)
def test_pixels_that_cannot_be_shown_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="cell 'bad'"):
        Cell("bad", pixels)


def test_no_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one cell"):
        contact_sheet([])


def test_levels_of_constant_and_empty_arrays() -> None:
    assert gray_levels(np.full((2, 2), 7.0)).tolist() == [[0, 0], [0, 0]]
    assert gray_levels(np.zeros(3), about_zero=True).tolist() == [128, 128, 128]
    assert gray_levels(np.zeros((0, 3))).shape == (0, 3)
