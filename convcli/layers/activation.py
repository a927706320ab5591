"""Activations, with the operations that each costs for one element: a row of the table is one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from convcli.errors import did_you_mean
from convcli.layers.base import Layer, Shape, ShapeError, Work, elements
from convcli.layers.elsewhere import Elsewhere, Keras, Onnx, Torch
from convcli.layers.registry import WORDS, Word, word

__all__ = ["ActivatedLayer", "Activation", "LayerScale", "PReLU"]


Numbers = tuple[float, ...]
"""A slope, an alpha, or the two ends of a clip."""


class Kind(NamedTuple):
    """One activation without weights: a row of its own, and a suffix of a layer."""

    about: str
    steps: str
    """What it does to one element; exp, log, erf, tanh and a division count 1 each."""
    keeps: str
    """What its gradient is computed from."""
    elsewhere: Elsewhere
    numbers: Numbers = ()
    """What it takes, as it is where nothing is written."""
    rectifies: bool = False
    """Whether it keeps about half of its inputs, which first weights make up for (He et al.)."""
    positive: bool = False
    """Whether it is never below zero."""


def _named(torch: str, module: str, keras: str, onnx: Onnx, *also: str) -> Elsewhere:
    return Elsewhere(Torch(torch, module=module), onnx, Keras(keras) if keras else None, also)


ACTIVATIONS = {
    "relu": Kind("max(x, 0)", "compare", "output",
                 _named("F.relu({x})", "ReLU", "relu", Onnx("Relu")),
                 rectifies=True, positive=True),
    "relu6": Kind("max(x, 0), at most 6", "compare, compare", "input",
                  _named("F.relu6({x})", "ReLU6", "relu6", Onnx("", form="Clip(x, 0.0, 6.0)")),
                  rectifies=True, positive=True),
    "leakyrelu": Kind("x, or SLOPE times x where x is negative", "compare, multiply", "input",
                      _named("F.leaky_relu({x}, {numbers[0]})", "LeakyReLU(negative_slope)",
                             "leaky_relu", Onnx("LeakyRelu", {"alpha": "numbers"})),
                      (0.01,), rectifies=True),
    "elu": Kind("x, or ALPHA times (exp(x) - 1) where x is negative", "compare, exp, subtract",
                "input",
                _named("F.elu({x}, {numbers[0]})", "ELU(alpha)", "elu",
                       Onnx("Elu", {"alpha": "numbers"})),
                (1.0,), rectifies=True),
    "gelu": Kind("x times the normal distribution's share below x (exact)",
                 "divide, erf, add, multiply, multiply", "input",
                 _named("F.gelu({x})", "GELU", "gelu",
                        Onnx("Gelu", {"approximate": "none"},
                             form="Mul(Mul(x, 0.5), Add(Erf(Mul(x, 0.7071067811865476)), 1.0))")),
                 rectifies=True),
    "silu": Kind("x sigmoid(x)", "negate, exp, add, divide, multiply", "input",
                 _named("F.silu({x})", "SiLU", "silu",
                        Onnx("Swish", {"alpha": 1.0}, form="Mul(x, Sigmoid(x))")),
                 rectifies=True),
    "mish": Kind("x tanh(softplus(x))", "exp, add, log, tanh, multiply", "input",
                 _named("F.mish({x})", "Mish", "mish",
                        Onnx("Mish", form="Mul(x, Tanh(Softplus(x)))")),
                 rectifies=True),
    "hardswish": Kind("x times (x + 3) / 6 cut to 0..1", "add, compare, compare, divide, multiply",
                      "input",
                      _named("F.hardswish({x})", "Hardswish", "hard_silu",
                             Onnx("HardSwish",
                                  form="Div(Mul(x, Clip(Add(x, 3.0), 0.0, 6.0)), 6.0)")),
                      rectifies=True),
    "tanh": Kind("hyperbolic tangent", "tanh", "output",
                 _named("torch.tanh({x})", "Tanh", "tanh", Onnx("Tanh"))),
    "sigmoid": Kind("1 / (1 + exp(-x))", "negate, exp, add, divide", "output",
                    _named("torch.sigmoid({x})", "Sigmoid", "sigmoid", Onnx("Sigmoid"), "logistic"),
                    positive=True),
    "hardsigmoid": Kind("(x + 3) / 6 cut to 0..1", "add, compare, compare, divide", "input",
                        _named("F.hardsigmoid({x})", "Hardsigmoid", "hard_sigmoid",
                               Onnx("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5})),
                        positive=True),
    "softplus": Kind("log(1 + exp(x))", "exp, add, log", "input",
                     _named("F.softplus({x})", "Softplus", "softplus", Onnx("Softplus")),
                     positive=True),
    "clip": Kind("x cut to LOW:HIGH", "compare, compare", "input",
                 _named("F.hardtanh({x}, {numbers[0]}, {numbers[1]})",
                        "Hardtanh(min_val, max_val)", "",
                        Onnx("Clip", form="Clip(x, {numbers[0]}, {numbers[1]})"), "clamp"),
                 (-1.0, 1.0)),
    "softmax": Kind("shares that sum to 1 over the channels", "compare, subtract, exp, add, divide",
                    "output",
                    _named("F.softmax({x}, dim=1)", "Softmax", "softmax",
                           Onnx("Softmax", {"axis": 1})),
                    positive=True),
    "logsoftmax": Kind("logarithms of softmax", "compare, subtract, exp, add, log, subtract",
                       "output", _named("F.log_softmax({x}, dim=1)", "LogSoftmax", "log_softmax",
                                        Onnx("LogSoftmax", {"axis": 1}))),
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
    """A layer that may carry an activation as a suffix, with the numbers that it has by itself."""

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
    >>> Activation("leakyrelu").numbers, Activation("clip", (0.0, 6.0)).numbers
    ((0.01,), (0.0, 6.0))
    """

    kind: str
    numbers: Numbers = ()
    """What the kind takes: its slope, its alpha, its ends; its own where nothing is given."""

    role = "activation"
    op = "activation"
    bare_fields = ("numbers",)

    def __post_init__(self) -> None:
        check_kind(self.kind)
        own = ACTIVATIONS[self.kind].numbers
        if self.numbers and len(self.numbers) != len(own):
            count = f"{len(own)} number{'s' * (len(own) > 1)}" if own else "no number"
            raise ShapeError(f"{self.kind} takes {count}, not {len(self.numbers)}.")
        if self.kind == "clip" and self.numbers and self.numbers[0] > self.numbers[1]:
            low, high = self.numbers
            raise ShapeError(f"clip {low:g}:{high:g} has its ends turned. Use {high:g}:{low:g}.")
        object.__setattr__(self, "numbers", self.numbers or own)

    def default_of(self, name: str) -> object:
        """Return what a field is where nothing is written: each kind has numbers of its own."""
        return ACTIVATIONS[self.kind].numbers

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


