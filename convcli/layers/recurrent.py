"""Layers over a series: the recurrent ones, rivals of the 1-D convolution, and attention."""

from __future__ import annotations

from typing import ClassVar

from convcli.layers.base import (
    Layer,
    Shape,
    ShapeError,
    Work,
    elements,
    nearest_divisor,
    shape_text,
)
from convcli.layers.elsewhere import Elsewhere, Keras, Onnx, Torch
from convcli.layers.registry import word

__all__ = ["GRU", "LSTM", "Attention", "ClassToken", "PositionEmbedding"]


def check_series(layer: Layer, input_shape: Shape) -> None:
    """Refuse what is no series."""
    if len(input_shape) != 2:
        raise ShapeError(
            f"{layer.op} reads a series LxC, and its input is {shape_text(input_shape)}. "
            f"Use `reshape LxC` before it."
        )


TORCH_ARRAYS = {
    way + name: f"{word}_l0{'_reverse' if way else ''}"
    for way in ("", "reverse_")
    for name, word in (
        ("kernel", "weight_ih"), ("recurrent", "weight_hh"),
        ("bias", "bias_ih"), ("recurrent_bias", "bias_hh"),
    )
}  # fmt: skip

TURNED = {way + name: "i g -> g i" for way in ("", "reverse_") for name in ("kernel", "recurrent")}
"""How the arrays lie in PyTorch, which orders the gates as we do."""


class Recurrent(Layer):
    """What the recurrent layers share; the fields are declared by each of them."""

    __slots__ = ()
    units: int
    sequence: bool
    bidirectional: bool
    biases: int

    gates: ClassVar[int]
    activation_ops: ClassVar[int]
    """Operations of the activations of one unit in one step."""
    elementwise_ops: ClassVar[int]
    """Products and sums of one unit in one step, beside those of the gates."""

    role = "recurrent"
    keeps = "input"
    positive_fields = ("units",)

    def __post_init__(self) -> None:
        Layer.__post_init__(self)
        if self.biases not in {1, 2}:
            raise ShapeError(f"biases is {self.biases}. Use 1, as Keras, or 2, as PyTorch.")

    @property
    def directions(self) -> tuple[str, ...]:
        """What the names of its arrays begin with: nothing, and `reverse_` for the way back."""
        return ("", "reverse_") if self.bidirectional else ("",)

    def output_rank(self, rank: int) -> int:
        """Return 1 for a sequence, 0 for the last output alone."""
        return 1 if self.sequence else 0

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (length, units) for a sequence, else (units,); twice as many in two directions."""
        check_series(self, input_shape)
        units = self.units * len(self.directions)
        return (input_shape[0], units) if self.sequence else (units,)

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return kernel (in, gates * units), recurrent (units, gates * units) and the biases."""
        width = self.gates * self.units
        arrays: dict[str, Shape] = {
            "kernel": (input_shape[-1], width),
            "recurrent": (self.units, width),
            "bias": (width,),
        }
        if self.biases == 2:
            arrays["recurrent_bias"] = (width,)
        return {way + name: shape for way in self.directions for name, shape in arrays.items()}

    def macs(self, input_shape: Shape) -> int:
        """Return steps x gates x units x (inputs + units), for each direction."""
        length, channels = input_shape
        steps = length * len(self.directions)
        return steps * self.gates * self.units * (channels + self.units)

    def flops(self, input_shape: Shape) -> Work:
        """Return products and biases of the gates, and for each unit and step the cell's own."""
        cells = input_shape[0] * self.units * len(self.directions)
        return {
            "dense": 2 * self.macs(input_shape),
            "bias": self.gates * cells * self.biases,
            "activation": self.activation_ops * cells,
            "elementwise": self.elementwise_ops * cells,
        }

    def reads(self, input_shape: Shape) -> None:
        """Return None: the state carries the whole past."""


