"""One small test that touches everything, in one process; it runs before all others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run
from tests.cli.learning import NETWORK, write_quadrants


def test_the_program_starts_and_knows_its_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capfd.readouterr().out == f"convcli {convcli.__version__}\n"


def test_a_picture_is_filtered_and_a_network_calculated_trained_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ramp = np.tile(np.arange(0, 80, 10, dtype=np.uint8), (8, 1))
    Image.fromarray(ramp).save("ramp.png")
    assert run(["filter", "ramp.png", "-k", "1 0 -1", "-o", "edges.png", "--quiet"]) == 0
    assert np.asarray(Image.open("edges.png"))[:, 1:-1].tolist() == [[20] * 6] * 8

    assert run(["shape", NETWORK, "--format", "json"]) == 0
    totals = json.loads(capfd.readouterr().out)["totals"]
    assert totals["params"] == 3 * 3 * 4 + 4 + 6 * 6 * 4 * 4 + 4

    data = write_quadrants(tmp_path, count=16)
    words = [NETWORK, "--data", str(data), "--epochs", "1", "--batch", "16", "--val", "0"]
    words += ["--optimizer", "sgd:momentum=0", "--lr", "0.01", "--schedule", "constant"]
    assert run(["train", *words, "--augment", "none", "--out", "run", "--format", "json"]) == 0
    trained = json.loads(capfd.readouterr().out)
    assert trained["params"] == totals["params"]
    assert 0 <= trained["test_accuracy"] <= 1

    assert run(["export", "run", "-o", "net.npz", "--quiet"]) == 0
    with np.load("net.npz") as arrays:
        weights = [array for array in arrays.values() if array.dtype == np.float32]
        assert sum(array.size for array in weights) == totals["params"]
    samples = np.load(data)["x_test"][:3]
    got = convcli.load("run/model.safetensors").predict(samples)
    assert got.shape == (3, 4)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-5)
