"""Pools over listed windows: sliding, global and adaptive are the same thing.

Windows are listed axis by axis, already cut to the map, so that padding, rounding up and uneven
adaptive windows need no code.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numba import njit

from convcli.engine.calls import Operands, byte_operand, operand, operation
from convcli.engine.llvm import (
    LANES,
    add,
    advance,
    fused,
    load,
    load_bytes,
    splat,
    store,
    store_bytes,
    times,
    where_equal,
    where_greater,
)  # fmt: skip
from convcli.geometry import adaptive_window
from convcli.layers.base import Layer, Shape
from convcli.layers.pool import AdaptiveAveragePool, AveragePool, Pool
from convcli.net.trace import Step
from convcli.ops.program import Address, MaxPooled, Operand, ProgramBuilder, Tensor, Three
from convcli.ops.rule import Array, Backward, Context, Kind, Weights, spatial_axes

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


def max_pool(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
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


def avg_pool(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
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


CUT_OFF = 255
WIDEST = 255
"""The choice of a maximum that a fused ReLU cut to zero: its gradient goes nowhere.

Windows of more than WIDEST cells keep their choice as float32: choice pitch 0."""

POOL = Operands(
    "x y choice", "channels pitch plane line depth height width relu_fused disjoint spans"
)
"""Of all pools; x and y are gradients on the way back. depth, height and width count output cells,
`disjoint` windows write each cell of x once; behind `spans` stands a `Span` for every output cell
of each axis."""


@njit(inline="always")
def _spans(row, od, oh, ow):
    h_at = POOL.spans + 3 * (row[POOL.depth] + oh)
    w_at = POOL.spans + 3 * (row[POOL.depth] + row[POOL.height] + ow)
    return POOL.spans + 3 * od, h_at, w_at


@operation(POOL)
def max_forward(bases, row, first, count):
    """Write the largest cell of each window and which it was, as a byte."""
    channels, pitch = row[POOL.channels], row[POOL.pitch]
    low = splat(np.float32(-np.inf))
    for sample in range(first, first + count):
        x, y = operand(bases, row, POOL.x, sample), operand(bases, row, POOL.y, sample)
        choice = byte_operand(bases, row, POOL.choice, sample)
        wide = operand(bases, row, POOL.choice, sample)
        cell = 0
        for od in range(row[POOL.depth]):
            for oh in range(row[POOL.height]):
                for ow in range(row[POOL.width]):
                    d, h, w = _spans(row, od, oh, ow)
                    for c in range(0, channels, LANES):
                        best, chosen = low, splat(np.float32(0.0))
                        tap = np.float32(0.0)
                        for i in range(row[d], row[d + 1]):
                            for j in range(row[h], row[h + 1]):
                                at = i * row[POOL.plane] + j * row[POOL.line]
                                at += row[w] * channels + c
                                for _ in range(row[w + 1] - row[w]):
                                    value = load(advance(x, at), channels - c)
                                    chosen = where_greater(value, best, splat(tap), chosen)
                                    best = where_greater(value, best, value, best)
                                    tap += np.float32(1.0)
                                    at += channels
                        if row[POOL.relu_fused]:
                            zero = splat(np.float32(0.0))
                            none = splat(np.float32(CUT_OFF if pitch else -1))
                            chosen = where_greater(best, zero, chosen, none)
                        store(advance(y, cell * channels + c), best, channels - c)
                        if pitch:
                            store_bytes(advance(choice, cell * pitch + c), chosen)
                        else:
                            store(advance(wide, cell * channels + c), chosen, channels - c)
                    cell += 1


@operation(POOL)
def max_forward_2x2(bases, row, first, count):
    """Do what `max_forward` does for windows of 2x2 cells, stride 2, no padding."""
    channels, pitch, line = row[POOL.channels], row[POOL.pitch], row[POOL.line]
    zero, none = splat(np.float32(0.0)), splat(np.float32(CUT_OFF))
    one, two, three = splat(np.float32(1.0)), splat(np.float32(2.0)), splat(np.float32(3.0))
    relu = row[POOL.relu_fused]
    for sample in range(first, first + count):
        x, y = operand(bases, row, POOL.x, sample), operand(bases, row, POOL.y, sample)
        choice = byte_operand(bases, row, POOL.choice, sample)
        for oh in range(row[POOL.height]):
            for ow in range(row[POOL.width]):
                cell = oh * row[POOL.width] + ow
                for c in range(0, channels, LANES):
                    rest = channels - c
                    at = 2 * oh * line + 2 * ow * channels + c
                    best = load(advance(x, at), rest)
                    value = load(advance(x, at + channels), rest)
                    chosen = where_greater(value, best, one, zero)
                    best = where_greater(value, best, value, best)
                    value = load(advance(x, at + line), rest)
                    chosen = where_greater(value, best, two, chosen)
                    best = where_greater(value, best, value, best)
                    value = load(advance(x, at + line + channels), rest)
                    chosen = where_greater(value, best, three, chosen)
                    best = where_greater(value, best, value, best)
                    if relu:
                        chosen = where_greater(best, zero, chosen, none)
                    store(advance(y, cell * channels + c), best, rest)
                    store_bytes(advance(choice, cell * pitch + c), chosen)


@operation(POOL)
def max_backward(bases, row, first, count):
    """Add each gradient to the chosen cell; x begins as zeros."""
    channels, pitch = row[POOL.channels], row[POOL.pitch]
    zero = splat(np.float32(0.0))
    for sample in range(first, first + count):
        x, y = operand(bases, row, POOL.x, sample), operand(bases, row, POOL.y, sample)
        choice = byte_operand(bases, row, POOL.choice, sample)
        wide = operand(bases, row, POOL.choice, sample)
        cell = 0
        for od in range(row[POOL.depth]):
            for oh in range(row[POOL.height]):
                for ow in range(row[POOL.width]):
                    d, h, w = _spans(row, od, oh, ow)
                    for c in range(0, channels, LANES):
                        slope = load(advance(y, cell * channels + c), channels - c)
                        if pitch:
                            chosen = load_bytes(advance(choice, cell * pitch + c))
                        else:
                            chosen = load(advance(wide, cell * channels + c), channels - c)
                        tap = np.float32(0.0)
                        for i in range(row[d], row[d + 1]):
                            for j in range(row[h], row[h + 1]):
                                at = i * row[POOL.plane] + j * row[POOL.line]
                                at += row[w] * channels + c
                                for _ in range(row[w + 1] - row[w]):
                                    place = advance(x, at)
                                    part = where_equal(chosen, splat(tap), slope, zero)
                                    if not row[POOL.disjoint]:
                                        part = add(part, load(place, channels - c))
                                    store(place, part, channels - c)
                                    tap += np.float32(1.0)
                                    at += channels
                    cell += 1


@operation(POOL)
def max_backward_2x2(bases, row, first, count):
    """Do what `max_backward` does for windows of 2x2 cells, stride 2, no padding."""
    channels, pitch, line = row[POOL.channels], row[POOL.pitch], row[POOL.line]
    zero, one = splat(np.float32(0.0)), splat(np.float32(1.0))
    two, three = splat(np.float32(2.0)), splat(np.float32(3.0))
    for sample in range(first, first + count):
        x, y = operand(bases, row, POOL.x, sample), operand(bases, row, POOL.y, sample)
        choice = byte_operand(bases, row, POOL.choice, sample)
        for oh in range(row[POOL.height]):
            for ow in range(row[POOL.width]):
                cell = oh * row[POOL.width] + ow
                for c in range(0, channels, LANES):
                    rest = channels - c
                    at = 2 * oh * line + 2 * ow * channels + c
                    slope = load(advance(y, cell * channels + c), rest)
                    chosen = load_bytes(advance(choice, cell * pitch + c))
                    store(advance(x, at), where_equal(chosen, zero, slope, zero), rest)
                    part = where_equal(chosen, one, slope, zero)
                    store(advance(x, at + channels), part, rest)
                    part = where_equal(chosen, two, slope, zero)
                    store(advance(x, at + line), part, rest)
                    part = where_equal(chosen, three, slope, zero)
                    store(advance(x, at + line + channels), part, rest)


@operation(POOL)
def avg_forward(bases, row, first, count):
    """Write the mean of each window."""
    channels = row[POOL.channels]
    for sample in range(first, first + count):
        x, y = operand(bases, row, POOL.x, sample), operand(bases, row, POOL.y, sample)
        cell = 0
        for od in range(row[POOL.depth]):
            for oh in range(row[POOL.height]):
                for ow in range(row[POOL.width]):
                    d, h, w = _spans(row, od, oh, ow)
                    share = splat(np.float32(1.0 / (row[d + 2] * row[h + 2] * row[w + 2])))
                    for c in range(0, channels, LANES):
                        total = splat(np.float32(0.0))
                        for i in range(row[d], row[d + 1]):
                            for j in range(row[h], row[h + 1]):
                                at = i * row[POOL.plane] + j * row[POOL.line]
                                at += row[w] * channels + c
                                for _ in range(row[w + 1] - row[w]):
                                    total = add(total, load(advance(x, at), channels - c))
                                    at += channels
                        store(advance(y, cell * channels + c), times(total, share), channels - c)
                    cell += 1


@operation(POOL)
def avg_backward(bases, row, first, count):
    """Share each gradient among the cells of its window."""
    channels = row[POOL.channels]
    for sample in range(first, first + count):
        x, y = operand(bases, row, POOL.x, sample), operand(bases, row, POOL.y, sample)
        cell = 0
        for od in range(row[POOL.depth]):
            for oh in range(row[POOL.height]):
                for ow in range(row[POOL.width]):
                    d, h, w = _spans(row, od, oh, ow)
                    share = splat(np.float32(1.0 / (row[d + 2] * row[h + 2] * row[w + 2])))
                    for c in range(0, channels, LANES):
                        slope = load(advance(y, cell * channels + c), channels - c)
                        part = times(slope, share)
                        for i in range(row[d], row[d + 1]):
                            for j in range(row[h], row[h + 1]):
                                at = i * row[POOL.plane] + j * row[POOL.line]
                                at += row[w] * channels + c
                                for _ in range(row[w + 1] - row[w]):
                                    place = advance(x, at)
                                    if row[POOL.disjoint]:
                                        store(place, part, channels - c)
                                    else:
                                        old = load(place, channels - c)
                                        store(place, fused(slope, share, old), channels - c)
                                    at += channels
                    cell += 1


def lower_pool(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    """Max, average, global and adaptive pooling."""
    y, source = program.tensor(step, x), x.map
    axes = spans(step.layer, step.input_shapes[0])
    axes = [[(0, 1, 1)]] * (3 - len(axes)) + axes
    takes_max, flat = step.op in {"maxpool", "gmp"}, len(axes[0]) == 1
    cells, channels = prod(map(len, axes)), source.channels
    narrow = prod(max(end - first for first, end, _ in axis) for axis in axes) < WIDEST
    pitch = -(-channels // 16) * 16 if narrow else 0
    choices = -(-cells * (pitch + 16) // 4) if pitch else cells * channels
    choice = program.buffer(choices if takes_max else 1)
    relu_fused = takes_max and _takes_over_relu(program, step)
    x.relu_fused = x.relu_fused or relu_fused
    disjoint = _are_disjoint(axes, source.extent)
    forward, back = (max_forward, max_backward) if takes_max else (avg_forward, avg_backward)
    widths = [{end - first for first, end, _ in axis} for axis in axes[1:]]
    if takes_max and disjoint and flat and widths == [{2}, {2}]:
        forward, back = max_forward_2x2, max_backward_2x2
    windows: dict[str, Operand] = {
        "choice": choice, "channels": channels, "pitch": pitch, "plane": source.plane,
        "line": source.line, "depth": len(axes[0]), "height": len(axes[1]), "width": len(axes[2]),
        "disjoint": int(disjoint),
        "spans": tuple(number for axis in axes for span in axis for number in span),
    }  # fmt: skip
    program.sample(forward, x=source.address, y=y.address, relu_fused=int(relu_fused), **windows)
    even = disjoint and flat and all(len(sizes) == 1 for sizes in widths)
    if x.sparse_grad_ok and takes_max and pitch and even:
        x.pooled = MaxPooled(y, choice, pitch, (widths[0].pop(), widths[1].pop()))
        return y

    def backward() -> None:
        dy = program.grad_of(y)

        def write(dx: Address) -> None:
            if not disjoint:
                program.clear(dx, x.size)
            program.sample(back, x=dx, y=dy, relu_fused=0, **windows)

        program.accumulate_grad(x, write)

    program.on_backward(backward)
    return y


def _are_disjoint(axes: list[list[Span]], extents: Three) -> bool:
    """Tell whether the windows cover every cell of the used map exactly once."""
    for axis, extent in zip(axes, extents, strict=True):
        ends = [0, *(end for _, end, _ in axis)]
        if [first for first, _, _ in axis] != ends[:-1] or ends[-1] != extent:
            return False
    return True


def _takes_over_relu(program: ProgramBuilder, step: Step) -> bool:
    """Tell whether the pooling can apply the gradient of the ReLU before it: it is all it reads."""
    source = step.sources[0]
    if source == 0:
        return False
    before = program.trace.steps[source - 1]
    kind = before.activation or (before.op if before.op == "relu" else None)
    return kind == "relu" and program.only_reader(before) is step


KINDS = {
    "maxpool": Kind(max_pool, lower_pool),
    "gmp": Kind(max_pool, lower_pool),
    "avgpool": Kind(avg_pool, lower_pool),
    "gap": Kind(avg_pool, lower_pool),
    "adaptavg": Kind(avg_pool, lower_pool),
}