@word("lstm", "lstm 64")
class LSTM(Recurrent):
    """Long short-term memory over a series (length, channels); gates in the order i f g o.

    The last output, or with `sequence` the output of every step. In two directions both have
    arrays of their own, and their outputs stand side by side. One bias (Keras); with `biases=2` a
    second one that is added to it (PyTorch, ONNX).

    >>> sum(a * b for a, *rest in LSTM(64).weights((128, 9)).values() for b in [*rest, 1][:1])
    18944
    """

    units: int
    sequence: bool = False
    biases: int = 1
    bidirectional: bool = False

    gates = 4
    activation_ops = 14  # three sigmoids of 4, two tanh
    elementwise_ops = 4  # three products, one sum
    elsewhere = Elsewhere(
        Torch("LSTM", TORCH_ARRAYS),
        Onnx("LSTM"),
        Keras(
            "LSTM",
            {"units": "units", "return_sequences": "sequence"},
            only={
                "activation": "tanh",
                "recurrent_activation": "sigmoid",
                "use_bias": True,
                "go_backwards": False,
                "return_state": False,
            },
        ),
        arrays=TURNED,
    )


@word("gru", "gru 64")
class GRU(Recurrent):
    """A gated recurrent unit over a series (length, channels); gates in the order r z n.

    As in PyTorch and Keras the reset gate weighs the recurrent part of the candidate after its
    product, so that both biases count (Cho et al. 2014, in cuDNN's form).

    >>> GRU(64).weights((128, 9))["kernel"]
    (9, 192)
    """

    units: int
    sequence: bool = False
    biases: int = 2
    bidirectional: bool = False

    gates = 3
    activation_ops = 9  # two sigmoids of 4, one tanh
    elementwise_ops = 6  # the reset's product and sum; 1 - z, two products, one sum
    elsewhere = Elsewhere(Torch("GRU", TORCH_ARRAYS), Onnx("GRU"), Keras("GRU"), arrays=TURNED)


@word("attention", "attention 8")
class Attention(Layer):
    """Multi-head attention of a series to itself (Vaswani et al. 2017).

    Each cell's channels give a query, a key and a value by one dense layer; the heads share the
    channels, and a dense layer joins them.

    >>> sum(elements(shape) for shape in Attention(12).weights((197, 768)).values())
    2362368
    """

    heads: int
    bias: bool = True

    role = "recurrent"
    keeps = "input"
    positive_fields = ("heads",)
    elsewhere = Elsewhere(
        Torch("MultiheadAttention"), Onnx("Attention"), Keras("MultiHeadAttention")
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        check_series(self, input_shape)
        channels = input_shape[-1]
        if channels % self.heads:
            raise ShapeError(
                f"{self.heads} heads do not divide {channels} channels. "
                f"Use attention {nearest_divisor(self.heads, channels)}."
            )
        return input_shape

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return kernel (in, 3 * in) of query, key and value, output (in, in), and biases."""
        channels = input_shape[-1]
        arrays: dict[str, Shape] = {
            "kernel": (channels, 3 * channels),
            "output": (channels, channels),
        }
        if self.bias:
            arrays |= {"bias": (3 * channels,), "output_bias": (channels,)}
        return arrays

    def macs(self, input_shape: Shape) -> int:
        """Return length x 4 x channels ** 2, and twice length ** 2 x channels: scores, mixing."""
        length, channels = input_shape
        return length * 4 * channels**2 + 2 * length**2 * channels

    def flops(self, input_shape: Shape) -> Work:
        """Return 2 per multiply-accumulate, biases, and scaling and softmax of every score."""
        length, channels = input_shape
        scores = self.heads * length**2
        return {
            "dense": 2 * self.macs(input_shape),
            "bias": 4 * length * channels * self.bias,
            "activation": 5 * scores,
            "elementwise": scores,
        }

    def reads(self, input_shape: Shape) -> None:
        """Return None: every cell reads all."""


@word("classtoken", "classtoken")
class ClassToken(Layer):
    """A learned cell put before a series, to be read at the end (Dosovitskiy et al. 2021).

    >>> ClassToken().output_shape((196, 768))
    (197, 768)
    """

    role = "rearrange"

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (length + 1, channels)."""
        check_series(self, input_shape)
        return (input_shape[0] + 1, input_shape[1])

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return token (channels,)."""
        return {"token": input_shape[-1:]}

    def reads(self, input_shape: Shape) -> None:
        """Return None: its first cell has no place in the input."""


@word("posembed", "posembed")
class PositionEmbedding(Layer):
    """A learned number for every cell and channel, added to them.

    >>> PositionEmbedding().weights((197, 768))
    {'position': (197, 768)}
    """

    role = "rearrange"

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return position, of the input's shape."""
        return {"position": input_shape}

    def flops(self, input_shape: Shape) -> Work:
        """Return one addition for each element."""
        return {"elementwise": elements(input_shape)}
