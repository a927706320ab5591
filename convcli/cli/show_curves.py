"""`convcli show curves`: how a training went, epoch by epoch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convcli.cli.console import emit_summary
from convcli.cli.options import ForceOption, FormatOption, QuietOption
from convcli.cli.show_output import PictureOption, find_target
from convcli.errors import InputError

if TYPE_CHECKING:
    from convcli.report import Report

CURVES_EXAMPLES = """Examples:

  convcli show curves runs/mnist

  convcli show curves runs/mnist -o curves.svg --format json
"""

Rows = list[dict[str, float | None]]

CURVES = {"loss": ("train_loss", "val_loss"), "accuracy": ("train_accuracy", "val_accuracy")}
"""What is drawn: columns of the history for training and validation samples."""
NAMES = ("training", "validation")


def register(group: typer.Typer) -> None:
    """Add the command to the group."""
    group.command("curves", epilog=CURVES_EXAMPLES)(show_curves)


def show_curves(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's directory, or the model in it.")
    ],
    output: PictureOption = None,
    style: FormatOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw loss and accuracy over the epochs of a training (SVG)."""
    from convcli.learn.rundir import HISTORY, RunDirectory

    directory = RunDirectory(run if run.is_dir() else run.parent)
    history = directory.path / HISTORY
    if not history.is_file():
        raise InputError(
            f"{directory.path} has no {HISTORY}. Curves need a run's directory, such as runs/NAME."
        )
    beside = directory.path / "training.svg"
    target = find_target(output, beside, "curves", force=force, quiet=quiet, suffixes=(".svg",))
    from convcli.files import write_text

    rows = directory.read_history()
    write_text(target.path, _curves_svg(rows), force=target.force)
    if style in {"table", "plain"} or (style is None and not quiet):
        sys.stdout.write(_curves_text(rows))
    emit_summary(_curves_report(rows), style, target.messages)
    target.messages.say(f"{target.path}: {len(rows)} epochs.")


def _known(rows: Rows, column: str) -> list[float | None]:
    return [row.get(column) for row in rows]


def _curves_svg(rows: Rows) -> str:
    from convcli.report.chart import Line, line_chart, stacked

    charts = []
    for what, columns in CURVES.items():
        lines = []
        for name, column in zip(NAMES, columns, strict=True):
            points = [
                (float(number), value)
                for number, value in enumerate(_known(rows, column), start=1)
                if value is not None
            ]
            if points:
                x, y = zip(*points, strict=True)
                lines.append(Line(name, x, y))
        charts.append(line_chart(what, lines, x_label="epoch", y_label=what))
    return stacked(charts)


def _curves_text(rows: Rows) -> str:
    from shutil import get_terminal_size

    from convcli.report.curves import draw_curves

    width = min(get_terminal_size().columns, 100)
    drawn = []
    for what, columns in CURVES.items():
        named = zip(NAMES, (_known(rows, column) for column in columns), strict=True)
        curves = {name: values for name, values in named if any(v is not None for v in values)}
        text = "{:.1%}" if what == "accuracy" else "{:.3g}"
        drawn.append(
            draw_curves(curves, title=what, width=width, text=text, logarithmic=what == "loss")
        )
    return "\n\n".join(drawn) + "\n\n"


def _curves_report(rows: Rows) -> Report:
    from convcli.report import Column, Report

    headers = {
        "number": "epoch",
        "train_loss": "loss",
        "train_accuracy": "accuracy",
        "val_loss": "validation loss",
        "val_accuracy": "validation accuracy",
    }
    columns = tuple(Column(key, header, "right") for key, header in headers.items())
    cells = tuple(tuple(_cell(key, row.get(key)) for key in headers) for row in rows)
    return Report("", columns, cells, None, (), rows)


def _cell(key: str, value: float | None) -> float | int | None:
    return int(value) if key == "number" and value is not None else value
