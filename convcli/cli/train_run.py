"""One training from the command line: data, network, progress, Ctrl-C, the last words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from convcli.cli.console import Messages
from convcli.cli.interruption import Interruption
from convcli.cli.train_order import Order
from convcli.cli.train_view import ProgressView, result_report, show_result
from convcli.data import Dataset, Source
from convcli.errors import CheckError, UsageError
from convcli.learn.checkpoint import read_setting
from convcli.learn.fit import Diverged, Epoch, StepDone
from convcli.learn.modelfile import load
from convcli.learn.plan import Parting, parted
from convcli.learn.recipes import Recipe
from convcli.learn.run import Run, RunResult, checkpoint_path, resume, start
from convcli.learn.rundir import create_run_directory

DIGIT_SOURCES = {"mnist", "digits"}
"""Sets of white digits on black, whose models find the digit in a photo first."""
OVERFIT_EPOCHS = 200


def train_one(order: Order) -> None:
    """Train once and show what came of it."""
    recipe = order.recipe
    run = begin(order, recipe, order.load(), order.out, Parting(order.seed))
    finish(order, run, run_to_end(run, order))


def resume_one(order: Order, place: Path) -> None:
    """Go on with a run and show what came of it."""
    path = checkpoint_path(place)
    setting = read_setting(path)
    loading = dataclasses.replace(
        order,
        source=Source.noted(setting.source, setting.options["shaping"]),
        seed=setting.options["data_seed"],
    )
    run = resume(path, loading.load(), threads=order.threads, time_limit=order.time_limit)
    order.messages.say(
        f"Going on in epoch {len(run.training.history) + 1}, "
        f"after step {run.training.progress.step:,}."
    )
    finish(order, run, run_to_end(run, order))


def overfit(order: Order, count: int) -> None:
    """Learn a few samples by heart: a network that cannot has a mistake in it."""
    recipe = order.recipe.changed(
        augment="none", epochs=order.figures.get("epochs", OVERFIT_EPOCHS), schedule="constant"
    )
    parting = Parting(order.seed, by_heart=count)
    run = begin(order, recipe, order.load(), order.out, parting)
    result = run_to_end(run, order)
    finish(order, run, result)
    if result.val_accuracy is not None and result.val_accuracy < 1:
        samples = len(run.training.data.train)
        raise CheckError(
            f"The network learned {result.val_accuracy:.1%} of {samples} samples by heart in "
            f"{result.epochs} epochs, not all. Use more --epochs, another --lr, or more filters; "
            "or two equal samples have different labels."
        )


def begin(order: Order, recipe: Recipe, data: Dataset, place: Path | None, parting: Parting) -> Run:
    """Return a run whose directory exists, about to take its first step.

    Args:
        order: what the user asked for.
        recipe: with the figures that hold for this run.
        data: as they were loaded, not parted yet.
        place: of the run directory, None for the default.
        parting: which samples train and which validate.
    """
    data = parted(data, recipe, parting)
    network = order.network_for(data)
    name = f"{network.name}-{Path(order.data_source).stem}"
    initial = load(order.init) if order.init is not None else None
    return start(
        network,
        data,
        recipe,
        lambda: create_run_directory(place, name, force=order.force),
        source=order.data_source,
        parting=parting,
        seed=order.seed,
        threads=order.threads,
        pictures="digit" if order.data_source in DIGIT_SOURCES else "resize",
        initial=initial,
        options={"data_seed": parting.seed, "shaping": order.source.given()},
        time_limit=order.time_limit,
        target_accuracy=None if parting.by_heart is None else 1.0,
    )


def run_to_end(run: Run, order: Order) -> RunResult:
    """Train with progress; Ctrl-C ends it after the step under way, with a checkpoint.

    Raises:
        KeyboardInterrupt: after the checkpoint was written.
    """
    messages = order.messages
    messages.say("Preparing the engine; on a new machine it compiles first, for some seconds.")
    if note := run.training.preprocessing.note:
        messages.say(note)
    with run.directory.dropped_if_empty():
        run.warm_up()
    with (
        Interruption() as interruption,
        ProgressView(run, messages) as view,
        watching(run, order) as watch,
    ):
        try:
            for event in run.events():
                watch(event)
                if interruption.wanted:  # saved before a word, for the terminal may have gone
                    run.leave()
                    break
                view.show(event)
        except Diverged:
            write_page(run, messages)
            raise
    if interruption.wanted:
        write_page(run, messages)
        Messages().say(
            f"After step {run.training.progress.step:,} everything was saved. "
            f"Go on with: convcli train --resume {run.directory.path}"
        )
        raise KeyboardInterrupt
    if run.training.stopped_because:
        messages.say(run.training.stopped_because)
    if run.training.doubt:
        messages.say(run.training.doubt)
    result = run.finish()
    write_page(run, messages)
    return result


@contextmanager
def watching(run: Run, order: Order) -> Iterator[Callable[[StepDone | Epoch], None]]:
    """Yield what else looks at each event: TensorBoard's file, if it was asked for, or nothing."""
    if not order.tensorboard:
        yield lambda _: None
        return
    from convcli.cli.train_events import event_log

    with event_log(run, order.messages) as watch:
        yield watch


def write_page(run: Run, messages: Messages) -> None:
    """Write report.html into the run directory; a run is whole without it: nothing fails here."""
    from convcli.present.run_page import write_run_page

    place = run.directory.path
    try:
        path = write_run_page(place, run.training.data, threads=run.training.threads)
    except Exception as problem:  # hours of training must not end in a lost page
        messages.say(f"The report could not be written: {problem} Again: convcli report {place}")
    else:
        messages.say(f"Report: {path}")


def finish(order: Order, run: Run, result: RunResult) -> None:
    """Show the figures; hold them against `--fail-under`."""
    show_result(result_report(run, result), run, order.style, order.messages)
    finish_check(
        order, result.val_accuracy if result.test_accuracy is None else result.test_accuracy
    )


def finish_check(order: Order, measured: float | None) -> None:
    """Hold an accuracy against `--fail-under`.

    Raises:
        CheckError: it is lower.
    """
    if order.fail_under is None:
        return
    if measured is None:
        raise UsageError("--fail-under needs test or validation samples, and there are none.")
    if measured < order.fail_under:
        raise CheckError(
            f"The accuracy is {measured:.4f}, under the {order.fail_under:g} of --fail-under."
        )
