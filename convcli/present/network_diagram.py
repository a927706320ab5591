"""A traced network as boxes for the diagram: layers with what follows them, fields to scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from math import log2
from pathlib import Path
from typing import Any

from convcli.errors import UsageError
from convcli.files import check_target, write_text
from convcli.layers.base import shape_text
from convcli.net import Step, Trace
from convcli.present.network_table import block_path, layer_words, sizes_text
from convcli.report.diagram import Box, FieldMark, as_dot, as_mermaid, draw
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
MANY_BOXES = 150
"""So many are no drawing any more: blocks are then drawn, as with a depth of 1."""


FORMATS = (".svg", ".png", ".pdf", ".dot", ".gv", ".mmd")
"""Endings that a diagram is written with: pictures, Graphviz' language and Mermaid's."""


def diagram(trace: Trace, depth: int | None = None) -> str:
    """Return the network as the text of an SVG file; blocks that lie deeper are one box each.

    Without a depth that are all layers, or blocks where there would be more than `MANY_BOXES`.
    """
    boxes, marks = drawn_boxes(trace, depth), _marks(trace)
    return draw(_title(trace), _subtitle(trace), boxes, marks, _aspect(trace.network.input_shape))


def write_diagram(
    trace: Trace,
    path: Path,
    *,
    depth: int | None = None,
    force: bool = False,
    inputs: Sequence[Path],
) -> None:
    """Write the network as its ending says.

    Raises:
        UsageError: none of `FORMATS`.
        OutputExistsError, InputError: as `convcli.files.write_text`.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise UsageError(f"{path}: a diagram is written as {', '.join(FORMATS)}.")
    if ending in {".png", ".pdf"}:
        check_target(path, force=force, inputs=inputs)
        return _write_picture(diagram(trace, depth), path, force=force)
    if ending == ".svg":
        text = diagram(trace, depth)
    else:
        spell = as_mermaid if ending == ".mmd" else as_dot
        text = spell(f"{_title(trace)}: {_subtitle(trace)}", drawn_boxes(trace, depth))
    return write_text(path, text, force=force, inputs=inputs)


def _write_picture(svg: str, path: Path, *, force: bool) -> None:
    """Write an SVG of ours with its rectangles, lines and letters drawn by matplotlib."""
    from xml.etree import ElementTree

    from convcli.present.figures import INCH, save_drawing

    root = ElementTree.fromstring(svg)  # noqa: S314  (our own text)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])

    def onto(whole: Any) -> None:
        whole.set_layout_engine("none")  # the drawing has its places already
        axes = whole.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        for element in root.iter():
            _draw_element(axes, element, 72 / INCH)

    texts = [element.text or "" for element in root.iter()]
    save_drawing(onto, path, size=(round(width), round(height)), texts=texts, force=force)


def _draw_element(axes: Any, element: Any, points: float) -> None:
    """Draw a rectangle, a line, a polygon or a text of SVG; `points` are those of a pixel."""
    from matplotlib.patches import Polygon, Rectangle

    given, kind = element.attrib, element.tag.rpartition("}")[2]
    colors = {"fill": given.get("fill", "none") != "none", "fc": given.get("fill", "none"),
              "ec": given.get("stroke", "none"),
              "lw": float(given.get("stroke-width", 1)) * points}  # fmt: skip
    if kind == "rect" and "x" in given:
        x, y, wide, high = (float(given[name]) for name in ("x", "y", "width", "height"))
        if opacity := float(given.get("fill-opacity", 0)):
            colors["fc"] = (given["fill"], opacity)
        axes.add_patch(Rectangle((x, y), wide, high, **colors))
    elif kind in {"polyline", "polygon"}:
        corners = [tuple(map(float, pair.split(","))) for pair in given["points"].split()]
        axes.add_patch(Polygon(corners, closed=kind == "polygon", **colors))
    elif kind == "text":
        size = float(given["font-size"]) * points * 0.84  # DejaVu is wider than Helvetica
        place = float(given["x"]), float(given["y"])
        axes.text(*place, element.text, size=size, weight=given["font-weight"], color=given["fill"])


def _title(trace: Trace) -> str:
    return f"{trace.network.name} on {shape_text(trace.network.input_shape)}"


def _subtitle(trace: Trace) -> str:
    totals = trace.totals
    return (
        f"{totals.params:,} parameters, {with_prefix(totals.macs)} MACs, "
        f"receptive field {sizes_text(totals.receptive_field)}"
    )


def drawn_boxes(trace: Trace, depth: int | None = None) -> list[Box]:
    """Return the input and one box for each layer with its followers, or for each block."""
    groups = _groups(trace.steps) if depth is None else _blocks(trace.steps, depth)
    if depth is None and len(groups) > MANY_BOXES:
        depth, groups = 1, _blocks(trace.steps, 1)
    box_of = {0: 0}
    size = "x".join(map(str, trace.network.input_shape))
    boxes = [Box("input", (size,), "input", level=0)]
    for group in groups:
        head, last = group[0], group[-1]
        own = {step.index for step in group}
        deep = depth is not None and len(block_path(head, depth)) == depth
        words = [layer_words(head), *(step.op for step in group[1:])]
        title = head.name
        if deep:
            title, count = _told(group, depth or 1)
            words = [
                f"{count} blocks, {len(group)} layers" if count > 1 else f"{len(group)} layers"
            ]
        params = sum(step.params for step in group)
        figures = "x".join(map(str, last.output_shape)) + (f", {params:,} params" if params else "")
        seen = sizes_text(last.receptive_field) if last.stride is not None else "the whole input"
        family = FAMILY.get(head.layer.role, "other")
        sources = tuple(
            dict.fromkeys(
                box_of[source] for step in group for source in step.sources if source not in own
            )
        )
        box_of |= dict.fromkeys((step.index for step in group), len(boxes))
        field = _fractions(trace, last) if family != "join" and last.stride is not None else None
        lines = (" + ".join(words), figures, f"field {seen}")
        boxes.append(Box(title, lines, family, sources, field, _level(last)))
    return boxes


def _told(group: Sequence[Step], depth: int) -> tuple[str, int]:
    """Return the name of the blocks in one box, and how many they are."""
    names = list(dict.fromkeys(".".join(block_path(step, depth)) for step in group))
    return " to ".join(dict.fromkeys((names[0], names[-1]))), len(names)


def _blocks(steps: Sequence[Step], depth: int) -> list[list[Step]]:
    """Return the steps in blocks; blocks of the same words that follow one another are one."""
    blocks: list[list[Step]] = []
    words: list[list[str]] = []

    def block_of(step: Step) -> tuple[str, ...]:
        path = block_path(step, depth)
        return path if len(path) == depth else ()

    for path, found in groupby(steps, block_of):
        block, deep = list(found), bool(path)
        said = [layer_words(step) for step in block]
        outside = {source for step in block for source in step.sources} - {s.index for s in block}
        if deep and words and words[-1] == said and outside == {blocks[-1][-1].index}:
            blocks[-1] += block
            continue
        blocks += [block] if deep else _groups(block)
        words += [said] if deep else [[]] * (len(blocks) - len(words))
    return blocks


def _level(step: Step) -> int | None:
    """Return how often the input was halved where a step stands, None where places are lost."""
    steps = [one for one in step.stride or () if one]
    return round(log2(max(steps))) if steps else None


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
