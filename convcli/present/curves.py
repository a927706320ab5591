"""How a training went, epoch by epoch: charts, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from convcli.present.facts import History, RunFacts, column
from convcli.report import Column, Report, tabulate
from convcli.report.chart import Chart, Line
from convcli.report.curves import draw_chart

EPOCHS_SHOWN = 40
"""Rows of the table of epochs; a longer history is thinned out evenly."""

CURVES = {"loss": "Loss", "accuracy": "Accuracy"}
"""What is drawn, and how it is called."""
SAMPLES = {"train": "training", "val": "validation"}
"""Prefix of the history's columns -> the samples they were measured on."""


def curve_charts(history: History) -> list[Chart]:
    """Return loss and accuracy by epoch, the best epoch marked."""
    best = next((row["number"] for row in reversed(history) if row.get("best")), None)
    return [
        Chart(
            f"{label} by epoch",
            tuple(
                Line(name, *column(history, f"{prefix}_{what}")) for prefix, name in SAMPLES.items()
            ),
            "epoch",
            what,
            mark=None if best is None else (best, f"best epoch {best:g}"),
            log_y=what == "loss",
            percent=what == "accuracy",
        )
        for what, label in CURVES.items()
    ]


def learning_charts(
    runs: Mapping[str, Sequence[History]], figures: Sequence[str] = ("accuracy", "loss")
) -> list[Chart]:
    """Return four charts: accuracy and loss, of training and validation samples, a line a run.

    Args:
        runs: name -> histories, whose mean is drawn: those of several seeds.
        figures: which of accuracy and loss.
    """
    return [
        Chart(
            f"{CURVES[what]} by epoch, {name}",
            tuple(
                Line(run, *_mean(histories, f"{prefix}_{what}")) for run, histories in runs.items()
            ),
            "epoch",
            what,
            log_y=what == "loss",
            percent=what == "accuracy",
        )
        for what in figures
        for prefix, name in SAMPLES.items()
    ]


def _mean(histories: Sequence[History], key: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return epochs and the mean of a column over the histories that reach them."""
    found: dict[float, list[float]] = {}
    for history in histories:
        for epoch, value in zip(*column(history, key), strict=True):
            found.setdefault(epoch, []).append(value)
    return tuple(found), tuple(fmean(values) for values in found.values())


def drawn_curves(charts: Sequence[Chart], width: int) -> str:
    """Return charts as lines of plain characters."""
    return "\n\n".join(draw_chart(chart, width) for chart in charts) + "\n\n"


def runs_charts(runs: Sequence[RunFacts]) -> list[Chart]:
    """Return the four charts of several runs; those of one name are seeds of one setting."""
    named: dict[str, list[History]] = {}
    for one in runs:
        named.setdefault(one.name, []).append(one.history)
    return learning_charts(named)


def epochs_report(history: History, shown: int = EPOCHS_SHOWN) -> Report:
    """Return the history as a table; a long one every so many epochs, with the best and last."""
    every = max(1, -(-len(history) // shown))
    best = next((row for row in reversed(history) if row.get("best")), {})
    rows = [
        row
        for place, row in enumerate(history, start=1)
        if place % every == 0 or row in (best, history[0], history[-1])
    ]
    columns: dict[str, str | Column] = {
        "number": "Epoch|,.0f",
        "train_loss": "Loss|.4f",
        "train_accuracy": "Accuracy|%",
        "val_loss": "Val loss|.4f",
        "val_accuracy": "Val accuracy|%",
        "lr": "Last lr|.2g",
        "seconds": "Time|s",
        "best": Column("best", "Best so far", text=lambda best: "yes" if best else ""),
    }
    notes = [f"Every {every}th epoch; history.csv has all."] if every > 1 else []
    return tabulate(rows, columns, title="Epochs", name="epochs", notes=notes, document=history)
