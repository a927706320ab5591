"""What a look inside a model found: its tables, and the pictures that more than one place shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convcli.errors import InputError
from convcli.inspect.render import sample_picture
from convcli.layers.base import shape_text
from convcli.present.evaluation import mistakes_report
from convcli.present.panels import Panel, Pixels, Scale, over
from convcli.report import Column, Report, tabulate
from convcli.report.chart import PALETTE

if TYPE_CHECKING:
    from convcli.data import Split
    from convcli.inspect.activation_maximization import Excited
    from convcli.inspect.convolutionalize import Heatmap
    from convcli.inspect.explaining import Explained
    from convcli.inspect.probe import LayerMaps, Probe
    from convcli.inspect.render import Filter
    from convcli.learn.evaluation import Evaluation, Labeled
    from convcli.net.field import Rectangle
    from convcli.net.trace import Step, Trace

GRID = (150, 170)
"""Two grays of the cells where there is no picture."""
DIMMED = 0.35
"""Light that is left outside a receptive field."""
COLORED = "Weights of red, green and blue: 0 is middle gray, {:.3g} full color, for all kernels"
ANSWERS = 24
"""Classes whose answers are drawn, the likeliest."""


def filter_panels(filters: Sequence[Filter]) -> list[Panel]:
    """Return one panel for each kernel, all on one scale; a row for each that has several parts.

    >>> from convcli.inspect.render import Filter
    >>> grid = Filter("conv1", 0, 0, np.array([[-1.0, 0.0, 0.5]]))
    >>> [(panel.caption, panel.scale.high) for panel in filter_panels([grid])]
    [('0: -1 to 0.5', 1.0)]
    """
    several = len({one.channel for one in filters}) > 1
    largest = np.array([abs(one.weights).max() for one in filters])
    scale = Scale.of(largest, "weight; one scale for all kernels", signed=True)
    panels = []
    for before, one in zip([None, *filters], filters, strict=False):
        extremes = f"{one.weights.min():.2g} to {one.weights.max():.2g}"
        caption = f"from {one.channel}" if several else f"{one.filter}: {extremes}"
        first = several and (before is None or before.filter != one.filter)
        heading = f"{one.layer}, filter {one.filter}" if first else ""
        if one.weights.ndim == 3:  # over the colors of a picture, each about its own middle gray
            colors = np.rint(128 + 127 * one.weights / scale.high).astype(np.uint8)
            panels.append(Panel(caption, colors, COLORED.format(scale.high) * (before is None)))
        else:
            panels.append(Panel(caption, one.weights, heading, scale))
    return panels


def map_panels(
    maps: Sequence[LayerMaps], class_names: Sequence[str] = (), limit: int = 64
) -> list[Panel]:
    """Return the maps of each layer under its heading, at most `limit` of its channels.

    One scale holds for all channels of a layer. A vector is drawn as bars and a series as lines;
    the answers of the network have the classes' names, the likeliest first.
    """
    panels = []
    for number, one in enumerate(maps):
        heading, values = layer_heading(one.step), one.values
        if values.ndim == 1 and number == len(maps) - 1 and class_names:
            order = np.argsort(-values, kind="stable")[:ANSWERS]
            names = tuple(class_names[index] for index in order.tolist())
            shares = "softmax" in {one.step.activation, one.step.op}
            text = "{:.2%}" if shares else "{:.3g}"
            panels.append(Panel("", values[order], heading, form="bars", names=names, text=text))
            continue
        if values.ndim == 1:
            caption = f"{len(values)} units" + ("" if values.any() else ": all 0")
            panels.append(Panel(caption, values, heading, form="bars"))
            continue
        channels = values.shape[-1]
        if channels > limit:
            heading += f": the first {limit} of {channels} channels"
        if values.ndim == 2:
            caption = f"{channels} channels" + ", from dark to pale" * (channels > len(PALETTE))
            panels.append(Panel(caption, values[:, :limit], heading, form="lines"))
            continue
        scale = Scale.of(values, "value; one scale for the whole layer")
        for channel in range(min(channels, limit)):
            picture = values[..., channel]
            if picture.ndim == 3:  # the planes of a volume side by side
                picture = np.concatenate(list(picture), axis=1)
            caption = f"{channel}" if picture.any() else f"{channel}: all 0"
            panels.append(Panel(caption, picture, heading * (channel == 0), scale))
    return panels


def layer_heading(step: Step) -> str:
    """Return a layer's name, shape and receptive field.

    >>> from convcli.net import network
    >>> [layer_heading(step) for step in network("mnist").trace().steps[1:5:3]]
    ['maxpool1  13x13x16, field 4x4, every 2x2', 'flatten1  800, sees the whole input']
    """
    sees = "sees the whole input"
    if step.stride is not None:
        every = shape_text(tuple(int(one or 0) for one in step.stride))
        sees = f"field {shape_text(step.receptive_field)}, every {every}"
    return f"{step.name}  {shape_text(step.output_shape)}, {sees}"


def sample_panel(probe: Probe, sample: Any, caption: str, heading: str = "") -> Panel:
    """Return one prepared sample: a picture, planes of a volume, lines of a series, or bars."""
    if sample.ndim == 4:
        planes = probe.stored(sample)[..., 0]
        return Panel(caption, np.concatenate(list(planes), axis=1), heading)
    if sample.ndim == 3:
        return Panel(caption, sample_picture(probe, sample), heading)
    return Panel(
        caption, probe.stored(sample), heading, form="lines" if sample.ndim == 2 else "bars"
    )


def excited_panels(probe: Probe, found: Sequence[Excited]) -> list[Panel]:
    """Return a panel for each input found, a heading for each layer."""
    names, last = probe.trained.class_names, probe.trace.steps[-1]
    several = len({one.steps for one in found}) > 1
    panels = []
    for before, one in zip([None, *found], found, strict=False):
        name = names[one.channel] if one.step.index == last.index else str(one.channel)
        new = before is None or before.step.index != one.step.index
        field = shape_text(one.step.receptive_field) if one.step.stride else "the whole input"
        heading = f"{one.step.name}, field {field}" if new else ""
        caption = f"{name}: {one.after:.3g}" + f"\nafter step {one.steps}" * several
        panels.append(sample_panel(probe, one.sample, caption, heading))
    return panels


def explained_panels(probe: Probe, sample: Any, found: Sequence[Explained]) -> list[Panel]:
    """Return input, map and overlay, a row for each of `found`.

    Of series and vectors there are lines or bars of the input and of what speaks for the class.
    """
    panels = []
    for one in found:
        panels.append(sample_panel(probe, sample[0], "the input", one.method))
        if sample.ndim != 4:
            series = one.values.shape[0] > 1 or sample.ndim == 3
            values = one.values.T if series else one.values[0]
            panels.append(Panel(one.caption, values, form="lines" if series else "bars"))
            continue
        scale = Scale.of(one.values, one.unit, signed=one.with_signs)
        mixed = over(sample_picture(probe, sample[0]), one.values, scale)
        panels += [
            Panel(one.caption, one.values, scale=scale),
            Panel("over the input", mixed, scale=scale, box=one.box),
        ]
    return panels


def heatmap_panels(found: Heatmap, names: Sequence[str], labels: Sequence[int]) -> list[Panel]:
    """Return the picture, and under each class' answers the picture again.

    Every answer stands at the center of its window, and the window of the largest is framed.
    """
    rgb = np.ascontiguousarray(np.broadcast_to(found.picture, (*found.picture.shape[:2], 3)))
    panels = [Panel("what the network was fed", rgb)]
    scale = Scale("magnitude", 0.0, 1.0, "answer of the network")
    for label in labels:
        largest, corner = found.best(label)
        drawn = over(rgb, found.over_picture(label), scale)
        caption = f"{names[label]}: {largest:.1%} at {corner[0]},{corner[1]}"
        height, width = found.sliding.window
        box = (*corner, height, width)
        panels.append(Panel(caption, drawn, scale=scale, box=box))
    return panels


def field_panel(trace: Trace, step: Step, cell: str, field: Rectangle, fed: Pixels | None) -> Panel:
    """Return the network's input, dim outside the part that one cell sees, with its indices.

    Args:
        trace: the network.
        step: whose cell it is.
        cell: its place, as it is written.
        field: first and last row, first and last column; None where only padding is seen.
        fed: (H, W, 3), or None for a grid of cells.

    Raises:
        InputError: the input is no picture, or the layer gives no map.
    """
    shape = trace.network.input_shape
    if len(shape) != 3:
        raise InputError(
            f"The input {shape_text(shape)} is no picture; fields are drawn on pictures. For the "
            "figures: convcli shape"
        )
    if len(step.output_shape) != 3:
        raise InputError(
            f"Layer {step.index} {step.name} gives {shape_text(step.output_shape)}, no map: each "
            "of its units sees the whole input."
        )
    if fed is None:
        odd = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % 2
        fed = np.repeat(np.choose(odd, GRID).astype(np.uint8)[..., None], 3, axis=2)
    (top, bottom), (left, right) = ((0, -1) if span is None else span for span in field)
    drawn = np.rint(fed * DIMMED).astype(np.uint8)
    inside = slice(top, bottom + 1), slice(left, right + 1)
    drawn[inside] = fed[inside]
    caption = f"cell {cell} of {step.name} sees this of the input {shape_text(shape)}"
    full = step.receptive_field if step.stride else None
    if full and any(size > extent for size, extent in zip(full, shape, strict=False)):
        caption += f"; its field of {shape_text(full)} is larger than the input"
    elif full and (bottom - top + 1, right - left + 1) != full:
        caption += f"; of its field of {shape_text(full)} the rest is padding"
    box = (top, left, bottom - top + 1, right - left + 1)
    return Panel(caption, drawn, box=box if bottom >= top and right >= left else None, ticks=True)


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
        {"layer": one.step.name, "channel": one.channel, "steps": one.steps, "before": one.before,
         "after": one.after}
        for one in found
    ]  # fmt: skip
    columns = {
        "layer": "Layer",
        "channel": "Channel",
        "steps": "Steps",
        "before": "At the start",
        "after": "After them",
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


def explained_report(probe: Probe, sample: Any, found: Sequence[Explained]) -> Report:
    """Return where each method's strongest reason is; the document has all values."""
    name, probability = class_of(probe, sample, found)
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


def class_of(probe: Probe, sample: Any, found: Sequence[Explained]) -> tuple[str, float]:
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


def mistake_panels(probe: Probe, found: Evaluation, split: Split) -> list[Panel]:
    """Return the worst mistakes as pictures, with what they are and what was predicted."""
    names = probe.trained.class_names
    inputs = probe.prepared(split.some([mistake.index for mistake in found.worst]))
    return [
        sample_panel(
            probe,
            one,
            f"{names[mistake.truth]}, predicted {names[mistake.answer]}\n"
            f"probability {mistake.probability:.1%}",
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


def _range(values: Any) -> dict[str, Any]:
    return {"min": float(values.min()), "max": float(values.max())}
