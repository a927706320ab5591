"""Depthwise convolution in loops: one small kernel for each channel, so that no product helps.

Kernels of 3x3 have ways of their own: a block of cells of one row shares what it loads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from convcli.engine.calls import Operands, Operation, each_sample
from convcli.engine.llvm import (
    FLOAT,
    FLOATS,
    LANES,
    WORD,
    Vectors,
    add,
    advance,
    bounded,
    fused,
    load,
    splat,
    store,
    vector,
)  # fmt: skip
from convcli.engine.tile import bounds_of

DEPTHWISE = Operands(
    "x y kernel bias",
    "channels x_plane x_line y_plane y_line depth height width kernel_d kernel_h kernel_w "
    "jump_d jump_h jump_w tap_d tap_h tap_w relu",
)
"""Of all three depthwise operations. x is padded; in gradients x, y and kernel are gradients.

Numbers of x lie `jump` apart from one cell of y to the next, and `tap` from one tap to the next."""


@each_sample(DEPTHWISE)
def forward(o):
    """Y = bias + the sum over taps of x * kernel, in bounds."""
    bounds = bounds_of(o.relu)
    for od in range(o.depth):
        for oh in range(o.height):
            for ow in range(o.width):
                corner = od * o.jump_d + oh * o.jump_h + ow * o.jump_w
                to = od * o.y_plane + oh * o.y_line + ow * o.channels
                for c in range(0, o.channels, LANES):
                    total = load(advance(o.bias, c), o.channels - c)
                    tap = c
                    for i in range(o.kernel_d):
                        for j in range(o.kernel_h):
                            at = corner + i * o.tap_d + j * o.tap_h + c
                            for _ in range(o.kernel_w):
                                value = load(advance(o.x, at), o.channels - c)
                                weight = load(advance(o.kernel, tap), o.channels - c)
                                total = fused(value, weight, total)
                                at += o.tap_w
                                tap += o.channels
                    total = bounded(total, bounds.low, bounds.high)
                    store(advance(o.y, to + c), total, o.channels - c)


@each_sample(DEPTHWISE)
def input_grad(o):
    """Add dy * kernel to every cell that was read."""
    for od in range(o.depth):
        for oh in range(o.height):
            for ow in range(o.width):
                corner = od * o.jump_d + oh * o.jump_h + ow * o.jump_w
                to = od * o.y_plane + oh * o.y_line + ow * o.channels
                for c in range(0, o.channels, LANES):
                    slope = load(advance(o.y, to + c), o.channels - c)
                    tap = c
                    for i in range(o.kernel_d):
                        for j in range(o.kernel_h):
                            at = corner + i * o.tap_d + j * o.tap_h + c
                            for _ in range(o.kernel_w):
                                weight = load(advance(o.kernel, tap), o.channels - c)
                                old = load(advance(o.x, at), o.channels - c)
                                store(advance(o.x, at), fused(slope, weight, old), o.channels - c)
                                at += o.tap_w
                                tap += o.channels


@each_sample(DEPTHWISE)
def weight_grad(o):
    """Add the sum over cells of x * dy to the kernel's gradient."""
    tap = 0
    for i in range(o.kernel_d):
        for j in range(o.kernel_h):
            for k in range(o.kernel_w):
                corner = i * o.tap_d + j * o.tap_h + k * o.tap_w
                for c in range(0, o.channels, LANES):
                    total = splat(np.float32(0.0))
                    for od in range(o.depth):
                        for oh in range(o.height):
                            at = corner + od * o.jump_d + oh * o.jump_h + c
                            to = od * o.y_plane + oh * o.y_line + c
                            for _ in range(o.width):
                                value = load(advance(o.x, at), o.channels - c)
                                slope = load(advance(o.y, to), o.channels - c)
                                total = fused(value, slope, total)
                                at += o.jump_w
                                to += o.channels
                    place = advance(o.kernel, tap + c)
                    one = splat(np.float32(1.0))
                    store(place, fused(total, one, load(place, o.channels - c)), o.channels - c)
                tap += o.channels


BLOCK, SIDE = 4, 3
"""Cells of a block, and taps of its kernel each way."""
TAPS = SIDE * SIDE
SUMS = types.UniTuple(vector, TAPS)


class _Block:
    """Emits what `cells` neighboring cells of a row have to do with their windows of 3x3 cells."""

    def __init__(self, builder: Any, stride: int, cells: int, channels: Any, count: Any) -> None:
        self.builder, self.stride, self.cells, self.channels = builder, stride, cells, channels
        self.wide = Vectors(builder, FLOAT, LANES)
        self.mask = self.wide.places(WORD(0), count)

    def load(self, base: Any, number: int) -> Any:
        """Return the vector of the cell, or tap, of that number."""
        at = self.builder.mul(self.channels, WORD(number))
        return self.wide.load(base, at, mask=self.mask)

    def pairs(self, x: Any, line: Any) -> Any:
        """Yield each cell of the windows, loaded once, with the (cell, tap) that it meets."""
        for row in range(SIDE):
            here = self.builder.gep(x, [self.builder.mul(line, WORD(row))])
            for column in range((self.cells - 1) * self.stride + SIDE):
                value = self.load(here, column)
                for cell in range(self.cells):
                    tap = column - cell * self.stride
                    if 0 <= tap < SIDE:
                        yield value, cell, SIDE * row + tap


