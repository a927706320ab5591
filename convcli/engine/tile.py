"""One register tile does every product: convolutions, their gradients, dense layers, filters.

    C[m, n] = start[m, n] + sum_r sum_k A[m*a_row + r*a_block + k*a_step]
                                      * B[r*b_block + k*b_step + n]

Strides are free and signed, counted in numbers; n is contiguous in B, C and start. With channels
last, a convolution is such a product over overlapping rows (the patch of pixel x for kernel row r
is the contiguous run that begins at x * stride * channels of input row y + r), so that it needs no
unrolled copy of its input. The tile follows Goto and van de Geijn, "Anatomy of High-Performance
Matrix Multiplication" (2008): sums stay in registers, one loaded vector of B serves all rows.

`tile` is called from compiled code with pointers (see `pointer`); `product` is the same from
Python with flat arrays. `convcli.engine.reference` has the same names in NumPy.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from convcli.engine import reference
from convcli.engine.compilation import njit
from convcli.engine.host import host
from convcli.engine.llvm import FLOAT, WORD, Vectors, advance, pointer
from convcli.engine.reference import NO_BOUND

__all__ = [
    "FLOATS",
    "HOST",
    "LANES",
    "NO_BOUND",
    "TILE_ROWS",
    "VECTOR",
    "WORD",
    "advance",
    "pointer",
    "product",
    "tile",
]

HOST = host()
LANES = HOST.lanes
TILE_ROWS = HOST.tile_rows
SUMS_IN_FLIGHT = 8
"""Independent sums that hide a multiply-add's latency: 4 cycles x 2 units on current cores."""

FLOATS = types.CPointer(types.float32)
VECTOR = ir.VectorType(FLOAT, LANES)


