"""Rules of the normalizations; batch norm in training waits for the whole batch."""

from __future__ import annotations

from math import prod
from typing import cast

import numpy as np

from convcli.engine.operations import norm
from convcli.layers.norm import BatchNorm, GroupNorm, LayerNorm
from convcli.learn.compiled.motion import Motion, Value
from convcli.learn.compiled.program import Place
from convcli.net.trace import Step


def batch_norm(motion: Motion, step: Step, x: Value) -> Value:
    """Batch norm: by the batch's statistics where it learns, else by the running ones."""
    layer = cast(BatchNorm, step.layer)
    builder, y = motion.builder, motion.value(step, x)
    channels, cells = x.shape[-1], prod(x.shape[:-1])
    statistics = builder.shared_place(2 * channels + 1)
    figures = builder.constant(np.array([layer.eps, layer.momentum], np.float32))
    running = (motion.statistic(step, "mean"), motion.statistic(step, "variance"))
    by_batch = motion.learns(step)
    if by_batch:
        lane = builder.lane_place(2 * channels + 1)
        sums = builder.region(2 * channels)
        builder.sample(norm.batch_statistics, x.place, lane, cells, channels, sums)
        builder.barrier(norm.merge_statistics, lane, statistics, *running, figures, channels)
    else:
        none = statistics
        builder.once(norm.running_statistics, none, statistics, *running, figures, channels)
    scale = _scale(motion, step, channels)
    factors = builder.region(2 * channels)
    builder.sample(
        norm.batch_forward, y.place, x.place, statistics, scale, motion.weight(step, "shift"),
        factors, cells, channels,
    )  # fmt: skip

    def backward() -> None:
        dy = motion.slope_of(y)
        totals = builder.shared_place(2 * channels)
        if by_batch:
            part = builder.lane_place(2 * channels)
            builder.sample(norm.batch_slopes, dy, x.place, statistics, part, cells, channels)
            shift = motion.weight_slope(step, "shift")
            own = motion.weight_slope(step, "scale") if layer.scale else shift
            builder.barrier(
                norm.merge_slopes, part, totals, shift, own, channels, 1, int(layer.scale)
            )

        def write(to: Place) -> None:
            builder.sample(
                norm.batch_backward, to, dy, x.place, statistics, scale, totals, cells, channels,
                int(by_batch),
            )  # fmt: skip

        motion.send(x, write)

    motion.backward(backward)
    return y


def _scale(motion: Motion, step: Step, channels: int) -> Place:
    if "scale" in step.weights:
        return motion.weight(step, "scale")
    return motion.builder.constant(np.ones(channels, np.float32))


def sample_norm(motion: Motion, step: Step, x: Value) -> Value:
    """Layer norm and group norm: each sample by itself."""
    layer = cast(LayerNorm | GroupNorm, step.layer)
    builder, y = motion.builder, motion.value(step, x)
    channels, cells = x.shape[-1], prod(x.shape[:-1])
    if isinstance(layer, GroupNorm):
        width = channels // layer.groups
        parts, geometry = layer.groups, (width, cells, channels, width, width)
    else:
        parts, geometry = cells, (channels, 1, channels, channels, 0)
    statistics = builder.region(2 * parts)
    eps = builder.constant(np.array([layer.eps], np.float32))
    scale, shift = motion.weight(step, "scale"), motion.weight(step, "shift")
    builder.sample(
        norm.norm_forward, y.place, x.place, statistics, scale, shift, eps, parts, *geometry
    )

    def backward() -> None:
        dy = motion.slope_of(y)
        slopes = (motion.weight_slope(step, "scale"), motion.weight_slope(step, "shift"))

        def write(to: Place) -> None:
            builder.sample(
                norm.norm_backward, to, dy, x.place, statistics, scale, *slopes, parts, *geometry,
                int(motion.learns(step)),
            )  # fmt: skip

        if x.needs_gradient:
            motion.send(x, write)
        elif motion.learns(step):
            write(builder.region(x.size))

    motion.backward(backward)
    return y
