"""`evaluate --perturb`: accuracy over the size of a change, several models in one figure."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli import load, load_dataset
from convcli.cli.main import run
from convcli.learn.robustness import CHANGES, read_changes
from tests.cli.learning import NETWORK, write_quadrants

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("perturb")
    data = write_quadrants(folder)
    for name, network in (("cnn", NETWORK), ("mlp", "input 8x8x1, flatten, dense 4 softmax")):
        words = ["train", network, "--data", str(data), "--epochs", "4", "--quiet"]
        assert run([*words, "-o", str(folder / name)]) == 0
    return folder


def test_accuracy_falls_with_the_size_of_a_change(place: Path, capfd: Capture) -> None:
    figure = place / "robust.svg"
    words = ["evaluate", str(place / "cnn"), str(place / "mlp"), "-o", str(figure)]
    changes = "noise=0..2:3,shift=0..4,drop-channel"
    capfd.readouterr()
    assert run([*words, "--perturb", changes, "--format", "json", "--quiet"]) == 0
    found = json.loads(capfd.readouterr().out)
    own = [one for one in found if one["model"] == str(place / "cnn")]
    by_change = {
        change: [one["accuracy"] for one in own if one["change"] == change]
        for change in ("noise", "shift", "drop-channel")
    }
    assert [len(shares) for shares in by_change.values()] == [3, 5, 2]
    ref = load(place / "cnn").evaluate(load_dataset(place / "quadrants.npz")).accuracy
    assert {shares[0] for shares in by_change.values()} == {ref}
    assert all(shares[-1] < shares[0] for shares in by_change.values())
    assert by_change["drop-channel"][1] == pytest.approx(0.25)  # nothing is left to see
    drawn = figure.read_text(encoding="utf-8")
    assert drawn.count("mlp") >= 3
    assert "Accuracy under drop-channel" in drawn
    models = {name: place / name for name in ("cnn", "mlp")}
    drawn_here = convcli.show_robustness(models, str(place / "quadrants.npz"), changes=changes)
    told = [one | {"model": Path(one["model"]).name} for one in found]
    assert drawn_here.report.document == told
    assert len(drawn_here.charts) == 3
    assert run([*words, "--perturb", "noise"]) == 4
    assert run([*words[:-2], "--perturb", "shift=0..2"]) == 0
    assert "cells along every axis" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("nose=0..1", "Did you mean noise?"),
        ("noise=1..0", "the range goes upward"),
        ("noise=a..b", "write a range of numbers"),
        ("shift=0..0.5", "write a range of whole numbers"),
        ("drop-channel=0..3", "samples have 1 channels"),
    ],
)
def test_changes_that_are_none(changes: str, said: str, place: Path, capfd: Capture) -> None:
    assert run(["evaluate", str(place / "cnn"), "--perturb", changes]) == 2
    assert said in capfd.readouterr().err


def test_several_models_and_a_figure_belong_to_perturb(place: Path, capfd: Capture) -> None:
    assert run(["evaluate", str(place / "cnn"), str(place / "mlp")]) == 2
    assert "compared by --perturb" in capfd.readouterr().err
    assert run(["evaluate", str(place / "cnn"), "-o", "a.png"]) == 2
    assert "--perturb" in capfd.readouterr().err


def test_a_change_does_what_it_says() -> None:
    random = np.random.default_rng(0)
    series = np.arange(40, dtype=np.float32).reshape(2, 10, 2)
    moved = CHANGES["shift"](series, 3, random)
    for before, after in zip(series, moved, strict=True):
        assert np.array_equal(after[3:], before[:-3]) or np.array_equal(after[:-3], before[3:])
    lost = CHANGES["drop-channel"](series, 1, random)
    assert ((lost != series).any(axis=1).sum(axis=1) == 1).all()
    pixels = np.full((50, 8, 8, 1), 128, np.uint8)
    pixels[0] = 0
    pixels[1] = 255
    noisy = CHANGES["noise"](pixels, 0.1, random)
    assert noisy.dtype == np.uint8
    assert 20 < np.std(noisy[2:]) < 30  # a tenth of 255
    assert read_changes("noise", (8, 8, 1))[0].sizes == (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
