"""First weights, by layer; the same seed gives the same numbers for the same step."""

from __future__ import annotations

from math import prod

import numpy as np

from convcli.layers.activation import ACTIVATIONS, LayerScale
from convcli.layers.conv import DepthwiseConv, SeparableConv, TransposedConv
from convcli.layers.recurrent import LSTM
from convcli.net.trace import Step, Trace
from convcli.ops.rule import Array

FIRST_SLOPE = 0.25
"""Of a PReLU (He et al. 2015)."""
LAST_GAIN = 0.1
"""Of the kernel that makes the network's output: first answers lean to no class, so that the first
loss of C classes is about ln C."""


def first_weights(trace: Trace, seed: int) -> dict[str, Array]:
    """Return `step.weight` -> float32 array for every parameter.

    Kernels in front of a rectifier are uniform with variance 2 / inputs (He et al. 2015), others
    with variance 2 / (inputs + outputs) (Glorot and Bengio 2010). Biases and shifts are zeros,
    scales ones; an LSTM's recurrent kernel is orthogonal and its forget gate begins open
    (Jozefowicz et al. 2015). The kernel that makes the output is `LAST_GAIN` times as large.
    """
    found = {}
    last = _last_products(trace)
    for step in trace.steps:
        for number, (name, shape) in enumerate(step.weights.items()):
            random = np.random.Generator(np.random.Philox(key=[seed, 1000 * step.index + number]))
            values = _first(step, name, shape, rectified=_is_rectified(trace, step), random=random)
            if step.index in last and name == "kernel":
                values *= LAST_GAIN
            found[f"{step.name}.{name}"] = np.ascontiguousarray(values, np.float32)
    return found


def first_buffers(trace: Trace) -> dict[str, Array]:
    """Return the running statistics before any sample: mean 0, variance 1."""
    return {
        f"{step.name}.{name}": np.full(shape, 1.0 if name == "variance" else 0.0, np.float32)
        for step in trace.steps
        for name, shape in step.buffer_shapes.items()
    }


def _is_rectified(trace: Trace, step: Step) -> bool:
    """Tell whether a rectifier follows, perhaps behind a normalization."""
    if step.activation in ACTIVATIONS:
        return ACTIVATIONS[step.activation].rectifies
    follower = next((other for other in trace.steps if step.index in other.sources), None)
    if follower is None:
        return False
    if follower.layer.role == "norm" and follower.weights:
        return _is_rectified(trace, follower)
    kind = "leakyrelu" if follower.op == "prelu" else follower.op
    return kind in ACTIVATIONS and ACTIVATIONS[kind].rectifies


def _last_products(trace: Trace) -> set[int]:
    """Return the convolutions and dense layers behind which nothing is learned or joined."""
    found = set()
    for end in trace.outputs:
        step = end
        while not step.weights and len(step.sources) == 1 and step.sources[0]:
            step = trace.steps[step.sources[0] - 1]
        if step.layer.role in {"conv", "dense"}:
            found.add(step.index)
    return found


def _first(
    step: Step, name: str, shape: tuple[int, ...], *, rectified: bool, random: np.random.Generator
) -> Array:
    name = name.removeprefix("reverse_")  # of the second direction through a series
    if name == "recurrent":
        return _orthogonal(shape, random)
    if isinstance(step.layer, LayerScale):
        return np.full(shape, step.layer.start, np.float32)
    if name == "scale":
        return np.ones(shape, np.float32)
    if name == "slope":
        return np.full(shape, FIRST_SLOPE, np.float32)
    if isinstance(step.layer, LSTM) and name == "bias":
        bias = np.zeros(shape, np.float32)
        bias[step.layer.units : 2 * step.layer.units] = 1
        return bias
    if len(shape) == 1:
        return np.zeros(shape, np.float32)
    inputs, outputs = _fans(step, name, shape)
    variance = 2 / inputs if rectified else 2 / (inputs + outputs)
    limit = (3 * variance) ** 0.5
    return random.uniform(-limit, limit, shape).astype(np.float32)


def _fans(step: Step, name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many numbers one output sums, and in how many outputs one input appears."""
    taps, inputs, outputs = prod(shape[:-2]), shape[-2], shape[-1]
    if isinstance(step.layer, DepthwiseConv) or (
        isinstance(step.layer, SeparableConv) and name == "depthwise"
    ):
        return taps, taps * outputs
    if isinstance(step.layer, TransposedConv):
        cells = prod(step.layer.stride)
        return max(1, taps * inputs // step.layer.groups // cells), taps * outputs
    return taps * inputs, taps * outputs


def _orthogonal(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Return a matrix with orthonormal rows (Saxe et al. 2014)."""
    rows, columns = shape
    q, r = np.linalg.qr(random.standard_normal((columns, rows)))
    return np.asarray((q * np.sign(np.diag(r))).T, np.float32)
