"""The tile in loops: convolutions, dense layers and all their gradients."""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import operand, operation
from convcli.engine.tile import advance, tile

CACHE_LINE = 16
SAMPLES_ARE_LOOP, SAMPLES_ARE_ROWS, SAMPLES_ARE_STEPS = 0, 1, 2


@operation
def product(bases, row, first, count):
    """Run the tile in three nested loops.

    row: C 0, start 3, A 6, B 9; c_row 12, start_row 13, a_row 14, a_block 15, a_step 16,
    b_block 17, b_step 18; rows 19, columns 20, blocks 21, steps 22; relu 23; samples 24;
    then for each of three loops: count, C, start, A and B strides. The samples of the chunk are
    a loop around all, or the rows (a dense layer), or the steps (its weight gradient); then the
    strides from sample to sample stand for c_row, start_row and a_row, or for a_step and b_step.
    """
    lowest = np.float32(0.0) if row[23] else np.float32(-np.inf)
    rows, steps, samples = row[19], row[22], count
    c_row, start_row, a_row, a_step, b_step = row[12], row[13], row[14], row[16], row[18]
    if row[24] == SAMPLES_ARE_ROWS:
        rows, samples, c_row, start_row, a_row = count, 1, row[2], row[5], row[8]
    elif row[24] == SAMPLES_ARE_STEPS:
        steps, samples, a_step, b_step = count, 1, row[8], row[11]
    for sample in range(first, first + samples):
        c0 = operand(bases, row, 0, sample)
        start0 = operand(bases, row, 3, sample)
        a0 = operand(bases, row, 6, sample)
        b0 = operand(bases, row, 9, sample)
        for i in range(row[25]):
            for j in range(row[30]):
                for k in range(row[35]):
                    tile(
                        advance(c0, i * row[26] + j * row[31] + k * row[36]), c_row,
                        advance(start0, i * row[27] + j * row[32] + k * row[37]), start_row,
                        advance(a0, i * row[28] + j * row[33] + k * row[38]),
                        a_row, row[15], a_step,
                        advance(b0, i * row[29] + j * row[34] + k * row[39]), row[17], b_step,
                        rows, row[20], row[21], steps, lowest,
                    )  # fmt: skip


@operation
def turn_kernel(bases, row, first, count):
    """Turn a kernel for the input gradient: taps reversed, in and out channels exchanged.

    Written once a batch. row: to 0, from 3; taps 6, groups 7, inputs of a group 8, outputs of a
    group 9, reverse 10. From [tap][input][group, output] to [tap][output][group, input].
    """
    to, source = operand(bases, row, 0, 0), operand(bases, row, 3, 0)
    taps, groups, inputs, outputs = row[6], row[7], row[8], row[9]
    size = groups * inputs * outputs
    for tap in range(taps):
        there = taps - 1 - tap if row[10] else tap
        for group in range(groups):
            for begin in range(0, inputs, CACHE_LINE):  # a line of `to` at a time
                end = min(begin + CACHE_LINE, inputs)
                for o in range(outputs):
                    for i in range(begin, end):
                        to[there * size + (o * groups + group) * inputs + i] = source[
                            tap * size + (i * groups + group) * outputs + o
                        ]
