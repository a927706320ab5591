"""Large kernels by a transform down the columns: the products grow with a row of taps only.

A Fourier transform of each column makes every row of it independent of the others: a kernel of many
rows becomes one row of complex taps for each frequency, which a register tile adds up as it does
elsewhere. Two blocks, one below the other, are the real and the imaginary part of one transform,
since the kernel is real and keeps them apart. Cut into blocks that overlap by the kernel, of which
only sums that did not wrap around are kept (overlap-save: Stockham, "High-speed convolution and
correlation", 1966).

The transform is that of Cooley and Tukey ("An algorithm for the machine calculation of complex
Fourier series", 1965) by fours, whole vectors of columns at a time. Forward it halts in the order
of reversed digits, in which the inverse begins and the taps are kept, so nothing is sorted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from convcli.engine.compilation import compiled_band, compiled_part
from convcli.engine.filter_kernels import convert_block, widen_block
from convcli.engine.llvm import (
    VECTOR_BYTES,
    WORD,
    Vectors,
    bits_of,
    host,
    lanes_of,
    pointer,
    registers,
)

ROW_VECTORS = 8 if host().lanes == 16 else 4
"""Vectors of one tile of complex sums; twice as many and a sample fit the registers."""

FORWARD, INVERSE = (0,), (0, 0)
"""The direction of a transform, as the length of a tuple."""


def reversed_digits(size: int) -> Any:
    """Return the frequency at each place of a transform of `size`, a power of four.

    >>> reversed_digits(16).tolist()
    [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]
    """
    order = np.zeros(1, np.int64)
    while len(order) < size:
        order = np.concatenate([4 * order + digit for digit in range(4)])
    return order


def complex_taps(kernel: Any, size: int) -> Any:
    """Return the taps of each frequency, `size` x (real, imaginary) x width, in double precision.

    >>> complex_taps(np.array([[3.0], [1.0]]), 4)[:, 0, 0] * 4  # frequencies 0 to 3
    array([4., 3., 2., 3.])
    """
    spectrum = np.fft.fft(kernel, size, axis=0).conj() / size
    ordered = spectrum[reversed_digits(size)]
    return np.stack([ordered.real, ordered.imag], axis=1)


LOUDEST = 2.0**-11
"""How many times the quietest part the largest sample may be, in its number's last place."""

BRIGHTEST = 2.0**64
"""No brightness is larger; a picture that is zero but for "no data" has no quiet part."""

PARTS, PART_LINES, PART_RUN = 16, 16, 16
"""Parts along each side of a picture that are looked at, in so many lines of so many samples."""


