"""`convcli evaluate`: how a trained model does on labelled samples."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convcli.cli.learn_options import DataOption, ModelArgument, SizeOption
from convcli.cli.options import FormatOption, QuietOption, ThreadsOption
from convcli.errors import CheckFailed

if TYPE_CHECKING:
    from convcli.data import Dataset, Split
    from convcli.learn.answers import Evaluation
    from convcli.learn.modelfile import TrainedModel
    from convcli.report import Report

HELP = """Evaluate a model on labelled samples: accuracy, loss, confusion matrix, precision and
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


def evaluate(
    model: ModelArgument,
    source: DataOption = None,
    split: Annotated[
        SplitName | None,
        typer.Option(
            "--split",
            help="Which samples: test where there are any, else all.",
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
    size: SizeOption = None,
    threads: ThreadsOption = 0,
    style: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import Messages, emit
    from convcli.cli.learn_options import load_source, model_path
    from convcli.learn import answers
    from convcli.learn.modelfile import load

    trained = load(model_path(model))
    noted, shaping = known_data(trained, source)
    if size is not None:
        shaping["size"] = size
    messages = Messages(quiet=quiet)
    data = load_source(noted, messages, **shaping)
    name, samples = chosen_split(data, split)
    if name == "train" and noted == trained.training.get("data"):
        messages.say("These samples are those the model was trained on; new ones tell more.")
    found = answers.evaluate(trained, data, samples, worst=worst, threads=threads)
    emit(evaluation_report(found, data, samples, name), style)
    if fail_under is not None and found.accuracy < fail_under:
        raise CheckFailed(
            f"The accuracy is {found.accuracy:.4f}, under the {fail_under:g} of --fail-under."
        )


def known_data(model: TrainedModel, source: str | None) -> tuple[str, dict[str, Any]]:
    """Return which data to read and how, from the model's own notes where the user says nothing.

    Raises:
        UsageMistake: neither the user nor the model names any.
    """
    from convcli.errors import UsageMistake

    noted, shaping = model.training.get("data"), model.training.get("shaping")
    if source is not None and source != noted:
        return source, {}
    if not isinstance(noted, str):
        raise UsageMistake("The model does not say what it was trained on; name --data SOURCE.")
    known = shaping if isinstance(shaping, dict) else {}
    return noted, {
        key: known[key] for key in ("size", "window", "overlap", "label") if key in known
    }


def chosen_split(data: Dataset, name: str | None) -> tuple[str, Split]:
    """Return the split of that name; without one the test samples, or else all there are.

    Raises:
        UsageMistake: the data have no such split.
    """
    from convcli.errors import UsageMistake

    splits = data.splits()
    name = name or ("test" if "test" in splits else "train")
    if name not in splits:
        raise UsageMistake(f"{data.name} has no {name} samples; it has {', '.join(splits)}.")
    return name, splits[name]


def evaluation_report(found: Evaluation, data: Dataset, split: Split, name: str) -> Report:
    """Return the figures as a report: classes, confusion, calibration, mistakes."""
    from convcli.present.class_table import class_report

    return replace(
        class_report(found.classes, "samples"),
        title=f"{data.name}, {name}: accuracy {found.accuracy:.2%}, loss {found.loss:.4f}, "
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
