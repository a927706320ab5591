"""The figures of each task against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.learn.metrics import measure

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn measures the same")


def drawn(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities with ties among them and labels that they often meet."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    scores = rng.random((n, classes)) + 0.7 * np.eye(classes)[labels]
    scores = np.round(scores, 1) + 0.05
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("seed", range(5))
def test_classes(seed: int) -> None:
    shares, labels = drawn(seed, 200, 4)
    answers, truth = shares.argmax(axis=1), np.eye(4, dtype=int)[labels]
    got = measure("classes", shares, labels)
    assert got.pop("top3") >= got["accuracy"]  # scikit-learn has its own order of ties
    ref = {
        "accuracy": metrics.accuracy_score(labels, answers),
        "f1": metrics.f1_score(labels, answers, average="macro"),
        "weighted_f1": metrics.f1_score(labels, answers, average="weighted"),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, answers),
        "kappa": metrics.cohen_kappa_score(labels, answers),
        "auc": metrics.roc_auc_score(truth, shares, average="macro"),
        "average_precision": metrics.average_precision_score(truth, shares, average="macro"),
    }
    assert got == pytest.approx(ref, abs=1e-12)


def test_the_first_three_of_classes_without_ties() -> None:
    rng = np.random.default_rng(0)
    shares, labels = rng.random((300, 7)), rng.integers(0, 7, 300)
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    ref = metrics.top_k_accuracy_score(labels, shares, k=3)
    assert measure("classes", shares, labels)["top3"] == pytest.approx(ref, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_several_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random((150, 5)) < 0.3).astype(np.int64)
    outputs = np.round(0.6 * rng.random((150, 5)) + 0.35 * truth, 2).astype(np.float32)
    said = outputs > 0.5
    got = measure("labels", outputs, truth)
    ref = {
        "accuracy": (said == truth).mean(),
        "f1": metrics.f1_score(truth, said, average="macro"),
        "auc": metrics.roc_auc_score(truth, outputs, average="macro"),
        "average_precision": metrics.average_precision_score(truth, outputs, average="macro"),
    }
    assert got == pytest.approx(ref, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (4, 6, 5))
    labels[rng.random(labels.shape) < 0.1] = 255
    outputs = rng.random((4, 6, 5, 3)).astype(np.float32)
    known = labels != 255
    truth, answers = labels[known], outputs.argmax(axis=-1)[known]
    ref = {
        "accuracy": metrics.accuracy_score(truth, answers),
        "iou": metrics.jaccard_score(truth, answers, average="macro"),
        "dice": metrics.f1_score(truth, answers, average="macro"),
    }
    assert measure("mask", outputs, labels) == pytest.approx(ref, abs=1e-12)


@pytest.mark.parametrize("columns", [1, 3])
def test_values(columns: int) -> None:
    rng = np.random.default_rng(columns)
    truth = rng.normal(3.0, 2.0, (80, columns))
    outputs = (truth + rng.normal(0.0, 0.5, truth.shape)).astype(np.float32)
    got = measure("values", outputs, truth)
    ref = {
        "mae": metrics.mean_absolute_error(truth, outputs),
        "rmse": np.sqrt(metrics.mean_squared_error(truth, outputs)),
        "r2": metrics.r2_score(truth, outputs),
    }
    assert {name: got[name] for name in ref} == pytest.approx(ref, rel=1e-6)
