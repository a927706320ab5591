"""How a training looks: a table of epochs, the closing report, and what is only calculated."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from convcli.present.curves import curve_charts, drawn_curves
from convcli.present.evaluation import NAMES, classes_report, figure_text, figures_report
from convcli.report import Column, Report
from convcli.report.chart import Chart, Line
from convcli.report.numbers import as_bytes, as_seconds, percent

if TYPE_CHECKING:
    from convcli.learn.fit import Epoch, StepDone, Training
    from convcli.learn.gradcheck import Checked
    from convcli.learn.lr_find import LrPoint
    from convcli.learn.recipes import Recipe
    from convcli.learn.run import Run, RunResult
    from convcli.learn.timing import Estimate
    from convcli.learn.training import Series


MOST_WIDE = 72
"""Curves are not drawn wider, however wide the terminal is."""

LEFT_OUT = ("Samples/s", "lr", "Time", "Accuracy", "Loss")
"""Columns of epochs that a narrow terminal does without, in this order."""

NARROW, WIDE = 60, 80
"""Columns from which on a line of progress tells the accuracy, and the speed too."""


class EpochTable:
    """The epochs of a training as the lines of one table, each said when it is known."""

    def __init__(self, training: Training, width: int | None = None) -> None:
        """Begin the table; of a terminal's width columns are left out until it fits."""
        self.training = training
        self.width = width
        self.epochs = training.recipe.epochs

    def header(self, epoch: Epoch) -> str:
        """Return the names of the columns that an epoch has, its notes above them."""
        names = "  ".join(name.rjust(width) for name, width, _ in self._columns(epoch)).rstrip()
        if epoch.val_loss is None:
            return names
        monitor = NAMES[self.training.monitor]
        return f"* marks the best epoch so far, by validation {monitor}.\n{names}"

    def row(self, epoch: Epoch) -> str:
        """Return a finished epoch."""
        return "  ".join(text.rjust(width) for _, width, text in self._columns(epoch))

    def step(self, step: StepDone) -> str:
        """Return how the epoch under way goes, and how long all of it will last."""
        now = self.training.progress
        spent = sum(epoch.seconds for epoch in now.history) + now.epoch_seconds
        samples = sum(epoch.samples for epoch in now.history) + step.seen
        left = spent / max(now.step, 1) * (self.epochs * step.steps - now.step)
        accuracy = "" if step.accuracy is None else f"accuracy {step.accuracy:.2%}, "
        return (
            f"{self._number(step.epoch)}  step {step.step:,} of {step.steps:,}: loss "
            f"{step.loss:.4f}, {accuracy}{samples / max(spent, 1e-9):,.0f} samples/s, "
            f"about {as_seconds(left)} left"
        )

    def _number(self, epoch: int) -> str:
        return f"{epoch}/{self.epochs}".rjust(max(5, 2 * len(str(self.epochs)) + 1))

    def _columns(self, epoch: Epoch) -> list[tuple[str, int, str]]:
        """Return name, width and text of each column."""
        found = [("Epoch", self._number(epoch.number)), ("Loss", f"{epoch.train_loss:.4f}")]
        if epoch.train_accuracy is not None:
            found.append(("Accuracy", percent(epoch.train_accuracy)))
        if epoch.val_loss is not None:
            figures = {"loss": epoch.val_loss, "accuracy": epoch.val_accuracy} | epoch.figures
            found += [
                (f"Val {NAMES[name]}", f"{one:.4f}" if name == "loss" else figure_text(name, one))
                for name, one in figures.items()
                if one is not None
            ]
            found.append(("", "*" if epoch.best else ""))
        found += [
            ("lr", f"{epoch.lr:.2g}"),
            ("Samples/s", f"{epoch.samples_per_second:,.0f}"),
            ("Time", as_seconds(epoch.seconds)),
        ]
        least = {"": 1, "Epoch": len(self._number(1))}
        columns = [(name, max(least.get(name, 7), len(name)), text) for name, text in found]
        for name in LEFT_OUT:
            if (
                self.width is not None
                and sum(2 + width for _, width, _ in columns) - 2 > self.width
            ):
                columns = [column for column in columns if column[0] != name]
        return columns