def turns(size: int) -> Any:
    """Return exp(-2 pi i k n / size) for k up to a quarter and n = 1, 2, 3, as pairs of numbers."""
    angles = np.arange(size // 4)[:, None] * (-2 * np.pi / size) * np.arange(1, 4)
    return np.stack([np.cos(angles), np.sin(angles)], axis=2)


class _Complex:
    """A vector of complex numbers that is being emitted."""

    def __init__(self, vectors: Vectors, real: Any, imaginary: Any):
        self.vectors, self.real, self.imaginary = vectors, real, imaginary

    def __add__(self, other: _Complex) -> _Complex:
        add = self.vectors.builder.fadd
        return _Complex(
            self.vectors, add(self.real, other.real), add(self.imaginary, other.imaginary)
        )

    def __sub__(self, other: _Complex) -> _Complex:
        subtract = self.vectors.builder.fsub
        return _Complex(
            self.vectors, subtract(self.real, other.real), subtract(self.imaginary, other.imaginary)
        )

    def __mul__(self, other: _Complex) -> _Complex:
        builder, vectors = self.vectors.builder, self.vectors
        real = builder.fneg(builder.fmul(self.imaginary, other.imaginary))
        imaginary = builder.fmul(self.imaginary, other.real)
        return _Complex(
            vectors,
            vectors.fused(self.real, other.real, real),
            vectors.fused(self.real, other.imaginary, imaginary),
        )

    def turned(self) -> _Complex:
        """Return -i times this."""
        return _Complex(self.vectors, self.imaginary, self.vectors.builder.fneg(self.real))

    def conjugate(self) -> _Complex:
        """Return this with the other sign of the imaginary part."""
        return _Complex(self.vectors, self.real, self.vectors.builder.fneg(self.imaginary))


@intrinsic
def turn_four(typingctx, real, imaginary, gap, turns, direction):
    """Transform four rows `gap` numbers apart, one vector of columns, in place."""
    signature = types.void(real, imaginary, types.intp, turns, direction)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        planes, gap, table = arguments[:2], arguments[2], arguments[3]
        number = context.get_value_type(signature.args[0].dtype)
        vectors = Vectors(builder, number, lanes_of(bits_of(number) // 8))
        rows = [builder.mul(gap, WORD(row)) for row in range(4)]

        def factor(power: int) -> _Complex:
            parts = (builder.load(builder.gep(table, [WORD(2 * power + p)])) for p in range(2))
            return _Complex(vectors, *(vectors.splat(part) for part in parts))

        given = [_Complex(vectors, *(vectors.load(plane, row) for plane in planes)) for row in rows]
        inverse = len(signature.args[4]) == len(INVERSE)
        if inverse:
            given[1:] = [given[n] * factor(n - 1).conjugate() for n in (1, 2, 3)]
        even, odd = given[0] + given[2], given[1] + given[3]
        between, turned = given[0] - given[2], (given[1] - given[3]).turned()
        if inverse:
            results = [even + odd, between - turned, even - odd, between + turned]
        else:
            results = [even + odd, between + turned, even - odd, between - turned]
            results[1:] = [results[n] * factor(n - 1) for n in (1, 2, 3)]
        for row, result in zip(rows, results, strict=True):
            vectors.store(result.real, planes[0], row)
            vectors.store(result.imaginary, planes[1], row)
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def add_up_complex(typingctx, real, imaginary, taps, offsets, taps_w):
    """Replace one tile of complex samples by `sum_j taps[j] * samples[x + offsets[j]]`.

    Samples to the right are read as well, so tiles go from left to right. The imaginary parts of
    the taps follow the real ones.
    """
    signature = types.void(real, imaginary, taps, types.CPointer(types.int64), types.intp)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        real, imaginary, taps, offsets, taps_w = arguments
        number = context.get_value_type(signature.args[0].dtype)
        vectors = Vectors(builder, number, lanes_of(bits_of(number) // 8))
        across = [WORD(vector * vectors.lanes) for vector in range(ROW_VECTORS)]
        zero = vectors.constant(0.0)
        sums = [registers(builder, vectors.type, len(across), zero) for _ in range(2)]

        def add(one: Any, other: Any, register: Any) -> None:
            builder.store(vectors.fused(one, other, builder.load(register)), register)

        with cgutils.for_range(builder, taps_w) as tap:
            offset = builder.load(builder.gep(offsets, [tap.index]))
            places = tap.index, builder.add(tap.index, taps_w)
            tap_real, tap_imaginary = (
                vectors.splat(builder.load(builder.gep(taps, [place]))) for place in places
            )
            negative = builder.fneg(tap_imaginary)
            shifted = [builder.gep(plane, [offset]) for plane in (real, imaginary)]
            for vector, place in enumerate(across):
                sample_real, sample_imaginary = (vectors.load(plane, place) for plane in shifted)
                add(tap_real, sample_real, sums[0][vector])
                add(tap_real, sample_imaginary, sums[1][vector])
                add(negative, sample_imaginary, sums[0][vector])
                add(tap_imaginary, sample_real, sums[1][vector])
        for plane, tile in zip((real, imaginary), sums, strict=True):
            for place, register in zip(across, tile, strict=True):
                vectors.store(builder.load(register), plane, place)
        return context.get_dummy_value()

    return signature, emit


@compiled_part
def transform_columns(real, imaginary, step, columns, size, turns, direction):
    """Transform `columns` columns of `size` rows, whole vectors of them."""
    for column in range(0, columns, VECTOR_BYTES // real.itemsize):
        part = size if len(direction) == 1 else 4
        while 1 < part <= size:
            quarter = part // 4
            for place in range(quarter):
                turn = pointer(turns, 6 * place * (size // part))
                for row in range(place, size, part):
                    start = row * step + column
                    turn_four(
                        pointer(real, start), pointer(imaginary, start), quarter * step, turn,
                        direction,
                    )  # fmt: skip
            part = quarter if len(direction) == 1 else part * 4


def largest_sample(planes: Any, number: Any) -> float:
    """Return the largest sample that may be transformed in `number`s beside the others.

    A transform's rounding errors are a share of the largest sample of a block, whatever lies around
    the others: a value that stands for "no data" would bury them. What may be lost is measured by
    the quietest part of the picture, the lower quartile of its magnitudes without zeros.

    >>> dim = np.full((40, 40, 1), 2.0**-10, np.float32)
    >>> dim[7, 7] = -3.4e38
    >>> largest_sample(dim, np.dtype(np.float32))
    4.0
    """
    height, width = planes.shape[0], planes[0].size
    lines = np.linspace(0, height - 1, PARTS * PART_LINES).astype(np.int64)
    starts = np.linspace(0, max(width - PART_RUN, 0), PARTS).astype(np.int64)
    places = np.minimum(starts[:, None] + np.arange(PART_RUN), width - 1)
    samples = np.abs(planes.reshape(height, width)[lines[:, None, None], places])
    parts = samples.reshape(PARTS, PART_LINES, PARTS, PART_RUN).swapaxes(1, 2)
    parts = np.where((parts > 0) & np.isfinite(parts), parts, np.inf)
    ordered = np.sort(parts.reshape(PARTS * PARTS, -1), axis=1)
    counts = np.isfinite(ordered).sum(axis=1)
    quartiles = ordered[np.arange(len(ordered)), counts // 4]
    return float(min(quartiles.min() * LOUDEST / np.finfo(number).eps, BRIGHTEST))


@compiled_part
def strays(sums, step, rows, columns, whole, largest):
    """Round numbers to integers if they are `whole`; return how many are over `largest`."""
    count = 0
    for row in range(rows):
        line = sums[row * step : row * step + columns]
        if whole:
            for place in range(columns):
                line[place] = np.rint(line[place])
        for place in range(columns):
            count += not abs(line[place]) <= largest
    return count


@compiled_band
def transform_band(job, part, statistics, work):
    """Filter the rows of `part`, at most two blocks.

    The planes of `work` are the real and the imaginary part; `whole` sums are rounded to integers.
    Returns where it stops: at the end of the part, or at a pair of blocks with samples beyond
    `loudest`, or sums that are not finite (beyond `largest`), which a transform carries to all of
    their rows.
    """
    real, imaginary, step, size = work.planes[0], work.planes[1], work.step, work.size
    middle = min(part.first + size - job.taps_h + 1, part.last)
    for left in range(part.begin, part.end, work.columns):
        columns = min(work.columns, part.end - left)
        for half in range(2):
            top, bottom = (part.first, middle) if half == 0 else (middle, part.last)
            known = (bottom - top + job.taps_h - 1) * (top < bottom)
            widen_block(work.planes[half], step, job, top, known, left, columns + job.reach)
            work.planes[half, known * step : size * step] = 0
            if strays(work.planes[half], step, known, columns + job.reach, False, work.loudest):
                return left
        turns = work.turns
        transform_columns(real, imaginary, step, columns + job.reach, size, turns, (0,))
        for row in range(size):
            for column in range(0, columns, work.row_width):
                start = row * step + column
                add_up_complex(
                    pointer(real, start), pointer(imaginary, start),
                    pointer(work.taps, 2 * row * job.taps_w), pointer(job.offsets, 0), job.taps_w,
                )  # fmt: skip
        transform_columns(real, imaginary, step, columns, size, turns, (0, 0))
        for half in range(2):
            rows = middle - part.first if half == 0 else part.last - middle
            if strays(work.planes[half], step, rows, columns, work.whole, work.largest):
                return left
        for half in range(2):
            top, bottom = (part.first, middle) if half == 0 else (middle, part.last)
            sums = work.planes[half]
            convert_block(job, statistics, top, left, sums, step, bottom - top, columns, None)
    return part.end
