"""Normalization: the same equation over the batch, over channels, over groups of channels.

Compiled, batch norm in training waits for the whole batch; the others take each sample by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
from numba import njit

from convcli.engine.calls import AT, Operands, each_sample
from convcli.engine.elementary import exponential, logarithm
from convcli.engine.llvm import LANES, add, advance, fused, load, splat, store, times
from convcli.layers.norm import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    L2Norm,
    LocalResponseNorm,
    RMSNorm,
    SampleNorm,
)
from convcli.net.trace import Step
from convcli.ops.program import Address, ProgramBuilder, Tensor
from convcli.ops.rule import Array, Backward, Context, Kind, Weights, spatial_axes

Inner = Callable[[Array], Array]
ZERO, ONE = np.float32(0.0), np.float32(1.0)


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


def sample_norm(
    layer: SampleNorm, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Normalize the channels of each cell, or all cells of each group of channels.

    Ba et al. 2016, Wu and He 2018, Ulyanov et al. 2016; without the mean Zhang and Sennrich 2019.
    """
    groups = _groups(layer, x.shape[-1])
    parts = x if groups is None else x.reshape(*x.shape[:-1], groups, -1)
    axes = () if groups is None else spatial_axes(x)
    centered = not isinstance(layer, RMSNorm)
    normal, inner = _normalized(parts, (*axes, parts.ndim - 1), layer.eps, centered=centered)

    def whole(dn: Array) -> Array:
        return inner(dn.reshape(parts.shape)).reshape(x.shape)

    return _scaled(weights, normal.reshape(x.shape), whole)


def _groups(layer: SampleNorm, channels: int) -> int | None:
    """Return how many groups of channels are normalized apart; None: each cell by itself."""
    if isinstance(layer, GroupNorm):
        return layer.groups
    return channels if isinstance(layer, InstanceNorm) else None


def _normalized(
    x: Array, axes: tuple[int, ...], eps: float, *, centered: bool = True
) -> tuple[Array, Inner]:
    """Return (x - mean) / sqrt(mean square + eps), and dN -> dX."""
    distance = x - x.mean(axis=axes, keepdims=True) if centered else x
    root = np.sqrt((distance * distance).mean(axis=axes, keepdims=True) + eps)
    normal = distance / root

    def backward(dn: Array) -> Array:
        level = dn.mean(axis=axes, keepdims=True) if centered else 0
        slope = (dn * normal).mean(axis=axes, keepdims=True)
        dx: Array = (dn - level - normal * slope) / root
        return dx

    return normal, backward


def _scaled(weights: Weights, normal: Array, inner: Inner) -> tuple[Array, Backward]:
    scale = weights.get("scale", np.ones(1, normal.dtype))

    def backward(dy: Array) -> tuple[Array, Weights]:
        axes = tuple(range(dy.ndim - 1))
        grads = {"scale": (dy * normal).sum(axis=axes), "shift": dy.sum(axis=axes)}
        return inner(dy * scale), {name: grads[name] for name in weights}

    return normal * scale + weights.get("shift", 0), backward


@each_sample(Operands("x shard sums", "cells channels"))
def count_statistics(o):
    """Merge each sample's mean and squared deviations into those of the shard.

    The shard keeps mean, squared deviations and count; `sums` is scratch for two sums of each
    channel. The merge is that of Chan, Golub and LeVeque 1983, which loses no digits.
    """
    before = o.shard[2 * o.channels]
    for c in range(0, o.channels, LANES):
        total = splat(ZERO)
        for cell in range(o.cells):
            total = add(total, load(advance(o.x, cell * o.channels + c), o.channels - c))
        minus = times(total, splat(np.float32(-1.0 / o.cells)))
        squares = splat(ZERO)
        for cell in range(o.cells):
            distance = add(load(advance(o.x, cell * o.channels + c), o.channels - c), minus)
            squares = fused(distance, distance, squares)
        store(advance(o.sums, c), total, o.channels - c)
        store(advance(o.sums, o.channels + c), squares, o.channels - c)
    for c in range(o.channels):
        mean = o.sums[c] / np.float32(o.cells)
        _merge(o.shard, c, o.channels, before, mean, o.sums[o.channels + c], np.float32(o.cells))
    o.shard[2 * o.channels] = before + np.float32(o.cells)


