"""What a look inside a model found: its tables, and the pictures that more than one place shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convcli.imaging.sheet import Cell, Pixels
from convcli.inspect.render import attribution_cells, sample_picture
from convcli.layers.base import shape_text
from convcli.present.evaluation import confusion_report, mistakes_report
from convcli.report import Column, Report, tabulate

if TYPE_CHECKING:
    from convcli.data import Split
    from convcli.inspect.activation_maximization import Excited
    from convcli.inspect.explaining import Explained
    from convcli.inspect.filters import Filter
    from convcli.inspect.heatmap import Heatmap
    from convcli.inspect.maps import LayerMaps
    from convcli.inspect.probe import Probe
    from convcli.learn.evaluation import Evaluation, Labeled

GRID = (150, 170)
"""Two grays of the cells where there is no picture."""


def filters_report(filters: Sequence[Filter], drawn: int, rows: int | None = None) -> Report:
    """Return one row for each kernel; the document has the weights.

    Args:
        filters: the kernels.
        drawn: how many of them are in the picture.
        rows: at most so many are printed.
    """
    records = [
        {"layer": one.layer, "filter": one.filter, "channel": one.channel}
        | _range(one.weights)
        | {"sum": float(one.weights.sum()), "weights": one.weights.tolist()}
        for one in filters
    ]
    columns = {
        "layer": "Layer",
        "filter": "Filter",
        "channel": "Input channel",
        "min": "Min",
        "max": "Max",
        "sum": "Sum",
    }
    left = len(filters) - drawn
    notes = [f"{left} more kernels are not drawn; see --limit."] if left else []
    if rows is not None and len(records) > rows:
        notes.append(f"The first {rows} of {len(records)} rows; --format csv has all.")
    return tabulate(records[:rows], columns, notes=notes, document=records)


def maximize_report(found: Sequence[Excited]) -> Report:
    """Return how much each unit is excited."""
    records = [
        {"layer": one.step.name, "channel": one.channel, "before": one.before, "after": one.after}
        for one in found
    ]
    columns = {
        "layer": "Layer",
        "channel": "Channel",
        "before": "At the start",
        "after": "At the end",
    }
    note = "Before the activation; of a map, its middle cell. The start is a flat gray input."
    return tabulate(records, columns, notes=[note])


def maps_report(maps: Sequence[LayerMaps]) -> Report:
    """Return the values of each layer for one sample."""
    records = [
        {
            "index": one.step.index,
            "name": one.step.name,
            "output": one.step.output_shape,
            "receptive_field": one.step.receptive_field if one.step.stride else None,
            "mean": float(one.values.mean()),
            "zeros": one.zeros,
            "silent": one.silent,
        }
        | _range(one.values)
        for one in maps
    ]
    columns = {
        "index": "#",
        "name": "Layer",
        "output": "Output",
        "receptive_field": "RF",
        "min": "Min",
        "mean": "Mean",
        "max": "Max",
        "zeros": "Zeros|.0%",
        "silent": "Silent channels",
    }
    notes = (
        "RF is the receptive field; - is the whole input.",
        "Zeros is the share of cells that are 0.",
    )
    return tabulate(records, columns, notes=notes)


def explained_cells(probe: Probe, sample: Any, found: Sequence[Explained]) -> list[Cell]:
    """Return input, map and overlay, a row for each of `found`."""
    picture = sample_picture(probe, sample[0])
    name, probability = _class_of(probe, sample, found)
    cells = []
    for one in found:
        first, *others = attribution_cells(
            picture, one.caption, one.values, with_signs=one.with_signs
        )
        heading = f"{one.method}, class {name} ({probability:.1%})"
        cells += [Cell("the input", picture, heading), first, *others]
    return cells


def explained_report(probe: Probe, sample: Any, found: Sequence[Explained]) -> Report:
    """Return where each method's strongest reason is; the document has all values."""
    name, probability = _class_of(probe, sample, found)
    records = [
        {"method": one.method, "class": name, "probability": probability}
        | _range(one.values)
        | {
            "at": divmod(int(abs(one.values).argmax()), one.values.shape[1]),
            "shape": list(one.values.shape),
            "values": one.values.tolist(),
        }
        | one.figures
        for one in found
    ]
    columns: dict[str, str | Column] = {
        "method": "Method",
        "class": "Class",
        "probability": "Probability|%",
        "min": "Min",
        "max": "Max",
        "at": Column("at", "At row,column", "right", lambda place: f"{place[0]},{place[1]}"),
    }
    return tabulate(records, columns, notes=[one.note for one in found if one.note])


