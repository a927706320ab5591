"""Pools over listed windows: sliding, global and adaptive are the same thing.

Windows are listed axis by axis, already cut to the map, so that padding, rounding up and uneven
adaptive windows need no code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np
from numba import njit

from convcli.engine.calls import Operands, Operation, as_bytes, each_sample
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
from convcli.layers.pool import AdaptivePool, AveragePool, Pool
from convcli.net.trace import Step
from convcli.ops.program import Address, MaxPooled, Operand, ProgramBuilder, Tensor, Three
from convcli.ops.rule import Array, Backward, Context, Kind, Weights

Span = tuple[range, int]
"""The input cells of a window, and the number of cells that it counts for in a mean."""


def spans(layer: Layer, input_shape: Shape) -> list[list[Span]]:
    """Return the windows of every axis, cut to the map.

    >>> from convcli.layers.pool import MaxPool
    >>> spans(MaxPool((3,), (2,), ((1, 1),)), (5, 1))
    [[(range(0, 2), 2), (range(1, 4), 3), (range(3, 5), 2)]]
    """
    sizes = input_shape[:-1]
    if isinstance(layer, AdaptivePool):
        pairs = zip(sizes, layer.size, strict=True)
        windows = [[adaptive_window(size, count, c) for c in range(count)] for size, count in pairs]
        return [[(window, len(window)) for window in axis] for axis in windows]
    if not isinstance(layer, Pool):
        return [[(range(size), size)] for size in sizes]
    counted = isinstance(layer, AveragePool) and layer.count_padding
    found = []
    counts = layer.output_shape(input_shape)
    for size, window, count in zip(sizes, layer.windows(input_shape), counts, strict=False):
        axis = []
        for cell in range(count):
            start = cell * window.stride - window.before
            extent = (window.kernel - 1) * window.dilation + 1
            stop = min(start + extent, size + window.after)
            first = start if start >= 0 else start % window.dilation
            inside = range(first, min(stop, size), window.dilation)
            axis.append((inside, stop - start if counted else len(inside)))
        found.append(axis)
    return found


def _pooled(
    layer: Layer,
    x: Array,
    take: Callable[[Array, int], tuple[Array, Callable[[Array], Array]]],
) -> tuple[Array, Backward]:
    """Pool window by window; `take` gets a window's cells (N, cells, channels) and their count."""
    axes = spans(layer, x.shape[1:])
    y = np.empty((len(x), *map(len, axes), x.shape[-1]), x.dtype)
    backs = []
    for cell in np.ndindex(y.shape[1:-1]):
        chosen = [axis[at] for axis, at in zip(axes, cell, strict=True)]
        view = (slice(None), *(slice(r.start, r.stop, r.step) for r, _ in chosen))
        window = x[view].reshape(len(x), -1, x.shape[-1])
        y[:, *cell], give = take(window, prod(count for _, count in chosen))
        backs.append((cell, view, give))

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx, dy_cells = np.zeros_like(x), dy.reshape(y.shape)
        for cell, view, give in backs:
            dx[view] += give(dy_cells[:, *cell]).reshape(dx[view].shape)
        return dx, {}

    return y.reshape(len(x), *layer.output_shape(x.shape[1:])), backward


