"""One training with its run directory: what `convcli train` does, without a word to a terminal."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli import __version__
from convcli.data import Dataset, Split
from convcli.environment import environment, thread_count
from convcli.errors import InputError, UsageError
from convcli.learn.checkpoint import Setting, fingerprint, read_setting, restore, save_checkpoint
from convcli.learn.fit import Diverged, Epoch, StepDone, Training
from convcli.learn.liveness import this_process
from convcli.learn.metrics import scores
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.plan import Parting, predict_split
from convcli.learn.prepare import preprocessing_for
from convcli.learn.recipes import Recipe
from convcli.learn.rundata import data_again, noted_parting
from convcli.learn.rundir import HELD_OUT, LAST, RunDirectory
from convcli.net import Network, to_notation

CHECKPOINT_SECONDS = 30.0
"""A checkpoint is renewed this often, and after every epoch."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a finished training came to.

    Attributes:
        params: learnable numbers of the network.
        epochs: done.
        best_epoch: whose weights the model has.
        train_seconds: spent on training steps, without validation and compilation.
        compile_seconds: spent before the first step.
        val_accuracy: of the best epoch, None without validation samples.
        test_accuracy: of the model, None without test samples.
        test_loss: mean of the loss that was trained with, None without test samples.
        samples_per_second: training samples a second, over the whole training.
        model: the model file.
    """

    params: int
    epochs: int
    best_epoch: int
    train_seconds: float
    compile_seconds: float
    val_accuracy: float | None
    test_accuracy: float | None
    test_loss: float | None
    samples_per_second: float
    model: str


@dataclass(slots=True)
class Run:
    """A training that leaves its files behind.

    Attributes:
        training: under way.
        directory: where its files are.
        setting: what it was started with.
        compile_seconds: spent before the first step.
        answers: (N, classes) of the best model on the test samples, once finished.
        started: local time of the very first step, as ISO 8601.
    """

    training: Training
    directory: RunDirectory
    setting: Setting
    compile_seconds: float = 0.0
    answers: npt.NDArray[np.float32] | None = None
    started: str = field(default_factory=lambda: datetime.now().isoformat(timespec="seconds"))

    def events(self) -> Iterator[StepDone | Epoch]:
        """Train, write what is to be kept, and yield each step and epoch.

        Raises:
            Diverged: the loss is no longer a number; the last good weights are in the model file.
            InputError: a file cannot be written; those before it are whole. Or another process
                trains this run.
        """
        with self.directory.claimed():
            self.directory.clean()
            held = self.training.data.validation
            if held is not None and held.indices is not None:
                self.directory.write_held_out(held.indices.tolist())
            self._checkpoint("running")
            try:
                yield from self._kept_events()
            except Diverged as problem:
                kept = self._keep_last_good()
                self._record("diverged")
                raise Diverged(f"{problem} {kept}") from None

    def _kept_events(self) -> Iterator[StepDone | Epoch]:
        """Train, and write model, history and checkpoint before each event they are due at."""
        saved = time.monotonic()
        for event in self.training.events():
            if isinstance(event, Epoch):
                if event.best:
                    self._save_model(self.training.best_model())
                self.directory.write_history(self.training.history)
            if isinstance(event, Epoch) or time.monotonic() - saved > CHECKPOINT_SECONDS:
                self._checkpoint("running")
                saved = time.monotonic()
            yield event

    def warm_up(self) -> float:
        """Compile what the training needs and return the seconds; they are not training time."""
        self.compile_seconds = self.training.warm_up()
        return self.compile_seconds

    def leave(self) -> None:
        """Write a checkpoint of this very step, before the training is left."""
        self._checkpoint("interrupted")

    def finish(self) -> RunResult:
        """Read the test samples once, write the model with its metrics, and return the figures."""
        best, training = self.training.best_model(), self.training
        test_accuracy = test_loss = None
        if training.data.test is not None:
            test = training.data.test
            self.answers = predict_split(best.model, best.preprocessing, test, training.threads)
            test_loss, test_accuracy = scores(self.answers, test.labels, training.recipe.loss)
            best = dataclasses.replace(
                best,
                metrics=best.metrics | {"test_accuracy": test_accuracy, "test_loss": test_loss},
            )
        self._save_model(best)
        seconds = sum(epoch.seconds for epoch in training.history)
        samples = sum(epoch.samples for epoch in training.history)
        epoch = training.best_epoch
        result = RunResult(
            params=training.model.trace.totals.params,
            epochs=len(training.history),
            best_epoch=epoch.number if epoch else 0,
            train_seconds=seconds,
            compile_seconds=self.compile_seconds,
            val_accuracy=epoch.val_accuracy if epoch else None,
            test_accuracy=test_accuracy,
            test_loss=test_loss,
            samples_per_second=samples / max(seconds, 1e-9),
            model=str(self.directory.model),
        )
        self._record("done", asdict(result))
        return result

    def _save_model(self, model: TrainedModel) -> None:
        training = {
            "data": self.setting.source,
            "shaping": self.setting.options.get("shaping", {}),
            "data_seed": self.setting.options.get("data_seed", 0),
            "parting": self.setting.options["parting"],
            "fingerprint": self.setting.fingerprint,
            "recipe": asdict(self.setting.recipe),
            "seed": self.setting.seed,
            "version": __version__,
        }
        dataclasses.replace(model, training=training).save(self.directory.model, force=True)

    def _checkpoint(self, status: str) -> None:
        save_checkpoint(self.directory.last, self.training, self.setting)
        self._record(status)

    def _keep_last_good(self) -> str:
        """See to it that the model file holds good weights, and say which."""
        best = self.training.best_epoch
        if best is None:
            restore(self.directory.last, self.training)
            self._save_model(self.training.best_model())
            return f"{self.directory.model} has the weights of step {self.training.progress.step}."
        return f"{self.directory.model} has the weights of epoch {best.number}."

    def _record(self, status: str, result: dict[str, Any] | None = None) -> None:
        """Write run.json."""
        training = self.training
        held = training.data.validation
        self.directory.write_record(
            {
                "convcli": __version__,
                "status": status,
                "process": this_process(),
                "started": self.started,
                "data": self.setting.source,
                "network": to_notation(self.setting.network),
                "recipe": asdict(self.setting.recipe),
                "seed": self.setting.seed,
                "samples": {name: len(split) for name, split in training.data.splits().items()},
                "environment": _machine() | {"threads": thread_count(training.threads)},
                "validation": None if held is None else _where_from(held),
                "epochs_done": len(training.history),
                "result": result,
            }
        )


def start(
    network: Network,
    data: Dataset,
    recipe: Recipe,
    make_directory: Callable[[], RunDirectory],
    *,
    source: str,
    parting: Parting,
    seed: int = 0,
    threads: int = 0,
    pictures: str = "resize",
    initial: TrainedModel | None = None,
    options: dict[str, Any] | None = None,
    **limits: Any,
) -> Run:
    """Return a run about to take its first step; its directory exists and is empty.

    Args:
        network: fits the data.
        data: with a validation split, or without one for none; see `parted`.
        recipe: all other figures.
        make_directory: called once all fits together, so that a refusal leaves nothing behind.
        source: the words that name the data.
        parting: how they came by their splits, so that `resume` can part them again.
        seed: of weights, order, dropout and augmentation.
        threads: 0 for all there are.
        pictures: how pictures will be prepared for the model, see `Preprocessing`.
        initial: a model whose layers of the same name and shape give the first weights.
        options: plain values that the caller will want back from `read_setting`.
        limits: `time_limit` and `target_accuracy` of `Training`.
    """
    preprocessing = preprocessing_for(data.train.samples, pictures=pictures)
    model = Model.initialize(network, seed, preprocessing.engine_scaling)
    if initial is not None:
        copy_layers(initial.model, model)
    training = Training(
        model,
        data,
        recipe,
        preprocessing,
        seed=seed,
        threads=threads,
        **limits,
    )
    setting = Setting(
        network,
        recipe,
        source,
        seed,
        fingerprint(data),
        {"pictures": pictures, "parting": asdict(parting), **(options or {})},
    )
    return Run(training, make_directory(), setting)


def resume(
    path: Path, data: Dataset, *, epochs: int | None = None, threads: int = 0, **limits: Any
) -> Run:
    """Return the run whose checkpoint is at `path`, ready for its next step.

    Args:
        path: of the checkpoint, see `checkpoint_path`.
        data: as `read_setting(path).source` names them, before they are parted.
        epochs: the last one, in place of the recipe's; the schedule is stretched to it.
        threads: 0 for all there are; they do not change the result.
        limits: `time_limit` of `Training`.

    Raises:
        UsageError: the run has done that many epochs already.
        InputError: the checkpoint is damaged, the data are no longer the same, or another process
            trains this run.
    """
    directory = RunDirectory(path.parent)
    with directory.claimed():
        setting = read_setting(path)
    setting = dataclasses.replace(setting, recipe=setting.recipe.changed(epochs=epochs))
    parting = noted_parting(path, setting)
    data = data_again(path, setting, data)
    pictures = str(setting.options.get("pictures", "resize"))
    preprocessing = preprocessing_for(data.train.samples, pictures=pictures)
    training = Training(
        Model.initialize(setting.network, setting.seed, preprocessing.engine_scaling),
        data,
        setting.recipe,
        preprocessing,
        seed=setting.seed,
        threads=threads,
        target_accuracy=None if parting.by_heart is None else 1.0,
        **limits,
    )
    restore(path, training)
    if epochs is not None and epochs <= len(training.history):
        raise UsageError(
            f"--epochs {epochs}: the run has done {len(training.history)} epochs; name more to go "
            "on with it."
        )
    return Run(training, directory, setting, started=_started(directory))


@cache
def _machine() -> dict[str, str | int]:
    """Return what decides the bits of a training besides its settings."""
    facts = environment()
    return {name: facts[name] for name in ("python", "numpy", "numba", "system", "processor")}


def _started(directory: RunDirectory) -> str:
    """Return when a run was started first; now, where its record does not say."""
    try:
        return str(directory.read_record()["started"])
    except (InputError, KeyError):
        return datetime.now().isoformat(timespec="seconds")


def checkpoint_path(place: Path) -> Path:
    """Return the checkpoint in a run directory, or the file itself.

    Raises:
        InputError: there is none.
    """
    path = place / LAST if place.is_dir() else place
    if not path.is_file():
        raise InputError(f"There is no checkpoint {path}. --resume takes a run's directory.")
    return path


def copy_layers(source: Model, target: Model) -> list[str]:
    """Copy the layers that both models have with one name and equal shapes; return their names.

    Raises:
        InputError: they share none.
    """
    theirs, ours = _arrays_by_layer(source), _arrays_by_layer(target)
    shared = [
        name
        for name, arrays in ours.items()
        if {key: array.shape for key, array in arrays.items()}
        == {key: array.shape for key, array in theirs.get(name, {}).items()}
    ]
    if not shared:
        raise InputError(
            "The model to begin with shares no layer with the network: names or shapes differ "
            f"(it has {', '.join(list(theirs)[:3])}; the network {', '.join(list(ours)[:3])})."
        )
    for name in shared:
        for key, array in ours[name].items():
            array[...] = theirs[name][key]
    return shared


def _arrays_by_layer(model: Model) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    found: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
    for name, array in (model.parameters | model.buffers).items():
        layer, _, key = name.rpartition(".")
        found.setdefault(layer, {})[key] = array
    return found


def _where_from(held: Split) -> dict[str, Any]:
    return {
        "samples": len(held),
        "indices": HELD_OUT if held.indices is not None else None,
    }
