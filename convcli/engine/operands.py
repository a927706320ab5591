"""Names for the operands of a compiled operation: said once, constants in compiled code."""

from __future__ import annotations

from numba import types
from numba.core.datamodel.models import OpaqueModel
from numba.core.imputils import lower_constant, lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import register_model, typeof_impl


class Operands:
    """Where each operand of an operation stands in its row, by name.

    Operands take three integers each, then come single ones; the last may be the first of many.
    Compiled code sees constants.

    >>> softmax = Operands("y x", "size width")
    >>> softmax.x, softmax.size, softmax.names
    (3, 6, ('y', 'x', 'size', 'width'))
    """

    def __init__(self, addresses: str, integers: str = "") -> None:
        first, then = addresses.split(), integers.split()
        self.names = (*first, *then)
        places = [*range(0, 3 * len(first), 3), *range(3 * len(first), 3 * len(first) + len(then))]
        self.places = dict(zip(self.names, places, strict=True))

    def __getattr__(self, name: str) -> int:
        try:
            return int(self.__dict__["places"][name])
        except KeyError:
            raise AttributeError(f"{name} is none of {', '.join(self.names)}") from None


class _OperandsType(types.Opaque):  # type: ignore[misc]  # numba carries no types
    def __init__(self, operands: Operands) -> None:
        super().__init__(f"Operands({', '.join(operands.names)} {operands.places})")
        self.places = operands.places


register_model(_OperandsType)(OpaqueModel)


@typeof_impl.register(Operands)
def _type_of_operands(operands, context):
    return _OperandsType(operands)


@lower_constant(_OperandsType)
def _no_value(context, builder, kind, operands):
    return context.get_dummy_value()


@infer_getattr
class _PlacesAreIntegers(AttributeTemplate):  # type: ignore[misc]  # numba carries no types
    key = _OperandsType

    def generic_resolve(self, kind, name):
        return types.int64 if name in kind.places else None


@lower_getattr_generic(_OperandsType)
def _place(context, builder, kind, value, name):
    return context.get_constant(types.int64, kind.places[name])
