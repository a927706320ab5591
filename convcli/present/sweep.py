"""What a sweep looks like: a line for each training, one table, pictures of fitting."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convcli.files import write_text
from convcli.learn.recipes import Recipe, find_recipe
from convcli.net import to_notation
from convcli.present.curves import learning_charts
from convcli.report import Column, Report
from convcli.report.chart import Chart, Line
from convcli.report.document import Document, Section, chart_figure
from convcli.report.numbers import as_seconds, percent
from convcli.sweep.space import Axis, Trial
from convcli.sweep.spec import SweepSpec
from convcli.sweep.store import TRAININGS
from convcli.sweep.sweep import Finished, Sweep, configure
from convcli.sweep.trial import Spread, Summary, ranked

FIGURES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
HEADERS = {"train": "training", "val": "validation"}
MEASURES = ("accuracy", "loss")
BEST_NETWORK, PAGE = "best.net", "report.html"
MOST_LINES = 12
"""Trials that a chart over the epochs can show apart."""


def told(trial: Trial) -> str:
    """Return a trial's values as they would be typed."""
    return " ".join(f"{name}={value}" for name, value in trial.values)


def finished_line(event: Finished, trial: Trial) -> str:
    """Return how one training went, in one line."""
    outcome = event.outcome
    place = f"trial {trial.number} seed {event.job.seed}: {told(trial)}"
    if outcome.problem:
        return f"{place}: {outcome.problem}"
    kept = ", as found" if event.kept else ""
    return (
        f"{place}: training {percent(outcome.train_accuracy)}, "
        f"validation {percent(outcome.val_accuracy)}, {as_seconds(outcome.seconds)}{kept}"
    )


def sweep_report(
    sweep: Sweep, spec: SweepSpec, place: Path, pictures: Sequence[Path], *, split: bool
) -> Report:
    """Return one row for each trial: a grid in its order, other searches with the best on top.

    Args:
        sweep: done.
        spec: what was swept.
        place: the sweep's directory.
        pictures: written to it.
        split: mean and deviation are columns of their own, as programs want them.
    """
    best = sweep.best()
    summaries = list(sweep.summaries.values())
    if spec.search != "grid":
        summaries = sorted(ranked(summaries), key=lambda summary: -summary.epochs)
    axes = spec.read_axes()
    spreads = _split_spreads if split or spec.seeds == 1 else _joined_spreads
    varied = len({summary.epochs for summary in summaries}) > 1 and not _sweeps(axes, "epochs")
    columns = [
        Column("best", "", "left", lambda best: "*" if best else ""),
        Column("trial", "Trial", "right"),
        *(Column(axis.name, axis.name, "right", str) for axis in axes),
        *([Column("epochs", "Epochs", "right")] if varied else []),
        Column("params", "Params", "right"),
        *spreads(spec.seeds),
        Column("seconds", "Time", "right", as_seconds),
    ]
    rows = []
    for summary in summaries:
        cells: dict[str, Any] = {
            "best": summary is best,
            "trial": summary.trial.number,
            "epochs": summary.epochs,
            "params": summary.params,
            "seconds": summary.seconds,
            **dict(summary.trial.values),
        }
        for figure in FIGURES:
            spread = summary.spread(figure)
            cells |= {figure: spread.mean, f"{figure}_deviation": spread.deviation}
            if spreads is _joined_spreads:
                cells[figure] = spread
        rows.append(tuple(cells[column.key] for column in columns))
    return Report(
        title=f"{len(summaries)} trials" + (f" x {spec.seeds} seeds" if spec.seeds > 1 else ""),
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(_notes(sweep, spec, place, pictures, best)),
        document=_document(sweep, spec, place, pictures, summaries, best),
    )


def _sweeps(axes: Sequence[Axis], name: str) -> bool:
    return any(axis.name == name for axis in axes)


def _split_spreads(seeds: int) -> list[Column]:
    columns = []
    for figure in FIGURES:
        text = percent if figure.endswith("accuracy") else _loss
        columns.append(Column(figure, _header(figure), "right", text))
        if seeds > 1:
            key = f"{figure}_deviation"
            columns.append(Column(key, _header(key), "right", text))
    return columns


def _joined_spreads(seeds: int) -> list[Column]:
    columns = []
    for figure in FIGURES:
        text = _accuracy_spread if figure.endswith("accuracy") else _loss_spread
        columns.append(Column(figure, _header(figure), "right", text))
    return columns


def _header(figure: str) -> str:
    return figure.replace("_", " ").capitalize()


def _loss(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.4f}"


def _accuracy_spread(spread: Spread) -> str:
    """Return `97.12% ±0.30`, mean and deviation in percent."""
    if spread.mean is None or spread.deviation is None:
        return percent(spread.mean)
    return f"{spread.mean:.2%} ±{100 * spread.deviation:.2f}"


