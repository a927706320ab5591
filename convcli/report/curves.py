"""Curves in a terminal: letters on a grid, no colors needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from convcli.report.printable import printable

MARKS = "o*x+"
"""One for each curve, in order; where two meet the later one shows."""


def draw_curves(
    curves: Mapping[str, Sequence[float | None]],
    *,
    title: str,
    width: int = 72,
    height: int = 10,
    text: str = "{:.3g}",
    logarithmic: bool = False,
    ends: tuple[str, str] | None = None,
) -> str:
    """Return curves over 1, 2, 3, ... as lines of plain characters.

    Args:
        curves: name -> values; None and values that are not finite leave a gap.
        title: stands above, with the marks of the curves.
        width: of the whole, in characters.
        height: rows of the grid.
        text: how a value at the edge is written.
        logarithmic: equal ratios are equally far apart; values must be above 0.
        ends: what stands under the first and the last place; 1 and their number when left out.

    >>> print(draw_curves({"loss": [3.0, 2.0, 1.0]}, title="training", width=20, height=3))
    training  o loss
    3 |o....
    2 |     ...o...
    1 |            ....o
      +-----------------
       1               3
    """
    longest = max((len(values) for values in curves.values()), default=0)
    shown = {name: [_shown(v, logarithmic) for v in values] for name, values in curves.items()}
    known = [value for values in shown.values() for value in values if value is not None]
    names = "  ".join(f"{mark} {name}" for mark, name in zip(MARKS, curves, strict=False))
    heading = printable(f"{title}  {names}")
    if not known:
        return f"{heading}\n(no finite values)"
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    levels = [high - (high - low) * row / (height - 1) for row in range(height)]
    labels = [
        text.format(10**level if logarithmic else level)
        if row in {0, (height - 1) // 2, height - 1}
        else ""
        for row, level in enumerate(levels)
    ]
    margin = max(map(len, labels)) + 1
    columns = max(2, width - margin - 1)
    grid = [[" "] * columns for _ in range(height)]
    for mark, values in zip(MARKS, shown.values(), strict=False):
        points = [
            (_spread(place, longest, columns), (high - value) / (high - low) * (height - 1))
            for place, value in enumerate(values)
            if value is not None
        ]
        _draw(grid, points, mark)
    lines = [heading]
    for label, row in zip(labels, grid, strict=True):
        lines.append(f"{label:>{margin - 1}} |{''.join(row)}".rstrip())
    lines.append(" " * margin + "+" + "-" * columns)
    first, last = ends or ("1", str(longest) if longest > 1 else "")
    lines.append(" " * (margin + 1) + (first + last.rjust(columns - len(first))).rstrip())
    return "\n".join(lines)


def _shown(value: float | None, logarithmic: bool) -> float | None:
    if value is None or not math.isfinite(value) or (logarithmic and value <= 0):
        return None
    return math.log10(value) if logarithmic else value


def _draw(grid: list[list[str]], points: list[tuple[int, float]], mark: str) -> None:
    """Put dots along the lines between (column, row) points, and the mark on the points."""
    for (column, row), (next_column, next_row) in itertools.pairwise(points):
        for between in range(column + 1, next_column):
            share = (between - column) / (next_column - column)
            place = round(row + share * (next_row - row))
            if grid[place][between] == " ":
                grid[place][between] = "."
    for column, row in points:
        grid[round(row)][column] = mark


def _spread(place: int, count: int, columns: int) -> int:
    """Return the column of one of `count` places, the first and last at the edges."""
    return 0 if count < 2 else round(place * (columns - 1) / (count - 1))
