"""What a classifier's answers are worth: confusion, precision, recall, calibration, mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from convcli.data.dataset import IGNORED, Dataset
from convcli.learn.trainer import Loss
from convcli.ops.rule import Array

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

SMALLEST = 1e-12
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


def as_classes(
    task: str, outputs: Array, labels: NDArray[Any]
) -> tuple[Probabilities, Labels] | None:
    """Return probabilities (N, classes) and true classes, of cells and of labels too; else None."""
    if task == "labels":
        told = outputs.ravel()
        return np.stack([1 - told, told], axis=1), labels.ravel().astype(np.int64)
    if task == "mask":
        labels = centered(labels, outputs.shape[1:-1])
        known = labels != IGNORED
        return outputs[known], labels[known].astype(np.int64)
    return (outputs, labels) if task == "classes" else None


def centered(masks: NDArray[Any], cells: tuple[int, ...]) -> NDArray[Any]:
    """Return the middle of masks, (N, *cells); what a network without padding tells.

    >>> centered(np.arange(25).reshape(1, 5, 5), (1, 3)).tolist()
    [[[11, 12, 13]]]
    """
    at = [(whole - part) // 2 for whole, part in zip(masks.shape[1:], cells, strict=True)]
    inside = tuple(slice(first, first + part) for first, part in zip(at, cells, strict=True))
    return masks[(slice(None), *inside)]


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


def measure(task: str, outputs: Array, labels: NDArray[Any]) -> dict[str, float]:
    """Return the figures of a task but for its loss.

    Args:
        task: one of `convcli.data.dataset.TASKS`.
        outputs: probabilities (N, classes), (N, labels) or (N, H, W, classes), or values.
        labels: of a data set's split, of the same extents.

    >>> told = measure("values", np.array([[1.0], [3.0]], np.float32), np.array([[1.0], [2.0]]))
    >>> told["mae"], round(told["rmse"], 4), told["r2"]
    (0.5, 0.7071, -1.0)
    """
    if task == "values":
        return _of_values(outputs.astype(np.float64), labels.astype(np.float64))
    if task == "labels":
        said = outputs > 1 / 2
        right, either = (said & (labels > 0)).sum(axis=0), said.sum(axis=0) + labels.sum(axis=0)
        known = either > 0
        return {
            "accuracy": float((said == (labels > 0)).mean()),
            "f1": float((2 * right[known] / either[known]).mean()) if known.any() else 0.0,
            **_ranked(outputs, labels > 0),
        }
    classes = outputs.shape[-1]
    answers = outputs.argmax(axis=-1)
    if task == "mask":
        known = labels != IGNORED
        confusion = confusion_matrix(labels[known].astype(np.int64), answers[known], classes)
        both, either = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1)
        there = either > 0
        return {
            "accuracy": float(both.sum() / max(confusion.sum(), 1)),
            "iou": float((both[there] / (either - both)[there]).mean()),
            "dice": float((2 * both[there] / either[there]).mean()),
        }
    confusion = confusion_matrix(labels, answers, classes)
    truth, said_sums, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    there = truth + said_sums > 0
    f1 = 2 * right / np.maximum(truth + said_sums, 1)
    by_chance = float((truth * said_sums).sum()) / max(int(truth.sum()) ** 2, 1)
    accuracy = float((answers == labels).mean())
    return {
        "accuracy": accuracy,
        "top3": top_accuracy(outputs, labels, 3),
        "f1": float(f1[there].mean()),
        "weighted_f1": float((f1 * truth).sum() / truth.sum()),
        "balanced_accuracy": float((right[truth > 0] / truth[truth > 0]).mean()),
        "kappa": (accuracy - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0,
        **_ranked(outputs, np.eye(classes, dtype=bool)[labels]),
    }


def top_accuracy(probabilities: Probabilities, labels: Labels, count: int) -> float:
    """Return the share of samples whose class is among the `count` most probable ones.

    Of equally probable classes the first ones count, as in `predict`.

    >>> top_accuracy(np.array([[0.5, 0.3, 0.2]] * 2, np.float32), np.array([1, 2]), 2)
    0.5
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    return float((best == labels[:, np.newaxis]).any(axis=1).mean())


