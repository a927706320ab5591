"""The fully connected layer, and what usually stands around it: flatten and dropout."""

from __future__ import annotations

from convcli.layers.activation import ActivatedLayer
from convcli.layers.base import Layer, Shape, ShapeError, Work, elements
from convcli.layers.elsewhere import Elsewhere, Keras, Onnx, Torch
from convcli.layers.registry import WORDS, Word, word

__all__ = ["Dense", "Dropout", "Flatten"]


@word("dense", "dense 10 softmax")
class Dense(ActivatedLayer):
    """Every output reads every input; on a map it acts on the channels of each cell.

    >>> Dense(256).weights((1024,))
    {'kernel': (1024, 256), 'bias': (256,)}
    """

    units: int
    bias: bool = True

    role = "dense"
    elsewhere = Elsewhere(
        Torch("Linear", {"kernel": "weight", "bias": "bias"}),
        Onnx("Gemm"),
        Keras("Dense", {"units": "units", "use_bias": "bias", "activation": "activation"}),
        ("fc", "fullyconnected"),
        {"kernel": "i o -> o i"},
    )
    keeps = "input"
    positive_fields = ("units",)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (..., units)."""
        return (*input_shape[:-1], self.units)

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return kernel (in, units) and bias (units,)."""
        kernel: dict[str, Shape] = {"kernel": (input_shape[-1], self.units)}
        return kernel | ({"bias": (self.units,)} if self.bias else {})

    def macs(self, input_shape: Shape) -> int:
        """Return inputs x units, for each cell of a map."""
        return elements(input_shape) * self.units

    def flops(self, input_shape: Shape) -> Work:
        """Return 2 per multiply-accumulate and 1 per bias addition."""
        bias = elements(self.output_shape(input_shape)) * self.bias
        return {"dense": 2 * self.macs(input_shape), "bias": bias}


@word("flatten", "flatten")
class Flatten(Layer):
    """A map in one row, channels last: index (y * width + x) * channels + c.

    >>> Flatten().output_shape((5, 5, 32))
    (800,)
    """

    role = "rearrange"
    elsewhere = Elsewhere(Torch("Flatten"), Onnx("Flatten"), Keras("Flatten"))
    is_view = True

    def output_rank(self, rank: int) -> int:
        """Return 0: a vector."""
        return 0

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (all cells,)."""
        return (elements(input_shape),)

    def reads(self, input_shape: Shape) -> None:
        """Return None: the whole input."""


@word("dropout", "dropout 0.5", whole_channels=False)
class Dropout(Layer):
    """In training, zeros at `rate`; else a pass-through.

    >>> Dropout(0.5).output_shape((128,))
    (128,)
    """

    rate: float
    whole_channels: bool = False

    role = "dropout"
    elsewhere = Elsewhere(Torch("Dropout"), Onnx("Dropout"), Keras("Dropout", {"rate": "rate"}))

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ShapeError(f"dropout rate {self.rate} is not in 0 <= rate < 1. Use 0.5, say.")

    @property
    def row_op(self) -> str:
        """`dropout`, or `dropout2d` for whole channels."""
        return "dropout2d" if self.whole_channels else "dropout"

    def keeps_besides(self, input_shape: Shape) -> tuple[int, int]:
        """Return the mask: one number for each cell, or for each channel."""
        return elements(input_shape[-1:] if self.whole_channels else input_shape), 0


WORDS["dropout2d"] = Word(
    "dropout2d",
    Dropout,
    "dropout2d 0.2",
    {"whole_channels": True},
    "In training, whole channels of zeros at `rate`.",
    Elsewhere(Torch("Dropout{rank}d"), keras=Keras("SpatialDropout{rank}D", {"rate": "rate"})),
)
