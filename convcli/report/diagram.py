"""A network as a picture: its graph with figures in boxes, and the growing field; SVG or text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from colorsys import hls_to_rgb
from dataclasses import dataclass
from xml.sax.saxutils import escape

from convcli.report.lanes import Edge, Layout, place

BOX_W, BOX_H = 236, 76
GAP = 26
"""Between rows: a fork bends in its upper third, a join in its lower third."""
LANE_GAP = 26
WIRE_W = 16
MARGIN = 28
GUTTER = 44
PICTURE = 46
"""The side of the small picture of input and field in each box."""

FAMILIES = {
    "input": ("#ffffff", "#444444"),
    "conv": ("#e3eeff", "#2563c9"),
    "pool": ("#fff0d6", "#b86e00"),
    "dense": ("#dff4e4", "#23803a"),
    "join": ("#efe4ff", "#7440c0"),
    "other": ("#f1f1f1", "#666666"),
}
"""Fill and outline by what a box does."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box of the diagram, as it is to be read.

    Attributes:
        title: the first line, bold.
        lines: up to three further lines.
        family: a key of `FAMILIES`.
        sources: indices of the boxes that it reads; they stand before it.
        field: the receptive field as fractions (height, width) of the input, above 1 when it
            reaches past the border; None where it is the whole input or there is none.
        level: how often its map was halved; None where it has no places.
    """

    title: str
    lines: tuple[str, ...]
    family: str
    sources: tuple[int, ...] = ()
    field: tuple[float, float] | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class FieldMark:
    """One square of the picture of the growing field: its label and fractions of the input."""

    label: str
    field: tuple[float, float]


def draw(
    title: str,
    subtitle: str,
    boxes: Sequence[Box],
    marks: Sequence[FieldMark] = (),
    aspect: float = 1.0,
) -> str:
    """Return the diagram as the text of an SVG file.

    A network that goes down in steps and up again, with connections across, is drawn as a U.

    Args:
        title: the heading.
        subtitle: one line of totals under it.
        boxes: the network in an order where sources stand before their readers.
        marks: fields to be drawn into one another at the head, small to large.
        aspect: width / height of the input picture.
    """
    head_high = _head_height(marks)
    turn = _turn(boxes)
    plan: _Plan | _UPlan = (
        _UPlan(boxes, turn, head_high)
        if turn
        else _Plan(place([box.sources for box in boxes]), head=head_high)
    )
    body = plan.edges()
    for index, box in enumerate(boxes):
        body.append(_box(box, *plan.corner(index), aspect))
    head = _head(title, subtitle, marks, aspect)
    width = max(plan.width, 560)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{plan.height}" '
            f'viewBox="0 0 {width} {plan.height}" font-family="Helvetica, Arial, sans-serif" '
            f'role="img">',
            f"<title>{escape(title)}</title>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *head,
            *body,
            "</svg>",
            "",
        ]
    )


class _Plan:
    """Pixels for a layout: columns of rows, lanes as wide as what stands in them."""

    def __init__(self, layout: Layout, head: int) -> None:
        self.layout = layout
        self._head = head
        starts = layout.column_starts
        ends = [*starts[1:], max(layout.row) + 1]
        self._lane_x: list[list[int]] = []
        self._column_x: list[int] = []
        x = MARGIN
        for start, end in zip(starts, ends, strict=True):
            self._column_x.append(x)
            offsets, wide = self._lanes_of(start, end)
            self._lane_x.append([x + offset for offset in offsets])
            x += wide + GUTTER
        rows = max(end - start for start, end in zip(starts, ends, strict=True))
        self.width = x - GUTTER + MARGIN
        self.height = head + rows * (BOX_H + GAP) - GAP + MARGIN

    def _lanes_of(self, start: int, end: int) -> tuple[list[int], int]:
        """Return the x of each lane in one column, and the column's width."""
        boxes = {
            lane
            for row, lane in zip(self.layout.row, self.layout.lane, strict=True)
            if start <= row < end
        }
        wires = {
            edge.lane for edge in self.layout.edges if start <= self.layout.row[edge.source] < end
        }
        offsets, x = [], 0
        for lane in range(max(boxes | wires) + 1):
            offsets.append(x)
            if lane in boxes:
                x += BOX_W + LANE_GAP
            elif lane in wires:
                x += WIRE_W
        return offsets, max(x, BOX_W)

    def _column(self, row: int) -> int:
        starts = self.layout.column_starts
        return max(index for index, start in enumerate(starts) if start <= row)

    def corner(self, node: int) -> tuple[int, int]:
        """Return the upper left corner of a box."""
        row = self.layout.row[node]
        column = self._column(row)
        y = self._head + (row - self.layout.column_starts[column]) * (BOX_H + GAP)
        return self._lane_x[column][self.layout.lane[node]], y

    def edges(self) -> list[str]:
        """Return all connections."""
        return [self._edge(edge) for edge in self.layout.edges]

    def _edge(self, edge: Edge) -> str:
        """Return one connection as a path with an arrow head at its target."""
        x0, y0 = self.corner(edge.source)
        x1, y1 = self.corner(edge.target)
        x0, x1, y0 = x0 + BOX_W // 2, x1 + BOX_W // 2, y0 + BOX_H
        here, there = (self._column(self.layout.row[n]) for n in (edge.source, edge.target))
        fork, join = y0 + GAP // 3, y1 - GAP // 2
        if here != there:
            side = self._column_x[there] - GUTTER // 2
            points = [(x0, y0), (x0, fork), (side, fork), (side, join), (x1, join), (x1, y1)]
        elif edge.lane not in {self.layout.lane[edge.source], self.layout.lane[edge.target]}:
            side = self._lane_x[here][edge.lane] + WIRE_W // 2 - LANE_GAP // 2
            points = [(x0, y0), (x0, fork), (side, fork), (side, join), (x1, join), (x1, y1)]
        elif x0 == x1:
            points = [(x0, y0), (x1, y1)]
        elif edge.lane == self.layout.lane[edge.source]:
            points = [(x0, y0), (x0, join), (x1, join), (x1, y1)]
        else:
            points = [(x0, y0), (x0, fork), (x1, fork), (x1, y1)]
        return _arrow(points)


