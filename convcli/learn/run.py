"""One training with its run directory: what `convcli train` does, without a word to a terminal."""

from __future__ import annotations

import dataclasses
import json
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
from convcli.data import Dataset, ProgressCallback
from convcli.environment import environment, thread_count
from convcli.errors import InputError, UsageError
from convcli.files import check_target
from convcli.learn.checkpoint import read_spec, restore, save_checkpoint
from convcli.learn.fit import Diverged, Epoch, StepDone, Training
from convcli.learn.metrics import baseline
from convcli.learn.model import Model, predict_split
from convcli.learn.modelfile import TrainedModel
from convcli.learn.run_directory import HELD_OUT, LAST, RunDirectory, this_process
from convcli.learn.runspec import RunSpec, fingerprint
from convcli.net import Network, parse_notation, to_notation

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
        val_accuracy: of the best epoch, None without validation samples, and for values.
        test_accuracy: of the model, None without test samples.
        test_loss: mean of the loss that was trained with, None without test samples.
        val_loss: of the best epoch, None without validation samples.
        task: what was learned, one of `convcli.data.dataset.TASKS`.
        val_figures: further figures of the validation samples, after the best epoch.
        test_figures: further figures of the test samples.
        baseline: the accuracy of always telling the commonest training label, on the test samples
            or else those for validation; None for values, and without samples.
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
    val_loss: float | None
    task: str
    val_figures: dict[str, float]
    test_figures: dict[str, float]
    baseline: float | None


@dataclass(slots=True)
class Run:
    """A training that leaves its files behind.

    Attributes:
        training: under way.
        directory: where its files are.
        spec: what decides it.
        compile_seconds: spent before the first step.
        outputs: (N, classes) of the best model on the test samples, once finished.
        started: local time of the very first step, as ISO 8601.
    """

    training: Training
    directory: RunDirectory
    spec: RunSpec
    compile_seconds: float = 0.0
    outputs: npt.NDArray[np.float32] | None = None
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
        training = self.training
        calibrated = training.recipe.calibrate
        best = training.calibrated_model() if calibrated else training.best_model()
        told: dict[str, float] = {}
        if training.data.test is not None:
            test = training.data.test
            outputs = predict_split(best.model, best.preprocessing, test, training.threads)
            told, self.outputs = best.measure(outputs, test.labels), best.finished(outputs)
            figures = {f"test_{name}": told[name] for name in ("accuracy", "loss") if name in told}
            best = dataclasses.replace(best, metrics=best.metrics | figures)
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
            val_loss=epoch.val_loss if epoch else None,
            test_accuracy=told.pop("accuracy", None),
            test_loss=told.pop("loss", None),
            samples_per_second=samples / max(seconds, 1e-9),
            model=str(self.directory.model),
            task=training.data.task,
            val_figures=epoch.figures if epoch else {},
            test_figures=told,
            baseline=baseline(training.data),
        )
        self._record("done", asdict(result))
        return result

    def _save_model(self, model: TrainedModel) -> None:
        noted = dataclasses.replace(model, training=self.spec.record())
        noted.save(self.directory.model, force=True)

    def _checkpoint(self, status: str) -> None:
        save_checkpoint(self.directory.last, self.training, self.spec)
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
                "data": self.spec.source.name,
                "network": self.spec.network,
                "recipe": asdict(self.spec.recipe),
                "seed": self.spec.seed,
                "samples": {name: len(split) for name, split in training.data.splits().items()},
                "environment": _machine() | {"threads": thread_count(training.threads)},
                "validation": None
                if held is None
                else {
                    "samples": len(held),
                    "indices": None if held.indices is None else HELD_OUT,
                },
                "epochs_done": len(training.history),
                "result": result,
            }
        )


def start(
    spec: RunSpec,
    network: Network,
    data: Dataset,
    make_directory: Callable[[], RunDirectory],
    *,
    threads: int = 0,
    initial: Model | None = None,
    time_limit: float | None = None,
) -> Run:
    """Return a run about to take its first step; its directory exists and is empty.

    Args:
        spec: what decides it; network and fingerprint are noted here.
        network: fits the data.
        data: split as the spec says.
        make_directory: called once all fits together, so that a refusal leaves nothing behind.
        threads: 0 for all there are.
        initial: a model whose layers of the same name and shape give the first weights.
        time_limit: seconds of training after which it stops.
    """
    training = _training(spec, network, data, threads, time_limit, initial)
    spec = dataclasses.replace(spec, network=to_notation(network), fingerprint=fingerprint(data))
    return Run(training, make_directory(), spec)


