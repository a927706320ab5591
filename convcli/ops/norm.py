"""Normalization: the same equation over the batch, over channels, over groups of channels.

Compiled, batch norm in training waits for the whole batch; the others take each sample by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numba import njit

from convcli.engine.calls import AT, Operands, operand, operation, summing_operation
from convcli.engine.llvm import LANES, add, advance, fused, load, splat, store, times
from convcli.layers.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, SampleNorm
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


def instance_norm(
    layer: InstanceNorm, weights: Weights, x: Array, context: Context
) -> tuple[Array, Backward]:
    """Normalize all cells of each channel (Ulyanov et al. 2016)."""
    normal, inner = _normalized(x, spatial_axes(x), layer.eps)
    return _scaled(weights, normal, inner)


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
        grads = {"shift": dy.sum(axis=axes)}
        if "scale" in weights:
            grads["scale"] = (dy * normal).sum(axis=axes)
        return inner(dy * scale), grads

    return normal * scale + weights["shift"], backward


COUNT = Operands("x shard sums", "cells channels")


@operation(COUNT)
def count_statistics(bases, row, first, count):
    """Merge each sample's mean and squared deviations into those of the shard.

    The shard keeps mean, squared deviations and count; `sums` is scratch for two sums of each
    channel. The merge is that of Chan, Golub and LeVeque 1983, which loses no digits.
    """
    shard, sums = operand(bases, row, COUNT.shard, 0), operand(bases, row, COUNT.sums, 0)
    cells, channels = row[COUNT.cells], row[COUNT.channels]
    for sample in range(first, first + count):
        x = operand(bases, row, COUNT.x, sample)
        before = shard[2 * channels]
        for c in range(0, channels, LANES):
            total = splat(ZERO)
            for cell in range(cells):
                total = add(total, load(advance(x, cell * channels + c), channels - c))
            minus = times(total, splat(np.float32(-1.0 / cells)))
            squares = splat(ZERO)
            for cell in range(cells):
                distance = add(load(advance(x, cell * channels + c), channels - c), minus)
                squares = fused(distance, distance, squares)
            store(advance(sums, c), total, channels - c)
            store(advance(sums, channels + c), squares, channels - c)
        for c in range(channels):
            mean = sums[c] / np.float32(cells)
            _merge(shard, c, channels, before, mean, sums[channels + c], np.float32(cells))
        shard[2 * channels] = before + np.float32(cells)


@njit(inline="always")
def _merge(into, c, channels, before, mean, squares, cells):
    share = cells / (before + cells)
    distance = mean - into[c]
    into[c] += distance * share
    into[channels + c] += squares + distance * distance * before * share


STATISTICS = Operands("shard statistics running_mean running_variance eps_momentum", "channels")


@operation(STATISTICS)
def merge_statistics(bases, row, first, count):
    """Merge the shards in order into mean, 1 / deviation and count; renew the running ones."""
    statistics = operand(bases, row, STATISTICS.statistics, 0)
    constants = operand(bases, row, STATISTICS.eps_momentum, 0)
    running_mean = operand(bases, row, STATISTICS.running_mean, 0)
    running_variance = operand(bases, row, STATISTICS.running_variance, 0)
    channels = row[STATISTICS.channels]
    for i in range(2 * channels + 1):
        statistics[i] = ZERO
    own = operand(bases, row, STATISTICS.shard, 0)
    for shard in range(bases[AT.shards]):
        part = advance(own, shard * bases[AT.shard_sums])
        cells = part[2 * channels]
        for c in range(channels):
            before = statistics[2 * channels]
            _merge(statistics, c, channels, before, part[c], part[channels + c], cells)
        statistics[2 * channels] += cells
    cells = statistics[2 * channels]
    for c in range(channels):
        variance = statistics[channels + c] / cells
        unbiased = statistics[channels + c] / max(cells - ONE, ONE)
        running_mean[c] += constants[1] * (statistics[c] - running_mean[c])
        running_variance[c] += constants[1] * (unbiased - running_variance[c])
        statistics[channels + c] = ONE / np.sqrt(variance + constants[0])


@operation(STATISTICS)
def running_statistics(bases, row, first, count):
    """Prepare mean and 1 / deviation from the running statistics."""
    statistics = operand(bases, row, STATISTICS.statistics, 0)
    constants = operand(bases, row, STATISTICS.eps_momentum, 0)
    running_mean = operand(bases, row, STATISTICS.running_mean, 0)
    running_variance = operand(bases, row, STATISTICS.running_variance, 0)
    channels = row[STATISTICS.channels]
    for c in range(channels):
        statistics[c] = running_mean[c]
        statistics[channels + c] = ONE / np.sqrt(running_variance[c] + constants[0])


BATCH = Operands("y x statistics scale shift factors", "cells channels")


@operation(BATCH)
def batch_forward(bases, row, first, count):
    """Y = (x - mean) / deviation * scale + shift; `factors` is scratch for two per channel."""
    statistics = operand(bases, row, BATCH.statistics, 0)
    factors = operand(bases, row, BATCH.factors, 0)
    scale, shift = operand(bases, row, BATCH.scale, 0), operand(bases, row, BATCH.shift, 0)
    channels = row[BATCH.channels]
    for c in range(channels):
        factors[c] = statistics[channels + c] * scale[c]
        factors[channels + c] = shift[c] - statistics[c] * factors[c]
    for sample in range(first, first + count):
        y, x = operand(bases, row, BATCH.y, sample), operand(bases, row, BATCH.x, sample)
        for cell in range(row[BATCH.cells]):
            at = cell * channels
            for c in range(channels):
                y[at + c] = x[at + c] * factors[c] + factors[channels + c]


SLOPES = Operands("dy x statistics shard", "cells channels")


@operation(SLOPES)
def sum_grads(bases, row, first, count):
    """Add to the shard the sums of dy and of dy * normalized x."""
    statistics = operand(bases, row, SLOPES.statistics, 0)
    shard, channels = operand(bases, row, SLOPES.shard, 0), row[SLOPES.channels]
    for sample in range(first, first + count):
        dy, x = operand(bases, row, SLOPES.dy, sample), operand(bases, row, SLOPES.x, sample)
        for c in range(0, channels, LANES):
            rest = channels - c
            minus = times(load(advance(statistics, c), rest), splat(np.float32(-1.0)))
            inverse = load(advance(statistics, channels + c), rest)
            total = load(advance(shard, c), rest)
            product = splat(ZERO)
            for cell in range(row[SLOPES.cells]):
                slope = load(advance(dy, cell * channels + c), rest)
                distance = add(load(advance(x, cell * channels + c), rest), minus)
                total = add(total, slope)
                product = fused(slope, distance, product)
            store(advance(shard, c), total, rest)
            place = advance(shard, channels + c)
            store(place, fused(product, inverse, load(place, rest)), rest)


MERGE = Operands("shard sums shift scale", "channels shift_learns scale_learns")


@operation(MERGE)
def merge_grads(bases, row, first, count):
    """Add the shards' sums in order; they are the gradients of shift and scale."""
    sums, channels = operand(bases, row, MERGE.sums, 0), row[MERGE.channels]
    shift, scale = operand(bases, row, MERGE.shift, 0), operand(bases, row, MERGE.scale, 0)
    for i in range(2 * channels):
        sums[i] = ZERO
    own = operand(bases, row, MERGE.shard, 0)
    for shard in range(bases[AT.shards]):
        part = advance(own, shard * bases[AT.shard_sums])
        for i in range(2 * channels):
            sums[i] += part[i]
    for c in range(channels):
        if row[MERGE.shift_learns]:
            shift[c] += sums[c]
        if row[MERGE.scale_learns]:
            scale[c] += sums[channels + c]


