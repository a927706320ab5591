"""One vector register as a value in compiled code, for loops whose speed must not be left to luck.

`load` reads up to LANES numbers (the rest are zero), `store` writes as many. A loop over channels
written with these is vector code whatever the compiler thinks of aliasing and trip counts.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, register_model

from convcli.engine.llvm import FLOAT, WORD, Vectors
from convcli.engine.tile import LANES, VECTOR

I32 = ir.IntType(32)
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


FLOATS = types.CPointer(types.float32)
BYTES = types.CPointer(types.uint8)


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
where_greater = _intrinsic(V, (V, V, V, V), _where(">"))
"""`yes if a > b else no`, and yes where one is no number."""
where_equal = _intrinsic(V, (V, V, V, V), _where("=="))
