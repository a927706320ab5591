"""What the trainings of a trial come to, the order of trials, and the rounds they are tried in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from convcli.sweep.space import Trial
from convcli.sweep.trial import Outcome


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation; None where there are too few figures."""

    mean: float | None
    deviation: float | None

    @classmethod
    def of(cls, figures: Sequence[float | None]) -> Spread:
        """Return the spread of the figures; a missing one makes the mean unknown.

        >>> Spread.of([1.0, 3.0]), Spread.of([1.0, None])
        (Spread(mean=2.0, deviation=1.4142135623730951), Spread(mean=None, deviation=None))
        """
        known = [figure for figure in figures if figure is not None and math.isfinite(figure)]
        if not known or len(known) < len(figures):
            return cls(None, None)
        deviation = statistics.stdev(known) if len(known) > 1 else None
        return cls(statistics.fmean(known), deviation)


@dataclass(frozen=True, slots=True)
class Summary:
    """One trial after its trainings with all seeds.

    Attributes:
        trial: what was tried.
        epochs: allowed at most.
        params: learnable numbers of the network.
        outcomes: one for each seed.
    """

    trial: Trial
    epochs: int
    params: int
    outcomes: tuple[Outcome, ...]

    def spread(self, figure: str) -> Spread:
        """Return mean and deviation of a field of `Outcome` over the seeds."""
        return Spread.of([getattr(outcome, figure) for outcome in self.outcomes])

    @property
    def seconds(self) -> float:
        """Mean time of one training."""
        return statistics.fmean(outcome.seconds for outcome in self.outcomes)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why trainings could not be finished."""
        return tuple(outcome.problem for outcome in self.outcomes if outcome.problem)


def ranked(summaries: Sequence[Summary]) -> list[Summary]:
    """Return the best first, those with a training that failed last.

    The highest mean validation accuracy is best, then the lowest loss, then the fewest parameters.
    """
    return sorted(summaries, key=_badness)


def _badness(summary: Summary) -> tuple[float, float, int, int]:
    accuracy, loss = summary.spread("val_accuracy").mean, summary.spread("val_loss").mean
    return (
        math.inf if accuracy is None else -accuracy,
        math.inf if loss is None else loss,
        summary.params,
        summary.trial.number,
    )


@dataclass(frozen=True, slots=True)
class Round:
    """Trials that may be trained at the same time.

    Attributes:
        trials: in order.
        epochs: of each, None for the recipe's or the trial's own.
    """

    trials: tuple[Trial, ...]
    epochs: int | None = None


Search = Generator[Round, Sequence[Summary], None]
