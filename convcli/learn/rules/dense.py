"""Dense layers, flatten, and dropout with the compiled engine's masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from convcli.layers.base import Layer
from convcli.layers.dense import Dense, Dropout
from convcli.learn.arrays import Array
from convcli.learn.rules.base import Backward, Context, Weights, cells
from convcli.learn.rules.conv import add_bias, bias_slope

Bits = NDArray[np.uint32]


def dense(layer: Dense, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Y = x @ kernel + bias, on the last axis."""
    kernel = weights["kernel"]

    def backward(dy: Array) -> tuple[Array, Weights]:
        dkernel = cells(x).T @ cells(dy)
        return dy @ kernel.T, {"kernel": dkernel} | bias_slope(dy, weights)

    return add_bias(x @ kernel, weights), backward


def reshape(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """The same numbers under another shape: flatten and reshape."""

    def backward(dy: Array) -> tuple[Array, Weights]:
        return dy.reshape(x.shape), {}

    return x.reshape(len(x), *layer.output_shape(x.shape[1:])), backward


def dropout(layer: Dropout, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Kept cells divided by the share kept; a pass-through outside training."""
    if not context.training or layer.rate == 0:
        return x, lambda dy: (dy, {})
    threshold = round(layer.rate * 2**32)
    channels = x.shape[-1]
    columns: Bits = np.arange(channels if layer.whole_channels else x[0].size, dtype=np.uint32)
    kept: Array = np.empty((len(x), columns.size), bool)
    for sample in range(len(x)):
        key = _key(context, sample)
        kept[sample] = _mixed(columns * np.uint32(0x9E3779B1) ^ key) >= threshold
    if layer.whole_channels:
        kept = kept.reshape(len(x), *(1 for _ in x.shape[1:-1]), channels)
    else:
        kept = kept.reshape(x.shape)
    factor = (kept * (2**32 / (2**32 - threshold))).astype(x.dtype)
    return x * factor, lambda dy: (dy * factor, {})


def _key(context: Context, sample: int) -> Bits:
    """Return the key of a mask, see `convcli.engine.operations.dropout.key_of`."""
    key = _mixed(_bits(context.seed) ^ _bits(0x9E3779B9))
    for number in (context.seed >> 32, context.step, sample + 0x51ED27):
        key = _mixed(key ^ _bits(number))
    return _mixed(key ^ _bits(context.layer_index * 0x632BE5AB))


def _bits(number: int) -> Bits:
    return np.array([number & 0xFFFFFFFF], np.uint32)


def _mixed(x: Bits) -> Bits:
    """Return the finaliser of MurmurHash3 (Appleby 2011) of 32 bits."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x = x ^ (x >> np.uint32(13))
    x = x * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
