"""What a classifier's answers are worth: confusion, precision, recall, calibration, mistakes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from convcli.learn.trainer import IGNORED, Loss
from convcli.ops.rule import Array

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

_SMALLEST = 1e-12
"""Probabilities are not taken below this before the logarithm."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a calibration diagram: the samples whose top probability lies in it.

    Attributes:
        low: lower edge, not included.
        high: upper edge, included.
        n: samples in the bin.
        confidence: their mean top probability, None without samples.
        accuracy: share of them that is right, None without samples.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong answer.

    Attributes:
        index: of the sample in the data set.
        truth: its class.
        answer: the class given.
        probability: of the answer.
    """

    index: int
    truth: int
    answer: int
    probability: float


def confusion_matrix(labels: Labels, answers: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Return counts (classes, classes): rows are true classes, columns the answers.

    >>> import numpy as np
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.bincount(labels * classes + answers, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def precision(confusion: npt.NDArray[np.int64]) -> list[float | None]:
    """Return for each class the right share of its answers; None if it was never the answer.

    >>> import numpy as np
    >>> precision(np.array([[1, 1], [0, 2]]))
    [1.0, 0.6666666666666666]
    """
    return _shares(np.diag(confusion), confusion.sum(axis=0))


def recall(confusion: npt.NDArray[np.int64]) -> list[float | None]:
    """Return for each class the found share of its samples; None if it has none.

    >>> import numpy as np
    >>> recall(np.array([[1, 1], [0, 2]]))
    [0.5, 1.0]
    """
    return _shares(np.diag(confusion), confusion.sum(axis=1))


def mean_cross_entropy(probabilities: Probabilities, labels: Labels) -> float:
    """Return the mean of -ln p(truth), in nats, of (N, classes) probabilities.

    >>> import numpy as np
    >>> round(mean_cross_entropy(np.array([[0.5, 0.5]], np.float32), np.array([1])), 4)
    0.6931
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, _SMALLEST)).mean())


def scores(probabilities: Probabilities, labels: Labels, loss: str) -> tuple[float, float]:
    """Return mean loss and accuracy of (N, classes) probabilities.

    Args:
        probabilities: rows sum to 1.
        labels: (N,) true classes.
        loss: cross-entropy, or mse for the mean squared error.

    >>> import numpy as np
    >>> scores(np.array([[1.0, 0.0], [1.0, 0.0]], np.float32), np.array([0, 1]), "mse")
    (0.5, 0.5)
    """
    accuracy = float((probabilities.argmax(axis=1) == labels).mean())
    if loss != "mse":
        return mean_cross_entropy(probabilities, labels), accuracy
    truth = np.eye(probabilities.shape[1], dtype=np.float32)[labels]
    return float(((probabilities - truth) ** 2).mean(dtype=np.float64)), accuracy


def guessing_loss(classes: int, loss: str) -> float:
    """Return the mean loss of one who gives every class the same probability.

    >>> round(guessing_loss(10, "cross-entropy"), 3), guessing_loss(10, "mse")
    (2.303, 0.09)
    """
    return math.log(classes) if loss != "mse" else (1 - 1 / classes) / classes


