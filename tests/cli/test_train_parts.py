"""Training in parts: steps that make an epoch, phases of layers, a temperature at the end."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.learn import metrics
from convcli.learn.modelfile import load, read_tensors
from tests.cli.learning import NETWORK, write_quadrants

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quadrants(tmp_path_factory.mktemp("data"))


def train(data: Path, out: Path, *words: str) -> int:
    return run(["train", NETWORK, "--data", str(data), "-o", str(out), "--quiet", *words])


def history(run_: Path) -> list[dict[str, str]]:
    with (run_ / "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_epochs_of_a_few_steps_go_on_in_one_pass(data: Path, tmp_path: Path) -> None:
    """144 samples are nine batches of 16: three epochs of three steps are one pass."""
    rest = ("--batch", "16", "--schedule", "constant")
    assert train(data, tmp_path / "whole", "--epochs", "1", *rest) == 0
    assert train(data, tmp_path / "few", "--epochs", "3", "--steps-per-epoch", "3", *rest) == 0
    assert [row["samples"] for row in history(tmp_path / "few")] == ["48"] * 3
    np.testing.assert_array_equal(_last(tmp_path / "whole"), _last(tmp_path / "few"))


def _last(place: Path) -> np.ndarray:
    return read_tensors(place / "last.safetensors")[1]["weights"]


def test_steps_of_several_passes_are_resumed_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    rest = ("--batch", "16", "--steps-per-epoch", "13", "--schedule", "constant")
    assert train(data, tmp_path / "whole", "--epochs", "2", *rest) == 0
    assert train(data, tmp_path / "parted", "--epochs", "1", *rest) == 0
    assert run(["train", "--resume", str(tmp_path / "parted"), "--epochs", "2", "--quiet"]) == 0
    np.testing.assert_array_equal(_last(tmp_path / "whole"), _last(tmp_path / "parted"))


def test_phases_train_the_head_first_and_then_all(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "first", "--epochs", "1") == 0
    begin = load(tmp_path / "first").model.parameters
    words = ["--init", str(tmp_path / "first"), "--schedule", "constant", "--lr", "0.01"]
    assert train(data, tmp_path / "head", *words, "--phases", "head:2") == 0
    head = load(tmp_path / "head").model.parameters
    np.testing.assert_array_equal(begin["conv1.kernel"], head["conv1.kernel"])
    assert (begin["dense1.kernel"] != head["dense1.kernel"]).any()
    assert train(data, tmp_path / "both", *words, "--phases", "head:2, all:3@0.1") == 0
    rows = history(tmp_path / "both")
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.01] * 2 + [0.001] * 3)
    assert (load(tmp_path / "both").model.parameters["conv1.kernel"] != begin["conv1.kernel"]).any()
    parted = str(tmp_path / "parted")
    assert train(data, Path(parted), *words, "--phases", "head:2, all:1@0.1") == 0
    assert run(["train", "--resume", parted, "--epochs", "5", "--quiet"]) == 0
    np.testing.assert_array_equal(_last(tmp_path / "both"), _last(Path(parted)))


def test_a_phase_is_the_training_that_freezes_by_hand(data: Path, tmp_path: Path) -> None:
    rest = ("--schedule", "one-cycle", "--batch", "32")
    assert train(data, tmp_path / "frozen", "--freeze", "conv1", "--epochs", "2", *rest) == 0
    assert train(data, tmp_path / "phase", "--phases", "dense*:2", *rest) == 0
    np.testing.assert_array_equal(_last(tmp_path / "frozen"), _last(tmp_path / "phase"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--phases", "head"], "write LAYERS:EPOCHS"),
        (["--phases", "convo*:2"], "that is no layer with weights; there are conv1, dense1"),
        (["--phases", "head:3", "--epochs", "2"], "more than --epochs 2; leave --epochs out"),
        (["--steps-per-epoch", "0"], "--steps-per-epoch 0: use at least 1"),
        (["--calibrate", "--val", "0"], "--calibrate needs validation samples"),
    ],
)
def test_a_mistake_is_told(
    data: Path, tmp_path: Path, capfd: Captured, words: list[str], sentence: str
) -> None:
    assert train(data, tmp_path / "run", *words) == 2
    assert sentence in " ".join(capfd.readouterr().err.split())


def test_the_temperature_is_that_of_the_likeliest_answers(data: Path, tmp_path: Path) -> None:
    rest = ["--val", "0.3", "--epochs", "6", "--lr", "0.02"]
    assert train(data, tmp_path / "raw", *rest) == 0
    assert train(data, tmp_path / "warm", *rest, "--calibrate") == 0
    raw, warm = load(tmp_path / "raw"), load(tmp_path / "warm")
    degrees = warm.metrics["temperature"]
    np.testing.assert_allclose(
        raw.model.parameters["dense1.kernel"] / degrees,
        warm.model.parameters["dense1.kernel"],
        rtol=1e-6,
    )
    x = np.load(data)["x_test"]
    np.testing.assert_array_equal(raw.predict(x).argmax(1), warm.predict(x).argmax(1))


def test_temperature_is_scipys_minimum() -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="another search for the minimum")
    random = np.random.default_rng(0)
    logits = 5 * random.normal(size=(200, 4)).astype(np.float32)
    labels = np.where(random.random(200) < 0.7, logits.argmax(1), random.integers(0, 4, 200))

    def loss(degrees: float) -> float:
        z = logits.astype(np.float64) / degrees
        return float((np.log(np.exp(z).sum(1)) - z[np.arange(200), labels]).mean())

    found = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded",
                                     options={"xatol": 1e-8})  # fmt: skip
    assert metrics.temperature(logits, labels) == pytest.approx(found.x, rel=1e-4)
    sigmoid = metrics.temperature(logits[:, 1] - logits[:, 0], labels % 2)
    assert sigmoid == pytest.approx(metrics.temperature(logits[:, :2], labels % 2), rel=1e-5)


def test_top_three_is_scikit_learns(data: Path, tmp_path: Path, capfd: Captured) -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="the oracle of top-k")
    shares = np.random.default_rng(1).dirichlet(np.ones(6), 50).astype(np.float32)
    labels = np.arange(50) % 6
    for count in (1, 3):
        ref = sklearn.top_k_accuracy_score(labels, shares, k=count)
        assert metrics.top_accuracy(shares, labels, count) == pytest.approx(ref)
    assert train(data, tmp_path / "run", "--epochs", "2", "--monitor", "top3") == 0
    assert "val_top3" in history(tmp_path / "run")[0]
    capfd.readouterr()
    assert run(["evaluate", str(tmp_path / "run"), "--format", "json", "--quiet"]) == 0
    assert 0.75 <= json.loads(capfd.readouterr().out)["figures"]["top3"] <= 1


def test_masks_and_labels_are_calibrated_too() -> None:
    """Half sure and always right is off by a half, whatever is told."""
    mask = np.zeros((2, 3, 3), np.uint8)
    mask[0, 0, 0] = 255
    told = metrics.as_classes("mask", np.full((2, 3, 3, 2), 0.5, np.float32), mask)
    assert told is not None
    assert len(told[1]) == 17
    assert metrics.calibration(*told)[0] == pytest.approx(0.5)
    told = metrics.as_classes("labels", np.array([[0.75, 0.25]], np.float32), np.array([[1, 0]]))
    assert told is not None
    assert metrics.calibration(*told)[0] == pytest.approx(0.25)
    assert metrics.as_classes("values", np.zeros((1, 1)), np.zeros((1, 1))) is None
