"""Where each parameter of a network lies in the one flat vector that optimizers step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convcli.net.trace import Trace
    from convcli.ops.rule import Array

LINE = 16
"""Arrays begin on cache lines, 16 float32; the gaps are zeros and stay zeros."""


@dataclass(frozen=True)
class Slot:
    """One array in the flat vector."""

    offset: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers."""
        return prod(self.shape)


def slots(arrays: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, Slot], int]:
    """Return each array's slot, in order, and the length of the vector that holds all.

    >>> slots({"a": (3, 2), "b": (4,)})
    ({'a': Slot(offset=0, shape=(3, 2)), 'b': Slot(offset=16, shape=(4,))}, 32)
    """
    found, offset = {}, 0
    for name, shape in arrays.items():
        found[name] = Slot(offset, shape)
        offset += -(-prod(shape) // LINE) * LINE
    return found, offset


def parameter_shapes(trace: Trace) -> dict[str, tuple[int, ...]]:
    """Return `step.weight` -> shape of everything that is learned."""
    return {
        f"{step.name}.{name}": shape for step in trace.steps for name, shape in step.weights.items()
    }


def buffer_shapes(trace: Trace) -> dict[str, tuple[int, ...]]:
    """Return `step.buffer` -> shape of the running statistics."""
    return {
        f"{step.name}.{name}": shape
        for step in trace.steps
        for name, shape in step.buffer_shapes.items()
    }


def views(places: Mapping[str, Slot], flat: Array) -> dict[str, Array]:
    """Return each array as a view on the flat vector."""
    return {
        name: flat[slot.offset : slot.offset + slot.size].reshape(slot.shape)
        for name, slot in places.items()
    }
