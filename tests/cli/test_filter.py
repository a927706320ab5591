"""`convcli filter` as a user meets it: files in, files out, words on the screen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.app import run

# The lecture's first example: a 6x6 picture and the vertical edge kernel.
LECTURE = "3 0 1 2 7 4\n1 5 8 9 3 1\n2 7 2 5 1 3\n0 1 3 1 7 8\n4 2 1 6 2 8\n2 4 5 2 3 9\n"
VERTICAL = "1 0 -1; 1 0 -1; 1 0 -1"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A small colour picture with noise and an edge."""
    pixels = np.random.default_rng(7).integers(0, 40, (24, 31, 3)).astype(np.uint8)
    pixels[:, 15:] += 180
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    path = tmp_path / "lecture.txt"
    path.write_text(LECTURE)
    return path


def test_sobel_on_a_picture_writes_beside_it_and_reports(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["filter", str(picture), "-k", "sobel", "--format", "json"]) == 0
    (got,) = json.loads(capsys.readouterr().out)
    target = picture.with_name("photo_sobel.png")
    assert (got["input"], got["output"]) == (str(picture), str(target))
    assert (got["kernel"], got["shape"], got["dtype"]) == ("sobel", [24, 31, 3], "uint8")
    ndimage = pytest.importorskip("scipy.ndimage", reason="the oracle for filters")
    planes = np.moveaxis(np.asarray(Image.open(picture)).astype(float), 2, 0)
    ref = np.dstack(
        [np.hypot(ndimage.sobel(plane, axis=1), ndimage.sobel(plane, axis=0)) for plane in planes]
    )
    assert np.array_equal(np.rint(ref).clip(0, 255), np.asarray(Image.open(target)))
    assert got["max"] == pytest.approx(ref.max(), rel=1e-6)
    assert (got["below"], got["above"], got["range"]) == (0, int((np.rint(ref) > 255).sum()), "abs")


def test_the_lecture_matrix_is_printed(matrix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ref = [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]]
    words = ["filter", str(matrix), "-k", VERTICAL, "--padding", "valid"]
    assert run([*words, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shape": [4, 4], "values": ref}
    assert run(words) == 0
    plain = capsys.readouterr().out
    assert [[int(word) for word in line.split()] for line in plain.splitlines()] == ref
