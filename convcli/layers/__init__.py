"""What a layer is, on paper: frozen values with exact integer rules, standard library only."""

from __future__ import annotations

from convcli.layers.activation import ActivatedLayer, Activation, PReLU
from convcli.layers.base import Join, Layer, ShapeError
from convcli.layers.conv import Conv, DepthwiseConv, SeparableConv, TransposedConv
from convcli.layers.dense import Dense, Dropout, Flatten
from convcli.layers.join import Add, Concat, ConcatChannels, Multiply, Repeat, Residual, Scale
from convcli.layers.norm import BatchNorm, GroupNorm, LayerNorm, LocalResponseNorm
from convcli.layers.pool import (
    AdaptiveAveragePool,
    AveragePool,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
)
from convcli.layers.rearrange import (
    ChannelShuffle,
    Crop,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    Reshape,
    Unfold,
    Upsample,
)
from convcli.layers.recurrent import LSTM
from convcli.layers.registry import WORDS

__all__ = [
    "LSTM",
    "WORDS",
    "ActivatedLayer",
    "Activation",
    "AdaptiveAveragePool",
    "Add",
    "AveragePool",
    "BatchNorm",
    "ChannelShuffle",
    "Concat",
    "ConcatChannels",
    "Conv",
    "Crop",
    "Dense",
    "DepthwiseConv",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GroupNorm",
    "Join",
    "Layer",
    "LayerNorm",
    "LocalResponseNorm",
    "MaxPool",
    "Multiply",
    "PReLU",
    "Pad",
    "PixelShuffle",
    "PixelUnshuffle",
    "Repeat",
    "Reshape",
    "Residual",
    "Scale",
    "SeparableConv",
    "ShapeError",
    "TransposedConv",
    "Unfold",
    "Upsample",
]
