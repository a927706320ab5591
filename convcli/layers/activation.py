"""Activations, with the operations that each costs for one element."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from convcli.errors import did_you_mean
from convcli.layers.base import Layer, Shape, ShapeError, Work, elements
from convcli.layers.elsewhere import Elsewhere, Keras, Onnx, Torch
from convcli.layers.registry import WORDS, Word, word

__all__ = ["ActivatedLayer", "Activation", "PReLU"]


class Kind(NamedTuple):
    """One activation without weights: a row of its own, and a suffix of a layer."""

    about: str
    steps: str
    """What it does to one element; exp, erf, tanh and a division count 1 each."""
    keeps: str
    """What its gradient is computed from."""
    elsewhere: Elsewhere


def _named(torch: str, keras: str, onnx: Onnx, *also: str) -> Elsewhere:
    return Elsewhere(Torch(torch), onnx, Keras(keras), also)


ACTIVATIONS = {
    "relu": Kind("max(x, 0)", "compare", "output",
                 _named("F.relu({x})", "relu", Onnx("Relu"))),
    "relu6": Kind("max(x, 0), at most 6", "compare, compare", "input",
                  _named("F.relu6({x})", "relu6", Onnx("", form="Clip(x, 0.0, 6.0)"))),
    "leakyrelu": Kind("x, or 0.01 x where x is negative", "compare, multiply", "input",
                      _named("F.leaky_relu({x}, 0.01)", "leaky_relu",
                             Onnx("LeakyRelu", {"alpha": 0.01}))),
    "elu": Kind("x, or exp(x) - 1 where x is negative", "compare, exp, subtract", "input",
                _named("F.elu({x})", "elu", Onnx("Elu", {"alpha": 1.0}))),
    "gelu": Kind("x times the normal distribution's share below x (exact)",
                 "divide, erf, add, multiply, multiply", "input",
                 _named("F.gelu({x})", "gelu",
                        Onnx("Gelu", {"approximate": "none"},
                             form="Mul(Mul(x, 0.5), Add(Erf(Mul(x, 0.7071067811865476)), 1.0))"))),
    "silu": Kind("x sigmoid(x)", "negate, exp, add, divide, multiply", "input",
                 _named("F.silu({x})", "silu",
                        Onnx("Swish", {"alpha": 1.0}, form="Mul(x, Sigmoid(x))"))),
    "hardswish": Kind("x times (x + 3) / 6 cut to 0..1", "add, compare, compare, divide, multiply",
                      "input",
                      _named("F.hardswish({x})", "hard_silu",
                             Onnx("HardSwish",
                                  form="Div(Mul(x, Clip(Add(x, 3.0), 0.0, 6.0)), 6.0)"))),
    "tanh": Kind("hyperbolic tangent", "tanh", "output",
                 _named("torch.tanh({x})", "tanh", Onnx("Tanh"))),
    "sigmoid": Kind("1 / (1 + exp(-x))", "negate, exp, add, divide", "output",
                    _named("torch.sigmoid({x})", "sigmoid", Onnx("Sigmoid"), "logistic")),
    "softmax": Kind("shares that sum to 1 over the channels", "compare, subtract, exp, add, divide",
                    "output",
                    _named("F.softmax({x}, dim=1)", "softmax", Onnx("Softmax", {"axis": 1}))),
}  # fmt: skip

KINDS = tuple(ACTIVATIONS)

STEPS_PER_ELEMENT = {kind: row.steps for kind, row in ACTIVATIONS.items()} | {
    "prelu": ACTIVATIONS["leakyrelu"].steps
}

OPS_PER_ELEMENT = {kind: steps.count(",") + 1 for kind, steps in STEPS_PER_ELEMENT.items()}


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

    page = ()
    role = "activation"
    op = "activation"

    def __post_init__(self) -> None:
        check_kind(self.kind)

    @property
    def row_op(self) -> str:
        """The kind."""
        return self.kind

    @property
    def keeps(self) -> str:  # type: ignore[override]  # its kind decides
        """What its gradient reads again, by its kind."""
        return ACTIVATIONS[self.kind].keeps

    def flops(self, input_shape: Shape) -> Work:
        """Return the operations by `OPS_PER_ELEMENT`."""
        return {"activation": activation_flops(self.kind, input_shape)}


WORDS.update(
    {
        kind: Word(kind, Activation, kind, {"kind": kind}, row.about, row.elsewhere)
        for kind, row in ACTIVATIONS.items()
    }
)


@word("prelu", "prelu")
class PReLU(Layer):
    """A leaky ReLU with one learned slope for each channel (He et al. 2015).

    >>> PReLU().weights((8, 8, 64))
    {'slope': (64,)}
    """

    page = ()
    role = "activation"
    elsewhere = Elsewhere(
        Torch("PReLU({channels})", {"slope": "weight"}),
        Onnx("PRelu", arrays={"slope": "c -> c ..."}),
        Keras("PReLU", arrays={"slope": "c -> ... c"}),
    )
    keeps = "input"

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return slope (in_channels,)."""
        return {"slope": input_shape[-1:]}

    def flops(self, input_shape: Shape) -> Work:
        """Return the operations by `OPS_PER_ELEMENT`."""
        return {"activation": activation_flops("prelu", input_shape)}
