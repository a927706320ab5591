"""A trained network as the live page reads it: steps with resolved windows, weights as text."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError
from convcli.geometry import Spread, Window
from convcli.layers import Activation, Dropout, Flatten, Reshape
from convcli.layers.activation import numbers_of
from convcli.learn.modelfile import TrainedModel
from convcli.net import Step
from convcli.net.words import layer_text

QUIET = (Flatten, Reshape, Dropout)
"""Rows that change no number at prediction; the page does not draw them again."""


def page_network(model: TrainedModel) -> dict[str, Any]:
    """Return the description that the live page's engine runs.

    A series is a picture one row high.

    Raises:
        InputError: the network reads neither gray or color pictures, nor series or numbers.
    """
    shape = model.network.input_shape
    if len(shape) == 4 or (len(shape) == 3 and shape[2] not in {1, 3}):
        raise InputError(
            f"The live page needs a network that classifies gray or color pictures, series, or "
            f"plain numbers; this one takes {'x'.join(map(str, shape))}."
        )
    weights = _Weights({**model.model.parameters, **model.model.buffers})
    steps = [_step(step, weights) for step in model.network.trace().steps]
    preparation = model.preprocessing
    of_bytes = tuple(figure * (preparation.white / 255) for figure in preparation.scale)
    return {
        "input": _maps(shape),
        "series": len(shape) == 2,
        "classes": list(model.class_names),
        "ends": _end(model),
        "preprocessing": {
            "scale": _per_channel(of_bytes, shape[-1]),
            "offset": _per_channel(preparation.offset, shape[-1]),
            "centered": preparation.pictures == "digit",
        },
        "steps": steps,
        "weights": weights.text(),
    }


def _end(model: TrainedModel) -> str:
    """Return what comes after the last layer: softmax, pair for one number of two classes, none."""
    shape = model.network.trace().output_shape
    if shape == (1,) and len(model.class_names) == 2:
        return "pair"
    scores = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    return "none" if np.array_equal(model.finished(scores), scores) else "softmax"


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
    layer, spatial = step.layer, step.stride is not None
    kind = layer.kind if isinstance(layer, Activation) else step.activation
    fields = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    borders = fields.get("padding_mode", "zeros")
    return fields | {
        "op": layer.op if borders == "zeros" else f"{layer.op} with {borders} borders",
        "index": step.index,
        "name": step.name,
        "words": layer_text(layer),
        "sources": list(step.sources),
        "input": _maps(step.input_shapes[0]),
        "output": _maps(step.output_shape),
        "activation": kind,
        "numbers": numbers_of(layer, kind) if kind else [],
        "role": layer.role,
        "receptive_field": _axes(step.receptive_field, 1) if spatial else None,
        "field_stride": _axes(step.stride or (), 1),
        "field_padding": _axes(step.padding or (), 0),
        "shown": not isinstance(layer, QUIET),
        "weights": {
            name: weights.place(f"{step.name}.{name}")
            for name in (*step.weights, *step.buffer_shapes)
        },
        **_windows(step),
    }


def _maps(shape: tuple[int, ...]) -> list[int]:
    """Return a shape as rows, columns, channels; the places of a series are one row."""
    return [1, *shape] if len(shape) == 2 else list(shape)


def _axes(numbers: Sequence[Any], of_rows: Any) -> list[Any]:
    """Return a number for rows and one for columns."""
    return [of_rows, *numbers] if len(numbers) == 1 else list(numbers)


def _windows(step: Step) -> dict[str, Any]:
    """Return what each axis reads, and of kernels their extents, stride, dilation and padding."""
    axes = [
        {"kind": type(axis).__name__.lower()}
        | {field.name: getattr(axis, field.name) for field in dataclasses.fields(axis)}
        for axis in step.reads or ()
    ]
    if not axes:
        return {}
    found: dict[str, Any] = {"reads": _axes(axes, {"kind": "window", **_ONE_CELL})}
    if all(isinstance(axis, Window | Spread) for axis in step.reads or ()):
        for key in ("kernel", "stride", "dilation", "before"):
            found[key] = _axes([axis[key] for axis in axes], _ONE_CELL[key])
    return found


_ONE_CELL = {"kernel": 1, "stride": 1, "dilation": 1, "before": 0, "after": 0}
"""What an axis of a single cell reads: the rows of a series."""


def _per_channel(figures: tuple[float, ...], channels: int) -> list[float]:
    return list(figures) * (channels if len(figures) == 1 else 1)
