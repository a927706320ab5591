"""A traced network as boxes for the diagram: layers with what follows them, fields to scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from convcli.net import Step, Trace
from convcli.present.network_table import layer_words, sizes_text
from convcli.report.diagram import Box, FieldMark, draw
from convcli.report.numbers import with_prefix

FOLLOWERS = {"norm", "activation", "dropout"}
"""Roles of what is drawn inside the box of the layer before it."""
FAMILY = {
    **{role: role for role in ("conv", "pool", "dense", "join")},
    "recurrent": "dense",
}
"""Role -> color."""
MARKS = 7
"""Fields drawn into one another at the head, at most."""


def diagram(trace: Trace) -> str:
    """Return the network as the text of an SVG file."""
    totals = trace.totals
    size = "x".join(map(str, trace.network.input_shape))
    subtitle = (
        f"{totals.params:,} parameters, {with_prefix(totals.macs)} MACs, "
        f"receptive field {sizes_text(totals.receptive_field)}"
    )
    return draw(
        f"{trace.network.name} on {size}",
        subtitle,
        drawn_boxes(trace),
        _marks(trace),
        _aspect(trace.network.input_shape),
    )


def drawn_boxes(trace: Trace) -> list[Box]:
    """Return the input and one box for each layer with its followers."""
    groups = _groups(trace.steps)
    box_of = {0: 0}
    size = "x".join(map(str, trace.network.input_shape))
    boxes = [Box("input", (size,), "input")]
    for group in groups:
        head, last = group[0], group[-1]
        words = [layer_words(head), *(step.op for step in group[1:])]
        params = sum(step.params for step in group)
        figures = "x".join(map(str, last.output_shape)) + (f", {params:,} params" if params else "")
        seen = sizes_text(last.receptive_field) if last.stride is not None else "the whole input"
        family = FAMILY.get(head.layer.role, "other")
        sources = tuple(box_of[source] for source in head.sources)
        box_of |= dict.fromkeys((step.index for step in group), len(boxes))
        field = _fractions(trace, last) if family != "join" and last.stride is not None else None
        boxes.append(
            Box(head.name, (" + ".join(words), figures, f"field {seen}"), family, sources, field)
        )
    return boxes


def _groups(steps: Sequence[Step]) -> list[list[Step]]:
    """Return the steps in groups: a layer, and the followers that alone read what is before."""
    readers = Counter(source for step in steps for source in step.sources)
    groups: list[list[Step]] = []
    for step in steps:
        before = groups[-1][-1] if groups else None
        follows = step.layer.role in FOLLOWERS
        if before and follows and step.sources == (before.index,) and readers[before.index] == 1:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _fractions(trace: Trace, step: Step) -> tuple[float, float]:
    """Return the field as parts of the input's last two axes; a series is one cell high."""
    extents = trace.network.input_shape[:-1]
    parts = [cells / size for cells, size in zip(step.receptive_field, extents, strict=True)]
    return (parts[-2], parts[-1]) if len(parts) > 1 else (1.0, parts[0])


def _aspect(input_shape: tuple[int, ...]) -> float:
    """Return width / height of the input's picture, kept drawable."""
    if len(input_shape) == 2:
        return 4.0
    if len(input_shape) < 3:
        return 1.0
    return min(4.0, max(0.25, input_shape[-2] / input_shape[-3]))


def _marks(trace: Trace) -> list[FieldMark]:
    """Return fields that grow, from the first layer to the last, at most `MARKS`."""
    growing: list[Step] = []
    for step in trace.steps:
        seen = max(growing[-1].receptive_field) if growing else 1
        if step.stride is not None and max(step.receptive_field) > seen:
            growing.append(step)
    if len(growing) > MARKS:
        last = len(growing) - 1
        growing = [growing[round(number * last / (MARKS - 1))] for number in range(MARKS)]
    return [
        FieldMark(f"{step.name}: {sizes_text(step.receptive_field)}", _fractions(trace, step))
        for step in growing
    ]
