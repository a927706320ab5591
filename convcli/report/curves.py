"""Curves in a terminal: plotille draws the dots, the axes say what they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from convcli.report.printable import printable

COLORS, MARKS = ("blue", "red", "green", "magenta"), "o*x+"
"""One for each curve, in order; marks tell them apart where there are no colors."""


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
    """Return curves over 1, 2, 3, ... as lines of braille dots with their axes.

    Each has a color where stdout shows them (NO_COLOR and FORCE_COLOR count), else a mark at its
    values.

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
    3 │o⠒⠢⠤⢄⣀
    2 │      ⠉⠑o⠤⢄⣀
    1 │            ⠉⠒⠢⠤o
      └─────────────────
       1               3
    """
    import plotille

    color = plotille.color("-", fg=COLORS[0], mode="names") != "-"
    longest = max((len(values) for values in curves.values()), default=0)
    shown = {name: [_shown(v, logarithmic) for v in values] for name, values in curves.items()}
    known = [value for values in shown.values() for value in values if value is not None]
    looks = list(zip(shown, MARKS, COLORS, strict=False))
    names = (
        plotille.color(f"{'──' if color else mark} {printable(name)}", fg=fg, mode="names")
        for name, mark, fg in looks
    )
    heading = "  ".join([printable(title), *names])
    if not known:
        return f"{heading}\n(no finite values)"
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    labels = [
        text.format(10**level if logarithmic else level) for level in (high, (high + low) / 2, low)
    ]
    margin = max(map(len, labels)) + 1
    columns = max(2, width - margin - 1)
    dots_x, dots_y = 2 * columns, 4 * height  # a character holds two dots beside four
    canvas = plotille.Canvas(columns, height, 0, 0, dots_x, dots_y, mode="names")

    def dot(place: int, value: float) -> tuple[float, float]:
        x = (place - 1) / max(longest - 1, 1) * (dots_x - 1)
        return x, (value - low) / (high - low) * (dots_y - 1)

    for name, mark, fg in looks:
        look = {"color": fg} if color else {}
        for run in _runs(shown[name]):
            for one, other in pairwise(run):
                canvas.line(*dot(*one), *dot(*other), **look)
            for one in run:
                canvas.point(*dot(*one), marker=None if color else mark, **look)
    rows = canvas.plot().replace("\N{BRAILLE PATTERN BLANK}", " ").splitlines()
    stated = {0: labels[0], (height - 1) // 2: labels[1], height - 1: labels[2]}
    lines = [f"{stated.get(n, ''):>{margin - 1}} │{row}".rstrip() for n, row in enumerate(rows)]
    first, last = ends or ("1", str(longest) if longest > 1 else "")
    below = [" " * margin + "└" + "─" * columns]
    below.append(" " * (margin + 1) + (first + last.rjust(columns - len(first))).rstrip())
    return "\n".join([heading, *lines, *below])


def _shown(value: float | None, logarithmic: bool) -> float | None:
    if value is None or not math.isfinite(value) or (logarithmic and value <= 0):
        return None
    return math.log10(value) if logarithmic else value


def _runs(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    """Yield the stretches without a gap as (place from 1, value)."""
    for known, run in groupby(enumerate(values, start=1), key=lambda one: one[1] is not None):
        if known:
            yield [(place, value) for place, value in run if value is not None]
