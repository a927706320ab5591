"""`convcli predict --cluster`: what workers say is what is said here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from tests.cli.learning import NETWORK, write_quadrants
from tests.sweep.cluster import running_cluster


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and a folder of pictures, one of them broken."""
    folder = tmp_path_factory.mktemp("cluster")
    words = ["--data", str(write_quadrants(folder)), "--epochs", "1", "--quiet"]
    assert run(["train", NETWORK, *words, "-o", str(folder / "run")]) == 0
    (folder / "pictures").mkdir()
    random = np.random.default_rng(0)
    for number in range(5):
        pixels = random.integers(0, 255, (20, 30), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    (folder / "pictures" / "broken.png").write_bytes(b"nothing")
    return folder


def test_workers_say_the_same(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["predict", str(place / "run"), str(place / "pictures"), "--format", "json", "--quiet"]
    assert run(words) == 3
    here = capfd.readouterr()
    with running_cluster(1) as cluster:
        assert run([*words, "--cluster", cluster.address]) == 3
    there = capfd.readouterr()
    assert json.loads(there.out) == json.loads(here.out)
    assert there.err == here.err
    assert len(json.loads(there.out)) == 5


def test_a_cluster_that_cannot_be_is_told(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["predict", str(place / "run"), str(place / "pictures"), "--cluster", "nonsense:/x"]
    assert run(words) in {2, 3}
    assert capfd.readouterr().err.startswith("error: ")
    assert run([*words, "-o", "told.csv"]) == 2