def numbers_of(layer: Layer, kind: str) -> Numbers:
    """Return what an activation takes: a row's own numbers, or behind a layer those of its kind."""
    return layer.numbers if isinstance(layer, Activation) else ACTIVATIONS[kind].numbers


for _kind, _row in ACTIVATIONS.items():
    _taken = {} if _row.numbers else {"numbers": ()}
    _ends = ":".join(f"{number:g}" for number in _row.numbers)
    WORDS[_kind] = Word(
        _kind, Activation, f"{_kind} {_ends}".strip(), {"kind": _kind, **_taken}, _row.about,
        _row.elsewhere,
    )  # fmt: skip


@word("prelu", "prelu")
class PReLU(Layer):
    """A leaky ReLU with one learned slope for each channel (He et al. 2015).

    >>> PReLU().weights((8, 8, 64))
    {'slope': (64,)}
    """

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


@word("layerscale", "layerscale 1e-6")
class LayerScale(Layer):
    """Each channel times a learned factor, which begins at `start` (Touvron et al. 2021).

    >>> LayerScale().weights((8, 8, 64))
    {'scale': (64,)}
    """

    start: float = 1e-6

    role = "activation"
    elsewhere = Elsewhere(
        Torch("", {"scale": ""}), keras=Keras("LayerScale", {"init_values": "start"})
    )
    keeps = "input"
    bare_fields = ("start",)

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return scale (in_channels,)."""
        return {"scale": input_shape[-1:]}

    def flops(self, input_shape: Shape) -> Work:
        """Return one product for each element."""
        return {"elementwise": elements(input_shape)}