BATCH_BACK = Operands("dx dy x statistics scale sums", "cells channels by_batch")


@operation(BATCH_BACK)
def batch_backward(bases, row, first, count):
    """Dx = scale / deviation * (dy - mean dy - normalized x * mean (dy * normalized x)).

    Where the statistics are fixed, and not `by_batch`, dx = scale / deviation * dy.
    """
    statistics = operand(bases, row, BATCH_BACK.statistics, 0)
    scale, sums = operand(bases, row, BATCH_BACK.scale, 0), operand(bases, row, BATCH_BACK.sums, 0)
    channels, share = row[BATCH_BACK.channels], ZERO
    if row[BATCH_BACK.by_batch]:
        share = ONE / statistics[2 * channels]
    for sample in range(first, first + count):
        dx = operand(bases, row, BATCH_BACK.dx, sample)
        dy = operand(bases, row, BATCH_BACK.dy, sample)
        x = operand(bases, row, BATCH_BACK.x, sample)
        for cell in range(row[BATCH_BACK.cells]):
            at = cell * channels
            for c in range(channels):
                inverse = statistics[channels + c]
                normal = (x[at + c] - statistics[c]) * inverse
                level = (sums[c] + normal * sums[channels + c]) * share
                dx[at + c] = scale[c] * inverse * (dy[at + c] - level)


