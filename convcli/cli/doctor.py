"""`convcli doctor`: what this installation runs on, and everything compiled once on request."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import typer

from convcli.cli.options import Output, takes
from convcli.option import option

if TYPE_CHECKING:
    from convcli.cli.console import Messages

EXAMPLES = """Examples:

  convcli doctor

  convcli doctor --warm

  convcli doctor --format json
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("doctor", epilog=EXAMPLES)(doctor)


@takes(out=Output)
def doctor(
    *,
    warm: bool = option("Compile once what commands compile at first use.", default=False),
    out: Output,
) -> None:
    """Show versions, processor, engine and caches; what is missing, and how to get it."""
    from convcli.present.installation import installation_report

    if warm:
        _warm(out.messages)
    out.emit(installation_report())


def _warm(messages: Messages) -> None:
    """Run every kind of work once on something small, in all processors, with progress."""
    from convcli.api.training import fit
    from convcli.data import load_dataset
    from convcli.engine.calls import Operation, compile_operations
    from convcli.engine.compilation import compile_together
    from convcli.environment import thread_count
    from convcli.imaging.apply import warm_filters
    from convcli.ops import lowering

    messages.say("Compiling everything once; this takes a minute the first time.")
    with messages.progress() as progress:
        task = progress.add_task("compiling", total=None)

        def told(name: str, work: Callable[[], object]) -> None:
            progress.update(task, description=name)
            work()

        told(
            f"{len(lowering.KINDS)} kinds of layers",
            lambda: compile_operations(Operation.known, thread_count()),
        )
        compile_together(
            [partial(told, f"filter: {name}", work) for name, work in warm_filters()],
            thread_count(),
        )
        progress.update(task, description="made digits")
        data = load_dataset("digits", samples=200)
        progress.update(task, description="training and prediction")
        augment = "shift=2,rotate=10,scale=0.1,elastic=1"
        training = fit("mnist", data, epochs=1, augment=augment)
        for _ in training:
            pass
        training.best_model().predict(data.train.samples)
