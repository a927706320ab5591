"""Charts: lines over a figure and matrices of counts, and both as small clean SVG for pages.

Colors of the SVG are CSS variables with defaults, so that a page can give them in light and dark;
every chart carries its title and description for readers who do not see it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from convcli.report.numbers import with_prefix

PALETTE = (
    *("#2f6fb0", "#c2571a", "#3c8a3f", "#8a4fa3", "#b3261e", "#6b6b18", "#1c8a8a", "#a3336b"),
    *("#5a5f9e", "#7d4f2b"),
)
"""Dark enough on white and light enough on black; lines also differ by their labels."""
INFERNO: tuple[tuple[int, int, int], ...] = (
    *((0, 0, 4), (11, 7, 36), (33, 12, 74), (61, 9, 101), (87, 16, 110), (113, 25, 110)),
    *((138, 34, 106), (163, 44, 97), (188, 55, 84), (210, 70, 68), (228, 90, 49), (241, 115, 29)),
    *((249, 142, 9), (252, 172, 17), (249, 203, 53), (242, 234, 105), (252, 255, 164)),
)
RED_BLUE: tuple[tuple[int, int, int], ...] = (
    *((5, 48, 97), (23, 82, 144), (42, 113, 178), (63, 142, 192), (107, 172, 209), (155, 201, 224)),
    *((194, 221, 236), (224, 236, 243), (255, 255, 255), (251, 229, 216), (251, 204, 180)),
    *((245, 170, 137), (228, 128, 102), (208, 85, 72), (186, 40, 50), (147, 14, 38), (103, 0, 31)),
)
HUES: tuple[tuple[int, int, int], ...] = (
    *((230, 133, 126), (225, 140, 96), (212, 150, 72), (191, 162, 65), (162, 173, 79)),
    *((127, 182, 106), (87, 188, 138), (42, 189, 171), (23, 186, 200), (62, 179, 223)),
    *((103, 170, 237), (139, 159, 240), (170, 149, 232), (195, 140, 214), (214, 134, 188)),
    *((226, 131, 158), (230, 133, 126)),
)
STOPS = {"magnitude": INFERNO, "signed": RED_BLUE, "direction": HUES}
"""Evenly spaced colors: as light as the number is large; blue, white for zero, and red; or all hues
of one lightness, in a circle.

The first two are matplotlib's (inferno; RdBu turned round, its middle pure white); kept here
because pages and terminals are colored without loading it. The circle has lightness 0.72 and chroma
0.12 in OKLCH (Ottosson 2020), so that equal turns look equally large."""

POSITIVE, NEGATIVE = (178, 40, 50), (33, 102, 172)
"""Bars and lines on either side of zero."""

RIGHT, WRONG = (47, 111, 176), (179, 38, 30)
"""Shades of a matrix' diagonal, and of the mistakes."""

LABEL_LINE = 14
"""Pixels from one label of a line to the next."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: a name and its points; points with NaN are left out.

    Attributes:
        name: written at its end.
        x: of its points.
        y: of its points.
        dashed: drawn thinner and in dashes, for what stands behind another line.
        color: number in `PALETTE`; its place among the lines when left out.
        labeled: whether the name is written at its end.
        joined: whether its points belong to one course; else each has a dot and nothing between.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    dashed: bool = False
    color: int | None = None
    labeled: bool = True
    joined: bool = True

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"line {self.name!r}: {len(self.x)} x for {len(self.y)} y")

    def points(self) -> list[tuple[float, float]]:
        """Return the finite points in order."""
        pairs = zip(self.x, self.y, strict=True)
        return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines in one frame; a terminal, a page and a file draw the same on the same scales.

    Attributes:
        title: what it shows; in a page the accessible name.
        lines: those without a finite point are left out.
        x_label, y_label: of the axes.
        mark: a place on the x axis and the words for it.
        log_x, log_y: equal ratios are equally far apart; values not above 0 are left out.
        percent: y is a share, written in percent.
    """

    title: str
    lines: tuple[Line, ...]
    x_label: str
    y_label: str
    mark: tuple[float, str] | None = None
    log_x: bool = False
    log_y: bool = False
    percent: bool = False

    def drawn(self) -> list[Line]:
        """Return the lines with a point that can be shown, without their other points."""
        lines = []
        for place, line in enumerate(self.lines):
            points = [
                (x, y)
                for x, y in line.points()
                if (x > 0 or not self.log_x) and (y > 0 or not self.log_y)
            ]
            if points:
                color = place if line.color is None else line.color
                xs, ys = zip(*points, strict=True)
                lines.append(replace(line, x=xs, y=ys, color=color % len(PALETTE)))
        return lines

    def value_text(self, y: float) -> str:
        """Return a number of the y axis as people read it."""
        return f"{y:.2%}" if self.percent else f"{y:.4g}"


