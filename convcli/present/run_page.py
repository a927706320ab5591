"""A run as one page: what was trained, how it went, what it gets wrong, what it sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from convcli.errors import ConvcliError, InputError
from convcli.files import write_text
from convcli.net import parse_notation
from convcli.present.curves import CURVES, curve_charts, epochs_report
from convcli.present.facts import RunFacts, read_run, setting_text
from convcli.present.network_table import DEFAULT_COLUMNS, shape_report
from convcli.report import Column, Report
from convcli.report.document import (
    GENERATOR,
    Block,
    Document,
    Section,
    chart_figure,
    render_document,
)
from convcli.report.numbers import as_seconds, percent
from convcli.report.value import figure

if TYPE_CHECKING:
    from convcli.data import Dataset, ProgressCallback
    from convcli.learn.modelfile import TrainedModel

PAGE = "report.html"
"""The page's name in a run directory."""


def write_run_page(
    place: Path | str,
    data: Dataset | None = None,
    *,
    path: Path | None = None,
    force: bool = True,
    threads: int = 0,
    progress: ProgressCallback | None = None,
) -> Path:
    """Write the page of a run, `report.html` in its directory unless `path` says, and return where.

    Args:
        place: the run directory.
        data: what it was trained with, parted; read again where left out.
        path: another place for the page.
        force: an existing file may be replaced.
        threads: 0 for all there are.
        progress: called while reading the data takes long.

    Raises:
        InputError: it is no run directory, or the page cannot be written.
        OutputExistsError: the file exists and `force` is off.
    """
    document = run_document(place, data, threads=threads, progress=progress)
    path = path or Path(place) / PAGE
    write_text(path, render_document(document), force=force)
    return path


def is_run_page(path: Path) -> bool:
    """Tell whether a file is a page that was written here, so that it may be renewed."""
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(1000)
    except OSError:
        return False


def has_samples(path: Path) -> bool:
    """Tell whether a page has the sections that need the samples of the run."""
    return b"<h2>Confusion</h2>" in path.read_bytes()


def run_document(
    place: Path | str,
    data: Dataset | None = None,
    *,
    missing: str = "",
    threads: int = 0,
    progress: ProgressCallback | None = None,
) -> Document:
    """Return the page of a run, finished or not; what cannot be had is said in its place.

    Args:
        place: the run directory.
        data: what it was trained with, parted; read again where left out.
        missing: why the data cannot be had, where that is known; they are not looked for then.
        threads: 0 for all there are.
        progress: called while reading the data takes long.

    Raises:
        InputError: it is no run directory, or its record or history is damaged.
    """
    facts = read_run(place)
    return Document(
        title=f"Run {facts.name}",
        lead=_lead(facts),
        sections=(
            Section("Result", (_result_report(facts),), half=True),
            Section("Network", _network_blocks(facts), half=True),
            Section("Learning curves", curve_blocks(facts)),
            *_sections_of_the_model(facts, data, missing, threads, progress),
            Section("Recipe", _recipe_blocks(facts), half=True),
            Section("Environment", _environment_blocks(facts), half=True),
        ),
        cards=_cards(facts),
    )


def _cards(facts: RunFacts) -> tuple[tuple[str, str], ...]:
    """Return the figures that one looks for first, those that are known."""
    best = facts.best.get("number")
    known = {
        "Test accuracy": percent(facts.result("test_accuracy")),
        "Validation accuracy": percent(facts.best.get("val_accuracy")),
        "Parameters": figure(facts.params, ","),
        "Best epoch": "-" if best is None else f"{best:.0f} of {len(facts.history)}",
        "Training": figure(facts.result("train_seconds"), "s"),
        "Samples a second": figure(facts.result("samples_per_second"), ",.0f"),
    }
    return tuple((what, text) for what, text in known.items() if text != "-")


def _lead(facts: RunFacts) -> str:
    """Return the outcome in one sentence."""
    status = facts.record.get("status")
    if not facts.finished:
        told = {"diverged": "diverged", "interrupted": "was interrupted"}.get(
            str(status), "is not finished"
        )
        return f"This run {told} after {len(facts.history)} epochs on {facts.record.get('data')}."
    measured = "without test samples"
    for split, key in (("validation", "val_accuracy"), ("test", "test_accuracy")):
        if facts.result(key) is not None:
            measured = f"{split} accuracy {percent(facts.result(key))}"
    params, seconds = facts.result("params") or 0, facts.result("train_seconds") or 0.0
    return (
        f"{facts.record.get('data')}: {measured} with {params:,} parameters, "
        f"after {facts.result('epochs')} epochs in {as_seconds(seconds)}."
    )


