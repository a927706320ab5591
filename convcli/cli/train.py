"""`convcli train`, `lr-find` and `gradcheck`: from words to a model file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.options import (
    FileOutput,
    Given,
    Output,
    fetched_model,
    refuse_beside_resume,
    refuse_without_effect,
    takes,
)
from convcli.data.source import Source
from convcli.learn.lr_find import LrRange
from convcli.learn.recipes import BESIDE, Assignment, Recipe, TrainRequest
from convcli.option import option
from convcli.present.look import SUFFIXES, Look

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.learn.fit import Epoch, StepDone
    from convcli.learn.run import Run, RunLog, RunResult

HELP = """Train a network and write a model file; without any words: MNIST's digits.

A share of the training samples is held out to choose the best epoch; the test samples are read
once, at the end. Ctrl-C stops after a step and says how to go on.

What is learned follows from the data: one class (dense N softmax last), several labels (dense N
sigmoid), values (dense N), or masks (conv N 1 softmax). The presets har, occupancy and rps take
data that are made on the spot.
"""

EXAMPLES = """Examples:

  convcli train

  convcli train --data digits --samples 6000 --epochs 3

  convcli train --recipe fast --data fashion -o runs/fast

  convcli train input 28x28x1, conv 8 3 relu, gap, dense 10 softmax --epochs 5

  convcli train rps:n=16 --data photos --val 0.2 --patience 5 --augment shift=2

  convcli train --init runs/fashion --head 10 --data digits --samples 600 --freeze 'conv*'

  convcli train --resume runs/fashion

  convcli train --resume runs/fashion --epochs 20

  convcli train --init runs/fashion --phases 'head:2, all:2@0.1' --data digits --samples 600

  convcli train mnist --data digits --samples 600 --steps-per-epoch 20 --calibrate

  convcli train occupancy --samples 600 --monitor loss --patience 3

  convcli train input 32x1, flatten, dense 4 --data waves --loss huber --schedule restarts

  convcli train 'input 32x32x1, conv 8 5 same relu, conv 3 1 softmax' --data shapes --samples 100

  convcli train input 20x9, flatten, dense 18 --data walks.csv --window 20 --forecast 2
"""

LR_FIND_HELP = """Find a learning rate: raise it from step to step and watch the loss fall, then
blow up. The suggestion is a tenth of the learning rate with the smallest loss. Nothing is written.
"""

LR_FIND_EXAMPLES = """Examples:

  convcli lr-find

  convcli lr-find rps:n=16 --data photos --optimizer sgd

  convcli lr-find --data digits --samples 2000 --steps 100 --format csv

  convcli lr-find --data digits --samples 2000 --steps 60 -o losses.pdf --title "Digits"
"""

GRADCHECK_HELP = """Check the gradients of a network's layers against finite differences,
in float64.

NETWORK is a preset, a file, or words: input HxWxC, then layers with commas between. Exit code 5
when a gradient does not hold.
"""

GRADCHECK_EXAMPLES = """Examples:

  convcli gradcheck mnist

  convcli gradcheck input 8x8x3, conv 4 3 relu, bn, gap, dense 2 softmax