def _loss_spread(spread: Spread) -> str:
    if spread.mean is None or spread.deviation is None:
        return _loss(spread.mean)
    return f"{spread.mean:.4f} ±{spread.deviation:.4f}"


def _notes(
    sweep: Sweep, spec: SweepSpec, place: Path, pictures: Sequence[Path], best: Summary | None
) -> list[str]:
    notes = []
    if sweep.rounds and sweep.rounds[0].epochs is not None:
        steps = [f"{len(rung.trials)} trials x {rung.epochs} epochs" for rung in sweep.rounds]
        notes.append(f"Rungs, each trained anew: {', then '.join(steps)}.")
    monitor = best.monitor if best is not None else "accuracy"
    if monitor != "accuracy":
        figures = ((one, one.spread("monitored").mean) for one in sweep.summaries.values())
        by_trial = [f"{one.trial.number}: {mean:.4g}" for one, mean in figures if mean is not None]
        notes.append(f"Ranked by validation {monitor} (trial {', '.join(by_trial)}).")
    unread = "; the test samples were not read" if sweep.has_test else ""
    notes.append(
        "Figures are of each training's best epoch, on all training and all validation "
        f"samples{unread}."
    )
    failed = [summary for summary in sweep.summaries.values() if summary.problems]
    if failed:
        names = ", ".join(str(summary.trial.number) for summary in failed)
        notes.append(f"Not finished: trial {names}. {failed[0].problems[0]}")
    if pictures:
        notes.append(f"Pictures: {', '.join(str(picture) for picture in pictures)}")
    notes.append(f"Page: {place / PAGE}. Models and epochs of all: {place / TRAININGS}")
    if best is not None:
        notes += [
            "",
            f"Best: trial {best.trial.number}, {told(best.trial)}. Train it"
            f"{' and read the test samples' if sweep.has_test else ''}:",
            f"  {_command(sweep, spec, place, best)}",
        ]
    return notes


def _document(
    sweep: Sweep,
    spec: SweepSpec,
    place: Path,
    pictures: Sequence[Path],
    summaries: Sequence[Summary],
    best: Summary | None,
) -> dict[str, Any]:
    return {
        "search": spec.search,
        "seeds": list(sweep.seeds),
        "directory": str(place),
        "pictures": [str(picture) for picture in pictures],
        "rounds": [{"trials": len(found.trials), "epochs": found.epochs} for found in sweep.rounds],
        "trials": [
            {
                "trial": summary.trial.number,
                "values": dict(summary.trial.values),
                "best": summary is best,
                "params": summary.params,
                "epochs": summary.epochs,
                **{figure: asdict(summary.spread(figure)) for figure in FIGURES},
                "seconds": summary.seconds,
                "trainings": [asdict(outcome) for outcome in summary.outcomes],
            }
            for summary in summaries
        ],
        "best": None if best is None else best.trial.number,
        "next": None if best is None else _command(sweep, spec, place, best),
    }


def sweep_charts(sweep: Sweep, axes: Sequence[Axis]) -> dict[str, list[Chart]]:
    """Return the charts of a sweep by the name of their file.

    Two are over the first axis of numbers: where several trials share a value of it, the best of
    them is drawn. Four are over the epochs, with a line for each of those trials.
    """
    name = _numeric_axis(sweep, axes)
    figures = [what for what in ("accuracy", "loss") if _has(sweep, f"val_{what}")]
    points = [] if name is None else _best_by_value(sweep, name)
    charts = {
        what: [fitting_chart(str(name), points, what, others=len(axes) > 1)]
        for what in figures
        if points
    }
    chosen = [summary for _, summary in points] or ranked(list(sweep.summaries.values()))
    histories = {told(one.trial): sweep.histories_of(one) for one in chosen[:MOST_LINES]}
    over_epochs = learning_charts(histories, figures)
    return charts | ({"epochs": over_epochs} if over_epochs else {})


def write_pictures(sweep: Sweep, charts: Mapping[str, Sequence[Chart]], place: Path) -> list[Path]:
    """Write the best trial's network, and the charts; return the charts' files."""
    from convcli.present.figures import save_charts

    best = sweep.best()
    if best is not None:
        network = configure(sweep.recipe, best.trial, sweep.data)[1]
        write_text(place / BEST_NETWORK, to_notation(network) + "\n", force=True)
    for name, some in charts.items():
        save_charts(some, place / f"{name}.svg", force=True)
    return [place / f"{name}.svg" for name in charts]


def _has(sweep: Sweep, figure: str) -> bool:
    return any(summary.spread(figure).mean is not None for summary in sweep.summaries.values())


def size_charts(sweep: Sweep) -> list[Chart]:
    """Return accuracy and loss of all trials over their parameters: dots, of networks each its own.

    Nothing where all have the same size.
    """
    found = sorted(sweep.summaries.values(), key=lambda summary: summary.params)
    sizes = tuple(float(summary.params) for summary in found)
    if len(set(sizes)) < 2:
        return []
    charts = []
    for what in MEASURES:
        lines = tuple(
            Line(header, sizes, _means(found, f"{part}_{what}"), joined=False)
            for part, header in HEADERS.items()
        )
        title = f"{what.capitalize()} over the number of parameters"
        percent = what == "accuracy"
        charts.append(Chart(title, lines, "parameters", what, log_x=True, percent=percent))
    return charts


