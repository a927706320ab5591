"""Small kernels straight from pixels to pixels: what is between stays in registers.

One intrinsic reads pixels, adds up the taps of one kernel, or of two for the length of a gradient,
converts the sums and notes their figures. Its numbers are those of the weights: `int16` where that
is exact (twice as many lanes), else `float32`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from convcli.engine.filter_tile import (
    WORD,
    Conversion,
    Tallies,
    Vectors,
    bits_of,
    lanes_of,
    load_parameters,
)
from convcli.engine.host import host

LINES = 4
"""Lines of one tile."""

NUMBERS = 256 if host().lanes == 16 else 64
"""Sums of one tile; they and a sample and its weights fit the registers."""

ONE_KERNEL, LENGTH, TAXICAB, LARGER = range(1, 5)
"""What becomes of the sums, as the length of a tuple: one kernel, or the norm over two."""


def codelet_width(lines: int, norm: int, itemsize: int) -> int:
    """Return how many numbers wide a tile is whose weights have `itemsize` bytes."""
    kernels = 1 if norm == ONE_KERNEL else 2
    return max(NUMBERS // (lines * kernels), lanes_of(itemsize))


@intrinsic
def codelet_tile(
    typingctx, out, out_step, pixels, starts, weights, offsets, parameters, extremes, counts,
    lines, down, across, norm, variety,
):  # fmt: skip
    """Write `len(lines)` lines of one tile, `codelet_width` pixels of each.

    Row r of the samples begins at `pixels[starts[r]]`; the kernel is `len(down)` x `len(across)`.
    The weights of a second kernel follow those of the first. The rest is as in `convert_row`.
    """
    word = types.intp
    signature = types.void(
        out, word, pixels, starts, weights, offsets, parameters, extremes, counts, lines, down,
        across, norm, variety,
    )  # fmt: skip

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile = _Codelet(context, builder, signature, arguments)
        for row in range(len(lines) + len(down) - 1):
            tile.add_row(row)
        tile.convert()
        return context.get_dummy_value()

    return signature, emit


class _Codelet:
    """Emits one tile; sums are kept per kernel, line and vector."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any):
        (
            self.out, self.out_step, self.pixels, self.starts, self.weights, self.offsets,
            self.parameters, self.extremes, self.counts, *_,
        ) = arguments  # fmt: skip
        self.context, self.builder = context, builder
        self.out_pixel, self.pixel = signature.args[0].dtype, signature.args[2].dtype
        number = context.get_value_type(signature.args[4].dtype)
        self.finish = context.get_value_type(signature.args[6].dtype)
        self.lines, self.taps_h, self.taps_w, self.norm, self.variety = (
            len(shape) for shape in signature.args[-5:]
        )
        lanes = lanes_of(bits_of(number) // 8)
        self.vectors = Vectors(builder, number, lanes)
        self.kernels = 1 if self.norm == ONE_KERNEL else 2
        self.across = range(codelet_width(self.lines, self.norm, bits_of(number) // 8) // lanes)
        self.sums = [
            [[self._zero() for _ in self.across] for _ in range(self.lines)]
            for _ in range(self.kernels)
        ]

    def _zero(self) -> Any:
        register = cgutils.alloca_once(self.builder, self.vectors.type)
        self.builder.store(self.vectors.constant(0), register)
        return register

    def _weight(self, index: int) -> Any:
        """Return a vector of one weight; the compiler keeps it or loads it again."""
        place = self.builder.gep(self.weights, [WORD(index)])
        return self.vectors.splat(self.builder.load(place))

    def add_row(self, row: int) -> None:
        """Add one row of samples to the sums of all lines that it serves."""
        builder, vectors = self.builder, self.vectors
        stored = self.context.get_value_type(self.pixel)
        start = builder.load(builder.gep(self.starts, [WORD(row)]))
        active = [m for m in range(self.lines) if 0 <= row - m < self.taps_h]
        for tap in range(self.taps_w):
            offset = builder.load(builder.gep(self.offsets, [WORD(tap)]))
            shifted = builder.gep(self.pixels, [builder.add(start, offset)])
            weights = {
                (kernel, m): self._weight((kernel * self.taps_h + row - m) * self.taps_w + tap)
                for kernel in range(self.kernels)
                for m in active
            }
            for v in self.across:
                loaded = vectors.load(shifted, WORD(v * vectors.lanes), stored)
                sample = vectors.widened(loaded, self.pixel)
                for (kernel, m), weight in weights.items():
                    register = self.sums[kernel][m][v]
                    total = vectors.fused(weight, sample, builder.load(register))
                    builder.store(total, register)

    def convert(self) -> None:
        """Convert all sums and write the pixels."""
        builder, lanes = self.builder, self.vectors.lanes
        finish = Vectors(builder, self.finish, lanes)
        tallies = Tallies(builder, self.extremes, self.counts, self.finish, lanes)
        scalars = load_parameters(builder, self.parameters)
        conversion = Conversion(finish, scalars, self.variety, tallies)
        tallies.to_registers()
        for m in range(self.lines):
            base = builder.gep(self.out, [builder.mul(self.out_step, WORD(m))])
            for v in self.across:
                sums = [self._finishing(finish, kernel[m][v]) for kernel in self.sums]
                value = self._joined(finish, *sums)
                pixels = conversion.emit(value, self.context, self.out_pixel)
                finish.store(pixels, base, WORD(v * lanes))
        tallies.to_memory()

    def _finishing(self, finish: Vectors, register: Any) -> Any:
        value = self.builder.load(register)
        if self.vectors.whole and not finish.whole:
            whole = ir.VectorType(ir.IntType(bits_of(self.finish)), finish.lanes)
            return self.builder.sitofp(self.builder.sext(value, whole), finish.type)
        return value

    def _joined(self, finish: Vectors, first: Any, second: Any = None) -> Any:
        builder = self.builder
        if second is None:
            return first
        if self.norm == LENGTH:
            squares = builder.fadd(builder.fmul(first, first), builder.fmul(second, second))
            kind = ir.FunctionType(finish.type, [finish.type])
            name = f"llvm.sqrt.{finish.suffix}"
            root = cgutils.get_or_insert_function(builder.module, kind, name)
            return builder.call(root, [squares])
        first, second = (finish.chosen(">", part, builder.fneg(part)) for part in (first, second))
        if self.norm == TAXICAB:
            return builder.fadd(first, second)
        return finish.chosen(">", first, second)
