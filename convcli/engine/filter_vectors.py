"""The inner loops of the filters as vectors: widen pixels, add up taps, convert sums.

Each is a Numba intrinsic that emits LLVM vector code, because loops that round, cut and count are
not vectorized from scalar code. They work on addresses and on the records of `filter_job`.

The tile is the register blocking of Goto and van de Geijn, "Anatomy of High-Performance Matrix
Multiplication" (2008), turned to pictures: `rows` lines of output by some vectors stay in
registers, and each vector of samples that is loaded serves all of these lines.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from convcli.engine.llvm import (
    I32,
    WORD,
    Fields,
    Vectors,
    bits_of,
    host,
    is_set,
    lanes_of,
    registers,
)

SUMS = 24 if host().lanes == 16 else 12
"""Vectors of sums of one tile; with the samples and weights they fill the register file."""

MOST_ROWS = 6 if host().lanes == 16 else 4

# Places in the array of parameters of a conversion.
RECIPROCAL, DIVISOR, BIAS, OFFSET, BELOW, ABOVE, LOW, HIGH, HALF, SHIFT = range(10)
PARAMETERS = 10

SMALL_LINES, FACTORED_LINES = 4, 8
"""Lines of one tile of a small kernel, and of a tall one whose rows of sums serve many lines."""

SMALL_WIDTH = 64 if host().lanes == 16 else 16
"""Numbers of one line of it; they and a sample and its weights fit the registers."""


def tile_vectors(rows: int) -> int:
    """Return how many vectors wide a tile of `rows` lines is."""
    return 8 if rows < 4 else SUMS // 6


def small_width(kernels: int, itemsize: int) -> int:
    """Return how many numbers wide a tile of small kernels is whose weights have `itemsize`."""
    return max(SMALL_WIDTH // kernels, lanes_of(itemsize))


@intrinsic
def widen_row(typingctx: Any, wide: Any, narrow: Any, count: Any) -> Any:
    """Convert `count` pixels at address `narrow` to floating point at address `wide`."""
    pixel = narrow.dtype

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, source, total = arguments
        number = context.get_value_type(signature.args[0].dtype)
        stored = context.get_value_type(pixel)

        def piece(lanes: int, index: Any) -> None:
            vectors = Vectors(builder, number, lanes)
            value = vectors.widened(vectors.load(source, index, stored), pixel)
            vectors.store(value, target, index)

        _in_vectors_and_singles(builder, total, lanes_of(bits_of(number) // 8), piece)
        return context.get_dummy_value()

    return types.void(wide, narrow, types.intp), emit


@intrinsic
def copy_row(typingctx: Any, target: Any, source: Any, count: Any) -> Any:
    """Copy `count` numbers."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, source, total = arguments
        size = context.get_abi_sizeof(context.get_value_type(signature.args[0].dtype))
        cgutils.raw_memcpy(builder, target, source, total, size)
        return context.get_dummy_value()

    return types.void(target, source, types.intp), emit


def _in_vectors_and_singles(builder: Any, total: Any, lanes: int, piece: Any) -> None:
    """Emit `piece(lanes, index)` over whole vectors, then one number at a time."""
    done = _in_vectors(builder, total, lanes, partial(piece, lanes))
    with cgutils.for_range(builder, builder.sub(total, done)) as loop:
        piece(1, builder.add(done, loop.index))


def _in_vectors(builder: Any, total: Any, lanes: int, piece: Any) -> Any:
    """Emit `piece(index)` over whole vectors; return how many numbers they were."""
    whole = builder.sdiv(total, WORD(lanes))
    with cgutils.for_range(builder, whole) as loop:
        piece(builder.mul(loop.index, WORD(lanes)))
    return builder.mul(whole, WORD(lanes))


