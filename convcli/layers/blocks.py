"""Blocks hold branches of layers; the trace flattens them into rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from convcli.frozen import Frozen
from convcli.layers.base import Layer, Misfit

Branch = tuple["Layer | Block", ...]
"""Layers in order; an empty branch passes its input through."""


@dataclass(slots=True, eq=False, repr=False)
class Residual(Frozen):
    """The sum of a body and a shortcut, which is the identity when left out."""

    body: Branch
    shortcut: Branch = ()
    name: str | None = field(default=None, kw_only=True)

    op = "residual"

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Body, then shortcut."""
        return self.body, self.shortcut


@dataclass(slots=True, eq=False, repr=False)
class Concat(Frozen):
    """Branches of one input, their channels joined."""

    branches: tuple[Branch, ...]
    name: str | None = field(default=None, kw_only=True)

    op = "concat"

    def __post_init__(self) -> None:
        if not self.branches:
            raise Misfit("concat has no branch. Write concat(a | b).")


@dataclass(slots=True, eq=False, repr=False)
class Scale(Frozen):
    """The block's input times the output of its body (squeeze and excite, Hu et al. 2018)."""

    body: Branch
    name: str | None = field(default=None, kw_only=True)

    op = "scale"

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The input itself, then the body."""
        return (), self.body


@dataclass(slots=True, eq=False, repr=False)
class Repeat(Frozen):
    """The same layers `count` times over, each time with weights of their own."""

    count: int
    body: Branch
    name: str | None = field(default=None, kw_only=True)

    op = "repeat"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise Misfit(f"repeat {self.count} repeats nothing. Use at least 1.")


Block = Residual | Concat | Scale | Repeat
