"""`convcli gradcheck`: every layer's gradient against finite differences."""

from __future__ import annotations

from typing import Annotated

import typer

from convcli.cli.console import Messages, emit
from convcli.cli.options import FormatOption, QuietOption, SeedOption
from convcli.errors import CheckError

HELP = """Check the gradients of a network's layers against finite differences, in float64.

NETWORK is a preset, a file, or words: input HxWxC, then layers with commas between. Exit code 5
when a gradient does not hold.
"""

EXAMPLES = """Examples:

  convcli gradcheck mnist

  convcli gradcheck input 8x8x3, conv 4 3 relu, bn, gap, dense 2 softmax
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("gradcheck", help=HELP, epilog=EXAMPLES, no_args_is_help=True)(gradcheck)


def gradcheck(
    network: Annotated[
        list[str], typer.Argument(help="Preset, file, or words.", metavar="NETWORK...")
    ],
    samples: Annotated[int, typer.Option(min=1, help="Samples in the random batch.")] = 2,
    seed: SeedOption = 0,
    style: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Parse, check, render."""
    from convcli.learn.gradcheck import TOLERANCE
    from convcli.learn.gradcheck import gradcheck as check_gradients
    from convcli.net import network as look_up
    from convcli.report import Column, Report

    checks = check_gradients(look_up(" ".join(network)), seed=seed, samples=samples)
    columns = (
        Column("layer", "layer"),
        Column("array", "with respect to"),
        Column("places", "places", "right"),
        Column("error", "largest relative error", "right", lambda error: f"{error:.1e}"),
        Column("holds", "holds"),
    )
    rows = tuple((c.layer, c.array, c.places, c.error, c.holds) for c in checks)
    wrong = [c for c in checks if not c.holds]
    note = (
        f"Central differences in float64; an error below {TOLERANCE:.0e} holds. Places where the "
        f"network bends (a ReLU at zero, equal maxima) are passed over."
    )
    emit(Report("Gradients against finite differences", columns, rows, notes=(note,)), style)
    if wrong:
        worst = max(wrong, key=lambda c: c.error)
        raise CheckError(
            f"{len(wrong)} of {len(checks)} gradients do not hold; the worst is {worst.array} of "
            f"{worst.layer}: {worst.error:.1e}, and at most {TOLERANCE:.0e} is right."
        )
    Messages(quiet=quiet).say(f"All {len(checks)} gradients hold.")
