"""One emitter of vector code: whatever must not be left to what the compiler makes of a loop.

`Vectors` emits operations on registers of one number type and one length; `Fields` reads a record
(a NamedTuple) that compiled code hands to an intrinsic. LLVM splits vectors where the processor's
are narrower. Compiled loops over channels hold a register as a value (`load`, `fused`, `store`
...), and are vector code whatever the compiler thinks of aliasing and trip counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, register_model

WIDE = re.compile(
    "avx512|icelake|tigerlake|cascadelake|cooperlake|rapids|rocketlake|znver[45]|x86-64-v4"
)
FUSED = re.compile("haswell|broadwell|skylake|alderlake|raptorlake|znver|x86-64-v3")

ALIGNMENT = 64
"""Bytes of a cache line: vectors that begin on one are loaded and stored at once."""


def aligned(count: int, number: Any = np.float32) -> Any:
    """Return `count` zeros that begin on a cache line.

    >>> aligned(3).ctypes.data % 64
    0
    """
    size = count * np.dtype(number).itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(number)


@dataclass(frozen=True)
class Host:
    """Floats in a vector register, the tile that keeps its sums in registers, fused multiply-add.

    `tile_rows` x `tile_vectors` sums, one vector of B each and one number of A fit the register
    file: 32 registers with AVX-512 and on ARM, 16 otherwise.
    """

    lanes: int
    tile_rows: int
    tile_vectors: int
    fused: bool


AVX512 = Host(lanes=16, tile_rows=14, tile_vectors=2, fused=True)
AVX2 = Host(lanes=8, tile_rows=6, tile_vectors=2, fused=True)
NEON = Host(lanes=4, tile_rows=12, tile_vectors=2, fused=True)
SSE2 = Host(lanes=4, tile_rows=6, tile_vectors=2, fused=False)


def host() -> Host:
    """Return the register file of the processor that Numba compiles for (`NUMBA_CPU_NAME`)."""
    name = numba.config.CPU_NAME
    if name is None or name == "host":
        return _from_features(dict(binding.get_host_cpu_features()))
    if WIDE.search(name):
        return AVX512
    return AVX2 if FUSED.search(name) else SSE2


def _from_features(features: dict[str, bool]) -> Host:
    if features.get("neon") or features.get("sve"):
        return NEON
    if features.get("avx512f") and features.get("avx512bw"):
        return AVX512
    return AVX2 if features.get("avx2") and features.get("fma") else SSE2


X86 = ("x86_64", "amd64", "i386", "i486", "i586", "i686")
"""How the names of targets begin that have these instructions."""

UPPER_PRODUCTS = {
    32: "llvm.x86.avx512.pmulhu.w.512",
    16: "llvm.x86.avx2.pmulhu.w",
    8: "llvm.x86.sse2.pmulhu.w",
}
"""By the lanes of 16 bits."""

WORD = ir.IntType(64)
FLOAT = ir.FloatType()
I32 = ir.IntType(32)
LANES = host().lanes
VECTOR_BYTES = 4 * LANES
FLOATS, BYTES = types.CPointer(types.float32), types.CPointer(types.uint8)


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


def lanes_of(itemsize: int) -> int:
    """Return how many numbers of `itemsize` bytes one vector holds."""
    return VECTOR_BYTES // itemsize


def bits_of(number: Any) -> int:
    """Return the bits of an LLVM number type."""
    if isinstance(number, ir.IntType):
        return int(number.width)
    return 32 if isinstance(number, ir.FloatType) else 64


def is_set(kind: Any) -> bool:
    """Return whether a field of a record that is a switch stands on: it is None when off."""
    return not isinstance(kind, types.NoneType)


class Fields:
    """The fields of a record as an intrinsic's emitter sees them; arrays are their addresses."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any):
        self._context, self._builder, self._value = context, builder, value
        self.kinds = dict(zip(kind.fields, kind.types, strict=True))

    def __getattr__(self, name: str) -> Any:
        place = list(self.kinds).index(name)
        value = self._builder.extract_value(self._value, place)
        kind = self.kinds[name]
        if isinstance(kind, types.Array):
            return self._context.make_array(kind)(self._context, self._builder, value).data
        return value