def _class_of(probe: Probe, sample: Any, found: Sequence[Explained]) -> tuple[str, float]:
    """Return the class that is explained, and its probability."""
    label = found[0].label
    return probe.trained.class_names[label], float(probe.answers(sample)[0][label])


def heatmap_report(
    found: Heatmap, names: Sequence[str], labels: Sequence[int], note: str
) -> Report:
    """Return where each class is found most surely; the document has all answers."""
    how, shape = found.sliding, found.answers.shape[:2]
    records = [
        {"class": names[label], "probability": probability, "row": row, "col": column}
        for label in labels
        for probability, (row, column) in [found.best(label)]
    ]
    columns = {"class": "Class", "probability": "Probability|%", "row": "Row", "col": "Column"}
    notes = [
        f"{shape_text(shape)} windows of {shape_text(how.window)}, {shape_text(how.stride)} apart; "
        "row and column are the first of the likeliest one.",
        *([note] if note else []),
    ]
    if not how.exact:
        notes.append(
            "Its layers pad: inside a larger picture they see neighbors where the classifier saw "
            "zeros, so the values differ from the classifier's."
        )
    document = {
        "window": how.window,
        "stride": how.stride,
        "shape": shape,
        "exact": how.exact,
        "classes": [
            record | {"values": found.answers[..., label].tolist()}
            for label, record in zip(labels, records, strict=True)
        ],
    }
    return tabulate(records, columns, notes=notes, document=document)


def confusion_shown(found: Evaluation, samples: Labeled, path: Path, *, force: bool) -> Report:
    """Draw a confusion matrix into an .svg or a picture, and return it as a table."""
    title = f"{samples.title}: {found.accuracy:.2%} of {found.n:,} right"
    names, counts = list(samples.data.class_names), found.confusion.tolist()
    if path.suffix.lower() == ".svg":
        from convcli.files import write_text
        from convcli.report.chart import matrix_chart

        write_text(path, matrix_chart(title, counts, names, shares=True), force=force)
    else:
        from convcli.imaging.formats import write_picture
        from convcli.imaging.matrix_picture import matrix_picture
        from convcli.imaging.picture import Frame, Picture

        picture = Picture((Frame(matrix_picture(title, counts, names)),))
        write_picture(path, picture, force=force)
    return confusion_report(found, title)


def mistake_cells(probe: Probe, found: Evaluation, split: Split) -> list[Cell]:
    """Return the worst mistakes as pictures, with what they are and what was predicted."""
    names = probe.trained.class_names
    inputs = probe.prepared(split.samples[[mistake.index for mistake in found.worst]])
    return [
        Cell(
            f"{names[mistake.truth]}, predicted {names[mistake.answer]}\n"
            f"probability {mistake.probability:.1%}",
            sample_picture(probe, one),
        )
        for mistake, one in zip(found.worst, inputs, strict=True)
    ]


def errors_report(found: Evaluation, samples: Labeled) -> Report:
    """Return the mistakes of an evaluation, and how many there are."""
    title = f"{wrong_answers(found):,} of {found.n:,} {samples.name} samples wrong"
    return mistakes_report(found, samples.samples.files, title)


def wrong_answers(found: Evaluation) -> int:
    """Return how many samples are predicted wrong."""
    return found.n - int(np.trace(found.confusion))


def grid_picture(height: int, width: int) -> Pixels:
    """Return a checkerboard of single cells as (height, width, 3)."""
    odd = np.add.outer(np.arange(height), np.arange(width)) % 2
    return np.repeat(np.choose(odd, GRID).astype(np.uint8)[..., None], 3, axis=2)


def _range(values: Any) -> dict[str, Any]:
    return {"min": float(values.min()), "max": float(values.max())}