class _Tile:
    """Emits the block of one tile of `rows` x `vectors` sums, the last vector masked or not."""

    def __init__(self, builder: Any, arguments: Any, rows: int, vectors: int, masked: bool):
        (
            self.c, self.c_row, self.start, self.start_row, self.a, self.a_row, self.a_block,
            self.a_step, self.b, self.b_block, self.b_step, self.columns, self.blocks, self.steps,
            self.lowest,
        ) = arguments  # fmt: skip
        self.builder, self.rows, self.vectors = builder, rows, vectors
        self.wide = Vectors(builder, FLOAT, LANES)
        self.mask = self.wide.places(WORD(0), self.columns) if masked else None
        self.copies = max(1, SUMS_IN_FLIGHT // (rows * vectors))

    def emit(self) -> None:
        first = [
            self._load(self.start, self._times(self.start_row, row), vector)
            for row in range(self.rows)
            for vector in range(self.vectors)
        ]
        zero = self.wide.constant(0.0)
        sums = first + [zero] * (len(first) * (self.copies - 1))
        sums = self._loop(self.blocks, 1, self.a_block, self.b_block, self.a, self.b, sums, True)
        for copy in range(1, self.copies):
            for place in range(len(first)):
                sums[place] = self.builder.fadd(sums[place], sums[copy * len(first) + place])
        low = self.wide.splat(self.lowest)
        for place in range(len(first)):
            row, vector = divmod(place, self.vectors)
            below = self.wide.compared("<", sums[place], low)
            value = self.builder.select(below, low, sums[place])
            at = self._times(self.c_row, row)
            self.wide.store(value, self.c, self._at(at, vector), self.mask)

    def _loop(
        self, count: Any, unroll: int, a_stride: Any, b_stride: Any, a: Any, b: Any, sums: Any,
        outer: bool,
    ) -> Any:  # fmt: skip
        """Emit `for _ in range(count // unroll)`; return the sums after it."""
        builder = self.builder
        trips = builder.sdiv(count, WORD(unroll)) if unroll > 1 else count
        before = builder.block
        body = builder.append_basic_block("sums")
        after = builder.append_basic_block("done")
        empty = builder.icmp_signed("<=", trips, WORD(0))
        builder.cbranch(empty, after, body)
        builder.position_at_end(body)
        trip = builder.phi(WORD)
        a_phi, b_phi = builder.phi(a.type), builder.phi(b.type)
        phis = [builder.phi(VECTOR) for _ in sums]
        pairs = zip([trip, a_phi, b_phi, *phis], [WORD(0), a, b, *sums], strict=True)
        for phi, value in pairs:
            phi.add_incoming(value, before)
        if outer:
            inner = self._steps(a_phi, b_phi, phis)
        else:
            inner = self._multiply_add(a_phi, b_phi, phis, unroll)
        nexts = [
            builder.add(trip, WORD(1)),
            builder.gep(a_phi, [builder.mul(a_stride, WORD(unroll))]),
            builder.gep(b_phi, [builder.mul(b_stride, WORD(unroll))]),
            *inner,
        ]
        end = builder.block
        for phi, value in zip([trip, a_phi, b_phi, *phis], nexts, strict=True):
            phi.add_incoming(value, end)
        builder.cbranch(builder.icmp_signed("<", nexts[0], trips), body, after)
        builder.position_at_end(after)
        results = []
        for value, new in zip([a, b, *sums], nexts[1:], strict=True):
            result = builder.phi(value.type)
            result.add_incoming(value, before)
            result.add_incoming(new, end)
            results.append(result)
        self.a_end, self.b_end = results[:2]
        return results[2:]

    def _steps(self, a: Any, b: Any, sums: Any) -> Any:
        """Emit the loop over k: `copies` steps at a time with sums of their own, then the rest."""
        step = (self.a_step, self.b_step)
        if self.copies == 1:
            return self._loop(self.steps, 1, *step, a, b, sums, False)
        sums = self._loop(self.steps, self.copies, *step, a, b, sums, False)
        rest = self.builder.srem(self.steps, WORD(self.copies))
        size = self.rows * self.vectors
        first = self._loop(rest, 1, *step, self.a_end, self.b_end, sums[:size], False)
        return first + sums[size:]

    def _multiply_add(self, a: Any, b: Any, sums: Any, unroll: int) -> Any:
        """Emit `sum += A * B` for `unroll` values of k, each on its own set of sums."""
        builder = self.builder
        sums = list(sums)
        size = self.rows * self.vectors
        for copy in range(unroll):
            a_here = builder.gep(a, [self._times(self.a_step, copy)])
            b_here = builder.gep(b, [self._times(self.b_step, copy)])
            loaded = [self._load(b_here, WORD(0), vector) for vector in range(self.vectors)]
            for row in range(self.rows):
                number = builder.load(builder.gep(a_here, [self._times(self.a_row, row)]))
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


def _tile_intrinsic(vectors: int, masked: bool, most_rows: int) -> Any:
    """Return the tile with `vectors` vectors of columns for up to `most_rows` rows."""

    @intrinsic
    def some_rows(
        typingctx, c, c_row, start, start_row, a, a_row, a_block, a_step, b, b_block, b_step,
        columns, blocks, steps, lowest, rows,
    ):  # fmt: skip
        word = types.intp
        signature = types.void(
            FLOATS, word, FLOATS, word, FLOATS, word, word, word, FLOATS, word, word, word, word,
            word, types.float32, word,
        )  # fmt: skip

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            *shared, count = arguments
            end = builder.append_basic_block("end")
            choice = builder.switch(count, end)
            for size in range(1, most_rows + 1):
                block = builder.append_basic_block(f"rows{size}")
                choice.add_case(WORD(size), block)
                builder.position_at_end(block)
                _Tile(builder, shared, size, vectors, masked).emit()
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return signature, emit

    return some_rows


FEW_ROWS = 4
_two_vectors = _tile_intrinsic(2, False, TILE_ROWS)
_few_rows = _tile_intrinsic(1, False, FEW_ROWS)
_one_vector = _tile_intrinsic(1, True, TILE_ROWS)


@njit(inline="always")  # part of its caller: compiled once, where it is used
def tile(
    c, c_row, start, start_row, a, a_row, a_block, a_step, b, b_block, b_step,
    rows, columns, blocks, steps, lowest,
):  # fmt: skip
    """Write `max(lowest, start + A * B)` to `rows` x `columns` numbers at `c`; see the module.

    `start` may be `c` itself (accumulate), a bias row with `start_row` 0, or zeros. `blocks` and
    `steps` are the extents of r and k; `lowest` is 0 for a fused ReLU, else `NO_BOUND`.
    """
    groups = (rows + TILE_ROWS - 1) // TILE_ROWS
    left = 0
    while left < columns:
        wide = columns - left >= 2 * LANES
        row = 0
        for group in range(groups):
            count = (rows - row) // (groups - group)
            c_here = advance(c, row * c_row + left)
            start_here = advance(start, row * start_row + left)
            a_here = advance(a, row * a_row)
            b_here = advance(b, left)
            if wide:
                _two_vectors(
                    c_here, c_row, start_here, start_row, a_here, a_row, a_block, a_step,
                    b_here, b_block, b_step, columns - left, blocks, steps, lowest, count,
                )  # fmt: skip
            elif count <= FEW_ROWS and columns - left >= LANES:
                _few_rows(
                    c_here, c_row, start_here, start_row, a_here, a_row, a_block, a_step,
                    b_here, b_block, b_step, columns - left, blocks, steps, lowest, count,
                )  # fmt: skip
            else:
                _one_vector(
                    c_here, c_row, start_here, start_row, a_here, a_row, a_block, a_step,
                    b_here, b_block, b_step, columns - left, blocks, steps, lowest, count,
                )  # fmt: skip
            row += count
        left += 2 * LANES if wide else LANES


@njit(cache=True, nogil=True)
def product(
    c, c_at, c_row, start, start_at, start_row, a, a_at, a_row, a_block, a_step,
    b, b_at, b_block, b_step, rows, columns, blocks, steps, lowest=NO_BOUND,
):  # fmt: skip
    """Run `tile` on flat float32 arrays; each operand begins at its `..._at`."""
    tile(
        pointer(c, c_at), c_row, pointer(start, start_at), start_row,
        pointer(a, a_at), a_row, a_block, a_step, pointer(b, b_at), b_block, b_step,
        rows, columns, blocks, steps, lowest,
    )  # fmt: skip


if config.DISABLE_JIT:  # vector code exists only compiled
    product = reference.product
