"""Rules of the joins and of the layers that move cells."""

from __future__ import annotations

from math import prod
from typing import cast

import numpy as np

from convcli.engine.operations import copying, joins
from convcli.layers.rearrange import ChannelShuffle, Crop, Pad, Upsample
from convcli.learn.compiled.layers import three
from convcli.learn.compiled.motion import Motion, Value
from convcli.learn.compiled.products import Map, move
from convcli.learn.compiled.program import Place
from convcli.learn.compiled.simple import plain_copy
from convcli.learn.rules.rearrange import weights_of_axis
from convcli.net.trace import Step


def add(motion: Motion, step: Step, *branches: Value) -> Value:
    """The sum of branches."""
    y = motion.value(step, *branches)
    for number, branch in enumerate(branches):
        motion.builder.sample(
            copying.copy, y.place, branch.place, y.size, 1, 0, 0, 1, 0, 0, 1, 0, 0, int(number > 0)
        )

    def backward() -> None:
        dy = motion.slope_of(y)
        for branch in branches:
            motion.send(branch, lambda to: plain_copy(motion, to, dy, y.size))

    motion.backward(backward)
    return y


def concat(motion: Motion, step: Step, *branches: Value) -> Value:
    """The channels of branches, one after the other."""
    y = motion.value(step, *branches)
    cells, channels = prod(y.shape[:-1]), y.shape[-1]
    builder, places, at = motion.builder, [], 0
    for branch in branches:
        places.append(at)
        own = branch.shape[-1]
        builder.sample(
            copying.copy, y.place.after(at), branch.place, own, cells, channels, own,
            1, 0, 0, 1, 0, 0, 0,
        )  # fmt: skip
        at += own

    def backward() -> None:
        dy = motion.slope_of(y)
        for branch, begin in zip(branches, places, strict=True):
            own = branch.shape[-1]

            def write(to: Place, begin: int = begin, own: int = own) -> None:
                builder.sample(
                    copying.copy, to, dy.after(begin), own, cells, own, channels,
                    1, 0, 0, 1, 0, 0, 0,
                )  # fmt: skip

            motion.send(branch, write)

    motion.backward(backward)
    return y


def multiply(motion: Motion, step: Step, x: Value, gate: Value) -> Value:
    """The input times its gate, broadcast over missing or single axes."""
    builder, y = motion.builder, motion.value(step, x, gate)
    sizes = Map.whole(x.place, x.shape)
    missing = len(x.shape) - len(gate.shape)
    gate_map = Map.whole(gate.place, (1,) * missing + gate.shape)
    strides = (
        gate_map.plane * (gate_map.depth > 1),
        gate_map.line * (gate_map.height > 1),
        gate_map.channels * (gate_map.width > 1),
    )
    geometry = (sizes.depth, sizes.height, sizes.width, sizes.channels, *strides)
    builder.sample(joins.multiply, y.place, x.place, gate.place, *geometry)

    def backward() -> None:
        dy = motion.slope_of(y)
        motion.send(x, lambda to: builder.sample(joins.multiply, to, dy, gate.place, *geometry))

        def write(to: Place) -> None:
            builder.sample(copying.clear, to, gate.size)
            builder.sample(joins.multiply_gate, dy, x.place, to, *geometry)

        motion.send(gate, write)

    motion.backward(backward)
    return y


def prelu(motion: Motion, step: Step, x: Value) -> Value:
    """A leaky ReLU with learned slopes."""
    builder, y = motion.builder, motion.value(step, x)
    cells, channels = prod(x.shape[:-1]), x.shape[-1]
    slope = motion.weight(step, "slope")
    builder.sample(joins.prelu_forward, y.place, x.place, slope, cells, channels)

    def backward() -> None:
        dy, gradient = motion.slope_of(y), motion.weight_slope(step, "slope")
        wanted = motion.learns(step)

        def write(to: Place) -> None:
            builder.sample(
                joins.prelu_backward, to, dy, x.place, slope, gradient, cells, channels, int(wanted)
            )

        if x.needs_gradient:
            motion.send(x, write)
        elif wanted:
            write(builder.region(x.size))

    motion.backward(backward)
    return y


def pad(motion: Motion, step: Step, x: Value) -> Value:
    """Zeros around the map."""
    builder, y = motion.builder, motion.value(step, x)
    before = three(tuple(pair[0] for pair in cast(Pad, step.layer).cells), 0)
    source = x.map
    size = (source.depth, source.height, source.width)
    builder.sample(copying.clear, y.place, y.size)
    move(builder, y.map.inside(before, size), source)

    def backward() -> None:
        inside = motion.slope_map(y).inside(before, size)
        motion.send(x, lambda to: move(builder, Map.whole(to, x.shape), inside))

    motion.backward(backward)
    return y


def crop(motion: Motion, step: Step, x: Value) -> Value:
    """Cells cut off around the map."""
    builder, y = motion.builder, motion.value(step, x)
    before = three(tuple(pair[0] for pair in cast(Crop, step.layer).cells), 0)
    out = y.map
    size = (out.depth, out.height, out.width)
    move(builder, out, x.map.inside(before, size))

    def backward() -> None:
        dy = motion.slope_map(y)

        def write(to: Place) -> None:
            builder.sample(copying.clear, to, x.size)
            move(builder, Map.whole(to, x.shape).inside(before, size), dy)

        motion.send(x, write)

    motion.backward(backward)
    return y


def shuffle(motion: Motion, step: Step, x: Value) -> Value:
    """Channels of groups dealt out in turn."""
    builder, y = motion.builder, motion.value(step, x)
    groups, channels = cast(ChannelShuffle, step.layer).groups, x.shape[-1]
    width, cells = channels // groups, prod(x.shape[:-1])
    builder.sample(
        copying.copy, y.place, x.place, 1, cells, channels, channels, groups, 1, width,
        width, groups, 1, 0,
    )  # fmt: skip

    def backward() -> None:
        dy = motion.slope_of(y)
        motion.send(
            x,
            lambda to: builder.sample(
                copying.copy, to, dy, 1, cells, channels, channels, groups, width, 1,
                width, 1, groups, 0,
            ),
        )  # fmt: skip

    motion.backward(backward)
    return y


def upsample(motion: Motion, step: Step, x: Value) -> Value:
    """An enlargement by whole factors; the same weighted neighbors both ways."""
    layer = cast(Upsample, step.layer)
    builder, y = motion.builder, motion.value(step, x)
    source, out = x.map, y.map
    neighbors: list[int] = []
    shares: list[float] = []
    sizes = (source.depth, source.height, source.width)
    for size, factor in zip(sizes, three(layer.factor, 1), strict=True):
        for weights in weights_of_axis(size, factor, linear=layer.bilinear):
            near = np.flatnonzero(weights)
            neighbors += [int(near[0]), int(near[-1])]
            shares += [float(weights[near[0]]), float(weights[near[-1]]) * (len(near) > 1)]
    table = builder.constant(np.array(shares, np.float32))
    head = (source.channels, source.plane, source.line, out.depth, out.height, out.width)
    builder.sample(joins.upsample, x.place, y.place, table, *head, 0, *neighbors)

    def backward() -> None:
        dy = motion.slope_of(y)

        def write(to: Place) -> None:
            builder.sample(copying.clear, to, x.size)
            builder.sample(joins.upsample, to, dy, table, *head, 1, *neighbors)

        motion.send(x, write)

    motion.backward(backward)
    return y
