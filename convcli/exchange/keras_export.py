"""A trained network as a Keras configuration and its arrays, written without Keras.

Keras is channels last too, and its kernels are ours: only transposed kernels swap their last axes.
Windows that Keras has no word for become a padding or cropping layer beside the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convcli.errors import InputError
from convcli.exchange.keras_model import (
    Arrays,
    KerasModel,
    KerasWriter,
    Settings,
    in_keras_order,
    keras_word,
)
from convcli.exchange.scaling import Scaling
from convcli.geometry import Window, effective_kernel, same_padding
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
    MaxPool,
    Multiply,
    Pad,
    PReLU,
    Reshape,
    SeparableConv,
    TransposedConv,
    Upsample,
)
from convcli.layers.activation import ACTIVATIONS as KINDS
from convcli.net import Step, Trace
from convcli.net.words import layer_text

ACTIVATIONS = {
    kind: row.elsewhere.keras.kind
    for kind, row in KINDS.items()
    if row.elsewhere.keras and kind != "leakyrelu"
}
"""Our name -> Keras'; its leaky ReLU is a layer, as the word alone means another slope."""

TAKE_ACTIVATION = ("Conv", "DepthwiseConv", "SeparableConv", "Dense")
"""How the classes begin that have an activation of their own."""

NEVER_NEGATIVE = {"relu", "relu6", "sigmoid", "softmax"}
"""Behind these a zero loses against every cell or is one: a maximum may be padded with zeros."""


def keras_model(trace: Trace, arrays: Arrays, scaling: Scaling | None = None) -> KerasModel:
    """Return the network as Keras' layers.

    Args:
        trace: the network's steps.
        arrays: parameters and running statistics by `step.weight`.
        scaling: preprocessing to put before the first layer.

    Raises:
        InputError: a layer that Keras does not have, or not with these settings.

    >>> from convcli.net import parse_notation
    >>> trace = parse_notation("input 4, dense 2 softmax").trace()
    >>> given = {"dense1.kernel": np.zeros((4, 2)), "dense1.bias": np.zeros(2)}
    >>> [entry.kind for entry in keras_model(trace, given).entries]
    ['InputLayer', 'Dense']
    """
    writer = KerasWriter(arrays)
    shape = [None, *trace.network.input_shape]
    last = writer.add("input", "InputLayer", {"batch_shape": shape, "dtype": "float32"})
    if scaling is not None:
        settings = {"scale": list(scaling.scale), "offset": list(scaling.offset)}
        last = writer.add("preprocessing", "Rescaling", settings, last)
    values = [last]
    positive = [False]
    for step in trace.steps:
        sources = [values[source] for source in step.sources]
        writer.positive_source = positive[step.sources[0]]
        values.append(_step(step, sources, writer))
        kind = step.activation or getattr(step.layer, "kind", None)
        passes_on = isinstance(step.layer, MaxPool | AveragePool | Dropout | Crop | Pad)
        positive.append(kind in NEVER_NEGATIVE or (passes_on and writer.positive_source))
    name = keras_word(trace.network.name or "network")
    return KerasModel(name, in_keras_order(writer.entries, values[-1]))


def _step(step: Step, sources: list[str], writer: KerasWriter) -> str:
    """Add the layers of one row, its suffix activation included; return the last one's name."""
    if getattr(step.layer, "padding_mode", "zeros") != "zeros":
        raise _problem(step, "Keras has no such layer")
    write = _WRITERS.get(type(step.layer), _named)
    out = write(step, step.layer.at_rank(_rank(step)), sources, writer)
    if not step.activation or isinstance(step.layer, Activation):
        return out
    entry = writer.entries[out]
    if entry.kind.startswith(TAKE_ACTIVATION) and step.activation in ACTIVATIONS:
        entry.settings["activation"] = ACTIVATIONS[step.activation]
    else:
        out = _activation(f"{step.name}_{step.activation}", step.activation, out, writer)
    return out


def _problem(step: Step, fact: str) -> InputError:
    text = layer_text(step.layer)
    return InputError(f"Layer {step.index} {step.name} `{text}`: {fact}. Try --to onnx.")


def _rank(step: Step) -> int:
    return len(step.input_shapes[0]) - 1


def _activation(name: str, kind: str, source: str, writer: KerasWriter) -> str:
    if kind == "leakyrelu":
        return writer.add(name, "LeakyReLU", {"negative_slope": 0.01}, source)
    return writer.add(name, "Activation", {"activation": ACTIVATIONS[kind]}, source)


def _windows(step: Step) -> list[Window]:
    return [axis for axis in step.reads or () if isinstance(axis, Window)]


