"""`convcli doctor`: what this installation runs on, and everything compiled once on request."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from convcli.cli.console import Messages, emit
from convcli.cli.options import FormatOption, QuietOption
from convcli.report import Column, Report

EXAMPLES = """Examples:

  convcli doctor

  convcli doctor --warm

  convcli doctor --format json
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("doctor", epilog=EXAMPLES)(doctor)


def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="Compile once what commands compile at first use.")
    ] = False,
    style: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show versions, processor, engine and caches; what is missing, and how to get it."""
    from convcli.data.published import cache_folder
    from convcli.engine.compilation import compiled_code
    from convcli.engine.host import host
    from convcli.engine.numba_cache import VARIABLES
    from convcli.environment import OPTIONAL, environment, package_version

    if warm:
        _warm(Messages(quiet=quiet))
    facts: dict[str, Any] = dict(environment())
    registers, code = host(), compiled_code()
    facts |= {
        "vector": f"{registers.lanes} floats",
        "tile": f"{registers.tile_rows} x {registers.tile_vectors * registers.lanes}",
        "fused multiply-add": registers.fused,
        "compiled code": code.folder,
        "compiled functions": code.files,
        "compiled bytes": code.size_bytes,
        "damaged and removed": code.mended,
        "data": str(cache_folder("mnist").parent),
    }
    extras = {name: package_version(name) for name in OPTIONAL}
    notes = tuple(
        f"{name} is not installed; {OPTIONAL[name]}" for name in extras if not extras[name]
    )
    if code.problem:
        notes = (f"{code.problem}. {VARIABLES[0]} names another folder.", *notes)
    rows = (*facts.items(), *((name, version) for name, version in extras.items()))
    columns = (Column("fact", "Fact"), Column("value", "Value"))
    emit(Report("", columns, rows, None, notes, facts | {"extras": extras}), style)


def _warm(messages: Messages) -> None:
    """Run every kind of work once on something small, with progress."""
    from convcli.data import load_dataset
    from convcli.imaging.warm import warm_filters
    from convcli.learn.fit import fit

    messages.say("Compiling everything once; this takes a minute the first time.")
    with messages.progress() as progress:
        task = progress.add_task("compiling", total=None)
        for name in warm_filters():
            progress.update(task, description=f"filter: {name}")
        progress.update(task, description="made digits")
        data = load_dataset("digits", count=200)
        progress.update(task, description="training and prediction")
        augment = "shift=2,rotate=10,scale=0.1,elastic=1"
        training = fit("mnist", data, epochs=1, augment=augment)
        for _ in training:
            pass
        training.best_model().predict(data.train.samples)
