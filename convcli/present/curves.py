"""How a training went, epoch by epoch: charts for pages, curves for terminals, a table."""

from __future__ import annotations

from convcli.present.facts import History, RunFacts
from convcli.report import Column, Report, tabulate
from convcli.report.chart import Line, line_chart
from convcli.report.curves import draw_curves

EPOCHS_SHOWN = 40
"""Rows of the table of epochs; a longer history is thinned out evenly."""

CURVES = {"loss": "Loss", "accuracy": "Accuracy"}
"""What is drawn, and how it is called."""
SAMPLES = {"train": "training", "val": "validation"}
"""Prefix of the history's columns -> the samples they were measured on."""


def curve_charts(facts: RunFacts, width: int = 560) -> list[str]:
    """Return loss and accuracy by epoch as SVG, the best epoch marked."""
    number = facts.best.get("number")
    mark = None if number is None else (number, f"best epoch {number:g}")
    return [
        line_chart(
            f"{label} by epoch",
            [Line(name, *facts.curve(f"{prefix}_{what}")) for prefix, name in SAMPLES.items()],
            x_label="epoch",
            y_label=what,
            width=width,
            mark=mark,
        )
        for what, label in CURVES.items()
    ]


def drawn_curves(history: History, width: int = 72) -> str:
    """Return loss and accuracy by epoch as lines of plain characters."""
    drawn = []
    for what in CURVES:
        columns = {name: f"{prefix}_{what}" for prefix, name in SAMPLES.items()}
        curves = {name: [row.get(key) for row in history] for name, key in columns.items()}
        known = {name: c for name, c in curves.items() if any(v is not None for v in c)}
        text = "{:.1%}" if what == "accuracy" else "{:.3g}"
        title = f"{what} by epoch"
        drawn.append(
            draw_curves(known, title=title, width=width, text=text, logarithmic=what == "loss")
        )
    return "\n\n".join(drawn) + "\n\n"


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
