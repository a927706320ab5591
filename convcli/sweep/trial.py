"""One training of a sweep: a frozen order, and what came of it."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from typing import Any

from convcli.data import Dataset
from convcli.learn.fit import Diverged, Training
from convcli.learn.metrics import scores
from convcli.learn.model import Model
from convcli.learn.plan import predict_split
from convcli.learn.prepare import preprocessing_for
from convcli.learn.recipes import Recipe
from convcli.net import parse_notation


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

    def record(self) -> dict[str, Any]:
        """Return the fields as plain values, for a file."""
        return dataclasses.asdict(self)


def train_job(job: Job, data: Dataset, threads: int) -> Outcome:
    """Train once; the same job on the same data gives the same weights, whatever the threads.

    A loss that is no longer a number is an outcome too: the trial's figures are None.

    Args:
        job: what to train.
        data: with a validation split.
        threads: processor threads.
    """
    preprocessing = preprocessing_for(data.train.samples)
    model = Model.initialize(parse_notation(job.network), job.seed, preprocessing.engine_scaling)
    training = Training(model, data, job.recipe, preprocessing, seed=job.seed, threads=threads)
    training.warm_up()
    began = time.perf_counter()
    try:
        for _ in training:
            pass
    except Diverged as problem:
        epochs = len(training.history)
        seconds = time.perf_counter() - began
        return Outcome(None, None, None, None, epochs, 0, seconds, "", str(problem))
    best = training.best_model()
    answers = predict_split(best.model, preprocessing, data.train, threads)
    loss, accuracy = scores(answers, data.train.labels, job.recipe.loss)
    epoch = training.best_epoch
    return Outcome(
        train_loss=loss,
        train_accuracy=accuracy,
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