def calibration(
    probabilities: Probabilities, labels: Labels, bins: int = 15
) -> tuple[float, list[Bin]]:
    """Return the expected calibration error and the bins of the reliability diagram.

    The error is the mean distance between confidence and accuracy of the bins, weighted by their
    samples. Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.

    Args:
        probabilities: (N, classes), rows sum to 1.
        labels: (N,) true classes.
        bins: equal parts of the interval from 0 to 1.

    >>> import numpy as np
    >>> sure = np.array([[0.9, 0.1], [0.1, 0.9]], np.float32)
    >>> error, _ = calibration(sure, np.array([0, 0]))
    >>> round(error, 3)
    0.4
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    diagram, error = [], 0.0
    for number in range(bins):
        inside = place == number
        n = int(inside.sum())
        mean_confidence = float(confidence[inside].mean()) if n else None
        accuracy = float(right[inside].mean()) if n else None
        if mean_confidence is not None and accuracy is not None:
            error += n / len(labels) * abs(accuracy - mean_confidence)
        diagram.append(Bin(number / bins, (number + 1) / bins, n, mean_confidence, accuracy))
    return error, diagram


def worst_mistakes(probabilities: Probabilities, labels: Labels, count: int = 10) -> list[Mistake]:
    """Return up to `count` wrong answers, the surest first; equal ones in the order of the data.

    >>> import numpy as np
    >>> told = np.array([[0.6, 0.4], [0.1, 0.9], [0.8, 0.2]], np.float32)
    >>> [mistake.index for mistake in worst_mistakes(told, np.array([1, 0, 0]))]
    [1, 0]
    """
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    sureness = probabilities[wrong, answers[wrong]]
    order = wrong[np.argsort(-sureness, kind="stable")][:count]
    return [
        Mistake(int(i), int(labels[i]), int(answers[i]), float(probabilities[i, answers[i]]))
        for i in order
    ]


def _shares(parts: npt.NDArray[np.int64], wholes: npt.NDArray[np.int64]) -> list[float | None]:
    return [
        float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)
    ]


def loss_values(loss: Loss, outputs: Array, targets: NDArray[Any]) -> float:
    """Return the mean loss of a network's outputs; what training minimizes, by NumPy's rules.

    Args:
        loss: which.
        outputs: (N, *outputs) as the network gives them: behind its softmax or sigmoid.
        targets: as `Trainer.gradients` takes them.

    >>> from convcli.learn.trainer import Loss
    >>> round(loss_values(Loss(), np.array([[0.5, 0.5]], np.float32), np.array([1])), 4)
    0.6931
    """
    y = outputs.astype(np.float64)
    if not loss.rule.labels:
        error = y - targets
        each = {
            "mse": lambda: error**2,
            "mae": lambda: np.abs(error),
            "huber": lambda: np.where(
                np.abs(error) <= loss.figure,
                error**2 / 2,
                loss.figure * (np.abs(error) - loss.figure / 2),
            ),
            "bce": lambda: -np.log(np.maximum(np.where(targets > 1 / 2, y, 1 - y), _SMALLEST)),
        }[loss.name]()
        return float(each.mean())
    known = targets != IGNORED if targets.ndim > 1 else np.ones(targets.shape, bool)
    if loss.name == "dice":
        return _dice_loss(y, targets, known)
    y, labels = y[known], targets[known].astype(np.int64)
    rows = np.arange(len(labels))
    if loss.name == "hinge":
        margins = np.maximum(0, 1 - y[rows, labels][:, np.newaxis] + y)
        margins[rows, labels] = 0
        return float(margins.mean())
    weights = np.ones(len(labels))
    if loss.class_weights is not None:
        weights = np.asarray(loss.class_weights)[labels]
    surprise = -np.log(np.maximum(y, _SMALLEST))
    of_truth = surprise[rows, labels]
    if loss.name == "focal":
        weights *= (1 - y[rows, labels]) ** loss.figure
        return float((weights * of_truth).sum() / max(len(labels), 1))
    smooth = (1 - loss.smoothing) * of_truth + loss.smoothing * surprise.mean(axis=-1)
    return float((weights * smooth).sum() / weights.sum())


def _dice_loss(y: Array, targets: NDArray[Any], known: NDArray[np.bool_]) -> float:
    """Return one minus the overlap, by sample and class, see `convcli.ops.losses.dice`."""
    classes, axes = y.shape[-1], tuple(range(1, y.ndim - 1))
    truth = np.eye(classes)[np.where(known, targets, 0)] * known[..., np.newaxis]
    both, either = (y * truth).sum(axis=axes), (y * known[..., np.newaxis] + truth).sum(axis=axes)
    return float((1 - (2 * both + 1) / (either + 1)).mean())
