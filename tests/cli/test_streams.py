"""What is printed reaches any stream: other encodings, strange file names, full disks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from tests.cli.learning import NETWORK, write_quadrants

resource = pytest.importorskip("resource", reason="limits of files are of POSIX systems")


def command(words: list[str | bytes], folder: Path, **settings: str) -> Any:
    environment = os.environ | {"COLUMNS": "80"} | settings
    return subprocess.run(
        [sys.executable, "-m", "convcli", *words],
        cwd=folder, env=environment, capture_output=True, check=False,
    )  # fmt: skip


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    """The name of a picture, one byte of which is no UTF-8."""
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "a.png")
    name = b"caf\xe9 \xc3\xa9 \xf0\x9f\x98\x80.png"
    os.rename(os.fsencode(tmp_path / "a.png"), os.path.join(os.fsencode(tmp_path), name))  # noqa: PTH104, PTH118  (bytes)
    return name


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin1", "ascii"])
@pytest.mark.parametrize("style", ["json", "plain", "csv", "table"])
def test_a_file_name_of_any_bytes_is_reported(
    encoding: str, style: str, picture: bytes, tmp_path: Path
) -> None:
    words = ["filter", picture, "-k", "sobel", "-o", "out.png", "--format", style]
    got = command(words, tmp_path, PYTHONIOENCODING=encoding)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "out.png").exists()
    text = got.stdout.decode(encoding)
    if style == "json":
        assert json.loads(text)[0]["input"] == os.fsdecode(picture)


@pytest.mark.parametrize("encoding", ["cp1252", "latin1", "ascii"])
@pytest.mark.parametrize(
    "words", [["--help"], ["filter", "--help"], ["shape", "mnist", "--format", "table"]]
)
def test_drawn_lines_become_plain_ones(words: list[str], encoding: str, tmp_path: Path) -> None:
    got = command(words, tmp_path, PYTHONIOENCODING=encoding)
    assert got.returncode == 0, got.stderr
    assert "\\u" not in got.stdout.decode(encoding)


def test_a_run_on_a_folder_of_any_bytes_ends_whole(tmp_path: Path) -> None:
    data = write_quadrants(tmp_path)
    place = os.path.join(os.fsencode(tmp_path), b"qu\xe9.npz")  # noqa: PTH118  (bytes)
    os.rename(data, place)  # noqa: PTH104
    words = ["train", NETWORK, "--data", place, "--epochs", "1", "--out", "run"]
    got = command([*words, "--format", "json"], tmp_path)
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["epochs"] == 1
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert os.fsdecode(place) in json.dumps(record, ensure_ascii=False)
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [["filter", "big.png", "-k", "sharpen", "-o", "-"], ["shape", "resnet50", "--format", "json"]],
    ids=["bytes", "text"],
)
def test_a_disk_that_fills_up_is_no_success(
    words: list[str], unbuffered: str, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "big.png")

    def fills_up() -> None:  # a write over the limit is cut short, the next one fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    with (tmp_path / "out").open("wb") as out:
        got = subprocess.run(
            [sys.executable, "-m", "convcli", *words], cwd=tmp_path, stdout=out,
            stderr=subprocess.PIPE, preexec_fn=fills_up, check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert got.returncode == 3, got.stderr
    assert b"file too large" in got.stderr


def test_what_the_network_was_fed_is_drawn_on_a_terminal_only(tmp_path: Path) -> None:
    data = write_quadrants(tmp_path)
    words = ["train", NETWORK, "--data", str(data), "--epochs", "1", "--out", str(tmp_path / "run")]
    assert run([*words, "--quiet"]) == 0
    np.save(tmp_path / "sample.npy", np.load(data)["x_test"][0])
    got = command(["predict", "run", "sample.npy", "--show"], tmp_path)
    assert got.returncode == 0, got.stderr
    assert got.stderr == b"--show draws on a terminal only; stderr is none.\n"
