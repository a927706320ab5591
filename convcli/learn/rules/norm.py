"""Normalization: the same equation over the batch, over channels, over groups of channels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convcli.layers.norm import BatchNorm, GroupNorm, LayerNorm
from convcli.learn.arrays import Array
from convcli.learn.rules.base import Backward, Context, Weights, spatial_axes

Inner = Callable[[Array], Array]


def batch_norm(
    layer: BatchNorm, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Normalize each channel over the batch, or by running statistics (Ioffe and Szegedy 2015).

    In training the running statistics move by `momentum` towards the batch's; their variance is
    the unbiased one, as in PyTorch.
    """
    axes = (0, *spatial_axes(x))
    if context.training:
        mean, variance = x.mean(axis=axes), x.var(axis=axes)
        count = x.size // x.shape[-1]
        unbiased = variance * count / max(count - 1, 1)
        for name, value in (("mean", mean), ("variance", unbiased)):
            old = context.buffers[name]
            context.buffers[name] = old + layer.momentum * (value - old)
        normal, inner = _normalized(x, axes, layer.eps)
    else:
        mean, variance = context.buffers["mean"], context.buffers["variance"]
        root = np.sqrt(variance + layer.eps)
        normal = (x - mean) / root

        def inner(dn: Array) -> Array:
            return dn / root

    return _scaled(weights, normal, inner)


def layer_norm(
    layer: LayerNorm, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Normalize the channels of each cell (Ba et al. 2016)."""
    normal, inner = _normalized(x, (x.ndim - 1,), layer.eps)
    return _scaled(weights, normal, inner)


def group_norm(
    layer: GroupNorm, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Normalize all cells of each group of channels (Wu and He 2018)."""
    grouped = x.reshape(*x.shape[:-1], layer.groups, -1)
    axes = (*spatial_axes(x), grouped.ndim - 1)
    normal, inner = _normalized(grouped, axes, layer.eps)

    def ungrouped(dn: Array) -> Array:
        return inner(dn.reshape(grouped.shape)).reshape(x.shape)

    return _scaled(weights, normal.reshape(x.shape), ungrouped)


def _normalized(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Inner]:
    """Return (x - mean) / sqrt(variance + eps), and dN -> dX."""
    mean = x.mean(axis=axes, keepdims=True)
    root = np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    normal = (x - mean) / root

    def backward(dn: Array) -> Array:
        level = dn.mean(axis=axes, keepdims=True)
        slope = (dn * normal).mean(axis=axes, keepdims=True)
        dx: Array = (dn - level - normal * slope) / root
        return dx

    return normal, backward


def _scaled(weights: Weights, normal: Array, inner: Inner) -> tuple[Array, Backward]:
    scale = weights.get("scale", np.ones(1, normal.dtype))

    def backward(dy: Array) -> tuple[Array, Weights]:
        axes = tuple(range(dy.ndim - 1))
        slopes = {"shift": dy.sum(axis=axes)}
        if "scale" in weights:
            slopes["scale"] = (dy * normal).sum(axis=axes)
        return inner(dy * scale), slopes

    return normal * scale + weights["shift"], backward
