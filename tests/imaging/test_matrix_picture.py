"""A confusion matrix as pixels."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.imaging.matrix_picture import RIGHT, WRONG, matrix_picture, share_text

COUNTS = [[90, 10, 0], [0, 50, 0], [0, 2, 1]]


def test_cells_are_shaded_by_their_share_of_the_row() -> None:
    drawn = matrix_picture("Confusion", COUNTS, ["a", "b", "c"])
    colors = {tuple(color) for color in np.unique(drawn.reshape(-1, 3), axis=0).tolist()}
    for row, column, share in ((0, 0, 0.9), (0, 1, 0.1), (1, 1, 1.0), (2, 1, 2 / 3), (2, 2, 1 / 3)):
        color = RIGHT if row == column else WRONG
        shade = max(0.03, share**0.5)
        assert tuple(round(255 + (level - 255) * shade) for level in color) in colors


def test_long_names_and_large_counts_have_room() -> None:
    small = matrix_picture("x", COUNTS, ["a", "b", "c"]).shape
    named = matrix_picture("x", COUNTS, ["a", "b", "a rather long name"]).shape
    large = matrix_picture("x", [[10**9, 0, 0]] * 3, ["a", "b", "c"]).shape
    titled = matrix_picture("a title " * 30, COUNTS, ["a", "b", "c"]).shape
    assert named > small
    assert large > small
    assert titled[1] > 3 * small[1]


@pytest.mark.parametrize(("share", "ref"), [(0.5, "50.0%"), (0.99996, "100.0%"), (1.0, "100%")])
def test_shares_are_short(share: float, ref: str) -> None:
    assert share_text(share) == ref