def resume(
    directory: RunDirectory,
    data: Dataset,
    *,
    epochs: int | None = None,
    threads: int = 0,
    time_limit: float | None = None,
) -> Run:
    """Return the run of a directory, ready for its next step.

    Args:
        directory: with a checkpoint, see `checkpoint_of`.
        data: as `RunSpec.load_data` gives them.
        epochs: the last one, in place of the recipe's; the schedule is stretched to it.
        threads: 0 for all there are; they do not change the result.
        time_limit: seconds of training after which it stops.

    Raises:
        UsageError: the run has done that many epochs already.
        InputError: the checkpoint is damaged, the data are no longer the same, or another process
            trains this run.
    """
    with directory.claimed():
        spec = read_spec(directory.last)
    spec = dataclasses.replace(spec, recipe=spec.recipe.changed(epochs=epochs))
    data = _split_again(spec, directory, data)
    training = _training(spec, parse_notation(spec.network), data, threads, time_limit)
    restore(directory.last, training)
    if epochs is not None and epochs <= len(training.history):
        raise UsageError(
            f"--epochs {epochs}: the run has done {len(training.history)} epochs; name more to go "
            "on with it."
        )
    return Run(training, directory, spec, started=_started(directory))


def _training(
    spec: RunSpec,
    network: Network,
    data: Dataset,
    threads: int,
    time_limit: float | None,
    initial: Model | None = None,
) -> Training:
    return Training(
        network,
        data,
        spec.recipe,
        seed=spec.seed,
        threads=threads,
        pictures=spec.pictures,
        scaling=spec.scaling,
        initial=initial,
        time_limit=time_limit,
        target_accuracy=None if spec.split.overfit is None else 1.0,
    )


def load_run_data(directory: RunDirectory, progress: ProgressCallback | None = None) -> Dataset:
    """Return the data that a run was trained with, split as they were.

    Raises:
        InputError: the checkpoint is gone or damaged, the data are not to be had, or are no
            longer the same.
        UsageError: what the run notes about its data cannot be used.
    """
    spec = read_spec(directory.last)
    return _split_again(spec, directory, spec.load_data(progress))


def _split_again(spec: RunSpec, directory: RunDirectory, data: Dataset) -> Dataset:
    advice = f"that {directory.last} was made with. Bring the old samples back, or train anew."
    return spec.split_again(data, advice)


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


def checkpoint_of(place: Path) -> RunDirectory:
    """Return the run directory at a place, which may be its checkpoint.

    Raises:
        InputError: it has no checkpoint.
    """
    directory = RunDirectory(place if place.is_dir() else place.parent)
    named = place in {directory.path, directory.last}
    if not named or not directory.last.is_file():
        raise InputError(
            f"There is no checkpoint {directory.last if named else place}. --resume takes a run's "
            f"directory, or the {LAST} in it."
        )
    return directory


class RunLog:
    """The log of one request: `start`, `epoch` and `result` of each run, with its directory.

    A file that can no longer be written ends the log and not the training.
    """

    def __init__(
        self, path: Path, say: Callable[[str], None], *, goes_on: bool = False, force: bool = False
    ) -> None:
        """Begin an empty file; one that a resumed run goes on with stays as it is.

        Raises:
            OutputExistsError: the file exists, and is neither to be replaced nor gone on with.
            InputError: it cannot be written there.
        """
        self.path, self.say, self.broken = path, say, False
        if not (goes_on and path.is_file()):
            check_target(path, force=force)
            path.unlink(missing_ok=True)

    def start(self, run: Run) -> None:
        """Note what a run is."""
        training = run.training
        self._note(
            "start",
            run=str(run.directory.path),
            network=to_notation(training.model.network),
            data=training.data.name,
            params=training.model.trace.totals.params,
            epochs=training.recipe.epochs,
            epochs_done=len(training.history),
            seed=training.seed,
        )

    def watch(self, run: Run, event: StepDone | Epoch) -> None:
        """Note an epoch."""
        if isinstance(event, Epoch):
            figures = asdict(event) | {"samples_per_second": event.samples_per_second}
            self._note("epoch", run=str(run.directory.path), **figures)

    def result(self, run: Run, result: RunResult) -> None:
        """Note what a run came to."""
        self._note("result", run=str(run.directory.path), **asdict(result))

    def _note(self, event: str, **figures: Any) -> None:
        if self.broken:
            return
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"event": event, **figures}) + "\n")
        except OSError as problem:
            self.broken = True
            self.say(f"The log {self.path} is no longer written: {problem.strerror}.")
