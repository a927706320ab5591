"""Wrong, missing, huge and hostile input gets one sentence, an exit code, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run

PROGRAM = [sys.executable, "-m", "convcli", "filter"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(convcli.__file__).parent.parent)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good picture, a transparent one and several bad files."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 4)).astype(np.uint8)
    Image.fromarray(pixels[..., :3]).save(tmp_path / "good.png")
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:900])
    (tmp_path / "words.png").write_text("no picture at all")
    (tmp_path / "ragged.csv").write_text("1,2,3\n4,5\n")
    (tmp_path / "word.csv").write_text("1,2\n3,four\n")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "two.npy", np.ones((3, 3, 2)))
    np.save(tmp_path / "nan.npy", np.array([[1, np.nan]]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("missing.png -k box", 3, "missing.png: there is no such file"),
        ("empty.png -k box", 3, "empty.png: the file is empty"),
        ("cut.png -k box", 3, "cut.png: the file is damaged or cut off"),
        ("words.png -k box", 3, "words.png: not a picture that can be read (PNG, JPEG"),
        ("good.png -k box --max-pixels 1999", 3, "50 x 40 = 2,000 pixels are more than the limit"),
        ("good.png -k sobl", 2, "Did you mean sobel"),
        ("good.png -k gaussian:sigma=-1", 2, "sigma=-1 is outside"),
        ("good.png -k 1,2;3", 2, "row 2 has 1 number, row 1 has 2"),
        ("good.png -k 1,nan", 2, "row 1, column 2: nan is not finite"),
        ("good.png -k nan.npy", 2, "kernel file nan.npy: the array holds NaN"),
        ("good.png -k ragged.csv", 2, "kernel file ragged.csv, line 2: 2 numbers"),
        ("good.png -k two.npy", 3, "with 2 channels, and the input has 3 (red, green, blue)"),
        ("ragged.csv -k box", 3, "ragged.csv, line 2: 2 numbers where the first row has 3"),
        ("word.csv -k box", 3, "word.csv, line 2, column 2: 'four' is no number"),
        ("good.png -k box -o no/x.png", 3, "folder no does not exist. Make it first: mkdir -p no"),
        ("good.png -k box -o x.pgn", 2, "'.pgn' is no picture format that can be written"),
        ("good.png -k box -o x", 2, "a name without an ending"),
        ("clear.png -k box -o x.jpg", 3, "JPEG has no transparency"),
        ("good.png -k box -o good.png --force", 2, "good.png is an input"),
        ("good.png -k box -o clear.png", 4, "clear.png exists. Use --force"),
        ("good.png -k box -o loop.png", 4, "loop.png exists"),
        ("loop.png -k box", 3, "loop.png: Too many levels of symbolic links"),
        ("folder -k box", 3, "folder is a directory; add --recursive"),
        ("folder -k box --recursive", 3, "folder holds no pictures"),
        ("no*.png -k box", 3, "no file matches no*.png"),
        ("good.png clear.png -k box -o both.png", 3, "2 inputs need a directory for -o"),
        ("good.png out.png -k box", 2, "If the result belongs there: -o out.png"),
        ("good.png clear.png -k box -o {stam}.png", 2, "there are {stem}, {kernel}, {ext}"),
        ("good.png -k box --in-place", 2, "add --force"),
        ("good.png -k box --in-place --force -o x.png", 2, "leave out -o"),
        ("good.png -k box --memory-limit 5kB", 3, "Allow more with --memory-limit 1MB"),
        ("good.png -k box --skip-existing --force", 2, "--skip-existing keeps what --force"),
        ("good.png folder/../good.png cut.png -k box -o -", 2, "do not fit into one stdout"),
        ("good.png -k box --explain 1", 2, "Write ROW,COL"),
        ("good.png -k box --explain 40,0", 2, "outside the output of 40 x 50"),
        ("good.png -k box --range raw -o x.png", 3, "PNG files cannot hold this floating-point"),
        ("good.png -k box --stride 0", 2, "--stride"),
        ("good.png -k sobel --normalize", 2, "--normalize is for one"),
        ("good.png -k box --gradient both", 2, "needs a gradient as the last kernel, such as sob"),
        ("good.png -k box --magnitude l1", 2, "joins the two components of a gradient"),
        (
            "good.png -k box --explain 1,1 -o x.png",
            2,
            "--explain shows one input and writes no result: leave out -o",
        ),
        ("good.png two.npy -k box", 2, "matrices are printed and pictures written"),
        ("good.png clear.png -k box -o words.png", 3, "words.png is none. Name another: -o words"),
        ("good.png -k box -o - --show", 2, "--show draws on stdout, where the result goes"),
    ],
)
def test_bad_input(
    here: Path, words: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.lstat().st_mtime_ns for path in here.rglob("*")}
    assert run(["filter", *words.split()]) == code
    got = capsys.readouterr()
    assert said in got.err
    assert got.out == ""
    assert {path.name: path.lstat().st_mtime_ns for path in here.rglob("*")} == before


def test_two_results_with_one_name_are_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = here / "folder" / "good.png"
    other.write_bytes((here / "good.png").read_bytes())
    out = here / "out"
    out.mkdir()
    assert run(["filter", "good.png", str(other), "-k", "box", "-o", "out"]) == 2
    assert "would both become" in capsys.readouterr().err
    assert not list(out.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "folder").chmod(0o500)
    assert run(["filter", "good.png", "-k", "box", "-o", "folder/x.png"]) == 3
    assert "not writable" in capsys.readouterr().err


def test_a_closed_stdout_is_no_error(here: Path) -> None:
    command = [*PROGRAM, "ragged.csv", "-k", "box"]
    (here / "ragged.csv").write_text("1 2 3\n" * 20000)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), said) == (0, b"")


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_partial(here: Path) -> None:
    out = here / "out"
    out.mkdir()
    big = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3)).astype(np.uint8)
    Image.fromarray(big).save(here / "big0.png", compress_level=1)
    for index in range(1, 12):
        (here / f"big{index}.png").symlink_to("big0.png")
    words = ["big*.png", "-k", "motion:length=31,angle=30", "-o", "out", "--compress"]
    process = subprocess.Popen([*PROGRAM, *words], stderr=subprocess.PIPE, env=ENVIRONMENT)
    deadline = time.monotonic() + 20
    while not list(out.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted." in said
    left = list(out.iterdir())
    assert len(left) < 12
    for path in left:
        assert path.name.startswith("big")
        with Image.open(path) as image:
            image.load()
