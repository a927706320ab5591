"""Inputs, what is known about their cells, and kernels, as pictures to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.errors import InputError, UsageError
from convcli.imaging.picture import gray_levels
from convcli.inspect.probe import Probe
from convcli.layers.base import shape_text
from convcli.net.trace import Step, Trace

Values = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]


def sample_picture(probe: Probe, sample: Values) -> Pixels:
    """Return one prepared sample as it looks: (H, W, 3), or a series or vector as gray rows.

    Bytes look as they are; other figures are spread from their smallest to their largest.
    """
    stored = probe.stored(sample)
    if _holds_bytes(probe):
        shown = stored * (255 / probe.trained.preprocessing.white)
        levels: Pixels = np.rint(np.clip(shown, 0, 255)).astype(np.uint8)
    else:
        levels = gray_levels(stored)
    if levels.ndim == 3 and levels.shape[-1] == 3:
        return levels
    gray = np.rint(by_cell(levels.astype(np.float32), "mean")).astype(np.uint8)
    return np.repeat(gray[..., np.newaxis], 3, axis=2)


def input_limits(probe: Probe) -> tuple[Values, Values]:
    """Return the smallest and largest prepared input: black and white, or 2.5 deviations."""
    if not _holds_bytes(probe):
        ones = np.ones(probe.input_shape, np.float32)
        return -2.5 * ones, 2.5 * ones
    zeros = np.zeros((1, *probe.input_shape), np.float32)
    white = probe.trained.preprocessing.white
    return probe.prepared(zeros)[0], probe.prepared(zeros + white)[0]


def _holds_bytes(probe: Probe) -> bool:
    """Tell whether samples are stored as bytes: they are divided by 255, others are centered."""
    rule = probe.trained.preprocessing
    return set(rule.offset) == {0.0} and np.allclose(rule.scale, 1 / rule.white)


def by_cell(values: Values, how: str) -> Values:
    """Return values of a sample's shape as a picture (h, w), channels joined by `how`.

    A series has time to the right and its channels below each other, a vector is one row; neither
    is joined.

    Args:
        values: (H, W, C), (L, C) or (N,).
        how: `mean`, `sum` or `strongest` (the largest magnitude).

    >>> by_cell(np.array([[[1.0, -4.0]]]), "strongest"), by_cell(np.array([[[1.0, -4.0]]]), "sum")
    (array([[4.]]), array([[-3.]]))
    """
    if values.ndim == 1:
        return values[np.newaxis]
    if values.ndim == 2:
        return values.T
    if values.ndim > 3:
        raise InputError(
            f"Samples of {shape_text(values.shape)} are volumes; those cannot be drawn."
        )
    if how == "strongest":
        magnitudes: Values = np.abs(values).max(axis=-1)
        return magnitudes
    joined: Values = values.sum(axis=-1) if how == "sum" else values.mean(axis=-1)
    return joined


def check_is_picture(probe: Probe, what: str) -> None:
    """Refuse a model of anything but pictures."""
    if len(probe.input_shape) != 3:
        raise InputError(
            f"{what} is made for pictures; this model takes {shape_text(probe.input_shape)}."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """One kernel, or the part of it that reads one input channel.

    Attributes:
        layer: name of its layer.
        filter: which output channel it makes.
        channel: which input channel it reads; None for all of them together.
        weights: (h, w), or (h, w, 3) for the colors of a picture.
    """

    layer: str
    filter: int
    channel: int | None
    weights: Values


def layers_with_kernels(trace: Trace) -> list[Step]:
    """Return the steps whose weights can be drawn, in order.

    >>> from convcli.net import network
    >>> [step.name for step in layers_with_kernels(network("mnist").trace())]
    ['conv1', 'conv2', 'dense1', 'dense2']
    """
    return [step for step in trace.steps if _array_name(step) is not None]


def filters_of(
    trace: Trace,
    parameters: Mapping[str, Values],
    layer: str | None = None,
    *,
    filter_: int | None = None,
    channel: int | None = None,
) -> list[Filter]:
    """Return the kernels of a layer: whole where they can be seen whole, else by input channel.

    A kernel with one input channel is gray, one over the three colors of the input is a color
    picture. A dense layer behind a flattened map has a picture per unit and channel.
    """
    step = _chosen(trace, layer)
    kernel = _as_pictures(trace, step, parameters[f"{step.name}.{_array_name(step)}"])
    inputs, outputs = kernel.shape[2:]
    _check(step, "filter", filter_, outputs)
    _check(step, "channel", channel, inputs)
    outs = range(outputs) if filter_ is None else [filter_]
    if channel is None and inputs == 3 and step.sources == (0,):
        return [Filter(step.name, out, None, kernel[..., out]) for out in outs]
    ins = range(inputs) if channel is None else [channel]
    return [Filter(step.name, out, one, kernel[:, :, one, out]) for out in outs for one in ins]


def _array_name(step: Step) -> str | None:
    """Return which of the step's arrays holds its kernels."""
    known = {"conv": "kernel", "dwconv": "kernel", "upconv": "kernel", "dense": "kernel"}
    name = (known | {"sepconv": "depthwise"}).get(step.op)
    return name if name in step.weights else None


def _chosen(trace: Trace, layer: str | None) -> Step:
    candidates = layers_with_kernels(trace)
    if not candidates:
        raise InputError("The network has no layer with kernels.")
    if layer is None:
        return candidates[0]
    step = trace.step(layer)
    if step not in candidates:
        names = ", ".join(one.name for one in candidates)
        raise UsageError(f"Layer {step.name} has no kernels to draw. Use one of {names}.")
    return step


def _check(step: Step, what: str, number: int | None, count: int) -> None:
    if number is not None and not 0 <= number < count:
        raise UsageError(
            f"Layer {step.name} has no {what} {number}. It has {count}: 0 to {count - 1}."
        )


def _as_pictures(trace: Trace, step: Step, kernel: Values) -> Values:
    """Return a kernel as (h, w, inputs, outputs), whatever its layer's rank.

    A kernel along a series has its channels below each other and time to the right; the planes of a
    volume's kernel stand side by side.
    """
    if step.op == "dense":
        return kernel.reshape(*_flattened(trace, step), kernel.shape[-1])
    *spatial, inputs, outputs = kernel.shape
    if step.op in {"dwconv", "sepconv"}:  # one kernel for each input channel, and multiple
        kernel = kernel.reshape(*spatial, 1, inputs * outputs)
    if len(spatial) == 1:
        return kernel.swapaxes(0, 1)[:, :, np.newaxis]
    if len(spatial) == 3:
        return np.concatenate(list(kernel), axis=1)
    return kernel


def _flattened(trace: Trace, step: Step) -> tuple[int, int, int]:
    """Return (h, w, channels) of the map that a dense layer reads flattened; else one row."""
    before = step
    while before.sources and before.sources[0]:
        before = trace.steps[before.sources[0] - 1]
        if before.op == "flatten" and len(before.input_shapes[0]) == 3:
            height, width, channels = before.input_shapes[0]
            return height, width, channels
        if before.op != "dropout":
            break
    return 1, step.input_shapes[0][-1], 1
