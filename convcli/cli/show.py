"""`convcli show`: what a trained model has learned and sees, as pictures."""

from __future__ import annotations

import typer

from convcli.cli import show_curves, show_run, show_sample, show_weights, show_window

HELP = """See what a trained model learned and looks at: as a picture, in the
terminal, as JSON.

Every command writes a picture: -o, or NAME_WHAT.png beside its input. On a
terminal, or with --format table, it is drawn there too.
"""

EXAMPLES = """Examples:

  convcli show filters runs/mnist

  convcli show activations model.safetensors digit.png -o maps.png

  convcli show cam model.safetensors digit.png --class 3
"""


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    show = typer.Typer(help=HELP, epilog=EXAMPLES, no_args_is_help=True)
    for commands in (show_weights, show_sample, show_window, show_run, show_curves):
        commands.register(show)
    app.add_typer(show, name="show")
