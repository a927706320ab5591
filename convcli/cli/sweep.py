"""`convcli sweep`: many trainings, compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from convcli.cli import train_options as options
from convcli.cli.console import Messages
from convcli.cli.options import (
    ForceOption,
    FormatOption,
    QuietOption,
    SeedOption,
    refuse_beside_resume,
    takes,
)
from convcli.data.source import Source

HELP = """Train a network with many settings and compare what comes of them.

NAME=VALUES is an axis: a variable of the network (n=1,2,4), or a setting of the training: network
epochs batch lr optimizer momentum weight-decay schedule augment loss label-smoothing class-weights
clip ema patience. A range is LOW..HIGH, with :log for equal ratios, and :7 for seven points in a
grid. Values with commas of their own are parted by semicolons.

Trials are compared by validation samples; the test samples are not read. What is finished is kept:
--resume goes on after a kill.
"""

EXAMPLES = """Examples:

  convcli sweep rps n=1,2,4,8,16,32 --data photos --epochs 20 --seeds 3

  convcli sweep mnist lr=1e-3..1e-1:log batch=32,128 --search random --trials 12 --data digits

  convcli sweep mnist lr=1e-4..1:log --search halving --trials 27 --epochs 9

  convcli sweep network=har,har-lstm --data activity.csv --window 128 --overlap 0.5

  convcli sweep --resume runs/sweep
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("sweep", help=HELP, epilog=EXAMPLES)(sweep)


@takes(source=Source)
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
    search: Annotated[
        Literal["grid", "random", "halving", "optuna"],
        typer.Option(
            "--search",
            help="Every combination; by chance; many for a short time and the best for longer; or "
            "by Optuna.",
        ),
    ] = "grid",
    trials: Annotated[
        int | None,
        typer.Option("--trials", min=1, help="How many, if not a grid [20].", show_default=False),
    ] = None,
    factor: Annotated[
        int, typer.Option("--factor", min=2, help="Halving: one in so many goes on to a rung.")
    ] = 3,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Train each trial with so many seeds.")
    ] = 1,
    *,
    source: Source,
    recipe: options.RecipeOption = None,
    epochs: options.EpochsOption = None,
    batch: options.BatchOption = None,
    rate: options.RateOption = None,
    val: options.ValOption = None,
    patience: options.PatienceOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="Directory.", show_default="runs/DATE-sweep"
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="DIR", help="Go on with a sweep.", show_default=False),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=0, help="Processes; 0 means one on each core.")
    ] = 0,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Train on the workers of a Dask scheduler, such as tls://10.0.0.1:8786. It runs "
            "code for whoever reaches its port: tcp:// only in a network that you trust.",
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = 0,
    style: FormatOption = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.sweep_plan import Plan, make_plan, read_plan

    figures = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": rate,
        "validation": val,
        "patience": patience,
    }
    plan: Plan
    if resume is None:
        plan = make_plan(
            words or [],
            search=search,
            trials=trials,
            factor=factor,
            seeds=seeds,
            seed=seed,
            source=source.name,
            shaping=source.given(),
            recipe=recipe,
            figures={name: value for name, value in figures.items() if value is not None},
        )
    else:
        refuse_beside_resume(context, ("jobs", "cluster", "style", "quiet"), "sweep")
        plan = read_plan(resume)
    from convcli.cli.sweep_run import sweep_all

    sweep_all(
        plan,
        resume=resume,
        out=out,
        processes=jobs,
        cluster=cluster,
        messages=Messages(quiet=quiet),
        style=style,
        force=force,
    )