def _means(summaries: Sequence[Summary], figure: str) -> tuple[float, ...]:
    means = (summary.spread(figure).mean for summary in summaries)
    return tuple(math.nan if mean is None else mean for mean in means)


def sweep_page(
    sweep: Sweep, spec: SweepSpec, report: Report, charts: Mapping[str, Sequence[Chart]]
) -> Document:
    """Return a finished sweep as a page: the best trial, the table of all, and their charts."""
    best, trials = sweep.best(), list(sweep.summaries.values())
    cards = [("trials", str(len(trials))), ("seeds each", str(spec.seeds))]
    if best is not None:
        figures = [(what, best.spread(f"val_{what}").mean) for what in MEASURES]
        cards = [
            ("best", told(best.trial)),
            *(
                (f"its validation {what}", percent(mean) if what == "accuracy" else _loss(mean))
                for what, mean in figures
                if mean is not None
            ),
            ("its parameters", f"{best.params:,}"),
            *cards,
        ]
    seconds = sum(outcome.seconds for one in trials for outcome in one.outcomes)
    sections = [Section("Trials", (report,))]
    fitting = [one for what in MEASURES for one in charts.get(what, ())]
    for heading, some, words in (
        (
            "Under- and over-fitting",
            fitting,
            "Where both lines are poor the setting underfits; where training goes on improving "
            "and validation does not, it overfits.",
        ),
        ("Over the epochs", charts.get("epochs", ()), "A line for each trial."),
        ("Over the number of parameters", size_charts(sweep), "Each dot is one trial."),
    ):
        if some:
            drawn = [chart_figure(one, f"{one.title}.") for one in some]
            sections.append(Section(heading, (*drawn, words)))
    lead = f"{', '.join(spec.axes)} on {sweep.data.name}; validation samples decide."
    cards.append(("training", as_seconds(seconds)))
    return Document(f"Sweep of {spec.network}", lead, tuple(sections), tuple(cards))


def _numeric_axis(sweep: Sweep, axes: Sequence[Axis]) -> str | None:
    """Return the first axis along which at least two numbers were tried."""
    for axis in axes:
        values = {dict(s.trial.values)[axis.name] for s in sweep.summaries.values()}
        if len(values) > 1 and all(isinstance(value, int | float) for value in values):
            return axis.name
    return None


def _best_by_value(sweep: Sweep, name: str) -> list[tuple[float, Summary]]:
    points: dict[float, Summary] = {}
    for summary in reversed(ranked(list(sweep.summaries.values()))):
        points[float(dict(summary.trial.values)[name])] = summary
    return sorted(points.items())


def fitting_chart(
    name: str, points: Sequence[tuple[float, Summary]], what: str, *, others: bool
) -> Chart:
    """Return training and validation figures over one setting.

    Under-fitting shows on the side where both are poor, over-fitting where they part.

    Args:
        name: of the setting.
        points: (value, trial), sorted.
        what: accuracy or loss.
        others: further settings differ, so that each point is the best of several trials.
    """
    values = tuple(value for value, _ in points)
    found = [summary for _, summary in points]
    lines = [
        Line(header, values, _means(found, f"{part}_{what}")) for part, header in HEADERS.items()
    ]
    title = f"{what.capitalize()} over {name}" + (", the best of each" if others else "")
    in_ratios = values[0] > 0 and values[-1] >= 10 * values[0]
    percent = what == "accuracy"
    return Chart(title, tuple(lines), name, what, log_x=in_ratios, percent=percent)


def _command(sweep: Sweep, spec: SweepSpec, place: Path, best: Summary) -> str:
    """Return the words that train the best trial as `convcli train` does it."""
    recipe, _ = configure(sweep.recipe, best.trial, sweep.data)
    recipe = recipe.changed(epochs=best.epochs)
    words = ["convcli", "train", str(place / BEST_NETWORK)]
    words += ["--data", spec.assignment.data_source]
    for name, value in spec.source.given().items():
        words += _option(name, value)
    if spec.recipe:
        words += ["--recipe", spec.recipe]
    base = find_recipe(spec.recipe or "default")
    for field in dataclasses.fields(Recipe):
        value = getattr(recipe, field.name)
        if field.name != "network" and value != getattr(base, field.name) and value is not None:
            for one in value if isinstance(value, tuple) else (value,):
                words += _option(field.name, one)
    if spec.seed:
        words += ["--seed", str(spec.seed)]
    return shlex.join(words)


def _option(name: str, value: object) -> list[str]:
    return [f"--{name.replace('_', '-')}", str(value)]
