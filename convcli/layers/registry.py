"""Which class stands behind which word, and in which order the notation writes its fields.

One row serves parser and writer. Modules load when their word is first read, so that a network
pays for the layers it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from convcli.frozen import Frozen
from convcli.layers.base import Layer


@dataclass(slots=True, eq=False, repr=False)
class Word(Frozen):
    """One word of the notation: its class, its numbers in order, and its options."""

    home: str
    """Module in `convcli.layers`."""
    layer: str
    """Class in that module."""
    positional: tuple[str, ...] = ()
    """Fields written as bare values; `?` behind a name means it may be left out."""
    options: tuple[str, ...] = ()
    """Fields written as options, in the order of the canonical form."""
    fixed: tuple[tuple[str, object], ...] = ()
    """Fields that the word itself decides."""
    example: str = ""
    """A usable example for help and errors."""

    def layer_class(self) -> type[Layer]:
        """Return the class, importing its module if need be."""
        found: type[Layer] = getattr(import_module(f"convcli.layers.{self.home}"), self.layer)
        return found


_SLIDE = ("stride", "padding", "dilation")
_ACTIVATIONS = (
    "relu", "relu6", "leakyrelu", "elu", "gelu", "silu", "hardswish", "tanh", "sigmoid", "softmax",
)  # fmt: skip

WORDS: dict[str, Word] = {
    "conv": Word("conv", "Conv", ("filters", "kernel"),
                 (*_SLIDE, "groups", "bias", "activation"), example="conv 16 3 same relu"),
    "dwconv": Word("conv", "DepthwiseConv", ("kernel",),
                   (*_SLIDE, "multiplier", "bias", "activation"), example="dwconv 3 p1"),
    "sepconv": Word("conv", "SeparableConv", ("filters", "kernel"),
                    (*_SLIDE, "multiplier", "bias", "activation"), example="sepconv 64 3 same"),
    "upconv": Word("conv", "TransposedConv", ("filters", "kernel"),
                   ("stride", "padding", "output_padding", "dilation", "groups", "bias",
                    "activation"), example="upconv 64 2 s2"),
    "maxpool": Word("pool", "MaxPool", ("kernel",), ("stride", "padding", "ceil"),
                    example="maxpool 2"),
    "avgpool": Word("pool", "AveragePool", ("kernel",),
                    ("stride", "padding", "ceil", "count_padding"), example="avgpool 2"),
    "gap": Word("pool", "GlobalAveragePool", example="gap"),
    "gmp": Word("pool", "GlobalMaxPool", example="gmp"),
    "adaptavg": Word("pool", "AdaptiveAveragePool", ("size",), example="adaptavg 7"),
    "bn": Word("norm", "BatchNorm", (), ("scale", "eps", "momentum"), example="bn"),
    "ln": Word("norm", "LayerNorm", (), ("eps",), example="ln"),
    "gn": Word("norm", "GroupNorm", ("groups",), ("eps",), example="gn 8"),
    "lrn": Word("norm", "LocalResponseNorm", ("size",), ("alpha", "beta", "k"), example="lrn 5"),
    **{kind: Word("activation", "Activation", fixed=(("kind", kind),), example=kind)
       for kind in _ACTIVATIONS},
    "prelu": Word("activation", "PReLU", example="prelu"),
    "dropout": Word("dense", "Dropout", ("rate",), fixed=(("whole_channels", False),),
                    example="dropout 0.5"),
    "dropout2d": Word("dense", "Dropout", ("rate",), fixed=(("whole_channels", True),),
                      example="dropout2d 0.2"),
    "flatten": Word("dense", "Flatten", example="flatten"),
    "reshape": Word("rearrange", "Reshape", ("shape",), example="reshape 7x7x16"),
    "pad": Word("rearrange", "Pad", ("cells",), example="pad 1"),
    "crop": Word("rearrange", "Crop", ("cells",), example="crop 1"),
    "upsample": Word("rearrange", "Upsample", ("factor",), ("bilinear",), example="upsample 2"),
    "shuffle": Word("rearrange", "ChannelShuffle", ("groups",), example="shuffle 3"),
    "dense": Word("dense", "Dense", ("units",), ("bias", "activation"), example="dense 10 softmax"),
    "lstm": Word("recurrent", "LSTM", ("units",), ("sequence",), example="lstm 64"),
}  # fmt: skip
"""The words of single layers."""

PAPER_ONLY: dict[str, Word] = {
    "pixelshuffle": Word("rearrange", "PixelShuffle", ("factor",)),
    "pixelunshuffle": Word("rearrange", "PixelUnshuffle", ("factor",)),
    "unfold": Word("rearrange", "Unfold", ("kernel",), ("stride", "padding")),
}
"""Layers that Python values can describe, and that have no word in the notation."""

BLOCKS: dict[str, str] = {
    "residual": "residual(conv 64 3 same, bn | conv 64 1)",
    "concat": "concat(conv 16 1 | conv 16 3 same | )",
    "repeat": "repeat 3 (conv 16 3 same relu)",
    "scale": "scale(gap, dense 4 relu, dense 16 sigmoid)",
}
"""The words of blocks, each with an example."""