def temperature(logits: Array, labels: Labels) -> float:
    """Return what logits are to be divided by so that the labels are most likely.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2. A golden-section
    search between 0.05 and 20, over which the likelihood has one peak.

    Args:
        logits: (N, classes), or (N,) of the second of two classes.
        labels: (N,) from 0.

    >>> sure = np.array([[4.0, 0.0]] * 4, np.float32)
    >>> round(temperature(sure, np.array([0, 0, 0, 1])), 3)  # 3 of 4: log 3 = 4 / T
    3.641
    """
    z = logits.astype(np.float64)
    z = np.stack([np.zeros_like(z), z], axis=1) if z.ndim == 1 else z
    z -= z.max(axis=1, keepdims=True)
    right = z[np.arange(len(z)), labels]

    def loss(log_t: float) -> float:
        scale = math.exp(-log_t)
        return float((np.log(np.exp(scale * z).sum(axis=1)) - scale * right).mean())

    low, high, ratio = math.log(0.05), math.log(20), (math.sqrt(5) - 1) / 2
    while high - low > 1e-7:
        left, middle = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) <= loss(middle):
            high = middle
        else:
            low = left
    return math.exp((low + high) / 2)


def baseline(data: Dataset) -> float | None:
    """Return the accuracy of always telling the commonest training label, on samples held out.

    >>> from convcli.data import Split
    >>> part = Split(np.zeros((4, 1), np.float32), np.array([0, 1, 1, 1]))
    >>> baseline(Dataset("d", ("a", "b"), part, test=part))
    0.75
    """
    held, train = data.test or data.validation, data.train.labels
    if held is None or data.task == "values":
        return None
    if data.task == "labels":
        return float((held.labels == (train.mean(axis=0) > 1 / 2)).mean())
    if data.task == "mask":
        train, labels = train[train != IGNORED], held.labels[held.labels != IGNORED]
    else:
        labels = held.labels
    return float((labels == np.bincount(train).argmax()).mean())


def _of_values(outputs: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, float]:
    """Return errors in the values' own units, and the mean R2 over the numbers to be told."""
    error = (outputs - truth).reshape(-1, truth.shape[-1])
    spread = ((truth - truth.mean(axis=0)) ** 2).reshape(error.shape).sum(axis=0)
    r2 = 1 - (error**2).sum(axis=0)[spread > 0] / spread[spread > 0]
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": float(r2.mean()) if r2.size else 0.0,
    }


def _ranked(outputs: Array, truth: NDArray[np.bool_]) -> dict[str, float]:
    """Return ROC-AUC and average precision, each against the rest, meant over the classes.

    Classes that all or no samples have are left out; without any other both are 0.
    """
    areas, precisions = [], []
    for score, real in zip(outputs.T, truth.T, strict=True):
        hits = int(real.sum())
        if not 0 < hits < len(real):
            continue
        order = np.argsort(-score, kind="stable")
        ends = np.flatnonzero(np.diff(score[order], append=np.nan))  # of runs of equal scores
        found = np.cumsum(real[order])[ends]
        wrong = ends + 1 - found
        areas.append(np.trapezoid(np.r_[0, found], np.r_[0, wrong]) / (hits * (len(real) - hits)))
        precisions.append(float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / hits))
    return {
        "auc": float(np.mean(areas)) if areas else 0.0,
        "average_precision": float(np.mean(precisions)) if precisions else 0.0,
    }


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
        error = outputs - targets
        rules: dict[str, Callable[[], NDArray[Any]]] = {
            "mse": lambda: error**2,
            "mae": lambda: np.abs(error),
            "huber": lambda: np.where(
                np.abs(error) <= loss.figure,
                error**2 / 2,
                loss.figure * (np.abs(error) - loss.figure / 2),
            ),
            "soft cross-entropy": lambda: -(targets * np.log(np.maximum(y, SMALLEST))).sum(-1),
            "bce": lambda: -np.log(np.maximum(np.where(targets > 1 / 2, y, 1 - y), SMALLEST)),
        }
        return float(rules[loss.name]().mean(dtype=np.float64))
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
    surprise = -np.log(np.maximum(y, SMALLEST))
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


def softmax(outputs: Array) -> Array:
    """Return the shares of exp(outputs) along the last axis."""
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares
