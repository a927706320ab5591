"""Dense layers, flatten and reshape, and dropout by a counter.

The mask of a cell is a function of seed, step, sample, layer and cell: nothing is stored, the
gradient asks the same function again, and the order of work is free. The mixing is the finalizer
of MurmurHash3 (Appleby 2011) on 32 bits, twice.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from convcli.engine.calls import AT, Operands, operand, operation
from convcli.layers.base import Layer
from convcli.layers.dense import Dense, Dropout
from convcli.net.trace import Step
from convcli.ops import products
from convcli.ops.activation import activate, deactivate
from convcli.ops.products import matrix
from convcli.ops.program import Address, Map, ProgramBuilder, Tensor
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

Bits = NDArray[np.uint32]


def dense(layer: Dense, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Y = x @ kernel + bias, on the last axis."""
    kernel = weights["kernel"]

    def backward(dy: Array) -> tuple[Array, Weights]:
        dkernel = cells(x).T @ cells(dy)
        return dy @ kernel.T, {"kernel": dkernel} | bias_grad(dy, weights)

    return add_bias(x @ kernel, weights), backward


def lower_dense(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    """A dense layer on vectors, or on the channels of every cell of a map."""
    layer = cast(Dense, step.layer)
    inputs = step.input_shapes[0][-1]
    if x.size == inputs:
        return lower_whole(program, step, x, inputs, layer.units)
    taps = matrix(inputs, layer.units)
    y = program.tensor(step, x, honors_extent=True)
    kernel, kind = program.weight(step, "kernel"), layer.activation
    fused = kind == "relu"
    bias = program.bias(step, layer.units)
    products.convolve(program, y.map, x.map, kernel, taps, bias, relu=fused)
    inner = y.address if fused else activate(program, kind, y)

    def backward() -> None:
        deactivate(program, kind, y, inner)
        dy = program.grad_map(y)
        if program.learns(step):
            if "bias" in step.weights:
                products.bias_grad(program, program.weight_grad(step, "bias"), dy)
            gradient = program.weight_grad(step, "kernel")
            products.weight_grad(program, gradient, x.map, dy, taps)
        program.accumulate_grad(
            x,
            lambda to: products.input_grad(
                program, Map.whole(to, x.shape), dy, kernel, taps, (0, 0, 0)
            ),
        )

    program.on_backward(backward)
    return y


def lower_whole(
    program: ProgramBuilder, step: Step, x: Tensor, inputs: int, outputs: int
) -> Tensor:
    """A dense layer over all samples of the chunk at once."""
    y, taps = program.tensor(step, x), matrix(inputs, outputs)
    kernel = program.weight(step, "kernel")
    kind: str | None = getattr(step.layer, "activation", None)
    fused = kind == "relu"
    bias = program.bias(step, outputs)
    products.dense(program, y.address, x.address, kernel, bias, taps, relu=fused)
    inner = y.address if fused else activate(program, kind, y)

    def backward() -> None:
        deactivate(program, kind, y, inner)
        dy = program.grad_of(y)
        if program.learns(step):
            if "bias" in step.weights:
                gradient = program.weight_grad(step, "bias")
                products.dense_bias_grad(program, gradient, dy, outputs)
            gradient = program.weight_grad(step, "kernel")
            products.dense_weight_grad(program, gradient, x.address, dy, taps)

        def write(dx: Address) -> None:
            by_output = products.flipped(program, kernel, taps, reverse=False)
            none = program.zeros(inputs)
            products.dense(program, dx, dy, by_output, none, taps.back())

        program.accumulate_grad(x, write)

    program.on_backward(backward)
    return y


def reshape(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """The same numbers under another shape: flatten and reshape."""

    def backward(dy: Array) -> tuple[Array, Weights]:
        return dy.reshape(x.shape), {}

    return x.reshape(len(x), *layer.output_shape(x.shape[1:])), backward


def lower_reshape(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    """Another shape for the same place."""
    y = Tensor(step.output_shape, x.address, x.needs_grad)

    def backward() -> None:
        if not x.needs_grad:
            return
        dy = program.grad_of(y)
        if x.grad is None:
            x.grad = dy
        else:
            program.accumulate_grad(x, lambda dx: program.copy(dx, dy, x.size))

    program.on_backward(backward)
    return y


def dropout(layer: Dropout, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Kept cells divided by the share kept; a pass-through outside training."""
    if not context.training or layer.rate == 0:
        return x, lambda dy: (dy, {})
    threshold = round(layer.rate * 2**32)
    channels = x.shape[-1]
    columns: Bits = np.arange(channels if layer.whole_channels else x[0].size, dtype=np.uint32)
    kept: Array = np.empty((len(x), columns.size), bool)
    for sample in range(len(x)):
        key = _numpy_key(context, sample)
        kept[sample] = _numpy_mixed(columns * np.uint32(0x9E3779B1) ^ key) >= threshold
    if layer.whole_channels:
        kept = kept.reshape(len(x), *(1 for _ in x.shape[1:-1]), channels)
    else:
        kept = kept.reshape(x.shape)
    factor = (kept * (2**32 / (2**32 - threshold))).astype(x.dtype)
    return x * factor, lambda dy: (dy * factor, {})


def _numpy_key(context: Context, sample: int) -> Bits:
    key = _numpy_mixed(_bits(context.seed) ^ _bits(0x9E3779B9))
    for number in (context.seed >> 32, context.step, sample + 0x51ED27):
        key = _numpy_mixed(key ^ _bits(number))
    return _numpy_mixed(key ^ _bits(context.layer_index * 0x632BE5AB))


def _bits(number: int) -> Bits:
    return np.array([number & 0xFFFFFFFF], np.uint32)


def _numpy_mixed(x: Bits) -> Bits:
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x = x ^ (x >> np.uint32(13))
    x = x * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


@njit(inline="always")
def _mixed(x):
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x85EBCA6B))
    x ^= x >> np.uint32(13)
    x = np.uint32(x * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@njit(inline="always")
def _key(seed, step, sample, layer):
    """Return the key of one layer's mask for one sample at one step."""
    key = _mixed(np.uint32(seed) ^ np.uint32(0x9E3779B9))
    key = _mixed(key ^ np.uint32(seed >> 32))
    key = _mixed(key ^ np.uint32(step))
    key = _mixed(key ^ np.uint32(sample + 0x51ED27))
    return _mixed(key ^ np.uint32(layer * 0x632BE5AB))


DROPOUT = Operands("to source", "size layer dropped whole_channels")


@operation(DROPOUT)
def drop(bases, row, first, count):
    """Write kept cells divided by the share kept, zeros elsewhere (Srivastava et al. 2014).

    `dropped` of 2**32 are; `whole_channels` is their count, or 0. Forward and backward alike.
    """
    limit = np.uint32(row[DROPOUT.dropped])
    scale = np.float32(4294967296.0 / (4294967296.0 - row[DROPOUT.dropped]))
    size = row[DROPOUT.size]
    for sample in range(first, first + count):
        to = operand(bases, row, DROPOUT.to, sample)
        source = operand(bases, row, DROPOUT.source, sample)
        key = _key(bases[AT.seed], bases[AT.step], bases[AT.first] + sample, row[DROPOUT.layer])
        channels = row[DROPOUT.whole_channels] if row[DROPOUT.whole_channels] else size
        for start in range(0, size, channels):
            for i in range(channels):
                bits = _mixed(np.uint32(np.uint32(i) * np.uint32(0x9E3779B1)) ^ key)
                kept = source[start + i] * scale
                to[start + i] = kept if bits >= limit else np.float32(0.0)


def lower_dropout(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    layer = cast(Dropout, step.layer)
    if not program.training or layer.rate == 0 or step.name in program.frozen:
        return lower_reshape(program, step, x)
    y = program.tensor(step, x)
    settings = {
        "size": x.size,
        "layer": step.index,
        "dropped": round(layer.rate * 2**32),
        "whole_channels": x.shape[-1] if layer.whole_channels else 0,
    }
    program.sample(drop, to=y.address, source=x.address, **settings)

    def backward() -> None:
        dy = program.grad_of(y)
        program.accumulate_grad(x, lambda dx: program.sample(drop, to=dx, source=dy, **settings))

    program.on_backward(backward)
    return y


KINDS = {
    "dense": Kind(dense, lower_dense),
    "flatten": Kind(reshape, lower_reshape),
    "reshape": Kind(reshape, lower_reshape),
    "dropout": Kind(dropout, lower_dropout),
}
