"""Samples into the program, and blocks of numbers from one map to another."""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import bytes_at, floats_at, operand, operation, words_at


@operation
def read_bytes(bases, row, first, count):
    """Read samples of uint8 and scale them. row: to 0, size 3, scale and shift 4 (an operand)."""
    factor = operand(bases, row, 4, 0)
    scale, shift = factor[0], factor[1]
    index = words_at(bases[7])
    for sample in range(first, first + count):
        source = bytes_at(bases[6] + index[bases[11] + sample] * row[3])
        to = operand(bases, row, 0, sample)
        for i in range(row[3]):
            to[i] = np.float32(source[i]) * scale + shift


@operation
def read_floats(bases, row, first, count):
    """Read samples of float32 and scale them. row: as `read_bytes`."""
    factor = operand(bases, row, 4, 0)
    scale, shift = factor[0], factor[1]
    index = words_at(bases[7])
    for sample in range(first, first + count):
        source = floats_at(bases[6] + 4 * index[bases[11] + sample] * row[3])
        to = operand(bases, row, 0, sample)
        for i in range(row[3]):
            to[i] = source[i] * scale + shift


@operation
def copy(bases, row, first, count):
    """Copy runs of numbers. row: to 0, from 3; run 6; three loops of count, to and from strides 7.

    `row[16]`: 0 copies, 1 adds to what is there.
    """
    add = row[16]
    for sample in range(first, first + count):
        to0, from0 = operand(bases, row, 0, sample), operand(bases, row, 3, sample)
        for i in range(row[7]):
            for j in range(row[10]):
                for k in range(row[13]):
                    to_at = i * row[8] + j * row[11] + k * row[14]
                    from_at = i * row[9] + j * row[12] + k * row[15]
                    if add:
                        for n in range(row[6]):
                            to0[to_at + n] += from0[from_at + n]
                    else:
                        for n in range(row[6]):
                            to0[to_at + n] = from0[from_at + n]


@operation
def clear(bases, row, first, count):
    """Write zeros. row: to 0, size 3."""
    for sample in range(first, first + count):
        to = operand(bases, row, 0, sample)
        for i in range(row[3]):
            to[i] = 0.0


@operation
def write_output(bases, row, first, count):
    """Write the samples' last value to their places in OUTPUT. row: from 0, size 3."""
    for sample in range(first, first + count):
        source = operand(bases, row, 0, sample)
        to = floats_at(bases[10] + 4 * (bases[11] + sample) * row[3])
        for i in range(row[3]):
            to[i] = source[i]
