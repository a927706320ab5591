"""Metrics against obvious loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convcli.learn.evaluation import class_figures
from convcli.learn.metrics import (
    calibration,
    confusion_matrix,
    loss_values,
    precision,
    recall,
    worst_mistakes,
)
from convcli.learn.trainer import Loss


def answers_of(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    scores = np.exp(random.normal(size=(n, classes)))
    probabilities = (scores / scores.sum(1, keepdims=True)).astype(np.float32)
    return probabilities, random.integers(0, classes, n)


cases = given(st.integers(0, 1000), st.integers(1, 60), st.integers(2, 6))


@cases
@settings(deadline=None, max_examples=30)
def test_confusion_precision_recall(seed: int, n: int, classes: int) -> None:
    probabilities, labels = answers_of(seed, n, classes)
    answers = [max(range(classes), key=lambda c: row[c]) for row in probabilities.tolist()]
    ref = [
        [
            sum(t == i and a == j for t, a in zip(labels, answers, strict=True))
            for j in range(classes)
        ]
        for i in range(classes)
    ]
    got = confusion_matrix(labels, probabilities.argmax(1), classes)
    assert got.tolist() == ref
    for c in range(classes):
        said = sum(a == c for a in answers)
        there = sum(t == c for t in labels)
        assert precision(got)[c] == (ref[c][c] / said if said else None)
        assert recall(got)[c] == (ref[c][c] / there if there else None)


@cases
@settings(deadline=None, max_examples=30)
def test_calibration(seed: int, n: int, classes: int) -> None:
    probabilities, labels = answers_of(seed, n, classes)
    ref = 0.0
    for low in range(10):
        inside = [
            (float(row.max()), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if low / 10 < row.max() <= (low + 1) / 10
        ]
        if inside:
            gap = np.mean([right for _, right in inside]) - np.mean([sure for sure, _ in inside])
            ref += len(inside) / n * abs(gap)
    got, diagram = calibration(probabilities, labels, bins=10)
    assert got == pytest.approx(ref, abs=1e-9)
    assert sum(part.n for part in diagram) == n


def test_cross_entropy_is_bounded_for_an_impossible_truth() -> None:
    got = loss_values(Loss(), np.array([[1, 0]], np.float32), np.array([1]))
    assert 20 < got < 40


@cases
@settings(deadline=None, max_examples=30)
def test_worst_mistakes_are_wrong_and_fall_in_sureness(seed: int, n: int, classes: int) -> None:
    probabilities, labels = answers_of(seed, n, classes)
    got = worst_mistakes(probabilities, labels, count=5)
    wrong = [i for i in range(n) if probabilities[i].argmax() != labels[i]]
    assert len(got) == min(5, len(wrong))
    assert all(mistake.index in wrong for mistake in got)
    sureness = [mistake.probability for mistake in got]
    assert sureness == sorted(sureness, reverse=True)
    if wrong:
        assert sureness[0] == max(float(probabilities[i].max()) for i in wrong)


def test_f1_is_that_of_scikit_learn_where_a_class_is_never_predicted() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="computes F1 again")
    labels, answers = [0, 0, 1, 1, 2, 2], [0, 1, 1, 1, 0, 3]
    ref = metrics.f1_score(labels, answers, average=None)
    confusion = confusion_matrix(np.array(labels), np.array(answers), 5)
    got = [one.f1 for one in class_figures(list("abcde"), confusion)]
    assert got[:4] == pytest.approx(ref)
    assert got[4] is None