class Vectors:
    """Emits operations on vectors of one number type and one length."""

    def __init__(self, builder: Any, number: Any, lanes: int, signed: bool = True):
        self.builder, self.number, self.lanes, self.signed = builder, number, lanes, signed
        self.type = ir.VectorType(number, lanes)
        self.whole = isinstance(number, ir.IntType)

    @classmethod
    def of(cls, context: Any, builder: Any, dtype: Any, lanes: int = 0) -> Vectors:
        """Return vectors of a Numba type's numbers; as many as a register holds if not told."""
        signed = not isinstance(dtype, types.Integer) or bool(dtype.signed)
        lanes = lanes or lanes_of(dtype.bitwidth // 8)
        return cls(builder, context.get_value_type(dtype), lanes, signed)

    def splat(self, scalar: Any) -> Any:
        """Return a vector whose numbers are all `scalar`."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def constant(self, value: float) -> Any:
        """Return a vector whose numbers are all the constant `value`."""
        kind = int if self.whole else float
        return ir.Constant(self.type, [self.number(kind(value))] * self.lanes)

    def places(self, begin: Any, end: Any) -> Any:
        """Return the mask of the lanes from `begin` to `end` (exclusive), both words."""
        numbers = Vectors(self.builder, I32, self.lanes)
        lane = ir.Constant(numbers.type, list(range(self.lanes)))
        first, last = (numbers.splat(self.builder.trunc(edge, I32)) for edge in (begin, end))
        after = self.builder.icmp_signed(">=", lane, first)
        return self.builder.and_(after, self.builder.icmp_signed("<", lane, last))

    def place(self, base: Any, index: Any, number: Any = None) -> Any:
        """Return where the vector that begins at `base[index]` lies."""
        kind = self.type if number is None else ir.VectorType(number, self.lanes)
        return self.builder.bitcast(self.builder.gep(base, [index]), kind.as_pointer())

    def load(self, base: Any, index: Any, number: Any = None, mask: Any = None) -> Any:
        """Return the vector that begins at `base[index]`; zeros where `mask` has no bit."""
        place = self.place(base, index, number)
        if mask is None:
            return self.builder.load(place, align=1)
        zero = self.constant(0)
        name = f"llvm.masked.load.{self._suffix()}.p0"
        return self.call(name, self.type, place, I32(self._align()), mask, zero)

    def store(self, value: Any, base: Any, index: Any, mask: Any = None) -> None:
        """Write the vector `value` from `base[index]` on, where `mask` has bits."""
        place = self.place(base, index, value.type.element)
        if mask is None:
            self.builder.store(value, place, align=1)
            return
        name = f"llvm.masked.store.{self._suffix()}.p0"
        self.call(name, ir.VoidType(), value, place, I32(self._align()), mask)

    def fused(self, one: Any, other: Any, total: Any) -> Any:
        """Return `one * other + total`, rounded once where the processor can."""
        if self.whole:
            return self.builder.add(self.builder.mul(one, other), total)
        if not host().fused:
            return self.builder.fadd(self.builder.fmul(one, other), total)
        return self.call(f"llvm.fma.{self._suffix()}", self.type, one, other, total)

    def root(self, value: Any) -> Any:
        """Return square roots."""
        return self.call(f"llvm.sqrt.{self._suffix()}", self.type, value)

    def chosen(self, comparison: str, one: Any, other: Any) -> Any:
        """Return `one` where it compares so with `other`, else `other`."""
        return self.builder.select(self.compared(comparison, one, other), one, other)

    def compared(self, comparison: str, one: Any, other: Any) -> Any:
        """Return the mask of lanes where `one` compares so with `other`; NaN never does."""
        if self.whole:
            compare = self.builder.icmp_signed if self.signed else self.builder.icmp_unsigned
            return compare(comparison, one, other)
        return self.builder.fcmp_ordered(comparison, one, other)

    def bounded(self, value: Any, low: Any, high: Any) -> Any:
        """Return `value` cut off at vectors of bounds; what is no number stays."""
        value = self.builder.select(self.compared("<", value, low), low, value)
        return self.builder.select(self.compared(">", value, high), high, value)

    def magnitude(self, value: Any) -> Any:
        """Return `value` without signs."""
        if not self.signed:
            return value
        negative = self.builder.neg(value) if self.whole else self.builder.fneg(value)
        return self.chosen(">", value, negative)

    def widened(self, value: Any, pixel: Any) -> Any:
        """Return vectors of `pixel`s (a Numba type) as this type's numbers."""
        builder = self.builder
        if isinstance(pixel, types.Integer):
            bits = bits_of(self.number)
            whole = self.type if self.whole else ir.VectorType(ir.IntType(bits), self.lanes)
            grown = value
            if value.type != whole:
                grown = (builder.sext if pixel.signed else builder.zext)(value, whole)
            return grown if self.whole else builder.sitofp(grown, self.type)
        return value if value.type == self.type else builder.fpext(value, self.type)

    def upper_product(self, one: Any, other: Any) -> Any:
        """Return the upper 16 bits of products of unsigned 16-bit integers.

        LLVM sees the instruction for it in the product of 32 bits only if both are widened in the
        same block, and moves what does not change out of a loop.
        """
        if self.lanes in UPPER_PRODUCTS and self.builder.module.triple.startswith(X86):
            return self.call(UPPER_PRODUCTS[self.lanes], self.type, one, other)
        builder, wide = self.builder, ir.VectorType(I32, self.lanes)
        product = builder.mul(builder.zext(one, wide), builder.zext(other, wide))
        sixteen = ir.Constant(wide, [I32(16)] * self.lanes)
        return builder.trunc(builder.lshr(product, sixteen), self.type)

    def one_more(self, where: Any, counts: Any) -> Any:
        """Return integer `counts`, one more in the lanes `where`."""
        ones = ir.Constant(counts.type, [counts.type.element(1)] * self.lanes)
        return self.builder.select(where, self.builder.add(counts, ones), counts)

    def call(self, name: str, result: Any, *arguments: Any) -> Any:
        """Call a function of LLVM's own."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def _suffix(self) -> str:
        return f"v{self.lanes}{'i' if self.whole else 'f'}{bits_of(self.number)}"

    def _align(self) -> int:
        return bits_of(self.number) // 8


def registers(builder: Any, kind: Any, count: int, first: Any = None) -> Sequence[Any]:
    """Return `count` places for vectors of `kind` that the compiler keeps in registers."""
    made = [cgutils.alloca_once(builder, kind) for _ in range(count)]
    if first is not None:
        for register in made:
            builder.store(first, register)
    return made


VECTOR = ir.VectorType(FLOAT, LANES)
NUMBERS = ir.VectorType(I32, LANES)
SMALL = ir.VectorType(ir.IntType(8), LANES)


class VectorType(types.Type):  # type: ignore[misc]  # numba carries no types
    """Numba's type of a register of LANES float32."""

    def __init__(self) -> None:
        super().__init__(name=f"Vector{LANES}")


vector = VectorType()


@register_model(VectorType)
class _Model(PrimitiveModel):  # type: ignore[misc]  # numba carries no types
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


def _fill(builder: Any, number: Any, kind: Any) -> Any:
    return Vectors(builder, kind.element, kind.count).splat(number)


def _registers(builder: Any) -> Vectors:
    return Vectors(builder, FLOAT, LANES)


def _places(builder: Any, count: Any) -> Any:
    return _registers(builder).places(WORD(0), count)


def _intrinsic(result: Any, parameters: tuple[Any, ...], emit: Any) -> Any:
    """Return an intrinsic with one signature, whose body `emit(builder, *arguments)` builds."""
    signature = result(*parameters)

    def body(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = emit(builder, *arguments)
        return context.get_dummy_value() if made is None else made

    if len(parameters) == 1:

        @intrinsic
        def one(typingctx, a):
            return signature, body

        return one
    if len(parameters) == 2:

        @intrinsic
        def two(typingctx, a, b):
            return signature, body

        return two
    if len(parameters) == 3:

        @intrinsic
        def three(typingctx, a, b, c):
            return signature, body

        return three

    @intrinsic
    def four(typingctx, a, b, c, d):
        return signature, body

    return four


def _load(builder: Any, place: Any, count: Any) -> Any:
    return _registers(builder).load(place, WORD(0), mask=_places(builder, count))


def _store(builder: Any, place: Any, value: Any, count: Any) -> None:
    _registers(builder).store(value, place, WORD(0), _places(builder, count))


def _load_bytes(builder: Any, place: Any) -> Any:
    raw = builder.load(builder.bitcast(place, SMALL.as_pointer()), align=1)
    return builder.uitofp(raw, VECTOR)


def _store_bytes(builder: Any, place: Any, value: Any) -> None:
    small = builder.trunc(builder.fptosi(value, NUMBERS), SMALL)
    builder.store(small, builder.bitcast(place, SMALL.as_pointer()), align=1)


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return _registers(builder).call(f"llvm.fmuladd.v{LANES}f32", VECTOR, a, b, c)


def _bounded(builder: Any, value: Any, low: Any, high: Any) -> Any:
    wide = _registers(builder)
    return wide.bounded(value, wide.splat(low), wide.splat(high))


def _where(comparison: str) -> Any:
    def emit(builder: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
        return builder.select(builder.fcmp_unordered(comparison, a, b), yes, no)

    return emit


V = vector
load = _intrinsic(V, (FLOATS, types.intp), _load)
store = _intrinsic(types.void, (FLOATS, V, types.intp), _store)
load_bytes = _intrinsic(V, (BYTES,), _load_bytes)
"""Read LANES bytes, whatever the count of channels: such rows are padded."""
store_bytes = _intrinsic(types.void, (BYTES, V), _store_bytes)
splat = _intrinsic(V, (types.float32,), lambda builder, a: _registers(builder).splat(a))
add = _intrinsic(V, (V, V), lambda builder, a, b: builder.fadd(a, b))
times = _intrinsic(V, (V, V), lambda builder, a, b: builder.fmul(a, b))
fused = _intrinsic(V, (V, V, V), _fused)
"""`a * b + c`."""
bounded = _intrinsic(V, (V, types.float32, types.float32), _bounded)
"""A vector cut off at the two bounds; what is no number stays."""
where_greater = _intrinsic(V, (V, V, V, V), _where(">"))
"""`yes if a > b else no`, and yes where one is no number."""
where_equal = _intrinsic(V, (V, V, V, V), _where("=="))
