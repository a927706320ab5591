"""Many pictures at once: named by a pattern, gone on with, replaced, and never filtered twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run

RNG = np.random.default_rng(4)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "b.png", "deep/c.png"):
        Image.fromarray(RNG.integers(0, 256, (12, 9, 3)).astype(np.uint8)).save(folder / name)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_filtered_twice_leaves_its_own_results_out(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["filter", str(album), "--recursive", "--format", "json"]
    assert run([*words, "-k", "sobel"]) == 0
    assert run([*words, "-k", "gaussian:sigma=2", "-k", "box"]) == 0
    made = names(album)
    assert len(made) == 9
    capsys.readouterr()
    assert run([*words, "-k", "sobel", "--skip-existing"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == []
    assert "Results of earlier runs left out: 6." in said.err
    assert "Results that exist already, skipped: 3." in said.err
    assert names(album) == made
    pattern = str(album / "*.png")
    assert run(["pool", pattern, "--max", "2", "--quiet"]) == 0
    assert run(["pool", pattern, "--max", "2", "--force", "--skip-existing"]) == 2
    assert run(["pool", pattern, "--max", "2", "--quiet", "--skip-existing"]) == 0
    assert set(names(album)) - set(made) == {"a_maxpool2.png", "b_maxpool2.png"}


def test_results_that_a_shell_names_beside_their_pictures_are_left_out(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["filter", *map(str, sorted(album.glob("*.png"))), "-k", "sobel", "--quiet"]) == 0
    capsys.readouterr()
    named = list(map(str, sorted(album.glob("*.png"))))
    assert len(named) == 4
    assert run(["filter", *named, "-k", "box"]) == 0
    assert "Results of earlier runs left out: 2." in capsys.readouterr().err
    assert "a_sobel_box-3.png" not in names(album)
    assert run(["filter", str(album / "a_sobel.png"), "-k", "box", "--quiet"]) == 0
    assert "a_sobel_box-3.png" in names(album)


def test_skip_existing_goes_on_where_a_run_ended(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = album.parent / "out"
    words = ["filter", str(album), "--recursive", "-k", "box", "-o", f"{out}/"]
    assert run(words) == 0
    (out / "b_box-3.png").unlink()
    capsys.readouterr()
    assert run(words) == 4
    assert run([*words, "--skip-existing", "--format", "json"]) == 0
    (got,) = json.loads(capsys.readouterr().out)
    assert got["output"] == str(out / "b_box-3.png")


def test_results_are_named_by_a_pattern_and_folders_are_made(album: Path) -> None:
    place = str(album.parent / "new" / "{kernel}" / "{stem}-{kernel}.jpg")
    words = ["filter", str(album), "--recursive", "-k", "gaussian:sigma=2", "--quiet"]
    assert run([*words, "-o", place, "--quality", "80"]) == 0
    made = names(album.parent / "new")
    assert made == [f"gaussian-sigma2/{stem}-gaussian-sigma2.jpg" for stem in "abc"]
    beside = str(album.parent / "{folder}" / "made" / "{stem}.{ext}")
    assert run([*words, "-o", beside.replace(f"{album.parent}/", "")]) == 0
    assert (album / "deep" / "made" / "c.png").is_file()


def test_quality_makes_smaller_files(album: Path) -> None:
    sizes = []
    for quality in ("30", "90"):
        out = album.parent / f"{quality}.jpg"
        words = ["--quality", quality, "-o", str(out), "--quiet"]
        assert run(["pool", str(album / "a.png"), "--avg", "1", *words]) == 0
        sizes.append(out.stat().st_size)
    assert sizes[0] < sizes[1]


def test_in_place_replaces_the_inputs_when_forced(album: Path) -> None:
    ref = np.asarray(Image.open(album / "a.png"))
    before = names(album)
    assert run(["filter", str(album / "a.png"), "-k", "1 0 0", "--in-place"]) == 2
    assert run(["filter", str(album / "a.png"), "-k", "box", "--in-place", "--force"]) == 0
    assert names(album) == before
    assert not np.array_equal(ref, np.asarray(Image.open(album / "a.png")))
    assert run(["pool", str(album / "a.png"), "--max", "3", "--in-place", "--force"]) == 0
    assert np.asarray(Image.open(album / "a.png")).shape == (4, 3, 3)


def test_the_same_note_is_said_once_for_all_files(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        Image.new("CMYK", (5, 4), (0, 90, 255, 0)).save(album / f"ink{number}.tif")
    words = ["filter", *map(str, sorted(album.glob("*.*"))), "-k", "sharpen", "-o", f"{album}/x/"]
    assert run(words) == 0
    plain = capsys.readouterr().out
    assert plain.count("CMYK") == 1
    assert "3 of 5 files: CMYK converted" in plain
    assert plain.count("saturated") == 1


def test_notes_are_in_json_and_csv(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("CMYK", (5, 4), (0, 90, 255, 0)).save(album / "ink.tif")
    words = ["filter", str(album / "a.png"), str(album / "ink.tif"), "-k", "sharpen", "--force"]
    assert run([*words, "--format", "json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert "saturated" in first["notes"][0]
    assert any("CMYK converted" in note for note in second["notes"])
    assert run([*words, "--format", "csv"]) == 0
    header, _, ink = capsys.readouterr().out.splitlines()
    assert header.endswith(",notes")
    assert "CMYK converted" in ink


def test_a_chain_strides_once(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = ["-k", "box", "-k", "gaussian", "-k", "sharpen"]
    source, out = str(album / "a.png"), album.parent
    assert run(["filter", source, *chain, "-o", str(out / "full.png"), "--quiet"]) == 0
    capsys.readouterr()
    words = ["--stride", "2", "-o", str(out / "half.png"), "--format", "json"]
    assert run(["filter", source, *chain, *words]) == 0
    assert json.loads(capsys.readouterr().out)[0]["shape"] == [6, 5, 3]
    full, half = (np.asarray(Image.open(out / name)) for name in ("full.png", "half.png"))
    assert np.array_equal(full[::2, ::2], half)
    assert run(["filter", source, *chain, "--stride", "2", "--explain", "5,4"]) == 0


@pytest.mark.skipif(os.name != "posix", reason="a process is killed by its signal")
def test_what_a_killed_run_left_behind_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from convcli.files import new_file\n"
        "with new_file(Path('out.png')) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    Image.new("L", (9, 9)).save(tmp_path / "in.png")
    words = ["-k", "box", "-o", str(tmp_path / "out.png"), "--quiet"]
    assert run(["filter", str(tmp_path / "in.png"), *words]) == 0
    assert names(tmp_path) == ["in.png", "out.png"]
