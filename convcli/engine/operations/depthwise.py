"""Depthwise convolution: one small kernel for each channel, no mixing.

row of all: x 0, y 3, kernel 6, bias 9; channels 12; strides of depth and height of x 13, of y 15;
output cells 17, kernel 20, stride 23, dilation 26, three each. x is padded.
"""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import operand, operation
from convcli.engine.tile import LANES, advance
from convcli.engine.vector import fused, load, splat, store


@operation
def depthwise_forward(bases, row, first, count):
    """Y = bias + the sum over taps of x * kernel."""
    channels = row[12]
    kernel, bias = operand(bases, row, 6, 0), operand(bases, row, 9, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for od in range(row[17]):
            for oh in range(row[18]):
                for ow in range(row[19]):
                    corner = od * row[23] * row[13] + oh * row[24] * row[14]
                    corner += ow * row[25] * channels
                    to = od * row[15] + oh * row[16] + ow * channels
                    for c in range(0, channels, LANES):
                        total = load(advance(bias, c), channels - c)
                        tap = c
                        for i in range(row[20]):
                            for j in range(row[21]):
                                at = corner + i * row[26] * row[13] + j * row[27] * row[14] + c
                                for _ in range(row[22]):
                                    value = load(advance(x, at), channels - c)
                                    weight = load(advance(kernel, tap), channels - c)
                                    total = fused(value, weight, total)
                                    at += row[28] * channels
                                    tap += channels
                        store(advance(y, to + c), total, channels - c)


@operation
def depthwise_input_gradient(bases, row, first, count):
    """Add dy * kernel to every cell that was read; x and y are gradients here."""
    channels = row[12]
    kernel = operand(bases, row, 6, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for od in range(row[17]):
            for oh in range(row[18]):
                for ow in range(row[19]):
                    corner = od * row[23] * row[13] + oh * row[24] * row[14]
                    corner += ow * row[25] * channels
                    to = od * row[15] + oh * row[16] + ow * channels
                    for c in range(0, channels, LANES):
                        slope = load(advance(y, to + c), channels - c)
                        tap = c
                        for i in range(row[20]):
                            for j in range(row[21]):
                                at = corner + i * row[26] * row[13] + j * row[27] * row[14] + c
                                for _ in range(row[22]):
                                    weight = load(advance(kernel, tap), channels - c)
                                    old = load(advance(x, at), channels - c)
                                    store(advance(x, at), fused(slope, weight, old), channels - c)
                                    at += row[28] * channels
                                    tap += channels


@operation
def depthwise_weight_gradient(bases, row, first, count):
    """Add the sum over cells of x * dy to the kernel's gradient at 6; y is a gradient here."""
    channels = row[12]
    gradient = operand(bases, row, 6, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        tap = 0
        for i in range(row[20]):
            for j in range(row[21]):
                for k in range(row[22]):
                    corner = i * row[26] * row[13] + j * row[27] * row[14] + k * row[28] * channels
                    for c in range(0, channels, LANES):
                        total = splat(np.float32(0.0))
                        for od in range(row[17]):
                            for oh in range(row[18]):
                                at = corner + od * row[23] * row[13] + oh * row[24] * row[14] + c
                                to = od * row[15] + oh * row[16] + c
                                for _ in range(row[19]):
                                    value = load(advance(x, at), channels - c)
                                    slope = load(advance(y, to), channels - c)
                                    total = fused(value, slope, total)
                                    at += row[25] * channels
                                    to += channels
                        place = advance(gradient, tap + c)
                        one = splat(np.float32(1.0))
                        store(place, fused(total, one, load(place, channels - c)), channels - c)
                    tap += channels
