"""Modules of torch.nn as they are written in a listing, each as a layer on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any, Protocol

from convcli import layers
from convcli.errors import ConvcliError, InputError, UsageError
from convcli.layers import Activation, Layer
from convcli.layers.activation import ACTIVATIONS, Kind
from convcli.layers.base import Shape, shape_text
from convcli.net import Network


class Written(Protocol):
    """A call as it stands in a listing."""

    kind: str
    args: list[Any]
    settings: dict[str, Any]
    line: int


Fields = Mapping[str, Any]


def _sizes(value: Any) -> Shape:
    return (int(value),) if isinstance(value, int) else tuple(map(int, value))


def _padding(value: Any) -> Any:
    return value if isinstance(value, str) else tuple((n, n) for n in _sizes(value))


def _window(given: Fields, stride: Any = 1) -> dict[str, Any]:
    """Return a window's fields; a pool's stride is its kernel where nothing is written."""
    return {
        "kernel": _sizes(given["kernel_size"]),
        "stride": _sizes(given.get("stride") or stride),
        "padding": _padding(given.get("padding", 0)),
    }


def _conv(given: Fields) -> Layer:
    return layers.Conv(
        filters=given["out_channels"],
        dilation=_sizes(given.get("dilation", 1)),
        groups=given.get("groups", 1),
        bias=given.get("bias", True),
        padding_mode=given.get("padding_mode", "zeros"),
        **_window(given),
    )


def _transposed(given: Fields) -> Layer:
    return layers.TransposedConv(
        filters=given["out_channels"],
        output_padding=_sizes(given.get("output_padding", 0)),
        dilation=_sizes(given.get("dilation", 1)),
        groups=given.get("groups", 1),
        bias=given.get("bias", True),
        **_window(given),
    )


def _max_pool(given: Fields) -> Layer:
    return layers.MaxPool(
        ceil=given.get("ceil_mode", False),
        dilation=_sizes(given.get("dilation", 1)),
        **_window(given, given["kernel_size"]),
    )


def _average_pool(given: Fields) -> Layer:
    padded = bool(given.get("padding", 0))
    return layers.AveragePool(
        ceil=given.get("ceil_mode", False),
        count_padding=padded and given.get("count_include_pad", True),
        **_window(given, given["kernel_size"]),
    )


def _adaptive(cls: Callable[..., Layer]) -> Callable[[Fields], Layer]:
    return lambda given: cls(tuple(n or 0 for n in _each(given["output_size"])))


def _each(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _norm(given: Fields) -> Layer:
    momentum = given.get("momentum", 0.1)
    return layers.BatchNorm(
        scale=given.get("affine", True), eps=given.get("eps", 1e-5), momentum=momentum
    )


def _upsample(given: Fields) -> Layer:
    factor, size = given.get("scale_factor"), given.get("size")
    bilinear = given.get("mode", "nearest") in {"linear", "bilinear", "trilinear"}
    if size is not None:
        return layers.Upsample(size=_sizes(size), bilinear=bilinear)
    return layers.Upsample(tuple(map(_whole, _each(factor))), bilinear=bilinear)


def _whole(figure: float) -> float:
    return int(figure) if figure == int(figure) else figure


def _recurrent(cls: Callable[..., Layer]) -> Callable[[Fields], Layer]:
    return lambda given: cls(
        given["hidden_size"], sequence=True, bidirectional=given.get("bidirectional", False)
    )


def _activation(kind: str, row: Kind) -> tuple[str, Row]:
    """Return the module of an activation, and what it makes of its numbers."""
    torch = row.elsewhere.torch
    name, _, settings = (torch.module if torch else "").rstrip(")").partition("(")
    names = settings.replace(",", "").split()

    def build(given: Fields) -> Layer:
        numbers = zip(names, row.numbers, strict=True)
        return Activation(kind, tuple(given.get(one, usual) for one, usual in numbers))

    return name, (settings.replace(",", ""), build)


Row = tuple[str, Callable[[Fields], Layer | None]]

_CONV = "in_channels out_channels kernel_size stride padding "
_POOL = "kernel_size stride padding "

MODULES: dict[str, Row] = {
    **{f"Conv{r}d": (_CONV + "dilation groups bias padding_mode", _conv) for r in (1, 2, 3)},
    **{f"ConvTranspose{r}d": (_CONV + "output_padding groups bias dilation", _transposed)
       for r in (1, 2, 3)},
    **{f"MaxPool{r}d": (_POOL + "dilation return_indices ceil_mode", _max_pool) for r in (1, 2, 3)},
    **{f"AvgPool{r}d": (_POOL + "ceil_mode count_include_pad", _average_pool) for r in (1, 2, 3)},
    **{f"AdaptiveAvgPool{r}d": ("output_size", _adaptive(layers.AdaptiveAveragePool))
       for r in (1, 2, 3)},
    **{f"AdaptiveMaxPool{r}d": ("output_size", _adaptive(layers.AdaptiveMaxPool))
       for r in (1, 2, 3)},
    **{f"BatchNorm{r}d": ("num_features eps momentum affine", _norm) for r in (1, 2, 3)},
    **{f"Dropout{r}d": ("p", lambda g: layers.Dropout(g.get("p", 0.5), whole_channels=True))
       for r in (1, 2, 3)},
    "Linear": ("in_features out_features bias",
               lambda g: layers.Dense(g["out_features"], g.get("bias", True))),
    "Flatten": ("start_dim end_dim", lambda g: layers.Flatten()),
    "Dropout": ("p", lambda g: layers.Dropout(g.get("p", 0.5))),
    "Identity": ("", lambda g: None),
    "GroupNorm": ("num_groups num_channels eps",
                  lambda g: layers.GroupNorm(g["num_groups"], eps=g.get("eps", 1e-5))),
    "PReLU": ("num_parameters", lambda g: layers.PReLU()),
    "LocalResponseNorm": ("size alpha beta k", lambda g: layers.LocalResponseNorm(**g)),
    "Upsample": ("size scale_factor mode", _upsample),
    "PixelShuffle": ("upscale_factor", lambda g: layers.PixelShuffle(g["upscale_factor"])),
    "PixelUnshuffle": ("downscale_factor", lambda g: layers.PixelUnshuffle(g["downscale_factor"])),
    "LSTM": ("input_size hidden_size", _recurrent(layers.LSTM)),
    "GRU": ("input_size hidden_size", _recurrent(layers.GRU)),
    **dict(starmap(_activation, ACTIVATIONS.items())),
}  # fmt: skip
"""Class of torch.nn -> names of what it takes by place, and the layer that it is."""


def network_from_torch(calls: Sequence[Written], input_shape: Shape | None, where: str) -> Network:
    """Return a stack of modules on paper.

    Raises:
        UsageError: no input shape is given, and the first layer does not say it.
        InputError: a module that has no word here, or one that does not fit what it reads.
    """
    network = Network(input_shape or _first_shape(calls, where), (), "Sequential")
    for call in calls:
        place = f"{where}, line {call.line}: {call.kind}"
        if call.kind not in MODULES:
            raise InputError(f"{place} has no word here. Known: {', '.join(MODULES)}.")
        names, build = MODULES[call.kind]
        given = dict(zip(names.split(), call.args, strict=False)) | call.settings
        try:
            layer = build(given)
            reads = network.trace().output_shape[-1]
            stated = given.get("in_channels", given.get("in_features", given.get("num_features")))
            if stated not in {None, reads}:
                raise InputError(f"it reads {stated} channels or cells, and gets {reads}.")
            if layer is not None:
                network = replace(network, layers=(*network.layers, layer))
                network.trace()
        except KeyError as problem:
            raise InputError(f"{place} needs {problem.args[0]}.") from None
        except ConvcliError as problem:
            raise InputError(f"{place}: {problem}") from None
    return network


def _first_shape(calls: Sequence[Written], where: str) -> Shape:
    """Return the input where the first layer takes rows, whose length it says."""
    first = calls[0] if calls else None
    if first is not None and first.kind == "Linear" and (first.args or first.settings):
        return (int(first.args[0] if first.args else first.settings["in_features"]),)
    told = shape_text((28, 28, 1))
    raise UsageError(f"{where}: PyTorch's modules do not say the input's size: --input {told}")
