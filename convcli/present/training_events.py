"""`convcli train --tensorboard`: what is noted after each epoch of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convcli.exchange.event_log import EventLog
from convcli.inspect.render import filters_of, layers_with_kernels
from convcli.learn.fit import Epoch, StepDone
from convcli.learn.run import Run
from convcli.present.inspection import filter_panels

MOST_FILTERS, FILTER_SIDE = 64, 132
"""Pictures of one sheet, more could not be told apart; and the pixels of each."""

Watch = Callable[[StepDone | Epoch], None]


@contextmanager
def event_log(run: Run, say: Callable[[str], None]) -> Iterator[Watch]:
    """Yield what is to be called with each event of a run; it notes epochs in an event file.

    A file that can no longer be written ends the notes and not the training.
    """
    folder, fresh = run.directory.path, run.training.progress.step == 0
    with EventLog(folder, fresh=fresh) as log:
        say(f"To watch: tensorboard --logdir {folder}")
        broken = False

        def watch(event: StepDone | Epoch) -> None:
            nonlocal broken
            if broken or not isinstance(event, Epoch):
                return
            try:
                note_epoch(log, run, event)
            except OSError as problem:
                broken = True
                say(f"TensorBoard's file is no longer written: {problem.strerror}.")

        yield watch


def note_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write an event file with the figures of a training that is over."""
    with EventLog(folder, fresh=True) as log:
        for row in history:
            _note_figures(log, row)
        log.flush()


def _note_figures(log: EventLog, epoch: Mapping[str, Any]) -> None:
    figures = {
        "loss/train": epoch["train_loss"],
        "loss/validation": epoch["val_loss"],
        "accuracy/train": epoch["train_accuracy"],
        "accuracy/validation": epoch["val_accuracy"],
        "lr": epoch["lr"],
        "samples_per_second": epoch["samples"] / max(epoch["seconds"], 1e-9),
    }
    log.scalars(figures, int(epoch["number"]))


def note_epoch(log: EventLog, run: Run, epoch: Epoch) -> None:
    """Note figures, the spread of all weights, and the first layer's filters."""
    _note_figures(log, asdict(epoch))
    model = run.training.model
    for name, array in {**model.parameters, **model.buffers}.items():
        log.histogram(name.replace(".", "/"), array, epoch.number)
    _note_filters(log, run, epoch.number)
    log.flush()


def _note_filters(log: EventLog, run: Run, number: int) -> None:
    from convcli.imaging.picture import png_bytes
    from convcli.present.run_samples import side_by_side

    model = run.training.model
    first = next(iter(layers_with_kernels(model.trace)), None)
    if first is None or first.op == "dense":
        return
    filters = filters_of(model.trace, model.parameters, first.name)[:MOST_FILTERS]
    sheet = side_by_side(filter_panels(filters), FILTER_SIDE)
    log.picture(f"filters/{first.name}", png_bytes(sheet), sheet.shape[:2], number)
