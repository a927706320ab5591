"""What a layer is, on paper: frozen values with exact integer rules, standard library only.

Names load on first use, so that a network pays for the layers it has.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convcli.layers.activation import (
        ActivatedLayer as ActivatedLayer,
    )
    from convcli.layers.activation import (
        Activation as Activation,
    )
    from convcli.layers.activation import (
        PReLU as PReLU,
    )
    from convcli.layers.base import (
        Join as Join,
    )
    from convcli.layers.base import (
        Layer as Layer,
    )
    from convcli.layers.base import (
        Misfit as Misfit,
    )
    from convcli.layers.blocks import (
        Concat as Concat,
    )
    from convcli.layers.blocks import (
        Repeat as Repeat,
    )
    from convcli.layers.blocks import (
        Residual as Residual,
    )
    from convcli.layers.blocks import (
        Scale as Scale,
    )
    from convcli.layers.conv import (
        Conv as Conv,
    )
    from convcli.layers.conv import (
        DepthwiseConv as DepthwiseConv,
    )
    from convcli.layers.conv import (
        SeparableConv as SeparableConv,
    )
    from convcli.layers.conv import (
        TransposedConv as TransposedConv,
    )
    from convcli.layers.dense import (
        Dense as Dense,
    )
    from convcli.layers.dense import (
        Dropout as Dropout,
    )
    from convcli.layers.dense import (
        Flatten as Flatten,
    )
    from convcli.layers.joins import (
        Add as Add,
    )
    from convcli.layers.joins import (
        ConcatChannels as ConcatChannels,
    )
    from convcli.layers.joins import (
        Multiply as Multiply,
    )
    from convcli.layers.norm import (
        BatchNorm as BatchNorm,
    )
    from convcli.layers.norm import (
        GroupNorm as GroupNorm,
    )
    from convcli.layers.norm import (
        LayerNorm as LayerNorm,
    )
    from convcli.layers.norm import (
        LocalResponseNorm as LocalResponseNorm,
    )
    from convcli.layers.pool import (
        AdaptiveAveragePool as AdaptiveAveragePool,
    )
    from convcli.layers.pool import (
        AveragePool as AveragePool,
    )
    from convcli.layers.pool import (
        GlobalAveragePool as GlobalAveragePool,
    )
    from convcli.layers.pool import (
        GlobalMaxPool as GlobalMaxPool,
    )
    from convcli.layers.pool import (
        MaxPool as MaxPool,
    )
    from convcli.layers.rearrange import (
        ChannelShuffle as ChannelShuffle,
    )
    from convcli.layers.rearrange import (
        Crop as Crop,
    )
    from convcli.layers.rearrange import (
        Pad as Pad,
    )
    from convcli.layers.rearrange import (
        PixelShuffle as PixelShuffle,
    )
    from convcli.layers.rearrange import (
        PixelUnshuffle as PixelUnshuffle,
    )
    from convcli.layers.rearrange import (
        Reshape as Reshape,
    )
    from convcli.layers.rearrange import (
        Unfold as Unfold,
    )
    from convcli.layers.rearrange import (
        Upsample as Upsample,
    )
    from convcli.layers.recurrent import (
        LSTM as LSTM,
    )

_HOME = {
    "ActivatedLayer": "activation",
    "Activation": "activation",
    "AdaptiveAveragePool": "pool",
    "Add": "joins",
    "AveragePool": "pool",
    "BatchNorm": "norm",
    "ChannelShuffle": "rearrange",
    "Concat": "blocks",
    "ConcatChannels": "joins",
    "Conv": "conv",
    "Crop": "rearrange",
    "Dense": "dense",
    "DepthwiseConv": "conv",
    "Dropout": "dense",
    "Flatten": "dense",
    "GlobalAveragePool": "pool",
    "GlobalMaxPool": "pool",
    "GroupNorm": "norm",
    "Join": "base",
    "LSTM": "recurrent",
    "Layer": "base",
    "LayerNorm": "norm",
    "LocalResponseNorm": "norm",
    "MaxPool": "pool",
    "Misfit": "base",
    "Multiply": "joins",
    "PReLU": "activation",
    "Pad": "rearrange",
    "PixelShuffle": "rearrange",
    "PixelUnshuffle": "rearrange",
    "Repeat": "blocks",
    "Reshape": "rearrange",
    "Residual": "blocks",
    "Scale": "blocks",
    "SeparableConv": "conv",
    "TransposedConv": "conv",
    "Unfold": "rearrange",
    "Upsample": "rearrange",
}

__all__ = [*_HOME]  # noqa: PLE0604  (names come from the table above)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'convcli.layers' has no attribute {name!r}")
    return getattr(import_module(f"convcli.layers.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
