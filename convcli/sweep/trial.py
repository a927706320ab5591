"""One training of a sweep, what came of it, and what the trainings of a trial come to."""

from __future__ import annotations

import hashlib
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from convcli.data import Dataset
from convcli.learn.fit import Diverged, Training
from convcli.learn.model import Model, predict_split
from convcli.learn.recipes import Recipe
from convcli.net import parse_notation
from convcli.sweep.space import Trial


@dataclass(frozen=True, slots=True)
class Job:
    """All that decides one training besides the data.

    Attributes:
        trial: number of the trial.
        network: in the notation, so that another machine needs no file.
        recipe: all figures.
        seed: of weights, order, dropout and augmentation.
    """

    trial: int
    network: str
    recipe: Recipe
    seed: int

    @property
    def name(self) -> str:
        """What its file is called; no other job of the sweep has this name."""
        return f"trial{self.trial:04d}-seed{self.seed}-epochs{self.recipe.epochs}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one training; all figures are those of its best epoch's weights.

    Attributes:
        train_loss: mean over all training samples.
        train_accuracy: over all training samples.
        val_loss: mean over the validation samples.
        val_accuracy: over the validation samples.
        epochs: done.
        best_epoch: of the highest validation accuracy; 0 when none was finished.
        seconds: of training, without validation and compilation.
        weights: SHA-256 of the weights, the same for the same bits.
        problem: why the training could not be finished, None when it was.
    """

    train_loss: float | None
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    epochs: int
    best_epoch: int
    seconds: float
    weights: str
    problem: str | None = None


def train_job(job: Job, data: Dataset, threads: int) -> Outcome:
    """Train once; the same job on the same data gives the same weights, whatever the threads.

    A loss that is no longer a number is an outcome too: the trial's figures are None.

    Args:
        job: what to train.
        data: with a validation split.
        threads: processor threads.
    """
    network = parse_notation(job.network)
    training = Training(network, data, job.recipe, seed=job.seed, threads=threads)
    training.warm_up()
    began = time.perf_counter()
    try:
        for _ in training.events():
            pass
    except Diverged as problem:
        epochs = len(training.history)
        seconds = time.perf_counter() - began
        return Outcome(None, None, None, None, epochs, 0, seconds, "", str(problem))
    best = training.best_model()
    outputs = predict_split(best.model, best.preprocessing, data.train, threads)
    told = best.measure(outputs, data.train.labels)
    epoch = training.best_epoch
    return Outcome(
        train_loss=told["loss"],
        train_accuracy=told.get("accuracy"),
        val_loss=epoch.val_loss if epoch else None,
        val_accuracy=epoch.val_accuracy if epoch else None,
        epochs=len(training.history),
        best_epoch=epoch.number if epoch else 0,
        seconds=sum(epoch.seconds for epoch in training.history),
        weights=_digest(best.model),
    )


def _digest(model: Model) -> str:
    digest = hashlib.sha256(model.flat.tobytes())
    for buffer in model.buffers.values():
        digest.update(buffer.tobytes())
    return digest.hexdigest()


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
