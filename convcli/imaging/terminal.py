"""Pictures in a terminal: two pixels a character, the upper half block colored on both sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.imaging.picture import Frame, white_level

UPPER_HALF = "\N{UPPER HALF BLOCK}"
RESET = "\x1b[0m"


def half_blocks(frame: Frame, columns: int, rows: int) -> str:
    """Return lines of 24-bit color escapes that draw the frame.

    Args:
        frame: any depth; transparency is drawn on black, float values between their extremes.
        columns: width to fit into, one pixel a column.
        rows: height to fit into in pixels, two a line.
    """
    colors = rgb_of(frame, shrunk(frame.pixels, max(columns, 1), max(rows, 2)))
    return "".join(line + "\n" for line in color_lines(colors))


def color_lines(colors: Any) -> list[str]:
    """Return one line for every two rows of (H, W, 3) uint8, as 24-bit color escapes.

    >>> [line.count(UPPER_HALF) for line in color_lines(np.zeros((3, 5, 3), np.uint8))]
    [5, 5]
    """
    if len(colors) % 2:
        colors = np.concatenate([colors, np.zeros_like(colors[:1])])
    lines = []
    for upper, lower in zip(colors[0::2].tolist(), colors[1::2].tolist(), strict=True):
        cells = (
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m{UPPER_HALF}"
            for a, b in zip(upper, lower, strict=True)
        )
        lines.append("".join(cells) + RESET)
    return lines


def shrunk(pixels: Any, columns: int, rows: int) -> Any:
    """Return the means of square blocks, as few as fit `columns` by `rows`, float64."""
    height, width = pixels.shape[:2]
    block = max(1, -(-width // columns), -(-height // rows))
    places = np.arange(0, height, block), np.arange(0, width, block)
    sums = np.add.reduceat(pixels.astype(np.float64), places[0], axis=0)
    sums = np.add.reduceat(sums, places[1], axis=1)
    sizes = [np.diff([*at, end]) for at, end in zip(places, (height, width), strict=True)]
    counts = np.outer(*sizes)
    return sums / counts.reshape(counts.shape + (1,) * (sums.ndim - 2))


def rgb_of(frame: Frame, means: Any) -> Any:
    """Return 8-bit RGB of a frame's pixels, all or the means of some."""
    if frame.pixels.dtype.kind == "u":
        levels = means * (255 / white_level(frame.pixels.dtype))
    else:
        low, high = means.min(), means.max()
        levels = (means - low) * (255 / (high - low) if high > low else 0)
    if levels.ndim == 2:
        levels = levels[..., None]
    if frame.has_alpha:
        levels = levels[..., :-1] * (levels[..., -1:] / 255)
    if levels.shape[2] < 3:
        levels = np.repeat(levels[..., :1], 3, axis=2)
    return np.rint(levels[..., :3]).astype(np.uint8)
