"""Several runs side by side, as a list or as a page: figures, settings that differ, and curves."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcli.present.facts import RunFacts, differing, read_runs, setting_text
from convcli.report import Column, Report, tabulate
from convcli.report.chart import Chart, Line
from convcli.report.document import Block, Document, Figure, Section, chart_figure
from convcli.report.numbers import percent

if TYPE_CHECKING:
    from convcli.learn.run_directory import RunDirectory

SETTINGS = ("values", "data", "seed", "samples", "recipe", "environment", "convcli")
"""Parts of a record that were decided before the training, not measured in it."""

REPEATED = {"seed", "samples", "environment"}
"""Parts that differ where one training was repeated with other seeds or other folds."""

_SPACED = str.maketrans("_.", "  ")


def comparison_document(places: Sequence[Path | str]) -> Document:
    """Return several runs as one page: their figures, settings and curves.

    Args:
        places: run directories.

    Raises:
        InputError: one is no run directory, or its record or history is damaged.
    """
    runs = read_runs([Path(place) for place in places])
    return Document(
        title=f"{len(runs)} runs compared",
        lead=_lead(runs),
        sections=(
            Section("Figures", (figures_report(runs),)),
            Section("Settings that differ", (_settings_block(runs),)),
            Section("Learning curves", _curve_blocks(runs)),
            Section("Over the number of parameters", _capacity_blocks(runs)),
        ),
        cards=tuple(_repeated(runs)),
    )


def _repeated(runs: Sequence[RunFacts]) -> Iterator[tuple[str, str]]:
    """Yield mean and deviation where the runs are one training with several folds or seeds."""
    told = {key.partition(".")[0] for key in differing_settings(runs)}
    networks = {str(one.record.get("network")) for one in runs}
    if len(networks) > 1 or not told <= REPEATED:
        return
    for key, words in (("val_accuracy", "validation"), ("test_accuracy", "test")):
        known = [figure for one in runs if (figure := _figures(one)[key]) is not None]
        if len(known) == len(runs):
            deviation = f"{100 * statistics.stdev(known):.2f}"
            mean = percent(statistics.fmean(known))
            yield f"{words} accuracy, mean of {len(runs)}", f"{mean} ± {deviation}"


def figures_report(runs: Sequence[RunFacts]) -> Report:
    """Return one row for each run: its size, the figures of its best epoch, its test, its time.

    The JSON document has the settings that differ too.
    """
    columns = {
        "run": "Run",
        **({"data": "Data"} if len(by_data(runs)) > 1 else {}),
        "params": "Parameters",
        "epochs": "Epochs",
        "best_epoch": "Best",
        "train_accuracy": "Training|%",
        "val_accuracy": "Validation|%",
        "test_accuracy": "Test|%",
        "test_loss": "Test loss|.4f",
        "train_seconds": "Time|s",
    }
    settings = differing_settings(runs)
    document = [
        _figures(one) | {"settings": {key: texts[place] for key, texts in settings.items()}}
        for place, one in enumerate(runs)
    ]
    note = "Training and validation accuracy are those of the best epoch, whose weights were kept."
    return tabulate(document, columns, notes=[note], name="runs")


def differing_settings(runs: Sequence[RunFacts]) -> dict[str, list[Any]]:
    """Return the settings that are not the same in all runs: name -> value of each run."""
    return differing([{key: one.record.get(key) for key in SETTINGS} for one in runs])


def _lead(runs: Sequence[RunFacts]) -> str:
    """Return which run did best on each data set; figures of two do not compare."""
    sets = by_data(runs)
    found = []
    for data, members in sets.items():
        known = [(one.best.get("val_accuracy"), one) for one in members]
        measured = [(accuracy, one) for accuracy, one in known if accuracy is not None]
        if not measured:
            continue
        accuracy, best = max(measured, key=lambda pair: pair[0])
        test = best.result("test_accuracy")
        tested = "" if test is None else f", {percent(test)} on its test samples"
        where = f" of {data}" if len(sets) > 1 else ""
        found.append(
            f"Best on validation samples{where}: {best.name} with {percent(accuracy)}{tested}."
        )
    return " ".join(found) or "No run has a validation accuracy."


def by_data(runs: Sequence[RunFacts]) -> dict[str, list[RunFacts]]:
    """Return the runs of each data set, in order of appearance."""
    sets: dict[str, list[RunFacts]] = {}
    for one in runs:
        sets.setdefault(str(one.record.get("data")), []).append(one)
    return sets


def _figures(run: RunFacts) -> dict[str, Any]:
    best = run.best
    number = best.get("number")
    return {
        "run": run.name,
        "data": run.record.get("data"),
        "status": run.record.get("status"),
        "params": run.params,
        "epochs": len(run.history),
        "best_epoch": None if number is None else int(number),
        "train_accuracy": best.get("train_accuracy"),
        "train_loss": best.get("train_loss"),
        "val_accuracy": best.get("val_accuracy"),
        "val_loss": best.get("val_loss"),
        "test_accuracy": run.result("test_accuracy"),
        "test_loss": run.result("test_loss"),
        "train_seconds": run.result("train_seconds"),
    }


def _settings_block(runs: Sequence[RunFacts]) -> Block:
    settings = differing_settings(runs)
    if not settings:
        return "None: all settings are the same."
    columns: dict[str, str | Column] = {"run": "Run"}
    for key in settings:
        header = key.removeprefix("recipe.").removeprefix("values.").translate(_SPACED).capitalize()
        columns[key] = Column(key, header, text=setting_text)
    rows = [
        {"run": one.name, **{key: values[place] for key, values in settings.items()}}
        for place, one in enumerate(runs)
    ]
    return tabulate(rows, columns)


def _curve_blocks(runs: Sequence[RunFacts]) -> tuple[Block, ...]:
    """Return accuracy and loss of all runs over the epochs, training in dashes."""
    if not any(one.history for one in runs):
        return ("No run has finished an epoch.",)
    sets = by_data(runs)
    return tuple(
        _curves(what, members, f" on {data}" if len(sets) > 1 else "")
        for data, members in sets.items()
        for what in ("accuracy", "loss")
    )


def _curves(what: str, runs: Sequence[RunFacts], where: str) -> Figure:
    """Return one measure of all runs on a data set over the epochs."""
    lines: list[Line] = []
    for number, one in enumerate(runs):
        validated = bool(one.curve(f"val_{what}")[0])
        lines.append(
            Line(
                one.name if not validated else f"{one.name}, training",
                *one.curve(f"train_{what}"),
                dashed=validated,
                color=number,
                labeled=not validated,
            )
        )
        lines.append(Line(one.name, *one.curve(f"val_{what}"), color=number))
    title = f"{what.capitalize()} by epoch{where}"
    chart = Chart(
        title, tuple(lines), "epoch", what, log_y=what == "loss", percent=what == "accuracy"
    )
    words = "validation samples in full lines, training samples in dashes of the same color."
    return chart_figure(chart, f"{title}: {words}")


def _capacity_blocks(runs: Sequence[RunFacts]) -> tuple[Block, ...]:
    """Return training and validation figures over the networks' sizes."""
    sizes = {one.params for one in runs if one.params}
    if len(sizes) < 2:
        return ("All networks have the same number of parameters; there is nothing to draw.",)
    blocks: list[Block] = []
    sets = by_data(runs)
    for what in ("accuracy", "loss"):
        lines = [
            Line(
                f"{name}, {data}" if len(sets) > 1 else name,
                *_means_by_size(members, reader),
                joined=False,
            )
            for data, members in sets.items()
            for name, reader in (
                ("training", _last_of(f"train_{what}")),
                ("validation", _last_of(f"val_{what}")),
                ("test", _test_of(what)),
            )
        ]
        title = f"{what.capitalize()} over the number of parameters"
        percent = what == "accuracy"
        chart = Chart(title, tuple(lines), "parameters", what, log_x=True, percent=percent)
        blocks.append(chart_figure(chart, f"{title}."))
    words = (
        "Training and validation figures are those of the last epoch, test figures those of the "
        "best; runs of one size are averaged. Where both are poor the network is too small "
        "(underfitting); where training goes on improving and validation does not, it overfits."
    )
    return (*blocks, words)