@njit(inline="always")
def _merge(into, c, channels, before, mean, squares, cells):
    share = cells / (before + cells)
    distance = mean - into[c]
    into[c] += distance * share
    into[channels + c] += squares + distance * distance * before * share


STATISTICS = Operands("shard statistics running_mean running_variance eps_momentum", "channels")


@each_sample(STATISTICS)
def merge_statistics(o):
    """Merge the shards in order into mean, 1 / deviation and count; renew the running ones."""
    for i in range(2 * o.channels + 1):
        o.statistics[i] = ZERO
    for shard in range(o.bases[AT.shards]):
        part = advance(o.shard, shard * o.bases[AT.shard_sums])
        cells = part[2 * o.channels]
        for c in range(o.channels):
            before = o.statistics[2 * o.channels]
            _merge(o.statistics, c, o.channels, before, part[c], part[o.channels + c], cells)
        o.statistics[2 * o.channels] += cells
    cells = o.statistics[2 * o.channels]
    for c in range(o.channels):
        variance = o.statistics[o.channels + c] / cells
        unbiased = o.statistics[o.channels + c] / max(cells - ONE, ONE)
        o.running_mean[c] += o.eps_momentum[1] * (o.statistics[c] - o.running_mean[c])
        o.running_variance[c] += o.eps_momentum[1] * (unbiased - o.running_variance[c])
        o.statistics[o.channels + c] = ONE / np.sqrt(variance + o.eps_momentum[0])


@each_sample(STATISTICS)
def running_statistics(o):
    """Prepare mean and 1 / deviation from the running statistics."""
    for c in range(o.channels):
        o.statistics[c] = o.running_mean[c]
        o.statistics[o.channels + c] = ONE / np.sqrt(o.running_variance[c] + o.eps_momentum[0])


@each_sample(Operands("y x statistics scale shift factors", "cells channels"))
def batch_forward(o):
    """Y = (x - mean) / deviation * scale + shift; `factors` is scratch for two per channel."""
    for c in range(o.channels):
        o.factors[c] = o.statistics[o.channels + c] * o.scale[c]
        o.factors[o.channels + c] = o.shift[c] - o.statistics[c] * o.factors[c]
    for cell in range(o.cells):
        at = cell * o.channels
        for c in range(o.channels):
            o.y[at + c] = o.x[at + c] * o.factors[c] + o.factors[o.channels + c]


@each_sample(Operands("dy x statistics shard", "cells channels"))
def sum_grads(o):
    """Add to the shard the sums of dy and of dy * normalized x."""
    for c in range(0, o.channels, LANES):
        rest = o.channels - c
        minus = times(load(advance(o.statistics, c), rest), splat(np.float32(-1.0)))
        inverse = load(advance(o.statistics, o.channels + c), rest)
        total = load(advance(o.shard, c), rest)
        product = splat(ZERO)
        for cell in range(o.cells):
            slope = load(advance(o.dy, cell * o.channels + c), rest)
            distance = add(load(advance(o.x, cell * o.channels + c), rest), minus)
            total = add(total, slope)
            product = fused(slope, distance, product)
        store(advance(o.shard, c), total, rest)
        place = advance(o.shard, o.channels + c)
        store(place, fused(product, inverse, load(place, rest)), rest)


@each_sample(Operands("shard sums shift scale", "channels shift_learns scale_learns"))
def merge_grads(o):
    """Add the shards' sums in order; they are the gradients of shift and scale."""
    for i in range(2 * o.channels):
        o.sums[i] = ZERO
    for shard in range(o.bases[AT.shards]):
        part = advance(o.shard, shard * o.bases[AT.shard_sums])
        for i in range(2 * o.channels):
            o.sums[i] += part[i]
    for c in range(o.channels):
        if o.shift_learns:
            o.shift[c] += o.sums[c]
        if o.scale_learns:
            o.scale[c] += o.sums[o.channels + c]


