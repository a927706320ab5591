"""`convcli evaluate`: how a trained model does on labeled samples."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import FormatOption, QuietOption, ThreadsOption, takes
from convcli.data.source import Source
from convcli.errors import CheckError

if TYPE_CHECKING:
    from convcli.data import Dataset, Split
    from convcli.learn.answers import Evaluation
    from convcli.learn.rundata import Labeled
    from convcli.report import Report

HELP = """Evaluate a model on labeled samples: accuracy, loss, confusion matrix, precision and
recall of each class, calibration, and the worst mistakes.
"""

EXAMPLES = """Examples:

  convcli evaluate runs/fashion

  convcli evaluate runs/digits --data mnist

  convcli evaluate model.safetensors --data photos --size 64x64 --worst 20

  convcli evaluate model.safetensors --data mnist --fail-under 0.99 --format json
"""

SplitName = Literal["train", "validation", "test"]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("evaluate", help=HELP, epilog=EXAMPLES)(evaluate)


@takes(source=Source)
def evaluate(
    model: ModelArgument,
    *,
    source: Source,
    split: Annotated[
        SplitName | None,
        typer.Option(
            "--split",
            help="Which samples: test, else those held out of the training, else all.",
            show_default=False,
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option("--worst", min=0, help="How many of the worst mistakes to list.")
    ] = 5,
    fail_under: Annotated[
        float | None,
        typer.Option(
            "--fail-under", help="Exit with 5 under this accuracy (0..1).", show_default=False
        ),
    ] = None,
    threads: ThreadsOption = 0,
    style: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import Messages, emit
    from convcli.cli.learn_options import load_labeled
    from convcli.learn import answers
    from convcli.learn.modelfile import load

    trained = load(model)
    messages = Messages(quiet=quiet)
    chosen = load_labeled(trained, source, split, messages)
    with messages.warned(chosen.data.name):
        found = answers.evaluate(trained, chosen.data, chosen.samples, worst=worst, threads=threads)
    emit(evaluation_report(found, chosen), style)
    if fail_under is not None and found.accuracy < fail_under:
        raise CheckError(
            f"The accuracy is {found.accuracy:.4f}, under the {fail_under:g} of --fail-under."
        )


def evaluation_report(found: Evaluation, chosen: Labeled) -> Report:
    """Return the figures as a report: classes, confusion, calibration, mistakes."""
    from convcli.present.class_table import class_report

    data, split, name = chosen.data, chosen.samples, chosen.name

    return replace(
        class_report(found.classes, "samples"),
        title=f"{chosen.title}: accuracy {found.accuracy:.2%}, loss {found.loss:.4f}, "
        f"{found.n:,} samples",
        document=_document(found, data, split, name),
        parts=(
            _confusion_report(found),
            _calibration_report(found),
            *([_mistakes_report(found, data, split)] if found.worst else []),
        ),
    )


def _document(found: Evaluation, data: Dataset, split: Split, name: str) -> dict[str, Any]:
    return {
        "accuracy": found.accuracy,
        "loss": found.loss,
        "n": found.n,
        "split": name,
        "confusion": found.confusion.tolist(),
        "classes": [asdict(figures) for figures in found.classes],
        "calibration_error": found.calibration_error,
        "calibration": [asdict(part) for part in found.bins],
        "worst": [
            {
                "index": mistake.index,
                "file": split.files[mistake.index] if split.files else None,
                "label": data.class_names[mistake.truth],
                "answer": data.class_names[mistake.answer],
                "probability": mistake.probability,
            }
            for mistake in found.worst
        ],
    }


def _confusion_report(found: Evaluation) -> Report:
    """Return the confusion matrix, or its largest cells where it would not fit a screen."""
    from convcli.report import Column, Report

    names = [figures.name for figures in found.classes]
    if len(names) <= 12:
        return Report(
            title="Confusion: rows are true classes, columns the answers",
            columns=(
                Column("class", "class"),
                *(Column(f"as_{name}", name, "right") for name in names),
            ),
            rows=tuple(
                (name, *map(int, row)) for name, row in zip(names, found.confusion, strict=True)
            ),
        )
    cells = [
        (names[i], names[j], int(count))
        for i, row in enumerate(found.confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return Report(
        title="Confusion: the most frequent mistakes",
        columns=(
            Column("class", "class"),
            Column("answer", "taken for"),
            Column("n", "samples", "right"),
        ),
        rows=tuple(sorted(cells, key=lambda cell: -cell[2])[:15]),
    )


def _calibration_report(found: Evaluation) -> Report:
    from convcli.report import Column, Report
    from convcli.report.numbers import percent

    return Report(
        title=f"Calibration: expected error {found.calibration_error:.2%}",
        columns=(
            Column("confidence", "when it was sure to", "right", percent),
            Column("accuracy", "it was right in", "right", percent),
            Column("n", "samples", "right"),
        ),
        rows=tuple((part.confidence, part.accuracy, part.n) for part in found.bins if part.n),
    )


def _mistakes_report(found: Evaluation, data: Dataset, split: Split) -> Report:
    from convcli.report import Column, Report
    from convcli.report.numbers import percent

    return Report(
        title="Worst mistakes",
        columns=(
            Column("sample", "sample"),
            Column("label", "is"),
            Column("answer", "taken for"),
            Column("probability", "with", "right", percent),
        ),
        rows=tuple(
            (
                Path(split.files[m.index]).name if split.files else str(m.index),
                data.class_names[m.truth],
                data.class_names[m.answer],
                m.probability,
            )
            for m in found.worst
        ),
    )
