"""What every layer answers to one sample, as small pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.imaging.picture import gray_levels
from convcli.imaging.sheet import Cell, Pixels
from convcli.layers.base import shape_text
from convcli.net.trace import Step, Trace

Values = NDArray[np.floating[Any]]

SAME_NUMBERS = {"flatten", "reshape", "dropout", "dropout2d"}
"""Layers that show nothing that the one before does not."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerMaps:
    """One layer's output for one sample, channels last."""

    step: Step
    values: Values

    @property
    def silent(self) -> int:
        return int((~self.values.reshape(-1, self.values.shape[-1]).any(axis=0)).sum())

    @property
    def zeros(self) -> float:
        """Share of cells that are zero, from 0 to 1."""
        return float((self.values == 0).mean())


def layer_maps(
    trace: Trace, values: Mapping[int, Values], layers: Sequence[str] = ()
) -> list[LayerMaps]:
    """Return the maps of the first sample, of all layers that show something or of those named."""
    if layers:
        steps = [trace.step(name) for name in layers]
    else:
        steps = [step for step in trace.steps if step.op not in SAME_NUMBERS]
    return [LayerMaps(step, values[step.index][0]) for step in steps]


def map_cells(
    maps: Sequence[LayerMaps], class_names: Sequence[str] = (), limit: int = 64
) -> Iterator[Cell]:
    """Yield the cells of a sheet: a heading for each layer, then at most `limit` of its channels.

    One scale holds for all channels of a layer: black is its smallest value, or where it has
    negative ones, zero is the middle gray. A vector is one picture, row by row; the answers of the
    network are a cell for each class, the likeliest first.
    """
    for number, one in enumerate(maps):
        heading = layer_heading(one.step)
        if one.values.ndim == 1 and number == len(maps) - 1 and class_names:
            shares = one.step.activation == "softmax" or one.step.op == "softmax"
            yield from _answer_cells(
                one.values, class_names, heading, "{:.1%}" if shares else "{:.3g}"
            )
            continue
        pictures = _pictures(one.values)
        left_out = len(pictures) - limit
        if left_out > 0:
            heading += f": the first {limit} of {len(pictures)} channels"
        levels = _levels(one.values, pictures[:limit])
        for channel, (name, pixels) in enumerate(levels):
            yield Cell(name, pixels, heading if channel == 0 else "")


def layer_heading(step: Step) -> str:
    """Return a layer's name, shape and receptive field.

    >>> from convcli.net import network
    >>> [layer_heading(step) for step in network("mnist").trace().steps[1:5:3]]
    ['maxpool1  13x13x16, field 4x4, every 2x2', 'flatten1  800, sees the whole input']
    """
    sees = "sees the whole input"
    if step.stride is not None:
        every = shape_text(tuple(int(one or 0) for one in step.stride))
        sees = f"field {shape_text(step.receptive_field)}, every {every}"
    return f"{step.name}  {shape_text(step.output_shape)}, {sees}"


def as_picture(values: Values) -> Values:
    """Return one channel as (h, w): a series as one row, a volume's planes side by side."""
    if values.ndim == 1:
        return values[np.newaxis]
    if values.ndim == 3:
        return np.concatenate(list(values), axis=1)
    return values


def near_square(vector: Values) -> Values:
    """Return a vector as rows of equal length, about as many as they are long; 0 fills the last.

    >>> near_square(np.arange(1.0, 6.0))
    array([[1., 2., 3.],
           [4., 5., 0.]])
    """
    columns = ceil(sqrt(len(vector)))
    rows = ceil(len(vector) / columns)
    padded = np.zeros(rows * columns, vector.dtype)
    padded[: len(vector)] = vector
    return padded.reshape(rows, columns)


def _pictures(values: Values) -> list[tuple[str, Values]]:
    """Return names and pictures: a channel each; of a vector or a series one."""
    if values.ndim == 1:
        return [(f"{len(values)} units", near_square(values))]
    if values.ndim == 2:
        return [(f"{values.shape[1]} channels, time to the right", values.T)]
    channels = range(values.shape[-1])
    return [(f"{channel}", as_picture(values[..., channel])) for channel in channels]


def _levels(whole: Values, pictures: Sequence[tuple[str, Values]]) -> list[tuple[str, Pixels]]:
    """Return the pictures as gray levels on the scale of the whole layer."""
    signed = bool(whole.size) and float(whole.min()) < 0
    scale = float(np.abs(whole).max()) if signed else float(whole.max(initial=0))
    shown = []
    for name, picture in pictures:
        levels = 128 + 127 * (picture / (scale or 1)) if signed else 255 * (picture / (scale or 1))
        caption = name if picture.any() else f"{name}: all 0"
        shown.append((caption, np.rint(levels).astype(np.uint8)))
    return shown


def _answer_cells(values: Values, names: Sequence[str], heading: str, text: str) -> Iterator[Cell]:
    """Yield a gray cell for each class, lighter for larger answers."""
    levels = gray_levels(values)
    for place, index in enumerate(np.argsort(-values, kind="stable")[:24].tolist()):
        pixels = np.full((4, 12), levels[index], np.uint8)
        caption = f"{names[index]}: {text.format(values[index])}"
        yield Cell(caption, pixels, heading if place == 0 else "")
