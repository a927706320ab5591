"""One register tile does every product: convolutions, their gradients, dense layers, filters.

    C[m, n] = start[m, n] + sum_r sum_k A[m*a_row + r*a_block + k*a_step]
                                      * B[r*b_block + k*b_step + n]

Strides are free and signed, counted in numbers; n is contiguous in B, C and start. With channels
last, a convolution is such a product over overlapping rows (the patch of pixel x for kernel row r
is the contiguous run that begins at x * stride * channels of input row y + r), so that it needs no
unrolled copy of its input. The tile follows Goto and van de Geijn, "Anatomy of High-Performance
Matrix Multiplication" (2008): sums stay in registers, one loaded vector of B serves all rows.

Tiles are called from compiled code with pointers (see `pointer`) in records, which LLVM takes
apart again: they cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from convcli.engine.compilation import njit
from convcli.engine.llvm import FLOAT, LANES, WORD, Fields, Vectors, advance, host

TILE_ROWS = host().tile_rows
SUMS_IN_FLIGHT = 8
"""Independent sums that hide a multiply-add's latency: 4 cycles x 2 units on current cores."""

PANEL = host().tile_vectors * LANES
"""Columns that `wide_tile` takes at a time."""


class Rows(NamedTuple):
    """C, or the start of its sums: a pointer, and numbers from one row to the next."""

    at: Any
    row: int


class Left(NamedTuple):
    """A: a pointer, and numbers from one m, r and k to the next."""

    at: Any
    row: int
    block: int
    step: int


class Right(NamedTuple):
    """B: a pointer, and numbers from one r and k to the next."""

    at: Any
    block: int
    step: int


class Extent(NamedTuple):
    """How many m, n, r and k there are."""

    rows: int
    columns: int
    blocks: int
    steps: int


class Bounds(NamedTuple):
    """Where results are cut off."""

    low: Any
    high: Any


NO_BOUNDS = Bounds(np.float32(-np.inf), np.float32(np.inf))
RELUS = {"relu": 1, "relu6": 2}
"""Activations that are bounds and nothing else, as `bounds_of` knows them; 0 is none."""


@njit(inline="always")
def bounds_of(relu):
    """Return the bounds of one of `RELUS`."""
    infinity = np.float32(np.inf)
    low = np.float32(0.0) if relu else -infinity
    return Bounds(low, np.float32(6.0) if relu == 2 else infinity)


class _Tile:
    """Emits the block of one tile of `rows` x `vectors` sums, the last vector masked or not."""

    def __init__(self, builder: Any, operands: Any, rows: int, vectors: int, masked: bool):
        self.c, self.start, self.a, self.b, self.size, self.bounds, columns = operands
        self.builder, self.rows, self.vectors = builder, rows, vectors
        self.wide = Vectors(builder, FLOAT, LANES)
        self.mask = self.wide.places(WORD(0), columns) if masked else None
        self.copies = max(1, SUMS_IN_FLIGHT // (rows * vectors))
        self.a_rows = [self._times(self.a.row, row) for row in range(rows)]

    def emit(self) -> None:
        first = [
            self._load(self.start.at, self._times(self.start.row, row), vector)
            for row in range(self.rows)
            for vector in range(self.vectors)
        ]
        zero = self.wide.constant(0.0)
        sums = first + [zero] * (len(first) * (self.copies - 1))
        sums = self._blocks(sums)
        for copy in range(1, self.copies):
            for place in range(len(first)):
                sums[place] = self.builder.fadd(sums[place], sums[copy * len(first) + place])
        low, high = self.wide.splat(self.bounds.low), self.wide.splat(self.bounds.high)
        for place in range(len(first)):
            row, vector = divmod(place, self.vectors)
            value = self.wide.bounded(sums[place], low, high)
            at = self._times(self.c.row, row)
            self.wide.store(value, self.c.at, self._at(at, vector), self.mask)

    def _blocks(self, sums: Any) -> Any:
        """Emit the loop over r, around the one over k."""
        ends = (self.a.at, self.b.at, *sums)
        strides = (self.a.block, self.b.block)
        return self._loop(self.size.blocks, strides, ends, self._steps)[2:]

    def _loop(self, count: Any, strides: Any, first: Any, body_of: Any) -> Any:
        """Emit `for _ in range(count)` over A's and B's pointers and the sums; return all three.

        The pointers move on by `strides` each time, and `body_of` them and the sums are the sums.
        """
        builder = self.builder
        before = builder.block
        body = builder.append_basic_block("sums")
        after = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("<=", count, WORD(0)), after, body)
        builder.position_at_end(body)
        given = (WORD(0), *first)
        phis = [builder.phi(value.type) for value in given]
        for phi, value in zip(phis, given, strict=True):
            phi.add_incoming(value, before)
        trip, *places = phis[:3]
        news = [
            builder.add(trip, WORD(1)),
            *(builder.gep(at, [jump]) for at, jump in zip(places, strides, strict=True)),
            *body_of(*places, phis[3:]),
        ]
        end = builder.block
        for phi, value in zip(phis, news, strict=True):
            phi.add_incoming(value, end)
        builder.cbranch(builder.icmp_signed("<", news[0], count), body, after)
        builder.position_at_end(after)
        results = [builder.phi(value.type) for value in first]
        for result, value, new in zip(results, first, news[1:], strict=True):
            result.add_incoming(value, before)
            result.add_incoming(new, end)
        return results

    def _steps(self, a: Any, b: Any, sums: Any) -> Any:
        """Emit the loop over k: `copies` steps at a time with sums of their own, then the rest."""
        steps, copies, one = self.size.steps, WORD(self.copies), (self.a.step, self.b.step)
        if self.copies == 1:
            return self._loop(steps, one, (a, b, *sums), partial(self._multiply_add, 1))[2:]
        many = [self.builder.mul(step, copies) for step in one]
        times = self.builder.sdiv(steps, copies)
        body_of = partial(self._multiply_add, self.copies)
        a, b, *sums = self._loop(times, many, (a, b, *sums), body_of)
        size = self.rows * self.vectors
        rest = self.builder.srem(steps, copies)
        ends = (a, b, *sums[:size])
        return self._loop(rest, one, ends, partial(self._multiply_add, 1))[2:] + sums[size:]

    def _multiply_add(self, unroll: int, a: Any, b: Any, sums: Any) -> Any:
        """Emit `sum += A * B` for `unroll` values of k, each on its own set of sums."""
        builder = self.builder
        sums = list(sums)
        size = self.rows * self.vectors
        for copy in range(unroll):
            a_here = builder.gep(a, [self._times(self.a.step, copy)])
            b_here = builder.gep(b, [self._times(self.b.step, copy)])
            loaded = [self._load(b_here, WORD(0), vector) for vector in range(self.vectors)]
            for row in range(self.rows):
                number = builder.load(builder.gep(a_here, [self.a_rows[row]]))
                splat = self.wide.splat(number)
                for vector in range(self.vectors):
                    place = copy * size + row * self.vectors + vector
                    sums[place] = self.wide.fused(splat, loaded[vector], sums[place])
        return sums

    def _times(self, stride: Any, factor: int) -> Any:
        return self.builder.mul(stride, WORD(factor))

    def _at(self, offset: Any, vector: int) -> Any:
        return self.builder.add(offset, WORD(vector * LANES))

    def _load(self, base: Any, offset: Any, vector: int) -> Any:
        return self.wide.load(base, self._at(offset, vector), mask=self.mask)


