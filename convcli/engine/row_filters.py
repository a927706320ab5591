"""Undoes the row filters of PNG: each byte was stored as its difference from a guess."""

from __future__ import annotations

import numpy as np

from convcli.engine.compilation import compiled


@compiled
def unfilter_rows(stored, height, row_bytes, step):
    """Turn filtered rows into plain ones, in place and packed without their filter byte.

    The filters are those of the PNG specification (W3C 2025), section 9: none, sub, up, average
    and Paeth, each against the bytes `step` to the left, above, and to the left above.

    Args:
        stored: flat uint8, `height` rows of one filter byte and `row_bytes` bytes.
        height: number of rows.
        row_bytes: bytes of a row's pixels.
        step: bytes of one pixel.

    Returns:
        -1, or the row whose filter byte is none of the five; rows before it are done.
    """
    first = np.zeros(row_bytes, np.uint8)
    for row in range(height):
        kind = stored[row * (row_bytes + 1)]
        source = stored[row * (row_bytes + 1) + 1 : (row + 1) * (row_bytes + 1)]
        here = stored[row * row_bytes : (row + 1) * row_bytes]
        above = stored[(row - 1) * row_bytes : row * row_bytes] if row > 0 else first
        if kind == 0:
            for x in range(row_bytes):
                here[x] = source[x]
        elif kind == 1:
            for x in range(step):
                here[x] = source[x]
            for x in range(step, row_bytes):
                here[x] = source[x] + here[x - step]
        elif kind == 2:
            for x in range(row_bytes):
                here[x] = source[x] + above[x]
        elif kind == 3:
            for x in range(step):
                here[x] = source[x] + (above[x] >> 1)
            for x in range(step, row_bytes):
                here[x] = source[x] + ((np.int32(here[x - step]) + np.int32(above[x])) >> 1)
        elif kind == 4:
            for x in range(step):
                here[x] = source[x] + above[x]
            for x in range(step, row_bytes):
                corner = np.int32(above[x - step])
                from_left = np.int32(above[x]) - corner  # the guess minus left
                from_up = np.int32(here[x - step]) - corner
                to_left, to_up, to_corner = abs(from_left), abs(from_up), abs(from_left + from_up)
                nearer = above[x] if to_up <= to_corner else above[x - step]
                is_left = to_left <= to_up and to_left <= to_corner
                here[x] = source[x] + (here[x - step] if is_left else nearer)
        else:
            return row
    return -1
