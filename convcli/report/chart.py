"""Small clean charts as SVG text: lines over epochs, and a matrix as shaded cells.

Colors are CSS variables with defaults, so that a page can give them in light and dark; every
chart carries its title and description for readers who do not see it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from convcli.report.numbers import with_prefix

PALETTE = (
    *("#2f6fb0", "#c2571a", "#3c8a3f", "#8a4fa3", "#b3261e", "#6b6b18", "#1c8a8a", "#a3336b"),
    *("#5a5f9e", "#7d4f2b"),
)
"""Dark enough on white and light enough on black; lines also differ by their labels."""

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
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    dashed: bool = False
    color: int | None = None
    labeled: bool = True

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"line {self.name!r}: {len(self.x)} x for {len(self.y)} y")

    def points(self) -> list[tuple[float, float]]:
        """Return the finite points in order."""
        pairs = zip(self.x, self.y, strict=True)
        return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


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


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    width: int = 560,
    height: int = 300,
    mark: tuple[float, str] | None = None,
    log_x: bool = False,
) -> str:
    """Return a line chart as an SVG element; each line is labeled at its end.

    Args:
        title: the accessible name.
        lines: those without a finite point are left out.
        x_label: under the axis.
        y_label: beside the axis.
        width: in pixels.
        height: in pixels; more where the labels need it.
        mark: a place on the x axis and the words for it: a dashed upright line.
        log_x: equal ratios are equally far apart, every point has a dot; x must be above 0.

    >>> chart = line_chart("Loss", [Line("train", (1, 2), (0.5, 0.2))], x_label="epoch", y_label="")
    >>> chart.count("<polyline"), "<title>Loss</title>" in chart
    (1, True)
    """
    drawn = [line for line in lines if line.points()]
    names = [line.name for line in drawn if line.labeled]
    height = max(height, 80 + LABEL_LINE * len(names))
    frame = _Frame(drawn, width, height, 20 + 7 * max(map(len, names), default=0), log_x=log_x)
    parts = [frame.axes(x_label, y_label)]
    if mark is not None and frame.holds(mark[0]):
        parts.append(_mark_parts(*mark, frame))
    parts += _line_parts(drawn, frame)
    ends = "; ".join(f"{line.name} ends at {line.points()[-1][1]:.4g}" for line in drawn)
    return _svg(title, f"{y_label} over {x_label}. {ends}", width, height, parts)


class _Frame:
    """The plotting area and the way from figures to its coordinates."""

    def __init__(
        self, lines: Sequence[Line], width: int, height: int, right: int, *, log_x: bool = False
    ) -> None:
        points = [point for line in lines for point in line.points()] or [(1.0, 0.0)]
        self.log_x = log_x
        self.whole = all(x == round(x) for x, _ in points)
        along = [math.log10(x) if log_x else x for x, _ in points]
        self.x_low, self.x_high = _spread(along, margin=0.03 if log_x else 0.0)
        self.y_low, self.y_high = _spread([y for _, y in points], margin=0.06)
        self.left, self.right = 62, width - right
        self.top, self.bottom = 16, height - 44

    def holds(self, value: float) -> bool:
        """Tell whether a place on the x axis is inside."""
        return self.x_low <= value <= self.x_high

    def x(self, value: float) -> float:
        if self.log_x:
            value = math.log10(value)
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return self.left + share * (self.right - self.left)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return self.bottom - share * (self.bottom - self.top)

    def axes(self, x_label: str, y_label: str) -> str:
        """Return grid lines, tick labels and axis labels."""
        parts = []
        for value in round_ticks(self.y_low, self.y_high):
            y = self.y(value)
            parts.append(
                f'<line class="grid" x1="{self.left}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
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
            f"{escape(x_label)}</text>"
            f'<text transform="translate(14 {middle_y:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(y_label)}</text>"
        )
        return "".join(parts)

    def x_ticks(self) -> list[tuple[float, str]]:
        """Return places on the x axis and their figures: whole ones where whole ones will do."""
        if self.log_x:
            powers = range(math.floor(self.x_low), math.ceil(self.x_high) + 1)
            steps = (1, 2, 5) if self.x_high - self.x_low < 2 else (1,)
            values = [step * 10.0**power for power in powers for step in steps]
            inside = [v for v in values if self.x_low <= math.log10(v) <= self.x_high]
            return [(v, re.sub(r"\.0+(?= |$)", "", with_prefix(v))) for v in inside]
        ticks = round_ticks(self.x_low, self.x_high)
        return [(v, f"{v:g}") for v in ticks if v == round(v) or not self.whole]


def _spread(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        half = abs(low) / 2 or 0.5
        return low - half, high + half
    return low - margin * (high - low), high + margin * (high - low)


def _line_parts(lines: Sequence[Line], frame: _Frame) -> list[str]:
    """Return each line, then the labels."""
    parts = []
    colors = [
        PALETTE[(index if line.color is None else line.color) % len(PALETTE)]
        for index, line in enumerate(lines)
    ]
    for line, color in zip(lines, colors, strict=True):
        places = [(frame.x(x), frame.y(y)) for x, y in line.points()]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        manner = 'stroke-width="1.2" stroke-dasharray="5 3"' if line.dashed else 'stroke-width="2"'
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" {manner}/>')
        if len(places) == 1 or frame.log_x:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in places
            ]
    labeled = [pair for pair in zip(lines, colors, strict=True) if pair[0].labeled]
    heights = _apart([frame.y(line.points()[-1][1]) for line, _ in labeled], frame.bottom)
    for (line, color), y in sorted(zip(labeled, heights, strict=True), key=lambda item: item[1]):
        parts.append(
            f'<text x="{frame.right + 8}" y="{y + 4:.1f}" style="fill:{color}">'
            f"{escape(line.name)}</text>"
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


def matrix_chart(
    title: str,
    counts: Sequence[Sequence[int]],
    names: Sequence[str],
    *,
    row_label: str = "true",
    column_label: str = "predicted",
    shares: bool = False,
) -> str:
    """Return a confusion matrix as an SVG element: counts, shaded by their share of the row.

    With `shares` each count has its share of the row below it.

    >>> chart = matrix_chart("Confusion", [[9, 1], [0, 5]], ["cat", "dog"])
    >>> chart.count("<rect"), "true cat, predicted dog: 1" in chart
    (4, True)
    """
    longest = max(map(len, names))
    cell = max(30, 8 * max(len(str(count)) for row in counts for count in row) + 8)
    cell = max(cell, 48) if shares else cell
    left, top = 40 + 7 * longest, 30 + (7 * longest if longest > 3 else 16)
    width, height = left + cell * len(names) + 10, top + cell * len(names) + 10
    parts = [
        f'<text x="{left + cell * len(names) / 2:.0f}" y="14" text-anchor="middle">'
        f"{escape(column_label)}</text>"
        f'<text transform="translate(12 {top + cell * len(names) / 2:.0f}) rotate(-90)" '
        f'text-anchor="middle">{escape(row_label)}</text>'
    ]
    for index, name in enumerate(names):
        x, y = left + cell * (index + 0.5), top + cell * (index + 0.5) + 4
        turned = f' transform="rotate(-90 {x:.0f} {top - 6})"' if longest > 3 else ""
        anchor = "start" if longest > 3 else "middle"
        parts.append(
            f'<text x="{left - 6}" y="{y:.0f}" text-anchor="end">{escape(name)}</text>'
            f'<text x="{x:.0f}" y="{top - 6}" text-anchor="{anchor}"{turned}>{escape(name)}</text>'
        )
    for i, row in enumerate(counts):
        for j, count in enumerate(row):
            share = count / max(1, sum(row))
            where = f"{row_label} {names[i]}, {column_label} {names[j]}: {count}"
            corner = left + cell * j, top + cell * i
            color = PALETTE[0 if i == j else 4]
            parts.append(_matrix_cell(corner, cell, count, share, color, where, shares=shares))
    right = sum(row[index] for index, row in enumerate(counts))
    total = sum(map(sum, counts))
    return _svg(title, f"{right} of {total} on the diagonal", width, height, parts)


def _matrix_cell(
    corner: tuple[int, int],
    cell: int,
    count: int,
    share: float,
    color: str,
    where: str,
    *,
    shares: bool,
) -> str:
    x, y = corner
    shade = math.sqrt(share)  # the root keeps small shares visible

    def ink(style: str) -> str:
        rules = ";".join(filter(None, ["fill:#fff" if shade > 0.6 else "", style]))
        return f' style="{rules}"' if rules else ""

    middle = y + cell / 2 + (-2 if shares else 4)
    lines = [(f"{count}", middle, "")] if count else []
    if count and shares:
        lines.append((f"{share:.1%}", middle + 14, "font-size:10px"))
    text = "".join(
        f'<text x="{x + cell / 2:.0f}" y="{line_y:.0f}" text-anchor="middle"{ink(style)}>'
        f"{words}</text>"
        for words, line_y, style in lines
    )
    return (
        f'<g><title>{escape(where)}</title><rect x="{x}" y="{y}" width="{cell - 1}" '
        f'height="{cell - 1}" fill="{color}" fill-opacity="{max(0.03, shade):.3f}"/>{text}</g>'
    )


def stacked(charts: Sequence[str], *, width: int = 560, height: int = 300) -> str:
    """Return charts of one size below each other, as one SVG file on white paper.

    >>> one = line_chart("Loss", [Line("train", (1, 2), (2, 1))], x_label="epoch", y_label="loss")
    >>> stacked([one, one]).count("<svg"), 'y="300"' in stacked([one, one])
    (3, True)
    """
    placed = [
        chart.replace("<svg ", f'<svg y="{number * height}" ', 1)
        for number, chart in enumerate(charts)
    ]
    total = height * len(charts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" '
        f'height="{total}"><rect width="{width}" height="{total}" fill="#ffffff"/>'
        f"{''.join(placed)}</svg>"
    )


def _svg(title: str, description: str, width: int, height: int, parts: Sequence[str]) -> str:
    style = (  # grays and the text's own color suit both light and dark where a page gives none
        ".chart text{font:12px system-ui,sans-serif;fill:var(--ink,currentColor)}"
        ".chart .grid{stroke:var(--line,#99999980)}.chart .axis{stroke:var(--soft,#80808a)}"
        ".chart .mark{stroke:var(--soft,#80808a);stroke-dasharray:2 3}"
        ".chart text.soft{fill:var(--soft,#80808a)}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'class="chart" width="{width}" height="{height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
        f"<style>{style}</style>{''.join(parts)}</svg>"
    )