def _arrow(points: Sequence[tuple[int, int]]) -> str:
    """Return a line with a head at its end, which points as its last part runs."""
    (x0, y0), (x, y) = points[-2:]
    along, up = (x > x0) - (x < x0), (y > y0) - (y < y0)
    ends = ((x - 7 * along + 4 * side * up, y - 7 * up + 4 * side * along) for side in (1, -1))
    line = " ".join(f"{x},{y}" for x, y in points)
    head = " ".join(f"{x},{y}" for x, y in ((x, y), *ends))
    return (
        f'<polyline points="{line}" fill="none" stroke="#555555" stroke-width="1.3" '
        f'stroke-linejoin="round"/><polygon points="{head}" fill="#555555"/>'
    )


def _turn(boxes: Sequence[Box]) -> int:
    """Return the first box on the way up of a U, 0 where the network is none.

    Levels fall to the turn and rise behind it, twice at least, and joins reach across.
    """
    levels = [box.level for box in boxes]
    known = [level for level in levels if level is not None]
    if len(known) < len(levels) or not known:
        return 0
    deepest = max(known)
    turn = next(
        (n for n in range(len(known) - 1, 0, -1) if known[n - 1] == deepest and known[n] < deepest),
        0,
    )
    down, up = known[:turn], known[turn:]
    across = {source for box in boxes[turn + 1 :] for source in box.sources if source < turn}
    falls = turn and sorted(down) == down and sorted(up, reverse=True) == up
    return turn if falls and len({*up}) > 1 and len(across) > 1 else 0


