"""The fit loop: an iterator of epochs that prints nothing and writes nothing."""

from __future__ import annotations

import fnmatch
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.data import Dataset, Split
from convcli.data.augmentation import read_augmentation
from convcli.engine import optimize
from convcli.errors import InputError, UsageError
from convcli.layers import Conv, Dense
from convcli.learn.descent import Span, Vector, apply_step, frozen_steps, trainable_spans
from convcli.learn.feed import Batch, Feed
from convcli.learn.metrics import SMALLEST, as_classes, temperature
from convcli.learn.model import Model, predict_split
from convcli.learn.modelfile import TrainedModel
from convcli.learn.prepare import preprocessing_for
from convcli.learn.recipes import METRICS, Recipe
from convcli.learn.schedules import Position
from convcli.learn.task import TASKS, check_fit, cool, goal_for
from convcli.learn.trainer import Trainer
from convcli.net import Network
from convcli.values import NotebookRepr, shown_live

BLOWN_UP = 1000.0
"""An epoch whose mean loss is so many times that of guessing has diverged, though it is finite."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimizer step of a training.

    Attributes:
        epoch: from 1.
        step: of the epoch, from 1.
        steps: of the epoch.
        loss: mean over the epoch's samples so far.
        accuracy: over the epoch's samples so far, with the weights as they were.
        lr: learning rate of the step.
        seen: samples of the epoch so far.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float | None
    lr: float
    seen: int


@dataclass(frozen=True, slots=True)
class Epoch(NotebookRepr):
    """One epoch of a training.

    Attributes:
        number: from 1.
        train_loss: mean over its samples, each with the weights as they were.
        train_accuracy: over its samples; None for values.
        val_loss: mean loss of the validation samples after it, None without any.
        val_accuracy: of the validation samples after it, None without any, or for values.
        lr: of its last step.
        seconds: of training, without validation.
        samples: trained on; fewer than there are when the time was up.
        best: no epoch before it was better.
        figures: further ones of the validation samples, by name.
    """

    number: int
    train_loss: float
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float
    samples: int
    best: bool
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def samples_per_second(self) -> float:
        """Training samples a second."""
        return self.samples / max(self.seconds, 1e-9)

    def row(self) -> dict[str, Any]:
        """Return its figures by name, as history.csv has them."""
        cells = asdict(self)
        figures = cells.pop("figures")
        return cells | {f"val_{name}": value for name, value in figures.items()}

    def figure(self, name: str) -> float | None:
        """Return a figure of the validation samples, None where there is none."""
        told = {"loss": self.val_loss, "accuracy": self.val_accuracy}
        return self.figures.get(name, told.get(name))


@dataclass(slots=True)
class Progress:
    """All that changes in a training besides the model; a checkpoint is this and the model.

    Attributes:
        step: optimizer steps taken.
        step_in_epoch: those of the epoch under way.
        loss_sum: over the samples of the epoch under way.
        correct: right answers of the epoch under way.
        seen: samples of the epoch under way.
        epoch_seconds: time spent training in the epoch under way.
        history: finished epochs.
        memory: (slots, N) of the optimizer.
        ema: (N,) moving average of the weights, None without one.
        best_weights: (N,) after the best epoch, None before the first.
        best_buffers: running statistics after the best epoch.
    """

    memory: npt.NDArray[np.float32]
    ema: Vector | None = None
    step: int = 0
    step_in_epoch: int = 0
    loss_sum: float = 0.0
    correct: float = 0.0
    seen: int = 0
    epoch_seconds: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    best_weights: Vector | None = None
    best_buffers: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)


class Diverged(InputError):
    """The loss or a weight is no longer a number."""


class Training(NotebookRepr):
    """A training under way: iterate over it for its epochs, or over `events()` for every step.

    Between two events the training is whole: it can be saved, evaluated or left.

    Attributes:
        model: with the weights as they are now.
        progress: where it stands.
        recipe: what decides it.
        taken: names of the layers whose first weights are those of another model.
        stopped_because: a sentence when it ended before its last epoch, else None.
    """

    def __init__(
        self,
        network: Network,
        data: Dataset,
        recipe: Recipe,
        *,
        seed: int = 0,
        threads: int = 0,
        pictures: str = "resize",
        scaling: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
        initial: Model | None = None,
        time_limit: float | None = None,
        target_accuracy: float | None = None,
    ) -> None:
        """Prepare the first step.

        Args:
            network: fits the data.
            data: with validation samples, or without any.
            recipe: all other figures.
            seed: of weights, order, dropout and augmentation.
            threads: 0 for all there are; they do not change the result.
            pictures: how pictures are prepared for the model, see `Preprocessing`.
            scaling: factors and summands of samples, in place of those that suit them.
            initial: a model whose layers of the same name and shape give the first weights.
            time_limit: seconds of training after which it stops.
            target_accuracy: of the validation samples, at which it stops.
        """
        check_fit(network, data, recipe)
        self.preprocessing = preprocessing_for(data.train, pictures=pictures)
        if scaling is not None:
            scale, offset = scaling
            self.preprocessing = replace(self.preprocessing, scale=scale, offset=offset)
        self.model = model = Model.initialize(network, seed, self.preprocessing.engine_scaling)
        self.goal = goal_for(network, data, recipe)
        self.taken = [] if initial is None else model.copy_layers(initial)
        if model.trace.steps[-1].name in self.taken:
            self.goal.unfold(model)
        self.data = data
        self.recipe = recipe
        self.seed = seed
        self.stopped_because: str | None = None
        self.time_limit = time_limit
        self.target_accuracy = target_accuracy
        self.optimizer = recipe.read_optimizer()
        self.schedule = recipe.read_schedule()
        self.progress = Progress(
            memory=np.zeros((self.optimizer.slots_per_weight, model.flat.size), np.float32),
            ema=None if recipe.ema is None else model.flat.copy(),
        )
        self.feed = Feed(
            data, self.preprocessing, self.goal, read_augmentation(recipe.augment), seed, threads
        )
        self.threads = threads
        self.stages = stages(model, recipe)
        self._enter(self.stages[0])

    def _enter(self, stage: Stage) -> None:
        """Train the layers of a stage from here on."""
        self.stage, recipe = stage, self.recipe
        self.spans = trainable_spans(
            self.model,
            stage.frozen,
            decay=self.optimizer.weight_decay > 0,
            layer_rates=recipe.read_layer_rates(),
        )
        self.trainer = Trainer(
            self.model,
            self.goal.loss_of_shares if self.feed.augmentation.mixes else self.goal.loss,
            batch=math.ceil(min(recipe.batch, len(self.data.train)) / recipe.accumulate),
            threads=self.threads,
            seed=self.seed,
            frozen=stage.frozen,
        )

    def __repr__(self) -> str:
        where = f"{self.model.network.name!r} on {self.data.name!r}"
        return f"Training({where}, {len(self.history)} of {self.recipe.epochs} epochs)"

    def warm_up(self) -> float:
        """Compile all that the training needs, change nothing, and return the seconds it took.

        What is compiled stays on disk; the next training of the kind loads it in a fraction.
        """
        began = time.perf_counter()
        buffers = {name: array.copy() for name, array in self.model.buffers.items()}
        some = np.arange(min(self.recipe.batch, len(self.data.train)))
        self._gradients(self.feed.batch(some, 0))
        for name, array in buffers.items():
            self.model.buffers[name][...] = array
        nothing = self.model.flat[:0]
        apply_step(
            self.optimizer,
            optimize,
            nothing,
            nothing,
            self.progress.memory[:, :0],
            [Span(0, 0, decays=False)],
            lr=0.0,
            count=1,
            clip=1.0,
        )
        optimize.ema_update(nothing, nothing, np.float32(0))
        sample = self.preprocessing.engine_samples(self.data.train.some([0]))
        self.model.predict(sample, threads=self.threads)
        return time.perf_counter() - began

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of a whole epoch; the last batch of a pass may be smaller."""
        return self.recipe.steps_per_epoch or self._steps_per_pass

    @property
    def _steps_per_pass(self) -> int:
        return math.ceil(len(self.data.train) / self.recipe.batch)

    def _batches(self) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
        """Yield the places of each batch that is left of the epoch, and the number of its pass."""
        batch, done = self.recipe.batch, len(self.history) * self.steps_per_epoch
        order, known = np.zeros(0, np.int64), -1
        for step in range(self.progress.step_in_epoch, self.steps_per_epoch):
            number, place = divmod(done + step, self._steps_per_pass)
            if number != known:
                order, known = self.order_of(number), number
            yield order[place * batch : (place + 1) * batch], number

    def order_of(self, number: int) -> npt.NDArray[np.int64]:
        """Return the places of the samples in pass `number`, from 0, as they are taken."""
        order = batch_order(len(self.data.train), self.seed, number)
        if self.recipe.sampler == "shuffle":
            return order
        return balanced_order(self.data.train.labels, order)

    @property
    def guessing_loss(self) -> float:
        """The loss of one who tells nothing apart: what is to be beaten."""
        return self.goal.guessing_loss()

    @property
    def monitor(self) -> str:
        """The figure that chooses the epoch."""
        return self.recipe.monitor or TASKS[self.data.task].monitor

    @property
    def doubt(self) -> str | None:
        """A sentence when the last epoch was no better than guessing, else None."""
        if not self.history or self.history[-1].train_loss < self.guessing_loss:
            return None
        return (
            f"Nothing was learned: the loss of the last epoch is "
            f"{self.history[-1].train_loss:.3g}, that of guessing {self.guessing_loss:.3g}. "
            "Use more --epochs or another --lr; convcli lr-find suggests one."
        )

    @property
    def history(self) -> list[Epoch]:
        """The finished epochs."""
        return self.progress.history

    @property
    def best_epoch(self) -> Epoch | None:
        """The best finished epoch by the figure that chooses, then by least validation loss."""
        return next((epoch for epoch in reversed(self.history) if epoch.best), None)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.stopped_because is not None or len(self.history) >= self.recipe.epochs

    def __iter__(self) -> Iterator[Epoch]:
        """Train, and yield each epoch when it is done; a notebook shows the curves grow."""
        with shown_live(self) as redraw:
            for event in self.events():
                redraw()
                if isinstance(event, Epoch):
                    yield event

    def events(self) -> Iterator[StepDone | Epoch]:
        """Train, and yield each step and each epoch when it is done."""
        while not self.finished:
            epoch = len(self.history)
            stage = next(one for one in reversed(self.stages) if one.first <= epoch)
            if stage is not self.stage:
                self._enter(stage)
            if epoch == stage.first > 0 and self.progress.step_in_epoch == 0:
                self.progress.memory[...] = 0
            began = time.perf_counter()
            for chosen, made in () if self._time_is_up() else self.feed.ahead(self._batches()):
                self.progress.epoch_seconds += time.perf_counter() - began
                yield self.step(chosen, made)
                if self._time_is_up():
                    break
                began = time.perf_counter()
            yield self._end_epoch()

    def best_model(self) -> TrainedModel:
        """Return the model of the best epoch so far; without a finished one, of the last step."""
        model = self.model.copy()
        best = self.progress.best_weights
        if best is not None:
            model.flat[...] = best
            for name, buffer in model.buffers.items():
                buffer[...] = self.progress.best_buffers[name]
        epoch = self.best_epoch
        metrics: dict[str, Any] = {"epoch": epoch.number if epoch else 0}
        if epoch is not None and epoch.val_accuracy is not None:
            metrics |= {"val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss}
        self.goal.fold(model)
        return TrainedModel(
            model,
            self.data.class_names,
            self.preprocessing,
            metrics,
            training={"recipe": asdict(self.recipe)},
            outputs=self.data.task,
            target_scaling=(self.goal.mean, self.goal.deviation) if self.goal.mean else None,
        )

    def calibrated_model(self) -> TrainedModel:
        """Return `best_model` with the temperature at which the validation samples are most likely.

        Raises:
            InputError: the network does not end in a layer whose outputs become probabilities.
        """
        best, held = self.best_model(), self.data.validation
        if held is None:
            return best
        step = best.model.trace.steps[-1]
        if step.activation not in {"softmax", "sigmoid"} or not isinstance(
            step.layer, Dense | Conv
        ):
            raise InputError(
                "--calibrate divides the last layer by a temperature, and the network does not end "
                "with one that has a softmax or sigmoid of its own: dense N softmax."
            )
        outputs = predict_split(best.model, best.preprocessing, held, self.threads)
        told = as_classes(self.data.task, best.finished(outputs), held.labels)
        if told is not None:
            shares, labels = told
            logits = np.log(np.maximum(shares.astype(np.float64), SMALLEST))
            cool(best.model, degrees := temperature(logits, labels))
            return replace(best, metrics=best.metrics | {"temperature": degrees})
        return best

    def evaluate(self, split: Split) -> dict[str, float]:
        """Return mean loss and figures on a split with the weights as they will be saved."""
        raw = self.model.flat.copy()
        self.model.flat[...] = self._weights_to_save()
        try:
            outputs = predict_split(self.model, self.preprocessing, split, self.threads)
        finally:
            self.model.flat[...] = raw
        return self.goal.measure(outputs, split.labels)

    def step(
        self,
        chosen: npt.NDArray[np.int64],
        batch: Batch | None = None,
        *,
        lr: float | None = None,
    ) -> StepDone:
        """Take one optimizer step on the chosen training samples.

        Args:
            chosen: their positions, at most a batch of them.
            batch: made of them, where that is done.
            lr: learning rate, the schedule's when left out.

        Raises:
            Diverged: the loss is no longer a number; the weights are those before the step.
        """
        began = time.perf_counter()
        now = self.progress
        batch = batch or self.feed.batch(chosen, len(self.history))
        loss_sum, correct, gradient = self._gradients(batch)
        if not math.isfinite(loss_sum):
            raise self._diverged("The loss is no longer a number")
        lr = self.next_lr() if lr is None else lr
        now.step += 1
        apply_step(
            self.optimizer,
            optimize,
            self.model.flat,
            gradient,
            now.memory,
            self.spans,
            lr=lr,
            count=now.step - self.stage.first * self.steps_per_epoch,
            clip=self.recipe.clip,
        )
        if now.ema is not None and self.recipe.ema is not None:
            keep = min(self.recipe.ema, (1 + now.step) / (10 + now.step))
            optimize.ema_update(now.ema, self.model.flat, np.float32(keep))
        now.step_in_epoch += 1
        now.loss_sum += float(loss_sum)
        now.correct += correct
        now.seen += len(chosen)
        now.epoch_seconds += time.perf_counter() - began
        return StepDone(
            epoch=len(now.history) + 1,
            step=now.step_in_epoch,
            steps=self.steps_per_epoch,
            loss=now.loss_sum / now.seen,
            accuracy=self._accuracy(),
            lr=lr,
            seen=now.seen,
        )

    def _gradients(self, batch: Batch) -> tuple[float, float, Vector]:
        """Return loss sum, right answers and mean gradient of a batch."""
        parts = self.recipe.accumulate
        if parts == 1:
            return self._part(batch, self.progress.step)
        loss_sum = correct = weight = 0.0
        gradient = np.zeros_like(self.model.flat)
        for number, some in enumerate(np.array_split(np.arange(len(batch.targets)), parts)):
            if len(some):
                step = parts * self.progress.step + number
                loss, right, slope = self._part(batch.part(some), step)
                gradient += np.float32(self.trainer.weight) * slope
                weight += self.trainer.weight
                loss_sum, correct = loss_sum + loss, correct + right
        gradient /= np.float32(weight or 1.0)
        return loss_sum, correct, gradient

    def _part(self, batch: Batch, step: int) -> tuple[float, float, Vector]:
        """Return the same of samples that are computed at once; `step` is that of chance."""
        return self.trainer.gradients(batch.images, batch.targets, indices=batch.indices, step=step)

    def next_lr(self) -> float:
        """Return the learning rate of the next step."""
        return self._lr_at(self.progress.step)

    def _lr_at(self, step: int) -> float:
        first, last = self.stage.first, self.stage.last
        at = Position(
            step=step - first * self.steps_per_epoch,
            steps=(last - first) * self.steps_per_epoch,
            steps_per_epoch=self.steps_per_epoch,
            losses=[
                epoch.train_loss if epoch.val_loss is None else epoch.val_loss
                for epoch in self.history[first:]
            ],
        )
        return self.recipe.full_lr * self.stage.factor * self.schedule.factor(at)

    def _end_epoch(self) -> Epoch:
        """Validate, remember the weights if they are the best, and begin the next epoch."""
        now = self.progress
        if not np.isfinite(self.model.flat).all():
            raise self._diverged("A weight is no longer a number")
        train_loss = now.loss_sum / max(1, now.seen)
        if train_loss > BLOWN_UP * self.guessing_loss:
            raise self._diverged(
                f"The mean loss of the epoch is {train_loss:.3g}; guessing has "
                f"{self.guessing_loss:.3g}. The training blew up"
            )
        figures: dict[str, float] = {}
        if self.data.validation is not None:
            figures = self.evaluate(self.data.validation)
        kept = {name: figures[name] for name in figures if name == self.recipe.monitor}
        epoch = Epoch(
            number=len(now.history) + 1,
            train_loss=train_loss,
            train_accuracy=self._accuracy(),
            val_loss=figures.pop("loss", None),
            val_accuracy=figures.pop("accuracy", None),
            lr=self._lr_at(max(0, now.step - 1)),
            seconds=now.epoch_seconds,
            samples=now.seen,
            best=False,
            figures=figures if self.data.task != "classes" else kept,
        )
        if self._is_better(epoch):
            epoch = replace(epoch, best=True)
            now.best_weights = self._weights_to_save().copy()
            now.best_buffers = {name: array.copy() for name, array in self.model.buffers.items()}
        now.history.append(epoch)
        now.step_in_epoch = now.seen = 0
        now.loss_sum = now.correct = now.epoch_seconds = 0.0
        self.stopped_because = self._reason_to_stop()
        return epoch

    def _is_better(self, epoch: Epoch) -> bool:
        """Tell whether an epoch beats the best one; without validation the last is best."""
        ours = self._rank(epoch)
        best = None if self.best_epoch is None else self._rank(self.best_epoch)
        return ours is None or best is None or ours > best

    def _rank(self, epoch: Epoch) -> tuple[float, float] | None:
        told = epoch.figure(self.monitor)
        if told is None or epoch.val_loss is None:
            return None
        return told if METRICS[self.monitor].higher else -told, -epoch.val_loss

    def _accuracy(self) -> float | None:
        """Return the share of right answers in the epoch under way; values have none."""
        if self.data.task == "values":
            return None
        return self.progress.correct / max(1, self.progress.seen)

    def _reason_to_stop(self) -> str | None:
        best, patience = self.best_epoch, self.recipe.patience
        last, target = len(self.history), self.target_accuracy
        if target is not None and best is not None and (best.val_accuracy or 0) >= target:
            return f"Stopped after epoch {last}: an accuracy of {target:.0%} was reached."
        reached = None if best is None else best.figure(self.monitor)
        if best is not None and patience is not None and reached is not None:
            first = next(e.number for e in self.history if e.figure(self.monitor) == reached)
            moved = "risen" if METRICS[self.monitor].higher else "fallen"
            if last - first >= patience and last < self.recipe.epochs:
                told = f"{reached:.2%}" if self.monitor == "accuracy" else f"{reached:.4g}"
                return (
                    f"Stopped after epoch {last}: validation {self.monitor} has not {moved} for "
                    f"{last - first} epochs. The best epoch was {best.number}, with {told}."
                )
        if self._time_is_up() and last < self.recipe.epochs:
            return f"Stopped in epoch {last}: the time limit of {self.time_limit:g} s was reached."
        return None

    def _time_is_up(self) -> bool:
        if self.time_limit is None:
            return False
        spent = sum(epoch.seconds for epoch in self.history) + self.progress.epoch_seconds
        return spent >= self.time_limit

    def _weights_to_save(self) -> Vector:
        average = self.progress.ema
        return self.model.flat if average is None else average

    def _diverged(self, fact: str) -> Diverged:
        rate = self.next_lr()
        return Diverged(
            f"{fact}, in epoch {len(self.history) + 1}, step {self.progress.step + 1:,}, at the "
            f"learning rate {rate:.2g}. Use a smaller one (--lr {self.recipe.full_lr / 10:.1g}), "
            "or --clip 1."
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """Epochs in which the same layers learn.

    Attributes:
        first: epoch, from 0.
        last: one past the last epoch.
        frozen: layers that keep their weights.
        factor: of the learning rate.
    """

    first: int
    last: int
    frozen: tuple[str, ...]
    factor: float = 1.0


def stages(model: Model, recipe: Recipe) -> list[Stage]:
    """Return what `--phases` means for a model; the last phase goes on to the last epoch.

    Raises:
        UsageError: a pattern matches no layer.
    """
    always = frozen_steps(model, recipe.freeze)
    phases = recipe.read_phases()
    if not phases:
        return [Stage(0, recipe.epochs, tuple(sorted(always)))]
    weighted = [step.name for step in model.trace.steps if step.params]
    found, first = [], 0
    for phase in phases:
        pattern = {"all": "*", "head": weighted[-1]}.get(phase.layers, phase.layers)
        learning = fnmatch.filter(weighted, pattern)
        if not learning:
            raise UsageError(
                f"--phases {phase.layers}:{phase.epochs}: that is no layer with weights; there are "
                f"{', '.join(weighted)}, head and all."
            )
        last = recipe.epochs if phase is phases[-1] else first + phase.epochs
        frozen = always | (set(weighted) - set(learning))
        found.append(Stage(first, last, tuple(sorted(frozen)), phase.factor))
        first = last
    return found


def batch_order(samples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order of the samples in an epoch, from 0; seed and epoch alone decide it.

    >>> sorted(batch_order(4, seed=1, epoch=0).tolist())
    [0, 1, 2, 3]
    """
    key = np.array([seed, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(samples)


def balanced_order(
    labels: npt.NDArray[np.integer[Any]], order: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return as many places, one of each class in turn, each class's in the order that they had.

    A class that runs out begins again, its places counted on by all samples: see `Feed.batch`.

    >>> balanced_order(np.array([0, 0, 0, 1]), np.array([2, 3, 0, 1])).tolist()
    [2, 3, 0, 7]
    """
    classes = [order[labels[order] == number] for number in np.unique(labels)]
    rounds = np.arange(math.ceil(order.size / len(classes)))
    drawn = [one[rounds % one.size] + rounds // one.size * order.size for one in classes]
    return np.stack(drawn, axis=1).ravel()[: order.size]
