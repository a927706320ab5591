"""A trained network as a Keras configuration and its arrays, written without Keras.

Keras is channels last too, and its kernels are ours: only transposed kernels swap their last axes.
Windows that Keras has no word for become a padding or cropping layer beside the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convcli import layers
from convcli.errors import InputError
from convcli.exchange.content import Scaling
from convcli.exchange.keras_files import KerasEntry, KerasModel, keras_word
from convcli.exchange.layouts import AS_OURS, Array, theirs
from convcli.exchange.writer import (
    Arrays,
    Writer,
    elsewhere_of,
    paddings,
    rank,
    settings_of,
    window,
    windows,
)
from convcli.geometry import effective_kernel, same_padding
from convcli.layers.activation import ACTIVATIONS, numbers_of
from convcli.net import Step, Trace


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
    first = writer.add("input", "InputLayer", {"batch_shape": shape, "dtype": "float32"})
    if scaling is not None:
        settings = {"scale": list(scaling.scale), "offset": list(scaling.offset)}
        first = writer.add("preprocessing", "Rescaling", settings, first)
    last = writer.write(trace, first)
    name = keras_word(trace.network.name or "network")
    return KerasModel(name, in_keras_order(writer.entries, last))


def _plain(value: Any) -> Any:
    """Return a field as Keras takes it: lists, and for a single axis no list of pairs."""
    if not isinstance(value, tuple | list):
        return value
    lists = [_plain(part) for part in value]
    return lists[0] if len(lists) == 1 and isinstance(lists[0], list) else lists


class KerasWriter(Writer):
    """The layers in the making, by name."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.entries: dict[str, KerasEntry] = {}
        self.positive: set[str] = set()
        """Layers whose outputs are never negative."""

    def row(self, step: Step, *sources: str) -> str:
        """Write one row and note whether it can be negative.

        If not, a zero loses against every cell or is one: a maximum may be padded with zeros.
        """
        out = super().row(step, *sources)
        kind = step.activation or getattr(step.layer, "kind", None)
        keeps = step.op in {"maxpool", "avgpool", "dropout", "dropout2d", "crop", "pad"}
        positive = kind in ACTIVATIONS and ACTIVATIONS[kind].positive
        if positive or (keeps and sources[0] in self.positive):
            self.positive.add(out)
        return out

    def add(
        self,
        name: str,
        kind: str,
        settings: dict[str, Any],
        *sources: str,
        arrays: Sequence[Array] = (),
    ) -> str:
        """Add a layer and return its name, which gets a number where it is taken."""
        word, number = keras_word(name), 2
        while word in self.entries:
            word, number = f"{keras_word(name)}_{number}", number + 1
        plain = {key: _plain(value) for key, value in settings.items()}
        self.entries[word] = KerasEntry(word, kind, plain, sources, tuple(arrays))
        return word

    def problem(self, step: Step, fact: str) -> InputError:
        """Return an error that names the row, and a format that has more layers."""
        return super().problem(step, f": {fact}. Try --to onnx.")

    def formless(self, step: Step) -> InputError:
        """Return the error for a layer that Keras does not have."""
        return self.problem(step, "Keras has no such layer")

    def named(self, step: Step, layer: layers.Layer, *sources: str, **changed: Any) -> str:
        """Write a layer by its class, settings and arrays there; `changed` ones replace others."""
        said = elsewhere_of(layer).keras
        if said is None:
            raise self.formless(step)
        lines = {name: said.arrays.get(name, AS_OURS) for name in step.weights | step.buffer_shapes}
        arrays = [theirs(self.array(step, name), line, rank(step)) for name, line in lines.items()]
        settings = {**settings_of(layer, said.settings), **changed}
        kind = said.kind.replace("{rank}", str(rank(step)))
        return self.add(step.name, kind, settings, *sources, arrays=arrays)

    def activated(self, step: Step, kind: str, source: str) -> str:
        """Write an activation, into the layer before it where Keras has a place for it."""
        suffix = step.activation is not None and not isinstance(step.layer, layers.Activation)
        if kind == "leakyrelu":  # the word alone means another slope there
            name = f"{step.name}_{kind}" if suffix else step.name
            (slope,) = numbers_of(step.layer, kind)
            return self.add(name, "LeakyReLU", {"negative_slope": slope}, source)
        said, numbers = ACTIVATIONS[kind].elsewhere.keras, numbers_of(step.layer, kind)
        if kind == "elu" and numbers != ACTIVATIONS[kind].numbers:
            return self.add(step.name, "ELU", {"alpha": numbers[0]}, source)
        if kind == "clip" and not numbers[0]:
            return self.add(step.name, "ReLU", {"max_value": numbers[1]}, source)
        if said is None or not said.kind:
            raise self.problem(step, f"Keras has no {kind}")
        settings = self.entries[source].settings if suffix else {}
        if "activation" in settings:
            settings["activation"] = said.kind
            return source
        name = f"{step.name}_{kind}" if suffix else step.name
        return self.add(name, "Activation", {"activation": said.kind}, source)

    def padded(self, step: Step, source: str) -> tuple[str, str]:
        """Return the source and Keras' padding word; other paddings become a layer of zeros."""
        pairs = paddings(step)
        if not any(map(any, pairs)):
            return source, "valid"
        if _is_same(step):
            return source, "same"
        return self.zeros(step, source), "valid"

    def zeros(self, step: Step, source: str) -> str:
        """Write the padding of a step's windows as a layer of its own."""
        pairs = paddings(step)
        kind, settings = f"ZeroPadding{len(pairs)}D", {"padding": pairs}
        return self.add(f"{step.name}_pad", kind, settings, source)

    def write_conv(self, step: Step, layer: Any, source: str) -> str:
        """Write any sliding convolution."""
        strides, dilations = window(step, "stride"), window(step, "dilation")
        if max(strides) > 1 and max(dilations) > 1:
            raise self.problem(step, "Keras has no stride together with a dilation")
        if not isinstance(layer, layers.Conv):
            if rank(step) > 2:
                raise self.problem(step, "Keras has it for 1 and 2 axes")
            if len(set(strides)) > 1:
                raise self.problem(step, "Keras has it with one stride for both axes")
        source, word = self.padded(step, source)
        return self.named(step, layer, source, padding=word, activation="linear")

    write_dwconv = write_sepconv = write_conv

    def write_upconv(self, step: Step, layer: layers.TransposedConv, source: str) -> str:
        """Without padding, and what our padding takes off is cropped behind it."""
        if layer.groups > 1:
            raise self.problem(step, "Keras' transposed convolution has no groups")
        cuts = []
        for axis, (before, _, __) in enumerate(layer.crops()):
            extent = effective_kernel(layer.kernel[axis], layer.dilation[axis])
            full = (step.input_shapes[0][axis] - 1) * layer.stride[axis]
            full += max(extent, layer.stride[axis])  # Keras never cuts a stride short
            cuts.append((before, full - before - step.output_shape[axis]))
        if min(after for _, after in cuts) < 0:
            raise self.problem(step, "Keras' transposed convolution gives fewer cells")
        out = self.named(step, layer, source, padding="valid", activation="linear")
        if not any(map(any, cuts)):
            return out
        return self.add(f"{step.name}_crop", f"Cropping{rank(step)}D", {"cropping": cuts}, out)

    def write_dense(self, step: Step, layer: layers.Dense, source: str) -> str:
        """Write a dense layer, its activation to follow."""
        return self.named(step, layer, source, activation="linear")

    def write_maxpool(self, step: Step, layer: layers.MaxPool, source: str) -> str:
        """Write a maximum, padded by `same` or with zeros that never win."""
        if max(window(step, "dilation")) > 1:
            raise self.problem(step, "Keras' pools have no dilation")
        padded, word = self.padded(step, source)
        if padded != source and source not in self.positive:
            raise self.problem(
                step, "Keras pads a maximum by the rule `same` only, or with zeros behind a ReLU"
            )
        return self.named(step, layer, padded, padding=word)

    def write_avgpool(self, step: Step, layer: layers.AveragePool, source: str) -> str:
        """Write a mean of real cells, or of counted zeros by a layer of zeros before it."""
        padded = any(map(any, paddings(step)))
        if padded and layer.count_padding and not layer.ceil:
            return self.named(step, layer, self.zeros(step, source), padding="valid")
        if padded and (layer.count_padding or not _is_same(step)):
            raise self.problem(step, "Keras averages at borders by the rule `same` only")
        return self.named(step, layer, source, padding="same" if padded else "valid")

    def write_adaptavg(self, step: Step, layer: layers.Layer, source: str) -> str:
        """Write equal parts as a pool."""
        sizes = list(zip(step.input_shapes[0][:-1], step.output_shape[:-1], strict=True))
        if any(size % count for size, count in sizes):
            raise self.problem(step, "Keras pools equal parts only")
        parts = [size // count for size, count in sizes]
        settings = {"pool_size": parts, "strides": parts, "padding": "valid"}
        kind = "Average" if layer.op == "adaptavg" else "Max"
        return self.add(step.name, f"{kind}Pooling{rank(step)}D", settings, source)

    write_adaptmax = write_adaptavg

    def write_bn(self, step: Step, layer: layers.BatchNorm, source: str) -> str:
        """Write a batch norm; Keras weighs the old statistics."""
        return self.named(step, layer, source, momentum=1 - layer.momentum)

    def write_prelu(self, step: Step, layer: layers.PReLU, source: str) -> str:
        """Write one slope for each channel."""
        shared = list(range(1, rank(step) + 1)) or None
        return self.named(step, layer, source, shared_axes=shared)

    def write_dropout(self, step: Step, layer: layers.Dropout, source: str) -> str:
        """Write a dropout; of a row its channels are its cells."""
        whole = f"SpatialDropout{rank(step)}D" if rank(step) else "Dropout"
        kind = whole if layer.whole_channels else "Dropout"
        return self.add(step.name, kind, {"rate": layer.rate}, source)

    def write_upsample(self, step: Step, layer: layers.Upsample, source: str) -> str:
        """Write an enlargement, which interpolates over two axes only."""
        if layer.size or any(factor != int(factor) for factor in layer.factor):
            raise self.problem(step, "Keras enlarges by whole factors only")
        if layer.bilinear and rank(step) != 2:
            raise self.problem(step, "Keras interpolates over 2 axes only")
        size = [int(factor) for factor in layer.factor]
        settings: dict[str, Any] = {"size": size if rank(step) > 1 else size[0]}
        if rank(step) == 2:
            settings["interpolation"] = "bilinear" if layer.bilinear else "nearest"
        return self.add(step.name, f"UpSampling{rank(step)}D", settings, source)

    def write_shuffle(self, step: Step, layer: layers.ChannelShuffle, source: str) -> str:
        """Write a turn of two axes that channels are parted into."""
        *spatial, channels = step.output_shape
        split = [*spatial, layer.groups, channels // layer.groups]
        parted = self.add(f"{step.name}_part", "Reshape", {"target_shape": split}, source)
        order = [*range(1, len(split) - 1), len(split), len(split) - 1]
        turned = self.add(f"{step.name}_turn", "Permute", {"dims": order}, parted)
        return self.add(step.name, "Reshape", {"target_shape": step.output_shape}, turned)

    def write_layerscale(self, step: Step, _: layers.Layer, __: str) -> str:
        """Refuse what only a class inside Keras' own networks does."""
        raise self.formless(step)

    def write_permute(self, step: Step, layer: layers.Permute, source: str) -> str:
        """Write a turn of axes, which Keras counts from 1."""
        dims = [axis + 1 for axis in layer.order]
        return self.add(step.name, "Permute", {"dims": dims}, source)

    def write_lstm(self, step: Step, layer: layers.LSTM | layers.GRU, source: str) -> str:
        """Write one direction or both; the same cell, its arrays forward first."""
        settings: dict[str, Any] = {"units": layer.units, "return_sequences": layer.sequence}
        settings |= {"reset_after": True} if layer.op == "gru" else {}
        kind = layer.op.upper()
        arrays = [part for way in layer.directions for part in self.gates(step, layer, way)]
        if layer.bidirectional:
            inner = {"module": "keras.layers", "class_name": kind, "registered_name": None}
            settings = {"layer": {**inner, "config": settings}, "merge_mode": "concat"}
            kind = "Bidirectional"
        return self.add(step.name, kind, settings, source, arrays=arrays)

    write_gru = write_lstm

    def gates(self, step: Step, layer: layers.LSTM | layers.GRU, way: str) -> list[Array]:
        """Return kernel, recurrent kernel and bias of one direction.

        LSTMs order their gates as ours do, and have one bias; GRUs order them z r h, and keep both
        biases in one array.
        """
        kernel, recurrent, bias = (
            self.array(step, way + name) for name in ("kernel", "recurrent", "bias")
        )
        second = self.array(step, f"{way}recurrent_bias") if layer.biases == 2 else 0 * bias
        if layer.op == "lstm":
            return [kernel, recurrent, bias + second]
        parts = [np.split(array, 3, axis=-1) for array in (kernel, recurrent, bias, second)]
        turned = [np.concatenate([z, r, n], axis=-1) for r, z, n in parts]
        return [*turned[:2], np.stack(turned[2:])]

    def write_scale(self, step: Step, _: layers.Multiply, *sources: str) -> str:
        """A gate of one number per channel is spread over the map."""
        axes, spread = len(step.input_shapes[0]), []
        for source, shape in zip(sources, step.input_shapes, strict=True):
            settings = {"target_shape": [*[1] * (axes - 1), shape[-1]]}
            bare = len(shape) == axes
            name = f"{step.name}_gate"
            spread.append(source if bare else self.add(name, "Reshape", settings, source))
        return self.add(step.name, "Multiply", {}, *spread)

    write_mul = write_scale

    def write_add(self, step: Step, _: layers.Add, *sources: str) -> str:
        """Write a sum."""
        return self.add(step.name, "Add", {}, *sources)

    def write_concat(self, step: Step, _: layers.ConcatChannels, *sources: str) -> str:
        """Write a stack of channels."""
        return self.add(step.name, "Concatenate", {"axis": -1}, *sources)


def _is_same(step: Step) -> bool:
    """Tell whether the windows are those of the word `same` at this size."""
    axes = zip(windows(step), paddings(step), step.input_shapes[0], step.output_shape, strict=False)
    return all(
        count == -(-size // axis.stride)
        and pair == same_padding(size, axis.kernel, axis.stride, axis.dilation)
        for axis, pair, size, count in axes
    )


def in_keras_order(entries: dict[str, KerasEntry], end: str) -> tuple[KerasEntry, ...]:
    """Return the layers as Keras lists them when it loads the file, which numbers their arrays.

    By falling distance from the output, the longest way counting; equals in the order in which a
    depth-first walk from the output meets them (`map_graph` in keras/src/ops/function.py, 3.x).
    """
    distance = dict.fromkeys(entries, 0)
    for name in reversed(entries):  # sources stand before what reads them
        for source in entries[name].sources:
            distance[source] = max(distance[source], distance[name] + 1)
    met: dict[str, int] = {}
    waiting = [end]
    while waiting:
        name = waiting.pop()
        if name not in met:
            met[name] = len(met)
            waiting += reversed(entries[name].sources)
    return tuple(
        entries[name] for name in sorted(met, key=lambda name: (-distance[name], met[name]))
    )
