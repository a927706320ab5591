"""Edges one pixel wide: thinning along the gradient and hysteresis, compiled (Canny 1986)."""

from __future__ import annotations

import numpy as np

from convcli.engine.compilation import compiled


@compiled
def thin_and_follow(right, down, size, low, high, out):
    """Mark the crests of a gradient that are connected to a strong one.

    A cell is a crest if no neighbor along its gradient is larger, the two that the direction lies
    between interpolated; crests of at least `low` that touch, corners included, one of at least
    `high` are edges. The outermost cells are none.

    Args:
        right: height x width: the gradient's component across.
        down: its other component.
        size: its magnitude.
        low: magnitude of the weakest crest that is followed.
        high: magnitude of the weakest crest that begins an edge.
        out: uint8 of the same size, zeros: edges become 1.
    """
    height, width = right.shape
    waiting = np.empty(height * width, np.int64)
    count = 0
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            here, flat, steep = size[y, x], abs(right[y, x]), abs(down[y, x])
            if not here >= low or here == 0:
                continue
            side = 1 if right[y, x] * down[y, x] >= 0 else -1  # of the column that it leans to
            if steep > flat:
                share, near_y, near_x = flat / steep, 1, 0
            else:
                share, near_y, near_x = steep / flat, 0, side
            ahead = size[y + 1, x + side] * share + size[y + near_y, x + near_x] * (1 - share)
            behind = size[y - 1, x - side] * share + size[y - near_y, x - near_x] * (1 - share)
            if ahead > here or behind > here:
                continue
            if here >= high:
                out[y, x] = 1
                waiting[count] = y * width + x
                count += 1
            else:
                out[y, x] = 2
    while count:
        count -= 1
        y, x = waiting[count] // width, waiting[count] % width
        for v in range(y - 1, y + 2):
            for u in range(x - 1, x + 2):
                if out[v, u] == 2:
                    out[v, u] = 1
                    waiting[count] = v * width + u
                    count += 1
    for y in range(height):
        for x in range(width):
            if out[y, x] == 2:
                out[y, x] = 0
