"""Losses with the gradient of their mean, added up in the shard: loss, what went right, how many.

`constants` are three: 1 / (sum of weights of the batch), label smoothing, and the loss's own figure
(focal's gamma, Huber's delta). SAMPLE_WEIGHT has a float32 for every label, or for every sample of
values; what weighs nothing is passed over. TARGET has int64 labels, or float32 values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from convcli.engine.calls import AT, Operands, Operation, each_sample, floats_at, words_at
from convcli.engine.elementary import logistic
from convcli.engine.llvm import advance
from convcli.ops.activation import softmax

ZERO, HALF, ONE, TWO = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(2.0)

LABELED = Operands("doutput output probabilities constants", "classes cells")
VALUED = Operands("doutput output constants", "outputs")


@njit(inline="always")
def _place(o):
    return o.bases[AT.first] + o.sample


def _softmax_entropy(name: str, factors: Callable[..., Any]) -> Operation:
    """Return the operation of softmax and cross-entropy in one, for every cell.

    With smoothing e the target is 1 - e for the label and e / classes for all (Szegedy et al.
    2016).

    Args:
        name: of the operation.
        factors: by what a cell's loss and its gradient are multiplied, of what its label got, its
            loss and the loss's own figure.
    """
    factors_of = njit(inline="always")(factors)

    def each_cell(o):
        sums, p = floats_at(o.bases[AT.shard]), o.probabilities
        share, smoothing = o.constants[0], o.constants[1]
        off = smoothing / np.float32(o.classes)
        for cell in range(o.cells):
            slope = advance(o.doutput, cell * o.classes)
            logits = advance(o.output, cell * o.classes)
            place = _place(o) * o.cells + cell
            label = words_at(o.bases[AT.target])[place]
            weight = floats_at(o.bases[AT.sample_weight])[place]
            if weight == ZERO:
                for i in range(o.classes):
                    slope[i] = ZERO
                continue
            softmax(p, logits, o.classes)
            largest, best, mean = logits[0], 0, ZERO
            for i in range(o.classes):
                mean += logits[i]
                if logits[i] > largest:
                    largest, best = logits[i], i
            total = 0.0
            for i in range(o.classes):
                total += np.exp(np.float64(logits[i] - largest))
            level = largest + np.float32(np.log(total))
            wanted = (ONE - smoothing) * logits[label] + smoothing * mean / np.float32(o.classes)
            counted, pull = factors_of(p[label], level - wanted, o.constants[2])
            sums[0] += weight * counted * (level - wanted)
            sums[1] += ONE if best == label else ZERO
            sums[2] += ONE
            for i in range(o.classes):
                slope[i] = weight * share * pull * (p[i] - off)
            slope[label] -= weight * share * pull * (ONE - smoothing)

    return each_sample(LABELED, name=name)(each_cell)


def _focal(p, loss, gamma):
    """(1 - p)^gamma: Lin et al. 2017, Focal Loss, equation 4, and what its slope is of p - 1."""
    missed = max(ONE - p, np.float32(1e-7))
    counted = missed**gamma
    return counted, counted + gamma * missed ** (gamma - ONE) * p * loss


@each_sample(LABELED)
def hinge(o):
    """Weston and Watkins 1999: the mean over classes of max(0, 1 - z of the label + z)."""
    sums, z = floats_at(o.bases[AT.shard]), o.output
    label = words_at(o.bases[AT.target])[_place(o)]
    weight = floats_at(o.bases[AT.sample_weight])[_place(o)] / np.float32(o.classes)
    loss, pulls, best = ZERO, ZERO, 0
    for i in range(o.classes):
        margin = ONE - z[label] + z[i]
        over = i != label and margin > ZERO
        loss += margin if over else ZERO
        pulls += ONE if over else ZERO
        o.doutput[i] = weight * o.constants[0] if over else ZERO
        if z[i] > z[best]:
            best = i
    o.doutput[label] = -weight * o.constants[0] * pulls
    sums[0] += weight * loss
    sums[1] += ONE if best == label else ZERO
    sums[2] += ONE


@each_sample(LABELED)
def dice(o):
    """One minus the overlap of softmax and labels, the mean over classes and samples.

    A class has (2 (sum of p over its cells) + 1) / (sum of p + count of its cells + 1), over the
    cells that weigh something (Milletari et al. 2016, V-Net; the sums of Sudre et al. 2017).
    `probabilities` holds those of all cells, then two sums for each class.
    """
    sums, p, classes = floats_at(o.bases[AT.shard]), o.probabilities, o.classes
    both, either = advance(p, o.cells * classes), advance(p, (o.cells + 1) * classes)
    labels = advance(words_at(o.bases[AT.target]), _place(o) * o.cells)
    weights = advance(floats_at(o.bases[AT.sample_weight]), _place(o) * o.cells)
    for i in range(classes):
        both[i], either[i] = HALF, ONE
    for cell in range(o.cells):
        here = advance(p, cell * classes)
        softmax(here, advance(o.output, cell * classes), classes)
        if weights[cell] == ZERO:
            continue
        best = 0
        for i in range(classes):
            either[i] += here[i]
            if here[i] > here[best]:
                best = i
        both[labels[cell]] += here[labels[cell]]
        either[labels[cell]] += ONE
        sums[1] += ONE if best == labels[cell] else ZERO
        sums[2] += ONE
    loss = ZERO
    for i in range(classes):
        loss += ONE - TWO * both[i] / either[i]
    sums[0] += loss / np.float32(classes)
    for cell in range(o.cells):
        here, slope = advance(p, cell * classes), advance(o.doutput, cell * classes)
        share = ZERO if weights[cell] == ZERO else o.constants[0] / np.float32(classes)
        mean = ZERO
        for i in range(classes):
            slope[i] = TWO * both[i] / (either[i] * either[i])
            if i == labels[cell]:
                slope[i] -= TWO / either[i]
            mean += slope[i] * here[i]
        for i in range(classes):
            slope[i] = share * here[i] * (slope[i] - mean)


@each_sample(VALUED, sums=True)
def squared_error(o):
    """Mean squared error: the mean over outputs and samples.

    The largest output is the answer, as it is to every reader of the model; a single one answers
    nothing.
    """
    sums, targets = floats_at(o.bases[AT.shard]), floats_at(o.bases[AT.target])
    place = _place(o)
    weight = floats_at(o.bases[AT.sample_weight])[place] / np.float32(o.outputs)
    loss = np.float32(0.0)
    answer, truth = 0, place * o.outputs
    for i in range(o.outputs):
        target = place * o.outputs + i
        error = o.output[i] - targets[target]
        loss += error * error
        o.doutput[i] = TWO * weight * o.constants[0] * error
        if o.output[i] > o.output[answer]:
            answer = i
        if targets[target] > targets[truth]:
            truth = target
    sums[0] += weight * loss
    if o.outputs > 1 and answer == truth - place * o.outputs:
        sums[1] += ONE


@each_sample(VALUED)
def soft_cross_entropy(o):
    """Softmax and cross-entropy against shares of classes, as mixed samples have them."""
    sums, z = floats_at(o.bases[AT.shard]), o.output
    targets = advance(floats_at(o.bases[AT.target]), _place(o) * o.outputs)
    weight = floats_at(o.bases[AT.sample_weight])[_place(o)]
    softmax(o.doutput, z, o.outputs)
    best, truth = 0, 0
    for i in range(o.outputs):
        best = i if z[i] > z[best] else best
        truth = i if targets[i] > targets[truth] else truth
    total, whole = 0.0, ZERO
    for i in range(o.outputs):
        total += np.exp(np.float64(z[i] - z[best]))
        whole += targets[i]
    level, loss = z[best] + np.float32(np.log(total)), ZERO
    for i in range(o.outputs):
        loss += targets[i] * (level - z[i])
        o.doutput[i] = weight * o.constants[0] * (whole * o.doutput[i] - targets[i])
    sums[0] += weight * loss
    sums[1] += ONE if best == truth else ZERO


def _by_value(name: str, loss: Callable[..., Any]) -> Operation:
    """Return the operation of a loss that is a mean over outputs.

    Args:
        name: of the operation.
        loss: its value and slope at an output, a target and the loss's own figure. An output
            above 0 is right where the target is above a half.
    """
    value_and_slope = njit(inline="always")(loss)

    def each_output(o):
        sums = floats_at(o.bases[AT.shard])
        targets = advance(floats_at(o.bases[AT.target]), _place(o) * o.outputs)
        weight = floats_at(o.bases[AT.sample_weight])[_place(o)] / np.float32(o.outputs)
        total, right = ZERO, ZERO
        for i in range(o.outputs):
            value, slope = value_and_slope(o.output[i], targets[i], o.constants[2])
            total += value
            right += ONE if (o.output[i] > ZERO) == (targets[i] > HALF) else ZERO
            o.doutput[i] = weight * o.constants[0] * slope
        sums[0] += weight * total
        sums[1] += right / np.float32(o.outputs)

    return each_sample(VALUED, name=name)(each_output)


def _absolute(y, target, delta):
    return abs(y - target), ONE if y > target else (-ONE if y < target else ZERO)


def _huber(y, target, delta):
    """Huber 1964: squared near the target, straight beyond delta."""
    error = y - target
    if abs(error) <= delta:
        return HALF * error * error, error
    return delta * (abs(error) - HALF * delta), delta if error > ZERO else -delta


def _binary(z, target, delta):
    """Cross-entropy of the logistic function of z, without overflow."""
    rest = np.float32(np.log1p(np.exp(-abs(np.float64(z)))))
    return max(z, ZERO) - z * target + rest, logistic(z) - target


class LossRule(NamedTuple):
    """A loss as the engine runs it.

    Attributes:
        operation: adds up loss and gradient.
        fused: the activation at the network's end that the operation does itself, for accuracy.
        labels: whether targets are int64, one for each cell, or float32, one for each output.
    """

    operation: Operation
    fused: str | None
    labels: bool


LOSSES = {
    "cross-entropy": LossRule(
        _softmax_entropy("cross_entropy", lambda p, loss, gamma: (ONE, ONE)), "softmax", labels=True
    ),
    "focal": LossRule(_softmax_entropy("focal", _focal), "softmax", labels=True),
    "soft cross-entropy": LossRule(soft_cross_entropy, "softmax", labels=False),
    "dice": LossRule(dice, "softmax", labels=True),
    "hinge": LossRule(hinge, None, labels=True),
    "bce": LossRule(_by_value("bce", _binary), "sigmoid", labels=False),
    "mse": LossRule(squared_error, None, labels=False),
    "mae": LossRule(_by_value("mae", _absolute), None, labels=False),
    "huber": LossRule(_by_value("huber", _huber), None, labels=False),
}
"""The losses by name."""