def lower_batch_norm(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
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

    def backward() -> None:
        dy = program.grad_of(y)
        totals = program.shared_buffer(2 * channels)
        if by_batch:
            part = program.shard_buffer(2 * channels)
            program.sample(
                sum_grads, dy=dy, x=x.address, statistics=statistics, shard=part, **sizes
            )
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

    program.on_backward(backward)
    return y


PARTS = "parts part runs run numbers part_channels"
"""A sample's parts: cells of a layer norm, or groups of channels. How many, and numbers from part
to part; runs of a part, numbers from run to run and in a run; channels from part to part."""
NORM = Operands("y x statistics scale shift eps", PARTS)
NORM_BACK = Operands("dx dy x statistics scale dscale dshift", f"{PARTS} learns")


@summing_operation(NORM)
def norm_forward(bases, row, first, count):
    """Normalize parts of a sample; `statistics` are mean and 1 / deviation of each."""
    eps = operand(bases, row, NORM.eps, 0)[0]
    scale, shift = operand(bases, row, NORM.scale, 0), operand(bases, row, NORM.shift, 0)
    size = np.float32(row[NORM.runs] * row[NORM.numbers])
    for sample in range(first, first + count):
        y, x = operand(bases, row, NORM.y, sample), operand(bases, row, NORM.x, sample)
        statistics = operand(bases, row, NORM.statistics, sample)
        for part in range(row[NORM.parts]):
            total = ZERO
            for run in range(row[NORM.runs]):
                at = part * row[NORM.part] + run * row[NORM.run]
                for i in range(row[NORM.numbers]):
                    total += x[at + i]
            mean = total / size
            squares = ZERO
            for run in range(row[NORM.runs]):
                at = part * row[NORM.part] + run * row[NORM.run]
                for i in range(row[NORM.numbers]):
                    squares += (x[at + i] - mean) * (x[at + i] - mean)
            inverse = ONE / np.sqrt(squares / size + eps)
            statistics[2 * part], statistics[2 * part + 1] = mean, inverse
            channel = part * row[NORM.part_channels]
            for run in range(row[NORM.runs]):
                at = part * row[NORM.part] + run * row[NORM.run]
                for i in range(row[NORM.numbers]):
                    normal = (x[at + i] - mean) * inverse
                    y[at + i] = normal * scale[channel + i] + shift[channel + i]


@summing_operation(NORM_BACK)
def norm_backward(bases, row, first, count):
    """Write dx and add to the gradients of scale and shift."""
    scale = operand(bases, row, NORM_BACK.scale, 0)
    dscale = operand(bases, row, NORM_BACK.dscale, 0)
    dshift = operand(bases, row, NORM_BACK.dshift, 0)
    share = ONE / np.float32(row[NORM_BACK.runs] * row[NORM_BACK.numbers])
    for sample in range(first, first + count):
        dx = operand(bases, row, NORM_BACK.dx, sample)
        dy = operand(bases, row, NORM_BACK.dy, sample)
        x = operand(bases, row, NORM_BACK.x, sample)
        statistics = operand(bases, row, NORM_BACK.statistics, sample)
        for part in range(row[NORM_BACK.parts]):
            mean, inverse = statistics[2 * part], statistics[2 * part + 1]
            channel = part * row[NORM_BACK.part_channels]
            level, slope = ZERO, ZERO
            for run in range(row[NORM_BACK.runs]):
                at = part * row[NORM_BACK.part] + run * row[NORM_BACK.run]
                for i in range(row[NORM_BACK.numbers]):
                    here = dy[at + i] * scale[channel + i]
                    level += here
                    slope += here * (x[at + i] - mean) * inverse
            level, slope = level * share, slope * share
            for run in range(row[NORM_BACK.runs]):
                at = part * row[NORM_BACK.part] + run * row[NORM_BACK.run]
                for i in range(row[NORM_BACK.numbers]):
                    normal = (x[at + i] - mean) * inverse
                    if row[NORM_BACK.learns]:
                        dscale[channel + i] += dy[at + i] * normal
                        dshift[channel + i] += dy[at + i]
                    here = dy[at + i] * scale[channel + i]
                    dx[at + i] = (here - level - normal * slope) * inverse


def lower_sample_norm(program: ProgramBuilder, step: Step, x: Tensor) -> Tensor:
    """Layer, group and instance norm: each sample by itself."""
    layer = cast(SampleNorm, step.layer)
    y, channels = program.tensor(step, x), x.shape[-1]
    cells = x.size // channels
    if isinstance(layer, GroupNorm | InstanceNorm):
        groups = layer.groups if isinstance(layer, GroupNorm) else channels
        width = channels // groups
        numbers = (groups, width, cells, channels, width, width)
    else:
        numbers = (cells, channels, 1, channels, channels, 0)
    parts = dict(zip(PARTS.split(), numbers, strict=True))
    statistics = program.buffer(2 * parts["parts"])
    eps = program.constant([layer.eps])
    scale, shift = program.weight(step, "scale"), program.weight(step, "shift")
    program.sample(
        norm_forward, y=y.address, x=x.address, statistics=statistics, scale=scale, shift=shift,
        eps=eps, **parts,
    )  # fmt: skip

    def backward() -> None:
        dy, learns = program.grad_of(y), program.learns(step)
        dscale, dshift = program.weight_grad(step, "scale"), program.weight_grad(step, "shift")

        def write(dx: Address) -> None:
            program.sample(
                norm_backward, dx=dx, dy=dy, x=x.address, statistics=statistics, scale=scale,
                dscale=dscale, dshift=dshift, learns=int(learns), **parts,
            )  # fmt: skip

        if x.needs_grad:
            program.accumulate_grad(x, write)
        elif learns:
            write(program.buffer(x.size))

    program.on_backward(backward)
    return y


KINDS = {
    "bn": Kind(batch_norm, lower_batch_norm),
    "ln": Kind(layer_norm, lower_sample_norm),
    "gn": Kind(group_norm, lower_sample_norm),
    "instancenorm": Kind(instance_norm, lower_sample_norm),
}
