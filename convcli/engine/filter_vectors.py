"""The inner loops of the filters as vectors: widen pixels, add up taps, convert sums.

Each is a Numba intrinsic that emits LLVM vector code, because loops that round, cut and count are
not vectorized from scalar code. They work on addresses and on the records of `filter_job`.

The tile is the register blocking of Goto and van de Geijn, "Anatomy of High-Performance Matrix
Multiplication" (2008), turned to pictures: `rows` lines of output by some vectors stay in
registers, and each vector of samples that is loaded serves all of these lines.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from convcli.engine.llvm import WORD, Fields, Vectors, bits_of, host, is_set, lanes_of, registers

SUMS = 24 if host().lanes == 16 else 12
"""Vectors of sums of one tile; with the samples and weights they fill the register file."""

MOST_ROWS = 6 if host().lanes == 16 else 4

# Places in the array of parameters of a conversion.
RECIPROCAL, DIVISOR, BIAS, OFFSET, BELOW, ABOVE, LOW, HIGH, HALF, SHIFT = range(10)
PARAMETERS = 10

SMALL_LINES = 4
"""Lines of one tile of a small kernel."""

SMALL_SUMS = 256 if host().lanes == 16 else 64
"""Sums of one tile of a small kernel; they and a sample and its weights fit the registers."""


def tile_vectors(rows: int) -> int:
    """Return how many vectors wide a tile of `rows` lines is."""
    return 8 if rows < 4 else SUMS // 6


def small_width(kernels: int, itemsize: int) -> int:
    """Return how many numbers wide a tile of small kernels is whose weights have `itemsize`."""
    return max(SMALL_SUMS // (SMALL_LINES * kernels), lanes_of(itemsize))


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
def subtract_rows(typingctx: Any, target: Any, one: Any, other: Any, count: Any) -> Any:
    """Write `count` differences of integers at `one` and `other` as floating point to `target`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        *rows, total = arguments
        number = context.get_value_type(signature.args[0].dtype)
        stored = signature.args[1].dtype

        def piece(lanes: int, index: Any) -> None:
            wide = Vectors(builder, number, lanes)
            whole = Vectors(builder, context.get_value_type(stored), lanes)
            first, second = (whole.load(row, index) for row in rows[1:])
            wide.store(wide.widened(builder.sub(first, second), stored), rows[0], index)

        _in_vectors_and_singles(builder, total, lanes_of(bits_of(number) // 8), piece)
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


class Running:
    """Four running vectors: lowest, highest, how many below, how many above.

    They live in registers while whole vectors pass, and in memory (a record of `extremes` and
    `counts`) between rows; single numbers use the first lane in memory. Sums of 16 bits are counted
    in 16 bits in registers, so at most 2**15 vectors may pass at once.
    """

    def __init__(self, builder: Any, statistics: Fields, number: Any, lanes: int):
        self.builder, self.lanes = builder, lanes
        self.bases = [statistics.extremes] * 2 + [statistics.counts] * 2
        kept = ir.IntType(max(32, bits_of(number)))
        here = ir.IntType(bits_of(number))
        self.stored = (number, number, kept, kept)
        self.numbers = (number, number, here, here)
        self.registers = [
            cgutils.alloca_once(builder, ir.VectorType(kind, lanes)) for kind in self.numbers
        ]

    def _in_memory(self, which: int, lanes: int) -> Any:
        start = WORD(which % 2 * self.lanes)
        place = self.builder.gep(self.bases[which], [start])
        return self.builder.bitcast(place, ir.VectorType(self.stored[which], lanes).as_pointer())

    def to_registers(self) -> None:
        """Take the running vectors out of memory; narrow counts begin at zero."""
        for which, register in enumerate(self.registers):
            if self.numbers[which] == self.stored[which]:
                value = self.builder.load(self._in_memory(which, self.lanes), align=1)
            else:
                value = Vectors(self.builder, self.numbers[which], self.lanes).constant(0)
            self.builder.store(value, register)

    def to_memory(self) -> None:
        """Put the running vectors back."""
        for which, register in enumerate(self.registers):
            value, place = self.builder.load(register), self._in_memory(which, self.lanes)
            if self.numbers[which] != self.stored[which]:
                wide = ir.VectorType(self.stored[which], self.lanes)
                before = self.builder.load(place, align=1)
                value = self.builder.add(before, self.builder.sext(value, wide))
            self.builder.store(value, place, align=1)

    def update(self, which: int, lanes: int, change: Any) -> None:
        """Replace one running vector by `change` of it."""
        alone = lanes != self.lanes
        place = self._in_memory(which, 1) if alone else self.registers[which]
        options = {"align": 1} if alone else {}
        self.builder.store(change(self.builder.load(place, **options)), place, **options)


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

    def emit(self, value: Any, context: Any, pixel: Any, mask: Any = None) -> Any:
        """Return vectors of `pixel` for the sums `value`; statistics of the lanes of `mask`."""
        vectors, given, running = self.vectors, self.given, self.running
        both = vectors.builder.and_ if mask is not None else lambda one, _: one
        for which, comparison in enumerate("<>"):
            running.update(
                which, vectors.lanes, partial(self._extreme, comparison, value, both, mask)
            )
        value = self._biased(value)
        if self.flags["magnitudes"]:
            value = vectors.magnitude(value)
        if self.flags["counts"]:
            for which, comparison, limit in ((2, "<", BELOW), (3, ">=", ABOVE)):
                if which == 2 and self.flags["magnitudes"] and vectors.whole:
                    continue
                outside = both(vectors.compared(comparison, value, given[limit]), mask)
                running.update(which, vectors.lanes, partial(vectors.one_more, outside))
            value = vectors.chosen(">", given[LOW], value)
            value = vectors.chosen("<", given[HIGH], value)
        return self._as_pixels(context, self._whole_quotient(value), pixel)

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
        wide = ir.VectorType(ir.IntType(32), self.vectors.lanes)
        raised = builder.add(value, given[HALF])
        product = builder.mul(builder.zext(raised, wide), builder.zext(given[RECIPROCAL], wide))
        sixteen = ir.Constant(wide, [ir.IntType(32)(16)] * self.vectors.lanes)
        high = builder.trunc(builder.lshr(product, sixteen), self.vectors.type)
        quotient = builder.lshr(high, given[SHIFT])
        if not self.flags["ties"]:
            return quotient
        rest = builder.sub(raised, builder.mul(quotient, given[DIVISOR]))
        tie = builder.icmp_signed("==", rest, self.vectors.constant(0))
        even = builder.and_(quotient, self.vectors.constant(-2))
        return builder.select(tie, even, quotient)

    def _as_pixels(self, context: Any, value: Any, pixel: Any) -> Any:
        """Return `value` as vectors of `pixel`; integers are rounded half to even.

        Adding 1.5 * 2**23 (2**52 in double precision) leaves the rounded integer in the low bits.
        """
        vectors, builder = self.vectors, self.vectors.builder
        stored = context.get_value_type(pixel)
        target = ir.VectorType(stored, vectors.lanes)
        if vectors.whole:
            return builder.trunc(value, target)
        if isinstance(pixel, types.Integer):
            bits = bits_of(vectors.number)
            magic = vectors.constant(1.5 * 2.0 ** (23 if bits == 32 else 52))
            whole = ir.VectorType(ir.IntType(bits), vectors.lanes)
            return builder.trunc(builder.bitcast(builder.fadd(value, magic), whole), target)
        if stored == vectors.number:
            return value
        if isinstance(stored, ir.FloatType):
            return builder.fptrunc(value, target)
        return builder.fpext(value, target)


@intrinsic
def convert_row(typingctx, out, sums, count, job, statistics):
    """Convert `count` sums to pixels by the job's parameters and flags, and take statistics."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, sums, total, job_value, statistics_value = arguments
        number = context.get_value_type(signature.args[1].dtype)
        pixel = signature.args[0].dtype
        fields = Fields(context, builder, job, job_value)
        lanes = lanes_of(bits_of(number) // 8)
        running = Running(
            builder, Fields(context, builder, statistics, statistics_value), number, lanes
        )
        whole, single = (
            Conversion(
                Vectors(builder, number, width), fields.parameters, fields.kinds["flags"], running
            )
            for width in (lanes, 1)
        )

        def piece(conversion: Conversion, index: Any) -> None:
            value = conversion.vectors.load(sums, index)
            conversion.vectors.store(conversion.emit(value, context, pixel), out, index)

        running.to_registers()
        done = _in_vectors(builder, total, lanes, partial(piece, whole))
        running.to_memory()
        with cgutils.for_range(builder, builder.sub(total, done)) as loop:
            piece(single, builder.add(done, loop.index))
        return context.get_dummy_value()

    return types.void(out, sums, types.intp, job, statistics), emit


@intrinsic
def small_tiles(typingctx, out, out_step, samples, starts, count, statistics, work):
    """Write `count` tiles of a small kernel beside each other, `len(work.lines)` lines each.

    Row r of the samples begins at `samples[starts[r]]`. What is between stays in registers: pixels
    are read, taps added up, sums converted and their statistics taken.
    """
    signature = types.void(
        out, types.intp, samples, types.CPointer(types.int64), types.intp, statistics, work
    )

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, out_step, samples, starts, count, *_ = arguments
        small = _SmallKernel(context, builder, signature, arguments)
        lines = len(small.work.kinds["lines"])
        small.running.to_registers()
        with cgutils.for_range(builder, count) as loop:
            column = builder.mul(loop.index, WORD(small.width))
            vectors = range(small.width // small.vectors.lanes)
            sums = small.sums(samples, starts, column, lines, vectors)
            for (m, v), values in sums.items():
                line = builder.gep(out, [builder.mul(out_step, WORD(m))])
                place = builder.add(column, WORD(v * small.vectors.lanes))
                small.vectors.store(small.pixels(values), line, place)
        small.running.to_memory()
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def small_vector(typingctx, out, samples, starts, begin, end, statistics, work):
    """Write one vector of a small kernel's pixels; statistics of lanes `begin` to `end` alone."""
    word = types.intp
    rows = types.CPointer(types.int64)
    signature = types.void(out, samples, rows, word, word, statistics, work)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, samples, starts, begin, end, *_ = arguments
        small = _SmallKernel(context, builder, signature, arguments)
        small.running.to_registers()
        (values,) = small.sums(samples, starts, WORD(0), 1, range(1)).values()
        mask = small.vectors.places(begin, end)
        small.vectors.store(small.pixels(values, mask), out, WORD(0))
        small.running.to_memory()
        return context.get_dummy_value()

    return signature, emit


class _SmallKernel:
    """Emits sums of one small kernel, or of two for the length of a gradient, and their pixels."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any):
        self.context, self.builder = context, builder
        records = (
            Fields(context, builder, kind, value)
            for kind, value in zip(signature.args[-2:], arguments[-2:], strict=True)
        )
        statistics, self.work = records
        self.pixel = next(
            kind.dtype for kind in signature.args[1:] if isinstance(kind, types.CPointer)
        )
        self.out_pixel = signature.args[0].dtype
        kinds = self.work.kinds
        self.taps_h, self.taps_w = len(kinds["down"]), len(kinds["across"])
        self.kernels = len(kinds["kernels"])
        number = context.get_value_type(kinds["weights"].dtype)
        lanes = lanes_of(bits_of(number) // 8)
        self.vectors = Vectors(builder, number, lanes)
        self.width = small_width(self.kernels, bits_of(number) // 8)
        finish = context.get_value_type(kinds["parameters"].dtype)
        self.finish = Vectors(builder, finish, lanes)
        self.running = Running(builder, statistics, finish, lanes)
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

    def sums(self, samples: Any, starts: Any, column: Any, lines: int, vectors: range) -> Any:
        """Return the sums of every kernel by (line, vector), from `column` on."""
        sums: dict[tuple[int, int, int], Any] = {}
        for row in range(lines + self.taps_h - 1):
            start = self.builder.load(self.builder.gep(starts, [WORD(row)]))
            start = self.builder.add(start, column)
            active = [(m, row - m) for m in range(lines) if 0 <= row - m < self.taps_h]
            for v in vectors:
                if self.factored:
                    self._add_row_of_factors(sums, samples, start, active, v)
                else:
                    self._add_row(sums, samples, start, active, v)
        return {
            (m, v): [sums[kernel, m, v] for kernel in range(self.kernels)]
            for m in range(lines)
            for v in vectors
        }

    def _sample(self, samples: Any, start: Any, tap: int, v: int) -> Any:
        """Return one vector of samples, shifted by a tap."""
        shifted = self.builder.add(start, self.offsets[tap])
        place = self.builder.add(shifted, WORD(v * self.vectors.lanes))
        stored = self.context.get_value_type(self.pixel)
        return self.vectors.widened(self.vectors.load(samples, place, stored), self.pixel)

    def _add_row(self, sums: Any, samples: Any, start: Any, active: Any, v: int) -> None:
        """Add one row of samples to the sums of all (lines, rows of the kernel) it serves."""
        for tap in range(self.taps_w):
            rows = [(m, row) for m, row in active if not self._is_empty(row, tap)]
            sample = self._sample(samples, start, tap, v) if rows else None
            for kernel in range(self.kernels):
                for m, row in rows:
                    weight = self.weights[kernel][row * self.taps_w + tap]
                    self._add(sums, (kernel, m, v), weight, sample)

    def _add_row_of_factors(self, sums: Any, samples: Any, start: Any, active: Any, v: int) -> None:
        """Add up one row of samples by the row factors, and that to each line by column factors."""
        rows: dict[int, Any] = {}
        empty = "no_middle_column", "no_middle_row"
        for tap in range(self.taps_w):
            if not self._is_middle(empty[0], tap, self.taps_w):
                sample = self._sample(samples, start, tap, v)
                for kernel in range(self.kernels):
                    self._add(rows, kernel, self.weights[kernel][self.taps_h + tap], sample)
        for kernel in range(self.kernels):
            for m, row in active:
                if not self._is_middle(empty[1], row, self.taps_h):
                    self._add(sums, (kernel, m, v), self.weights[kernel][row], rows[kernel])

    def _is_middle(self, name: str, place: int, taps: int) -> bool:
        return is_set(self.work.kinds[name]) and 2 * place == taps - 1

    def _add(self, sums: Any, place: Any, weight: Any, sample: Any) -> None:
        builder = self.builder
        if self.ones:
            sums[place] = builder.add(sums[place], sample) if place in sums else sample
        elif place not in sums:
            multiply = builder.mul if self.vectors.whole else builder.fmul
            sums[place] = multiply(weight, sample)
        else:
            sums[place] = self.vectors.fused(weight, sample, sums[place])

    def pixels(self, sums: Any, mask: Any = None) -> Any:
        """Return pixels for the sums of one place of every kernel."""
        value = self._joined(*(self._finishing(part) for part in sums))
        return self.conversion.emit(value, self.context, self.out_pixel, mask)

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