def round_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers (1, 2 or 5 times a power of ten) within [low, high].

    >>> round_ticks(0, 10), round_ticks(0.91, 0.99, count=4)
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.92, 0.94, 0.96, 0.98])
    """
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step)) + 1)
    return [round(index * step, digits) for index in range(first, last + 1)]


def bar_chart(
    title: str, names: Sequence[str], values: Sequence[float], texts: Sequence[str]
) -> str:
    """Return named bars about a zero line as an SVG element, each with its number behind it.

    >>> drawn = bar_chart("Answer", ["cat", "dog"], [0.25, -0.5], ["25 %", "-50 %"])
    >>> drawn.count("<rect"), "-50 %" in drawn
    (2, True)
    """
    room, high = 180, 18
    margin = 12 + 7 * max(len(name) for name in names)
    longest = max((abs(value) for value in values), default=0.0) or 1.0
    low = min(0.0, *values) / longest
    behind = 10 + 7 * max(len(text) for text in texts)
    zero = margin + (behind if low < 0 else 0) - low * room
    wide, tall = zero + room + behind, high * len(names) + 8
    parts = [f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="2" y2="{tall - 2}" class="axis"/>']
    for row, (name, value, text) in enumerate(zip(names, values, texts, strict=True)):
        length, y = abs(value) / longest * room, 4 + row * high
        end = zero + (length if value >= 0 else -length)
        color = _hex(POSITIVE if value >= 0 else NEGATIVE)
        parts.append(
            f'<text x="{margin - 6}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{min(zero, end):.1f}" y="{y + 2}" width="{length:.1f}" height="{high - 5}" '
            f'fill="{color}"/><text x="{end + (5 if value >= 0 else -5):.1f}" y="{y + 13}" '
            f'text-anchor="{"start" if value >= 0 else "end"}">{escape(text)}</text>'
        )
    return _svg(title, title, round(wide), tall, parts)


def line_chart(chart: Chart, width: int = 560, height: int = 300) -> str:
    """Return a chart as an SVG element; each line is labeled at its end, each point on hovering.

    Args:
        chart: what to draw.
        width: in pixels.
        height: in pixels; more where the labels need it.

    >>> drawn = line_chart(Chart("Loss", (Line("train", (1, 2), (0.5, 0.2)),), "epoch", "loss"))
    >>> drawn.count("<polyline"), "<title>Loss</title>" in drawn
    (1, True)
    """
    lines = chart.drawn()
    names = [line.name for line in lines if line.labeled]
    height = max(height, 80 + LABEL_LINE * len(names))
    frame = _Frame(chart, width, height, 20 + 7 * max(map(len, names), default=0))
    parts = [frame.axes()]
    if chart.mark is not None and frame.holds(chart.mark[0]):
        parts.append(_mark_parts(*chart.mark, frame))
    parts += _line_parts(lines, frame)
    ends = "; ".join(f"{line.name} ends at {line.y[-1]:.4g}" for line in lines)
    description = f"{chart.y_label} over {chart.x_label}. {ends}"
    return _svg(chart.title, description, width, height, parts)


class _Frame:
    """The plotting area and the way from figures to its coordinates."""

    def __init__(self, chart: Chart, width: int, height: int, right: int) -> None:
        self.chart = chart
        lines = chart.drawn()
        xs = [x for line in lines for x in line.x] or [1.0]
        ys = [y for line in lines for y in line.y] or [1.0]
        self.whole = all(x == round(x) for x in xs)
        self.x_low, self.x_high = _spread(
            [placed(x, chart.log_x) for x in xs], margin=0.03 if chart.log_x else 0.0
        )
        self.y_low, self.y_high = _spread([placed(y, chart.log_y) for y in ys], margin=0.06)
        self.left, self.right = 70, width - right
        self.top, self.bottom = 16, height - 44

    def holds(self, value: float) -> bool:
        """Tell whether a place on the x axis is inside."""
        return self.x_low <= placed(value, self.chart.log_x) <= self.x_high

    def x(self, value: float) -> float:
        share = (placed(value, self.chart.log_x) - self.x_low) / (self.x_high - self.x_low)
        return self.left + share * (self.right - self.left)

    def y(self, value: float) -> float:
        share = (placed(value, self.chart.log_y) - self.y_low) / (self.y_high - self.y_low)
        return self.bottom - share * (self.bottom - self.top)

    def axes(self) -> str:
        """Return grid lines, tick labels and axis labels."""
        parts = []
        for value, text in self.y_ticks():
            y = self.y(value)
            parts.append(
                f'<line class="grid" x1="{self.left}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
            )
        parts += [
            f'<text x="{self.x(value):.1f}" y="{self.bottom + 18}" text-anchor="middle">'
            f"{text}</text>"
            for value, text in self.x_ticks()
        ]
        middle_x, middle_y = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        parts.append(
            f'<line class="axis" x1="{self.left}" x2="{self.right}" y1="{self.bottom}" '
            f'y2="{self.bottom}"/>'
            f'<text x="{middle_x:.0f}" y="{self.bottom + 36}" text-anchor="middle">'
            f"{escape(self.chart.x_label)}</text>"
            f'<text transform="translate(14 {middle_y:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.chart.y_label)}</text>"
        )
        return "".join(parts)

    def x_ticks(self) -> list[tuple[float, str]]:
        """Return places on the x axis and their figures: whole ones where whole ones will do."""
        if self.chart.log_x:
            return _log_ticks(self.x_low, self.x_high)
        ticks = round_ticks(self.x_low, self.x_high)
        return [(v, f"{v:g}") for v in ticks if v == round(v) or not self.whole]

    def y_ticks(self) -> list[tuple[float, str]]:
        if self.chart.log_y:
            return _log_ticks(self.y_low, self.y_high)
        ticks = round_ticks(self.y_low, self.y_high)
        return [(v, f"{100 * v:g} %" if self.chart.percent else f"{v:g}") for v in ticks]


def placed(value: float, log: bool) -> float:
    """Return where a number stands on its axis."""
    return math.log10(value) if log else value


def _log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round numbers between two powers of ten, with their prefix above 1."""
    return [
        (v, f"{v:g}" if v < 1000 else re.sub(r"\.0+(?= |$)", "", with_prefix(v)))
        for v in log_places(low, high)
    ]


