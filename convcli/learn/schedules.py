"""Learning-rate schedules: pure functions of where the training stands, nothing to remember."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from convcli.errors import UsageError
from convcli.option import read_choice


@dataclass(frozen=True, slots=True)
class Position:
    """Where a training stands before one of its steps.

    Attributes:
        step: optimizer steps taken so far, from 0.
        steps: optimizer steps of the whole training.
        steps_per_epoch: optimizer steps of one epoch.
        losses: validation loss of each finished epoch.
    """

    step: int
    steps: int
    steps_per_epoch: int
    losses: Sequence[float] = ()

    @property
    def epoch(self) -> int:
        """Whole epochs behind this step."""
        return self.step // self.steps_per_epoch

    @property
    def progress(self) -> float:
        """Share of the steps behind this one, 0 for the first and 1 for the last."""
        return self.step / max(1, self.steps - 1)


class Schedule(Protocol):
    """What the loop asks of a schedule."""

    def factor(self, at: Position) -> float:
        """Return the learning rate at a position as a share of the chosen one."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The chosen learning rate throughout."""

    def factor(self, at: Position) -> float:
        return 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """The rate falls by `factor` every `every` epochs.

    >>> [Step(every=2, by=0.5).factor(Position(step, 60, 10)) for step in (0, 19, 20, 40)]
    [1.0, 1.0, 0.5, 0.25]
    """

    every: int = 5
    by: float = 0.1

    def __post_init__(self) -> None:
        _check(self.every >= 1, "every must be at least 1 epoch")
        _check(0 < self.by <= 1, "by must lie above 0 and be at most 1")

    def factor(self, at: Position) -> float:
        falls = at.epoch // self.every
        return float(self.by**falls)


@dataclass(frozen=True, slots=True)
class Cosine:
    """Half a cosine from 1 to `floor`, after a linear warm-up over the share `warmup`.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5 with one period.

    >>> [round(Cosine().factor(Position(step, 5, 5)), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    warmup: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        _check(0 <= self.warmup < 1, "warmup is a share of the training, from 0 to below 1")
        _check(0 <= self.floor <= 1, "floor is a share of the rate, from 0 to 1")

    def factor(self, at: Position) -> float:
        """Return the rising line before the end of the warm-up, then the falling half cosine."""
        warm_steps = round(self.warmup * at.steps)
        if at.step < warm_steps:
            return (at.step + 1) / warm_steps
        progress = (at.step - warm_steps) / max(1, at.steps - 1 - warm_steps)
        return _half_cosine(1.0, self.floor, progress)


@dataclass(frozen=True, slots=True)
class OneCycle:
    """Up from `1/start` to the chosen rate over the share `warmup`, then down to `1/start/end`.

    Both ways follow half a cosine. Source: Smith and Topin 2018, Super-Convergence; defaults as in
    `torch.optim.lr_scheduler.OneCycleLR`.

    >>> [round(OneCycle(warmup=0.4).factor(Position(step, 5, 5)), 6) for step in range(5)]
    [0.04, 1.0, 0.750001, 0.250003, 4e-06]
    """

    warmup: float = 0.3
    start: float = 25.0
    end: float = 1e4

    def __post_init__(self) -> None:
        _check(0 < self.warmup < 1, "warmup is a share of the training, between 0 and 1")
        _check(self.start >= 1, "start divides the rate and is at least 1")
        _check(self.end >= 1, "end divides the first rate and is at least 1")

    def factor(self, at: Position) -> float:
        low = 1 / self.start
        top = self.warmup * at.steps - 1
        if at.step <= top:
            return _half_cosine(low, 1.0, at.step / top if top > 0 else 1.0)
        progress = (at.step - top) / max(1e-9, at.steps - 1 - top)
        return _half_cosine(1.0, low / self.end, min(1.0, progress))


@dataclass(frozen=True, slots=True)
class Plateau:
    """The rate falls by `by` whenever the validation loss has not improved for `patience` epochs.

    An improvement is a loss under `1 - threshold` times the best one so far, as in
    `torch.optim.lr_scheduler.ReduceLROnPlateau`.

    >>> Plateau(patience=1, by=0.5).factor(Position(40, 60, 10, losses=(1.0, 0.8, 0.9, 0.8)))
    0.5
    """

    patience: int = 2
    by: float = 0.1
    threshold: float = 1e-4

    def __post_init__(self) -> None:
        _check(self.patience >= 0, "patience is a number of epochs, from 0")
        _check(0 < self.by < 1, "by must lie between 0 and 1")
        _check(self.threshold >= 0, "threshold must not be negative")

    def factor(self, at: Position) -> float:
        """Return `by` to the power of the falls that the losses so far have caused."""
        best, waited, falls = math.inf, 0, 0
        for loss in at.losses:
            if loss < best * (1 - self.threshold):
                best, waited = loss, 0
            else:
                waited += 1
            if waited > self.patience:
                waited, falls = 0, falls + 1
        return float(self.by**falls)


@dataclass(frozen=True, slots=True)
class Exponential:
    """The rate is multiplied by `by` after every epoch.

    >>> [Exponential(by=0.5).factor(Position(step, 30, 10)) for step in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    by: float = 0.9

    def __post_init__(self) -> None:
        _check(0 < self.by <= 1, "by must lie above 0 and be at most 1")

    def factor(self, at: Position) -> float:
        return float(self.by**at.epoch)


@dataclass(frozen=True, slots=True)
class Polynomial:
    """The rate falls to nothing as a power of the share of the training that is left.

    >>> [Polynomial(power=2).factor(Position(step, 5, 5)) for step in (0, 2, 4)]
    [1.0, 0.25, 0.0]
    """

    power: float = 1.0

    def __post_init__(self) -> None:
        _check(self.power > 0, "power must be above 0")

    def factor(self, at: Position) -> float:
        return float((1 - at.progress) ** self.power)


@dataclass(frozen=True, slots=True)
class Restarts:
    """Half a cosine from 1 to `floor` again and again; each period is `longer` times the last.

    Source: Loshchilov and Hutter 2017, SGDR, section 3.

    >>> [round(Restarts(every=2).factor(Position(step, 60, 10)), 3) for step in (0, 10, 20, 35)]
    [1.0, 0.5, 1.0, 0.146]
    """

    every: int = 5
    longer: int = 1
    floor: float = 0.0

    def __post_init__(self) -> None:
        _check(self.every >= 1, "every must be at least 1 epoch")
        _check(self.longer >= 1, "longer must be at least 1")
        _check(0 <= self.floor <= 1, "floor is a share of the rate, from 0 to 1")

    def factor(self, at: Position) -> float:
        period, into = self.every, at.step / at.steps_per_epoch
        while into >= period:
            into, period = into - period, period * self.longer
        return _half_cosine(1.0, self.floor, into / period)


SCHEDULES: dict[str, type[Schedule]] = {
    "one-cycle": OneCycle,
    "constant": Constant,
    "step": Step,
    "cosine": Cosine,
    "plateau": Plateau,
    "exponential": Exponential,
    "polynomial": Polynomial,
    "restarts": Restarts,
}
"""The schedules by name."""


def read_schedule(text: str) -> Schedule:
    """Return the schedule that `text` names, such as `cosine:warmup=0.1`.

    Raises:
        UsageError: no such schedule or figure.

    >>> read_schedule("step:every=3")
    Step(every=3, by=0.1)
    """
    return read_choice(text, SCHEDULES, "schedule")


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def _check(holds: bool, demand: str) -> None:
    if not holds:
        raise UsageError(f"{demand}.")
