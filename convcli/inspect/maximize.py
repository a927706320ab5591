"""Inputs that excite a unit most: gradient ascent on the input, mildly regularized."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
Gradient = Callable[[Values], Values]
"""(N, *shape) samples to the gradients of each one's own score."""


@dataclass(frozen=True, slots=True)
class Ascent:
    """How the input climbs.

    After Yosinski et al. 2015 (Understanding Neural Networks Through Deep Visualization): decay
    and blur keep the picture plain. The shifts are the jitter of Mordvintsev, Olah and Tyka 2015
    (Inceptionism): a pattern must excite the unit wherever it lies to the cell.

    Attributes:
        steps: how many; rate, decay and blur fall evenly to 0.
        rate: root mean square change of the first step, as a share of the range.
        decay: share of the way back to the middle in the first step.
        blur: share of each cell that is spread over its neighbors in the first step.
        jitter: the input is shifted by up to this many cells while a gradient is taken.
        seed: of the first noise and of the shifts.
    """

    steps: int = 100
    rate: float = 0.1
    decay: float = 0.04
    blur: float = 0.3
    jitter: int = 1
    seed: int = 0


def maximize(
    gradient: Gradient,
    count: int,
    shape: tuple[int, ...],
    limits: tuple[Values | float, Values | float],
    ascent: Ascent = Ascent(),
    *,
    on_step: Callable[[], object] | None = None,
) -> Values:
    """Return `count` inputs, each of which excites its own unit.

    Args:
        gradient: of each sample's own score.
        count: units.
        shape: of one input, channels last.
        limits: smallest and largest input, a number or one per channel.
        ascent: how.
        on_step: called after each step.

    >>> bright = maximize(lambda x: np.ones_like(x), 1, (2, 2, 1), (0.0, 255.0))
    >>> bool((bright > 200).all())
    True
    """
    low, high = (np.broadcast_to(np.asarray(limit, np.float32), shape) for limit in limits)
    middle, span = (low + high) / 2, high - low
    random = np.random.default_rng(ascent.seed)
    noise = random.standard_normal((1, *shape)) * 0.02
    inputs: Values = np.repeat(middle + span * noise, count, axis=0).astype(np.float32)
    spatial = tuple(range(1, len(shape)))
    for step in range(ascent.steps):
        shift = [int(n) for n in random.integers(-ascent.jitter, ascent.jitter + 1, len(spatial))]
        shifted = np.ascontiguousarray(np.roll(inputs, shift, spatial))
        slope = np.roll(gradient(shifted), [-n for n in shift], spatial)
        left = 1 - step / ascent.steps
        inputs = inputs + ascent.rate * left * span * _unit(slope)
        inputs = middle + (1 - ascent.decay * left) * (inputs - middle)
        inputs = _blurred(inputs, ascent.blur * left, spatial)
        inputs = np.clip(inputs, low, high).astype(np.float32)
        if on_step:
            on_step()
    return inputs


def _unit(slopes: Values) -> Values:
    """Return each sample's slope with a root mean square of 1; a flat one stays flat."""
    axes = tuple(range(1, slopes.ndim))
    size = np.sqrt(np.mean(np.square(slopes, dtype=np.float64), axis=axes, keepdims=True))
    scaled: Values = np.divide(slopes, size, out=np.zeros_like(slopes), where=size > 0)
    return scaled


def _blurred(inputs: Values, share: float, axes: tuple[int, ...]) -> Values:
    """Return the inputs with `share` of each cell given to its two neighbors, axis by axis."""
    for axis in axes:
        if inputs.shape[axis] == 1:
            continue
        edge = [(0, 0)] * inputs.ndim
        edge[axis] = (1, 1)
        padded = np.pad(inputs, edge, mode="edge")
        size = inputs.shape[axis]
        before, after = (np.take(padded, range(k, k + size), axis) for k in (0, 2))
        inputs = (1 - share) * inputs + share / 2 * (before + after)
    return inputs