def max_pool(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """The largest cell of each window; the gradient goes to the first of equals alone."""

    def take(window: Array, count: int) -> tuple[Array, Callable[[Array], Array]]:
        chosen = window.argmax(axis=1, keepdims=True)

        def give(dy: Array) -> Array:
            part = np.zeros(window.shape, x.dtype)
            np.put_along_axis(part, chosen, dy[:, None], axis=1)
            return part

        return window.max(axis=1), give

    return _pooled(layer, x, take)


def avg_pool(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """The mean of each window; each cell gets its share of the gradient."""

    def take(window: Array, count: int) -> tuple[Array, Callable[[Array], Array]]:
        return window.sum(axis=1) / count, lambda dy: np.repeat(
            (dy / count)[:, None], window.shape[1], axis=1
        )

    return _pooled(layer, x, take)


CUT_OFF = 255
WIDEST = 255
"""The choice of a maximum that a fused ReLU cut to zero: its gradient goes nowhere.

Windows of more than WIDEST cells keep their choice as float32: choice pitch 0."""

TAKES_MAX = {"maxpool", "gmp", "adaptmax"}

POOL = Operands(
    "x y choice",
    "channels pitch plane line next depth height width relu_fused disjoint spans",
)
"""Of all pools; x and y are gradients on the way back. depth, height and width count output cells,
plane, line and next are numbers of x from tap to tap, `disjoint` windows write each cell of x once.
Behind `spans` stand three for every output cell of each axis: where in x its window begins, taps,
and the cells that it counts for."""
NO_CHOICE, LOWEST = np.float32(0.0), np.float32(-np.inf)


def _each_window(work: Callable[..., None]) -> Operation:
    """Make an operation of `work(o, d, h, w, cell, c)`: a window's spans, its cell, channels."""
    inlined = njit(inline="always")(work)

    def run(o):
        cell = 0
        for d in range(POOL.spans, POOL.spans + 3 * o.depth, 3):
            first = POOL.spans + 3 * o.depth
            for h in range(first, first + 3 * o.height, 3):
                across = first + 3 * o.height
                for w in range(across, across + 3 * o.width, 3):
                    for c in range(0, o.channels, LANES):
                        inlined(o, d, h, w, cell, c)
                    cell += 1

    return each_sample(POOL, name=work.__name__)(run)


@_each_window
def max_forward(o, d, h, w, cell, c):
    """Write the largest cell of a window and which it was, as a byte."""
    row, rest = o.row, o.channels - c
    best, chosen = splat(LOWEST), splat(NO_CHOICE)
    tap = np.float32(0.0)
    for i in range(row[d + 1]):
        for j in range(row[h + 1]):
            at = row[d] + i * o.plane + row[h] + j * o.line + row[w] + c
            for _ in range(row[w + 1]):
                value = load(advance(o.x, at), rest)
                chosen = where_greater(value, best, splat(tap), chosen)
                best = where_greater(value, best, value, best)
                tap += np.float32(1.0)
                at += o.next
    if o.relu_fused:
        none = splat(np.float32(CUT_OFF if o.pitch else -1))
        chosen = where_greater(best, splat(np.float32(0.0)), chosen, none)
    store(advance(o.y, cell * o.channels + c), best, rest)
    if o.pitch:
        store_bytes(advance(as_bytes(o.choice), cell * o.pitch + c), chosen)
    else:
        store(advance(o.choice, cell * o.channels + c), chosen, rest)


@_each_window
def max_backward(o, d, h, w, cell, c):
    """Add a gradient to the chosen cell; x begins as zeros."""
    row, rest = o.row, o.channels - c
    slope = load(advance(o.y, cell * o.channels + c), rest)
    if o.pitch:
        chosen = load_bytes(advance(as_bytes(o.choice), cell * o.pitch + c))
    else:
        chosen = load(advance(o.choice, cell * o.channels + c), rest)
    tap = np.float32(0.0)
    for i in range(row[d + 1]):
        for j in range(row[h + 1]):
            at = row[d] + i * o.plane + row[h] + j * o.line + row[w] + c
            for _ in range(row[w + 1]):
                place = advance(o.x, at)
                part = where_equal(chosen, splat(tap), slope, splat(np.float32(0.0)))
                if not o.disjoint:
                    part = add(part, load(place, rest))
                store(place, part, rest)
                tap += np.float32(1.0)
                at += o.next


@_each_window
def avg_forward(o, d, h, w, cell, c):
    """Write the mean of a window."""
    row, rest = o.row, o.channels - c
    total = splat(np.float32(0.0))
    for i in range(row[d + 1]):
        for j in range(row[h + 1]):
            at = row[d] + i * o.plane + row[h] + j * o.line + row[w] + c
            for _ in range(row[w + 1]):
                total = add(total, load(advance(o.x, at), rest))
                at += o.next
    share = splat(np.float32(1.0 / (row[d + 2] * row[h + 2] * row[w + 2])))
    store(advance(o.y, cell * o.channels + c), times(total, share), rest)


@_each_window
def avg_backward(o, d, h, w, cell, c):
    """Share a gradient among the cells of its window."""
    row, rest = o.row, o.channels - c
    share = splat(np.float32(1.0 / (row[d + 2] * row[h + 2] * row[w + 2])))
    slope = load(advance(o.y, cell * o.channels + c), rest)
    for i in range(row[d + 1]):
        for j in range(row[h + 1]):
            at = row[d] + i * o.plane + row[h] + j * o.line + row[w] + c
            for _ in range(row[w + 1]):
                place = advance(o.x, at)
                if o.disjoint:
                    store(place, times(slope, share), rest)
                else:
                    store(place, fused(slope, share, load(place, rest)), rest)
                at += o.next


@each_sample(POOL)
def max_forward_2x2(o):
    """Do what `max_forward` does for windows of 2x2 cells, stride 2, no padding."""
    for cell in range(o.height * o.width):
        corner = 2 * (cell // o.width) * o.line + 2 * (cell % o.width) * o.channels
        for c in range(0, o.channels, LANES):
            rest = o.channels - c
            best, chosen = splat(LOWEST), splat(NO_CHOICE)
            for tap in range(4):
                at = corner + (tap >> 1) * o.line + (tap & 1) * o.channels + c
                value = load(advance(o.x, at), rest)
                chosen = where_greater(value, best, splat(np.float32(tap)), chosen)
                best = where_greater(value, best, value, best)
            if o.relu_fused:
                cut = splat(np.float32(CUT_OFF))
                chosen = where_greater(best, splat(np.float32(0.0)), chosen, cut)
            store(advance(o.y, cell * o.channels + c), best, rest)
            store_bytes(advance(as_bytes(o.choice), cell * o.pitch + c), chosen)


@each_sample(POOL)
def max_backward_2x2(o):
    """Do what `max_backward` does for windows of 2x2 cells, stride 2, no padding."""
    for cell in range(o.height * o.width):
        corner = 2 * (cell // o.width) * o.line + 2 * (cell % o.width) * o.channels
        for c in range(0, o.channels, LANES):
            rest = o.channels - c
            slope = load(advance(o.y, cell * o.channels + c), rest)
            chosen = load_bytes(advance(as_bytes(o.choice), cell * o.pitch + c))
            for tap in range(4):
                at = corner + (tap >> 1) * o.line + (tap & 1) * o.channels + c
                part = where_equal(chosen, splat(np.float32(tap)), slope, splat(np.float32(0.0)))
                store(advance(o.x, at), part, rest)


def lower_pool(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """Max, average, global and adaptive pooling."""
    y, source = program.tensor(step, x), x.map
    axes = spans(step.layer, step.input_shapes[0])
    axes = [[(range(1), 1)]] * (3 - len(axes)) + axes
    takes_max, flat = step.op in TAKES_MAX, len(axes[0]) == 1
    cells, channels = prod(map(len, axes)), source.channels
    narrow = prod(max(len(window) for window, _ in axis) for axis in axes) < WIDEST
    pitch = -(-channels // 16) * 16 if narrow else 0
    choices = -(-cells * (pitch + 16) // 4) if pitch else cells * channels
    choice = program.buffer(choices if takes_max else 1)
    relu_fused = takes_max and _takes_over_relu(program, step)
    x.relu_fused = x.relu_fused or relu_fused
    disjoint = _are_disjoint(axes, source.extent)
    forward, back = (max_forward, max_backward) if takes_max else (avg_forward, avg_backward)
    widths = [{len(window) for window, _ in axis} for axis in axes[1:]]
    if takes_max and disjoint and flat and widths == [{2}, {2}]:
        forward, back = max_forward_2x2, max_backward_2x2
    jumps = (source.plane, source.line, source.channels)
    plane, line, across = (jump * axis[0][0].step for jump, axis in zip(jumps, axes, strict=True))
    windows: dict[str, Operand] = {
        "choice": choice, "channels": channels, "pitch": pitch, "plane": plane, "line": line,
        "next": across, "depth": len(axes[0]), "height": len(axes[1]), "width": len(axes[2]),
        "disjoint": int(disjoint),
        "spans": tuple(
            number
            for jump, axis in zip(jumps, axes, strict=True)
            for window, count in axis
            for number in (window.start * jump, len(window), count)
        ),
    }  # fmt: skip
    program.sample(forward, x=source.address, y=y.address, relu_fused=int(relu_fused), **windows)
    even = disjoint and flat and all(len(sizes) == 1 for sizes in widths)
    if x.sparse_grad_ok and takes_max and pitch and even:
        x.pooled = MaxPooled(y, choice, pitch, (widths[0].pop(), widths[1].pop()))
    yield y
    if x.pooled is not None:
        return
    dy = program.grad_of(y)

    def write(dx: Address) -> None:
        if not disjoint:
            program.clear(dx, x.size)
        program.sample(back, x=dx, y=dy, relu_fused=0, **windows)

    program.accumulate_grad(x, write)


def _are_disjoint(axes: list[list[Span]], extents: Three) -> bool:
    """Tell whether the windows cover every cell of the used map exactly once."""
    return all(
        [cell for window, _ in axis for cell in window] == list(range(extent))
        for axis, extent in zip(axes, extents, strict=True)
    )


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
    "adaptmax": Kind(max_pool, lower_pool),
}
