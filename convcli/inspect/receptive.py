"""The receptive field of one cell, drawn on the picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError
from convcli.layers.base import shape_text
from convcli.net.field import Rectangle, input_rectangle
from convcli.net.trace import Trace

Pixels = NDArray[np.uint8]

FRAME = (214, 40, 40)
"""Color of the field's frame."""
DIMMED = 0.35
"""Light that is left outside the field."""


def field_of(trace: Trace, layer: str, cell: tuple[int, ...]) -> Rectangle:
    """Return first and last input row and column that one output cell depends on."""
    step = trace.step(layer)
    if len(trace.network.input_shape) != 3:
        raise InputError(
            f"The input {shape_text(trace.network.input_shape)} is no picture; fields are drawn on "
            "pictures. For the figures: convcli shape"
        )
    if len(step.output_shape) != 3:
        raise InputError(
            f"Layer {step.index} {step.name} gives {shape_text(step.output_shape)}, no map: each "
            "of its units sees the whole input."
        )
    return input_rectangle(trace, step.index, cell)


def draw_field(picture: Pixels, field: Rectangle, scale: int) -> Pixels:
    """Return the picture enlarged, dim outside the field, with a frame around it.

    Args:
        picture: (H, W, 3), the network's input.
        field: first and last row, first and last column; None where only padding is seen.
        scale: pixels of the drawing for each cell of the input.

    >>> gray = np.full((4, 4, 3), 200, np.uint8)
    >>> drawn = draw_field(gray, ((1, 2), (0, 3)), scale=5)
    >>> drawn.shape, drawn[0, 0].tolist(), drawn[10, 10].tolist(), drawn[5, 10].tolist()
    ((20, 20, 3), [70, 70, 70], [200, 200, 200], [214, 40, 40])
    """
    (top, bottom), (left, right) = ((0, -1) if span is None else span for span in field)
    large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    rows = slice(top * scale, (bottom + 1) * scale)
    columns = slice(left * scale, (right + 1) * scale)
    drawn: Pixels = np.rint(large * DIMMED).astype(np.uint8)
    drawn[rows, columns] = FRAME
    border = max(1, scale // 5)
    inner_rows = slice(rows.start + border, max(rows.start + border, rows.stop - border))
    inner_columns = slice(
        columns.start + border, max(columns.start + border, columns.stop - border)
    )
    drawn[inner_rows, inner_columns] = large[inner_rows, inner_columns]
    return drawn
