"""The LSTM, the rival of the 1-D convolution for series."""

from __future__ import annotations

from convcli.layers.base import Layer, Shape, ShapeError, Work, shape_text
from convcli.layers.elsewhere import Elsewhere, Keras, Onnx, Torch
from convcli.layers.registry import word

__all__ = ["LSTM"]


@word("lstm", "lstm 64")
class LSTM(Layer):
    """Long short-term memory over a series (length, channels); gates in the order i f g o.

    The last output, or with `sequence` the output of every step. One bias (Keras); with `biases=2`
    a second one that is added to it (PyTorch, ONNX).

    >>> sum(a * b for a, *rest in LSTM(64).weights((128, 9)).values() for b in [*rest, 1][:1])
    18944
    """

    units: int
    sequence: bool = False
    biases: int = 1

    role = "recurrent"
    elsewhere = Elsewhere(
        Torch(
            "LSTM",
            {
                "kernel": "weight_ih_l0",
                "recurrent": "weight_hh_l0",
                "bias": "bias_ih_l0",
                "recurrent_bias": "bias_hh_l0",
            },
        ),
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
        arrays={"kernel": "i g -> g i", "recurrent": "i g -> g i"},
    )
    unsaid = ("biases",)
    keeps = "input"
    positive_fields = ("units",)

    def output_rank(self, rank: int) -> int:
        """Return 1 for a sequence, 0 for the last output alone."""
        return 1 if self.sequence else 0

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (length, units) for a sequence, else (units,)."""
        if len(input_shape) != 2:
            raise ShapeError(
                f"lstm reads a series LxC, and its input is {shape_text(input_shape)}. "
                f"Use `reshape LxC` before it."
            )
        return (input_shape[0], self.units) if self.sequence else (self.units,)

    def weights(self, input_shape: Shape) -> dict[str, Shape]:
        """Return kernel (in, 4 * units), recurrent (units, 4 * units) and bias (4 * units,)."""
        gates = 4 * self.units
        arrays: dict[str, Shape] = {
            "kernel": (input_shape[-1], gates),
            "recurrent": (self.units, gates),
            "bias": (gates,),
        }
        return arrays | ({"recurrent_bias": (gates,)} if self.biases == 2 else {})

    def macs(self, input_shape: Shape) -> int:
        """Return steps x 4 gates x units x (inputs + units)."""
        length, channels = input_shape
        return length * 4 * self.units * (channels + self.units)

    def flops(self, input_shape: Shape) -> Work:
        """Return products and biases of the gates, and for each unit and step the cell's own work.

        Three sigmoids (4 each) and two tanh (1 each); three products and one sum.
        """
        cells = input_shape[0] * self.units
        return {
            "dense": 2 * self.macs(input_shape),
            "bias": 4 * cells * self.biases,
            "activation": 14 * cells,
            "elementwise": 4 * cells,
        }

    def reads(self, input_shape: Shape) -> None:
        """Return None: the state carries the whole past."""
