"""The inner loops of the filters, written as vectors: widen pixels, add up taps, convert sums.

Each is a Numba intrinsic that emits LLVM vector code, because loops that round, cut and count are
not vectorized from scalar code. They work on addresses (see `address`) in `float32` or `float64`.

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

from convcli.engine.host import host

VECTOR_BYTES = 4 * host().lanes
SUMS = 24 if host().lanes == 16 else 12
"""Vectors of sums of one tile; with the samples and weights they fill the register file."""

MOST_ROWS = 6 if host().lanes == 16 else 4
WORD = ir.IntType(64)

# Places in the array of parameters that `convert_row` reads.
RECIPROCAL, DIVISOR, BIAS, OFFSET, BELOW, ABOVE, LOW, HIGH = range(8)
PARAMETERS = 8

# What `convert_row` does is a tuple's length, which is part of its type: the sum of these.
EXACT_QUOTIENT, MAGNITUDES, COUNTS_OUTSIDE = 1, 2, 4


def tile_vectors(rows: int) -> int:
    """Return how many vectors wide a tile of `rows` lines is."""
    return 8 if rows < 4 else SUMS // 6


def lanes_of(itemsize: int) -> int:
    """Return how many numbers of `itemsize` bytes one vector holds."""
    return VECTOR_BYTES // itemsize


@intrinsic
def address(typingctx: Any, array: Any, index: Any) -> Any:
    """Return the address of `array[index]` of a flat contiguous array."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.intp), emit


class Vectors:
    """Emits operations on vectors of one number type and one length."""

    def __init__(self, builder: Any, number: Any, lanes: int):
        self.builder, self.number, self.lanes = builder, number, lanes
        self.type = ir.VectorType(number, lanes)
        self.whole = isinstance(number, ir.IntType)
        self.suffix = f"v{lanes}f{bits_of(number)}"

    def splat(self, scalar: Any) -> Any:
        """Return a vector whose numbers are all `scalar`."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def constant(self, value: float) -> Any:
        """Return a vector whose numbers are all the constant `value`."""
        kind = int if self.whole else float
        return ir.Constant(self.type, [self.number(kind(value))] * self.lanes)

    def place(self, base: Any, index: Any, number: Any = None) -> Any:
        """Return where the vector that begins at `base[index]` lies."""
        kind = self.type if number is None else ir.VectorType(number, self.lanes)
        return self.builder.bitcast(self.builder.gep(base, [index]), kind.as_pointer())

    def load(self, base: Any, index: Any, number: Any = None) -> Any:
        """Return the vector that begins at `base[index]`."""
        return self.builder.load(self.place(base, index, number), align=1)

    def store(self, value: Any, base: Any, index: Any) -> None:
        """Write the vector `value` from `base[index]` on."""
        self.builder.store(value, self.place(base, index, value.type.element), align=1)

    def fused(self, one: Any, other: Any, total: Any) -> Any:
        """Return `one * other + total`, rounded once where the processor can."""
        if self.whole:
            return self.builder.add(self.builder.mul(one, other), total)
        if not host().fused:
            return self.builder.fadd(self.builder.fmul(one, other), total)
        kind = ir.FunctionType(self.type, [self.type] * 3)
        name = f"llvm.fma.{self.suffix}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, [one, other, total])

    def chosen(self, comparison: str, one: Any, other: Any) -> Any:
        """Return `one` where it compares so with `other`, else `other`."""
        return self.builder.select(self.compared(comparison, one, other), one, other)

    def compared(self, comparison: str, one: Any, other: Any) -> Any:
        """Return the mask of lanes where `one` compares so with `other`; NaN never does."""
        if self.whole:
            return self.builder.icmp_signed(comparison, one, other)
        return self.builder.fcmp_ordered(comparison, one, other)

    def widened(self, value: Any, pixel: Any) -> Any:
        """Return vectors of `pixel`s (a Numba type) as this type's numbers."""
        builder = self.builder
        if isinstance(pixel, types.Integer):
            bits = (
                self.type
                if self.whole
                else ir.VectorType(ir.IntType(bits_of(self.number)), self.lanes)
            )
            grown = (builder.sext if pixel.signed else builder.zext)(value, bits)
            return grown if self.whole else builder.sitofp(grown, self.type)
        return value if value.type == self.type else builder.fpext(value, self.type)

    def one_more(self, where: Any, counts: Any) -> Any:
        """Return integer `counts`, one more in the lanes `where`."""
        ones = ir.Constant(counts.type, [counts.type.element(1)] * self.lanes)
        return self.builder.select(where, self.builder.add(counts, ones), counts)


