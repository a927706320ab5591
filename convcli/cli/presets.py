"""`convcli presets`: the networks that come with the program."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from convcli.cli.console import emit
from convcli.cli.options import FormatOption

HELP = """List the networks that come with the program, with their totals, or print one as text.

The text is a .net file: save it, change it, and give the file to any command.
"""

EXAMPLES = """Examples:

  convcli presets

  convcli presets unet

  convcli presets lenet5 > my.net
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("presets", help=HELP, epilog=EXAMPLES)(presets)


def presets(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this preset's text.", show_default=False),
    ] = None,
    style: FormatOption = None,
) -> None:
    """Print the presets' totals, or one preset's text."""
    from convcli.net import preset_text

    if name is None:
        emit(_listing(), style)
        return
    text = preset_text(name)
    if style == "json":
        from convcli.report import to_json

        sys.stdout.write(to_json({"name": name, "text": text}) + "\n")
        return
    sys.stdout.write(text)


def _listing() -> Any:
    """Return all presets with the totals that their traces give."""
    from convcli.net import network, preset_names
    from convcli.present.network_table import sizes_text
    from convcli.report import Column, Report
    from convcli.report.numbers import with_prefix

    rows = []
    for name in preset_names():
        found = network(name)
        totals = found.trace().totals
        rows.append((name, found.input_shape, totals.params, totals.macs, totals.receptive_field))
    return Report(
        title="",
        columns=(
            Column("name", "Preset"),
            Column("input", "Input"),
            Column("params", "Params", "right"),
            Column("macs", "MACs", "right", with_prefix),
            Column("receptive_field", "Field", "right", sizes_text),
        ),
        rows=tuple(rows),
        notes=("convcli shape NAME gives every layer, convcli presets NAME the text.",),
    )
