"""Convolutions, dense layers and their gradients as products of the tile."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from convcli.engine.operations import copying
from convcli.engine.operations.product import (
    SAMPLES_ARE_LOOP,
    SAMPLES_ARE_ROWS,
    SAMPLES_ARE_STEPS,
    product,
    turn_kernel,
)
from convcli.learn.compiled.program import Builder, Place

Three = tuple[int, int, int]
NO_LOOP = (1, 0, 0, 0, 0)


@dataclass(frozen=True)
class Map:
    """A map of depth x height x width cells with `channels` numbers each, at a place.

    `line` and `plane` are the numbers from one row to the next and from one depth to the next.
    """

    place: Place
    depth: int
    height: int
    width: int
    channels: int
    line: int = 0
    plane: int = 0

    @staticmethod
    def whole(place: Place, shape: tuple[int, ...]) -> Map:
        """Return the map of a whole value; missing axes have one cell."""
        *spatial, channels = shape
        depth, height, width = (1,) * (3 - len(spatial)) + tuple(spatial)
        line = width * channels
        return Map(place, depth, height, width, channels, line, height * line)

    @property
    def cells(self) -> int:
        """Depth x height x width."""
        return self.depth * self.height * self.width

    @property
    def size(self) -> int:
        """Numbers of the map."""
        return self.cells * self.channels

    def inside(self, before: Three, size: Three) -> Map:
        """Return the part of `size` cells that begins at `before`."""
        offset = before[0] * self.plane + before[1] * self.line + before[2] * self.channels
        place = self.place.after(offset)
        return Map(place, *size, self.channels, self.line, self.plane)


@dataclass(frozen=True)
class Taps:
    """A kernel's geometry on three axes, for `groups` of `inputs` and `outputs` channels."""

    kernel: Three
    stride: Three
    dilation: Three
    groups: int
    inputs: int
    outputs: int

    @property
    def extent(self) -> Three:
        """Cells that the dilated kernel spans."""
        d, h, w = ((k - 1) * step + 1 for k, step in zip(self.kernel, self.dilation, strict=True))
        return (d, h, w)

    @property
    def weights(self) -> int:
        """Numbers in the kernel."""
        return prod(self.kernel) * self.inputs * self.groups * self.outputs


def move(builder: Builder, to: Map, source: Map, *, add: bool = False) -> None:
    """Copy one map's cells to another of the same extents, or add them to it."""
    run, rows = to.width * to.channels, (to.height, to.line, source.line)
    if (to.line, source.line) == (run, run):
        run, rows = run * to.height, (1, 0, 0)
    loops = (to.depth, to.plane, source.plane, *rows, 1, 0, 0)
    builder.sample(copying.copy, to.place, source.place, run, *loops, int(add))


def padded(builder: Builder, x: Map, before: Three, after: Three) -> Map:
    """Return `x` with zeros around it; itself when there are none."""
    if not any(before) and not any(after):
        return x
    d, h, w = (
        size + b + a for size, b, a in zip((x.depth, x.height, x.width), before, after, strict=True)
    )
    room = Map.whole(builder.region(d * h * w * x.channels, pinned=True), (d, h, w, x.channels))
    move(builder, room.inside(before, (x.depth, x.height, x.width)), x)
    return room


def refill(builder: Builder, room: Map, x: Map, before: Three) -> None:
    """Copy `x` into its padded room once more, for the backward half."""
    if room.place.region is not x.place.region:
        move(builder, room.inside(before, (x.depth, x.height, x.width)), x)


def zeros(builder: Builder, count: int) -> Place:
    """Return that many zeros to start a product from."""
    return builder.constant(np.zeros(count, np.float32))


def convolve(
    builder: Builder, y: Map, x: Map, kernel: Place, taps: Taps, bias: Place, *, relu: bool = False
) -> None:
    """Write the valid convolution of `x` (already padded); kernel [tap][input][group, output]."""
    whole = taps.groups == 1 and taps.dilation[2] == 1
    kernel_d, kernel_h, kernel_w = taps.kernel
    outputs = taps.groups * taps.outputs
    row = kernel_w * taps.inputs * outputs
    runs = [(d, h) for d in range(kernel_d) for h in range(1 if whole else kernel_h)]
    for number, (d, h) in enumerate(runs):
        a = x.place.after(d * taps.dilation[0] * x.plane + h * taps.dilation[1] * x.line)
        b = kernel.after((d * kernel_h + h) * row)
        a_block, b_block, blocks, steps = _inner(taps, x, outputs, row, whole=whole)
        start, start_row = (bias, 0) if number == 0 else (y.place, y.channels)
        loops = _output_loops(y, x, taps, follows=number > 0)
        rows = y.width
        if _is_pointwise(taps, x, y):
            rows, loops = y.cells, (*NO_LOOP, *NO_LOOP, *loops[10:])
        last = relu and number == len(runs) - 1
        builder.sample(
            product, y.place, start, a, b, y.channels, start_row, taps.stride[2] * x.channels,
            a_block, 1, b_block, outputs, rows, taps.outputs, blocks, steps, int(last),
            SAMPLES_ARE_LOOP, *loops,
        )  # fmt: skip


def _inner(taps: Taps, x: Map, outputs: int, row: int, *, whole: bool) -> tuple[int, int, int, int]:
    """Return a_block, b_block, blocks and steps: over kernel rows, or over the taps of one row."""
    if whole:
        line = taps.dilation[1] * x.line
        return line, row, taps.kernel[1], taps.kernel[2] * taps.inputs
    jump = taps.dilation[2] * x.channels
    return jump, taps.inputs * outputs, taps.kernel[2], taps.inputs


def _output_loops(y: Map, x: Map, taps: Taps, *, follows: bool) -> tuple[int, ...]:
    """Return the loops over depth, height and groups: count, C, start, A and B strides."""
    stride_d, stride_h, _ = taps.stride
    return (
        y.depth, y.plane, y.plane * follows, stride_d * x.plane, 0,
        y.height, y.line, y.line * follows, stride_h * x.line, 0,
        taps.groups, taps.outputs, taps.outputs, taps.inputs, taps.outputs,
    )  # fmt: skip


def _is_pointwise(taps: Taps, x: Map, y: Map) -> bool:
    solid = all(m.line == m.width * m.channels and m.plane == m.line * m.height for m in (x, y))
    return solid and taps.kernel == taps.stride == (1, 1, 1)


def weight_gradient(builder: Builder, gradient: Place, x: Map, dy: Map, taps: Taps) -> None:
    """Add the kernel's gradient; `x` is padded as for `convolve`."""
    kernel_d, kernel_h, kernel_w = taps.kernel
    whole = taps.groups == 1 and taps.dilation[2] == 1
    outputs = taps.groups * taps.outputs
    row = kernel_w * taps.inputs * outputs
    stride_d, stride_h, stride_w = taps.stride
    pieces = [
        (d, w, g)
        for d in range(kernel_d)
        for w in range(1 if whole else kernel_w)
        for g in range(taps.groups)
    ]
    for d, w, g in pieces:
        c = gradient.after(d * kernel_h * row + w * taps.inputs * outputs + g * taps.outputs)
        a_at = d * taps.dilation[0] * x.plane + w * taps.dilation[2] * x.channels
        a = x.place.after(a_at + g * taps.inputs)
        b = dy.place.after(g * taps.outputs)
        rows = taps.inputs * (kernel_w if whole else 1)
        builder.sample(
            product, c, c, a, b, outputs, outputs, 1, stride_h * x.line, stride_w * x.channels,
            dy.line, dy.channels, rows, taps.outputs, dy.height, dy.width, 0, SAMPLES_ARE_LOOP,
            kernel_h, row, row, taps.dilation[1] * x.line, 0,
            dy.depth, 0, 0, stride_d * x.plane, dy.plane,
            *NO_LOOP,
        )  # fmt: skip


@dataclass(frozen=True)
class KernelOrder:
    """How a kernel's numbers follow: from one input to the next, and from group to group."""

    step: int
    group: int


def spread(builder: Builder, y: Map, x: Map, kernel: Place, taps: Taps, order: KernelOrder) -> None:
    """Add every cell of `x`, spread by the kernel, to `y`.

    This is the transposed convolution, and the input gradient of one with strides. `inputs` counts
    the channels of a group of `x`, `outputs` those of `y`.
    """
    stride_d, stride_h, stride_w = taps.stride
    for number, tap in enumerate(np.ndindex(*taps.kernel)):
        to = y.place.after(_tap_offset(y, taps, tap))
        here = kernel.after(number * taps.groups * taps.inputs * taps.outputs)
        builder.sample(
            product, to, to, x.place, here, stride_w * y.channels, stride_w * y.channels,
            x.channels, 0, 1, 0, order.step, x.width, taps.outputs, 1, taps.inputs, 0,
            SAMPLES_ARE_LOOP,
            x.depth, stride_d * y.plane, stride_d * y.plane, x.plane, 0,
            x.height, stride_h * y.line, stride_h * y.line, x.line, 0,
            taps.groups, taps.outputs, taps.outputs, taps.inputs, order.group,
        )  # fmt: skip


def spread_rows(builder: Builder, dx: Map, dy: Map, kernel: Place, taps: Taps) -> None:
    """Add the gradient of a convolution's input to `dx`, a whole kernel row at a time.

    One product gives what each output cell sends to one row of its window; these overlap, and are
    added one after the other.
    """
    width = taps.kernel[2] * taps.inputs
    rows = Taps((1, taps.kernel[1], 1), (1, 1, 1), (1, 1, 1), 1, width, taps.outputs)
    by_row = turned(builder, kernel, rows, reverse=False)
    one = Taps((1, 1, 1), (1, 1, 1), (1, 1, 1), 1, taps.outputs, width)
    shape = (dy.depth, dy.height, dy.width, width)
    sent, none = Map.whole(builder.region(prod(shape)), shape), zeros(builder, width)
    for row in range(taps.kernel[1]):
        convolve(builder, sent, dy, by_row.after(row * width * taps.outputs), one, none)
        builder.sample(
            copying.copy, dx.place.after(row * taps.dilation[1] * dx.line), sent.place, width,
            dy.depth, taps.stride[0] * dx.plane, sent.plane,
            dy.height, taps.stride[1] * dx.line, sent.line,
            dy.width, taps.stride[2] * dx.channels, width, 1,
        )  # fmt: skip


def spread_weight_gradient(builder: Builder, gradient: Place, x: Map, dy: Map, taps: Taps) -> None:
    """Add the gradient of a transposed kernel [tap][group, input][output]; `dy` is not cropped."""
    stride_d, stride_h, stride_w = taps.stride
    size = taps.inputs * taps.outputs
    for number, tap in enumerate(np.ndindex(*taps.kernel)):
        to = gradient.after(number * taps.groups * size)
        builder.sample(
            product, to, to, x.place, dy.place.after(_tap_offset(dy, taps, tap)),
            taps.outputs, taps.outputs, 1, x.line, x.channels, stride_h * dy.line,
            stride_w * dy.channels, taps.inputs, taps.outputs, x.height, x.width, 0,
            SAMPLES_ARE_LOOP,
            taps.groups, size, size, taps.inputs, taps.outputs,
            x.depth, 0, 0, x.plane, stride_d * dy.plane,
            *NO_LOOP,
        )  # fmt: skip


def _tap_offset(wide: Map, taps: Taps, tap: tuple[int, ...]) -> int:
    jumps = (wide.plane, wide.line, wide.channels)
    return sum(t * step * j for t, step, j in zip(tap, taps.dilation, jumps, strict=True))


def bias_gradient(builder: Builder, gradient: Place, dy: Map) -> None:
    """Add the sum of `dy` over its cells: the product of a row of ones with it."""
    one = builder.constant(np.ones(1, np.float32))
    builder.sample(
        product, gradient, gradient, one, dy.place, 0, 0, 0, 0, 0,
        dy.line, dy.channels, 1, dy.channels, dy.height, dy.width, 0, SAMPLES_ARE_LOOP,
        dy.depth, 0, 0, 0, dy.plane, *NO_LOOP, *NO_LOOP,
    )  # fmt: skip


def turned(builder: Builder, kernel: Place, taps: Taps, *, reverse: bool) -> Place:
    """Return a copy of the kernel for gradients, renewed every batch; see `turn_kernel`."""
    place = builder.shared_place(taps.weights)
    sizes = (prod(taps.kernel), taps.groups, taps.inputs, taps.outputs)
    builder.once(turn_kernel, place, kernel, *sizes, int(reverse))
    return place


def dense(
    builder: Builder, y: Place, x: Place, kernel: Place, bias: Place, inputs: int, outputs: int,
    *, relu: bool = False,
) -> None:  # fmt: skip
    """Write `x @ kernel + bias` for all samples of the chunk as one product."""
    builder.chunk(
        product, y, bias, x, kernel, 0, 0, 0, 0, 1, 0, outputs, 1, outputs, 1, inputs, int(relu),
        SAMPLES_ARE_ROWS, *NO_LOOP, *NO_LOOP, *NO_LOOP,
    )  # fmt: skip


def dense_weight_gradient(
    builder: Builder, gradient: Place, x: Place, dy: Place, inputs: int, outputs: int
) -> None:
    """Add `x.T @ dy` over all samples of the chunk as one product."""
    builder.chunk(
        product, gradient, gradient, x, dy, outputs, outputs, 1, 0, 0, 0, 0,
        inputs, outputs, 1, 0, 0, SAMPLES_ARE_STEPS, *NO_LOOP, *NO_LOOP, *NO_LOOP,
    )  # fmt: skip


def dense_bias_gradient(builder: Builder, gradient: Place, dy: Place, outputs: int) -> None:
    """Add the sum of `dy` over all samples of the chunk."""
    one = builder.constant(np.ones(1, np.float32))
    builder.chunk(
        product, gradient, gradient, one, dy, 0, 0, 0, 0, 0, 0, 0,
        1, outputs, 1, 0, 0, SAMPLES_ARE_STEPS, *NO_LOOP, *NO_LOOP, *NO_LOOP,
    )  # fmt: skip