def step_line(step: StepDone, seconds: float, width: int = 80) -> str:
    """Return how the epoch under way goes, after so many seconds of it."""
    told = step.accuracy is not None and width >= NARROW
    accuracy = f" accuracy {step.accuracy:.2%}" if told else ""
    speed = f" {step.seen / max(seconds, 1e-9):,.0f}/s" if width >= WIDE else ""
    return f"epoch {step.epoch} loss {step.loss:.4f}{accuracy}{speed}"


def fit_curves(history: Sequence[Epoch], width: int) -> str:
    """Return loss and accuracy by epoch as drawings of text; empty for a single epoch."""
    if len(history) < 2:
        return ""
    charts = curve_charts([epoch.row() for epoch in history])
    return drawn_curves(charts, min(width, MOST_WIDE))


def result_report(run: Run, result: RunResult, beside: str = "") -> Report:
    """Return the figures of a finished run, per class where test samples were read.

    `beside` is a sentence on what others reached.
    """
    data = run.training.data
    table = figures_report(result.test_figures) if result.task != "classes" else Report("", (), ())
    if run.outputs is not None and data.test is not None and result.task == "classes":
        from convcli.learn.evaluation import class_figures
        from convcli.learn.metrics import confusion_matrix

        confusion = confusion_matrix(data.test.labels, run.outputs.argmax(axis=1), data.classes)
        classes = class_figures(data.class_names, confusion)
        table = classes_report(classes, result.test_accuracy, result.test_loss, "Test samples")
    return replace(
        table,
        title=_headline(result),
        notes=tuple(_closing_notes(run, result, beside)),
        document=asdict(result),
    )


def _headline(result: RunResult) -> str:
    if result.test_accuracy is not None:
        return f"Test accuracy {result.test_accuracy:.2%}, loss {result.test_loss:.4f}"
    for split, loss, figures in (
        ("Test", result.test_loss, result.test_figures),
        ("Validation", result.val_loss, result.val_figures),
    ):
        if loss is not None and result.val_accuracy is None:
            told = "".join(f", {NAMES[k]} {figure_text(k, one)}" for k, one in figures.items())
            return f"{split} loss {loss:.4f}{told}"
    if result.val_accuracy is not None:
        return f"Validation accuracy {result.val_accuracy:.2%} (no test samples)"
    return "Trained; without validation and test samples no accuracy is known"


def _closing_notes(run: Run, result: RunResult, beside: str) -> list[str]:
    """Return where the weights come from, how long it took, and what to try next."""
    best = f"Best epoch {result.best_epoch} of {result.epochs}"
    if result.val_accuracy is not None:
        best += f" (validation accuracy {result.val_accuracy:.2%})"
    baseline = []
    if result.baseline is not None:
        what = "label of each" if result.task == "labels" else "class"
        baseline = [f"Always telling the commonest {what} is right in {result.baseline:.2%}."]
    model, source = result.model, run.spec.source.name
    example = "PICTURE" if len(run.training.data.sample_shape) == 3 else "SAMPLES.npy"
    return [
        "",
        *baseline,
        *([beside] if beside else []),
        f"{best}: its weights are the model's. {result.params:,} parameters.",
        f"Trained for {as_seconds(result.train_seconds)}, "
        f"{result.samples_per_second:,.0f} samples a second.",
        "Next:",
        f"  convcli evaluate {model} --data {source}",
        f"  convcli predict {model} {example}",
        f"  convcli show filters {model}",
    ]


