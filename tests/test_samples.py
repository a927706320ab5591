"""The samples are what their script makes, are small, and serve the worked examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.kernels import parse_rows
from samples.figure import figure
from samples.make import MATRICES, PICTURES

SAMPLES = Path(__file__).parent.parent / "samples"
LARGEST_BYTES = 300_000


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_script_makes(name: str) -> None:
    with Image.open(SAMPLES / name) as opened:
        ref = np.asarray(opened, np.int64)
    got = PICTURES[name]()
    assert ref.shape == got.shape
    step = 257 if got.dtype == np.uint16 else 1
    apart = np.abs(ref - got.astype(np.int64)) / step
    assert (apart > 2).mean() < 0.005, "only lettering may differ, by the version of FreeType"


def test_the_figure_of_the_readme_is_what_the_tool_makes() -> None:
    with Image.open(SAMPLES / "filters.jpg") as opened:
        ref = np.asarray(opened, np.int64)
    got = figure().astype(np.int64)
    assert ref.shape == got.shape
    assert np.abs(ref - got).mean() < 3, "JPEG loses a little; more means that the figure is old"
    assert (SAMPLES / "filters.jpg").stat().st_size < LARGEST_BYTES


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_is_what_the_script_makes(name: str) -> None:
    assert (SAMPLES / name).read_text(encoding="utf-8") == MATRICES[name]


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("photo.png", "RGB", (640, 480)),
        ("chart.png", "RGB", (512, 384)),
        ("depth16.png", "I;16", (256, 192)),
        ("glass.png", "RGBA", (256, 192)),
        ("digit.png", "L", (180, 240)),
    ],
)
def test_pictures_have_their_kind_and_are_small(
    name: str, mode: str, size: tuple[int, int]
) -> None:
    with Image.open(SAMPLES / name) as picture:
        assert (picture.mode, picture.size) == (mode, size)
    assert (SAMPLES / name).stat().st_size < LARGEST_BYTES


def test_the_glass_hides_color_where_it_is_clear() -> None:
    with Image.open(SAMPLES / "glass.png") as picture:
        pixels = np.asarray(picture)
    clear = pixels[..., 3] == 0
    assert clear.mean() > 0.3
    assert (pixels[clear][:, :3] == (255, 0, 255)).all()


@pytest.mark.parametrize(
    ("picture", "kernel", "first"),
    [("picture-6x6.txt", "edge-3x3.txt", -5), ("binary-5x5.csv", "cross-3x3.txt", 4)],
)
def test_the_worked_examples_start_as_their_comments_say(
    picture: str, kernel: str, first: int
) -> None:
    cells, weights = (
        np.array(parse_rows((SAMPLES / name).read_text(encoding="utf-8")).rows)
        for name in (picture, kernel)
    )
    assert (cells[:3, :3] * weights).sum() == first
