"""`convcli doctor`: what this installation runs on, and everything compiled once on request."""

from __future__ import annotations

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
    """Run every kind of work once on something small, with progress."""
    from convcli.api.training import fit
    from convcli.data import load_dataset
    from convcli.imaging.apply import warm_filters

    messages.say("Compiling everything once; this takes a minute the first time.")
    with messages.progress() as progress:
        task = progress.add_task("compiling", total=None)
        for name in warm_filters():
            progress.update(task, description=f"filter: {name}")
        progress.update(task, description="made digits")
        data = load_dataset("digits", samples=200)
        progress.update(task, description="training and prediction")
        augment = "shift=2,rotate=10,scale=0.1,elastic=1"
        training = fit("mnist", data, epochs=1, augment=augment)
        for _ in training.events():
            pass
        training.best_model().predict(data.train.samples)
