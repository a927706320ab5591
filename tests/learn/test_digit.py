"""Photos of digits: drawn here with uneven light, noise and a dark edge, found and centered."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from convcli.errors import InputError
from convcli.learn.digit import connected_pieces, digit_picture, gray_picture, resized

Y, X = np.mgrid[:300, :400]


def stroke(x0: float, y0: float, x1: float, y1: float, width: float) -> np.ndarray:
    along = ((X - x0) * (x1 - x0) + (Y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2)
    along = np.clip(along, 0, 1)
    return np.hypot(X - x0 - along * (x1 - x0), Y - y0 - along * (y1 - y0)) < width / 2


SEVEN = stroke(150, 80, 230, 80, 6) | stroke(230, 80, 190, 210, 6)


def photo(ink: np.ndarray, *, edge: bool = False, dirt: bool = False) -> np.ndarray:
    light = 0.9 - 0.4 * X / 400 - 0.1 * Y / 300 + np.random.default_rng(0).normal(0, 0.02, X.shape)
    light = np.where(ink, 0.4 * light, light)
    if edge:
        light[:, :15] *= 0.2
    if dirt:
        light[20:23, 300:303] = 0.1
    return np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)


CASES = {
    "gray": photo(SEVEN),
    "a dark edge": photo(SEVEN, edge=True),
    "dirt": photo(SEVEN, dirt=True),
    "light on dark": 255 - photo(SEVEN),
    "color": np.repeat(photo(SEVEN)[..., None], 3, axis=2),
    "16 bits": photo(SEVEN).astype(np.uint16) * 257,
    "0 to 1": photo(SEVEN) / 255,
    "transparent": np.dstack([np.zeros_like(photo(SEVEN)), np.where(SEVEN, 255, 0)]).astype(
        np.uint8
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_digit_fills_20_pixels_and_its_mass_is_in_the_middle(case: str) -> None:
    got = digit_picture(CASES[case])
    assert (got.shape, got.dtype, got.max()) == ((28, 28), np.uint8, 255)
    solid = got > 60
    height, width = (np.ptp(np.flatnonzero(solid.any(axis=axis))) + 1 for axis in (1, 0))
    assert 18 <= height <= 20
    assert 9 <= width <= 15
    center = ndimage.center_of_mass(got.astype(float))
    assert center == pytest.approx((13.5, 13.5), abs=0.7)
    first, last = np.flatnonzero(solid.any(axis=1))[[0, -1]]
    top, bottom = solid[first : first + 4].sum(), solid[last - 3 : last + 1].sum()
    assert top > 2 * bottom, "a seven has its bar at the top"


@pytest.mark.parametrize("pen", [2, 6, 12, 16, 18, 30])
@pytest.mark.parametrize("side", [100, 128, 280])
def test_ink_is_what_lies_on_the_paper_however_thick_the_pen(side: int, pen: int) -> None:
    if pen > side / 5:
        return
    scale = side / 300
    lines = [(75, 60, 225, 60), (225, 60, 135, 255)]
    ink = np.logical_or.reduce(
        [stroke(*(scale * at for at in line), pen)[:side, :side] for line in lines]
    )
    page = np.where(ink, 20, 250).astype(np.uint8)
    for photo_of_it in (page, 255 - page):
        got = digit_picture(photo_of_it) > 128
        first, last = np.flatnonzero(got.any(axis=1))[[0, -1]]
        assert last - first in range(17, 21)
        top, bottom = got[first : first + 4].sum(), got[last - 3 : last + 1].sum()
        assert top > 1.4 * bottom, "a seven has its bar at the top"


def test_mnists_own_pictures_are_left_alone() -> None:
    picture = np.zeros((28, 28), np.uint8)
    picture[5:20, 10:14] = 200
    assert (digit_picture(picture) == picture).all()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_page_gets_a_sentence(level: int) -> None:
    with pytest.raises(InputError, match="Nothing stands out"):
        digit_picture(np.full((50, 60), level, np.uint8))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (28, 28), (2000, 20)])
def test_odd_pictures_end_in_a_digit_or_a_sentence(shape: tuple[int, int]) -> None:
    picture = np.full(shape, 255, np.uint8)
    picture[0, 0] = 0
    try:
        assert digit_picture(picture).shape == (28, 28)
    except InputError as problem:
        assert "Nothing stands out" in str(problem)  # noqa: PT017  (either end is right)


def test_pieces_are_scipys() -> None:
    for seed in range(10):
        mask = np.random.default_rng(seed).random((30, 40)) < 0.4
        ref, count = ndimage.label(mask, np.ones((3, 3)))
        got = connected_pieces(mask)
        assert got.max() == count
        pairs = set(zip(ref.ravel().tolist(), got.ravel().tolist(), strict=True))
        assert len(pairs) == count + 1


def test_resizing_keeps_flat_areas_and_means() -> None:
    assert resized(np.full((5, 7), 3.0), 9, 2) == pytest.approx(3)
    random = np.random.default_rng(0).random((40, 40))
    assert resized(random, 10, 10).mean() == pytest.approx(random.mean(), abs=0.02)


def test_gray_is_rec_601() -> None:
    got = gray_picture(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8))
    assert got[0] == pytest.approx([0.299, 0.587, 0.114])
