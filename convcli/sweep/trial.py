"""One training of a sweep, what came of it, and what the trainings of a trial come to."""

from __future__ import annotations

import hashlib
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from convcli.data import Dataset
from convcli.learn.fit import Diverged, Epoch, Training
from convcli.learn.model import Model, predict_split
from convcli.learn.recipes import METRICS, Recipe
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
        return job_name(self.trial, self.seed, self.recipe.epochs)


def job_name(trial: int, seed: int, epochs: int) -> str:
    """Return what the files of a training of a sweep are called."""
    return f"trial{trial:04d}-seed{seed}-epochs{epochs}"


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
        monitor: the figure that chose the epoch, one of `METRICS`.
        monitored: that figure of the validation samples.
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
    monitor: str = "accuracy"
    monitored: float | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """One training: what came of it, its epochs, and the file of the best one's model."""

    outcome: Outcome
    history: tuple[Epoch, ...] = ()
    model: bytes = b""


def train_job(job: Job, data: Dataset, threads: int) -> Trained:
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
        history = tuple(training.history)
        seconds = time.perf_counter() - began
        outcome = Outcome(None, None, None, None, len(history), 0, seconds, "", str(problem))
        return Trained(outcome, history)
    best = training.best_model()
    outputs = predict_split(best.model, best.preprocessing, data.train, threads)
    told = best.measure(outputs, data.train.labels)
    epoch = training.best_epoch
    outcome = Outcome(
        train_loss=told["loss"],
        train_accuracy=told.get("accuracy"),
        val_loss=epoch.val_loss if epoch else None,
        val_accuracy=epoch.val_accuracy if epoch else None,
        epochs=len(training.history),
        best_epoch=epoch.number if epoch else 0,
        seconds=sum(epoch.seconds for epoch in training.history),
        weights=_digest(best.model),
        monitor=training.monitor,
        monitored=epoch.figure(training.monitor) if epoch else None,
    )
    return Trained(outcome, tuple(training.history), best.content())


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
    def monitor(self) -> str:
        """The figure that chose the epochs, and ranks the trials."""
        return self.outcomes[0].monitor

    @property
    def merit(self) -> float | None:
        """The mean of the figure that ranks, negated where less is better; None if one failed."""
        told = self.spread("monitored").mean
        return told if told is None or METRICS[self.monitor].higher else -told

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

    The best mean of the figure that chose the epochs is best, then the lowest validation loss, then
    the fewest parameters.
    """
    return sorted(summaries, key=_badness)


def _badness(summary: Summary) -> tuple[float, float, int, int]:
    merit, loss = summary.merit, summary.spread("val_loss").mean
    return (
        math.inf if merit is None else -merit,
        math.inf if loss is None else loss,
        summary.params,
        summary.trial.number,
    )
