"""Films of convolution and pooling: what each scene shows, and the files they become."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from convcli.imaging.scenes import HEIGHT, WIDTH, WINDOW, Grid, Scene, cell_sizes, draw_scene
from convcli.inspect.arithmetic import Sliding
from convcli.inspect.films import both_scenes, conv_scenes, pool_scenes, transposed_scenes
from convcli.present import film

SIX = "3 0 1 2 7 4; 1 5 8 9 3 1; 2 7 2 5 1 3; 0 1 3 1 7 8; 4 2 1 6 2 8; 2 4 5 2 3 9"
EDGE = "1 0 -1; 1 0 -1; 1 0 -1"
IMAGE = np.random.default_rng(2).integers(0, 9, (5, 6))
KERNEL = np.array([[1, 2, 0], [0, -1, 3]])
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, "same", "full"])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("convolve", [False, True])
def test_each_scene_of_a_convolution_multiplies_its_window(
    stride: int, padding: int | str, dilation: int, convolve: bool
) -> None:
    slide = Sliding(IMAGE.tolist(), KERNEL.tolist(), stride, padding, dilation, 0, convolve)
    scenes = list(conv_scenes(slide))
    turned = KERNEL[::-1, ::-1] if convolve else KERNEL
    if convolve:
        first = scenes.pop(0)
        assert [grid.rows for grid in first.grids[0]] == [KERNEL.tolist(), turned.tolist()]
    assert len(scenes) == np.size(slide.output())
    for number, scene in enumerate(scenes):
        padded, kernel, products, output = scene.grids[0]
        cells = np.array([padded.rows[y][x] for y, x in sorted(padded.window)]).reshape(2, 3)
        assert np.array_equal(turned, kernel.rows)
        assert np.array_equal(cells * turned, products.rows)
        ((row, column),) = output.window
        assert output.rows[row][column] == (cells * turned).sum()
        known = [cell for line in output.rows for cell in line if cell is not None]
        assert len(known) == number + 1
        assert scene.text.endswith(f"= {(cells * turned).sum():g}")
    assert scenes[-1].grids[0][-1].rows == slide.output()


def test_a_volume_has_a_row_of_grids_for_each_channel() -> None:
    slide = Sliding([IMAGE.tolist()] * 3, [KERNEL.tolist()] * 3, bias=0.5)
    scene = list(conv_scenes(slide))[-1]
    assert [len(row) for row in scene.grids] == [4, 3, 3]
    assert scene.text == f"18 products + 0.5 (bias) = {slide.output()[-1][-1]:.4g}"


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pooling_marks_the_largest(kind: str) -> None:
    scenes = list(pool_scenes([[2, 3, 1, 9], [4, 7, 3, 5]], kind, 2, 2))
    assert [scene.grids[0][1].rows for scene in scenes][-1] == (
        [[7, 9]] if kind == "max" else [[4, 4.5]]
    )
    assert scenes[1].grids[0][0].chosen == ({(0, 3)} if kind == "max" else frozenset())
    assert scenes[0].text == ("max(2, 3, 4, 7) = 7" if kind == "max" else "mean(2, 3, 4, 7) = 4")


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 0), (2, 1), (3, 1)])
def test_a_transposed_convolution_ends_as_pytorchs(stride: int, padding: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    scenes = list(transposed_scenes(IMAGE.tolist(), KERNEL.tolist(), stride, padding))
    assert len(scenes) == IMAGE.size
    ref = torch.nn.functional.conv_transpose2d(
        torch.tensor(IMAGE[None, None], dtype=torch.float64),
        torch.tensor(KERNEL[None, None], dtype=torch.float64),
        stride=stride,
        padding=padding,
    )
    assert np.array_equal(ref[0, 0].numpy(), scenes[-1].grids[0][-1].rows)


def test_correlation_stands_above_convolution() -> None:
    scene = list(both_scenes(Sliding(IMAGE.tolist(), KERNEL.tolist())))[-1]
    above, below = (row[-1].rows for row in scene.grids)
    assert above == Sliding(IMAGE.tolist(), KERNEL.tolist()).output()
    assert below == Sliding(IMAGE.tolist(), KERNEL.tolist(), convolve=True).output()


def test_a_scene_is_drawn_with_its_window_in_color() -> None:
    grid = Grid("Input", [[1, 2], [3, None]], frozenset({(0, 1)}))
    pixels = draw_scene(Scene("A heading", ((grid,),), "one line\nand another"))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    marked = (pixels == np.array(WINDOW)).all(axis=2)
    rows, columns = np.nonzero(marked)
    assert rows.size > 100
    assert columns.min() >= WIDTH // 2 - 6  # the right one of two columns
    fine = Grid("Fine", (np.indices((40, 40)).sum(0) - 30).tolist(), frozenset({(3, 4), (5, 9)}))
    pixels = draw_scene(Scene("", ((fine,),), ""))
    assert (pixels == np.array(WINDOW)).all(axis=2).sum() > 100


def test_numbers_beside_a_picture_stay_legible_and_all_of_it_fits() -> None:
    slide = Sliding(np.zeros((48, 60)).tolist(), [[1, 0, -1]] * 3)
    scene = next(conv_scenes(slide))
    cell, fine = cell_sizes(scene, 500)
    assert cell >= 40
    assert 6 * cell + (60 + 58) * fine + 3 * 36 <= WIDTH
    small = next(conv_scenes(Sliding([[1, 2, 3]], [[1, -1]])))
    assert cell_sizes(small, 500)[0] > cell


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_a_film_is_an_animation_that_ends_slowly(ending: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{ending}"
    words = ["explain", "conv", "1 2 3; 4 5 6", "-k", "1 -1", "-o", str(target), "--quiet"]
    assert run([*words, "--seconds", "0.5"]) == 0
    with Image.open(target) as film:
        assert film.n_frames == 4  # type: ignore[attr-defined]
        assert film.size == (WIDTH, HEIGHT)
        times = []
        for place in range(4):
            film.seek(place)
            film.load()
            times.append(film.info["duration"])
        assert film.info.get("loop") == 0
    assert times == [500, 500, 500, 3000]
    assert run(words) == 4


def test_a_film_may_be_a_page_that_needs_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "film.html"
    words = ["explain", "pool", "2 3 1 9; 4 7 3 5", "--max", "2", "-o", str(target), "--quiet"]
    assert run(words) == 0
    page = target.read_text()
    assert page.count('"iVBOR') == 2
    assert "http" not in page
    assert "<title>Max pooling 2x2, stride 2</title>" in page


def test_films_of_the_other_kinds(tmp_path: Path, capsys: Capture) -> None:
    words = ["explain", "conv", "1 2; 3 4", "-k", "1 2; 0 1", "-o"]
    assert run([*words, str(tmp_path / "t.gif"), "--transposed", "--stride", "2"]) == 0
    assert run([*words, str(tmp_path / "b.gif"), "--both", "--padding", "full"]) == 0
    assert "9 scenes of 1280 x 720 pixels" in capsys.readouterr().err
    for wrong, said in (
        (["--transposed", "--both"], "ask for one"),
        (["--transposed", "--dilation", "2"], "--stride and a number for --padding only"),
        (["--seconds", "0"], "--seconds 0 is outside 0.02 to 60"),
    ):
        assert run([*words, str(tmp_path / "x.gif"), *wrong]) == 2
        assert said in capsys.readouterr().err
    assert run([*words, str(tmp_path / "x.jpg")]) == 2
    for alone in (["--both"], ["--transposed"], ["--seconds", "2"]):
        assert run(["explain", "conv", "1 2", "-k", "1", *alone]) == 2
        assert "only means something with -o FILM" in capsys.readouterr().err


def test_a_film_of_a_picture_shows_some_of_its_steps(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 20)).astype(np.uint8)).save(path)
    target = tmp_path / "film.gif"
    monkeypatch.setattr(film, "MOST_SCENES", 3)
    assert run(["explain", "conv", str(path), "-k", "sobel-x", "-o", str(target)]) == 0
    told = capsys.readouterr().err
    assert re.search(r"3 scenes of 1280 x 720 pixels\. 3 of 252 steps are shown\.", told)
