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
from convcli.engine.reference import NO_BOUND

HOST = host()
LANES = HOST.lanes
TILE_ROWS = HOST.tile_rows
SUMS_IN_FLIGHT = 8
"""Independent sums that hide a multiply-add's latency: 4 cycles x 2 units on current cores."""

FLOATS = types.CPointer(types.float32)
WORD = ir.IntType(64)
FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)
MASK = ir.VectorType(ir.IntType(1), LANES)


@intrinsic
def pointer(typingctx: Any, array: Any, index: Any) -> Any:
    """Return the address of `array[index]` of a flat contiguous array, for compiled code."""
    signature = types.CPointer(array.dtype)(array, types.intp)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return signature, emit


@intrinsic
def advance(typingctx: Any, base: Any, count: Any) -> Any:
    """Return the pointer `count` numbers after `base`, for compiled code."""
    signature = base(base, types.intp)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return signature, emit


class _Tile:
    """Emits the block of one tile of `rows` x `vectors` sums, the last vector masked or not."""

    def __init__(self, builder: Any, arguments: Any, rows: int, vectors: int, masked: bool):
        (
            self.c, self.c_row, self.start, self.start_row, self.a, self.a_row, self.a_block,
            self.a_step, self.b, self.b_block, self.b_step, self.columns, self.blocks, self.steps,
            self.lowest,
        ) = arguments  # fmt: skip
        self.builder, self.rows, self.vectors = builder, rows, vectors
        self.mask = self._mask() if masked else None
        self.copies = max(1, SUMS_IN_FLIGHT // (rows * vectors))

    def emit(self) -> None:
        first = [
            self._load(self.start, self._times(self.start_row, row), vector)
            for row in range(self.rows)
            for vector in range(self.vectors)
        ]
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        sums = first + [zero] * (len(first) * (self.copies - 1))
        sums = self._loop(self.blocks, 1, self.a_block, self.b_block, self.a, self.b, sums, True)
        for copy in range(1, self.copies):
            for place in range(len(first)):
                sums[place] = self.builder.fadd(sums[place], sums[copy * len(first) + place])
        low = self._splat(self.lowest)
        for place in range(len(first)):
            row, vector = divmod(place, self.vectors)
            below = self.builder.fcmp_ordered("<", sums[place], low)
            value = self.builder.select(below, low, sums[place])
            self._store(value, self._times(self.c_row, row), vector)

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
                splat = self._splat(number)
                for vector in range(self.vectors):
                    place = copy * size + row * self.vectors + vector
                    sums[place] = self._fused(splat, loaded[vector], sums[place])
        return sums

    def _times(self, stride: Any, factor: int) -> Any:
        return self.builder.mul(stride, WORD(factor))

    def _fused(self, one: Any, other: Any, total: Any) -> Any:
        if not HOST.fused:
            return self.builder.fadd(self.builder.fmul(one, other), total)
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        function = self._declared(f"llvm.fma.v{LANES}f32", kind)
        return self.builder.call(function, [one, other, total])

    def _splat(self, number: Any) -> Any:
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def _place(self, base: Any, offset: Any, vector: int) -> Any:
        place = self.builder.gep(base, [self.builder.add(offset, WORD(vector * LANES))])
        return self.builder.bitcast(place, VECTOR.as_pointer())

    def _load(self, base: Any, offset: Any, vector: int) -> Any:
        place = self._place(base, offset, vector)
        if self.mask is None:
            return self.builder.load(place, align=4)
        kind = ir.FunctionType(VECTOR, [place.type, ir.IntType(32), MASK, VECTOR])
        function = self._declared(f"llvm.masked.load.v{LANES}f32.p0", kind)
        zero = ir.Constant(VECTOR, [0.0] * LANES)
        return self.builder.call(function, [place, ir.IntType(32)(4), self.mask, zero])

    def _store(self, value: Any, offset: Any, vector: int) -> None:
        place = self._place(self.c, offset, vector)
        if self.mask is None:
            self.builder.store(value, place, align=4)
            return
        kind = ir.FunctionType(ir.VoidType(), [VECTOR, place.type, ir.IntType(32), MASK])
        function = self._declared(f"llvm.masked.store.v{LANES}f32.p0", kind)
        self.builder.call(function, [value, place, ir.IntType(32)(4), self.mask])

    def _mask(self) -> Any:
        numbers = ir.VectorType(WORD, LANES)
        counts = ir.Constant(numbers, list(range(LANES)))
        undefined = ir.Constant(numbers, ir.Undefined)
        first = self.builder.insert_element(undefined, self.columns, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        limit = self.builder.shuffle_vector(first, undefined, zeros)
        return self.builder.icmp_signed("<", counts, limit)

    def _declared(self, name: str, kind: Any) -> Any:
        module = self.builder.module
        known = module.globals.get(name)
        return known if known is not None else ir.Function(module, kind, name)


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
