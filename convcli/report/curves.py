"""Charts in a terminal: plotille draws the dots, the axes say what they are."""

from __future__ import annotations

from itertools import pairwise

from convcli.report.chart import Chart, placed
from convcli.report.printable import printable

COLORS, MARKS = ("blue", "red", "green", "magenta"), "o*x+"
"""One for each line, in order; marks tell them apart where there are no colors."""


def draw_chart(chart: Chart, width: int = 72, height: int = 10) -> str:
    """Return the first lines of a chart as lines of braille dots with their axes.

    Each has a color where stdout shows them (NO_COLOR and FORCE_COLOR count), else a mark at its
    values. A place between two points that is missing is drawn through.

    Args:
        chart: its title stands above, with the marks of the lines.
        width: of the whole, in characters.
        height: rows of the grid.

    >>> from convcli.report.chart import Line
    >>> falls = Chart("training", (Line("loss", (1, 2, 3), (3.0, 2.0, 1.0)),), "epoch", "loss")
    >>> print(draw_chart(falls, width=20, height=3))
    training  o loss
    3 │o⠒⠢⠤⢄⣀
    2 │      ⠉⠑o⠤⢄⣀
    1 │            ⠉⠒⠢⠤o
      └─────────────────
       1     epoch     3
    """
    import plotille

    color = plotille.color("-", fg=COLORS[0], mode="names") != "-"
    looks = list(zip(chart.drawn(), MARKS, COLORS, strict=False))
    names = (
        plotille.color(f"{'──' if color else mark} {printable(line.name)}", fg=fg, mode="names")
        for line, mark, fg in looks
    )
    scale = " (logarithmic)" * chart.log_y
    heading = "  ".join([printable(chart.title) + scale, *names])
    if not looks:
        return f"{heading}\n(no finite values)"
    low_x, high_x = _ends([x for line, _, _ in looks for x in line.x], chart.log_x)
    low, high = _ends([y for line, _, _ in looks for y in line.y], chart.log_y, least=1.0)
    labels = [
        _text(chart, 10**level if chart.log_y else level) for level in (high, (high + low) / 2, low)
    ]
    margin = max(map(len, labels)) + 1
    columns = max(2, width - margin - 1)
    dots_x, dots_y = 2 * columns, 4 * height  # a character holds two dots beside four
    canvas = plotille.Canvas(columns, height, 0, 0, dots_x, dots_y, mode="names")

    def across(x: float) -> float:
        return (placed(x, chart.log_x) - low_x) / ((high_x - low_x) or 1.0) * (dots_x - 1)

    def dot(x: float, y: float) -> tuple[float, float]:
        return across(x), (placed(y, chart.log_y) - low) / (high - low) * (dots_y - 1)

    for line, mark, fg in looks:
        look = {"color": fg} if color else {}
        points = line.points()
        for one, other in pairwise(points if line.joined else ()):
            canvas.line(*dot(*one), *dot(*other), **look)
        for one in points:
            canvas.point(*dot(*one), marker=None if color else mark, **look)
    rows = canvas.plot().replace("\N{BRAILLE PATTERN BLANK}", " ").splitlines()
    stated = {0: labels[0], (height - 1) // 2: labels[1], height - 1: labels[2]}
    lines = [f"{stated.get(n, ''):>{margin - 1}} │{row}".rstrip() for n, row in enumerate(rows)]
    first, last = (f"{10**x if chart.log_x else x:.4g}" for x in (low_x, high_x))
    last = last if low_x < high_x else ""
    lines.append(" " * margin + "└" + "─" * columns)
    axis = printable(chart.x_label) + " (logarithmic)" * chart.log_x
    room = columns - len(first) - len(last)
    named = axis.center(room) if len(axis) + 2 <= room else " " * room
    lines.append(" " * (margin + 1) + (first + named + last).rstrip())
    if chart.mark is not None and low_x <= placed(chart.mark[0], chart.log_x) <= high_x:
        at, words = round(across(chart.mark[0]) / 2), printable(chart.mark[1])
        before = at - len(words) - 1
        arrow = f"{words} ^" if before >= 0 else f"^ {words}"
        lines.append(" " * (margin + 1 + (before if before >= 0 else at)) + arrow)
    return "\n".join([heading, *lines])


def _ends(values: list[float], log: bool, least: float = 0.0) -> tuple[float, float]:
    """Return the smallest and the largest, apart by twice half of either where they are one."""
    low, high = placed(min(values), log), placed(max(values), log)
    if low == high and least:
        return low - 0.5 * (abs(low) or least), high + 0.5 * (abs(high) or least)
    return low, high


def _text(chart: Chart, y: float) -> str:
    return f"{y:.1%}" if chart.percent else f"{y:.3g}"
