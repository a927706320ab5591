"""Batch norm across a batch, and norms within a sample."""

from __future__ import annotations

import numpy as np
from numba import njit

from convcli.engine.calls import floats_at, operand, operation, summing_operation
from convcli.engine.tile import LANES, advance
from convcli.engine.vector import add, fused, load, splat, store, times

ZERO, ONE = np.float32(0.0), np.float32(1.0)


@operation
def batch_statistics(bases, row, first, count):
    """Merge each sample's mean and squared deviations into those of the lane.

    row: x 0, lane 3 (mean, squared deviations, count), cells 6, channels 7, scratch for two sums of
    each channel 8. The merge is that of
    Chan, Golub and LeVeque 1983, which loses no digits.
    """
    lane, sums = operand(bases, row, 3, 0), operand(bases, row, 8, 0)
    cells, channels = row[6], row[7]
    for sample in range(first, first + count):
        x = operand(bases, row, 0, sample)
        before = lane[2 * channels]
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
            _merge(lane, c, channels, before, mean, sums[channels + c], np.float32(cells))
        lane[2 * channels] = before + np.float32(cells)


@njit(inline="always")
def _merge(into, c, channels, before, mean, squares, cells):
    share = cells / (before + cells)
    distance = mean - into[c]
    into[c] += distance * share
    into[channels + c] += squares + distance * distance * before * share


@operation
def merge_statistics(bases, row, first, count):
    """Merge the lanes in order; renew the running statistics.

    row: lane 0, statistics 3 (mean, 1 / deviation, count), running mean 6, running variance 9,
    constants 12 (eps, momentum), channels 15.
    """
    statistics, constants = operand(bases, row, 3, 0), operand(bases, row, 12, 0)
    running_mean, running_variance = operand(bases, row, 6, 0), operand(bases, row, 9, 0)
    channels = row[15]
    for i in range(2 * channels + 1):
        statistics[i] = ZERO
    for lane in range(bases[14]):
        part = floats_at(bases[5] + 4 * (lane * bases[15] + row[1]))
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


@operation
def running_statistics(bases, row, first, count):
    """Prepare mean and 1 / deviation from the running statistics; row as `merge_statistics`."""
    statistics, constants = operand(bases, row, 3, 0), operand(bases, row, 12, 0)
    running_mean, running_variance = operand(bases, row, 6, 0), operand(bases, row, 9, 0)
    for c in range(row[15]):
        statistics[c] = running_mean[c]
        statistics[row[15] + c] = ONE / np.sqrt(running_variance[c] + constants[0])


@operation
def batch_forward(bases, row, first, count):
    """Y = (x - mean) / deviation * scale + shift.

    row: y 0, x 3, statistics 6, scale 9, shift 12, factors 15 (scratch of 2 * channels), cells 18,
    channels 19.
    """
    statistics, factors = operand(bases, row, 6, 0), operand(bases, row, 15, 0)
    scale, shift = operand(bases, row, 9, 0), operand(bases, row, 12, 0)
    channels = row[19]
    for c in range(channels):
        factors[c] = statistics[channels + c] * scale[c]
        factors[channels + c] = shift[c] - statistics[c] * factors[c]
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for cell in range(row[18]):
            at = cell * channels
            for c in range(channels):
                y[at + c] = x[at + c] * factors[c] + factors[channels + c]


@operation
def batch_slopes(bases, row, first, count):
    """Add to the lane the sums of dy and of dy * normalized x.

    row: dy 0, x 3, statistics 6, lane 9, cells 12, channels 13.
    """
    statistics, lane = operand(bases, row, 6, 0), operand(bases, row, 9, 0)
    channels = row[13]
    for sample in range(first, first + count):
        dy, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for c in range(0, channels, LANES):
            rest = channels - c
            minus = times(load(advance(statistics, c), rest), splat(np.float32(-1.0)))
            inverse = load(advance(statistics, channels + c), rest)
            total = load(advance(lane, c), rest)
            product = splat(ZERO)
            for cell in range(row[12]):
                slope = load(advance(dy, cell * channels + c), rest)
                distance = add(load(advance(x, cell * channels + c), rest), minus)
                total = add(total, slope)
                product = fused(slope, distance, product)
            store(advance(lane, c), total, rest)
            place = advance(lane, channels + c)
            store(place, fused(product, inverse, load(place, rest)), rest)


