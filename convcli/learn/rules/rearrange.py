"""Layers that move cells: padding, cropping, dealing out channels, enlarging."""

from __future__ import annotations

import numpy as np

from convcli.layers.rearrange import ChannelShuffle, Crop, Pad, Upsample
from convcli.learn.arrays import Array
from convcli.learn.rules.base import Backward, Context, Weights, spatial_axes


def _inside(cells: tuple[tuple[int, int], ...], shape: tuple[int, ...]) -> tuple[slice, ...]:
    pairs = zip(cells, shape[1:-1], strict=True)
    return (slice(None), *(slice(before, size - after) for (before, after), size in pairs))


def pad(layer: Pad, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Zeros around the map."""
    y = np.pad(x, [(0, 0), *layer.cells, (0, 0)])
    return y, lambda dy: (dy[_inside(layer.cells, dy.shape)], {})


def crop(layer: Crop, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """Cells cut off around the map."""

    def backward(dy: Array) -> tuple[Array, Weights]:
        return np.pad(dy, [(0, 0), *layer.cells, (0, 0)]), {}

    return x[_inside(layer.cells, x.shape)], backward


def shuffle(
    layer: ChannelShuffle, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Channels of groups dealt out in turn (Zhang et al. 2018)."""
    order = np.arange(x.shape[-1]).reshape(layer.groups, -1).T.ravel()

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx = np.empty_like(dy)
        dx[..., order] = dy
        return dx, {}

    return x[..., order], backward


def weights_of_axis(size: int, factor: int, *, linear: bool) -> Array:
    """Return the matrix (size * factor, size) that enlarges one axis.

    Nearest cell, or linear between cell centers (PyTorch's `align_corners=False`).

    >>> weights_of_axis(2, 2, linear=True)
    array([[1.  , 0.  ], [0.75, 0.25], [0.25, 0.75], [0.  , 1.  ]])
    """
    matrix = np.zeros((size * factor, size))
    for cell in range(size * factor):
        if not linear:
            matrix[cell, cell // factor] = 1
            continue
        place = min(max((cell + 0.5) / factor - 0.5, 0), size - 1)
        left = int(place)
        matrix[cell, left] += 1 - (place - left)
        matrix[cell, min(left + 1, size - 1)] += place - left
    return matrix


def upsample(
    layer: Upsample, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Enlarge each axis by its matrix; the gradient goes back through the transposed ones."""
    axes = spatial_axes(x)
    matrices = [
        weights_of_axis(x.shape[axis], factor, linear=layer.bilinear).astype(x.dtype)
        for axis, factor in zip(axes, layer.factor, strict=True)
    ]

    def through(array: Array, transposed: bool) -> Array:
        for axis, matrix in zip(axes, matrices, strict=True):
            array = np.moveaxis(
                np.tensordot(matrix.T if transposed else matrix, array, axes=(1, axis)), 0, axis
            )
        return array

    return through(x, False), lambda dy: (through(dy, True), {})
