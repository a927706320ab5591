"""The same network in PyTorch, channels first as it prefers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from convcli.layers.activation import Activation
from convcli.layers.conv import Conv, DepthwiseConv
from convcli.layers.dense import Dense, Dropout, Flatten
from convcli.layers.norm import BatchNorm
from convcli.layers.pool import AveragePool, GlobalAveragePool, MaxPool
from convcli.layers.recurrent import LSTM
from convcli.net.value import Network

ACTIVATIONS = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "silu": nn.SiLU, "gelu": nn.GELU,
}  # fmt: skip


class LastOutput(nn.Module):
    """An LSTM that answers with its last output."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, units, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.lstm(x.transpose(1, 2))[0][:, -1]


def peer_of(network: Network) -> nn.Sequential:
    """Return the network's layers up to the logits."""
    modules: list[nn.Module] = []
    for step in network.trace().steps:
        shape, rank = step.input_shapes[0], len(step.input_shapes[0]) - 1
        modules += _modules(step.layer, shape, rank)
        if step.activation and step.activation != "softmax":
            modules.append(ACTIVATIONS[step.activation]())
    return nn.Sequential(*modules)


def _modules(  # noqa: PLR0911  (one return for each kind of layer)
    layer: Any, shape: tuple[int, ...], rank: int
) -> list[nn.Module]:
    match layer:
        case Conv() | DepthwiseConv():
            kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[rank]
            windows = layer.windows(shape)
            depthwise = isinstance(layer, DepthwiseConv)
            return [kind(
                shape[-1],
                shape[-1] * layer.multiplier if depthwise else layer.filters,
                layer.kernel,
                layer.stride,
                tuple(window.before for window in windows),
                layer.dilation,
                shape[-1] if depthwise else layer.groups,
                layer.bias,
            )]  # fmt: skip
        case MaxPool():
            kind = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}[rank]
            return [kind(layer.kernel, layer.stride)]
        case AveragePool():
            kind = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}[rank]
            return [kind(layer.kernel, layer.stride)]
        case GlobalAveragePool():
            return [{1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d}[rank](1), nn.Flatten()]
        case BatchNorm():
            return [{0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[rank](shape[-1])]
        case Dropout():
            return [nn.Dropout(layer.rate)]
        case Flatten():
            return [nn.Flatten()]
        case Dense():
            return [nn.Linear(shape[-1], layer.units, layer.bias)]
        case LSTM():
            return [LastOutput(shape[-1], layer.units)]
        case Activation():
            return [ACTIVATIONS[layer.kind]()]
    raise NotImplementedError(layer)


def channels_first(samples: Any) -> Any:
    """Return samples (N, ..., C) as a tensor (N, C, ...)."""
    tensor = torch.from_numpy(samples)
    return tensor.movedim(-1, 1).contiguous()