@operation
def merge_slopes(bases, row, first, count):
    """Add the lanes' sums in order; they are the gradients of shift and scale.

    row: lane 0, sums 3, gradient of shift 6, gradient of scale 9, channels 12, which of the two
    gradients are wanted 13 and 14.
    """
    sums = operand(bases, row, 3, 0)
    shift, scale = operand(bases, row, 6, 0), operand(bases, row, 9, 0)
    channels = row[12]
    for i in range(2 * channels):
        sums[i] = ZERO
    for lane in range(bases[14]):
        part = floats_at(bases[5] + 4 * (lane * bases[15] + row[1]))
        for i in range(2 * channels):
            sums[i] += part[i]
    for c in range(channels):
        if row[13]:
            shift[c] += sums[c]
        if row[14]:
            scale[c] += sums[channels + c]


@operation
def batch_backward(bases, row, first, count):
    """Dx = scale / deviation * (dy - mean dy - normalized x * mean (dy * normalized x)).

    row: dx 0, dy 3, x 6, statistics 9, scale 12, sums 15, cells 18, channels 19; 20: 0 where the
    statistics are fixed, so that dx = scale / deviation * dy.
    """
    statistics, scale = operand(bases, row, 9, 0), operand(bases, row, 12, 0)
    sums, channels = operand(bases, row, 15, 0), row[19]
    share = ZERO
    if row[20]:
        share = ONE / statistics[2 * channels]
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        x = operand(bases, row, 6, sample)
        for cell in range(row[18]):
            at = cell * channels
            for c in range(channels):
                inverse = statistics[channels + c]
                normal = (x[at + c] - statistics[c]) * inverse
                level = (sums[c] + normal * sums[channels + c]) * share
                dx[at + c] = scale[c] * inverse * (dy[at + c] - level)


@summing_operation
def norm_forward(bases, row, first, count):
    """Normalize parts of a sample: cells of a layer norm, or groups of channels.

    row: y 0, x 3, statistics 6 (mean and 1 / deviation of each part), scale 9, shift 12,
    constants 15 (eps); parts 18, numbers from part to part 19, runs of a part 20, numbers from run
    to run 21, numbers of a run 22, channels from part to part 23.
    """
    eps = operand(bases, row, 15, 0)[0]
    scale, shift = operand(bases, row, 9, 0), operand(bases, row, 12, 0)
    size = np.float32(row[20] * row[22])
    for sample in range(first, first + count):
        y, x = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        statistics = operand(bases, row, 6, sample)
        for part in range(row[18]):
            total = ZERO
            for run in range(row[20]):
                at = part * row[19] + run * row[21]
                for i in range(row[22]):
                    total += x[at + i]
            mean = total / size
            squares = ZERO
            for run in range(row[20]):
                at = part * row[19] + run * row[21]
                for i in range(row[22]):
                    squares += (x[at + i] - mean) * (x[at + i] - mean)
            inverse = ONE / np.sqrt(squares / size + eps)
            statistics[2 * part], statistics[2 * part + 1] = mean, inverse
            channel = part * row[23]
            for run in range(row[20]):
                at = part * row[19] + run * row[21]
                for i in range(row[22]):
                    normal = (x[at + i] - mean) * inverse
                    y[at + i] = normal * scale[channel + i] + shift[channel + i]


@summing_operation
def norm_backward(bases, row, first, count):
    """Write dx and add to the gradients of scale and shift.

    row: dx 0, dy 3, x 6, statistics 9, scale 12, gradient of scale 15, of shift 18; then as
    `norm_forward` from 18 on, at 21; 27: whether the gradients are wanted.
    """
    scale = operand(bases, row, 12, 0)
    dscale, dshift = operand(bases, row, 15, 0), operand(bases, row, 18, 0)
    share = ONE / np.float32(row[23] * row[25])
    for sample in range(first, first + count):
        dx, dy = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        x, statistics = operand(bases, row, 6, sample), operand(bases, row, 9, sample)
        for part in range(row[21]):
            mean, inverse = statistics[2 * part], statistics[2 * part + 1]
            channel = part * row[26]
            level, slope = ZERO, ZERO
            for run in range(row[23]):
                at = part * row[22] + run * row[24]
                for i in range(row[25]):
                    here = dy[at + i] * scale[channel + i]
                    level += here
                    slope += here * (x[at + i] - mean) * inverse
            level, slope = level * share, slope * share
            for run in range(row[23]):
                at = part * row[22] + run * row[24]
                for i in range(row[25]):
                    normal = (x[at + i] - mean) * inverse
                    if row[27]:
                        dscale[channel + i] += dy[at + i] * normal
                        dshift[channel + i] += dy[at + i]
                    here = dy[at + i] * scale[channel + i]
                    dx[at + i] = (here - level - normal * slope) * inverse