@each_sample(Operands("dx dy x statistics scale sums", "cells channels by_batch"))
def batch_backward(o):
    """Dx = scale / deviation * (dy - mean dy - normalized x * mean (dy * normalized x)).

    Where the statistics are fixed, and not `by_batch`, dx = scale / deviation * dy.
    """
    channels, share = o.channels, ZERO
    if o.by_batch:
        share = ONE / o.statistics[2 * channels]
    for cell in range(o.cells):
        at = cell * channels
        for c in range(channels):
            inverse = o.statistics[channels + c]
            normal = (o.x[at + c] - o.statistics[c]) * inverse
            level = (o.sums[c] + normal * o.sums[channels + c]) * share
            o.dx[at + c] = o.scale[c] * inverse * (o.dy[at + c] - level)


def lower_batch_norm(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """By the batch's statistics where it learns, else by the running ones."""
    layer = cast(BatchNorm, step.layer)
    y, channels = program.tensor(step, x), x.shape[-1]
    sizes = {"cells": x.size // channels, "channels": channels}
    statistics = program.shared_buffer(2 * channels + 1)
    settings = {
        "statistics": statistics,
        "eps_momentum": program.constant([layer.eps, layer.momentum]),
        "running_mean": program.statistic(step, "mean"),
        "running_variance": program.statistic(step, "variance"),
    }
    by_batch = program.learns(step)
    if by_batch:
        shard = program.shard_buffer(2 * channels + 1)
        sums = program.buffer(2 * channels)
        program.sample(count_statistics, x=x.address, shard=shard, sums=sums, **sizes)
        program.barrier(merge_statistics, shard=shard, channels=channels, **settings)
    else:
        program.once(running_statistics, shard=statistics, channels=channels, **settings)
    scale = program.weight(step, "scale") if layer.scale else program.constant(np.ones(channels))
    shift, factors = program.weight(step, "shift"), program.buffer(2 * channels)
    program.sample(
        batch_forward, y=y.address, x=x.address, statistics=statistics, scale=scale, shift=shift,
        factors=factors, **sizes,
    )  # fmt: skip
    yield y
    dy = program.grad_of(y)
    totals = program.shared_buffer(2 * channels)
    if by_batch:
        part = program.shard_buffer(2 * channels)
        program.sample(sum_grads, dy=dy, x=x.address, statistics=statistics, shard=part, **sizes)
        dshift = program.weight_grad(step, "shift")
        program.barrier(
            merge_grads, shard=part, sums=totals, shift=dshift,
            scale=program.weight_grad(step, "scale") if layer.scale else dshift,
            channels=channels, shift_learns=1, scale_learns=int(layer.scale),
        )  # fmt: skip

    def write(dx: Address) -> None:
        program.sample(
            batch_backward, dx=dx, dy=dy, x=x.address, statistics=statistics, scale=scale,
            sums=totals, by_batch=int(by_batch), **sizes,
        )  # fmt: skip

    program.accumulate_grad(x, write)


PARTS = "parts part runs run numbers part_channels centered"
"""A sample's parts: cells of a layer norm, or groups of channels. How many, and numbers from part
to part; runs of a part, numbers from run to run and in a run; channels from part to part. Not
`centered` is the root mean square alone, without a mean and a shift."""
NORM = Operands("y x statistics scale shift eps", PARTS)
NORM_BACK = Operands("dx dy x statistics scale dscale dshift", f"{PARTS} learns")


@each_sample(NORM, sums=True)
def norm_forward(o):
    """Normalize parts of a sample; `statistics` are mean and 1 / deviation of each."""
    eps = o.eps[0]
    size = np.float32(o.runs * o.numbers)
    for part in range(o.parts):
        total = ZERO
        for run in range(o.runs):
            at = part * o.part + run * o.run
            for i in range(o.numbers):
                total += o.x[at + i]
        mean = total / size if o.centered else ZERO
        squares = ZERO
        for run in range(o.runs):
            at = part * o.part + run * o.run
            for i in range(o.numbers):
                squares += (o.x[at + i] - mean) * (o.x[at + i] - mean)
        inverse = ONE / np.sqrt(squares / size + eps)
        o.statistics[2 * part], o.statistics[2 * part + 1] = mean, inverse
        channel = part * o.part_channels
        for run in range(o.runs):
            at = part * o.part + run * o.run
            for i in range(o.numbers):
                normal = (o.x[at + i] - mean) * inverse
                o.y[at + i] = normal * o.scale[channel + i] + o.shift[channel + i]


@each_sample(NORM_BACK, sums=True)
def norm_backward(o):
    """Write dx and add to the gradients of scale and shift."""
    share = ONE / np.float32(o.runs * o.numbers)
    for part in range(o.parts):
        mean, inverse = o.statistics[2 * part], o.statistics[2 * part + 1]
        channel = part * o.part_channels
        level, slope = ZERO, ZERO
        for run in range(o.runs):
            at = part * o.part + run * o.run
            for i in range(o.numbers):
                here = o.dy[at + i] * o.scale[channel + i]
                level += here
                slope += here * (o.x[at + i] - mean) * inverse
        level, slope = level * share if o.centered else ZERO, slope * share
        for run in range(o.runs):
            at = part * o.part + run * o.run
            for i in range(o.numbers):
                normal = (o.x[at + i] - mean) * inverse
                if o.learns:
                    o.dscale[channel + i] += o.dy[at + i] * normal
                    if o.centered:
                        o.dshift[channel + i] += o.dy[at + i]
                here = o.dy[at + i] * o.scale[channel + i]
                o.dx[at + i] = (here - level - normal * slope) * inverse


def lower_sample_norm(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    """Layer, group and instance norm: each sample by itself."""
    layer = cast(SampleNorm, step.layer)
    y, channels = program.tensor(step, x), x.shape[-1]
    cells, groups, centered = x.size // channels, _groups(layer, channels), "shift" in step.weights
    width = channels // (groups or 1)
    numbers = (cells, channels, 1, channels, channels, 0)
    if groups is not None:
        numbers = (groups, width, cells, channels, width, width)
    parts = dict(zip(PARTS.split(), (*numbers, int(centered)), strict=True))
    statistics = program.buffer(2 * parts["parts"])
    eps = program.constant([layer.eps])
    scale = program.weight(step, "scale")
    shift = program.weight(step, "shift") if centered else program.zeros(channels)
    program.sample(
        norm_forward, y=y.address, x=x.address, statistics=statistics, scale=scale, shift=shift,
        eps=eps, **parts,
    )  # fmt: skip
    yield y
    dy = program.grad_of(y)
    dscale = program.weight_grad(step, "scale")
    dshift = program.weight_grad(step, "shift") if centered else dscale

    def write(dx: Address) -> None:
        program.sample(
            norm_backward, dx=dx, dy=dy, x=x.address, statistics=statistics, scale=scale,
            dscale=dscale, dshift=dshift, learns=int(program.learns(step)), **parts,
        )  # fmt: skip

    program.grad_through(step, x, write)


def local_response_norm(
    layer: LocalResponseNorm, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """X / (k + alpha / size * sum of squares of neighboring channels) ** beta."""
    before, after = layer.size // 2, (layer.size - 1) // 2

    def around(values: Array, before: int, after: int) -> Array:
        wide = np.pad(values, [(0, 0)] * (x.ndim - 1) + [(before, after)])
        return sum((wide[..., i : i + x.shape[-1]] for i in range(layer.size)), np.zeros_like(x))

    level = layer.k + layer.alpha / layer.size * around(x * x, before, after)
    root = level**-layer.beta

    def backward(dy: Array) -> tuple[Array, Weights]:
        felt = around(dy * x * root / level, after, before)
        return dy * root - 2 * layer.alpha * layer.beta / layer.size * x * felt, {}

    return x * root, backward


NEIGHBORS = "cells channels before after"


@each_sample(Operands("y x level settings", NEIGHBORS))
def neighbors_forward(o):
    """Y = x / level ** beta; the level is k + share * the sum of squares before .. after."""
    k, share, beta = o.settings[0], o.settings[1], o.settings[2]
    for at in range(0, o.cells * o.channels, o.channels):
        for c in range(o.channels):
            total = ZERO
            for i in range(max(c - o.before, 0), min(c + o.after + 1, o.channels)):
                total += o.x[at + i] * o.x[at + i]
            o.level[at + c] = k + share * total
        for c in range(at, at + o.channels):
            o.y[c] = o.x[c] * exponential(-beta * logarithm(o.level[c]))


@each_sample(Operands("dx dy x y level felt settings", NEIGHBORS))
def neighbors_backward(o):
    """Dx = dy / level ** beta - 2 share beta x * the sum of dy y / level that x is felt in."""
    share, beta = o.settings[1], o.settings[2]
    factor = np.float32(2.0) * share * beta
    for at in range(0, o.cells * o.channels, o.channels):
        for c in range(o.channels):
            o.felt[c] = o.dy[at + c] * o.y[at + c] / o.level[at + c]
        for c in range(o.channels):
            total = ZERO
            for i in range(max(c - o.after, 0), min(c + o.before + 1, o.channels)):
                total += o.felt[i]
            root = exponential(-beta * logarithm(o.level[at + c]))
            o.dx[at + c] = o.dy[at + c] * root - factor * o.x[at + c] * total


def lower_local_response_norm(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    layer, y = cast(LocalResponseNorm, step.layer), program.tensor(step, x)
    sizes = {
        "cells": x.size // x.shape[-1], "channels": x.shape[-1], "before": layer.size // 2,
        "after": (layer.size - 1) // 2,
    }  # fmt: skip
    settings = program.constant([layer.k, layer.alpha / layer.size, layer.beta])
    level = program.buffer(x.size)
    program.sample(
        neighbors_forward, y=y.address, x=x.address, level=level, settings=settings, **sizes
    )
    yield y
    dy = program.grad_of(y)
    program.accumulate_grad(
        x,
        lambda dx: program.sample(
            neighbors_backward, dx=dx, dy=dy, x=x.address, y=y.address, level=level,
            felt=program.buffer(x.shape[-1]), settings=settings, **sizes,
        ),
    )  # fmt: skip


TINY = np.float32(1e-12)
"""The least length that is divided by: PyTorch's and Keras'."""


def l2_norm(layer: L2Norm, weights: Weights, x: Array, context: Context) -> tuple[Array, Backward]:
    """X / |x|, and dX = (dY - y * sum of dY y) / |x|, over the channels of each cell."""
    length = np.maximum(np.sqrt((x * x).sum(axis=-1, keepdims=True)), x.dtype.type(TINY))
    y = x / length
    return y, lambda dy: ((dy - y * (dy * y).sum(axis=-1, keepdims=True)) / length, {})


@each_sample(Operands("y x lengths", "cells channels"), sums=True)
def l2_forward(o):
    """Divide each cell's channels by their length, which is kept."""
    for cell in range(o.cells):
        at, total = cell * o.channels, ZERO
        for c in range(o.channels):
            total += o.x[at + c] * o.x[at + c]
        length = max(np.sqrt(total), TINY)
        o.lengths[cell] = length
        for c in range(o.channels):
            o.y[at + c] = o.x[at + c] / length


@each_sample(Operands("dx dy y lengths", "cells channels"), sums=True)
def l2_backward(o):
    """Dx = (dy - y * sum of dy y) / length."""
    for cell in range(o.cells):
        at, along = cell * o.channels, ZERO
        for c in range(o.channels):
            along += o.dy[at + c] * o.y[at + c]
        for c in range(o.channels):
            o.dx[at + c] = (o.dy[at + c] - o.y[at + c] * along) / o.lengths[cell]


def lower_l2_norm(program: ProgramBuilder, step: Step, x: Tensor) -> Iterator[Tensor]:
    y, channels = program.tensor(step, x), x.shape[-1]
    sizes = {"cells": x.size // channels, "channels": channels}
    lengths = program.buffer(sizes["cells"])
    program.sample(l2_forward, y=y.address, x=x.address, lengths=lengths, **sizes)
    yield y
    dy = program.grad_of(y)
    program.accumulate_grad(
        x,
        lambda dx: program.sample(l2_backward, dx=dx, dy=dy, y=y.address, lengths=lengths, **sizes),
    )


KINDS = {
    "bn": Kind(batch_norm, lower_batch_norm),
    "ln": Kind(sample_norm, lower_sample_norm),
    "gn": Kind(sample_norm, lower_sample_norm),
    "instancenorm": Kind(sample_norm, lower_sample_norm),
    "rmsnorm": Kind(sample_norm, lower_sample_norm),
    "l2norm": Kind(l2_norm, lower_l2_norm),
    "lrn": Kind(local_response_norm, lower_local_response_norm),
}
