"""Maxima and means over windows, and their gradients.

Windows are listed axis by axis, already cut to the map, so that padding, rounding up and uneven
adaptive windows need no code: a triple (first cell, end, cells it counts for) for every output
cell of depth, height and width.

row of all four: x 0, y 3, choice 6; channels 9, choice pitch 10; input strides of depth 11 and
height 12; output cells of depth 13, height 14, width 15; flag 16, gradient of x is written by
disjoint windows 17; the triples from 18.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from convcli.engine.calls import byte_operand, operand, operation
from convcli.engine.tile import LANES, advance
from convcli.engine.vector import (
    add,
    fused,
    load,
    load_bytes,
    splat,
    store,
    store_bytes,
    times,
    where_equal,
    where_greater,
)

CUT_OFF = 255
WIDEST = 255
"""The choice of a maximum that a fused ReLU cut to zero: its gradient goes nowhere.

Windows of more than WIDEST cells keep their choice as float32: choice pitch 0."""
TRIPLES = 18


@njit(inline="always")
def _spans(row, od, oh, ow):
    d_at = TRIPLES + 3 * od
    h_at = TRIPLES + 3 * (row[13] + oh)
    w_at = TRIPLES + 3 * (row[13] + row[14] + ow)
    return d_at, h_at, w_at


@operation
def max_forward(bases, row, first, count):
    """Write the largest cell of each window and which it was, as a byte; flag 16: ReLU is fused."""
    channels, pitch = row[9], row[10]
    low = splat(np.float32(-np.inf))
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        choice, wide = byte_operand(bases, row, 6, sample), operand(bases, row, 6, sample)
        cell = 0
        for od in range(row[13]):
            for oh in range(row[14]):
                for ow in range(row[15]):
                    d, h, w = _spans(row, od, oh, ow)
                    for c in range(0, channels, LANES):
                        best, chosen = low, splat(np.float32(0.0))
                        tap = np.float32(0.0)
                        for i in range(row[d], row[d + 1]):
                            for j in range(row[h], row[h + 1]):
                                at = i * row[11] + j * row[12] + row[w] * channels + c
                                for _ in range(row[w + 1] - row[w]):
                                    value = load(advance(x, at), channels - c)
                                    chosen = where_greater(value, best, splat(tap), chosen)
                                    best = where_greater(value, best, value, best)
                                    tap += np.float32(1.0)
                                    at += channels
                        if row[16]:
                            zero = splat(np.float32(0.0))
                            none = splat(np.float32(CUT_OFF if pitch else -1))
                            chosen = where_greater(best, zero, chosen, none)
                        store(advance(y, cell * channels + c), best, channels - c)
                        if pitch:
                            store_bytes(advance(choice, cell * pitch + c), chosen)
                        else:
                            store(advance(wide, cell * channels + c), chosen, channels - c)
                    cell += 1


@operation
def max_forward_2x2(bases, row, first, count):
    """Do what `max_forward` does for windows of 2x2 cells, stride 2, no padding."""
    channels, pitch, line = row[9], row[10], row[12]
    zero, none = splat(np.float32(0.0)), splat(np.float32(CUT_OFF))
    one, two, three = splat(np.float32(1.0)), splat(np.float32(2.0)), splat(np.float32(3.0))
    relu = row[16]
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        choice = byte_operand(bases, row, 6, sample)
        for oh in range(row[14]):
            for ow in range(row[15]):
                cell = oh * row[15] + ow
                for c in range(0, channels, LANES):
                    rest = channels - c
                    at = 2 * oh * line + 2 * ow * channels + c
                    best = load(advance(x, at), rest)
                    value = load(advance(x, at + channels), rest)
                    chosen = where_greater(value, best, one, zero)
                    best = where_greater(value, best, value, best)
                    value = load(advance(x, at + line), rest)
                    chosen = where_greater(value, best, two, chosen)
                    best = where_greater(value, best, value, best)
                    value = load(advance(x, at + line + channels), rest)
                    chosen = where_greater(value, best, three, chosen)
                    best = where_greater(value, best, value, best)
                    if relu:
                        chosen = where_greater(best, zero, chosen, none)
                    store(advance(y, cell * channels + c), best, rest)
                    store_bytes(advance(choice, cell * pitch + c), chosen)


@operation
def max_backward(bases, row, first, count):
    """Add each gradient to the chosen cell; x and y are gradients here, x begins as zeros."""
    channels, pitch = row[9], row[10]
    zero = splat(np.float32(0.0))
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        choice, wide = byte_operand(bases, row, 6, sample), operand(bases, row, 6, sample)
        cell = 0
        for od in range(row[13]):
            for oh in range(row[14]):
                for ow in range(row[15]):
                    d, h, w = _spans(row, od, oh, ow)
                    for c in range(0, channels, LANES):
                        slope = load(advance(y, cell * channels + c), channels - c)
                        if pitch:
                            chosen = load_bytes(advance(choice, cell * pitch + c))
                        else:
                            chosen = load(advance(wide, cell * channels + c), channels - c)
                        tap = np.float32(0.0)
                        for i in range(row[d], row[d + 1]):
                            for j in range(row[h], row[h + 1]):
                                at = i * row[11] + j * row[12] + row[w] * channels + c
                                for _ in range(row[w + 1] - row[w]):
                                    place = advance(x, at)
                                    part = where_equal(chosen, splat(tap), slope, zero)
                                    if not row[17]:
                                        part = add(part, load(place, channels - c))
                                    store(place, part, channels - c)
                                    tap += np.float32(1.0)
                                    at += channels
                    cell += 1


@operation
def max_backward_2x2(bases, row, first, count):
    """Do what `max_backward` does for windows of 2x2 cells, stride 2, no padding."""
    channels, pitch, line = row[9], row[10], row[12]
    zero, one = splat(np.float32(0.0)), splat(np.float32(1.0))
    two, three = splat(np.float32(2.0)), splat(np.float32(3.0))
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        choice = byte_operand(bases, row, 6, sample)
        for oh in range(row[14]):
            for ow in range(row[15]):
                cell = oh * row[15] + ow
                for c in range(0, channels, LANES):
                    rest = channels - c
                    at = 2 * oh * line + 2 * ow * channels + c
                    slope = load(advance(y, cell * channels + c), rest)
                    chosen = load_bytes(advance(choice, cell * pitch + c))
                    store(advance(x, at), where_equal(chosen, zero, slope, zero), rest)
                    part = where_equal(chosen, one, slope, zero)
                    store(advance(x, at + channels), part, rest)
                    part = where_equal(chosen, two, slope, zero)
                    store(advance(x, at + line), part, rest)
                    part = where_equal(chosen, three, slope, zero)
                    store(advance(x, at + line + channels), part, rest)


@operation
def mean_forward(bases, row, first, count):
    """Write the mean of each window."""
    channels = row[9]
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        cell = 0
        for od in range(row[13]):
            for oh in range(row[14]):
                for ow in range(row[15]):
                    d, h, w = _spans(row, od, oh, ow)
                    share = splat(np.float32(1.0 / (row[d + 2] * row[h + 2] * row[w + 2])))
                    for c in range(0, channels, LANES):
                        total = splat(np.float32(0.0))
                        for i in range(row[d], row[d + 1]):
                            for j in range(row[h], row[h + 1]):
                                at = i * row[11] + j * row[12] + row[w] * channels + c
                                for _ in range(row[w + 1] - row[w]):
                                    total = add(total, load(advance(x, at), channels - c))
                                    at += channels
                        store(advance(y, cell * channels + c), times(total, share), channels - c)
                    cell += 1


@operation
def mean_backward(bases, row, first, count):
    """Share each gradient among the cells of its window; x and y are gradients here."""
    channels = row[9]
    for sample in range(first, first + count):
        x, y = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        cell = 0
        for od in range(row[13]):
            for oh in range(row[14]):
                for ow in range(row[15]):
                    d, h, w = _spans(row, od, oh, ow)
                    share = splat(np.float32(1.0 / (row[d + 2] * row[h + 2] * row[w + 2])))
                    for c in range(0, channels, LANES):
                        slope = load(advance(y, cell * channels + c), channels - c)
                        part = times(slope, share)
                        for i in range(row[d], row[d + 1]):
                            for j in range(row[h], row[h + 1]):
                                at = i * row[11] + j * row[12] + row[w] * channels + c
                                for _ in range(row[w + 1] - row[w]):
                                    place = advance(x, at)
                                    if row[17]:
                                        store(place, part, channels - c)
                                    else:
                                        old = load(place, channels - c)
                                        store(place, fused(slope, share, old), channels - c)
                                    at += channels
                    cell += 1
