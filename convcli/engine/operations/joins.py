"""Products of maps, slopes of a PReLU, and enlargements."""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import operand, operation
from convcli.engine.tile import LANES, advance
from convcli.engine.vector import fused, load, splat, store

ZERO = np.float32(0.0)


@operation
def multiply(bases, row, first, count):
    """Y = x * gate. row: y 0, x 3, gate 6; depth, height, width, channels 9; gate strides 13."""
    channels = row[12]
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        gate = operand(bases, row, 6, sample)
        at = 0
        for i in range(row[9]):
            for j in range(row[10]):
                for k in range(row[11]):
                    factor = i * row[13] + j * row[14] + k * row[15]
                    for c in range(channels):
                        y[at + c] = x[at + c] * gate[factor + c]
                    at += channels


@operation
def multiply_gate(bases, row, first, count):
    """Add dy * x to the gate's gradient. row: as `multiply`, with dy, x and the gradient."""
    channels = row[12]
    for sample in range(first, first + count):
        dy, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        gate = operand(bases, row, 6, sample)
        at = 0
        for i in range(row[9]):
            for j in range(row[10]):
                for k in range(row[11]):
                    factor = i * row[13] + j * row[14] + k * row[15]
                    for c in range(channels):
                        gate[factor + c] += dy[at + c] * x[at + c]
                    at += channels


@operation
def prelu_forward(bases, row, first, count):
    """Return x where positive, else slope * x. row: y 0, x 3, slope 6, cells 9, channels 10."""
    slope, channels = operand(bases, row, 6, 0), row[10]
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for cell in range(row[9]):
            for c in range(channels):
                value = x[cell * channels + c]
                y[cell * channels + c] = value if value > ZERO else slope[c] * value


@operation
def prelu_backward(bases, row, first, count):
    """Write dx, add to the gradient of the slopes.

    row: dx 0, dy 3, x 6, slope 9, gradient 12, cells 15, channels 16, gradient wanted 17.
    """
    slope, gradient = operand(bases, row, 9, 0), operand(bases, row, 12, 0)
    channels = row[16]
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        x = operand(bases, row, 6, sample)
        for cell in range(row[15]):
            for c in range(channels):
                at = cell * channels + c
                below = x[at] <= ZERO
                if row[17]:
                    gradient[c] += dy[at] * x[at] if below else ZERO
                dx[at] = dy[at] * slope[c] if below else dy[at]


@operation
def upsample(bases, row, first, count):
    """Write or give back weighted neighbors.

    row: small 0, large 3, weights 6 (two for each large cell of depth, height, width), channels 9,
    strides of the small map's depth and height 10, large cells 12, backward 15 (small, which begins
    as zeros, then gets the gradients); from 16 two neighbors for each large cell, axis by axis.
    """
    channels = row[9]
    weights = operand(bases, row, 6, 0)
    h0, w0 = 2 * row[12], 2 * (row[12] + row[13])
    for sample in range(first, first + count):
        small, large = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        cell = 0
        for i in range(row[12]):
            for j in range(row[13]):
                for k in range(row[14]):
                    for c in range(0, channels, LANES):
                        place = advance(large, cell * channels + c)
                        value = splat(ZERO)
                        if row[15]:
                            value = load(place, channels - c)
                        for corner in range(8):
                            d = 2 * i + (corner >> 2)
                            h = h0 + 2 * j + ((corner >> 1) & 1)
                            w = w0 + 2 * k + (corner & 1)
                            weight = weights[d] * weights[h] * weights[w]
                            if weight == ZERO:
                                continue
                            at = row[16 + d] * row[10] + row[16 + h] * row[11]
                            at += row[16 + w] * channels + c
                            near = load(advance(small, at), channels - c)
                            if row[15]:
                                near = fused(value, splat(weight), near)
                                store(advance(small, at), near, channels - c)
                            else:
                                value = fused(near, splat(weight), value)
                        if not row[15]:
                            store(place, value, channels - c)
                    cell += 1
