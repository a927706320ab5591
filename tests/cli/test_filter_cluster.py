"""`convcli filter --cluster`: the files of a local run, whatever happens to a worker."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convcli.cli.console import standard_input
from convcli.cli.main import run
from tests.sweep.cluster import running_cluster


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 24 pictures, a matrix, and a file that is none."""
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(24):
        pixels = random.integers(0, 256, (300 + number, 200, 3), dtype=np.uint8)
        place = folder / ("deep" if number % 2 else ".") / f"p{number:02d}.png"
        Image.fromarray(pixels).save(place)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.mark.slow
def test_a_killed_worker_loses_no_picture_and_changes_no_byte(
    pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
    words = ["filter", str(pictures), "--recursive", "-k", "gaussian:sigma=2", "-k", "laplacian-4"]
    words += ["--format", "json"]
    assert run([*words, "-o", str(tmp_path / "near")]) == 3
    ref = json.loads(capfd.readouterr().out)
    with running_cluster() as cluster:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "convcli", *words, "-o", str(tmp_path / "far"),
                "--cluster", cluster.address,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while process.poll() is None and not list((tmp_path / "far").rglob("*.png")):
            time.sleep(0.005)
        cluster.workers[1].kill()
        said, errors = process.communicate(timeout=120)
    assert process.returncode == 3, errors
    assert f"{pictures / 'broken.png'}: " in errors
    assert "/tmp/convcli-" not in errors  # noqa: S108  (the worker's own place is no news)
    files = sorted(path.relative_to(tmp_path / "near") for path in (tmp_path / "near").rglob("*"))
    assert files == sorted(
        path.relative_to(tmp_path / "far") for path in (tmp_path / "far").rglob("*")
    )
    assert sum(path.suffix == ".png" for path in files) == 24
    for path in files:
        if path.suffix == ".png":
            ref_bytes = (tmp_path / "near" / path).read_bytes()
            assert ref_bytes == (tmp_path / "far" / path).read_bytes(), path
    got = json.loads(said)
    for one, other in zip(ref, got, strict=True):
        for key in ("input", "kernel", "shape", "dtype", "min", "max", "below", "above", "range"):
            assert one[key] == other[key], key


def test_what_is_printed_stays_here(
    pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    matrix = tmp_path / "m.csv"
    matrix.write_text("1,2\n3,4\n")
    far = ["-k", "sobel", "--cluster", "tcp://127.0.0.1:1"]
    assert run(["filter", str(matrix), *far]) == 2
    assert run(["filter", str(pictures / "p00.png"), "-o", "-", *far]) == 2
    assert run(["filter", str(pictures / "p00.png"), "--show", *far]) == 2
    assert capfd.readouterr().err.count("--cluster writes files") == 3


def test_stdin_goes_to_a_cluster_whole(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def map_here(address: str, work: Any, orders: Any) -> Any:
        return enumerate(map(work, orders))

    data = (pictures / "p00.png").read_bytes()
    standard_input.cache_clear()
    monkeypatch.setattr("convcli.sweep.cluster.map_on_cluster", map_here)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    words = ["-k", "sobel", "--cluster", "tcp://here", "-o", str(tmp_path / "far.png"), "--quiet"]
    assert run(["filter", "-", *words]) == 0
    standard_input.cache_clear()
    near = ["-k", "sobel", "-o", str(tmp_path / "near.png"), "--quiet"]
    assert run(["filter", str(pictures / "p00.png"), *near]) == 0
    far, here = (np.asarray(Image.open(tmp_path / name)) for name in ("far.png", "near.png"))
    assert np.array_equal(far, here)