def _forward_block(stride: int, cells: int) -> Any:
    """Return what writes a block of y: `start` plus the sum over taps of x * kernel, in bounds."""

    @intrinsic
    def block(typingctx, y, start, x, line, channels, kernel, count, low, high):
        word, bound = types.int64, types.float32
        signature = types.void(FLOATS, FLOATS, FLOATS, word, word, FLOATS, word, bound, bound)

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            y, start, x, line, channels, kernel, count, low, high = arguments
            block = _Block(builder, stride, cells, channels, count)
            weights = [block.load(kernel, tap) for tap in range(TAPS)]
            sums = [block.load(start, 0)] * cells
            for value, cell, tap in block.pairs(x, line):
                sums[cell] = block.wide.fused(value, weights[tap], sums[cell])
            low, high = block.wide.splat(low), block.wide.splat(high)
            for cell, total in enumerate(sums):
                value = block.wide.bounded(total, low, high)
                place = builder.mul(channels, WORD(cell))
                block.wide.store(value, y, place, block.mask)
            return context.get_dummy_value()

        return signature, emit

    return block


def _grad_block(stride: int, cells: int) -> Any:
    """Return what adds a block's x * dy to the sums of the taps."""

    @intrinsic
    def block(typingctx, sums, x, line, channels, dy, count):
        word = types.int64
        signature = SUMS(SUMS, FLOATS, word, word, FLOATS, word)

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            sums, x, line, channels, dy, count = arguments
            block = _Block(builder, stride, cells, channels, count)
            totals = [builder.extract_value(sums, tap) for tap in range(TAPS)]
            slopes = [block.load(dy, cell) for cell in range(cells)]
            for value, cell, tap in block.pairs(x, line):
                totals[tap] = block.wide.fused(value, slopes[cell], totals[tap])
            return context.make_tuple(builder, signature.return_type, totals)

        return signature, emit

    return block


def _three_by_three(stride: int) -> tuple[Operation, Operation]:
    """Return `forward` and `weight_grad` for kernels 3x3 on 2-D maps."""
    forward_block, forward_cell = _forward_block(stride, BLOCK), _forward_block(stride, 1)
    grad_block, grad_cell = _grad_block(stride, BLOCK), _grad_block(stride, 1)

    def three_forward(o):
        bounds = bounds_of(o.relu)
        for oh in range(o.height):
            for c in range(0, o.channels, LANES):
                x, rest = advance(o.x, oh * o.jump_h + c), o.channels - c
                y, kernel = advance(o.y, oh * o.y_line + c), advance(o.kernel, c)
                bias, low, high = advance(o.bias, c), bounds.low, bounds.high
                blocks = o.width // BLOCK
                for _ in range(blocks):
                    forward_block(y, bias, x, o.tap_h, o.channels, kernel, rest, low, high)
                    x, y = advance(x, BLOCK * o.jump_w), advance(y, BLOCK * o.channels)
                for _ in range(o.width - blocks * BLOCK):
                    forward_cell(y, bias, x, o.tap_h, o.channels, kernel, rest, low, high)
                    x, y = advance(x, o.jump_w), advance(y, o.channels)

    def three_weight_grad(o):
        for c in range(0, o.channels, LANES):
            zero, rest = splat(np.float32(0.0)), o.channels - c
            sums = (zero, zero, zero, zero, zero, zero, zero, zero, zero)
            for oh in range(o.height):
                x, dy = advance(o.x, oh * o.jump_h + c), advance(o.y, oh * o.y_line + c)
                blocks = o.width // BLOCK
                for _ in range(blocks):
                    sums = grad_block(sums, x, o.tap_h, o.channels, dy, rest)
                    x, dy = advance(x, BLOCK * o.jump_w), advance(dy, BLOCK * o.channels)
                for _ in range(o.width - blocks * BLOCK):
                    sums = grad_cell(sums, x, o.tap_h, o.channels, dy, rest)
                    x, dy = advance(x, o.jump_w), advance(dy, o.channels)
            for tap in range(TAPS):
                place = advance(o.kernel, tap * o.channels + c)
                store(place, add(sums[tap], load(place, rest)), rest)

    return (
        each_sample(DEPTHWISE, name=f"depthwise_3x3_stride_{stride}")(three_forward),
        each_sample(DEPTHWISE, name=f"depthwise_3x3_stride_{stride}_weight_grad")(
            three_weight_grad
        ),
    )


THREE_BY_THREE = {stride: _three_by_three(stride) for stride in (1, 2)}
"""By the stride along a row: forward, and the kernel's gradient."""
