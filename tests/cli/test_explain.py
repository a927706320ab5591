"""`convcli explain` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from convcli.cli.main import run

SIX = "3 0 1 2 7 4; 1 5 8 9 3 1; 2 7 2 5 1 3; 0 1 3 1 7 8; 4 2 1 6 2 8; 2 4 5 2 3 9"
EDGE = "1 0 -1; 1 0 -1; 1 0 -1"


def document(capfd: pytest.CaptureFixture[str], *words: str) -> Any:
    assert run(["explain", *words, "--format", "json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_conv_spells_out_the_first_sum(capfd: pytest.CaptureFixture[str]) -> None:
    got = document(capfd, "conv", SIX, "--kernel", EDGE, "--at", "0,0")
    assert got["sum"] == -5
    assert [term["product"] for term in got["terms"]] == [3, 0, -1, 1, 0, -8, 2, 0, -2]
    assert got["terms"][5] == {"value": 8, "weight": -1, "product": -8, "from": [1, 2]}
    assert got["output"][3] == [-3, -2, -3, -16]
    assert len(got["patches"]) == 16


def test_conv_prints_the_cell_in_brackets(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "conv", SIX, "-k", EDGE, "--at", "3,3"]) == 0
    said = capfd.readouterr().out
    assert "output[3,3] = -16" in said
    assert "[-16]" in said
    assert "16x9 times 9x1" in said


def test_conv_geometry_and_the_way_back(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["conv", "1 2 3 4; 5 6 7 8; 1 1 1 1; 2 2 2 2", "-k", EDGE]
    words += ["--stride", "2", "--padding", "1", "--dilation", "2", "--backward"]
    words += ["--gradient", "0.5", "--weight", "1,1", "--cell", "1,3"]
    got = document(capfd, *words)
    assert got["output"] == [[-8 - 2]]  # rows 1 and 3, column 3; the first row and column are zeros
    assert got["weight_gradient"]["sum"] == 6 * 0.5
    assert got["input_gradient"]["sum"] == -1 * 0.5


VOLUME = "1 2 3; 4 5 6; 7 8 9 | 1 0 1; 0 1 0; 1 0 1 | 2 2 2; 2 2 2; 2 2 2"


def test_conv_adds_the_products_of_all_channels(capfd: pytest.CaptureFixture[str]) -> None:
    got = document(capfd, "conv", VOLUME, "-k", "1 0; 0 -1 | 1 1; 1 1 | 0 0; 0 0.5", "--at", "1,0")
    parts = [[row.split() for row in part.split(";")] for part in VOLUME.split("|")]
    planes = np.array(parts, float)
    kernels = np.array([[[1, 0], [0, -1]], [[1, 1], [1, 1]], [[0, 0], [0, 0.5]]])
    ref = [[(planes[:, y : y + 2, x : x + 2] * kernels).sum() for x in (0, 1)] for y in (0, 1)]
    assert got["output"] == ref
    assert len(got["terms"]) == 12
    assert got["terms"][4]["from"] == [1, 0, 1]
    assert run(["explain", "conv", VOLUME, "-k", "1 0; 0 -1"]) == 3
    said = "3 channels, the kernel 1 channel. A kernel has as many channels as its input"
    assert said in capfd.readouterr().err
    assert run(["explain", "conv", "1 2 | 1 2 3", "-k", "1 | 1"]) == 2
    assert "the channels differ in size: 1x2, 1x3" in capfd.readouterr().err


@pytest.mark.parametrize("padding", ["same", "valid", "full", "2"])
@pytest.mark.parametrize("way", ["convolve", "correlate"])
def test_conv_pads_and_turns_as_scipy_does(
    padding: str, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    signal = pytest.importorskip("scipy.signal", reason="the oracle for convolutions")
    image = np.array([list(map(int, row.split())) for row in SIX.split(";")])
    kernel = np.array([[1, 2, 0], [0, -1, 3], [4, 0, 1]])
    rows = "; ".join(" ".join(map(str, row)) for row in kernel)
    words = ["conv", SIX, "-k", rows, "--padding", padding]
    got = document(capfd, *words, *(["--convolve"] if way == "convolve" else []))
    inner = np.pad(image, 2) if padding == "2" else image
    function = signal.convolve2d if way == "convolve" else signal.correlate2d
    ref = function(inner, kernel, "valid" if padding == "2" else padding)
    assert np.array_equal(ref, got["output"])


def test_conv_pads_an_even_kernel_as_tensorflow_does(capfd: pytest.CaptureFixture[str]) -> None:
    got = document(capfd, "conv", "1 2 3 4", "-k", "1 10", "--padding", "same")
    assert got["output"] == [[21, 32, 43, 4]]
    assert run(["explain", "conv", "1 2", "-k", "1", "--padding", "some"]) == 2
    assert "write a number of cells, same, valid or full" in capfd.readouterr().err


def test_the_gradients_of_a_convolution_are_those_of_differences(
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = ["conv", SIX, "--convolve", "--backward", "--weight", "0,2", "--cell", "2,2"]
    got = document(capfd, *words, "-k", "1 2 3; 4 5 6; 7 8 9")
    moved = document(capfd, *words, "-k", "1 2 4; 4 5 6; 7 8 9")
    assert np.sum(moved["output"]) - np.sum(got["output"]) == got["weight_gradient"]["sum"]


def test_conv_as_a_layer_is_a_banded_matrix(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["conv", "1 2 3 4 5", "-k", "1 0 -1", "--padding", "same", "--as-layer"]
    got = document(capfd, *words)
    matrix = np.array(got["layer"]["matrix"])
    assert np.array_equal(np.eye(5, k=-1) - np.eye(5, k=1), matrix)
    assert (matrix @ [1, 2, 3, 4, 5]).tolist() == got["output"][0]
    assert (got["layer"]["wires"], got["layer"]["dense_wires"]) == (8, 25)
    assert (got["layer"]["weights"], got["layer"]["dense_weights"]) == (3, 25)
    volume = document(capfd, "conv", VOLUME, "-k", "1 2; 3 4 | 5 6; 7 8 | 1 1; 1 1", "--as-layer")
    flat = [float(word) for word in VOLUME.replace("|", " ").replace(";", " ").split()]
    assert np.allclose(np.array(volume["layer"]["matrix"]) @ flat, np.ravel(volume["output"]))
    assert run(["explain", *words]) == 0
    told = capfd.readouterr().out
    assert "Sparse connections, shared weights" in told
    assert "-0" not in told


def test_rounding_leaves_no_crumbs(capfd: pytest.CaptureFixture[str]) -> None:
    got = document(capfd, "conv", "0.1 0.3", "-k", "3 -1")
    assert got["sum"] == 0
    assert run(["explain", "conv", "0 -1 0", "-k", "-1 0 0", "--format", "plain"]) == 0
    assert "-0" not in capfd.readouterr().out.replace("-0.", "")


def test_a_picture_is_explained_reduced(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((100, 200), 7, np.uint8)).save(path)
    assert run(["explain", "conv", str(path), "-k", "box-3", "--at", "2,3"]) == 0
    told = capfd.readouterr().out
    assert "photo.png, gray, reduced to 24x48." in told
    assert "= 7" in told


def test_pool_shows_the_whole_output(capfd: pytest.CaptureFixture[str]) -> None:
    lecture = "2 3 1 9; 4 7 3 5; 8 2 2 2; 1 3 4 5"
    assert document(capfd, "pool", lecture, "--max", "2")["output"] == [[7, 9], [8, 5]]
    assert document(capfd, "pool", lecture, "--avg", "2")["output"] == [[4, 4.5], [3.5, 3.25]]
    assert run(["explain", "pool", lecture, "--avg", "2"]) == 0
    assert "The whole output" in capfd.readouterr().out
    assert run(["explain", "pool", lecture, "--avg", "2", "--max", "2"]) == 2
    assert run(["explain", "pool", "1 2; 3 4 | 1 2; 3 4"]) == 2


def test_a_kernel_may_be_named(capfd: pytest.CaptureFixture[str]) -> None:
    got = document(capfd, "conv", SIX, "--kernel", "box-3")
    assert got["sum"] == pytest.approx((3 + 0 + 1 + 1 + 5 + 8 + 2 + 7 + 2) / 9)


def test_pool_follows_the_gradient(capfd: pytest.CaptureFixture[str]) -> None:
    lecture = "2 3 1 9; 4 7 3 5; 8 2 2 2; 1 3 4 5"
    got = document(capfd, "pool", lecture, "--size", "2", "--at", "0,1", "--gradient", "0.5")
    assert got["result"] == 9
    assert [cell["gradient"] for cell in got["cells"]] == [0, 0.5, 0, 0]
    got = document(capfd, "pool", lecture, "--kind", "avg", "--size", "2", "--stride", "1")
    assert got["result"] == 4
    assert {cell["gradient"] for cell in got["cells"]} == {0.25}


def test_dense_adds_its_bias_and_activation(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["dense", "1 2 3", "--weights", "0.5 -1 -2", "--bias", "0.5", "--activation", "relu"]
    got = document(capfd, *words)
    assert (got["sum"], got["output"]) == (0.5 - 2 - 6 + 0.5, 0)


def test_softmax_sums_to_one(capfd: pytest.CaptureFixture[str]) -> None:
    got = document(capfd, "softmax", "2 1 0.1", "--target", "1")
    assert sum(got["probabilities"]) == pytest.approx(1)
    assert sum(got["gradient"]) == pytest.approx(0)


def test_adam_first_step_is_one_rate(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["adam", "0.5 0.4", "--weight", "1", "--lr", "0.1"]
    words += ["--beta1", "0.8", "--beta2", "0.9", "--epsilon", "0"]
    got = document(capfd, *words)
    assert got[0]["weight"] == pytest.approx(0.9)
    assert len(got) == 2


def test_numbers_may_begin_with_a_minus_after_a_space(capfd: pytest.CaptureFixture[str]) -> None:
    assert document(capfd, "dense", " -1 2", "--weights", "-3 1")["sum"] == 5


def test_a_matrix_may_be_a_file(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "six.txt"
    path.write_text(SIX.replace("; ", "\n"))
    assert document(capfd, "conv", str(path), "--kernel", EDGE)["sum"] == -5


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["conv", "1 2; 3", "-k", "1"], 2, "row 2 has 1 number"),
        (["conv", "1 x", "-k", "1"], 2, "'x' is not a number"),
        (["conv", "1 2", "-k", "sobl-x"], 2, "sobel-x"),
        (["conv", "1 2", "-k", "1", "--at", "0"], 2, "ROW,COL"),
        (["conv", "1 2", "-k", "1", "--at", "0,2"], 2, "outside the output of 1x2"),
        (["conv", "1 2", "-k", "sobel"], 2, "sobel-x"),
        (["adam", "-1 2"], 2, "a space inside the quotes"),
        (["dense", "1 2; 3 4", "--weights", "1 2"], 2, "one row of numbers"),
        (["pool", "1 2; 3 4", "--size", "3"], 3, "covers 3 rows"),
    ],
)
def test_mistakes_get_a_sentence(
    words: list[str], code: int, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", *words]) == code
    assert sentence in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "ref"),
    [
        (["softmax", "0 0 0"], ("loss", pytest.approx(1.0986122886681098))),  # log(3)
        (["dense", "0 0", "--weights", "3 4"], ("output", 0)),
        (["conv", "0 0; 0 0", "-k", "1 1"], ("sum", 0)),
    ],
)
def test_zeros_are_numbers_too(
    words: list[str], ref: tuple[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", *words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[ref[0]] == ref[1]


def test_a_mistake_names_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "conv", "1 2; 3", "-k", "1"]) == 2
    assert "the matrix: row 2 has 1 number, row 1 has 2" in capsys.readouterr().err


def test_a_kernels_offset_is_part_of_the_sum(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.array([[30, 0, 10], [10, 50, 80], [20, 70, 20]], np.uint8)
    upside_down = Image.fromarray(pixels[::-1].copy())  # Pillow lays rows on from the bottom
    ref = int(np.asarray(upside_down.filter(ImageFilter.EMBOSS))[1, 1])
    words = ["explain", "conv", "30 0 10; 10 50 80; 20 70 20", "-k", "emboss-pillow"]
    assert run([*words, "--format", "json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert (got["bias"], got["sum"], got["output"]) == (128, ref, [[ref]])
    assert run(words) == 0
    assert "plus the kernel's offset of 128" in capsys.readouterr().out
