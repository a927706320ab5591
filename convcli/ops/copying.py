"""Samples into the program, and blocks of numbers from one map to another."""

from __future__ import annotations

import numpy as np

from convcli.engine.calls import AT, Operands, bytes_at, floats_at, operand, operation, words_at

READ = Operands("to factor", "size")


@operation(READ)
def read_bytes(bases, row, first, count):
    """Read samples of uint8 and scale them: times factor[0], plus factor[1]."""
    factor = operand(bases, row, READ.factor, 0)
    scale, shift = factor[0], factor[1]
    index = words_at(bases[AT.index])
    for sample in range(first, first + count):
        source = bytes_at(bases[AT.input] + index[bases[AT.first] + sample] * row[READ.size])
        to = operand(bases, row, READ.to, sample)
        for i in range(row[READ.size]):
            to[i] = np.float32(source[i]) * scale + shift


@operation(READ)
def read_floats(bases, row, first, count):
    """Read samples of float32 and scale them."""
    factor = operand(bases, row, READ.factor, 0)
    scale, shift = factor[0], factor[1]
    index = words_at(bases[AT.index])
    for sample in range(first, first + count):
        source = floats_at(bases[AT.input] + 4 * index[bases[AT.first] + sample] * row[READ.size])
        to = operand(bases, row, READ.to, sample)
        for i in range(row[READ.size]):
            to[i] = source[i] * scale + shift


COPY = Operands(
    "to source",
    "run outer outer_to outer_from middle middle_to middle_from inner inner_to inner_from add",
)


@operation(COPY)
def copy(bases, row, first, count):
    """Copy runs of numbers in three loops, or add them to what is there."""
    for sample in range(first, first + count):
        to0 = operand(bases, row, COPY.to, sample)
        from0 = operand(bases, row, COPY.source, sample)
        for i in range(row[COPY.outer]):
            for j in range(row[COPY.middle]):
                for k in range(row[COPY.inner]):
                    to = i * row[COPY.outer_to] + j * row[COPY.middle_to] + k * row[COPY.inner_to]
                    at = i * row[COPY.outer_from] + j * row[COPY.middle_from]
                    at += k * row[COPY.inner_from]
                    if row[COPY.add]:
                        for n in range(row[COPY.run]):
                            to0[to + n] += from0[at + n]
                    else:
                        for n in range(row[COPY.run]):
                            to0[to + n] = from0[at + n]


CLEAR = Operands("to", "size")


@operation(CLEAR)
def clear(bases, row, first, count):
    """Write zeros."""
    for sample in range(first, first + count):
        to = operand(bases, row, CLEAR.to, sample)
        for i in range(row[CLEAR.size]):
            to[i] = 0.0


WRITE = Operands("source", "size")


@operation(WRITE)
def write_output(bases, row, first, count):
    """Write the samples' last tensor to their places in OUTPUT."""
    for sample in range(first, first + count):
        source = operand(bases, row, WRITE.source, sample)
        to = floats_at(bases[AT.output] + 4 * (bases[AT.first] + sample) * row[WRITE.size])
        for i in range(row[WRITE.size]):
            to[i] = source[i]
