"""`convcli report`: a run as a page, or several side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convcli.cli.options import ForceOption, QuietOption, Style, ThreadsOption
from convcli.errors import ConvcliError, InputError, OutputExistsError, UsageError

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.report.document import Document

HELP = (
    "Write a run as one HTML page, or several runs side by side on one.\n\n"
    "The page of one run goes into its directory, in place of the one that training left there. "
    "A folder stands for all runs in it. A page needs no network and no script, and prints well."
)

EXAMPLES = """Examples:

  convcli report runs/first

  convcli report runs/first runs/second -o comparison.html

  convcli report runs/sweep --format json
"""

COMPARISON = Path("comparison.html")
SUFFIXES = {".html", ".htm"}


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("report", help=HELP, epilog=EXAMPLES)(report)


def report(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs, or folders of runs."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Where the page goes.",
            show_default="report.html in the run; of several: comparison.html",
        ),
    ] = None,
    threads: ThreadsOption = 0,
    style: Annotated[
        Style | None,
        typer.Option(
            "--format",
            help="Print the runs' figures in this form instead of writing a page; with -o both.",
            show_default=False,
        ),
    ] = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import Messages, emit

    runs = list(dict.fromkeys(run for place in places for run in runs_at(place)))
    messages = Messages(quiet=quiet)
    if style is None or output is not None:
        path = output or (runs[0] / "report.html" if len(runs) == 1 else COMPARISON)
        _check(path, renewed=output is None and len(runs) == 1, force=force)
        document = _document(runs, path, messages, threads, force=force)
        _write(document, path, messages)
    if style is not None:
        from convcli.present.comparison import figures_report
        from convcli.present.facts import read_runs

        emit(figures_report(read_runs(runs)), style)


def runs_at(place: Path) -> list[Path]:
    """Return the run at a place, or all runs in a folder.

    Raises:
        InputError: there is none.
    """
    from convcli.learn.rundir import RECORD, find_runs

    if (place / RECORD).is_file():
        return [place]
    found = sorted((directory.path for directory in find_runs(place)), key=_by_numbers)
    if not found:
        raise InputError(f"There is no run in {place}. Train first: convcli train -o {place}")
    return found


def _by_numbers(path: Path) -> list[tuple[bool, int, str]]:
    """Return a key that puts n2 before n16.

    >>> [path.name for path in sorted([Path("n16"), Path("n2")], key=_by_numbers)]
    ['n2', 'n16']
    """
    parts = re.split(r"(\d+)", path.as_posix())
    return [(p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]


def _check(path: Path, *, renewed: bool, force: bool) -> None:
    """Refuse a place that would lose something; a page of ours in its own run is renewed."""
    from convcli.files import check_target
    from convcli.present.run_page import is_run_page

    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: the page is written as HTML; name it {path.stem}.html.")
    check_target(path, force=force or (renewed and is_run_page(path)))


def _document(
    runs: list[Path], path: Path, messages: Messages, threads: int, *, force: bool
) -> Document:
    """Return the page of one run or of several.

    Raises:
        OutputExistsError: the page there shows samples that cannot be had any more.
    """
    if len(runs) > 1:
        from convcli.present.comparison import comparison_document

        return comparison_document(runs)
    from convcli.learn.rundata import load_run_data
    from convcli.learn.rundir import RunDirectory
    from convcli.present.run_page import has_samples, run_document

    data, missing = None, ""
    try:
        with messages.counted() as progress:
            data = load_run_data(RunDirectory(runs[0]), progress)
    except ConvcliError as problem:
        missing = str(problem)
        if path.exists() and not force and has_samples(path):
            raise OutputExistsError(
                f"{path} shows samples that cannot be had now, so it was kept. {missing} "
                "Use --force to replace it all the same, or another place with -o."
            ) from None
        messages.say(f"Without the samples: {missing}")
    return run_document(runs[0], data, missing=missing, threads=threads)


def _write(document: Document, path: Path, messages: Messages) -> None:
    from convcli.files import write_text
    from convcli.report.document import render_document
    from convcli.report.numbers import as_bytes

    write_text(path, render_document(document), force=True)
    messages.say(f"{path}: {as_bytes(path.stat().st_size)}; open it in a browser.")