def _tile_intrinsic(vectors: int, masked: bool, row_counts: Sequence[int]) -> Any:
    """Return the tile with `vectors` vectors of columns for those counts of rows."""

    @intrinsic
    def some_rows(typingctx, c, start, a, b, size, bounds, columns, rows):
        signature = types.void(c, start, a, b, size, bounds, types.intp, types.intp)

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            records = [
                Fields(context, builder, kind, value)
                for kind, value in zip(signature.args[:6], arguments[:6], strict=True)
            ]
            *numbers, count = arguments[6:]
            end = builder.append_basic_block("end")
            choice = builder.switch(count, end)
            for number in row_counts:
                block = builder.append_basic_block(f"rows{number}")
                choice.add_case(WORD(number), block)
                builder.position_at_end(block)
                _Tile(builder, (*records, *numbers), number, vectors, masked).emit()
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return signature, emit

    return some_rows


def _tile(vectors: int, most_odd: int, *, masked: bool) -> Any:
    """Return the loops around tiles of up to `most_odd`, or an even number of rows.

    Tiles of all counts would take a third longer to compile.
    """
    counts = [rows for rows in range(1, TILE_ROWS + 1) if rows <= most_odd or rows % 2 == 0]
    some_rows, width = _tile_intrinsic(vectors, masked, counts), vectors * LANES

    @njit(inline="always")  # part of its caller: compiled once, where it is used
    def tile(c, start, a, b, size, bounds):
        for left in range(0, size.columns, width):
            row = 0
            while row < size.rows:
                missing = size.rows - row
                tiles = (missing + TILE_ROWS - 1) // TILE_ROWS
                count = (missing + tiles - 1) // tiles
                if count > most_odd and count % 2:
                    count += -1 if count == missing else 1
                c_here = Rows(advance(c.at, row * c.row + left), c.row)
                start_here = Rows(advance(start.at, row * start.row + left), start.row)
                a_here = Left(advance(a.at, row * a.row), a.row, a.block, a.step)
                b_here = Right(advance(b.at, left), b.block, b.step)
                rest = size.columns - left
                some_rows(c_here, start_here, a_here, b_here, size, bounds, rest, count)
                row += count

    return tile


wide_tile = _tile(host().tile_vectors, 7, masked=False)
"""Write `start + A * B`, cut off at the bounds, to the numbers at `c`; see the module.

`start` may be `c` itself (accumulate), a bias row with `row` 0, or zeros; a fused ReLU is a low
bound of 0. The columns are a multiple of `PANEL`; `narrow_tile` takes any number."""
narrow_tile = _tile(1, 1, masked=True)