def _means_by_size(
    runs: Sequence[RunFacts], reader: Callable[[RunFacts], float | None]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return sizes in order and the mean figure of the runs of each."""
    by_size: dict[int, list[float]] = {}
    for one in runs:
        figure = reader(one)
        if one.params and figure is not None:
            by_size.setdefault(one.params, []).append(figure)
    pairs = sorted((size, sum(found) / len(found)) for size, found in by_size.items())
    return tuple(float(size) for size, _ in pairs), tuple(mean for _, mean in pairs)


def _last_of(key: str) -> Callable[[RunFacts], float | None]:
    return lambda run: run.last.get(key)


def _test_of(what: str) -> Callable[[RunFacts], float | None]:
    return lambda run: run.result(f"test_{what}")


Found = tuple["RunDirectory", dict[str, Any]]
"""A run and its record."""


def list_report(found: Sequence[Found], sort: str) -> Report:
    """Return one row for each run; the document has their whole records.

    Args:
        found: the runs.
        sort: `started`, or the figure of the result that orders them, the largest last.
    """
    ordered = sorted(found, key=lambda one: _sort_key(one[1], sort))
    rows = [
        _result(record)
        | {
            "run": directory.path.as_posix(),
            "status": record.get("status"),
            "data": record.get("data"),
            "epochs": record.get("epochs_done"),
        }
        for directory, record in ordered
    ]
    columns = {
        "run": "Run",
        "status": "Status",
        "data": "Data",
        "epochs": "Epochs",
        "params": "Parameters",
        "val_accuracy": "Validation|%",
        "test_accuracy": "Test|%",
        "train_seconds": "Time|s",
    }
    dead = [row["run"] for row in rows if row["status"] == "died"]
    return tabulate(
        rows,
        columns,
        notes=[f"{run} died: go on with convcli train --resume {run}" for run in dead],
        document=[{"run": d.path.as_posix(), **record} for d, record in ordered],
    )


def _sort_key(record: dict[str, Any], key: str) -> tuple[bool, Any]:
    value = record.get(key) if key == "started" else _result(record).get(key)
    known = isinstance(value, str if key == "started" else int | float)
    return (known, value if known else 0)


def _result(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a finished run, none of one that is not."""
    result = record.get("result")
    return result if isinstance(result, dict) else {}


def differences_report(directories: Sequence[RunDirectory]) -> Report:
    """Return what differs between runs, settings and results, one row a figure."""
    records = [directory.read_record() for directory in directories]
    found = differing([{k: v for k, v in one.items() if k != "process"} for one in records])
    keys = [f"run{number}" for number in range(1, len(directories) + 1)]
    columns: dict[str, str | Column] = {"figure": "Figure"}
    for key, directory in zip(keys, directories, strict=True):
        columns[key] = Column(key, directory.path.name, "right", setting_text)
    rows = [
        {"figure": name, **dict(zip(keys, values, strict=True))} for name, values in found.items()
    ]
    return tabulate(rows, columns, title="What differs")
