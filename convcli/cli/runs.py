"""`convcli runs`: what has been trained, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convcli.cli.options import FormatOption, QuietOption

if TYPE_CHECKING:
    from convcli.learn.rundir import RunDirectory
    from convcli.report import Report

HELP = """List the runs in a folder, newest last, or compare several: what differs between them,
and what came of it.
"""

EXAMPLES = """Examples:

  convcli runs

  convcli runs --sort test_accuracy

  convcli runs runs/first runs/second
"""

SortKey = Literal["started", "val_accuracy", "test_accuracy", "train_seconds", "params"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("runs", help=HELP, epilog=EXAMPLES)(runs)


def runs(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="A folder of runs, or two and more runs to compare.",
            show_default="runs",
        ),
    ] = None,
    sort: Annotated[SortKey, typer.Option("--sort", help="Which comes last.")] = "started",
    style: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import Messages, emit
    from convcli.errors import InputError
    from convcli.learn.rundir import RunDirectory, find_runs

    if places and len(places) > 1:
        emit(comparison_report([RunDirectory(place) for place in places]), style)
        return
    folder = places[0] if places else Path("runs")
    found = []
    for directory in find_runs(folder):
        try:
            found.append((directory, directory.read_record()))
        except InputError as problem:
            Messages(quiet=quiet).say(str(problem))
    if not found:
        raise InputError(f"There are no runs in {folder}. Train first: convcli train")
    emit(list_report(sorted(found, key=lambda item: _sort_key(item[1], sort))), style)


def _sort_key(record: dict[str, Any], key: str) -> tuple[bool, Any]:
    value = record.get(key) if key == "started" else figures_of(record).get(key)
    known = isinstance(value, str if key == "started" else int | float)
    return (known, value if known else 0)


def figures_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a finished run, none of one that is not."""
    result = record.get("result")
    return result if isinstance(result, dict) else {}


def list_report(found: list[tuple[RunDirectory, dict[str, Any]]]) -> Report:
    """Return one row for each run."""
    from convcli.report import Column, Report
    from convcli.report.numbers import as_seconds, percent

    columns = (
        Column("run", "run"),
        Column("status", "status"),
        Column("data", "data"),
        Column("epochs", "epochs", "right"),
        Column("params", "parameters", "right"),
        Column("val_accuracy", "validation", "right", percent),
        Column("test_accuracy", "test", "right", percent),
        Column("train_seconds", "trained", "right", lambda s: "-" if s is None else as_seconds(s)),
    )
    rows = []
    for directory, record in found:
        result = figures_of(record)
        figures = (result.get(column.key) for column in columns[4:])
        rows.append(
            (
                directory.path.as_posix(),
                record.get("status"),
                record.get("data"),
                record.get("epochs_done"),
                *figures,
            )
        )
    return Report(
        title="",
        columns=columns,
        rows=tuple(rows),
        notes=tuple(
            f"{directory.path.as_posix()} died: go on with convcli train --resume "
            f"{directory.path.as_posix()}"
            for directory, record in found
            if record.get("status") == "died"
        ),
        document=[{"run": d.path.as_posix(), **record} for d, record in found],
    )


def comparison_report(directories: list[RunDirectory]) -> Report:
    """Return what differs between runs, one row a figure, and their results."""
    from convcli.report import Column, Report

    flat = [_flattened(directory.read_record()) for directory in directories]
    keys = list(dict.fromkeys(key for record in flat for key in record))
    columns = (
        Column("figure", "figure"),
        *(
            Column(f"run{number}", directory.path.name, "right", _cell)
            for number, directory in enumerate(directories, start=1)
        ),
    )
    rows = tuple(
        (key, *(record.get(key) for record in flat))
        for key in keys
        if len({repr(record.get(key)) for record in flat}) > 1
    )
    return Report(title="What differs", columns=columns, rows=rows)


def _flattened(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if key == "process":
            continue
        if isinstance(value, dict):
            flat |= _flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = tuple(value) if isinstance(value, list) else value
    return flat


def _cell(value: Any) -> str:
    from convcli.report.value import as_text

    return as_text(value)
