"""How a model does on labeled samples, also changed ones, and what it predicts for single ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcli.report import Column, Report, tabulate
from convcli.report.chart import Chart, Line, Matrix
from convcli.report.numbers import percent

if TYPE_CHECKING:
    from convcli.learn.evaluation import ClassFigures, Evaluation, Labeled, Prediction
    from convcli.learn.robustness import Stood

MATRIX_CLASSES = 12
"""The confusion matrix of more classes is told by its largest cells."""
FREQUENT = 20
"""Cells that are told of such a matrix."""


def evaluation_report(found: Evaluation, samples: Labeled | None = None) -> Report:
    """Return precision, recall and F1 of each class, with confusion, calibration and mistakes.

    Args:
        found: the evaluation.
        samples: what it was made on, where that is known.
    """
    names = [one.name for one in found.classes]
    files = samples.samples.files if samples else ()
    where = f"{samples.title}: " if samples else ""
    if found.task != "classes":
        return _task_report(found, where, {"split": samples.name} if samples else {})
    classes = classes_report(found.classes, found.accuracy, found.loss)
    return Report(
        f"{where}accuracy {percent(found.accuracy)}, loss {found.loss:.4f}, {found.n:,} samples",
        classes.columns,
        classes.rows,
        sections=classes.sections,
        notes=_baseline(found),
        name=classes.name,
        document={
            "accuracy": found.accuracy,
            "loss": found.loss,
            "n": found.n,
            "baseline": found.baseline,
            **({"split": samples.name} if samples else {}),
            "figures": found.figures,
            "confusion": found.confusion.tolist(),
            "classes": [asdict(one) | {"f1": one.f1} for one in found.classes],
            "calibration_error": found.calibration_error,
            "calibration": [asdict(one) for one in found.bins],
            "worst": [
                {
                    "index": one.index,
                    "file": files[one.index] if files else None,
                    "label": names[one.truth],
                    "answer": names[one.answer],
                    "probability": one.probability,
                }
                for one in found.worst
            ],
        },
        parts=(
            confusion_report(found),
            calibration_report(found),
            figures_report(found.figures),
            *((mistakes_report(found, files),) if found.worst else ()),
        ),
    )


def _task_report(found: Evaluation, where: str, document: dict[str, Any]) -> Report:
    """Return the figures of labels, values or masks, those of each class or value in rows."""
    told = {"accuracy": found.accuracy} if found.accuracy is not None else {}
    document = {
        "task": found.task, **told, "loss": found.loss, "n": found.n, **document,
        "figures": found.figures,
    }  # fmt: skip
    parts: tuple[Report, ...] = ()
    if found.task == "values":
        rows = tabulate(
            found.values,
            {"name": "Value", "mae": "MAE|.4g", "rmse": "RMSE|.4g", "r2": "R2|.4f"},
            name="values",
        )
        document["values"] = [asdict(one) for one in found.values]
    else:
        rows = classes_report(
            found.classes,
            found.accuracy,
            found.loss,
            "Cells" if found.task == "mask" else "Samples",
        )
        document["classes"] = [asdict(one) | {"f1": one.f1} for one in found.classes]
    if found.task == "mask":
        document |= {"confusion": found.confusion.tolist(), "baseline": found.baseline}
        parts = (confusion_report(found),)
    if found.bins:
        document["calibration_error"] = found.calibration_error
        document["calibration"] = [asdict(one) for one in found.bins]
        parts += (calibration_report(found),)
    figures = {"loss": found.loss} | told | found.figures
    headline = ", ".join(f"{NAMES[name]} {figure_text(name, one)}" for name, one in figures.items())
    return replace(
        rows,
        title=f"{where}{headline}, {found.n:,} samples",
        notes=_baseline(found),
        document=document,
        parts=parts,
    )


def _baseline(found: Evaluation) -> tuple[str, ...]:
    """Return what one would reach who always tells the same class."""
    if found.baseline is None:
        return ()
    return (f"Always telling the commonest class is right in {found.baseline:.2%}.",)


NAMES = {
    "loss": "loss", "accuracy": "accuracy", "f1": "F1", "weighted_f1": "weighted F1",
    "balanced_accuracy": "balanced accuracy", "kappa": "kappa", "auc": "ROC-AUC",
    "average_precision": "average precision", "iou": "IoU", "dice": "Dice", "mae": "MAE",
    "rmse": "RMSE", "r2": "R2", "top3": "one of the top 3",
}  # fmt: skip
"""What figures are called."""
ABSOLUTE = {"loss", "mae", "rmse", "r2", "kappa"}
"""Figures that are no shares."""


def figure_text(name: str, figure: float | None) -> str:
    """Return a figure as people read it.

    >>> figure_text("iou", 0.5), figure_text("rmse", 12.345678)
    ('50.00%', '12.35')
    """
    if figure is None:
        return "-"
    return f"{figure:.4g}" if name in ABSOLUTE else percent(figure)


def figures_report(figures: Mapping[str, float]) -> Report:
    """Return figures of all samples, one a row."""
    rows = [{"figure": NAMES[name], "value": figure_text(name, figures[name])} for name in figures]
    return tabulate(rows, {"figure": "Figure", "value": "Value"}, title="Figures", name="figures")


def classes_report(
    classes: Sequence[ClassFigures],
    accuracy: float | None,
    loss: float | None,
    counted: str = "Samples",
) -> Report:
    """Return the figures of each class, and under them their means and those of all samples.

    Args:
        classes: their figures.
        accuracy: of all samples.
        loss: of all samples.
        counted: heading of the column of samples.
    """
    rows: list[dict[str, Any]] = [
        {"class": one.name, "f1": one.f1, **asdict(one)} for one in classes
    ]
    means = {key: _mean(row[key] for row in rows) for key in ("precision", "recall", "f1")}
    n = sum(one.n for one in classes)
    whole = {"class": "all", "n": n, "accuracy": accuracy, "loss": loss}
    columns: dict[str, str | Column] = {
        "class": "Class",
        "precision": "Precision|%",
        "recall": "Recall|%",
        "f1": "F1|%",
        "n": counted,
        "accuracy": Column("accuracy", "Accuracy", "right", _blank_or(percent)),
        "loss": Column("loss", "Loss", "right", _blank_or("{:.4f}".format)),
    }
    return tabulate([*rows, whole | means], columns, name="classes", sections=[len(rows)])


def _blank_or(text: Callable[[float], str]) -> Callable[[float | None], str]:
    return lambda figure: "" if figure is None else text(figure)


def _mean(figures: Iterable[float | None]) -> float | None:
    known = [one for one in figures if one is not None]
    return sum(known) / len(known) if known else None


def confusion_matrix(found: Evaluation, samples: Labeled) -> Matrix:
    """Return counts of the true and the predicted classes, ready to be drawn."""
    title = f"{samples.title}: {found.accuracy:.2%} of {found.n:,} right"
    return Matrix(title, found.confusion.tolist(), [one.name for one in found.classes])


def confusion_report(found: Evaluation, title: str = "Confusion") -> Report:
    """Return the confusion matrix, or its largest cells where it would not fit a screen.

    The document has the shares of each true class too.
    """
    names = [one.name for one in found.classes]
    counts = found.confusion.tolist()
    document = {
        "classes": names,
        "counts": counts,
        "shares": [[count / max(1, sum(row)) for count in row] for row in counts],
        "accuracy": found.accuracy,
    }
    if len(names) > MATRIX_CLASSES:
        return frequent_mistakes(found, title, document)
    keys = [f"as_{name}" for name in names]
    records = [
        {"class": name, **dict(zip(keys, row, strict=True))}
        for name, row in zip(names, counts, strict=True)
    ]
    columns = {"class": "True class", **dict(zip(keys, names, strict=True))}
    note = "Rows are true classes, columns the predicted ones."
    return tabulate(
        records, columns, title=title, name="confusion", notes=[note], document=document
    )


def frequent_mistakes(found: Evaluation, title: str, document: Any = None) -> Report:
    """Return which class is most often taken for which other."""
    names = [one.name for one in found.classes]
    cells = [
        {"class": names[i], "answer": names[j], "n": count, "share": count / max(1, sum(row))}
        for i, row in enumerate(found.confusion.tolist())
        for j, count in enumerate(row)
        if i != j and count
    ]
    cells.sort(key=lambda cell: -cell["n"])
    columns = {
        "class": "True class",
        "answer": "Predicted",
        "n": "Samples",
        "share": "Share of the class|.1%",
    }
    return tabulate(
        cells[:FREQUENT],
        columns,
        title=f"{title}: the most frequent mistakes",
        name="confusion",
        document=document,
    )


def calibration_report(found: Evaluation) -> Report:
    """Return how often the model is right, by how sure it is."""
    return tabulate(
        [one for one in found.bins if one.n],
        {"confidence": "Confidence|%", "accuracy": "Accuracy|%", "n": "Samples"},
        title=f"Calibration: expected error {percent(found.calibration_error)}",
        name="calibration",
    )


def mistakes_report(
    found: Evaluation, files: Sequence[str] = (), title: str = "Worst mistakes"
) -> Report:
    """Return the mistakes with the highest probabilities.

    Args:
        found: the evaluation.
        files: of the samples, where they come from files.
        title: of the table.
    """
    names = [one.name for one in found.classes]
    records = [
        {
            "sample": files[one.index] if files else str(one.index),
            "label": names[one.truth],
            "answer": names[one.answer],
            "probability": one.probability,
        }
        for one in found.worst
    ]
    columns: dict[str, str | Column] = {
        "sample": Column("sample", "Sample", text=lambda place: Path(place).name),
        "label": "True class",
        "answer": "Predicted",
        "probability": "Probability|%",
    }
    return tabulate(records, columns, title=title, name="mistakes")


def predictions_report(found: Sequence[tuple[str, Prediction]]) -> Report:
    """Return what a model predicts, one row for each named sample."""
    records = [_prediction(name, one) for name, one in found]
    rows = [
        record | {"runner_up": ", ".join(f"{label} {p:.1%}" for label, p in one.top[1:]) or None}
        for record, (_, one) in zip(records, found, strict=True)
    ]
    columns: dict[str, str | Column] = {
        "file": "File",
        "label": Column("label", "Predicted", text=lambda label: label or "don't know"),
        "probability": "Probability|%",
        "runner_up": "Runner-up",
    }
    if any("values" in record for record in records):
        columns = {"file": "File", "values": Column("values", "Values", text=_figures)}
    elif any("mask" in record for record in records):
        columns = {"file": "File", "mask": Column("mask", "Cells of each class", text=_cells)}
    elif any("labels" in record for record in records):
        known = Column("labels", "Labels", text=lambda names: ", ".join(names) or "none")
        columns = {"file": "File", "labels": known}
    elif any("logits" in record for record in records):
        columns["logits"] = Column("logits", "Logits", text=_figures)
    return tabulate(rows, columns, document=records)


def _prediction(name: str, one: Prediction) -> dict[str, Any]:
    record = {
        "file": name,
        "label": one.label,
        "probability": one.probability,
        "top": [{"label": label, "probability": p} for label, p in one.top],
    }
    more = {"values": one.values, "labels": one.labels, "mask": one.mask, "logits": one.logits}
    return record | {key: value for key, value in more.items() if value is not None}


def _figures(values: list[Any] | dict[str, list[Any]] | None) -> str:
    """Return numbers in a row; maps are told by their extent, several outputs by their names."""
    if isinstance(values, dict):
        return "; ".join(f"{name}: {_figures(rows)}" for name, rows in values.items())
    if values and isinstance(values[0], list):
        return f"a map of {len(values)} rows; --format json has them"
    return " ".join(f"{value:.6g}" for value in values or [])


def _cells(mask: list[list[int]]) -> str:
    """Return how many cells of a mask each class has.

    >>> _cells([[0, 0], [2, 0]])
    '0: 3, 2: 1; --format json has the map'
    """
    counts = sorted(Counter(cell for row in mask for cell in row).items())
    return f"{', '.join(f'{label}: {n:,}' for label, n in counts)}; --format json has the map"


UNITS = {
    "noise": "deviation, as a share of each channel's range",
    "shift": "cells along every axis",
    "drop-channel": "channels that have their mean instead",
}


def robustness_report(found: Sequence[Stood], where: str) -> Report:
    """Return a row for each change and size, a column for each model."""
    models = list(dict.fromkeys(one.model for one in found))
    rows: dict[tuple[str, float], dict[str, object]] = {}
    for one in found:
        row = rows.setdefault((one.change, one.size), {"change": one.change, "size": one.size})
        row[one.model] = one.accuracy
    return tabulate(
        rows.values(),
        {"change": "Change", "size": "Size|g"} | {name: f"{name}|%" for name in models},
        title=f"Accuracy under changes: {where}",
        notes=[f"{kind}: {UNITS[kind]}." for kind in dict.fromkeys(one.change for one in found)],
        document=[asdict(one) for one in found],
    )


def robustness_charts(found: Sequence[Stood]) -> list[Chart]:
    """Return a chart for each change, a line for each model."""
    charts = []
    for kind in dict.fromkeys(one.change for one in found):
        points = [one for one in found if one.change == kind]
        lines = []
        for model in dict.fromkeys(one.model for one in points):
            own = [one for one in points if one.model == model]
            sizes, shares = zip(*((one.size, one.accuracy) for one in own), strict=True)
            lines.append(Line(model, sizes, shares))
        title = f"Accuracy under {kind}"
        charts.append(
            Chart(title, tuple(lines), f"{kind}: {UNITS[kind]}", "accuracy", percent=True)
        )
    return charts