def series_report(series: Series, results: Sequence[RunResult]) -> Report:
    """Return one row for each run of folds or seeds, and the mean of what counts."""
    what = series.what
    known = series.accuracies(results)
    mean = series.measured(results)
    deviation = statistics.stdev(known) if len(known) > 1 else None
    figure = series.key.partition("_")[2]

    def text(value: float | None) -> str:
        return figure_text(figure, value)

    columns = (
        Column(what, what.capitalize(), "right"),
        Column(f"val_{figure}", "Validation", "right", text),
        Column(f"test_{figure}", "Test", "right", text),
        Column("best_epoch", "Best epoch", "right"),
        Column("train_seconds", "Trained", "right", as_seconds),
        Column("model", "Model"),
    )
    numbered = list(zip(series.numbers, results, strict=True))
    rows: tuple[tuple[Any, ...], ...] = tuple(
        (number, *(getattr(r, column.key) for column in columns[1:])) for number, r in numbered
    )
    spread = "" if deviation is None else f", standard deviation {text(deviation)}"
    counted = f"({len(known)} trainings)"
    return Report(
        title=f"{len(results)} {what}s",
        columns=columns,
        rows=rows,
        notes=(f"Mean of {series.key.replace('_', ' ')}: {text(mean)}{spread} {counted}",),
        document={
            f"{what}s": [{what: number, **asdict(result)} for number, result in numbered],
            "mean": mean,
            "deviation": deviation,
            "of": series.key,
        },
    )


def estimate_report(figures: Estimate, recipe: Recipe) -> Report:
    """Return sizes, memory and the estimated time of a training."""
    steps = f"{figures.steps:,} = {recipe.epochs} epochs x {figures.steps_per_epoch:,}"
    rows = (
        ("parameters", f"{figures.params:,}"),
        ("multiply-accumulates of one sample", f"{figures.macs:,}"),
        ("training samples", f"{figures.samples:,}"),
        ("steps", steps),
        ("memory: samples", as_bytes(figures.sample_bytes)),
        ("memory: weights, gradients, optimizer", as_bytes(figures.weight_bytes)),
        ("memory: activations of one batch", as_bytes(figures.activation_bytes)),
        ("time of one step", as_seconds(figures.step_seconds)),
        ("time of training, estimated", as_seconds(figures.train_seconds)),
    )
    return Report(
        title="Dry run: nothing is trained and nothing is written",
        columns=(Column("figure", "Figure"), Column("value", "Value", "right")),
        rows=rows,
        document=asdict(figures),
    )


def lr_chart(points: Sequence[LrPoint], suggestion: float | None) -> Chart:
    """Return the loss over the learning rates tried, the suggestion marked."""
    return Chart(
        "Loss over the learning rate",
        (Line("loss", tuple(p.lr for p in points), tuple(p.loss for p in points)),),
        "learning rate",
        "loss",
        mark=None if suggestion is None else (suggestion, f"suggestion {suggestion:.2g}"),
        log_x=True,
        log_y=True,
    )


def lr_report(points: Sequence[LrPoint], suggestion: float | None) -> Report:
    """Return the suggestion and every tenth of the learning rates tried."""
    if suggestion is None:
        note = "The loss never fell: lower --from, or look at the data with convcli data check."
    else:
        note = f"Suggestion: --lr {suggestion:.2g}"
    every = max(1, len(points) // 10)
    return Report(
        title="Learning rates tried",
        columns=(
            Column("lr", "Learning rate", "right", lambda lr: f"{lr:.2e}"),
            Column("loss", "Loss", "right", lambda loss: f"{loss:.4f}"),
        ),
        rows=tuple((point.lr, point.loss) for point in points[::every]),
        notes=(note,),
        document={"suggestion": suggestion, "points": [asdict(point) for point in points]},
    )


def gradient_report(checks: Sequence[Checked], tolerance: float) -> Report:
    """Return every gradient's distance from finite differences."""
    columns = (
        Column("layer", "Layer"),
        Column("array", "With respect to"),
        Column("places", "Places", "right"),
        Column("error", "Largest relative error", "right", lambda error: f"{error:.1e}"),
        Column("holds", "Holds"),
    )
    rows = tuple((c.layer, c.array, c.places, c.error, c.holds) for c in checks)
    note = (
        f"Central differences in float64; an error below {tolerance:.0e} holds. Places where the "
        "network bends (a ReLU at zero, equal maxima) are passed over."
    )
    return Report("Gradients against finite differences", columns, rows, notes=(note,))