def log_places(low: float, high: float) -> list[float]:
    """Return at least three round numbers between two powers of ten, on an axis of equal ratios.

    >>> log_places(-0.3, 0.5), log_places(-6, -3)
    ([0.7, 1.0, 1.5, 2.0, 3.0], [1e-06, 1e-05, 0.0001, 0.001])
    """
    powers = range(math.floor(low), math.ceil(high) + 1)
    for steps in (1,), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, *range(2, 10)):
        values = [float(f"{step}e{power}") for power in powers for step in steps]
        inside = [v for v in values if low - 1e-9 <= math.log10(v) <= high + 1e-9]
        if len(inside) >= 3:
            return inside
    return round_ticks(10**low, 10**high)


def _spread(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        half = abs(low) / 2 or 0.5
        return low - half, high + half
    return low - margin * (high - low), high + margin * (high - low)


def _line_parts(lines: Sequence[Line], frame: _Frame) -> list[str]:
    """Return each line with its points, then the labels."""
    parts = []
    for line in lines:
        color = PALETTE[line.color or 0]
        places = [(frame.x(x), frame.y(y)) for x, y in line.points()]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        manner = 'stroke-width="1.2" stroke-dasharray="5 3"' if line.dashed else 'stroke-width="2"'
        if line.joined:
            parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" {manner}/>')
        seen = len(places) == 1 or frame.chart.log_x or not line.joined
        look = "" if seen else ' class="point"'
        for (x, y), (at, value) in zip(places, line.points(), strict=True):
            words = f"{line.name}, {frame.chart.x_label} {at:g}: {frame.chart.value_text(value)}"
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"{look}>'
                f"<title>{escape(words)}</title></circle>"
            )
    labeled = [line for line in lines if line.labeled]
    heights = _apart([frame.y(line.y[-1]) for line in labeled], frame.bottom)
    for line, y in sorted(zip(labeled, heights, strict=True), key=lambda item: item[1]):
        parts.append(
            f'<text x="{frame.right + 8}" y="{y + 4:.1f}" '
            f'style="fill:{PALETTE[line.color or 0]}">{escape(line.name)}</text>'
        )
    return parts