def _result_report(facts: RunFacts) -> Report:
    """Return the figures of the run, one a row."""
    best = facts.best
    rows = [
        ("status", facts.record.get("status")),
        ("started", str(facts.record.get("started", "-")).replace("T", " ")),
        ("test accuracy", percent(facts.result("test_accuracy"))),
        ("test loss", figure(facts.result("test_loss"), ".4f")),
        ("validation accuracy of the model", percent(best.get("val_accuracy"))),
        ("validation loss of the model", figure(best.get("val_loss"), ".4f")),
        ("training accuracy in that epoch", percent(best.get("train_accuracy"))),
        ("best epoch", figure(best.get("number"), ",.0f")),
        ("epochs", len(facts.history)),
        ("parameters", facts.result("params")),
        ("training", figure(facts.result("train_seconds"), "s")),
        ("compilation before it", figure(facts.result("compile_seconds"), "s")),
        ("samples a second", figure(facts.result("samples_per_second"), ",.0f")),
    ]
    notes = []
    if not facts.finished:
        notes = ["The test samples are read once, at the end; this run has not come to it."]
    return _pairs("Figure", [row for row in rows if row[1] not in {None, "-"}], notes, "right")


def _pairs(
    header: str,
    rows: Iterable[tuple[str, Any]],
    notes: Sequence[str],
    align: Literal["left", "right"] = "left",
) -> Report:
    columns = Column("name", header), Column("value", "Value", align, setting_text)
    return Report("", columns, tuple(rows), notes=tuple(notes))


def _network_blocks(facts: RunFacts) -> tuple[Block, ...]:

    notation = str(facts.record.get("network", ""))
    freeze = facts.part("recipe").get("freeze") or ()
    try:
        trace = parse_notation(notation).trace(freeze=tuple(map(str, freeze)))
    except ConvcliError as problem:
        return (f"The network in run.json cannot be read: {problem}",)
    table = shape_report(trace, ("index", *DEFAULT_COLUMNS, "activation_bytes"))
    named = Report(
        "", table.columns, table.rows, table.totals, table.notes, sections=table.sections
    )
    return (f"In the notation: {notation}", named)


def curve_blocks(facts: RunFacts) -> tuple[Block, ...]:
    """Return loss and accuracy by epoch as charts with the best epoch marked, and as a table."""
    if not facts.history:
        return ("No epoch was finished, so there are no curves.",)
    charts = zip(CURVES.values(), curve_charts(facts.history), strict=True)
    blocks: list[Block] = [
        chart_figure(chart, f"{label} of training and validation samples by epoch.")
        for label, chart in charts
    ]
    blocks.append(
        "Training figures are means over an epoch while the weights still change; validation "
        "samples are read after it, and so are ahead at first."
    )
    return (*blocks, epochs_report(facts.history))


def _sections_of_the_model(
    facts: RunFacts,
    data: Dataset | None,
    missing: str,
    threads: int,
    progress: ProgressCallback | None,
) -> tuple[Section, ...]:
    """Return the sections that need the model or the samples, or sentences on why they are not."""
    from convcli.learn.modelfile import load
    from convcli.present.run_samples import filters_section, sample_sections

    try:
        trained: TrainedModel = load(facts.directory.model)
    except InputError as problem:
        reason = f"There is no model to look at: {problem}"
        return (Section("Answers", (reason,)),)
    try:
        if missing:
            raise InputError(missing)
        if data is None:
            from convcli.learn.run import load_run_data

            data = load_run_data(facts.directory, progress)
        answers = sample_sections(facts, trained, data, threads)
    except ConvcliError as problem:
        words = (
            f"Confusion, mistakes and activations need the samples, which cannot be had. {problem}"
        )
        answers = (Section("Answers", (words,)),)
    return (*answers, filters_section(trained))


def _recipe_blocks(facts: RunFacts) -> tuple[Block, ...]:
    """Return what decided the training: data, seed and all figures of the recipe."""
    rows: list[tuple[str, Any]] = [
        ("data", facts.record.get("data")),
        *((f"{name} samples", count) for name, count in facts.part("samples").items()),
        ("seed", facts.record.get("seed")),
    ]
    rows += [(name.replace("_", " "), value) for name, value in facts.part("recipe").items()]
    notes = ["A dash is the usual value of the optimizer, or none."]
    if facts.part("validation").get("indices"):
        notes.append(
            "Which samples were set aside for validation stands in "
            f"{facts.part('validation')['indices']}."
        )
    return (_pairs("Setting", rows, notes),)


def _environment_blocks(facts: RunFacts) -> tuple[Block, ...]:
    known = {"convcli": facts.record.get("convcli"), **facts.part("environment")}
    if len(known) == 1:
        return (f"convcli {known['convcli']}; the run does not say on what it ran.",)
    note = "The same seed gives the same bits on one kind of processor, on any number of threads."
    return (_pairs("What", known.items(), [note]),)