class _UPlan:
    """Pixels for a U: down on the left, up on the right, equal levels side by side."""

    def __init__(self, boxes: Sequence[Box], turn: int, head: int) -> None:
        self._boxes, self._turn, self._head = boxes, turn, head
        sides = range(turn), range(turn, len(boxes))
        row, self._rows = 0, [0] * len(boxes)
        for level in sorted({box.level or 0 for box in boxes}):
            left, right = ([n for n in side if boxes[n].level == level] for side in sides)
            high = max(len(left), len(right))
            for step, node in enumerate(left):
                self._rows[node] = row + high - len(left) + step
            for step, node in enumerate(right):
                self._rows[node] = row + high - 1 - step
            row += high
        self.width = 2 * (MARGIN + BOX_W) + 3 * GUTTER
        self.height = head + row * (BOX_H + GAP) - GAP + MARGIN

    def corner(self, node: int) -> tuple[int, int]:
        """Return the upper left corner of a box."""
        x = MARGIN if node < self._turn else MARGIN + BOX_W + 3 * GUTTER
        return x, self._head + self._rows[node] * (BOX_H + GAP)

    def edges(self) -> list[str]:
        """Return all connections."""
        return [
            _arrow(self._path(source, target))
            for target, box in enumerate(self._boxes)
            for source in box.sources
        ]

    def _path(self, source: int, target: int) -> list[tuple[int, int]]:
        (x0, y0), (x1, y1) = self.corner(source), self.corner(target)
        middle, half = BOX_H // 2, BOX_W // 2
        if source < self._turn <= target:
            bend = x1 - GUTTER // 2 - 8 * (self._rows[target] % 5)
            return [(x0 + BOX_W, y0 + middle), (bend, y0 + middle), (bend, y1 + middle),
                    (x1, y1 + middle)]  # fmt: skip
        if abs(self._rows[source] - self._rows[target]) == 1:
            down = y1 > y0
            return [(x0 + half, y0 + BOX_H * down), (x1 + half, y1 + BOX_H * (not down))]
        side = x0 - 12 if source < self._turn else x0 + BOX_W + 12
        edge = x0 if source < self._turn else x0 + BOX_W
        return [(edge, y0 + middle), (side, y0 + middle), (side, y1 + middle), (edge, y1 + middle)]


def as_dot(title: str, boxes: Sequence[Box]) -> str:
    r"""Return the graph in the language of Graphviz.

    >>> print(as_dot("net", [Box("input", ("8x8x1",), "input"), Box("conv1", (), "conv", (0,))]))
    digraph {
      label="net"; labelloc=t; node [shape=box, style="rounded,filled", fontname="Helvetica"];
      n0 [label="input\n8x8x1", fillcolor="#ffffff", color="#444444"];
      n1 [label="conv1", fillcolor="#e3eeff", color="#2563c9"];
      n0 -> n1;
    }
    <BLANKLINE>
    """
    quoted = title.replace("\\", "\\\\").replace('"', '\\"')
    lines = [f'  label="{quoted}"; labelloc=t; '
             'node [shape=box, style="rounded,filled", fontname="Helvetica"];']  # fmt: skip
    for number, box in enumerate(boxes):
        fill, ink = FAMILIES[box.family]
        label = "\\n".join((box.title, *box.lines)).replace('"', '\\"')
        lines.append(f'  n{number} [label="{label}", fillcolor="{fill}", color="{ink}"];')
    lines += [f"  n{source} -> n{n};" for n, box in enumerate(boxes) for source in box.sources]
    return "\n".join(["digraph {", *lines, "}", ""])


def as_mermaid(title: str, boxes: Sequence[Box]) -> str:
    """Return the graph in the language of Mermaid, which Markdown pages draw.

    >>> print(as_mermaid("net", [Box("input", (), "input"), Box("conv1", ("3x3",), "conv", (0,))]))
    ---
    title: "net"
    ---
    flowchart TD
      n0["input"]
      style n0 fill:#ffffff,stroke:#444444
      n1["conv1<br>3x3"]
      style n1 fill:#e3eeff,stroke:#2563c9
      n0 --> n1
    <BLANKLINE>
    """
    lines = ["---", f"title: {json.dumps(title)}", "---", "flowchart TD"]
    for number, box in enumerate(boxes):
        fill, ink = FAMILIES[box.family]
        label = "<br>".join((box.title, *box.lines)).replace('"', "#quot;")
        lines.append(f'  n{number}["{label}"]')
        lines.append(f"  style n{number} fill:{fill},stroke:{ink}")
    lines += [f"  n{source} --> n{n}" for n, box in enumerate(boxes) for source in box.sources]
    return "\n".join([*lines, ""])


def _box(box: Box, x: int, y: int, aspect: float) -> str:
    fill, ink = FAMILIES[box.family]
    room = BOX_W - 16 - (PICTURE + 8 if box.field else 0)
    out = [
        f"<g><title>{escape(' | '.join((box.title, *box.lines)))}</title>"
        f'<rect x="{x}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="6" fill="{fill}" '
        f'stroke="{ink}" stroke-width="1.3"/>',
        _text(x + 8, y + 18, _fitted(box.title, room, 7.2, keep_end=True), 13, "bold"),
    ]
    for number, line in enumerate(box.lines[:3]):
        out.append(_text(x + 8, y + 35 + 16 * number, _fitted(line, room, 5.9), 11.5))
    if box.field:
        side = BOX_H / 2 - PICTURE / 2
        out.append(_field(box.field, x + BOX_W - PICTURE - 8, y + side, aspect, ink))
    return "".join([*out, "</g>"])