@intrinsic
def add_rows(typingctx: Any, target: Any, one: Any, other: Any, count: Any) -> Any:
    """Write `count` sums of integers at `one` and `other`, and behind them up to a vector more."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *rows, total = arguments
        vectors = Vectors.of(context, builder, signature.args[0].dtype)

        def piece(index: Any) -> None:
            first, second = (vectors.load(row, index) for row in rows[1:])
            vectors.store(builder.add(first, second), rows[0], index)

        _in_vectors(builder, builder.add(total, WORD(vectors.lanes - 1)), vectors.lanes, piece)
        return context.get_dummy_value()

    return types.void(target, one, other, types.intp), emit


@intrinsic
def slide_row(typingctx: Any, sums: Any, entering: Any, leaving: Any, count: Any) -> Any:
    """Add `count` pixels at `entering` to integer sums and take those at `leaving` away."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, new, old, total = arguments
        number = context.get_value_type(signature.args[0].dtype)
        pixel = signature.args[1].dtype
        stored = context.get_value_type(pixel)

        def piece(lanes: int, index: Any) -> None:
            vectors = Vectors(builder, number, lanes)
            plus, minus = (
                vectors.widened(vectors.load(row, index, stored), pixel) for row in (new, old)
            )
            total = builder.add(vectors.load(sums, index), builder.sub(plus, minus))
            vectors.store(total, sums, index)

        _in_vectors_and_singles(builder, total, lanes_of(bits_of(number) // 8), piece)
        return context.get_dummy_value()

    return types.void(sums, entering, leaving, types.intp), emit


def each_row_of_samples(builder: Any, lines: int, taps_h: Any, sample_row: Any) -> None:
    """Emit `sample_row(row, lines that it serves)` for all rows that a tile of `lines` reads."""
    for first in range(lines - 1):
        sample_row(WORD(first), range(first + 1))
    with cgutils.for_range(builder, builder.sub(taps_h, WORD(lines - 1))) as loop:
        sample_row(builder.add(loop.index, WORD(lines - 1)), range(lines))
    for last in range(lines - 1):
        sample_row(builder.add(taps_h, WORD(last)), range(last + 1, lines))


@intrinsic
def add_up_tile(
    typingctx, sums, sums_step, samples, samples_step, weights, offsets, taps_h, taps_w, rows
):  # fmt: skip
    """Write `sum_ij weights[i, j] * samples[m + i, x + offsets[j]]` to lines m of one tile.

    The tile is `len(rows)` lines (at most `taps_h + 1`) by `tile_vectors` vectors. Taps are added
    line by line of the kernel, so that each sum has the same order wherever its tile begins.
    """
    lines = len(rows)
    word = types.intp
    signature = types.void(
        sums, word, samples, word, weights, types.CPointer(types.int64), word, word, rows
    )

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, sums_step, samples, samples_step, weights, offsets, taps_h, taps_w, _ = arguments
        number = context.get_value_type(signature.args[0].dtype)
        pixel = signature.args[2].dtype
        stored = context.get_value_type(pixel)
        vectors = Vectors(builder, number, lanes_of(bits_of(number) // 8))
        across = range(tile_vectors(lines))
        zero = vectors.constant(0.0)
        tile = [registers(builder, vectors.type, len(across), zero) for _ in range(lines)]

        def sample_row(row: Any, active: range) -> None:
            """Add the samples of one line to the sums of the `active` lines of the tile."""
            here = builder.gep(samples, [builder.mul(row, samples_step)])
            kernel_rows = {
                m: builder.gep(weights, [builder.mul(builder.sub(row, WORD(m)), taps_w)])
                for m in active
            }
            with cgutils.for_range(builder, taps_w) as tap:
                shifted = builder.gep(here, [builder.load(builder.gep(offsets, [tap.index]))])
                splats = {
                    m: vectors.splat(builder.load(builder.gep(kernel_row, [tap.index])))
                    for m, kernel_row in kernel_rows.items()
                }
                for v in across:
                    loaded = vectors.load(shifted, WORD(v * vectors.lanes), stored)
                    sample = vectors.widened(loaded, pixel)
                    for m in active:
                        total = vectors.fused(splats[m], sample, builder.load(tile[m][v]))
                        builder.store(total, tile[m][v])

        each_row_of_samples(builder, lines, taps_h, sample_row)
        for m in range(lines):
            base = builder.gep(sums, [builder.mul(sums_step, WORD(m))])
            for v in across:
                vectors.store(builder.load(tile[m][v]), base, WORD(v * vectors.lanes))
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def short_row(typingctx, sums, samples, count, weights, offsets, across):
    """Write `count` sums of few taps `offsets` apart, and behind them up to a vector more."""
    word = types.intp
    signature = types.void(sums, samples, word, weights, types.CPointer(types.int64), across)
    taps = range(len(across))

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, samples, count, weights, offsets, _ = arguments
        pixel = signature.args[1].dtype
        stored = context.get_value_type(pixel)
        vectors = Vectors.of(context, builder, signature.args[0].dtype)
        places = [builder.load(builder.gep(offsets, [WORD(tap)])) for tap in taps]
        splats = [vectors.splat(builder.load(builder.gep(weights, [WORD(tap)]))) for tap in taps]

        def piece(index: Any) -> None:
            total = vectors.constant(0.0)
            for place, splat in zip(places, splats, strict=True):
                sample = vectors.load(samples, builder.add(index, place), stored)
                total = vectors.fused(splat, vectors.widened(sample, pixel), total)
            vectors.store(total, sums, index)

        _in_vectors(builder, builder.add(count, WORD(vectors.lanes - 1)), vectors.lanes, piece)
        return context.get_dummy_value()

    return signature, emit


class Running:
    """Four running vectors: lowest, highest, how many below, how many above.

    They live in registers while vectors pass, and in memory (a record of `extremes` and `counts`)
    between rows. Sums of 16 bits are counted in 16 bits in registers, so at most 2**15 vectors may
    pass at once.
    """

    def __init__(self, builder: Any, statistics: Fields, vectors: Vectors):
        number, lanes = vectors.number, vectors.lanes
        self.builder, self.kept = builder, ir.IntType(max(32, bits_of(number)))
        self.counts = Vectors(builder, ir.IntType(bits_of(number)), lanes)
        self.kinds = [vectors, vectors, self.counts, self.counts]
        self.registers = [cgutils.alloca_once(builder, kind.type) for kind in self.kinds]
        bases = [statistics.extremes] * 2 + [statistics.counts] * 2
        places = [WORD(which % 2 * lanes) for which in range(4)]
        self.memory = [builder.gep(base, [at]) for base, at in zip(bases, places, strict=True)]

    def to_registers(self) -> None:
        """Take the extremes out of memory; counts begin at zero."""
        for kind, register, place in zip(self.kinds, self.registers, self.memory, strict=True):
            first = kind.constant(0) if kind is self.counts else kind.load(place, WORD(0))
            self.builder.store(first, register)

    def to_memory(self) -> None:
        """Put the extremes back, and add the counts to those of before."""
        for kind, register, place in zip(self.kinds, self.registers, self.memory, strict=True):
            value = self.builder.load(register)
            if kind is self.counts:
                before = kind.load(place, WORD(0), self.kept)
                if before.type != value.type:
                    value = self.builder.sext(value, before.type)
                value = self.builder.add(before, value)
            kind.store(value, place, WORD(0))

    def update(self, which: int, change: Any) -> None:
        """Replace one running vector by `change` of it."""
        self.builder.store(change(self.builder.load(self.registers[which])), self.registers[which])


class Conversion:
    """Emits the way from sums to pixels, with the statistics that are taken on it.

    value = sum * RECIPROCAL + OFFSET, or (sum + BIAS) / DIVISOR with `exact_quotient`: Markstein's
    quotient, a multiplication by the reciprocal, mended with the exact remainder ("Computation of
    elementary functions on the IBM RISC System/6000", 1990). `magnitudes` drops signs; `counts`,
    where values can leave the range, counts those under BELOW and from ABOVE on, and cuts them.
    Sums of 16 bits stay integers to the end: they are divided by a power of two, or by
    multiplication with a reciprocal (Granlund and Montgomery, "Division by invariant integers using
    multiplication", 1994), and rounded half to even.
    """

    def __init__(self, vectors: Vectors, parameters: Any, flags: Any, running: Running):
        builder = vectors.builder
        self.vectors, self.running = vectors, running
        self.flags = {
            name: is_set(kind) for name, kind in zip(flags.fields, flags.types, strict=True)
        }
        scalars = [builder.load(builder.gep(parameters, [WORD(n)])) for n in range(PARAMETERS)]
        self.given = [vectors.splat(scalar) for scalar in scalars]

    def emit(self, value: Any, mask: Any = None) -> Any:
        """Return the values of the sums `value`; statistics of the lanes of `mask`."""
        vectors, given, running = self.vectors, self.given, self.running
        both = vectors.builder.and_ if mask is not None else lambda one, _: one
        for which, comparison in enumerate("<>"):
            running.update(which, partial(self._extreme, comparison, value, both, mask))
        value = self._biased(value)
        if self.flags["magnitudes"]:
            value = vectors.magnitude(value)
        if self.flags["counts"]:
            for which, comparison, limit in ((2, "<", BELOW), (3, ">=", ABOVE)):
                if which == 2 and self.flags["magnitudes"] and vectors.whole:
                    continue
                outside = both(vectors.compared(comparison, value, given[limit]), mask)
                running.update(which, partial(vectors.one_more, outside))
            value = vectors.chosen(">", given[LOW], value)
            value = vectors.chosen("<", given[HIGH], value)
        return self._whole_quotient(value)

    def _extreme(self, comparison: str, value: Any, both: Any, mask: Any, before: Any) -> Any:
        better = both(self.vectors.compared(comparison, value, before), mask)
        return self.vectors.builder.select(better, value, before)

    def _biased(self, value: Any) -> Any:
        vectors, builder, given = self.vectors, self.vectors.builder, self.given
        if vectors.whole:
            return builder.add(value, given[BIAS])
        if not self.flags["exact_quotient"]:
            return vectors.fused(value, given[RECIPROCAL], given[OFFSET])
        value = builder.fadd(value, given[BIAS])
        if not host().fused:  # the remainder would be rounded
            return builder.fdiv(value, given[DIVISOR])
        quotient = builder.fmul(value, given[RECIPROCAL])
        rest = vectors.fused(builder.fneg(quotient), given[DIVISOR], value)
        return vectors.fused(rest, given[RECIPROCAL], quotient)

    def _whole_quotient(self, value: Any) -> Any:
        """Return integers that are not negative, divided and rounded half to even."""
        builder, given = self.vectors.builder, self.given
        if self.flags["by_power"]:
            odd = builder.and_(builder.lshr(value, given[SHIFT]), self.vectors.constant(1))
            return builder.lshr(builder.add(builder.add(value, given[HALF]), odd), given[SHIFT])
        if not self.flags["by_reciprocal"]:
            return value
        raised = builder.add(value, given[HALF])
        quotient = builder.lshr(self.vectors.upper_product(raised, given[RECIPROCAL]), given[SHIFT])
        if not self.flags["ties"]:
            return quotient
        rest = builder.sub(raised, builder.mul(quotient, given[DIVISOR]))
        tie = builder.icmp_signed("==", rest, self.vectors.constant(0))
        even = builder.and_(quotient, self.vectors.constant(-2))
        return builder.select(tie, even, quotient)

    def store(self, values: list[Any], context: Any, pixel: Any, out: Any, index: Any) -> None:
        """Write `values` as `pixel`s from `out[index]` on; integers are rounded half to even.

        Adding 1.5 * 2**23 (2**52 in double precision) leaves the rounded integer in the low bits.
        All vectors are narrowed at once, which takes fewer steps than one after the other.
        """
        vectors, builder = self.vectors, self.vectors.builder
        stored = context.get_value_type(pixel)
        if isinstance(pixel, types.Integer) and not vectors.whole:
            bits = bits_of(vectors.number)
            magic = vectors.constant(1.5 * 2.0 ** (23 if bits == 32 else 52))
            whole = ir.VectorType(ir.IntType(bits), vectors.lanes)
            values = [builder.bitcast(builder.fadd(value, magic), whole) for value in values]
        value = _beside(builder, values)
        target = ir.VectorType(stored, value.type.count)
        if isinstance(pixel, types.Integer):
            value = builder.trunc(value, target)
        elif bits_of(stored) != bits_of(vectors.number):
            narrower = bits_of(stored) < bits_of(vectors.number)
            value = (builder.fptrunc if narrower else builder.fpext)(value, target)
        Vectors(builder, stored, value.type.count).store(value, out, index)


def _beside(builder: Any, values: list[Any]) -> Any:
    """Return vectors, as many as a power of two, as one."""
    while len(values) > 1:
        count = 2 * values[0].type.count
        order = ir.Constant(ir.VectorType(I32, count), list(range(count)))
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [builder.shuffle_vector(one, other, order) for one, other in pairs]
    return values[0]


@intrinsic
def convert_row(typingctx, out, sums, count, job, statistics):
    """Convert `count` sums to pixels by the job's parameters and flags, and take statistics.

    Behind the sums more numbers are read, up to a vector.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, sums, total, job_value, statistics_value = arguments
        fields = Fields(context, builder, job, job_value)
        number = signature.args[1].dtype
        stored = context.get_value_type(number)
        vectors = Vectors.of(context, builder, fields.kinds["parameters"].dtype)
        running = Running(builder, Fields(context, builder, statistics, statistics_value), vectors)
        conversion = Conversion(vectors, fields.parameters, fields.kinds["flags"], running)
        pixel = signature.args[0].dtype

        def piece(index: Any, to: Any, at: Any, mask: Any = None) -> None:
            value = vectors.widened(vectors.load(sums, index, stored), number)
            conversion.store([conversion.emit(value, mask)], context, pixel, to, at)

        running.to_registers()
        done = _in_vectors(builder, total, vectors.lanes, lambda index: piece(index, out, index))
        rest = builder.sub(total, done)
        with builder.if_then(builder.icmp_signed(">", rest, WORD(0))):
            last = cgutils.alloca_once(builder, context.get_value_type(pixel), WORD(vectors.lanes))
            piece(done, last, WORD(0), vectors.places(WORD(0), rest))
            with cgutils.for_range(builder, rest) as loop:
                value = builder.load(builder.gep(last, [loop.index]))
                builder.store(value, builder.gep(out, [builder.add(done, loop.index)]))
        running.to_memory()
        return context.get_dummy_value()

    return types.void(out, sums, types.intp, job, statistics), emit


@intrinsic
def small_tiles(typingctx, out, out_step, samples, step, count, statistics, work):
    """Write `count` tiles of a small kernel beside each other, `len(work.lines)` lines each.

    Lines of samples are `step` apart. What is between stays in registers: samples are read, taps
    added up, sums converted and their statistics taken.
    """
    word = types.intp
    signature = types.void(out, word, samples, word, word, statistics, work)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, out_step, samples, step, count, *_ = arguments
        small = _SmallKernel(context, builder, signature, arguments)
        small.running.to_registers()
        with cgutils.for_range(builder, count) as loop:
            column = builder.mul(loop.index, WORD(small.width))
            small.tile(builder.gep(out, [column]), out_step, builder.gep(samples, [column]), step)
        small.running.to_memory()
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def small_part(typingctx, out, samples, step, rows, columns, statistics, work):
    """Write a tile of one vector, with statistics of its first `rows` x `columns` places alone."""
    word = types.intp
    signature = types.void(out, samples, word, word, word, statistics, work)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, samples, step, rows, columns, *_ = arguments
        small = _SmallKernel(context, builder, signature, arguments)
        small.running.to_registers()
        small.tile(out, WORD(small.vectors.lanes), samples, step, (rows, columns))
        small.running.to_memory()
        return context.get_dummy_value()

    return signature, emit


class _SmallKernel:
    """Emits sums of one small kernel, or of two for the length of a gradient, and their pixels."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any):
        self.context, self.builder = context, builder
        statistics, self.work = (
            Fields(context, builder, kind, value)
            for kind, value in zip(signature.args[-2:], arguments[-2:], strict=True)
        )
        pointers = [kind for kind in signature.args if isinstance(kind, types.CPointer)]
        self.out_pixel, self.pixel = (kind.dtype for kind in pointers)
        kinds = self.work.kinds
        self.taps_h, self.taps_w = len(kinds["down"]), len(kinds["across"])
        self.kernels = len(kinds["kernels"])
        self.vectors = Vectors.of(context, builder, kinds["weights"].dtype)
        self.width = small_width(self.kernels, kinds["weights"].dtype.bitwidth // 8)
        lanes = self.vectors.lanes
        self.finish = Vectors.of(context, builder, kinds["parameters"].dtype, lanes)
        self.running = Running(builder, statistics, self.finish)
        flags = kinds["flags"]
        self.conversion = Conversion(self.finish, self.work.parameters, flags, self.running)
        self.factored, self.ones = is_set(kinds["factored"]), is_set(kinds["ones"])
        stored = self.taps_h + self.taps_w if self.factored else self.taps_h * self.taps_w
        self.weights = [
            [self._weight(kernel * stored + place) for place in range(stored)]
            for kernel in range(self.kernels)
        ]
        self.offsets = [
            builder.load(builder.gep(self.work.offsets, [WORD(tap)])) for tap in range(self.taps_w)
        ]

    def _weight(self, index: int) -> Any:
        place = self.builder.gep(self.work.weights, [WORD(index)])
        return self.vectors.splat(self.builder.load(place))

    def _is_empty(self, row: int, tap: int) -> bool:
        """Return whether taps are known to be zero: the middle row or column, or the corners."""
        row_is_middle, tap_is_middle = 2 * row == self.taps_h - 1, 2 * tap == self.taps_w - 1
        return (
            self._is_middle("no_middle_row", row, self.taps_h)
            or self._is_middle("no_middle_column", tap, self.taps_w)
            or (is_set(self.work.kinds["cross"]) and not (row_is_middle or tap_is_middle))
        )

    def tile(
        self, out: Any, out_step: Any, samples: Any, step: Any, ends: tuple[Any, Any] | None = None
    ) -> None:
        """Write the pixels of one tile; of one vector, with statistics of places before `ends`."""
        builder, lines = self.builder, len(self.work.kinds["lines"])
        vectors = range(1 if ends else self.width // self.vectors.lanes)
        sums = [self._sums(samples, step, lines, vector) for vector in vectors]
        for m in range(lines):
            mask = None
            if ends is not None:
                taken = builder.icmp_signed("<", WORD(m), ends[0])
                columns = builder.select(taken, ends[1], WORD(0))
                mask = self.vectors.places(WORD(0), columns)
            values = [
                self.conversion.emit(self._joined(*map(self._finishing, sums[v][m])), mask)
                for v in vectors
            ]
            line = builder.gep(out, [builder.mul(out_step, WORD(m))])
            self.conversion.store(values, self.context, self.out_pixel, line, WORD(0))

    def _sums(self, samples: Any, step: Any, lines: int, vector: int) -> list[list[Any]]:
        """Return the sums of every kernel by line, of one vector of the tile at `samples`."""
        rows = [
            self._row(self.builder.gep(samples, [self.builder.mul(step, WORD(row))]), vector)
            for row in range(lines + self.taps_h - 1)
        ]
        by_kernel = []
        for kernel in range(self.kernels):
            own = [row[kernel] for row in rows]
            by_kernel.append(self._slide(own) if self.ones else self._add_up(own, kernel))
        return [list(sums) for sums in zip(*by_kernel, strict=True)]

    def _row(self, start: Any, vector: int) -> list[Any]:
        """Return what a row of samples gives: shifted by each tap, or added up by row factors."""
        builder, lanes = self.builder, self.vectors.lanes
        shifts = [builder.add(offset, WORD(vector * lanes)) for offset in self.offsets]
        stored = self.context.get_value_type(self.pixel)
        loaded = [self.vectors.load(start, shift, stored) for shift in shifts]
        samples = [self.vectors.widened(value, self.pixel) for value in loaded]
        if not self.factored:
            return [samples] * self.kernels
        across = [weights[self.taps_h :] for weights in self.weights]
        return [self._weighted(kernel, samples, "no_middle_column") for kernel in across]

    def _weighted(self, weights: Any, values: Any, middle: str) -> Any:
        """Return the sum of products, without the middle one if it is known to be zero."""
        total = None
        for place, (weight, value) in enumerate(zip(weights, values, strict=True)):
            if not self._is_middle(middle, place, len(weights)):
                total = self._plus(total, weight, value)
        return total

    def _add_up(self, rows: list[Any], kernel: int) -> list[Any]:
        """Return the sums of each line."""
        weights, width = self.weights[kernel], self.taps_w
        if self.factored:
            down = weights[: self.taps_h]
            ends = range(self.taps_h, len(rows) + 1)
            return [
                self._weighted(down, rows[end - self.taps_h : end], "no_middle_row") for end in ends
            ]
        sums: list[Any] = [None] * (len(rows) - self.taps_h + 1)
        for number, samples in enumerate(rows):
            for m in range(len(sums)):
                row = number - m
                for tap in range(width if 0 <= row < self.taps_h else 0):
                    if not self._is_empty(row, tap):
                        sums[m] = self._plus(sums[m], weights[row * width + tap], samples[tap])
        return sums

    def _slide(self, rows: list[Any]) -> list[Any]:
        """Return sums of as many rows as there are taps: each line adds one and takes one away."""
        builder = self.builder
        sums = [reduce(builder.add, rows[: self.taps_h])]
        for entering, leaving in zip(rows[self.taps_h :], rows, strict=False):
            sums.append(builder.add(sums[-1], builder.sub(entering, leaving)))
        return sums

    def _plus(self, total: Any, weight: Any, value: Any) -> Any:
        if self.ones:
            return value if total is None else self.builder.add(total, value)
        if total is None:
            return (self.builder.mul if self.vectors.whole else self.builder.fmul)(weight, value)
        return self.vectors.fused(weight, value, total)

    def _is_middle(self, name: str, place: int, taps: int) -> bool:
        return is_set(self.work.kinds[name]) and 2 * place == taps - 1

    def _finishing(self, value: Any) -> Any:
        if self.vectors.whole and not self.finish.whole:
            whole = ir.VectorType(ir.IntType(bits_of(self.finish.number)), self.finish.lanes)
            return self.builder.sitofp(self.builder.sext(value, whole), self.finish.type)
        return value

    def _joined(self, first: Any, second: Any = None) -> Any:
        if second is None:
            return first
        builder, finish, kinds = self.builder, self.finish, self.work.kinds
        if is_set(kinds["length"]):
            squares = builder.fadd(builder.fmul(first, first), builder.fmul(second, second))
            return finish.root(squares)
        first, second = finish.magnitude(first), finish.magnitude(second)
        if is_set(kinds["taxicab"]):
            return builder.fadd(first, second)
        return finish.chosen(">", first, second)
