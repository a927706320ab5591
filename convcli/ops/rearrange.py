"""Layers that move cells: padding, cropping, dealing out channels, enlarging."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import cast

import numpy as np

from convcli.engine.calls import Operands, each_sample
from convcli.engine.llvm import LANES, advance, fused, load, splat, store
from convcli.geometry import Enlarge
from convcli.layers.base import Layer
from convcli.layers.rearrange import (
    ChannelShuffle,
    Crop,
    Pad,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    Slice,
    Upsample,
)
from convcli.net.trace import Step
from convcli.ops.program import Address, Map, ProgramBuilder, Tensor, three
from convcli.ops.rule import Array, Backward, Context, Kind, Weights, spatial_axes

ZERO = np.float32(0.0)


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


def _dealt(layer: Layer, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return the axes that a layer parts its input into, and in which order it puts them."""
    *spatial, channels = shape
    axes, rank = range(len(spatial)), len(spatial)
    match layer:
        case ChannelShuffle(groups=groups):
            return [*spatial, groups, channels // groups], [*axes, rank + 1, rank]
        case Permute():
            return list(shape), list(layer.order)
        case PixelShuffle(factor=factor):  # channels c, row, column: PyTorch's order
            split = [*spatial, channels // factor**rank, *(factor for _ in axes)]
            return split, [*(part for axis in axes for part in (axis, rank + 1 + axis)), rank]
        case PixelUnshuffle(factor=factor):
            split = [part for size in spatial for part in (size // factor, factor)]
            order = [2 * axis for axis in axes], [2 * axis + 1 for axis in axes]
            return [*split, channels], [*order[0], 2 * rank, *order[1]]
    raise TypeError(f"{layer.op} deals nothing out")


def deal(layer: Layer, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """The same numbers in another order: axes parted, exchanged and put together."""
    split, order = _dealt(layer, x.shape[1:])
    there = [0, *(1 + axis for axis in order)]
    y = x.reshape(-1, *split).transpose(there)

    def backward(dy: Array) -> tuple[Array, Weights]:
        return dy.reshape(y.shape).transpose(np.argsort(there)).reshape(x.shape), {}

    return y.reshape(-1, *layer.output_shape(x.shape[1:])), backward


def slice_channels(
    layer: Slice, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Some of the channels."""
    start, stop = layer.channels

    def backward(dy: Array) -> tuple[Array, Weights]:
        dx = np.zeros_like(x)
        dx[..., start:stop] = dy
        return dx, {}

    return x[..., start:stop], backward


def weights_of_axis(size: int, count: int, axis: Enlarge) -> Array:
    """Return the matrix (count, size) that enlarges one axis.

    Nearest cell, or linear between cell centers (PyTorch's `align_corners=False`).

    >>> weights_of_axis(2, 4, Enlarge(2, linear=True))
    array([[1.  , 0.  ], [0.75, 0.25], [0.25, 0.75], [0.  , 1.  ]])
    """
    matrix = np.zeros((count, size))
    for cell in range(count):
        if not axis.linear:
            matrix[cell, cell * axis.over // axis.factor] = 1
            continue
        place = min(max((cell + 0.5) * axis.over / axis.factor - 0.5, 0), size - 1)
        left = int(place)
        matrix[cell, left] += 1 - (place - left)
        matrix[cell, min(left + 1, size - 1)] += place - left
    return matrix


def _enlargements(layer: Upsample, shape: tuple[int, ...]) -> tuple[Enlarge, ...]:
    return cast(tuple[Enlarge, ...], layer.reads(shape))


def upsample(
    layer: Upsample, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Enlarge each axis by its matrix; the gradient goes back through the transposed ones."""
    axes, shape = spatial_axes(x), x.shape[1:]
    sizes = zip(shape, layer.output_shape(shape), _enlargements(layer, shape), strict=False)
    matrices = [weights_of_axis(*each).astype(x.dtype) for each in sizes]

    def through(array: Array, transposed: bool) -> Array:
        for axis, matrix in zip(axes, matrices, strict=True):
            array = np.moveaxis(
                np.tensordot(matrix.T if transposed else matrix, array, axes=(1, axis)), 0, axis
            )
        return array

    return through(x, False), lambda dy: (through(dy, True), {})


def lower_pad(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    y, source = program.tensor(step, x), x.map
    before = three(tuple(pair[0] for pair in cast(Pad, step.layer).cells), 0)
    program.clear(y.address, y.size)
    program.copy_map(y.map.inside(before, source.extent), source)
    yield y
    inside = program.grad_map(y).inside(before, source.extent)
    program.accumulate_grad(x, lambda dx: program.copy_map(Map.whole(dx, x.shape), inside))


def lower_crop(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    y = program.tensor(step, x)
    out = y.map
    before = three(tuple(pair[0] for pair in cast(Crop, step.layer).cells), 0)
    program.copy_map(out, x.map.inside(before, out.extent))
    yield y
    dy = program.grad_map(y)

    def write(dx: Address) -> None:
        program.clear(dx, x.size)
        program.copy_map(Map.whole(dx, x.shape).inside(before, out.extent), dy)

    program.accumulate_grad(x, write)


def lower_slice(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    y, start = program.tensor(step, x), cast(Slice, step.layer).channels[0]
    wide, kept = x.shape[-1], y.shape[-1]
    cells = x.size // wide
    program.copy(y.address, x.address.after(start), kept, (cells, kept, wide))
    yield y
    dy = program.grad_of(y)

    def write(dx: Address) -> None:
        program.clear(dx, x.size)
        program.copy(dx.after(start), dy, kept, (cells, wide, kept))

    program.accumulate_grad(x, write)


def lower_deal(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    y = program.tensor(step, x)
    split, order = _dealt(step.layer, x.shape)
    jumps = [prod(split[axis + 1 :]) for axis in range(len(split))]
    sizes = [split[axis] for axis in order]
    axes = [
        (sizes[place], prod(sizes[place + 1 :]), jumps[axis]) for place, axis in enumerate(order)
    ]
    program.copy_axes(y.address, x.address, axes)
    yield y
    dy = program.grad_of(y)
    back = [(count, there, here) for count, here, there in axes]
    program.accumulate_grad(x, lambda dx: program.copy_axes(dx, dy, back))


UPSAMPLE = Operands(
    "small large weights", "channels plane line depth height width backward neighbors"
)
"""Two weights and two neighbors for each large cell of depth, height and width, axis by axis;
`plane` and `line` are the small map's. On the way back small, which begins as zeros, gets the
gradients."""


@each_sample(UPSAMPLE)
def weigh_neighbors(o):
    """Write weighted neighbors, or give their gradients back."""
    near = UPSAMPLE.neighbors
    h0 = 2 * o.depth
    w0 = h0 + 2 * o.height
    cell = 0
    for i in range(o.depth):
        for j in range(o.height):
            for k in range(o.width):
                for c in range(0, o.channels, LANES):
                    place = advance(o.large, cell * o.channels + c)
                    value = splat(ZERO)
                    if o.backward:
                        value = load(place, o.channels - c)
                    for corner in range(8):
                        d = 2 * i + (corner >> 2)
                        h = h0 + 2 * j + ((corner >> 1) & 1)
                        w = w0 + 2 * k + (corner & 1)
                        weight = o.weights[d] * o.weights[h] * o.weights[w]
                        if weight == ZERO:
                            continue
                        at = o.row[near + d] * o.plane
                        at += o.row[near + h] * o.line
                        at += o.row[near + w] * o.channels + c
                        source = load(advance(o.small, at), o.channels - c)
                        if o.backward:
                            source = fused(value, splat(weight), source)
                            store(advance(o.small, at), source, o.channels - c)
                        else:
                            value = fused(source, splat(weight), value)
                    if not o.backward:
                        store(place, value, o.channels - c)
                cell += 1


def lower_upsample(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """The same weighted neighbors both ways."""
    layer, y = cast(Upsample, step.layer), program.tensor(step, x)
    source, out = x.map, y.map
    neighbors: list[int] = []
    shares: list[float] = []
    reads = (Enlarge(1),) * (4 - len(x.shape)) + _enlargements(layer, x.shape)
    for size, count, axis in zip(source.extent, out.extent, reads, strict=True):
        for weights in weights_of_axis(size, count, axis):
            near = np.flatnonzero(weights)
            neighbors += [int(near[0]), int(near[-1])]
            shares += [float(weights[near[0]]), float(weights[near[-1]]) * (len(near) > 1)]
    table, listed = program.constant(shares), tuple(neighbors)
    sizes = {
        "channels": source.channels, "plane": source.plane, "line": source.line,
        "depth": out.depth, "height": out.height, "width": out.width,
    }  # fmt: skip
    program.sample(
        weigh_neighbors, small=x.address, large=y.address, weights=table, backward=0,
        neighbors=listed, **sizes,
    )  # fmt: skip
    yield y
    dy = program.grad_of(y)

    def write(dx: Address) -> None:
        program.clear(dx, x.size)
        program.sample(
            weigh_neighbors, small=dx, large=dy, weights=table, backward=1, neighbors=listed,
            **sizes,
        )  # fmt: skip

    program.accumulate_grad(x, write)


KINDS = {
    "pad": Kind(pad, lower_pad),
    "crop": Kind(crop, lower_crop),
    "shuffle": Kind(deal, lower_deal),
    "pixelshuffle": Kind(deal, lower_deal),
    "pixelunshuffle": Kind(deal, lower_deal),
    "permute": Kind(deal, lower_deal),
    "slice": Kind(slice_channels, lower_slice),
    "upsample": Kind(upsample, lower_upsample),
}
