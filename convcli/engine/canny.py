"""Edges one pixel wide: slopes, thinning along them and hysteresis, compiled (Canny 1986).

Slopes live for some rows only; a byte a pixel says what is a crest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from convcli.engine.compilation import compiled
from convcli.engine.threads import each_part
from convcli.environment import thread_count

ROWS = 16
"""Of a strip: its slopes stay in a second-level cache."""

EDGE, CREST = 1, 2


def find_edges(smooth: Any, low: float, high: float, threads: int | None = None) -> Any:
    """Return 1 where a smoothed picture has an edge, else 0.

    A cell is a crest if no neighbor along its slope is steeper, the two that the direction lies
    between interpolated; crests of at least `low` that touch, corners included, one of at least
    `high` are edges. The outermost cells are none.

    Args:
        smooth: height x width, float64.
        low: slope, by Sobel, of the weakest crest that is followed.
        high: slope of the weakest crest that begins an edge.
        threads: how many to use.
    """
    height, width = smooth.shape
    out = np.zeros(smooth.shape, np.uint8)

    def work(parts: Iterable[int]) -> None:
        slopes = np.empty((3, ROWS + 2, width))
        for first in parts:
            _mark_crests(smooth, first, min(first + ROWS, height - 1), low, high, slopes, out)

    each_part(work, range(1, height - 1, ROWS), thread_count(threads))
    _follow(out, np.empty(np.count_nonzero(out), np.int64))
    return out


@compiled
def _slopes(smooth, first, last, slopes):
    """Write the slope across, the one down and their length for some rows, edges repeated."""
    height, width = smooth.shape
    for y in range(first, last):
        above, here, below = smooth[max(y - 1, 0)], smooth[y], smooth[min(y + 1, height - 1)]
        right, down, size = slopes[0, y - first], slopes[1, y - first], slopes[2, y - first]
        for x in range(width):
            left, ahead = max(x - 1, 0), min(x + 1, width - 1)
            nearer = above[left] + 2 * here[left] + below[left]
            right[x] = above[ahead] + 2 * here[ahead] + below[ahead] - nearer
            higher = above[left] + 2 * above[x] + above[ahead]
            down[x] = below[left] + 2 * below[x] + below[ahead] - higher
            size[x] = math.sqrt(right[x] * right[x] + down[x] * down[x])


@compiled
def _mark_crests(smooth, first, last, low, high, slopes, out):
    """Mark the crests of some rows: EDGE for one that begins an edge, else CREST."""
    _slopes(smooth, first - 1, last + 1, slopes)
    for row in range(first, last):
        y = row - first + 1
        right, down, size = slopes[0, y], slopes[1, y], slopes[2]
        for x in range(1, smooth.shape[1] - 1):
            here, flat, steep = size[y, x], abs(right[x]), abs(down[x])
            if not here >= low or here == 0:
                continue
            side = 1 if right[x] * down[x] >= 0 else -1  # of the column that it leans to
            if steep > flat:
                share, near_y, near_x = flat / steep, 1, 0
            else:
                share, near_y, near_x = steep / flat, 0, side
            ahead = size[y + 1, x + side] * share + size[y + near_y, x + near_x] * (1 - share)
            behind = size[y - 1, x - side] * share + size[y - near_y, x - near_x] * (1 - share)
            if ahead <= here and behind <= here:
                out[row, x] = EDGE if here >= high else CREST


@compiled
def _follow(out, waiting):
    """Make edges of the crests that touch one; clear the others."""
    height, width = out.shape
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            if out[row, column] != EDGE:
                continue
            waiting[0], count = row * width + column, 1
            while count:
                count -= 1
                y, x = waiting[count] // width, waiting[count] % width
                for v in range(y - 1, y + 2):
                    for u in range(x - 1, x + 2):
                        if out[v, u] == CREST:
                            out[v, u] = EDGE
                            waiting[count] = v * width + u
                            count += 1
    for row in range(height):
        for column in range(width):
            if out[row, column] == CREST:
                out[row, column] = 0