def _frame(side: float, aspect: float) -> tuple[float, float]:
    """Return the width and height of the input's picture within a square."""
    return (side, side / aspect) if aspect >= 1 else (side * aspect, side)


def _field(field: tuple[float, float], x: float, y: float, aspect: float, ink: str) -> str:
    """Return the input as a frame and the field as a filled square about its middle."""
    frame_w, frame_h = _frame(PICTURE, aspect)
    left, top = x + (PICTURE - frame_w) / 2, y + (PICTURE - frame_h) / 2
    high, wide = (min(1.0, part) for part in field)
    field_w, field_h = max(1.5, wide * frame_w), max(1.5, high * frame_h)
    past = max(field) > 1
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{frame_w:.1f}" height="{frame_h:.1f}" '
        f'fill="#ffffff" stroke="{ink}" stroke-width="{1.8 if past else 0.7}"/>'
        f'<rect x="{left + (frame_w - field_w) / 2:.1f}" y="{top + (frame_h - field_h) / 2:.1f}" '
        f'width="{field_w:.1f}" height="{field_h:.1f}" fill="{ink}" fill-opacity="0.55"/>'
    )


HEAD_PICTURE = 150


def _head_height(marks: Sequence[FieldMark]) -> int:
    return MARGIN + 50 + (HEAD_PICTURE + 46 if marks else 0)


def _head(title: str, subtitle: str, marks: Sequence[FieldMark], aspect: float) -> list[str]:
    """Return the heading and the fields drawn into one another on the input."""
    out = [_text(MARGIN, MARGIN + 14, title, 20, "bold"), _text(MARGIN, MARGIN + 36, subtitle, 13)]
    if not marks:
        return out
    top = MARGIN + 56
    wide, high = _frame(HEAD_PICTURE, aspect)
    out.append(
        f'<rect x="{MARGIN}" y="{top}" width="{wide:.1f}" height="{high:.1f}" fill="#fafafa" '
        f'stroke="#444444" stroke-width="1.3"/>'
    )
    for number, mark in sorted(enumerate(marks), key=lambda pair: -max(pair[1].field)):
        field_h, field_w = (min(1.0, part) for part in mark.field)
        left, upper = MARGIN + wide * (1 - field_w) / 2, top + high * (1 - field_h) / 2
        color = _shade(number, len(marks))
        out.append(
            f'<rect x="{left:.1f}" y="{upper:.1f}" width="{max(2, wide * field_w):.1f}" '
            f'height="{max(2, high * field_h):.1f}" fill="{color}" fill-opacity="0.16" '
            f'stroke="{color}" stroke-width="1.6"/>'
        )
    legend = MARGIN + HEAD_PICTURE + 24
    out.append(_text(legend, top + 12, "Receptive field of one cell on the input", 12, "bold"))
    for number, mark in enumerate(marks):
        y = top + 32 + 17 * number
        color = _shade(number, len(marks))
        out.append(
            f'<rect x="{legend}" y="{y - 10}" width="11" height="11" fill="{color}" '
            f'fill-opacity="0.3" stroke="{color}"/>'
        )
        out.append(_text(legend + 18, y, mark.label, 12))
    return out


def _shade(number: int, count: int) -> str:
    """Return a color from red (small field) to blue (large field)."""
    hue = 0.62 * number / max(1, count - 1)
    return "#" + "".join(f"{round(255 * part):02x}" for part in hls_to_rgb(hue, 0.42, 0.75))


def _text(x: float, y: float, text: str, size: float, weight: str = "normal") -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="#1a1a1a">'
        f"{escape(text)}</text>"
    )


def _fitted(text: str, room: float, letter_w: float, *, keep_end: bool = False) -> str:
    """Return the text cut to `room` pixels at an average letter's width; the tooltip has it all."""
    most = int(room / letter_w)
    if len(text) <= most:
        return text
    return "…" + text[1 - most :] if keep_end else text[: most - 1] + "…"
