"""`convcli lr-find`: which learning rates a network can bear."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from convcli.cli import train_options as options
from convcli.cli.options import FormatOption, QuietOption, SeedOption, ThreadsOption, takes
from convcli.data.source import Source

if TYPE_CHECKING:
    from convcli.learn.ratefinder import RatePoint
    from convcli.report import Report

HELP = """Find a learning rate: raise it from step to step and watch the loss fall, then blow up.
The suggestion is a tenth of the rate with the smallest loss. Nothing is written.
"""

EXAMPLES = """Examples:

  convcli lr-find

  convcli lr-find rps:n=16 --data photos --optimizer sgd

  convcli lr-find --data digits --steps 200 --format csv
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("lr-find", help=HELP, epilog=EXAMPLES)(lr_find)


@takes(source=Source)
def lr_find(
    words: options.NetworkWords = None,
    *,
    source: Source,
    recipe: options.RecipeOption = None,
    batch: options.BatchOption = None,
    optimizer: options.OptimizerOption = None,
    steps: Annotated[int, typer.Option("--steps", min=10, help="Steps of the test.")] = 100,
    lowest: Annotated[float, typer.Option("--from", help="First learning rate.")] = 1e-6,
    highest: Annotated[float, typer.Option("--to", help="Last learning rate.")] = 1.0,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    style: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import Messages, emit
    from convcli.cli.train_order import Order
    from convcli.errors import UsageError
    from convcli.learn.fit import Training
    from convcli.learn.model import Model
    from convcli.learn.prepare import preprocessing_for
    from convcli.learn.ratefinder import try_rates
    from convcli.report.curves import draw_curves

    if not 0 < lowest < highest < float("inf"):
        raise UsageError(f"--from {lowest:g} --to {highest:g}: use 0 < from < to.")
    messages = Messages(quiet=quiet)
    order = Order(
        words=" ".join(words or ()),
        source=source,
        recipe_name=recipe,
        figures={
            name: value
            for name, value in {"batch": batch, "optimizer": optimizer}.items()
            if value is not None
        },
        seed=seed,
        threads=threads,
        messages=messages,
    )
    data = order.load()
    preprocessing = preprocessing_for(data.train.samples)
    model = Model.initialize(order.network_for(data), seed, preprocessing.engine_scaling)
    training = Training(model, data, order.recipe, preprocessing, seed=seed, threads=threads)
    training.warm_up()
    with messages.progress() as progress:
        points = list(
            progress.track(
                try_rates(training, lowest=lowest, highest=highest, steps=steps),
                total=steps,
                description="learning rates",
            )
        )
    if style in {None, "table", "plain"} and len(points) > 1:
        title = f"loss at rates {points[0].rate:.1e} to {points[-1].rate:.1e}, equal ratios apart"
        losses: list[float | None] = [point.loss for point in points]
        drawing = draw_curves({"loss": losses}, title=title, logarithmic=True, ends=_ends(points))
        sys.stdout.write(drawing + "\n\n")
    emit(rates_report(points), style)


def _ends(points: list[RatePoint]) -> tuple[str, str]:
    return f"{points[0].rate:.1e}", f"{points[-1].rate:.1e}"


def rates_report(points: list[RatePoint]) -> Report:
    """Return the suggestion and every tenth of the test."""
    from dataclasses import asdict

    from convcli.learn.ratefinder import suggest_rate
    from convcli.report import Column, Report

    found = suggest_rate(points)
    if found is None:
        note = "The loss never fell: lower --from, or look at the data with convcli data check."
    else:
        note = f"Suggestion: --lr {found:.2g}"
    every = max(1, len(points) // 10)
    return Report(
        title="Learning rates tried",
        columns=(
            Column("rate", "rate", "right", lambda rate: f"{rate:.2e}"),
            Column("loss", "loss", "right", lambda loss: f"{loss:.4f}"),
        ),
        rows=tuple((point.rate, point.loss) for point in points[::every]),
        notes=(note,),
        document={"suggestion": found, "points": [asdict(point) for point in points]},
    )
