"""Each layer as PyTorch writes it: a child module, an expression, and tensors by name."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError
from convcli.geometry import Window, output_size
from convcli.layers import (
    LSTM,
    Activation,
    AdaptiveAveragePool,
    Add,
    AveragePool,
    BatchNorm,
    ChannelShuffle,
    ConcatChannels,
    Conv,
    Crop,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    LayerNorm,
    MaxPool,
    Multiply,
    Pad,
    Reshape,
    SeparableConv,
    TransposedConv,
    Upsample,
)
from convcli.layers.activation import ACTIVATIONS as KINDS
from convcli.net import Step
from convcli.net.words import layer_text

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass
class ModuleWriter:
    """The lines of `__init__` and `forward` in the making, and the tensors that go with them."""

    arrays: Arrays
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    tensors: dict[str, Array] = field(default_factory=dict)

    def module(self, name: str, constructor: str) -> str:
        """Declare a child module and return how `forward` names it."""
        self.init.append(f"self.{name} = nn.{constructor}")
        return f"self.{name}"

    def tensor(self, name: str, array: Array) -> None:
        """Give a tensor to the child module's parameter `name`."""
        self.tensors[name] = np.ascontiguousarray(array, dtype=np.float32)


def attribute(step: Step) -> str:
    """Return the step's name as a Python attribute.

    A name of digits first, or a word of Python, gets the op before it.
    """
    name = "".join(letter if letter.isalnum() else "_" for letter in step.name)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"{step.op}_{name}"


def torch_shape(shape: Sequence[int]) -> str:
    """Return a shape without its batch, channels first.

    >>> torch_shape((28, 20, 1))
    '1x28x20'
    """
    return "x".join(map(str, [shape[-1], *shape[:-1]]))


def _rank(step: Step) -> int:
    return len(step.input_shapes[0]) - 1


def expression(step: Step, sources: list[str], writer: ModuleWriter) -> str:
    """Return the expression of one row, its suffix activation included."""
    if getattr(step.layer, "padding_mode", "zeros") != "zeros":
        raise _formless(step)
    write = _WRITERS.get(type(step.layer), _named)
    out = write(step, step.layer.at_rank(_rank(step)), sources, writer)
    if step.activation and not isinstance(step.layer, Activation):
        out = _activated(step.activation, out)
    return out


def _formless(step: Step) -> InputError:
    return InputError(
        f"Layer {step.index} {step.name} `{layer_text(step.layer)}` has no PyTorch form here."
    )


def _tuple(sizes: Sequence[int]) -> str:
    """Return sizes as PyTorch takes them: one number where all are equal."""
    return str(sizes[0]) if len(set(sizes)) == 1 else str(tuple(sizes))


def _options(**given: tuple[Any, Any]) -> str:
    """Return `, key=value` for each value that is not its default."""
    return "".join(
        f", {key}={value}" for key, (value, default) in given.items() if value != default
    )