def bits_of(number: Any) -> int:
    """Return the bits of an LLVM number type."""
    if isinstance(number, ir.IntType):
        return int(number.width)
    return 32 if isinstance(number, ir.FloatType) else 64


def _add(builder: Any, first: Any, *more: Any) -> Any:
    for term in more:
        first = builder.add(first, term)
    return first


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

        _in_pieces(builder, total, lanes_of(bits_of(number) // 8), piece)
        return context.get_dummy_value()

    return types.void(wide, narrow, types.intp), emit


def _in_pieces(builder: Any, total: Any, lanes: int, piece: Any) -> None:
    """Emit `piece(lanes, index)` over whole vectors, then one number at a time."""
    whole = builder.sdiv(total, WORD(lanes))
    with cgutils.for_range(builder, whole) as loop:
        piece(lanes, builder.mul(loop.index, WORD(lanes)))
    done = builder.mul(whole, WORD(lanes))
    with cgutils.for_range(builder, builder.sub(total, done)) as loop:
        piece(1, builder.add(done, loop.index))


class Tallies:
    """Four running vectors: lowest, highest, how many below, how many above.

    They live in registers while whole vectors pass, and in memory between rows; single numbers at
    the end of a row use the first lane in memory.
    """

    def __init__(self, builder: Any, extremes: Any, counts: Any, number: Any, lanes: int):
        self.builder, self.lanes = builder, lanes
        self.bases = (extremes, extremes, counts, counts)
        self.starts = [WORD(place * lanes) for place in (0, 1, 0, 1)]
        flag = ir.IntType(max(32, bits_of(number)))
        self.numbers = (number, number, flag, flag)
        self.registers = [
            cgutils.alloca_once(builder, ir.VectorType(kind, lanes)) for kind in self.numbers
        ]

    def _in_memory(self, which: int, lanes: int) -> Any:
        place = self.builder.gep(self.bases[which], [self.starts[which]])
        return self.builder.bitcast(place, ir.VectorType(self.numbers[which], lanes).as_pointer())

    def to_registers(self) -> None:
        """Take the running vectors out of memory."""
        for which, register in enumerate(self.registers):
            value = self.builder.load(self._in_memory(which, self.lanes), align=1)
            self.builder.store(value, register)

    def to_memory(self) -> None:
        """Put the running vectors back."""
        for which, register in enumerate(self.registers):
            value = self.builder.load(register)
            self.builder.store(value, self._in_memory(which, self.lanes), align=1)

    def update(self, which: int, lanes: int, change: Any) -> None:
        """Replace one running vector by `change` of it."""
        alone = lanes != self.lanes
        place = self._in_memory(which, 1) if alone else self.registers[which]
        options = {"align": 1} if alone else {}
        self.builder.store(change(self.builder.load(place, **options)), place, **options)


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
        registers = [
            [cgutils.alloca_once(builder, vectors.type) for _ in across] for _ in range(lines)
        ]
        for line in registers:
            for register in line:
                builder.store(vectors.constant(0.0), register)

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
                        total = builder.load(registers[m][v])
                        total = vectors.fused(splats[m], sample, total)
                        builder.store(total, registers[m][v])

        each_row_of_samples(builder, lines, taps_h, sample_row)
        for m in range(lines):
            base = builder.gep(sums, [builder.mul(sums_step, WORD(m))])
            for v in across:
                vectors.store(builder.load(registers[m][v]), base, WORD(v * vectors.lanes))
        return context.get_dummy_value()

    return signature, emit


class Conversion:
    """Emits the way from sums to pixels, with the figures that are noted on it."""

    def __init__(self, vectors: Vectors, scalars: Any, variety: int, tallies: Tallies):
        self.vectors, self.tallies, self.variety = vectors, tallies, variety
        self.given = [vectors.splat(scalar) for scalar in scalars]

    def emit(self, value: Any, context: Any, pixel: Any) -> Any:
        """Return vectors of `pixel` for the sums `value`."""
        vectors, builder, given = self.vectors, self.vectors.builder, self.given
        for which, comparison in enumerate("<>"):
            change = partial(vectors.chosen, comparison, value)
            self.tallies.update(which, vectors.lanes, change)
        value = self._divided(value)
        if self.variety & MAGNITUDES:
            negative = builder.neg(value) if vectors.whole else builder.fneg(value)
            value = vectors.chosen(">", value, negative)
        if self.variety & COUNTS_OUTSIDE:
            for which, comparison, limit in ((2, "<", BELOW), (3, ">=", ABOVE)):
                outside = vectors.compared(comparison, value, given[limit])
                change = partial(vectors.one_more, outside)
                self.tallies.update(which, vectors.lanes, change)
        value = vectors.chosen(">", given[LOW], value)
        value = vectors.chosen("<", given[HIGH], value)
        return _as_pixels(context, builder, vectors, value, pixel)

    def _divided(self, value: Any) -> Any:
        vectors, builder, given = self.vectors, self.vectors.builder, self.given
        if vectors.whole:
            return builder.add(value, given[OFFSET])
        if not self.variety & EXACT_QUOTIENT:
            return vectors.fused(value, given[RECIPROCAL], given[OFFSET])
        value = builder.fadd(value, given[BIAS])
        quotient = builder.fmul(value, given[RECIPROCAL])
        rest = vectors.fused(builder.fneg(quotient), given[DIVISOR], value)
        return vectors.fused(rest, given[RECIPROCAL], quotient)


def load_parameters(builder: Any, parameters: Any) -> list[Any]:
    """Return the scalars of a conversion."""
    return [builder.load(builder.gep(parameters, [WORD(place)])) for place in range(PARAMETERS)]


@intrinsic
def convert_row(typingctx, out, sums, count, parameters, extremes, counts, variety):
    """Convert `count` sums to pixels and note their extremes and how many saturate.

    value = sum * RECIPROCAL + OFFSET, or (sum + BIAS) / DIVISOR with EXACT_QUOTIENT: Markstein's
    quotient, a multiplication by the reciprocal, mended with the exact remainder ("Computation of
    elementary functions on the IBM RISC System/6000", 1990). MAGNITUDES drops signs. `extremes` and
    `counts` hold a vector each of lowest and highest sums, of values under BELOW and from ABOVE on.
    """
    signature = types.void(out, sums, types.intp, parameters, extremes, counts, variety)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, sums, total, parameters, extremes, counts, _ = arguments
        number = context.get_value_type(signature.args[1].dtype)
        pixel = signature.args[0].dtype
        bits = bits_of(number)
        scalars = load_parameters(builder, parameters)
        lanes = lanes_of(bits // 8)

        tallies = Tallies(builder, extremes, counts, number, lanes)

        def piece(lanes_here: int, index: Any) -> None:
            vectors = Vectors(builder, number, lanes_here)
            conversion = Conversion(vectors, scalars, len(variety), tallies)
            pixels = conversion.emit(vectors.load(sums, index), context, pixel)
            vectors.store(pixels, out, index)

        tallies.to_registers()
        whole = builder.sdiv(total, WORD(lanes))
        with cgutils.for_range(builder, whole) as loop:
            piece(lanes, builder.mul(loop.index, WORD(lanes)))
        tallies.to_memory()
        done = builder.mul(whole, WORD(lanes))
        with cgutils.for_range(builder, builder.sub(total, done)) as loop:
            piece(1, builder.add(done, loop.index))
        return context.get_dummy_value()

    return signature, emit


def _as_pixels(context: Any, builder: Any, vectors: Vectors, value: Any, pixel: Any) -> Any:
    """Return `value` as vectors of `pixel`; integers are rounded half to even.

    Adding 1.5 * 2**23 (2**52 in double precision) leaves the rounded integer in the lowest bits.
    """
    stored = context.get_value_type(pixel)
    target = ir.VectorType(stored, vectors.lanes)
    if vectors.whole:
        return builder.trunc(value, target) if stored.width < bits_of(vectors.number) else value
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