def _apart(heights: Sequence[float], bottom: float) -> list[float]:
    """Return heights of labels at least a line apart: moved down, then up from the lower edge.

    >>> _apart([10.0, 12.0, 100.0], bottom=104), _apart([90.0, 100.0], bottom=104)
    ([10.0, 24.0, 100.0], [90.0, 104.0])
    """
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = list(heights)
    lowest = -math.inf
    for index in order:
        placed[index] = lowest = max(placed[index], lowest + LABEL_LINE)
    highest = bottom + LABEL_LINE
    for index in reversed(order):
        placed[index] = highest = min(placed[index], highest - LABEL_LINE)
    return placed


def _mark_parts(place: float, words: str, frame: _Frame) -> str:
    """Return a dashed upright line with its words at the top, on the side that has room."""
    x = frame.x(place)
    to_left = x > (frame.left + frame.right) / 2
    anchor, shift = ("end", -5) if to_left else ("start", 5)
    return (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" y2="{frame.bottom}"/>'
        f'<text class="soft" x="{x + shift:.1f}" y="{frame.top - 3}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


@dataclass(frozen=True, slots=True)
class Matrix:
    """A confusion matrix: rows are true classes, columns the predicted ones."""

    title: str
    counts: Sequence[Sequence[int]]
    names: Sequence[str]

    def cells(self) -> list[MatrixCell]:
        """Return every cell, row by row."""
        return [
            MatrixCell(i, j, count, count / max(1, sum(row)))
            for i, row in enumerate(self.counts)
            for j, count in enumerate(row)
        ]


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One count of a matrix and its share of the row."""

    row: int
    column: int
    count: int
    share: float

    @property
    def color(self) -> str:
        """Blue on the diagonal, red beside it; white is none.

        The root keeps small shares visible, and a single mistake is never white.
        """
        shade = max(math.sqrt(self.share), 0.12 if self.count else 0.02)
        ground = RIGHT if self.row == self.column else WRONG
        return _hex(tuple(255 + (level - 255) * shade for level in ground))

    @property
    def ink(self) -> str:
        """Black or white, whichever reads better on the color."""
        return ink_on(self.color)

    @property
    def texts(self) -> tuple[str, ...]:
        """The count and its share; nothing for 0."""
        percent = "100%" if self.share == 1 else f"{self.share:.1%}"
        return (f"{self.count:,}", percent) if self.count else ()


def _hex(color: Sequence[float]) -> str:
    return "#" + "".join(f"{round(level):02x}" for level in color)


def ink_on(color: str) -> str:
    """Return the color of text, black or white, that stands out more from its ground.

    The contrast is WCAG 2's and at least 4.5.

    >>> ink_on("#ffffff"), ink_on("#2f6fb0"), ink_on("#f0a0a0")
    ('#000000', '#ffffff', '#000000')
    """
    linear = [
        level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4
        for level in (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    ]
    light = sum(
        share * level for share, level in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
    )
    return "#ffffff" if 1.05 / (light + 0.05) > (light + 0.05) / 0.05 else "#000000"


def matrix_chart(matrix: Matrix) -> str:
    """Return a confusion matrix as an SVG element: counts and shares, shaded by their share.

    >>> drawn = matrix_chart(Matrix("Confusion", [[9, 1], [0, 5]], ["cat", "dog"]))
    >>> drawn.count("<rect"), "true cat, predicted dog: 1" in drawn
    (4, True)
    """
    counts, names = matrix.counts, matrix.names
    longest = max(map(len, names))
    cell = max(48, 8 * max(len(f"{count:,}") for row in counts for count in row) + 8)
    left, top = 40 + 7 * longest, 30 + (7 * longest if longest > 3 else 16)
    width, height = left + cell * len(names) + 10, top + cell * len(names) + 10
    middle = cell * len(names) / 2
    parts = [
        f'<text x="{left + middle:.0f}" y="14" text-anchor="middle">predicted</text>'
        f'<text transform="translate(12 {top + middle:.0f}) rotate(-90)" '
        'text-anchor="middle">true</text>'
    ]
    for index, name in enumerate(names):
        x, y = left + cell * (index + 0.5), top + cell * (index + 0.5) + 4
        turned = f' transform="rotate(-90 {x:.0f} {top - 6})"' if longest > 3 else ""
        anchor = "start" if longest > 3 else "middle"
        parts.append(
            f'<text x="{left - 6}" y="{y:.0f}" text-anchor="end">{escape(name)}</text>'
            f'<text x="{x:.0f}" y="{top - 6}" text-anchor="{anchor}"{turned}>{escape(name)}</text>'
        )
    for one in matrix.cells():
        x, y = left + cell * one.column, top + cell * one.row
        where = f"true {names[one.row]}, predicted {names[one.column]}: {one.count}"
        texts = "".join(
            f'<text x="{x + cell / 2:.0f}" y="{y + cell / 2 - 2 + 14 * line:.0f}" '
            f'text-anchor="middle" style="fill:{one.ink}{";font-size:10px" * line}">{text}</text>'
            for line, text in enumerate(one.texts)
        )
        parts.append(
            f'<g><title>{escape(where)}</title><rect x="{x}" y="{y}" width="{cell - 1}" '
            f'height="{cell - 1}" fill="{one.color if one.count else "none"}" class="cell"/>'
            f"{texts}</g>"
        )
    right = sum(row[index] for index, row in enumerate(counts))
    total = sum(map(sum, counts))
    return _svg(matrix.title, f"{right} of {total} on the diagonal", width, height, parts)


def _svg(title: str, description: str, width: int, height: int, parts: Sequence[str]) -> str:
    style = (  # grays and the text's own color suit both light and dark where a page gives none
        ".chart text{font:12px system-ui,sans-serif;fill:var(--ink,currentColor)}"
        ".chart .grid{stroke:var(--line,#99999980)}.chart .axis{stroke:var(--soft,#80808a)}"
        ".chart .mark{stroke:var(--soft,#80808a);stroke-dasharray:2 3}"
        ".chart text.soft{fill:var(--soft,#80808a)}"
        ".chart .cell{stroke:var(--line,#99999980)}"
        ".chart .point{opacity:0}.chart .point:hover{opacity:1}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'class="chart" width="{width}" height="{height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
        f"<style>{style}</style>{''.join(parts)}</svg>"
    )
