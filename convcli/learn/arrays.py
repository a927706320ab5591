"""The array types of this room, those of what runs its networks."""

from __future__ import annotations

from convcli.ops.rule import Array, Integers

__all__ = ["Array", "Integers"]
