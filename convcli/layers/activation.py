"""Activations, with the operations that each costs for one element."""

from __future__ import annotations

from dataclasses import dataclass, field

from convcli.errors import did_you_mean
from convcli.layers.base import Layer, Shape, ShapeError, Work, elements
from convcli.layers.registry import WORDS, Word, word

STEPS_PER_ELEMENT = {
    "relu": "compare",
    "relu6": "compare, compare",
    "leakyrelu": "compare, multiply",
    "prelu": "compare, multiply",
    "elu": "compare, exp, subtract",
    "gelu": "divide, erf, add, multiply, multiply",
    "silu": "negate, exp, add, divide, multiply",
    "hardswish": "add, compare, compare, divide, multiply",
    "tanh": "tanh",
    "sigmoid": "negate, exp, add, divide",
    "softmax": "compare, subtract, exp, add, divide",
}
"""What an activation does to one element, step by step."""

OPS_PER_ELEMENT = {kind: steps.count(",") + 1 for kind, steps in STEPS_PER_ELEMENT.items()}
"""Operations for one element; exp, erf, tanh and a division count 1 each."""

KEEPS = dict.fromkeys(STEPS_PER_ELEMENT, "input") | dict.fromkeys(
    ("relu", "tanh", "sigmoid", "softmax"), "output"
)
"""What the gradient of an activation is computed from."""

KINDS = tuple(kind for kind in OPS_PER_ELEMENT if kind != "prelu")
"""Activations without weights: rows of their own, and suffixes of a layer."""


def activation_flops(kind: str, shape: Shape) -> int:
    """Return the operations of an activation on a whole map.

    >>> activation_flops("relu", (26, 26, 16))
    10816
    """
    return OPS_PER_ELEMENT[kind] * elements(shape)


def check_kind(kind: str) -> None:
    """Refuse an unknown activation.

    Raises:
        ShapeError: names the nearest known one.
    """
    if kind not in KINDS:
        raise ShapeError(f"activation {kind!r} is unknown.{did_you_mean(kind, KINDS)}")


@dataclass(slots=True, eq=False, repr=False)
class ActivatedLayer(Layer):
    """A layer that may carry an activation as a suffix."""

    activation: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if self.activation is not None:
            check_kind(self.activation)


@dataclass(slots=True, eq=False, repr=False)
class Activation(Layer):
    """An activation in a row of its own; softmax works on the last axis.

    >>> Activation("relu").flops((26, 26, 16))
    {'activation': 10816}
    """

    kind: str

    op = "activation"

    def __post_init__(self) -> None:
        check_kind(self.kind)

    @property
    def row_op(self) -> str:
        """The kind."""
        return self.kind

    @property
    def keeps(self) -> str:  # type: ignore[override]  # its kind decides
        """What its gradient reads again, by `KEEPS`."""
        return KEEPS[self.kind]

    def flops(self, input_shape: Shape) -> Work:
        """Return the operations by `OPS_PER_ELEMENT`."""
        return {"activation": activation_flops(self.kind, input_shape)}


WORDS.update({kind: Word(kind, Activation, kind, {"kind": kind}) for kind in KINDS})


@word("prelu", "prelu")
class PReLU(Layer):
    """A leaky ReLU with one learned slope for each channel (He et al. 2015).

    >>> PReLU().weights((8, 8, 64))
    {'slope': (64,)}
    """

    keeps = "input"

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return slope (in_channels,)."""
        return {"slope": input_shape[-1:]}

    def flops(self, input_shape: Shape) -> Work:
        """Return the operations by `OPS_PER_ELEMENT`."""
        return {"activation": activation_flops("prelu", input_shape)}
