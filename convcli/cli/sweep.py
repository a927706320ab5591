"""`convcli sweep`: many trainings, compared."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.options import FileOutput, Given, refuse_beside_resume, takes
from convcli.data.source import Source
from convcli.learn.recipes import Recipe
from convcli.sweep.space import SETTINGS
from convcli.sweep.spec import SweepPlace, SweepSpec, read_spec, read_words

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.sweep.sweep import Sweep

HELP = f"""Train a network with many settings and compare what comes of them.

NAME=VALUES is an axis: a variable of the network (n=1,2,4), or a setting of the training:
{", ".join(SETTINGS)}.
A range is LOW..HIGH, with :log for equal ratios, and :7 for seven points in a
grid. Values with commas of their own are parted by semicolons.

Trials are compared by validation samples; the test samples are not read. What is finished is kept:
--resume goes on after a kill.
"""

EXAMPLES = """Examples:

  convcli sweep rps n=2,8,32 --data photos --epochs 5 --seeds 3

  convcli sweep mnist lr=1e-3..1e-1:log batch=32,128 --search random --trials 4 --samples 2000

  convcli sweep mnist lr=1e-4..1:log --search halving --trials 9 --epochs 3

  convcli sweep network=har,har-lstm --data activity.csv --window 128 --epochs 2

  convcli sweep rps n=1,2 --samples 90 --epochs 2 --monitor loss

  convcli sweep --resume runs/sweep
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("sweep", help=HELP, epilog=EXAMPLES)(sweep)


BESIDE_RESUME = ("jobs", "cluster", "tensorboard", "format", "table", "quiet")
"""Fields that mean something where the sweep decides all others."""


@takes(spec=SweepSpec, source=Source, settings=Given(Recipe), where=SweepPlace, output=FileOutput)
def sweep(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NETWORK] NAME=VALUES...",
            help="A preset, a file, or a network in words as one argument; then the axes.",
            show_default=False,
        ),
    ] = None,
    *,
    spec: SweepSpec,
    source: Source,
    settings: dict[str, Any],
    where: SweepPlace,
    output: FileOutput,
) -> None:
    """Parse, call, emit."""
    if where.resume is None:
        spec = replace(spec, source=source, settings=settings)
        spec = read_words(spec, words or [])
    else:
        refuse_beside_resume(context, BESIDE_RESUME, "sweep")
        spec = read_spec(where.resume)
    from convcli.files import write_text
    from convcli.present.sweep import PAGE, sweep_charts, sweep_page, sweep_report, write_pictures
    from convcli.report.document import render_document
    from convcli.sweep.sweep import make_sweep

    messages = output.messages
    if where.tensorboard:
        from convcli.exchange.event_log import check_tensorboard

        check_tensorboard()
    with messages.counted() as progress:
        made = make_sweep(spec, where, messages.say, progress, force=output.force)
    _train_all(made, messages, tensorboard=where.tensorboard)
    place = made.kept.path
    charts = sweep_charts(made, spec.read_axes())
    pictures = write_pictures(made, charts, place)
    split = output.format == "csv"
    report = sweep_report(made, spec, place, pictures, split=split)
    page = render_document(sweep_page(made, spec, report, charts))
    write_text(place / PAGE, page, force=True)
    output.emit_summary(report)


def _train_all(sweep: Sweep, messages: Messages, *, tensorboard: bool) -> None:
    """Train with one bar over all trainings of a round, and a line for each.

    Raises:
        KeyboardInterrupt: after it was said how to go on.
    """
    from convcli.cli.console import Messages, handling
    from convcli.present.sweep import finished_line
    from convcli.present.training_events import note_history
    from convcli.sweep.search import Round

    messages.say("Preparing the engine; on a new machine it compiles first, for some seconds.")
    try:
        with handling(signal.default_int_handler), messages.progress() as progress:
            for event in sweep.events():
                if isinstance(event, Round):
                    bar = progress.add_task("trainings", total=len(event.trials) * len(sweep.seeds))
                    if event.epochs is not None:
                        messages.say(f"Rung: {len(event.trials)} trials, epochs {event.epochs}.")
                    continue
                messages.say(finished_line(event, sweep.trial(event.job)))
                if tensorboard and not event.kept:
                    folder = sweep.kept.folder(event.job).path
                    note_history(folder, sweep.histories[event.job.name])
                progress.advance(bar)
    except KeyboardInterrupt:
        Messages().say(
            f"{sweep.kept.count()} finished trainings are kept. "
            f"Go on with: convcli sweep --resume {sweep.kept.path}"
        )
        raise