def _pairs(step: Step) -> list[tuple[int, int]]:
    """Return the padding per axis in cells; what a ceil window lacks at the end is padding too."""
    pairs = []
    for axis, size, count in zip(
        _windows(step), step.input_shapes[0], step.output_shape, strict=False
    ):
        reach = (count - 1) * axis.stride + effective_kernel(axis.kernel, axis.dilation)
        pairs.append((axis.before, max(0, reach - size - axis.before)))
    return pairs


def _cells(pairs: Sequence[Sequence[int]]) -> list[Any]:
    """Return (before, after) per axis as Keras takes them: 1-D without the outer list."""
    lists = [list(pair) for pair in pairs]
    return lists[0] if len(lists) == 1 else lists


def _word_or_padding(step: Step, source: str, writer: KerasWriter) -> tuple[str, str]:
    """Return the source and Keras' padding word; other paddings become a layer of zeros."""
    pairs = _pairs(step)
    if not any(map(any, pairs)):
        return source, "valid"
    if _is_same(step):
        return source, "same"
    settings = {"padding": _cells(pairs)}
    padded = writer.add(f"{step.name}_pad", f"ZeroPadding{len(pairs)}D", settings, source)
    return padded, "valid"


def _is_same(step: Step) -> bool:
    """Tell whether the windows are those of the word `same` at this size."""
    sizes = zip(_windows(step), step.input_shapes[0], step.output_shape, _pairs(step), strict=False)
    return all(
        count == -(-size // axis.stride)
        and pair == same_padding(size, axis.kernel, axis.stride, axis.dilation)
        for axis, size, count, pair in sizes
    )


def _sliding(step: Step, source: str, writer: KerasWriter) -> tuple[str, Settings]:
    """Return the source and the settings that all sliding convolutions share."""
    axes = _windows(step)
    strides, dilations = ([getattr(a, key) for a in axes] for key in ("stride", "dilation"))
    if max(strides) > 1 and max(dilations) > 1:
        raise _problem(step, "Keras has no stride together with a dilation")
    source, word = _word_or_padding(step, source, writer)
    return source, {
        "kernel_size": [axis.kernel for axis in axes],
        "strides": strides,
        "dilation_rate": dilations,
        "padding": word,
        "use_bias": "bias" in step.weights,
    }


def _conv(step: Step, layer: Conv, sources: list[str], writer: KerasWriter) -> str:
    source, settings = _sliding(step, sources[0], writer)
    settings |= {"filters": layer.filters, "groups": layer.groups}
    kind, arrays = f"Conv{_rank(step)}D", writer.weights(step, "kernel", "bias")
    return writer.add(step.name, kind, settings, source, arrays=arrays)


def _channelwise(
    step: Step, kind: str, source: str, writer: KerasWriter
) -> tuple[str, str, Settings]:
    """Return source, class and settings of a depthwise or separable convolution."""
    source, settings = _sliding(step, source, writer)
    if _rank(step) > 2:
        raise _problem(step, "Keras has it for 1 and 2 axes")
    if len(set(settings["strides"])) > 1:
        raise _problem(step, "Keras has it with one stride for both axes")
    return source, f"{kind}{_rank(step)}D", settings


def _dwconv(step: Step, layer: DepthwiseConv, sources: list[str], writer: KerasWriter) -> str:
    source, kind, settings = _channelwise(step, "DepthwiseConv", sources[0], writer)
    settings |= {"depth_multiplier": layer.multiplier}
    arrays = writer.weights(step, "kernel", "bias")
    return writer.add(step.name, kind, settings, source, arrays=arrays)


def _sepconv(step: Step, layer: SeparableConv, sources: list[str], writer: KerasWriter) -> str:
    source, kind, settings = _channelwise(step, "SeparableConv", sources[0], writer)
    settings |= {"filters": layer.filters, "depth_multiplier": layer.multiplier}
    arrays = writer.weights(step, "depthwise", "pointwise", "bias")
    return writer.add(step.name, kind, settings, source, arrays=arrays)


def _upconv(step: Step, layer: TransposedConv, sources: list[str], writer: KerasWriter) -> str:
    """Without padding, and what our padding takes off is cropped behind it."""
    if layer.groups > 1:
        raise _problem(step, "Keras' transposed convolution has no groups")
    cuts = []
    for axis, (before, _, __) in enumerate(layer.crops()):
        extent = effective_kernel(layer.kernel[axis], layer.dilation[axis])
        full = (step.input_shapes[0][axis] - 1) * layer.stride[axis]
        full += max(extent, layer.stride[axis])  # Keras never cuts a stride short
        cuts.append((before, full - before - step.output_shape[axis]))
    if min(after for _, after in cuts) < 0:
        raise _problem(step, "Keras' transposed convolution gives fewer cells")
    settings = {
        "filters": layer.filters,
        "kernel_size": list(layer.kernel),
        "strides": list(layer.stride),
        "dilation_rate": list(layer.dilation),
        "padding": "valid",
        "use_bias": layer.bias,
    }
    kernel, *bias = writer.weights(step, "kernel", "bias")
    arrays = [np.swapaxes(kernel, -1, -2), *bias]
    kind = f"Conv{_rank(step)}DTranspose"
    out = writer.add(step.name, kind, settings, sources[0], arrays=arrays)
    if not any(map(any, cuts)):
        return out
    return writer.add(
        f"{step.name}_crop", f"Cropping{_rank(step)}D", {"cropping": _cells(cuts)}, out
    )


def _dense(step: Step, layer: Dense, sources: list[str], writer: KerasWriter) -> str:
    settings = {"units": layer.units, "use_bias": layer.bias}
    arrays = writer.weights(step, "kernel", "bias")
    return writer.add(step.name, "Dense", settings, sources[0], arrays=arrays)


def _pool(step: Step, kind: str, source: str, word: str, writer: KerasWriter) -> str:
    axes = _windows(step)
    settings = {
        "pool_size": [axis.kernel for axis in axes],
        "strides": [axis.stride for axis in axes],
        "padding": word,
    }
    return writer.add(step.name, f"{kind}Pooling{len(axes)}D", settings, source)


def _maxpool(step: Step, _: Layer, sources: list[str], writer: KerasWriter) -> str:
    source, word = _word_or_padding(step, sources[0], writer)
    if source != sources[0] and not writer.positive_source:
        raise _problem(
            step, "Keras pads a maximum by the rule `same` only, or with zeros behind a ReLU"
        )
    return _pool(step, "Max", source, word, writer)


def _avgpool(step: Step, layer: AveragePool, sources: list[str], writer: KerasWriter) -> str:
    padded = any(map(any, _pairs(step)))
    if padded and layer.count_padding and not layer.ceil:
        settings = {"padding": _cells(_pairs(step))}
        kind = f"ZeroPadding{_rank(step)}D"
        source = writer.add(f"{step.name}_pad", kind, settings, sources[0])
        return _pool(step, "Average", source, "valid", writer)
    if padded and (layer.count_padding or not _is_same(step)):
        raise _problem(step, "Keras averages at borders by the rule `same` only")
    return _pool(step, "Average", sources[0], "same" if padded else "valid", writer)


def _global_pool(kind: str) -> Callable[..., str]:
    def write(step: Step, _: Layer, sources: list[str], writer: KerasWriter) -> str:
        return writer.add(step.name, f"Global{kind}Pooling{_rank(step)}D", {}, sources[0])

    return write


def _adaptavg(step: Step, _: Layer, sources: list[str], writer: KerasWriter) -> str:
    sizes, counts = step.input_shapes[0][:-1], step.output_shape[:-1]
    if any(size % count for size, count in zip(sizes, counts, strict=True)):
        raise _problem(step, "Keras averages equal parts only")
    parts = [size // count for size, count in zip(sizes, counts, strict=True)]
    settings = {"pool_size": parts, "strides": parts, "padding": "valid"}
    return writer.add(step.name, f"AveragePooling{_rank(step)}D", settings, sources[0])


def _bn(step: Step, layer: BatchNorm, sources: list[str], writer: KerasWriter) -> str:
    settings = {"epsilon": layer.eps, "momentum": 1 - layer.momentum, "scale": layer.scale}
    arrays = writer.weights(step, "scale", "shift", "mean", "variance")
    return writer.add(step.name, "BatchNormalization", settings, sources[0], arrays=arrays)


def _named(step: Step, layer: Layer, sources: list[str], writer: KerasWriter) -> str:
    """Write a layer by the class and the settings that stand on it; arrays keep our order."""
    said = layer.elsewhere.keras
    if said is None or not said.settings:
        raise _problem(step, "Keras has no such layer")
    settings = {
        key: getattr(layer, value) if isinstance(value, str) else value
        for key, value in said.settings.items()
    }
    arrays = writer.weights(step, *step.weights, *step.buffer_shapes)
    kind = said.kind.replace("{rank}", str(_rank(step)))
    return writer.add(step.name, kind, settings, sources[0], arrays=arrays)


def _prelu(step: Step, _: Layer, sources: list[str], writer: KerasWriter) -> str:
    (slope,) = writer.weights(step, "slope")
    spread = slope.reshape(*[1] * _rank(step), -1)
    settings = {"shared_axes": list(range(1, _rank(step) + 1)) or None}
    return writer.add(step.name, "PReLU", settings, sources[0], arrays=[spread])


def _dropout(step: Step, layer: Dropout, sources: list[str], writer: KerasWriter) -> str:
    whole = layer.whole_channels and _rank(step) > 0
    kind = f"SpatialDropout{_rank(step)}D" if whole else "Dropout"
    return writer.add(step.name, kind, {"rate": layer.rate}, sources[0])


def _reshape(step: Step, _: Layer, sources: list[str], writer: KerasWriter) -> str:
    settings = {"target_shape": list(step.output_shape)}
    return writer.add(step.name, "Reshape", settings, sources[0])


def _pad(step: Step, layer: Pad, sources: list[str], writer: KerasWriter) -> str:
    settings = {"padding": _cells(layer.cells)}
    return writer.add(step.name, f"ZeroPadding{_rank(step)}D", settings, sources[0])


def _crop(step: Step, layer: Crop, sources: list[str], writer: KerasWriter) -> str:
    settings = {"cropping": _cells(layer.cells)}
    return writer.add(step.name, f"Cropping{_rank(step)}D", settings, sources[0])


def _upsample(step: Step, layer: Upsample, sources: list[str], writer: KerasWriter) -> str:
    rank = _rank(step)
    if layer.bilinear and rank != 2:
        raise _problem(step, "Keras interpolates over 2 axes only")
    size = layer.factor[0] if rank == 1 else list(layer.factor)
    settings: Settings = {"size": size}
    if rank == 2:
        settings["interpolation"] = "bilinear" if layer.bilinear else "nearest"
    return writer.add(step.name, f"UpSampling{rank}D", settings, sources[0])


def _shuffle(step: Step, layer: ChannelShuffle, sources: list[str], writer: KerasWriter) -> str:
    *spatial, channels = step.output_shape
    split = [*spatial, layer.groups, channels // layer.groups]
    parted = writer.add(f"{step.name}_part", "Reshape", {"target_shape": split}, sources[0])
    rank = len(spatial)
    order = [*range(1, rank + 1), rank + 2, rank + 1]
    turned = writer.add(f"{step.name}_turn", "Permute", {"dims": order}, parted)
    return writer.add(step.name, "Reshape", {"target_shape": list(step.output_shape)}, turned)


def _lstm(step: Step, layer: LSTM, sources: list[str], writer: KerasWriter) -> str:
    """Both order their gates i f g o; Keras has one bias."""
    kernel, recurrent, *biases = writer.weights(
        step, "kernel", "recurrent", "bias", "recurrent_bias"
    )
    settings = {"units": layer.units, "return_sequences": layer.sequence}
    arrays = [kernel, recurrent, np.sum(biases, axis=0)]
    return writer.add(step.name, "LSTM", settings, sources[0], arrays=arrays)


def _multiply(step: Step, _: Layer, sources: list[str], writer: KerasWriter) -> str:
    """A gate of one number per channel is spread over the map."""
    first, gate = step.input_shapes
    if len(gate) < len(first):
        settings = {"target_shape": [*[1] * (len(first) - 1), gate[-1]]}
        sources = [sources[0], writer.add(f"{step.name}_gate", "Reshape", settings, sources[1])]
    return writer.add(step.name, "Multiply", {}, *sources)


def _join(kind: str, **settings: Any) -> Callable[..., str]:
    def write(step: Step, _: Layer, sources: list[str], writer: KerasWriter) -> str:
        return writer.add(step.name, kind, dict(settings), *sources)

    return write


_WRITERS: dict[type[Layer], Callable[..., str]] = {
    Conv: _conv,
    DepthwiseConv: _dwconv,
    SeparableConv: _sepconv,
    TransposedConv: _upconv,
    Dense: _dense,
    MaxPool: _maxpool,
    AveragePool: _avgpool,
    GlobalAveragePool: _global_pool("Average"),
    GlobalMaxPool: _global_pool("Max"),
    AdaptiveAveragePool: _adaptavg,
    BatchNorm: _bn,
    PReLU: _prelu,
    Activation: lambda step, layer, sources, writer: _activation(
        step.name, layer.kind, sources[0], writer
    ),
    Dropout: _dropout,
    Flatten: _join("Flatten"),
    Reshape: _reshape,
    Pad: _pad,
    Crop: _crop,
    Upsample: _upsample,
    ChannelShuffle: _shuffle,
    LSTM: _lstm,
    Add: _join("Add"),
    ConcatChannels: _join("Concatenate", axis=-1),
    Multiply: _multiply,
}
"""Layers that take more than a class with their settings; others say theirs, see `_named`."""
