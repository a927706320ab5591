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
    channels, x_plane, x_line, y_plane, y_line = row[12], row[13], row[14], row[15], row[16]
    out_d, out_h, out_w = row[17], row[18], row[19]
    kernel_d, kernel_h, kernel_w = row[20], row[21], row[22]
    stride_d, stride_h, stride_w = row[23], row[24], row[25]
    apart_d, apart_h, apart_w = row[26], row[27], row[28] * channels
    kernel, bias = operand(bases, row, 6, 0), operand(bases, row, 9, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for od in range(out_d):
            for oh in range(out_h):
                for ow in range(out_w):
                    corner = od * stride_d * x_plane + oh * stride_h * x_line
                    corner += ow * stride_w * channels
                    to = od * y_plane + oh * y_line + ow * channels
                    for c in range(0, channels, LANES):
                        total = load(advance(bias, c), channels - c)
                        tap = c
                        for i in range(kernel_d):
                            for j in range(kernel_h):
                                at = corner + i * apart_d * x_plane + j * apart_h * x_line + c
                                for _ in range(kernel_w):
                                    value = load(advance(x, at), channels - c)
                                    weight = load(advance(kernel, tap), channels - c)
                                    total = fused(value, weight, total)
                                    at += apart_w
                                    tap += channels
                        store(advance(y, to + c), total, channels - c)


@operation
def depthwise_input_gradient(bases, row, first, count):
    """Add dy * kernel to every cell that was read; x and y are gradients here."""
    channels, x_plane, x_line, y_plane, y_line = row[12], row[13], row[14], row[15], row[16]
    out_d, out_h, out_w = row[17], row[18], row[19]
    kernel_d, kernel_h, kernel_w = row[20], row[21], row[22]
    stride_d, stride_h, stride_w = row[23], row[24], row[25]
    apart_d, apart_h, apart_w = row[26], row[27], row[28] * channels
    kernel = operand(bases, row, 6, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for od in range(out_d):
            for oh in range(out_h):
                for ow in range(out_w):
                    corner = od * stride_d * x_plane + oh * stride_h * x_line
                    corner += ow * stride_w * channels
                    to = od * y_plane + oh * y_line + ow * channels
                    for c in range(0, channels, LANES):
                        slope = load(advance(y, to + c), channels - c)
                        tap = c
                        for i in range(kernel_d):
                            for j in range(kernel_h):
                                at = corner + i * apart_d * x_plane + j * apart_h * x_line + c
                                for _ in range(kernel_w):
                                    weight = load(advance(kernel, tap), channels - c)
                                    old = load(advance(x, at), channels - c)
                                    store(advance(x, at), fused(slope, weight, old), channels - c)
                                    at += apart_w
                                    tap += channels


@operation
def depthwise_weight_gradient(bases, row, first, count):
    """Add the sum over cells of x * dy to the kernel's gradient at 6; y is a gradient here."""
    channels, x_plane, x_line, y_plane, y_line = row[12], row[13], row[14], row[15], row[16]
    out_d, out_h, out_w = row[17], row[18], row[19]
    kernel_d, kernel_h, kernel_w = row[20], row[21], row[22]
    stride_d, stride_h, stride_w = row[23], row[24], row[25]
    apart_d, apart_h, apart_w = row[26], row[27], row[28] * channels
    gradient = operand(bases, row, 6, 0)
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        tap = 0
        for i in range(kernel_d):
            for j in range(kernel_h):
                for k in range(kernel_w):
                    corner = i * apart_d * x_plane + j * apart_h * x_line + k * apart_w
                    for c in range(0, channels, LANES):
                        total = splat(np.float32(0.0))
                        for od in range(out_d):
                            for oh in range(out_h):
                                at = corner + od * stride_d * x_plane + oh * stride_h * x_line + c
                                to = od * y_plane + oh * y_line + c
                                for _ in range(out_w):
                                    value = load(advance(x, at), channels - c)
                                    slope = load(advance(y, to), channels - c)
                                    total = fused(value, slope, total)
                                    at += stride_w * channels
                                    to += channels
                        place = advance(gradient, tap + c)
                        one = splat(np.float32(1.0))
                        store(place, fused(total, one, load(place, channels - c)), channels - c)
                    tap += channels