def _padded(step: Step, source: str, fill: str = "") -> tuple[str, str]:
    """Return the source, padded by hand where two equal sides will not do, and the padding left."""
    axes = [axis for axis in step.reads or () if isinstance(axis, Window)]
    pairs = []
    for axis, size, count in zip(axes, step.input_shapes[0], step.output_shape, strict=False):
        reach = (count - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1
        pairs.append((axis.before, max(0, reach - size - axis.before)))
    sides = [before for before, _ in pairs]
    if all(_floor_fits(step, index, side) for index, side in enumerate(sides)):
        return source, _tuple(sides)
    flat = [cells for pair in reversed(pairs) for cells in pair]
    return f"F.pad({source}, {tuple(flat)}{fill})", "0"


def _floor_fits(step: Step, index: int, side: int) -> bool:
    """Tell whether the same padding on both sides gives the wanted number of outputs."""
    axis = [axis for axis in step.reads or () if isinstance(axis, Window)][index]
    size = step.input_shapes[0][index]
    ceil = getattr(step.layer, "ceil", False)
    count = output_size(size, axis.kernel, axis.stride, side, side, axis.dilation, ceil=ceil)
    return count == step.output_shape[index]


def _conv_module(
    step: Step,
    writer: ModuleWriter,
    name: str,
    channels: tuple[int, int],
    groups: int,
    bias: bool,
    padding: str,
) -> str:
    axes = [axis for axis in step.reads or () if isinstance(axis, Window)]
    kernel = _tuple([axis.kernel for axis in axes])
    options = _options(
        stride=(_tuple([axis.stride for axis in axes]), "1"),
        padding=(padding, "0"),
        dilation=(_tuple([axis.dilation for axis in axes]), "1"),
        groups=(groups, 1),
        bias=(bias, True),
    )
    head = f"Conv{len(axes)}d({channels[0]}, {channels[1]}, {kernel}"
    return writer.module(name, f"{head}{options})")


def _conv(step: Step, layer: Conv, sources: list[str], writer: ModuleWriter) -> str:
    name, bias = attribute(step), "bias" in step.weights
    source, padding = _padded(step, sources[0])
    channels = step.input_shapes[0][-1], step.output_shape[-1]
    module = _conv_module(
        step, writer, name, channels, groups=layer.groups, bias=bias, padding=padding
    )
    kernel = writer.arrays[f"{step.name}.kernel"]
    writer.tensor(f"{name}.weight", np.moveaxis(kernel, (-1, -2), (0, 1)))
    _take_bias(step, writer, name)
    return f"{module}({source})"


def _take_bias(step: Step, writer: ModuleWriter, name: str) -> None:
    if "bias" in step.weights:
        writer.tensor(f"{name}.bias", writer.arrays[f"{step.name}.bias"])


def _depthwise(
    step: Step, source: str, writer: ModuleWriter, name: str, weight: str, bias: bool
) -> str:
    kernel = writer.arrays[f"{step.name}.{weight}"]
    channels, multiplier = kernel.shape[-2:]
    padded, padding = _padded(step, source)
    sizes = channels, channels * multiplier
    module = _conv_module(step, writer, name, sizes, groups=channels, bias=bias, padding=padding)
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    writer.tensor(f"{name}.weight", moved.reshape(-1, 1, *moved.shape[2:]))
    return f"{module}({padded})"


def _dwconv(step: Step, _: Layer, sources: list[str], writer: ModuleWriter) -> str:
    name = attribute(step)
    _take_bias(step, writer, name)
    return _depthwise(step, sources[0], writer, name, "kernel", "bias" in step.weights)


def _sepconv(step: Step, _: Layer, sources: list[str], writer: ModuleWriter) -> str:
    name = attribute(step)
    middle = _depthwise(step, sources[0], writer, f"{name}_depthwise", "depthwise", bias=False)
    kernel = writer.arrays[f"{step.name}.pointwise"]
    inputs, filters = kernel.shape[-2:]
    bias = "bias" in step.weights
    head = f"Conv{_rank(step)}d({inputs}, {filters}, 1{_options(bias=(bias, True))})"
    module = writer.module(f"{name}_pointwise", head)
    writer.tensor(f"{name}_pointwise.weight", np.moveaxis(kernel, (-1, -2), (0, 1)))
    _take_bias(step, writer, f"{name}_pointwise")
    return f"{module}({middle})"


def _upconv(step: Step, layer: TransposedConv, sources: list[str], writer: ModuleWriter) -> str:
    before, after, extra = (list(part) for part in zip(*layer.crops(), strict=True))
    # PyTorch crops both sides alike: what more is cut at the end is sliced off
    surplus = [end - start for start, end in zip(before, after, strict=True)]
    if min(surplus) < 0 or any(cut and more for cut, more in zip(surplus, extra, strict=True)):
        raise InputError(
            f"Layer {step.index} {step.name} `{layer_text(layer)}`: PyTorch has no transposed "
            "convolution with this padding. Use the same padding before and after."
        )
    name = attribute(step)
    options = _options(
        stride=(_tuple(layer.stride), "1"),
        padding=(_tuple(before), "0"),
        output_padding=(_tuple(extra), "0"),
        groups=(layer.groups, 1),
        bias=("bias" in step.weights, True),
        dilation=(_tuple(layer.dilation), "1"),
    )
    sizes = f"{step.input_shapes[0][-1]}, {layer.filters}, {_tuple(layer.kernel)}"
    module = writer.module(name, f"ConvTranspose{_rank(step)}d({sizes}{options})")
    kernel = writer.arrays[f"{step.name}.kernel"]
    writer.tensor(f"{name}.weight", np.moveaxis(kernel, (-2, -1), (0, 1)))
    _take_bias(step, writer, name)
    cuts = ", ".join(f":-{cut}" if cut else ":" for cut in surplus)
    return f"{module}({sources[0]})" + (f"[:, :, {cuts}]" if any(surplus) else "")


def _dense(step: Step, _: Layer, sources: list[str], writer: ModuleWriter) -> str:
    name, kernel = attribute(step), writer.arrays[f"{step.name}.kernel"]
    bias = _options(bias=("bias" in step.weights, True))
    _take_bias(step, writer, name)
    rank = _rank(step)
    if rank == 0:
        writer.tensor(f"{name}.weight", kernel.T)
        head = f"Linear({kernel.shape[0]}, {kernel.shape[1]}{bias})"
        return f"{writer.module(name, head)}({sources[0]})"
    writer.tensor(f"{name}.weight", kernel.T.reshape(*kernel.T.shape, *[1] * rank))
    head = f"Conv{rank}d({kernel.shape[0]}, {kernel.shape[1]}, 1{bias})"
    return f"{writer.module(name, head)}({sources[0]})"


def _maxpool(step: Step, layer: MaxPool, sources: list[str], _: ModuleWriter) -> str:
    source, padding = _padded(step, sources[0], ", value=-torch.inf")
    ceil = layer.ceil and source == sources[0]
    options = _options(padding=(padding, "0"), ceil_mode=(ceil, False))
    return _pool(step, "max", source, options)


def _avgpool(step: Step, layer: AveragePool, sources: list[str], _: ModuleWriter) -> str:
    source, padding = _padded(step, sources[0])
    if source != sources[0] and not layer.count_padding:
        raise InputError(
            f"Layer {step.index} {step.name} `{layer_text(step.layer)}`: PyTorch averages with the "
            "same padding on both sides only. Use such a padding, or countpad."
        )
    ceil = layer.ceil and source == sources[0]
    options = _options(
        padding=(padding, "0"),
        ceil_mode=(ceil, False),
        count_include_pad=(layer.count_padding or (padding == "0" and not ceil), True),
    )
    return _pool(step, "avg", source, options)


def _pool(step: Step, kind: str, source: str, options: str) -> str:
    axes = [axis for axis in step.reads or () if isinstance(axis, Window)]
    kernel, stride = _tuple([a.kernel for a in axes]), _tuple([a.stride for a in axes])
    strided = _options(stride=(stride, kernel))
    return f"F.{kind}_pool{len(axes)}d({source}, {kernel}{strided}{options})"


def _adaptavg(step: Step, _: Layer, sources: list[str], __: ModuleWriter) -> str:
    size = _tuple(step.output_shape[:-1])
    return f"F.adaptive_avg_pool{_rank(step)}d({sources[0]}, {size})"


def _activated(kind: str, source: str) -> str:
    """Return an activation's expression as its row names it."""
    named = KINDS[kind].elsewhere.torch
    return named.form.format(x=source) if named else source


def _named(step: Step, layer: Layer, sources: list[str], writer: ModuleWriter) -> str:
    """Write a layer by the form and the arrays that stand on its class."""
    said = layer.elsewhere.torch
    if said is None or "(" not in said.form:
        raise _formless(step)
    figures = {one.name: getattr(layer, one.name) for one in fields(layer)}
    text = said.form.format(
        x=sources[0], channels=step.input_shapes[0][-1], rank=max(1, _rank(step)), **figures
    )
    if "{x}" in said.form:
        return text
    name = attribute(step)
    for ours, theirs in said.arrays.items():
        if f"{step.name}.{ours}" in writer.arrays:
            writer.tensor(f"{name}.{theirs}", writer.arrays[f"{step.name}.{ours}"])
    return f"{writer.module(name, text)}({sources[0]})"


def _bn(step: Step, layer: BatchNorm, sources: list[str], writer: ModuleWriter) -> str:
    """PyTorch asks for scales and a count of batches, also where they say nothing."""
    name = attribute(step)
    writer.tensor(f"{name}.weight", np.ones(step.output_shape[-1]))
    writer.tensors[f"{name}.num_batches_tracked"] = np.zeros((), np.int64)
    return _named(step, layer, sources, writer)


def _ln(step: Step, layer: LayerNorm, sources: list[str], writer: ModuleWriter) -> str:
    """PyTorch normalizes over the last axis, where the channels are moved for a while."""
    if not _rank(step):
        return _named(step, layer, sources, writer)
    return f"{_named(step, layer, [f'{sources[0]}.movedim(1, -1)'], writer)}.movedim(-1, 1)"


def _dropout(step: Step, layer: Dropout, sources: list[str], writer: ModuleWriter) -> str:
    whole = layer.whole_channels and _rank(step) > 0
    kind = f"Dropout{_rank(step)}d" if whole else "Dropout"
    return f"{writer.module(attribute(step), f'{kind}({layer.rate})')}({sources[0]})"


def _flatten(step: Step, _: Layer, sources: list[str], __: ModuleWriter) -> str:
    moved = ".movedim(1, -1)" if _rank(step) else ""
    return f"{sources[0]}{moved}.flatten(1)"


def _reshape(step: Step, _: Layer, sources: list[str], __: ModuleWriter) -> str:
    before = ".movedim(1, -1)" if _rank(step) else ""
    after = ".movedim(-1, 1)" if len(step.output_shape) > 1 else ""
    sizes = ", ".join(map(str, step.output_shape))
    return f"{sources[0]}{before}.reshape(-1, {sizes}){after}"


def _pad(step: Step, layer: Pad | Crop, sources: list[str], _: ModuleWriter) -> str:
    sign = 1 if isinstance(layer, Pad) else -1
    flat = tuple(sign * cells for pair in reversed(layer.cells) for cells in pair)
    return f"F.pad({sources[0]}, {flat})"


def _upsample(step: Step, layer: Upsample, sources: list[str], _: ModuleWriter) -> str:
    factor = tuple(map(float, layer.factor))
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[_rank(step)]
    mode = f', mode="{linear}", align_corners=False' if layer.bilinear else ""
    return f"F.interpolate({sources[0]}, scale_factor={factor}{mode})"


def _shuffle(step: Step, layer: ChannelShuffle, sources: list[str], _: ModuleWriter) -> str:
    return f"F.channel_shuffle({sources[0]}, {layer.groups})"


def _lstm(step: Step, layer: LSTM, sources: list[str], writer: ModuleWriter) -> str:
    """Both order their gates i f g o; a single bias is PyTorch's first, its second is zero."""
    name, units = attribute(step), layer.units
    given = {key: writer.arrays[f"{step.name}.{key}"] for key in step.weights}
    writer.tensor(f"{name}.weight_ih_l0", given["kernel"].T)
    writer.tensor(f"{name}.weight_hh_l0", given["recurrent"].T)
    writer.tensor(f"{name}.bias_ih_l0", given["bias"])
    writer.tensor(f"{name}.bias_hh_l0", given.get("recurrent_bias", np.zeros(4 * units)))
    head = f"LSTM({step.input_shapes[0][-1]}, {units}, batch_first=True)"
    every = f"{writer.module(name, head)}({sources[0]}.movedim(1, -1))[0]"
    return f"{every}.movedim(-1, 1)" if layer.sequence else f"{every}[:, -1]"


def _multiply(step: Step, _: Layer, sources: list[str], __: ModuleWriter) -> str:
    first, second = (len(shape) for shape in step.input_shapes)
    spread = f"[:, :{', None' * (first - second)}]" if second < first else ""
    return f"{sources[0]} * {sources[1]}{spread}"


_WRITERS: dict[type[Layer], Callable[..., str]] = {
    Conv: _conv,
    DepthwiseConv: _dwconv,
    SeparableConv: _sepconv,
    TransposedConv: _upconv,
    Dense: _dense,
    MaxPool: _maxpool,
    AveragePool: _avgpool,
    GlobalAveragePool: lambda step, _, x, __: (
        f"{x[0]}.mean(dim={tuple(range(2, 2 + _rank(step)))})"
    ),
    GlobalMaxPool: lambda step, _, x, __: f"{x[0]}.amax(dim={tuple(range(2, 2 + _rank(step)))})",
    AdaptiveAveragePool: _adaptavg,
    BatchNorm: _bn,
    LayerNorm: _ln,
    Activation: lambda _, layer, sources, __: _activated(layer.kind, sources[0]),
    Dropout: _dropout,
    Flatten: _flatten,
    Reshape: _reshape,
    Pad: _pad,
    Crop: _pad,
    Upsample: _upsample,
    ChannelShuffle: _shuffle,
    LSTM: _lstm,
    Add: lambda _, __, sources, ___: " + ".join(sources),
    ConcatChannels: lambda _, __, sources, ___: f"torch.cat([{', '.join(sources)}], dim=1)",
    Multiply: _multiply,
}
"""Layers that take more than a form with their figures; the others say theirs, see `_named`."""
