"""The range test for learning rates: raise it step by step and watch the loss.

Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convcli.errors import UsageError
from convcli.option import option
from convcli.values import NotebookRepr

if TYPE_CHECKING:
    from convcli.learn.fit import Training

SMOOTHING = 0.9
"""Share that the running mean of the loss keeps at each step."""
BLOWN_UP = 4.0
"""The test ends when the loss is so many times the smallest."""
SAFETY = 10.0
"""The suggestion is the learning rate of the smallest loss divided by this."""


@dataclass(frozen=True, slots=True)
class LrPoint:
    """One step of the test: the learning rate, and the running mean of the loss after it."""

    lr: float
    loss: float


@dataclass(frozen=True, slots=True)
class LrTest(NotebookRepr):
    """The points of a range test, and the learning rate to use; None if the loss never fell."""

    points: tuple[LrPoint, ...]
    suggestion: float | None

    def __repr__(self) -> str:
        return f"LrTest({len(self.points)} points, suggestion={self.suggestion})"


@dataclass(frozen=True)
class LrRange:
    """Which learning rates are tried, equal ratios apart."""

    steps: int = option("Steps of the test.", default=100, min=10)
    lowest: float = option("First learning rate.", "--from", default=1e-6)
    highest: float = option("Last learning rate.", "--to", default=1.0)

    def __post_init__(self) -> None:
        if not 0 < self.lowest < self.highest < math.inf:
            raise UsageError(f"--from {self.lowest:g} --to {self.highest:g}: use 0 < from < to.")


def lr_find(training: Training, tried: LrRange | None = None) -> Iterator[LrPoint]:
    """Take steps at the learning rates tried; the test ends early when the loss has blown up.

    The weights of `training` are used up; it should not be gone on with.

    Args:
        training: one that has not begun.
        tried: the learning rates.

    Raises:
        UsageError: they are no range.
    """
    from convcli.learn.fit import Diverged

    tried = tried or LrRange()
    samples, batch = len(training.data.train), training.recipe.batch
    mean = smallest = math.inf
    order = training.order_of(0)
    per_epoch = math.ceil(samples / batch)
    for number in range(tried.steps):
        place = number % per_epoch
        if number and not place:
            order = training.order_of(number // per_epoch)
        lr = tried.lowest * (tried.highest / tried.lowest) ** (number / max(1, tried.steps - 1))
        before = training.progress.loss_sum, training.progress.seen
        try:
            training.step(order[place * batch : (place + 1) * batch], lr=lr)
        except Diverged:
            return
        now = training.progress
        loss = (now.loss_sum - before[0]) / (now.seen - before[1])
        mean = loss if math.isinf(mean) else SMOOTHING * mean + (1 - SMOOTHING) * loss
        smallest = min(smallest, mean)
        yield LrPoint(lr, mean)
        if mean > BLOWN_UP * smallest:
            return


def suggest_lr(points: Sequence[LrPoint]) -> float | None:
    """Return a tenth of the learning rate at which the loss was smallest; None if it never fell.

    >>> suggest_lr([LrPoint(0.001, 2.0), LrPoint(0.01, 1.0), LrPoint(0.1, 3.0)])
    0.001
    """
    if len(points) < 2:
        return None
    best = min(points, key=lambda point: point.loss)
    return None if best is points[0] else best.lr / SAFETY
