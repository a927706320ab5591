"""How a training went, epoch by epoch: charts, and a table."""

from __future__ import annotations

from convcli.present.facts import History, column
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


def drawn_curves(history: History, width: int) -> str:
    """Return loss and accuracy by epoch as lines of plain characters."""
    return "\n\n".join(draw_chart(chart, width) for chart in curve_charts(history)) + "\n\n"


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
