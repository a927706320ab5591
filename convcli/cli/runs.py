"""`convcli runs|report|page`: what has been trained, side by side, as pages, and live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from convcli.cli.options import FileOutput, Output, ThreadsOption, load_labeled, load_source, takes
from convcli.data.source import Source
from convcli.errors import ConvcliError, InputError, OutputExistsError, UsageError
from convcli.net.lookup import model_path, names_network, network
from convcli.option import option
from convcli.report.formats import STYLES
from convcli.report.numbers import as_bytes

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.report.document import Document

COMPARISON = Path("comparison.html")
PAGES = (".html", ".htm")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("runs", epilog=RUNS_EXAMPLES)(runs)
    app.command("report", epilog=REPORT_EXAMPLES)(report)
    app.command("page", epilog=PAGE_EXAMPLES)(page)


RUNS_EXAMPLES = """Examples:

  convcli runs

  convcli runs --sort test_accuracy

  convcli runs runs/first runs/second
"""


@takes(out=Output)
def runs(
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="A folder of runs, or two and more runs to compare.",
            show_default="runs",
        ),
    ] = None,
    *,
    sort: Literal["started", "val_accuracy", "test_accuracy", "train_seconds", "params"] = option(
        "Which comes last.", default="started"
    ),
    out: Output,
) -> None:
    """List the runs in a folder, newest last, or compare several.

    A comparison shows what differs between them, and what came of it.
    """
    from convcli.learn.run_directory import RunDirectory, find_runs
    from convcli.present.comparison import differences_report, list_report

    if places and len(places) > 1:
        out.emit(differences_report([RunDirectory(place) for place in places]))
        return
    folder = places[0] if places else Path("runs")
    found = []
    for directory in find_runs(folder):
        try:
            found.append((directory, directory.read_record()))
        except InputError as problem:
            out.messages.say(str(problem))
    if not found:
        raise InputError(f"There are no runs in {folder}. Train first: convcli train")
    out.emit(list_report(found, sort))


REPORT_EXAMPLES = """Examples:

  convcli report runs/first

  convcli report runs/first runs/second -o comparison.html

  convcli report runs --format json
"""


@dataclass(frozen=True)
class PageOutput(FileOutput):
    """Where a page goes, or in which form its figures are printed."""

    format: str | None = option(
        "Print the runs' figures in this form instead of writing a page; with -o both.",
        metavar="FORMAT",
        choices=STYLES,
    )
    output: Path | None = option(
        "Where the page goes.",
        "-o",
        "--output",
        show_default="report.html in the run; of several: comparison.html",
    )


@takes(out=PageOutput)
def report(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs, or folders of runs."),
    ],
    *,
    threads: ThreadsOption = 0,
    out: PageOutput,
) -> None:
    """Write a run as one HTML page, or several runs side by side on one.

    The page of one run goes into its directory, in place of the one that training left there. A
    folder stands for all runs in it. A page needs no network and no script, and prints well.
    """
    from convcli.present.facts import runs_at

    found = list(dict.fromkeys(run for place in places for run in runs_at(place)))
    if out.format is None or out.output is not None:
        path = out.output or (found[0] / "report.html" if len(found) == 1 else COMPARISON)
        _check(path, renewed=out.output is None and len(found) == 1, force=out.force)
        document = _document(found, path, out.messages, threads, force=out.force)
        _write(document, path, out.messages)
    if out.format is not None:
        from convcli.present.comparison import figures_report
        from convcli.present.facts import read_runs

        out.emit(figures_report(read_runs(found)))


def _check(path: Path, *, renewed: bool, force: bool) -> None:
    """Refuse a place that would lose something; a page of ours in its own run is renewed."""
    from convcli.files import check_target
    from convcli.present.run_page import is_run_page

    if path.suffix.lower() not in PAGES:
        raise UsageError(f"{path}: the page is written as HTML; name it {path.stem}.html.")
    check_target(path, force=force or (renewed and is_run_page(path)))


def _document(
    found: list[Path], path: Path, messages: Messages, threads: int, *, force: bool
) -> Document:
    """Return the page of one run or of several.

    Raises:
        OutputExistsError: the page there shows samples that cannot be had any more.
    """
    if len(found) > 1:
        from convcli.present.comparison import comparison_document

        return comparison_document(found)
    from convcli.learn.run import load_run_data
    from convcli.learn.run_directory import RunDirectory
    from convcli.present.run_page import has_samples, run_document

    data, missing = None, ""
    try:
        with messages.counted() as progress:
            data = load_run_data(RunDirectory(found[0]), progress)
    except ConvcliError as problem:
        missing = str(problem)
        if path.exists() and not force and has_samples(path):
            raise OutputExistsError(
                f"{path} shows samples that cannot be had now, so it was kept. {missing} "
                "Use --force to replace it all the same, or another place with -o."
            ) from None
        messages.say(f"Without the samples: {missing}")
    return run_document(found[0], data, missing=missing, threads=threads)


def _write(document: Document, path: Path, messages: Messages) -> None:
    from convcli.files import write_text
    from convcli.report.document import render_document

    write_text(path, render_document(document), force=True)
    messages.say(f"{path}: {as_bytes(path.stat().st_size)}; open it in a browser.")


PAGE_EXAMPLES = """Examples:

  convcli page runs/first/model.safetensors

  convcli page runs/first -o lesson.html --data digits --title "Digits, layer by layer"

  convcli page "input 2, dense 6 tanh, dense 6 tanh, dense 2 softmax" -o play.html
"""


@takes(source=Source, out=FileOutput)
def page(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A run's directory, a model, or a network in words or by name that is to learn.",
        ),
    ],
    *,
    output: Path | None = option(
        "Where the page goes.", "-o", "--output", show_default="MODEL_page.html"
    ),
    title: str | None = option("Heading of the page.", show_default="the network's name"),
    source: Source,
    out: FileOutput,
) -> None:
    """Write a page where one draws and watches every layer answer; it works without a network.

    Samples of the data that the model was trained on, or of --data, are on it, and a network can
    learn from them there. A network of two inputs gets a plane with points to tell apart.
    """
    from convcli.files import write_text
    from convcli.learn.evaluation import chosen_samples
    from convcli.learn.modelfile import load
    from convcli.present.live_page import live_page, untrained

    found = network(model) if names_network(model) else None
    path = Path(f"{found.name}.net") if found else model_path(Path(model))
    place = out.place(output, path, "page", inputs=[path], suffixes=PAGES)
    chosen = None
    if found:
        data = None if source.name is None else load_source(source, out.messages)
        trained = untrained(found, data)
        if data is not None:
            chosen = chosen_samples(trained, data)
    else:
        trained = load(path)
        try:
            chosen = load_labeled(trained, source, None, out.messages)
        except ConvcliError as problem:
            if source.name is not None:
                raise
            out.messages.say(f"Without samples to choose from: {problem}")
    write_text(place, live_page(trained, title, chosen), force=out.force, inputs=[path])
    out.tell_page(place, "open it in a browser and draw")