"""

BESIDE_RESUME = (
    "epochs", "time_limit", "fail_under", "tensorboard", "log", "threads",
    "format", "table", "quiet", "force",
)  # fmt: skip
"""Fields that mean something where the run decides all others."""

WITHOUT_EPOCHS = (
    "epochs", "lr", "schedule", "ema", "val", "patience", "steps_per_epoch", "phases", "calibrate",
)  # fmt: skip
"""Settings without a meaning for a few steps at learning rates of their own."""

REDRAW_SECONDS = 0.1
LINE_SECONDS = 20.0
"""Where no bar is drawn, an epoch under way says so often how it goes."""

NetworkWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NETWORK]...",
        help="A preset, a file, or a network in words; the recipe's when left out.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("train", help=HELP, epilog=EXAMPLES)(train)
    app.command("lr-find", help=LR_FIND_HELP, epilog=LR_FIND_EXAMPLES)(lr_find)
    app.command("gradcheck", help=GRADCHECK_HELP, epilog=GRADCHECK_EXAMPLES, no_args_is_help=True)(
        gradcheck
    )


@takes(source=Source, settings=Given(Recipe), request=TrainRequest, output=FileOutput)
def train(
    context: typer.Context,
    words: NetworkWords = None,
    *,
    settings: dict[str, Any],
    source: Source,
    request: TrainRequest,
    output: FileOutput,
) -> None:
    """Parse, call, emit."""
    request = replace(
        request,
        words=" ".join(words or ()),
        source=source,
        settings=settings,
        force=output.force,
    )
    request.check()
    if request.resume is not None:  # all else is the run's, or its bits would change
        refuse_beside_resume(context, BESIDE_RESUME, "run")
    if request.init is not None:
        fetched_model(request.init, output.messages)
    request.full_recipe()  # a mistake in it is told before anything is loaded
    messages = output.messages
    from convcli.learn.training import check_results, look_ahead, plan_series
    from convcli.present import training as looks

    if request.tensorboard:
        from convcli.exchange.event_log import check_tensorboard

        check_tensorboard()
    if request.dry_run:
        with messages.counted() as progress:
            figures, recipe = look_ahead(request, messages.say, progress)
        output.emit(looks.estimate_report(figures, recipe))
        return
    log = None
    if request.log is not None:
        from convcli.learn.run import RunLog

        again = request.resume is not None
        log = RunLog(request.log, messages.say, goes_on=again, force=output.force)
    with messages.counted() as progress:
        series = plan_series(request, messages.say, progress)
    results = []
    with ExitStack() as kept:
        if series.place is not None:
            kept.enter_context(series.place.dropped_if_empty())
        for number in series.numbers:
            if series.what:
                messages.say(f"{series.what.capitalize()} {number}:")
            run = series.begin(number)
            results.append(_run_to_end(run, messages, request, log))
    if series.what:
        report = looks.series_report(series, results)
    else:
        report = looks.result_report(run, results[0], BESIDE.get(request.recipe or "", ""))
        if output.drawn:
            columns = get_terminal_size().columns
            sys.stdout.write(looks.fit_curves(run.training.history, columns))
    output.emit_summary(report)
    check_results(request, series, results)


def _run_to_end(
    run: Run, messages: Messages, request: TrainRequest, log: RunLog | None
) -> RunResult:
    """Train with progress; Ctrl-C ends it after the step under way, with a checkpoint.

    Raises:
        KeyboardInterrupt: after the checkpoint was written.
    """
    from convcli.cli.console import Interruption, Messages
    from convcli.learn.fit import Diverged

    messages.say("Preparing the engine; on a new machine it compiles first, for some seconds.")
    with run.directory.dropped_if_empty():
        run.warm_up()
    with (
        Interruption() as interruption,
        _progress(run, messages) as show,
        _watching(run, messages, request, log) as watch,
    ):
        try:
            for event in run.events():
                watch(event)
                if interruption.wanted:  # saved before a word, for the terminal may have gone
                    run.leave()
                    break
                show(event)
        except Diverged:
            _write_page(run, messages)
            raise
    if interruption.wanted:
        _write_page(run, messages)
        Messages().say(
            f"After step {run.training.progress.step:,} everything was saved. "
            f"Go on with: convcli train --resume {run.directory.path}"
        )
        raise KeyboardInterrupt
    for sentence in (run.training.stopped_because, run.training.doubt):
        if sentence:
            messages.say(sentence)
    result = run.finish()
    if log is not None:
        log.result(run, result)
    _write_page(run, messages)
    return result


@contextmanager
def _progress(run: Run, messages: Messages) -> Iterator[Callable[[StepDone | Epoch], None]]:
    """Yield what says a row of a table for each epoch.

    On a terminal a bar under it shows the time left for all epochs; elsewhere a long epoch says now
    and then how it goes.
    """
    from convcli.learn.fit import Epoch
    from convcli.present.training import EpochTable, step_line

    training = run.training
    drawn = told = time.monotonic()
    headed = False
    with messages.progress() as progress:
        width = progress.console.width
        table = EpochTable(training, None if progress.disable else width)
        total = training.recipe.epochs * training.steps_per_epoch
        bar = progress.add_task("training", total=total, completed=training.progress.step)

        def show(event: StepDone | Epoch) -> None:
            nonlocal drawn, told, headed
            now = time.monotonic()
            if isinstance(event, Epoch):
                if not headed:
                    messages.say(table.header(event), "bold")
                    headed = True
                messages.say(table.row(event), "green" if event.best else "")
                told = now
            elif progress.disable and now - told >= LINE_SECONDS:
                messages.say(table.step(event))
                told = now
            elif not progress.disable and now - drawn >= REDRAW_SECONDS:
                line = step_line(event, training.progress.epoch_seconds, width)
                progress.update(bar, completed=training.progress.step, description=line)
                drawn = now

        yield show


@contextmanager
def _watching(
    run: Run, messages: Messages, request: TrainRequest, log: RunLog | None
) -> Iterator[Callable[[StepDone | Epoch], None]]:
    """Yield what else looks at each event: the log and TensorBoard's file, if asked for."""
    with ExitStack() as opened:
        watchers = []
        if request.tensorboard:
            from convcli.present.training_events import event_log

            watchers.append(opened.enter_context(event_log(run, messages.say)))
        if log is not None:
            log.start(run)
            watchers.append(partial(log.watch, run))

        def watch(event: StepDone | Epoch) -> None:
            for one in watchers:
                one(event)

        yield watch


