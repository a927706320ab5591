"""Accuracy over the size of a change, as a table and as charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from convcli.learn.robustness import Stood
from convcli.report import Report, tabulate
from convcli.report.chart import Chart, Line

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
