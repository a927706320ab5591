"""What a look inside a model found, as tables: kernels, maps, attributions, fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convcli.layers.base import shape_text
from convcli.report import Column, Report
from convcli.report.numbers import percent

if TYPE_CHECKING:
    from convcli.inspect.activation_maximization import Excited
    from convcli.inspect.explaining import Explained
    from convcli.inspect.filters import Filter
    from convcli.inspect.heatmap import Heatmap
    from convcli.inspect.maps import LayerMaps

FILTERS_SHOWN = 64
"""Rows of the table of filters; JSON has all."""


def filters_report(filters: Sequence[Filter], shown: int) -> Report:
    columns = (
        Column("layer", "layer"),
        Column("filter", "filter", "right"),
        Column("channel", "input channel", "right"),
        Column("min", "min", "right"),
        Column("max", "max", "right"),
        Column("sum", "sum", "right"),
    )
    figures: list[tuple[Any, ...]] = [
        (
            one.layer,
            one.filter,
            one.channel,
            float(one.weights.min()),
            float(one.weights.max()),
            float(one.weights.sum()),
        )
        for one in filters
    ]
    document = [
        dict(zip((column.key for column in columns), row, strict=True))
        | {"weights": one.weights.tolist()}
        for one, row in zip(filters, figures, strict=True)
    ]
    left = len(filters) - shown
    notes = [f"{left} more kernels are not drawn; see --limit."] if left else []
    if len(figures) > FILTERS_SHOWN:
        notes.append(f"The first {FILTERS_SHOWN} of {len(figures)} rows; --format json has all.")
    return Report("", columns, tuple(figures[:FILTERS_SHOWN]), None, tuple(notes), document)


def maximize_report(found: Sequence[Excited]) -> Report:
    columns = (
        Column("layer", "layer"),
        Column("channel", "channel", "right"),
        Column("before", "at the start", "right"),
        Column("after", "at the end", "right"),
    )
    rows = tuple((one.step.name, one.channel, one.before, one.after) for one in found)
    note = "Before the activation; of a map, its middle cell. The start is a flat gray input."
    return Report("", columns, rows, None, (note,))


def maps_report(maps: Sequence[LayerMaps]) -> Report:
    columns = (
        Column("index", "#", "right"),
        Column("name", "layer"),
        Column("output", "output", "right"),
        Column("receptive_field", "field", "right"),
        Column("min", "min", "right"),
        Column("mean", "mean", "right"),
        Column("max", "max", "right"),
        Column("zeros", "zeros", "right", lambda share: f"{share:.0%}"),
        Column("silent", "silent channels", "right"),
    )
    rows = tuple(
        (
            one.step.index,
            one.step.name,
            one.step.output_shape,
            one.step.receptive_field if one.step.stride else None,
            float(one.values.min()),
            float(one.values.mean()),
            float(one.values.max()),
            one.zeros,
            one.silent,
        )
        for one in maps
    )
    note = "A field of - is the whole input. Zeros is the share of cells that are 0."
    return Report("", columns, rows, None, (note,))


def explained_report(found: Sequence[Explained], name: str, probability: float) -> Report:
    columns = (
        Column("method", "method"),
        Column("class", "class"),
        Column("probability", "probability", "right"),
        Column("min", "min", "right"),
        Column("max", "max", "right"),
        Column("at", "at row,column", "right", lambda place: f"{place[0]},{place[1]}"),
    )
    rows = []
    for one in found:
        place = divmod(int(abs(one.values).argmax()), one.values.shape[1])
        low, high = float(one.values.min()), float(one.values.max())
        rows.append((one.method, name, probability, low, high, place))
    document = [
        dict(zip((column.key for column in columns), row, strict=True))
        | {"shape": list(one.values.shape), "values": one.values.tolist()}
        | one.figures
        for one, row in zip(found, rows, strict=True)
    ]
    notes = tuple(one.note for one in found if one.note)
    return Report("", columns, tuple(rows), None, notes, document)


def heatmap_report(found: Heatmap, names: tuple[str, ...], labels: list[int], note: str) -> Report:
    columns = (
        Column("class", "class"),
        Column("probability", "most", "right", percent),
        Column("row", "window's first row", "right"),
        Column("col", "column", "right"),
    )
    rows = []
    for label in labels:
        probability, (row, column) = found.best(label)
        rows.append((names[label], probability, row, column))
    how = found.sliding
    shape = found.answers.shape[:2]
    notes = [
        f"{shape_text(shape)} windows of {shape_text(how.window)}, {shape_text(how.stride)} apart.",
        *([note] if note else []),
    ]
    if not how.exact:
        notes.append(
            "Its layers pad: inside a larger picture they see neighbors where the classifier saw "
            "zeros, so the values differ from the classifier's."
        )
    document = {
        "window": list(how.window),
        "stride": list(how.stride),
        "shape": list(shape),
        "exact": how.exact,
        "classes": [
            dict(zip(("class", "probability", "row", "col"), row, strict=True))
            | {"values": found.answers[..., label].tolist()}
            for label, row in zip(labels, rows, strict=True)
        ],
    }
    return Report("", columns, tuple(rows), None, tuple(notes), document)
