"""Pools over listed windows: sliding, global and adaptive are the same thing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np

from convcli.geometry import adaptive_window
from convcli.layers.base import Layer, Shape
from convcli.layers.pool import AdaptiveAveragePool, AveragePool, Pool
from convcli.learn.arrays import Array
from convcli.learn.rules.base import Backward, Context, Weights, spatial_axes

Span = tuple[int, int, int]
"""First input cell, end, and the number of cells it counts for in a mean."""


def spans(layer: Layer, input_shape: Shape) -> list[list[Span]]:
    """Return the windows of every axis, cut to the map.

    >>> from convcli.layers.pool import MaxPool
    >>> spans(MaxPool((3,), (2,), ((1, 1),)), (5, 1))
    [[(0, 2, 2), (1, 4, 3), (3, 5, 2)]]
    """
    sizes = input_shape[:-1]
    if isinstance(layer, AdaptiveAveragePool):
        windows = [
            [adaptive_window(size, count, cell) for cell in range(count)]
            for size, count in zip(sizes, layer.size, strict=True)
        ]
        return [[(w.start, w.stop, len(w)) for w in axis] for axis in windows]
    if not isinstance(layer, Pool):
        return [[(0, size, size)] for size in sizes]
    counted = isinstance(layer, AveragePool) and layer.count_padding
    found = []
    counts = layer.output_shape(input_shape)
    for size, window, count in zip(sizes, layer.windows(input_shape), counts, strict=False):
        axis = []
        for cell in range(count):
            start = cell * window.stride - window.before
            stop = min(start + window.kernel, size + window.after)
            first, end = max(start, 0), min(stop, size)
            axis.append((first, end, stop - start if counted else end - first))
        found.append(axis)
    return found


def _cells(axes: list[list[Span]]) -> Iterator[tuple[Any, tuple[slice, ...], int]]:
    """Yield the view of each output cell, that of its window, and the cells it counts for."""
    for cell in product(*(range(len(axis)) for axis in axes)):
        chosen = [axis[at] for axis, at in zip(axes, cell, strict=True)]
        view = tuple(slice(first, end) for first, end, _ in chosen)
        yield (slice(None), *cell), (slice(None), *view), prod(count for _, _, count in chosen)


def _out(layer: Layer, x: Array) -> Array:
    axes = spans(layer, x.shape[1:])
    return np.empty((len(x), *(len(axis) for axis in axes), x.shape[-1]), x.dtype)


def largest(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """The largest cell of each window; the gradient goes to the first of equals alone."""
    axes, y = spans(layer, x.shape[1:]), _out(layer, x)
    chosen = np.empty(y.shape, np.int64)
    for at, view, _ in _cells(axes):
        window = x[view].reshape(len(x), -1, x.shape[-1])
        chosen[at] = window.argmax(axis=1)
        y[at] = window.max(axis=1)
    shape = (len(x), *layer.output_shape(x.shape[1:]))

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx, dy_cells = np.zeros_like(x), dy.reshape(y.shape)
        for at, view, _ in _cells(axes):
            part = np.zeros((len(x), dx[view][0, ..., 0].size, x.shape[-1]), x.dtype)
            np.put_along_axis(part, chosen[at][:, None], dy_cells[at][:, None], axis=1)
            dx[view] += part.reshape(dx[view].shape)
        return dx, {}

    return y.reshape(shape), backward


def mean(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """The mean of each window; each cell gets its share of the gradient."""
    axes, y = spans(layer, x.shape[1:]), _out(layer, x)
    inner = spatial_axes(x)
    for at, view, count in _cells(axes):
        y[at] = x[view].sum(axis=inner) / count
    shape = (len(x), *layer.output_shape(x.shape[1:]))

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx, dy_cells = np.zeros_like(x), dy.reshape(y.shape)
        for at, view, count in _cells(axes):
            share = dy_cells[at] / count
            dx[view] += share.reshape(len(x), *(1 for _ in inner), -1)
        return dx, {}

    return y.reshape(shape), backward