def _write_page(run: Run, messages: Messages) -> None:
    """Write report.html into the run directory; a run is whole without it: nothing fails here."""
    from convcli.present.run_page import write_run_page

    place = run.directory.path
    try:
        path = write_run_page(place, run.training.data, threads=run.training.threads)
    except Exception as problem:  # hours of training must not end in a lost page
        messages.say(f"The report could not be written: {problem} Again: convcli report {place}")
    else:
        messages.say(f"Report: {path}")


@takes(
    source=Source,
    settings=Given(Recipe, without=WITHOUT_EPOCHS),
    assignment=Assignment,
    tried=LrRange,
    look=Given(Look),
    output=FileOutput,
)
def lr_find(
    words: NetworkWords = None,
    *,
    source: Source,
    settings: dict[str, Any],
    tried: LrRange,
    assignment: Assignment,
    figure: Path | None = option("Draw the losses into this .png, .svg or .pdf.", "-o", "--output"),
    look: dict[str, Any],
    output: FileOutput,
) -> None:
    """Parse, call, emit."""
    if figure is None:
        refuse_without_effect({f"--{name}": value for name, value in look.items()}, "with -o")
    else:
        output.place(figure, "", "", suffixes=SUFFIXES)
    assignment = replace(assignment, words=" ".join(words or ()), source=source, settings=settings)
    assignment.full_recipe()
    from convcli.learn import lr_find as finder
    from convcli.learn.training import throwaway
    from convcli.present.training import lr_chart, lr_report
    from convcli.report.curves import draw_chart

    messages = output.messages
    with messages.counted() as counted:
        training = throwaway(assignment, messages.say, counted)
    with messages.progress() as progress:
        steps = finder.lr_find(training, tried)
        points = list(progress.track(steps, total=tried.steps, description="learning rates"))
    suggestion = finder.suggest_lr(points)
    chart = lr_chart(points, suggestion)
    if output.drawn and len(points) > 1:
        sys.stdout.write(draw_chart(chart) + "\n\n")
    output.emit(lr_report(points, suggestion))
    if figure is not None:
        from convcli.present.figures import save_charts

        saved = save_charts([chart], figure, Look(**look), force=output.force)
        messages.say("\n".join(saved.sentences))


@takes(output=Output)
def gradcheck(
    network: Annotated[
        list[str], typer.Argument(help="Preset, file, or words.", metavar="NETWORK...")
    ],
    samples: Annotated[int, typer.Option(min=1, help="Samples in the random batch.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, samples and places.")] = 0,
    *,
    output: Output,
) -> None:
    """Parse, call, emit."""
    from convcli.learn import gradcheck as checker
    from convcli.net import network as look_up
    from convcli.present.training import gradient_report

    checks = checker.gradcheck(look_up(" ".join(network)), seed=seed, samples=samples)
    output.emit(gradient_report(checks, checker.TOLERANCE))
    checker.require(checks)
    output.messages.say(f"All {len(checks)} gradients hold.")
