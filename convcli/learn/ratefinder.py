"""The range test for learning rates: raise the rate step by step and watch the loss.

Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from convcli.learn.fit import Diverged, Training
from convcli.learn.plan import batch_order

SMOOTHING = 0.9
"""Share that the running mean of the loss keeps at each step."""
BLOWN_UP = 4.0
"""The test ends when the loss is so many times the smallest."""
SAFETY = 10.0
"""The suggestion is the rate of the smallest loss divided by this."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One step of the test: the rate, and the running mean of the loss after it."""

    rate: float
    loss: float


def try_rates(
    training: Training, *, lowest: float = 1e-6, highest: float = 1.0, steps: int = 100
) -> Iterator[RatePoint]:
    """Take up to `steps` steps at rates from `lowest` to `highest`, equal ratios apart.

    The weights of `training` are used up; it should not be gone on with. The test ends early when
    the loss has blown up.

    Args:
        training: one that has not begun.
        lowest: first rate.
        highest: last rate.
        steps: how many.
    """
    samples, batch = len(training.data.train), training.recipe.batch
    mean = smallest = math.inf
    order = batch_order(samples, training.seed, 0)
    per_epoch = math.ceil(samples / batch)
    for number in range(steps):
        place = number % per_epoch
        if number and not place:
            order = batch_order(samples, training.seed, number // per_epoch)
        rate = lowest * (highest / lowest) ** (number / max(1, steps - 1))
        before = training.progress.loss_sum, training.progress.seen
        try:
            training.step(order[place * batch : (place + 1) * batch], rate=rate)
        except Diverged:
            return
        now = training.progress
        loss = (now.loss_sum - before[0]) / (now.seen - before[1])
        mean = loss if math.isinf(mean) else SMOOTHING * mean + (1 - SMOOTHING) * loss
        smallest = min(smallest, mean)
        yield RatePoint(rate, mean)
        if mean > BLOWN_UP * smallest:
            return


def suggest_rate(points: list[RatePoint]) -> float | None:
    """Return a tenth of the rate at which the loss was smallest; None if it never fell.

    >>> suggest_rate([RatePoint(0.001, 2.0), RatePoint(0.01, 1.0), RatePoint(0.1, 3.0)])
    0.001
    """
    if len(points) < 2:
        return None
    best = min(points, key=lambda point: point.loss)
    return None if best is points[0] else best.rate / SAFETY
