"""Blocks of branches, and the rows that close them: the sum, the stack and the product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from convcli.layers.base import Join, Layer, Shape, ShapeError, Work, elements, shape_text
from convcli.values import Value

__all__ = ["Add", "Concat", "ConcatChannels", "From", "Mul", "Multiply", "Product", "Repeat"]
__all__ += ["Residual", "Scale"]

OTHER_NAMES = {
    **dict.fromkeys(("concatenate", "cat"), "concat"),
    **dict.fromkeys(("add", "sum", "skip"), "residual"),
    "multiply": "scale",
}
"""What people type for a block."""

MAX_DEPTH = 50
"""Blocks inside blocks; deeper nesting is a mistake or an attack."""

Branch = tuple["Layer | Block", ...]
"""Layers in order; an empty branch passes its input through."""


@dataclass(slots=True, eq=False, repr=False)
class Block(Value):
    """Branches that read the same; the trace flattens them into rows, and a join closes them."""

    name: str | None = field(default=None, kw_only=True)

    op: ClassVar[str]
    """The word of the notation."""
    example: ClassVar[str]
    join: ClassVar[Join]
    """The row that closes it."""
    parts_fields: ClassVar[tuple[str, ...]] = ("body",)
    """Fields that hold one branch each."""

    @property
    def parts(self) -> tuple[Branch, ...]:
        """The branches as they are written between the brackets."""
        return tuple(getattr(self, name) for name in self.parts_fields)

    @property
    def joined(self) -> tuple[Branch, ...]:
        """The branches that the join reads, in its order."""
        return self.parts

    def with_parts(self, parts: tuple[Branch, ...]) -> Self:
        """Return the block with other branches between its brackets."""
        changes: dict[str, Any] = dict(zip(self.parts_fields, parts, strict=True))
        return replace(self, **changes)


def mapped(branch: Branch, rule: Callable[[Layer], Layer]) -> Branch:
    """Return a branch with each layer, those in blocks too, put through a rule."""
    return tuple(
        rule(item)
        if isinstance(item, Layer)
        else item.with_parts(tuple(mapped(part, rule) for part in item.parts))
        for item in branch
    )


def _misfit(what: str, shapes: tuple[Shape, ...], way_out: str) -> ShapeError:
    return ShapeError(f"{what}: {' and '.join(map(shape_text, shapes))}. {way_out}")


@dataclass(slots=True, eq=False, repr=False)
class Add(Join):
    """The sum of equal maps, the end of a residual block (He et al. 2016).

    >>> Add().joined_shape(((7, 7, 64), (7, 7, 64)))
    (7, 7, 64)
    """

    op = "add"

    def joined_shape(self, input_shapes: tuple[Shape, ...]) -> Shape:
        """Return the shape that all branches share."""
        body, shortcut = input_shapes
        if body != shortcut:
            raise _misfit("body and shortcut differ", input_shapes, _mend(body, shortcut))
        return body

    def check_strides(self, input_shapes: tuple[Shape, ...], apart: tuple[float, ...]) -> None:
        """Refuse branches that differ, and name the shortcut that has the body's strides.

        Args:
            input_shapes: the body's and the shortcut's.
            apart: how many steps of the shortcut's map one of the body's takes, for every axis.
        """
        body, shortcut = input_shapes
        single = 1 in {max(body[:-1], default=1), max(shortcut[:-1], default=1)}
        if body == shortcut or single or any(step < 1 or step % 1 for step in apart):
            return
        steps = tuple(map(int, apart))
        reached = [-(-size // step) for size, step in zip(shortcut, steps, strict=False)]
        if any(size > out for size, out in zip(body, reached, strict=False)):
            return
        step = f" s{steps[0] if len(set(steps)) == 1 else shape_text(steps)}" * (max(steps) > 1)
        conv = f"conv {body[-1]} 1{step}"
        way_out = f"A shortcut mends it: residual(... | {conv})."
        if reached != list(body[:-1]) and step:
            way_out = f"Use `same` padding in the body: residual(... same | {conv})."
        elif reached != list(body[:-1]):
            channels = f"{conv}, " if body[-1] != shortcut[-1] else ""
            way_out = (
                "Use `same` padding in the body, or cut the shortcut's border: "
                f"residual(... | {channels}crop)."
            )
        raise _misfit("body and shortcut differ", input_shapes, way_out)

    def joined_flops(self, input_shapes: tuple[Shape, ...]) -> Work:
        """Return one addition for each element and each branch after the first."""
        return {"elementwise": elements(input_shapes[0]) * (len(input_shapes) - 1)}


def _mend(body: Shape, shortcut: Shape) -> str:
    """Return what to do about two shapes alone, their strides not being known."""
    if len(body) == len(shortcut) == 1:
        return f"Write residual(... | dense {body[-1]})."
    if len(body) != len(shortcut):
        weigh = " A vector weighs the channels of a map in scale(gap, dense 4 sigmoid)."
        return "Both need the same number of axes." + weigh * (len(body) == 1)
    single = {max(body[:-1]), max(shortcut[:-1])}
    if 1 in single and len(single) > 1:
        if body[-1] != shortcut[-1]:
            return "No shortcut makes them equal. Give both the same strides, padding and channels."
        where = "body, upsample" if max(body[:-1]) == 1 else "body | shortcut, upsample"
        factor = shape_text(max(body, shortcut)[:-1])
        return (
            "PyTorch spreads a single cell over the map, and here both must be equal: "
            f"residual({where} size={factor})."
        )
    if any(size < out for size, out in zip(shortcut[:-1], body[:-1], strict=True)):
        return "The body's map is the larger one. Give both the same strides and padding."
    return f"Give the shortcut the body's strides: residual(... | conv {body[-1]} 1 sN)."


@dataclass(slots=True, eq=False, repr=False)
class ConcatChannels(Join):
    """The channels of all branches, one after the other (GoogLeNet, DenseNet).

    >>> ConcatChannels().joined_shape(((28, 28, 64), (28, 28, 128)))
    (28, 28, 192)
    """

    op = "concat"

    def joined_shape(self, input_shapes: tuple[Shape, ...]) -> Shape:
        """Return the shared extents with the sum of the channels."""
        if len({shape[:-1] for shape in input_shapes}) > 1:
            raise _misfit(
                "branches differ outside their channels",
                input_shapes,
                "Give them the same strides and `same` padding, or `crop` the larger one.",
            )
        return (*input_shapes[0][:-1], sum(shape[-1] for shape in input_shapes))


@dataclass(slots=True, eq=False, repr=False)
class Multiply(Join):
    """The block's input times its body, which may have one number for each channel.

    >>> Multiply().joined_shape(((7, 7, 64), (64,)))
    (7, 7, 64)
    """

    op = "scale"
    keeps = "input"

    def joined_shape(self, input_shapes: tuple[Shape, ...]) -> Shape:
        """Return the first shape; the second is broadcast over its axes."""
        data, gate = input_shapes
        padded = (1,) * (len(data) - len(gate)) + gate
        fits = len(padded) == len(data) and padded[-1] == data[-1]
        if not fits or any(g not in {1, d} for d, g in zip(data, padded, strict=True)):
            raise _misfit(
                "the body of scale gives no factor for its input",
                input_shapes,
                f"End it with `dense {data[-1]} sigmoid` after `gap`, or `conv {data[-1]} 1`.",
            )
        return data

    def joined_flops(self, input_shapes: tuple[Shape, ...]) -> Work:
        """Return one product for each element."""
        return {"elementwise": elements(input_shapes[0])}


@dataclass(slots=True, eq=False, repr=False)
class Product(Multiply):
    """The product of branches; each after the first may have one number for each channel.

    >>> Product().joined_shape(((7, 7, 64), (7, 7, 64)))
    (7, 7, 64)
    """

    op = "mul"

    def joined_shape(self, input_shapes: tuple[Shape, ...]) -> Shape:
        """Return the first shape; the others are broadcast over its axes."""
        first, *others = input_shapes
        for gate in others:
            padded = (1,) * (len(first) - len(gate)) + gate
            fits = len(padded) == len(first)
            if not fits or any(g not in {1, f} for f, g in zip(first, padded, strict=True)):
                raise _misfit(
                    "branches of mul do not fit", (first, gate),
                    "All need the first one's shape, or 1 for an axis of it.",
                )  # fmt: skip
        return first

    def joined_flops(self, input_shapes: tuple[Shape, ...]) -> Work:
        """Return one product for each element and each branch after the first."""
        return {"elementwise": elements(input_shapes[0]) * (len(input_shapes) - 1)}


@dataclass(slots=True, eq=False, repr=False)
class Residual(Block):
    """The sum of a body and a shortcut, which is the identity when left out."""

    body: Branch
    shortcut: Branch = ()

    op = "residual"
    example = "residual(conv 64 3 same, bn | conv 64 1)"
    join = Add()
    parts_fields = ("body", "shortcut")


@dataclass(slots=True, eq=False, repr=False)
class Concat(Block):
    """Branches of one input, their channels joined."""

    branches: tuple[Branch, ...]

    op = "concat"
    example = "concat(conv 16 1 | conv 16 3 same | )"
    join: ClassVar[Join] = ConcatChannels()

    def __post_init__(self) -> None:
        if not self.branches:
            raise ShapeError(f"{self.op} has no branch. Write {self.op}(a | b).")

    @property
    def parts(self) -> tuple[Branch, ...]:
        """All branches."""
        return self.branches

    def with_parts(self, parts: tuple[Branch, ...]) -> Self:
        """Return the block with other branches."""
        return replace(self, branches=parts)


@dataclass(slots=True, eq=False, repr=False)
class Mul(Concat):
    """Branches of one input, multiplied element by element (gated units, Dauphin et al. 2017)."""

    op = "mul"
    example = "mul(conv 16 3 same | conv 16 3 same sigmoid)"
    join = Product()


@dataclass(slots=True, eq=False, repr=False)
class Scale(Block):
    """The block's input times the output of its body (squeeze and excite, Hu et al. 2018)."""

    body: Branch

    op = "scale"
    example = "scale(gap, dense 4 relu, dense 16 sigmoid)"
    join = Multiply()

    @property
    def joined(self) -> tuple[Branch, ...]:
        """The input itself, then the body."""
        return (), self.body


@dataclass(slots=True, eq=False, repr=False)
class From(Block):
    """Goes on from an earlier layer or block, by its name, instead of what stands before."""

    point: str

    op = "from"
    example = "a: conv 16 3 same, conv 16 3 same, concat( | from a)"
    parts_fields = ()


@dataclass(slots=True, eq=False, repr=False)
class Repeat(Block):
    """The same layers `count` times over, each with weights of its own; nothing closes it."""

    count: int
    body: Branch

    op = "repeat"
    example = "repeat 3 (conv 16 3 same relu)"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ShapeError(f"repeat {self.count} repeats nothing. Use at least 1.")


BLOCKS: dict[str, type[Block]] = {cls.op: cls for cls in (Residual, Concat, Repeat, Scale, Mul)}
"""The words of blocks that have brackets."""
