"""What every layer on paper offers: shapes, arrays, work and reads, from its input shape alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import ClassVar, Self

from convcli.errors import InputError
from convcli.geometry import AxisMap, Padding
from convcli.layers.elsewhere import Elsewhere
from convcli.values import Value

__all__ = ["Join", "Layer", "ShapeError"]

Shape = tuple[int, ...]
"""Channels last, no batch: (H, W, C), (L, C), (D, H, W, C) or (N,)."""

Work = dict[str, int]
"""Floating-point operations of one sample by kind, see `KINDS`."""

KINDS = ("conv", "dense", "bias", "normalization", "activation", "pooling", "elementwise")

MAX_EXTENT = 10**9
"""No axis may be longer: a map that long has left the earth, and its figures the terminal."""


class ShapeError(InputError):
    """A short local fact: this layer does not fit this input; the network adds the place."""


def shape_text(shape: Shape) -> str:
    """Return a shape as it is written.

    >>> shape_text((28, 28, 1))
    '28x28x1'
    """
    return "x".join(map(str, shape))


def elements(shape: Shape) -> int:
    """Return the number of cells.

    >>> elements((28, 28, 1))
    784
    """
    return prod(shape)


def nearest_divisor(wanted: int, *counts: int) -> int:
    """Return the number nearest to `wanted` that divides all counts.

    >>> nearest_divisor(4, 6, 9)
    3
    """
    shared = [n for n in range(1, min(*counts, 4096) + 1) if not any(count % n for count in counts)]
    return min(shared, key=lambda n: abs(n - wanted))


def padding_text(padding: Padding) -> str:
    """Return a padding as it is written after `p`.

    >>> padding_text(((1, 1), (1, 1))), padding_text(((0, 1), (2, 2)))
    ('1', '0:1x2')
    """
    if isinstance(padding, str):
        return padding
    axes = [str(before) if before == after else f"{before}:{after}" for before, after in padding]
    return axes[0] if len(set(axes)) == 1 else "x".join(axes)


@dataclass(slots=True, eq=False, repr=False)
class Layer(Value):
    """A frozen description; subclasses override the rules in which they differ from a pass-through.

    Sizes per axis are tuples; a tuple of one stands for every axis until `at_rank` spells it out.
    """

    name: str | None = field(default=None, kw_only=True)

    op: ClassVar[str] = ""
    """The word of the notation, and of the row."""
    needs_map: ClassVar[bool] = False
    """Whether a vector is refused."""
    axes_fields: ClassVar[tuple[str, ...]] = ()
    """Fields with one positive number per axis."""
    pads_fields: ClassVar[tuple[str, ...]] = ()
    """Other fields with one entry per axis: (before, after), or a number that may be 0."""
    bare_fields: ClassVar[tuple[str, ...]] = ()
    """Fields with a default that the notation writes without their name."""
    positive_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that are at least 1."""
    unsaid: ClassVar[tuple[str, ...]] = ()
    """Fields that the notation has no word for."""
    role: ClassVar[str] = ""
    """Its family: conv, pool, dense, norm, activation, dropout, rearrange, recurrent or join."""
    elsewhere: ClassVar[Elsewhere] = Elsewhere()
    """What other programs call it."""
    steps: ClassVar[str] = ""
    """What it does to each element, where that is always the same: `square, sum, divide`."""
    keeps: ClassVar[str] = ""
    """What its gradient reads again, as in PyTorch: `input`, `output`, or nothing."""
    is_view: ClassVar[bool] = False
    """Whether the output is the input's memory under another shape."""
    is_source: ClassVar[bool] = False
    """Whether it reads no layer: an input."""

    def __post_init__(self) -> None:
        for name in self.positive_fields:
            if getattr(self, name) < 1:
                raise ShapeError(f"{name} is {getattr(self, name)}. Use at least 1.")
        for name in self.axes_fields:
            value = getattr(self, name)
            if not value or min(value) < 1:
                raise ShapeError(
                    f"{name} is {shape_text(value) or 'empty'}. Use at least 1 per axis."
                )
        rank = max((len(getattr(self, name)) for name in self.axes_fields), default=1)
        if rank > 1 and len(self.axes_fields) > 1:
            self._spread(rank)

    def _spread(self, rank: int) -> None:
        """Give every size that was written once the number of axes that another one names."""
        for name in (*self.axes_fields, *self.pads_fields):
            value = getattr(self, name)
            if not isinstance(value, str) and len(value) == 1:
                object.__setattr__(self, name, value * rank)

    @property
    def row_op(self) -> str:
        """The word shown in the row; the kind for an activation."""
        return self.op

    def default_of(self, name: str) -> object:
        """Return what a field is where nothing is written."""
        return type(self).__dataclass_fields__[name].default

    @property
    def described(self) -> Layer:
        """The layer that errors show; itself, but for a stand-in."""
        return self

    def at_rank(self, rank: int) -> Self:
        """Return the layer with every per-axis size spelled out for `rank` spatial axes.

        Raises:
            ShapeError: a size has other axes, or the layer needs a map and gets a vector.
        """
        if self.needs_map and not rank:
            raise ShapeError(
                f"{self.op} slides over a map, and its input is a vector. "
                f"Move it before `flatten`, or use `dense` here."
            )
        changes = {}
        for name in (*self.axes_fields, *self.pads_fields):
            value = getattr(self, name)
            if isinstance(value, str) or not value or len(value) == rank:
                continue
            if len(value) != 1:
                told = padding_text(value) if isinstance(value[0], tuple) else shape_text(value)
                fix = (
                    f"one number for all axes, or {rank} joined by x" if rank > 1 else "one number"
                )
                raise ShapeError(
                    f"{name} {told} names {len(value)} axes, and its input has {rank}. Write {fix}."
                )
            changes[name] = value * rank
        return replace(self, **changes) if changes else self

    def fitted(self, input_shape: Shape) -> Layer:
        """Return the layer with the sizes put in that it leaves to its input."""
        return self

    def output_rank(self, rank: int) -> int:
        """Return the number of spatial axes of the output."""
        return rank

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the output's shape.

        Raises:
            ShapeError: the layer does not fit `input_shape`.
        """
        return input_shape

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the learnable arrays: name to shape, kernels as HWIO, dense as (in, out)."""
        return {}

    def buffers(self, input_shape: Shape) -> dict[str, Shape]:
        """Return the arrays that are kept but not learned by gradients: name to shape."""
        return {}

    def keeps_besides(self, input_shape: Shape) -> tuple[int, int]:
        """Return how many further numbers, and how many 8-byte indices, its gradient reads."""
        return 0, 0

    def macs(self, input_shape: Shape) -> int:
        """Return the multiply-accumulates of one sample, no bias."""
        return 0

    def flops(self, input_shape: Shape) -> Work:
        """Return the floating-point operations of one sample by kind, no suffix activation."""
        return {}

    def reads(self, input_shape: Shape) -> tuple[AxisMap, ...] | None:
        """Return what each spatial axis reads; () cell by cell, None the whole input."""
        return ()


@dataclass(slots=True, eq=False, repr=False)
class Join(Layer):
    """A row that reads several steps; it closes a block."""

    role = "join"

    def joined_shape(self, input_shapes: tuple[Shape, ...]) -> Shape:
        """Return the output's shape.

        Raises:
            ShapeError: the branches do not fit each other.
        """
        raise NotImplementedError

    def joined_flops(self, input_shapes: tuple[Shape, ...]) -> Work:
        """Return the floating-point operations of one sample by kind."""
        return {}
