"""A trained network as the live page reads it: steps with resolved windows, weights as text."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError
from convcli.geometry import Window
from convcli.layers import Activation, AveragePool, Dropout, Flatten, Layer, Reshape
from convcli.layers.activation import PAGE_KINDS
from convcli.learn.modelfile import TrainedModel
from convcli.net import Step
from convcli.net.words import layer_text

QUIET = (Flatten, Reshape, Dropout)
"""Rows that change no number at prediction; the page does not draw them again."""


def page_network(model: TrainedModel) -> dict[str, Any]:
    """Return the description that the live page's engine runs.

    A series is a picture one row high. A layer that the page has no function for is there, too,
    with `missing`: what it is.

    Raises:
        InputError: the network reads neither gray or color pictures nor series.
    """
    shape = model.network.input_shape
    if len(shape) != 2 and (len(shape) != 3 or shape[2] not in {1, 3}):
        raise InputError(
            f"The live page needs a network that classifies gray or color pictures, or series; "
            f"this one takes {'x'.join(map(str, shape))}."
        )
    weights = _Weights({**model.model.parameters, **model.model.buffers})
    steps = [_step(step, weights) for step in model.network.trace().steps]
    preparation = model.preprocessing
    of_bytes = tuple(figure * (preparation.white / 255) for figure in preparation.scale)
    return {
        "input": _maps(shape),
        "series": len(shape) == 2,
        "classes": list(model.class_names),
        "preprocessing": {
            "scale": _per_channel(of_bytes, shape[-1]),
            "offset": _per_channel(preparation.offset, shape[-1]),
            "centered": preparation.pictures == "digit",
        },
        "steps": steps,
        "weights": weights.text(),
    }


class _Weights:
    """Collects arrays into one run of float32, and remembers where each begins."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._arrays = arrays
        self._parts: list[npt.NDArray[np.float32]] = []
        self._length = 0

    def place(self, name: str) -> list[int]:
        """Append the array `name`; return [first number, count]."""
        part = np.ascontiguousarray(self._arrays[name], dtype="<f4").ravel()
        start = self._length
        self._parts.append(part)
        self._length += part.size
        return [start, part.size]

    def text(self) -> str:
        return base64.b64encode(b"".join(part.tobytes() for part in self._parts)).decode("ascii")


def _step(step: Step, weights: _Weights) -> dict[str, Any]:
    settings = _settings(step.op, step.layer)
    names = [] if "missing" in settings else [*step.weights, *step.buffer_shapes]
    spatial = step.stride is not None
    return {
        "index": step.index,
        "name": step.name,
        "words": layer_text(step.layer),
        "sources": list(step.sources),
        "input": _maps(step.input_shapes[0]),
        "output": _maps(step.output_shape),
        "activation": step.activation,
        "role": step.layer.role,
        "receptive_field": _axes(step.receptive_field, 1) if spatial else None,
        "field_stride": _axes(step.stride or (), 1),
        "field_padding": _axes(step.padding or (), 0),
        "shown": not isinstance(step.layer, QUIET),
        "weights": {name: weights.place(f"{step.name}.{name}") for name in names},
        **_windows(step),
        **settings,
    }


def _maps(shape: tuple[int, ...]) -> list[int]:
    """Return a shape as rows, columns, channels; the places of a series are one row."""
    return [1, *shape] if len(shape) == 2 else list(shape)


def _axes(numbers: Sequence[Any], of_rows: int) -> list[Any]:
    """Return a number for rows and one for columns."""
    return [of_rows, *numbers] if len(numbers) == 1 else list(numbers)


def _windows(step: Step) -> dict[str, Any]:
    """Return kernel, stride, dilation and padding before, per axis, where the layer slides."""
    axes = [axis for axis in step.reads or () if isinstance(axis, Window)]
    return {
        key: _axes([getattr(axis, key) for axis in axes], 0 if key == "before" else 1)
        for key in ("kernel", "stride", "dilation", "before")
        if axes
    }


def _settings(op: str, layer: Layer) -> dict[str, Any]:
    """Return the page's word for the row and what it must know beyond shapes and windows."""
    if isinstance(layer, QUIET):
        return {"op": "same"}
    suffix = getattr(layer, "activation", None)
    fits = getattr(layer, "padding_mode", "zeros") == "zeros" and suffix in {None, *PAGE_KINDS}
    if isinstance(layer, AveragePool):
        fits = not (layer.ceil and layer.count_padding)
    if layer.page is None or not fits:
        return {"op": "missing", "missing": layer_text(layer)}
    if isinstance(layer, Activation):
        return {"op": "activation", "activation": layer.kind}
    return {"op": op, **{field: getattr(layer, field) for field in layer.page}}


def _per_channel(figures: tuple[float, ...], channels: int) -> list[float]:
    return list(figures) * (channels if len(figures) == 1 else 1)
