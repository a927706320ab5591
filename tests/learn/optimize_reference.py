"""Optimizer steps in plain NumPy, for any float type: the oracle of `convcli.engine.optimize`."""

from __future__ import annotations

from typing import Any

import numpy as np


def sgd(
    weights: Any,
    gradient: Any,
    velocity: Any,
    rate: float,
    momentum: float,
    nesterov: bool,
    decay: float,
    scale: float,
) -> None:
    """Step `weights` against `gradient`, perhaps with momentum.

    >>> weights, velocity = np.array([1.0]), np.array([2.0])
    >>> sgd(weights, np.array([4.0]), velocity, 0.1, 0.5, False, 0.0, 1.0)
    >>> velocity, weights  # 0.5 * 2 + 4, 1 - 0.1 * 5
    (array([5.]), array([0.5]))
    """
    slope = gradient * scale + decay * weights
    if momentum != 0:
        velocity[...] = momentum * velocity + slope
        slope = slope + momentum * velocity if nesterov else velocity
    weights -= rate * slope


def adam(
    weights: Any,
    gradient: Any,
    mean: Any,
    square: Any,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    step: int,
    decay: float,
    decoupled: bool,
    scale: float,
) -> None:
    """Step `weights` by the running mean of the gradient over its root mean square.

    >>> weights, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam(weights, np.array([4.0]), mean, square, 0.1, 0.9, 0.999, 1e-8, 1, 0.0, False, 1.0)
    >>> weights.round(6)  # the first step is the rate itself
    array([0.9])
    """
    if decoupled:
        weights *= 1 - rate * decay
    slope = gradient * scale + (0 if decoupled else decay * weights)
    mean[...] = beta1 * mean + (1 - beta1) * slope
    square[...] = beta2 * square + (1 - beta2) * slope**2
    corrected_mean = mean / (1 - float(beta1) ** step)
    corrected_square = square / (1 - float(beta2) ** step)
    weights -= rate * corrected_mean / (np.sqrt(corrected_square) + epsilon)


def rmsprop(
    weights: Any,
    gradient: Any,
    square: Any,
    velocity: Any,
    rate: float,
    alpha: float,
    epsilon: float,
    momentum: float,
    decay: float,
    scale: float,
) -> None:
    """Step `weights` by the gradient over its running root mean square, perhaps with momentum.

    >>> weights, square, velocity = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> rmsprop(weights, np.array([4.0]), square, velocity, 0.1, 0.75, 0.0, 0.0, 0.0, 1.0)
    >>> square, weights  # 0.25 * 16, 1 - 0.1 * 4 / 2
    (array([4.]), array([0.8]))
    """
    slope = gradient * scale + decay * weights
    square[...] = alpha * square + (1 - alpha) * slope**2
    move = slope / (np.sqrt(square) + epsilon)
    if momentum != 0:
        velocity[...] = momentum * velocity + move
        move = velocity
    weights -= rate * move


def ema_update(average: Any, weights: Any, keep: float) -> None:
    """Move the running average of the weights.

    >>> average = np.array([1.0])
    >>> ema_update(average, np.array([5.0]), 0.75)
    >>> average
    array([2.])
    """
    average[...] = keep * average + (1 - keep) * weights


def squared_norm(vector: Any) -> float:
    """Return the sum of squares in float64.

    >>> squared_norm(np.array([3.0, 4.0]))
    25.0
    """
    return float((vector.astype(np.float64) ** 2).sum())
