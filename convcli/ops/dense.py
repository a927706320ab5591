"""Dense layers, flatten and reshape, and dropout by a counter.

The mask of a cell is a function of seed, step, sample, layer and cell: nothing is stored, the
gradient asks the same function again, and the order of work is free. The mixing is the finalizer
of MurmurHash3 (Appleby 2011) on 32 bits, twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import cast

import numpy as np
from numba.extending import register_jitable

from convcli.engine.calls import AT, Operands, each_sample
from convcli.layers.base import Layer
from convcli.layers.dense import Dense, Dropout
from convcli.net.trace import Step
from convcli.ops.conv import lower_taps, lower_whole
from convcli.ops.products import matrix
from convcli.ops.program import ProgramBuilder, Tensor
from convcli.ops.rule import (
    Array,
    Backward,
    Context,
    Kind,
    Weights,
    add_bias,
    bias_grad,
    cells,
)  # fmt: skip


def dense(layer: Dense, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Y = x @ kernel + bias, on the last axis."""
    kernel = weights["kernel"]

    def backward(dy: Array) -> tuple[Array, Weights]:
        dkernel = cells(x).T @ cells(dy)
        return dy @ kernel.T, {"kernel": dkernel} | bias_grad(dy, weights)

    return add_bias(x @ kernel, weights), backward


def lower_dense(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """A dense layer on vectors, or on the channels of every cell of a map."""
    inputs, units = step.input_shapes[0][-1], cast(Dense, step.layer).units
    if x.size == inputs:
        return lower_whole(program, step, x, inputs, units)
    return lower_taps(program, step, x, matrix(inputs, units))


def reshape(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """The same numbers under another shape: flatten and reshape."""

    def backward(dy: Array) -> tuple[Array, Weights]:
        return dy.reshape(x.shape), {}

    return x.reshape(len(x), *layer.output_shape(x.shape[1:])), backward


def lower_reshape(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """Another shape for the same place."""
    y = Tensor(step.output_shape, x.address, x.needs_grad)
    yield y
    if not x.needs_grad:
        return
    dy = program.grad_of(y)
    if x.grad is None:
        x.grad = dy
    else:
        program.accumulate_grad(x, lambda dx: program.copy(dx, dy, x.size))


def dropout(layer: Dropout, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Kept cells divided by the share kept; a pass-through outside training."""
    if not context.training or layer.rate == 0:
        return x, lambda dy: (dy, {})
    threshold = round(layer.rate * 2**32)
    kept_of = (1,) * (x.ndim - 2) + x.shape[-1:] if layer.whole_channels else x.shape[1:]
    columns = np.arange(prod(kept_of), dtype=np.uint32) * CELL_FACTOR
    seed = np.array([context.seed])
    kept = np.array(
        [
            _mixed(columns ^ _key(seed, context.step, sample, context.layer_index)) >= threshold
            for sample in range(len(x))
        ]
    )
    factor = (kept * (2**32 / (2**32 - threshold))).astype(x.dtype).reshape(-1, *kept_of)
    return x * factor, lambda dy: (dy * factor, {})


CELL_FACTOR = np.uint32(0x9E3779B1)
LOW_BITS = 0xFFFFFFFF
inlined = register_jitable(forceinline=True)
"""For compiled numbers, and for NumPy's arrays of uint32."""


@inlined
def _mixed(x):
    x = x ^ (x >> np.uint32(16))
    x = np.uint32(x * np.uint32(0x85EBCA6B))
    x = x ^ (x >> np.uint32(13))
    x = np.uint32(x * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@inlined
def _key(seed, step, sample, layer):
    """Return the key of one layer's mask for one sample at one step."""
    key = _mixed(np.uint32(seed & LOW_BITS) ^ np.uint32(0x9E3779B9))
    key = _mixed(key ^ np.uint32((seed >> 32) & LOW_BITS))
    key = _mixed(key ^ np.uint32(step & LOW_BITS))
    key = _mixed(key ^ np.uint32((sample + 0x51ED27) & LOW_BITS))
    return _mixed(key ^ np.uint32((layer * 0x632BE5AB) & LOW_BITS))


@each_sample(Operands("to source", "size layer dropped whole_channels"))
def drop(o):
    """Write kept cells divided by the share kept, zeros elsewhere (Srivastava et al. 2014).

    `dropped` of 2**32 are; `whole_channels` is their count, or 0. Forward and backward alike.
    """
    limit = np.uint32(o.dropped)
    scale = np.float32(4294967296.0 / (4294967296.0 - o.dropped))
    key = _key(o.bases[AT.seed], o.bases[AT.step], o.bases[AT.first] + o.sample, o.layer)
    channels = o.whole_channels if o.whole_channels else o.size
    for start in range(0, o.size, channels):
        for i in range(channels):
            bits = _mixed(np.uint32(np.uint32(i) * CELL_FACTOR) ^ key)
            kept = o.source[start + i] * scale
            o.to[start + i] = kept if bits >= limit else np.float32(0.0)


def lower_dropout(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    layer = cast(Dropout, step.layer)
    if not program.training or layer.rate == 0 or step.name in program.frozen:
        yield from lower_reshape(program, step, x)
        return
    y = program.tensor(step, x)
    settings = {
        "size": x.size,
        "layer": step.index,
        "dropped": round(layer.rate * 2**32),
        "whole_channels": x.shape[-1] if layer.whole_channels else 0,
    }
    program.sample(drop, to=y.address, source=x.address, **settings)
    yield y
    dy = program.grad_of(y)
    program.accumulate_grad(x, lambda dx: program.sample(drop, to=dx, source=dy, **settings))


KINDS = {
    "dense": Kind(dense, lower_dense),
    "flatten": Kind(reshape, lower_reshape),
    "reshape": Kind(reshape, lower_reshape),
    "dropout": Kind(dropout, lower_dropout),
}
