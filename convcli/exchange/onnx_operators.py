"""ONNX' operators, each read as the layer that the notation has for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from convcli.errors import InputError
from convcli.exchange.layouts import ours
from convcli.exchange.onnx_graph import FOLDS, MOVES, SPELLED, Array, Graph, Node, folded
from convcli.exchange.onnx_layout import ONE_ROW, Arrays, Layers, Value, moved, parted_samples
from convcli.exchange.onnx_write import GATES
from convcli.geometry import adaptive_window, same_padding
from convcli.layers import (
    GRU,
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
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNorm,
    Layer,
    LayerNorm,
    LocalResponseNorm,
    MaxPool,
    Multiply,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    RMSNorm,
    TransposedConv,
    Upsample,
)
from convcli.layers.activation import ACTIVATIONS
from convcli.layers.base import Shape, shape_text
from convcli.layers.conv import output_padding
from convcli.layers.elsewhere import Onnx
from convcli.layers.registry import WORDS

WAY_OUT = (
    "Export the network without it, or write the network in words and import its arrays alone: "
    "convcli import weights.safetensors --network WORDS"
)


def refused(where: str, problem: InputError) -> InputError:
    """Return the error that names the operator, and what to do where it does not say so itself."""
    sentence = f"{where}: {problem}"
    return InputError(sentence if "Export" in sentence else f"{sentence} {WAY_OUT}")


@dataclass(slots=True, eq=False, repr=False)
class Affine(Layer):
    """A factor and a summand for each channel, to be taken up by the layer before or the input."""

    op = "affine"


class Operator:
    """One operator with its attributes and inputs, as the readers below ask for them."""

    def __init__(self, node: Node, graph: Graph, values: dict[str, Value], layers: Layers) -> None:
        self.node, self.graph, self.values, self.layers = node, graph, values, layers

    def value(self, index: int = 0) -> Value:
        """Return input `index` as a value that depends on the network's input."""
        name = self.node.inputs[index]
        if name in self.graph.constants:
            raise InputError(f"its input {name} is a stored array, which no layer reads.")
        if name not in self.values:
            raise InputError(f"its input {name} does not come from the network's input.")
        if self.values[name].batch == ONE_ROW:
            raise InputError("its input mixes samples: they stand in one row.")
        return self.values[name]

    def map(self) -> Value:
        """Return the first input as a map in our order."""
        return self.layers.as_map(self.value())

    def optional(self, index: int) -> Array | None:
        """Return input `index` as a stored array, or None where it is left out."""
        given = self.node.inputs[index] if len(self.node.inputs) > index else ""
        if given and given not in self.graph.constants:
            raise InputError(f"its input {index + 1}, {given}, is no stored array.")
        return self.graph.constants[given] if given else None

    def constant(self, index: int) -> Array:
        """Return input `index` as a stored array."""
        found = self.optional(index)
        if found is None:
            raise InputError(f"its input {index + 1} is left out.")
        return found

    def number(self, name: str, default: float) -> float:
        """Return an attribute as a number, as few digits as its 32 bits need."""
        return float(str(np.float32(self.node.get(name, default))))

    def setting(self, name: str, otherwise: Any) -> Any:
        """Return an attribute, or what ONNX means where it is left out."""
        from onnx import defs, helper

        known = defs.get_schema(self.node.op).attributes if defs.has(self.node.op) else {}
        if name in self.node.attributes or name not in known:
            return self.node.get(name, otherwise)
        value = helper.get_attribute_value(known[name].default_value)
        return value.decode() if isinstance(value, bytes) else value

    def refuse_unless(self, holds: object, fact: str) -> None:
        """Raise with `fact` unless the notation can say what the operator does."""
        if not holds:
            raise InputError(f"{fact}, which the notation cannot say.")

    def add(self, layer: Layer, *sources: Value, arrays: Arrays | None = None) -> Value:
        """Add a layer and return its output."""
        return self.layers.add(layer, *sources, arrays=arrays)

    def axis(self, default: int, value: Value) -> int:
        """Return the attribute `axis`, counted from the front."""
        return int(self.node.get("axis", default)) % len(value.theirs)

    def window(self, shape: Shape, kernel: Shape | None = None) -> dict[str, Any]:
        """Return kernel, stride, padding and dilation for a map of `shape` as our fields."""
        rank, get = len(shape) - 1, self.node.get
        kernel = tuple(get("kernel_shape", kernel or ()))
        stride, dilation = (tuple(get(n, [1] * rank)) for n in ("strides", "dilations"))
        self.refuse_unless(len(kernel) == rank, f"its window {kernel} has not {rank} axes")
        rule, pads = get("auto_pad", "NOTSET"), get("pads", [0] * 2 * rank)
        padding: Any = tuple(zip(pads[:rank], pads[rank:], strict=True))
        if rule in {"SAME_UPPER", "VALID"}:
            padding = "same" if rule == "SAME_UPPER" else "valid"
        elif rule == "SAME_LOWER":
            axes = zip(shape[:-1], kernel, stride, dilation, strict=True)
            padding = tuple(same_padding(*axis)[::-1] for axis in axes)
        return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}

    def per_channel(self, value: Value, array: Array) -> tuple[Value, Array]:
        """Return the value, flat if need be, and an array as one number for each channel of it.

        The array spreads over the tensor's axes as everywhere in ONNX.
        """
        if array.size == 1:
            return value, np.full(value.shape[-1], array.item())
        spread = np.broadcast_to(array, np.broadcast_shapes(array.shape, value.theirs))
        self.refuse_unless(spread.shape == value.theirs, f"an array {array.shape} makes it grow")
        if array.size != value.shape[-1] and len(value.theirs) == 2:
            value = self.layers.flat(value)
        numbers = np.empty(prod(value.shape), array.dtype)
        numbers[value.cells] = spread
        rows = numbers.reshape(-1, value.shape[-1])
        self.refuse_unless((rows == rows[0]).all(), "it has a number for every place of the map")
        return value, rows[0]

    def along_channels(self, value: Value, axis: int = 1) -> tuple[Value, Array]:
        """Return the value, flat if need be, and which channel each place along an axis is."""
        found = value.channels(axis)
        if found is None and len(value.theirs) == 2:
            value = self.layers.flat(value)
            found = value.channels(axis)
        if found is None and axis == 1 and len(value.theirs) > 2:
            value = self.layers.as_map(value)
            found = value.channels(axis)
        if found is None:
            raise InputError(f"it runs over axis {axis} of {value.theirs}: no axis of channels.")
        return value, found


Reader = Callable[[Operator], Value]


def _put(array: Array, places: Array) -> Array:
    """Return an array with its first axis in our order: entry i goes to `places[i]`."""
    if len(places) != len(array):
        raise InputError(f"it has {len(array)} numbers for {len(places)} channels.")
    if not any(array.strides) or np.array_equal(places, np.arange(len(places))):
        return array
    return np.take(array.T, np.argsort(places), axis=-1).T  # weights lie turned, mostly


def _bias(operator: Operator) -> Arrays:
    bias = operator.optional(2)
    return {} if bias is None else {"bias": bias.reshape(-1)}


def _conv(operator: Operator) -> Value:
    source, weight, bias = operator.value(), operator.constant(1), _bias(operator)
    groups, ones = operator.node.get("group", 1), {*weight.shape[2:], *source.theirs[2:]} == {1}
    if len(source.shape) == groups == 1 and ones:
        return _on_vector(operator, source, weight.reshape(weight.shape[:2]), bias)
    source = operator.layers.as_map(source)
    channels, fields = source.shape[-1], operator.window(source.shape, weight.shape[2:])
    if fields["kernel"] != weight.shape[2:] or channels != weight.shape[1] * groups:
        raise InputError(f"its weights {weight.shape} do not fit {channels} channels.")
    if groups == channels > 1 and weight.shape[0] % channels == 0:
        multiplier = weight.shape[0] // channels
        depthwise = DepthwiseConv(multiplier=multiplier, bias=bool(bias), **fields)
        return operator.add(depthwise, source, arrays=_kernel(depthwise, weight, c=channels) | bias)
    layer = Conv(filters=weight.shape[0], groups=groups, bias=bool(bias), **fields)
    return operator.add(layer, source, arrays=_kernel(layer, weight) | bias)


def _kernel(layer: Layer, weight: Array, **sizes: int) -> Arrays:
    """Return weights of ONNX as the kernel of a layer of ours."""
    return {"kernel": ours(weight, layer.elsewhere.arrays["kernel"], **sizes)}


def _on_vector(operator: Operator, source: Value, weight: Array, bias: Arrays) -> Value:
    """A 1x1 convolution of one cell, as in squeeze-and-excite, is a dense layer."""
    if set(operator.node.get("pads", [0])) != {0}:
        raise InputError("it pads a single cell.")
    kernel = _put(weight.T, source.cells.ravel())
    row = operator.add(Dense(len(weight), bool(bias)), source, arrays={"kernel": kernel} | bias)
    ones = (1,) * (len(source.theirs) - 2)
    return replace(row, order=row.flat.reshape(1, -1, *ones))


def _transposed(operator: Operator) -> Value:
    source, weight, bias = operator.map(), operator.constant(1), _bias(operator)
    get, groups, rank = operator.node.get, operator.node.get("group", 1), weight.ndim - 2
    fields, extra = operator.window(source.shape, weight.shape[2:]), [0] * rank
    extra, rule = get("output_padding", extra), get("auto_pad", "NOTSET")
    if "output_shape" in operator.node.attributes or rule == "SAME_LOWER":
        axes = zip(source.shape, fields["stride"], strict=False)
        sizes = get("output_shape", [size * step for size, step in axes])[-rank:]
        bare = TransposedConv(1, **{**fields, "padding": "valid"}, output_padding=tuple(extra))
        full = bare.output_shape(source.shape)
        cuts = [size - wanted for size, wanted in zip(full, sizes, strict=False)]
        operator.refuse_unless(min(cuts) >= 0, f"its output_shape is {shape_text(tuple(sizes))}")
        pairs = ((cut // 2, cut - cut // 2) for cut in cuts)
        fields["padding"] = tuple(pair if rule == "SAME_UPPER" else pair[::-1] for pair in pairs)
    if fields["kernel"] != weight.shape[2:] or source.shape[-1] != weight.shape[0]:
        raise InputError(f"its weights {weight.shape} do not fit {source.shape[-1]} channels.")
    layer = TransposedConv(
        filters=weight.shape[1] * groups,
        groups=groups,
        bias=bool(bias),
        output_padding=output_padding(extra),
        **fields,
    )
    return operator.add(layer, source, arrays=_kernel(layer, weight) | bias)


def _gemm(operator: Operator) -> Value:
    get = operator.node.get
    operator.refuse_unless(not get("transA", 0), "it turns its input over")
    weight, alpha = operator.constant(1), np.float32(get("alpha", 1.0))
    weight = weight if alpha == 1 else weight * alpha
    kernel = weight.T if get("transB", 0) else weight
    bias, units = operator.optional(2), kernel.shape[1]
    if bias is None:
        return _dense(operator, kernel, {})
    whole = np.broadcast_to(bias.reshape(-1), (units,)) * np.float32(get("beta", 1.0))
    return _dense(operator, kernel, {"bias": whole})


def _dense(operator: Operator, kernel: Array, bias: Arrays) -> Value:
    """A row or the channels of every cell times a matrix whose rows stand in the tensor's order."""
    source, units = operator.value(), kernel.shape[-1]
    if kernel.ndim != 2 or source.batch or source.theirs[-1] != kernel.shape[0]:
        raise InputError(f"it multiplies {source.theirs} by an array {kernel.shape}.")
    if len(source.theirs) == 2:  # all cells in any order, or a part of them that a layer gives
        whole = source.cells.size == prod(source.shape)
        source = operator.layers.flat(source) if whole else operator.layers.as_row(source)
    source, places = operator.along_channels(source, len(source.theirs) - 1)
    arrays = {"kernel": _put(kernel, places)} | bias
    out = operator.add(Dense(units, bool(bias)), source, arrays=arrays)
    if len(source.theirs) == 2:
        return out
    first = source.cells[..., :1] // source.shape[-1] * units
    return replace(out, order=first + np.arange(units))


def _matmul(operator: Operator) -> Value:
    if operator.node.inputs[0] in operator.graph.constants:
        raise InputError("it multiplies a stored array by a value, which no layer does.")
    return _dense(operator, operator.constant(1), {})


def _affine(operator: Operator, value: Value, **arrays: Array) -> Value:
    """A factor or a summand for each channel, or both."""
    for name, array in arrays.items():
        value, arrays[name] = operator.per_channel(value, array)
    return operator.layers.cellwise(Affine(), value, arrays)


def _stored_side(operator: Operator) -> int | None:
    stored = [i for i in (0, 1) if operator.node.inputs[i] in operator.graph.constants]
    return stored[0] if stored else None


def _sum(operator: Operator) -> Value:
    side = _stored_side(operator) if len(operator.node.inputs) > 1 else None
    if side is not None:
        return _affine(operator, operator.value(1 - side), summand=operator.constant(side))
    return _joined(operator, Add(), [operator.value(i) for i in range(len(operator.node.inputs))])


def _difference(operator: Operator) -> Value:
    side = _stored_side(operator)
    if side == 1:
        return _affine(operator, operator.value(), summand=-operator.constant(1))
    minus = {"factor": np.full(1, -1, np.float32)}
    if side == 0:
        return _affine(operator, operator.value(1), **minus, summand=operator.constant(0))
    taken = _affine(operator, operator.value(1), **minus)
    return _joined(operator, Add(), [operator.value(), taken])


def _quotient(operator: Operator) -> Value:
    operator.refuse_unless(_stored_side(operator) == 1, "it divides by a value")
    return _affine(operator, operator.value(), factor=1 / operator.constant(1))


def _product(operator: Operator) -> Value:
    """A value times a stored array, or times a gate of one number for each of its channels."""
    side = _stored_side(operator)
    if side is not None:
        return _affine(operator, operator.value(1 - side), factor=operator.constant(side))
    large, small = sorted((operator.value(0), operator.value(1)), key=lambda v: -prod(v.theirs))
    if len(small.shape) == 1 and len(large.theirs) == len(small.theirs) > 2:
        large, gate = operator.layers.as_map(large), small.channels(1)
        if gate is not None and np.array_equal(gate, np.arange(len(gate))):
            return operator.add(Multiply(), large, Value(small.node, small.shape))
    fact = f"it multiplies {large.theirs[1:]} by {small.theirs[1:]}"
    operator.refuse_unless(large.theirs == small.theirs, fact)
    return _joined(operator, Multiply(), [large, small])


def _joined(operator: Operator, layer: Layer, values: list[Value]) -> Value:
    """Join values cell by cell: as they stand where they stand alike, else each in our order."""
    first = values[0]
    alike = all(
        v.shape == first.shape and v.batch == first.batch and _same_order(v, first) for v in values
    )
    if not alike:
        row = len(first.theirs) == 2
        values = [(operator.layers.as_row if row else operator.layers.as_map)(v) for v in values]
        return operator.add(layer, *values)
    return replace(first, node=operator.add(layer, *values).node)


def _same_order(first: Value, second: Value) -> bool:
    if first.order is None and second.order is None:
        return True
    return first.theirs == second.theirs and np.array_equal(first.cells, second.cells)


def _concat(operator: Operator) -> Value:
    """Channels join channels; where each cell then stands follows from where it stood."""
    layers, count = operator.layers, len(operator.node.inputs)
    values = [operator.value(index) for index in range(count)]
    if count == 1:
        return values[0]
    axis = operator.axis(1, values[0])
    if len({(v.node, v.batch) for v in values}) == 1:  # parts of one value, such as directions
        parts = np.concatenate([value.cells for value in values], axis)
        if len({*parts.flat}) == parts.size and axis != values[0].batch:
            return replace(values[0], order=parts)
    if len(values[0].theirs) == 2:
        whole = (value.cells.size == prod(value.shape) for value in values)
        values = [v if all_ else layers.as_row(v) for v, all_ in zip(values, whole, strict=True)]
    if len(values[0].theirs) > 2 and axis == 1 and not all(len(v.shape) == 1 for v in values):
        return operator.add(ConcatChannels(), *map(layers.as_map, values))
    if len({v.shape[:-1] for v in values}) > 1:
        values = [layers.flat(value) for value in values]
    total, begin, cells = sum(v.shape[-1] for v in values), 0, []
    for value in values:
        place, channel = np.divmod(value.cells, value.shape[-1])
        cells.append(place * total + begin + channel)
        begin += value.shape[-1]
    out = operator.add(ConcatChannels(), *values)
    order = np.concatenate(cells, axis=axis)
    fits = order.size == prod(out.shape) and axis != values[0].batch
    operator.refuse_unless(fits, f"it joins axis {axis}")
    return replace(out, order=order, batch=values[0].batch)


def _pool(cls: Callable[..., Layer]) -> Reader:
    def read(operator: Operator) -> Value:
        source = operator.map()
        fields = operator.window(source.shape)
        padding = fields["padding"]
        bare = not isinstance(padding, str) and not any(map(any, padding))
        if bare and {*fields["kernel"], *fields["stride"]} == {1}:
            return source  # one cell is its own maximum and mean
        if cls is AveragePool:
            dilation = fields.pop("dilation")
            operator.refuse_unless(set(dilation) == {1}, f"its dilation is {shape_text(dilation)}")
            counted = operator.node.get("count_include_pad", 0) and not bare
            fields |= {"count_padding": bool(counted)}
        ceil = bool(operator.node.get("ceil_mode", 0))
        return operator.add(cls(ceil=ceil, **fields), source)

    return read


def _global(layer: Layer) -> Reader:
    def read(operator: Operator) -> Value:
        source = operator.value()
        if len(source.shape) == 1 and set(source.theirs[2:]) == {1}:
            return source  # one cell is its own mean
        source = operator.map()
        out = operator.add(layer, source)
        return replace(out, order=out.flat.reshape(1, -1, *[1] * (len(source.shape) - 1)))

    return read


def _reduced(layer: Layer) -> Reader:
    def read(operator: Operator) -> Value:
        """The mean over all places of the map, in whatever order the tensor has them."""
        source, given = operator.value(), operator.optional(1)
        rank = len(source.theirs)
        axes = {int(a) % rank for a in (range(rank) if given is None else np.ravel(given))}
        rest = [axis for axis in range(rank) if axis not in {*axes, source.batch}]
        fact = f"it reduces the axes {sorted(axes)} of {source.theirs}"
        operator.refuse_unless(source.batch not in axes and len(source.shape) > 1, fact)
        places = np.moveaxis(source.cells, sorted(axes), range(rank - len(axes), rank))
        places = places.reshape(*places.shape[: rank - len(axes)], -1)
        found = source.channels(rest[0]) if len(rest) == 1 else None
        if found is not None:
            out = operator.add(layer, Value(source.node, source.shape))
        elif _is_every_cell_once(places, source.shape):
            out, found = source, places[..., 0]
        else:
            out, found = _windows_of(operator, layer, source, places, fact)
        keep = operator.node.get("keepdims", 1)
        kept = [1 if axis in axes else size for axis, size in enumerate(source.theirs)]
        shape = kept if keep else [n for axis, n in enumerate(kept) if axis not in axes]
        batch = source.batch - (0 if keep else sum(axis < source.batch for axis in axes))
        return Value(out.node, out.shape, np.asarray(found).reshape(shape), batch)

    return read


def _is_every_cell_once(places: Array, shape: Shape) -> bool:
    """Tell whether means are of one cell each, and of all cells."""
    first = places[..., 0]
    same = (places == first[..., np.newaxis]).all()
    return bool(same and first.size == prod(shape) == len({*first.flat}))


def _windows_of(
    operator: Operator, layer: Layer, source: Value, places: Array, fact: str
) -> tuple[Value, Array]:
    """Return an adaptive mean whose windows are those of PyTorch's rule, and where its cells stand.

    `places` has the cells that each mean is of along its last axis, samples first.
    """
    sizes, channels = source.shape[:-1], source.shape[-1]
    counts = [size for size in places.shape[:-1] if size != 1]
    fits = isinstance(layer, GlobalAveragePool) and len(counts) == len(sizes) + 1
    operator.refuse_unless(fits and counts[0] == channels, fact)
    adaptive = AdaptiveAveragePool(tuple(counts[1:]))
    cells = np.sort(places.reshape(*counts, -1), axis=-1)
    for place in np.ndindex(*counts):
        axes = zip(sizes, counts[1:], place[1:], strict=True)
        wanted = np.ix_(*(adaptive_window(*axis) for axis in axes), place[:1])
        ref = np.ravel_multi_index(np.broadcast_arrays(*wanted), source.shape)
        operator.refuse_unless(np.array_equal(cells[place], np.sort(ref.ravel())), fact)
    out = operator.add(adaptive, operator.layers.as_map(Value(source.node, source.shape)))
    return out, np.moveaxis(out.flat.reshape(out.shape), -1, 0)


def _batch_norm(operator: Operator) -> Value:
    if operator.node.get("training_mode", 0):
        raise InputError(
            "it normalizes by the statistics of each batch. Export the network in evaluation mode: "
            "model.eval()"
        )
    operator.refuse_unless(operator.node.get("spatial", 1), "it normalizes every cell by itself")
    source, places = operator.along_channels(operator.value())
    names = ("scale", "shift", "mean", "variance")
    arrays = {name: _put(operator.constant(i), places) for i, name in enumerate(names, 1)}
    return operator.layers.cellwise(BatchNorm(eps=operator.number("epsilon", 1e-5)), source, arrays)


def _layer_norm(cls: Callable[..., Layer]) -> Reader:
    def read(operator: Operator) -> Value:
        source = operator.value()
        rank = len(source.theirs)
        given = operator.node.get("axes") or range(operator.axis(-1, source), rank)
        axes = {int(axis) % rank for axis in given}
        operator.refuse_unless(len(axes) == 1, f"it normalizes over the axes {sorted(axes)}")
        source, places = operator.along_channels(source, axes.pop())
        return _normalized(operator, cls(eps=operator.number("epsilon", 1e-5)), source, places)

    return read


def _normalized(operator: Operator, layer: Layer, source: Value, places: Array) -> Value:
    scale, shift = operator.constant(1), operator.optional(2)
    given = (scale, np.zeros_like(scale) if shift is None else shift)
    needed = layer.weights(source.shape)
    arrays = {
        name: _put(np.broadcast_to(array.reshape(-1), (len(places),)), places)
        for name, array in zip(("scale", "shift"), given, strict=True)
        if name in needed
    }
    return operator.layers.cellwise(layer, source, arrays)


def _group_norm(operator: Operator) -> Value:
    source, places = operator.along_channels(operator.map())
    groups = int(operator.node.get("num_groups", source.shape[-1]))
    eps = operator.number("epsilon", 1e-5)
    return _normalized(operator, GroupNorm(groups, eps=eps), source, places)


def _named_norms() -> dict[str, Reader]:
    """Return readers of the norms whose operator and figures stand on their class."""

    def reader(cls: Callable[..., Layer], said: Onnx) -> Reader:
        def read(operator: Operator) -> Value:
            if "axis" in said.attributes:
                source = operator.value()
                (axis,) = operator.node.get("axes") or [operator.axis(-1, source)]
                source, places = operator.along_channels(source, axis)
            else:
                source, places = operator.along_channels(operator.map())
            figures: dict[str, float] = {}
            for key, wanted in said.attributes.items():
                if isinstance(wanted, str):
                    figures[wanted] = operator.number(key, DEFAULTS[key])
                elif key != "axis":
                    given = operator.setting(key, wanted)
                    operator.refuse_unless(given == wanted, f"its {key} is {given}, not {wanted}")
            layer = cls(**figures)
            if not said.arrays:
                return operator.layers.cellwise(layer, source)
            return _normalized(operator, layer, source, places)

        return read

    rows = [(word.layer, word.layer.elsewhere.onnx) for word in WORDS.values()]
    return {
        said.op: reader(cls, said)
        for cls, said in rows
        if cls.role == "norm" and said and said.attributes
    }


DEFAULTS = {"epsilon": 1e-5}
"""What ONNX means by an attribute that is left out."""


def _local_response(operator: Operator) -> Value:
    source, places = operator.along_channels(operator.map())
    operator.refuse_unless(np.array_equal(places, np.arange(len(places))), "its channels are mixed")
    layer = LocalResponseNorm(
        size=operator.node.get("size", 0),
        alpha=operator.number("alpha", 1e-4),
        beta=operator.number("beta", 0.75),
        k=operator.number("bias", 1.0),
    )
    return operator.layers.cellwise(layer, source)


def _activations() -> dict[str, Reader]:
    """Return readers of the activations by the operator in their row, or as they are spelled."""

    def reader(kind: str, said: Onnx) -> Reader:
        def read(operator: Operator) -> Value:
            numbers: tuple[float, ...] = ()
            for name, expected in said.attributes.items():
                given = operator.setting(name, expected)
                if expected == "numbers":
                    numbers = (float(str(np.float32(given))),)
                    continue
                same = given == expected or (
                    not isinstance(given, str) and abs(given - float(expected)) < 1e-6
                )
                told = given if isinstance(given, str) else f"{given:g}"
                operator.refuse_unless(same, f"its {name} is {told}, not {expected}")
            return operator.layers.cellwise(Activation(kind, numbers), operator.value())

        return read

    rows = {kind: row.elsewhere.onnx for kind, row in ACTIVATIONS.items()}
    found = {said.op: reader(kind, said) for kind, said in rows.items() if said and said.op}
    return found | {SPELLED + kind: reader(kind, Onnx("")) for kind in rows}


def _clip(operator: Operator) -> Value:
    given = (operator.optional(index) for index in (1, 2))
    low, high = (None if n is None else float(str(np.float32(n.item()))) for n in given)
    known = {(0.0, None): Activation("relu"), (0.0, 6.0): Activation("relu6")}
    layer = known.get((low, high)) if low == 0 else None
    if layer is None:
        both = low is not None and high is not None
        operator.refuse_unless(both, f"it clips to {low} and {high}")
        layer = Activation("clip", (low or 0.0, high or 0.0))
    return operator.layers.cellwise(layer, operator.value())


def _prelu(operator: Operator) -> Value:
    source, slope = operator.per_channel(operator.value(), operator.constant(1))
    return operator.layers.cellwise(PReLU(), source, {"slope": slope})


def _softmax(kind: str) -> Reader:
    def read(operator: Operator) -> Value:
        """Before operator set 13 it runs over all axes from its own on."""
        source, old = operator.value(), operator.graph.opset < 13
        axis = operator.axis(1 if old else -1, source)
        if len(source.theirs) == 2:
            source = operator.layers.flat(source)
        over = prod(source.theirs[axis:]) if old else source.theirs[axis]
        fits = source.channels(axis) is not None and over == source.shape[-1]
        operator.refuse_unless(fits, f"it runs over axis {axis} of {source.theirs}")
        return operator.layers.cellwise(Activation(kind), source)

    return read


def _pad(operator: Operator) -> Value:
    source, mode = operator.value(), operator.node.get("mode", "constant")
    fill, chosen, rank = operator.optional(2), operator.optional(3), len(source.theirs)
    operator.refuse_unless(mode == "constant", f"its mode is {mode}")
    operator.refuse_unless(fill is None or not np.any(fill), "it pads with something but zeros")
    axes = range(rank) if chosen is None else [int(axis) % rank for axis in chosen]
    cells = operator.constant(1).reshape(2, len(axes)).T.tolist()
    pairs = {axis: (before, after) for axis, (before, after) in zip(axes, cells, strict=True)}
    if not any(map(any, pairs.values())):
        return source
    fixed = any(pairs.get(axis, (0, 0)) != (0, 0) for axis in (0, 1))
    operator.refuse_unless(not fixed, "it pads batch or channels")
    spatial = tuple(pairs.get(axis, (0, 0)) for axis in range(2, rank))
    source = operator.layers.as_map(source)
    if min(map(min, spatial)) < 0:
        crop = Crop(tuple((max(0, -before), max(0, -after)) for before, after in spatial))
        source = operator.add(crop, source)
        spatial = tuple((max(0, before), max(0, after)) for before, after in spatial)
    return operator.add(Pad(spatial), source) if any(map(any, spatial)) else source


def _dropout(operator: Operator) -> Value:
    rate = operator.optional(1)
    given = 0.5 if rate is None else float(rate)
    return operator.layers.cellwise(Dropout(rate=round(given, 6)), operator.value())


def _resize(operator: Operator) -> Value:
    """By scales, or to sizes; a cell's place is counted from the corner or from centers."""
    source, get = operator.map(), operator.node.get
    older = operator.node.op == "Upsample"  # which always counted from the corner
    scales, sizes = operator.optional(1 if older else 2), operator.optional(3)
    before = source.theirs
    given = np.ones(len(before)) if scales is None or not scales.size else scales.astype(float)
    after = np.floor(given * before).astype(int) if sizes is None else sizes.astype(int)
    fits = tuple(after[:2]) == before[:2] and min(after) > 0
    operator.refuse_unless(fits, f"it brings {before[1:]} to {tuple(map(int, after[1:]))}")
    whole = not any(after % before)
    mode = get("mode", "nearest")
    where = "asymmetric" if older else get("coordinate_transformation_mode", "half_pixel")
    centered = where in {"half_pixel", "pytorch_half_pixel"}
    corner = where == "asymmetric" and (older or get("nearest_mode") == "floor")
    linear = mode == "linear" and centered
    nearest = mode == "nearest" and (
        corner or (whole and (centered or where == "half_pixel_symmetric"))
    )
    operator.refuse_unless(linear or nearest, f"its rule is {mode}, {where}")
    if whole or sizes is None:
        ratios = after / before if whole else given
        factor = tuple(int(r) if r == int(r) else float(str(np.float32(r))) for r in ratios[2:])
        return operator.add(Upsample(factor, bilinear=linear), source)
    return operator.add(Upsample(size=tuple(map(int, after[2:])), bilinear=linear), source)


def _depth_to_space(operator: Operator) -> Value:
    """PyTorch's order is CRD; in DCR the parts of a cell are dealt out over the channels."""
    factor, source = operator.node.get("blocksize", 0), operator.map()
    if operator.node.get("mode", "DCR") == "DCR":
        source = operator.add(ChannelShuffle(factor ** (len(source.shape) - 1)), source)
    return operator.add(PixelShuffle(factor), source)


def _space_to_depth(operator: Operator) -> Value:
    source = operator.map()
    out = operator.add(PixelUnshuffle(operator.node.get("blocksize", 0)), source)
    return operator.add(ChannelShuffle(source.shape[-1]), out)


def _recurrent(cls: type[LSTM | GRU]) -> Reader:
    def read(operator: Operator) -> Value:
        """Its input is length, batch, channels; each direction has arrays of its own."""
        source, get, ways = operator.value(), operator.node.get, ("", "reverse_")
        source, direction = _as_series(operator, source), get("direction", "forward")
        operator.refuse_unless(direction != "reverse", "it runs backward only")
        both = direction == "bidirectional"
        usual = (["Sigmoid", "Tanh", "Tanh"] if cls is LSTM else ["Sigmoid", "Tanh"]) * (1 + both)
        kinds = [k.decode() if isinstance(k, bytes) else k for k in get("activations", usual)]
        plain = not any(get(name, 0) for name in ("clip", "input_forget", "layout"))
        plain = plain and (cls is LSTM or bool(get("linear_before_reset", 0)))
        operator.refuse_unless(kinds == usual and plain, "it has activations or rules of its own")
        for index in (4, 5, 6, 7):
            given = operator.optional(index)
            zeros = given is None or not np.any(given) or (index == 4 and given.size == 1)
            operator.refuse_unless(zeros, f"its input {index + 1} is not zero")
        kernel, recurrent, bias = operator.constant(1), operator.constant(2), operator.optional(3)
        units, width = recurrent.shape[2], recurrent.shape[1]
        biases = np.zeros((len(kernel), 2 * width), np.float32) if bias is None else bias

        def gates(array: Array) -> Array:
            parts = np.split(array, cls.gates)
            return np.concatenate([parts[place] for place in GATES[cls.op]]).T

        own = "network" in operator.graph.texts  # written here, where one bias is enough
        count = 1 if cls is LSTM and own else 2
        arrays: Arrays = {}
        for way, k, r, b in zip(ways, kernel, recurrent, biases, strict=False):
            first, second = gates(b[:width]), gates(b[width:])
            arrays |= {f"{way}kernel": gates(k), f"{way}recurrent": gates(r)}
            if count == 2:
                arrays |= {f"{way}bias": first, f"{way}recurrent_bias": second}
            else:
                arrays |= {f"{way}bias": first + second}
        every, last = (*operator.node.outputs, "", "")[:2]
        read = {n for node in operator.graph.nodes for n in node.inputs} | {*operator.graph.outputs}
        sequence = every in read
        layer = cls(units, sequence=sequence, bidirectional=both, biases=count)
        out = operator.add(layer, source, arrays=arrays)
        shape = (-1, 1 + both, 1, units)
        if sequence:
            return replace(out, order=out.flat.reshape(shape), batch=2)
        operator.values[last] = replace(out, order=out.flat.reshape(shape[1:]), batch=1)
        return operator.values[last]

    return read


def _as_series(operator: Operator, value: Value) -> Value:
    """Return a tensor of length, batch, channels in our order."""
    if len(value.theirs) != 3 or value.batch != 1:
        raise InputError(f"its input has the axes {value.theirs}, not length, batch, channels.")
    return operator.layers.arranged(value, value.cells[:, 0])


READERS: dict[str, Reader] = {
    **_named_norms(),
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _sum,
    "Sum": _sum,
    "Sub": _difference,
    "Mul": _product,
    "Div": _quotient,
    "Concat": _concat,
    "MaxPool": _pool(MaxPool),
    "AveragePool": _pool(AveragePool),
    "GlobalAveragePool": _global(GlobalAveragePool()),
    "GlobalMaxPool": _global(GlobalMaxPool()),
    "ReduceMean": _reduced(GlobalAveragePool()),
    "ReduceMax": _reduced(GlobalMaxPool()),
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm(LayerNorm),
    "RMSNormalization": _layer_norm(RMSNorm),
    "GroupNormalization": _group_norm,
    "LRN": _local_response,
    **_activations(),
    "Clip": _clip,
    "PRelu": _prelu,
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("logsoftmax"),
    "Pad": _pad,
    "Dropout": _dropout,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "LSTM": _recurrent(LSTM),
    "GRU": _recurrent(GRU),
}
"""One reader for each operator that the notation has a word for."""


def read(node: Node, graph: Graph, values: dict[str, Value], layers: Layers) -> None:
    """Note what an operator gives: a stored array, cells in another order, or a layer of ours.

    Raises:
        InputError: the notation has no such layer.
    """
    stored = [name for name in node.inputs if name]
    layers.where, layers.module = node.where, node.module
    if node.op == "Shape" and node.inputs[0] in values:
        value = values[node.inputs[0]]
        theirs = [*value.theirs]
        graph.constants[node.outputs[0]] = folded(node, [np.broadcast_to(0, theirs)])
        theirs[value.batch] = 2
        graph.for_two[node.outputs[0]] = folded(node, [np.broadcast_to(0, theirs)])
    elif node.op in FOLDS and stored and all(name in graph.constants for name in stored):
        given = [graph.constants[name] if name else None for name in node.inputs]
        graph.constants[node.outputs[0]] = folded(node, given)
        if not graph.for_two.keys().isdisjoint(stored):
            both = graph.constants | graph.for_two
            two = [both[name] if name else None for name in node.inputs]
            graph.for_two[node.outputs[0]] = folded(node, two)
    elif node.op == "Gather" and stored[0] in values and values[stored[0]].batch == ONE_ROW:
        value = values[stored[0]]
        cells = (graph.constants.get(node.inputs[1]), graph.for_two.get(node.inputs[1]))
        values[node.outputs[0]] = parted_samples(value, *cells)
    elif node.op in MOVES:
        operator = Operator(node, graph, values, layers)
        rest = [operator.optional(index) for index in range(1, len(node.inputs))]
        value = operator.value()
        value = layers.settled(value) if node.op in {"Slice", "Gather"} else value
        values[node.outputs[0]] = moved(node, value, rest, graph.samples)
    elif node.op == "Split":
        _split(Operator(node, graph, values, layers))
    elif node.op in READERS:
        values[node.outputs[0]] = READERS[node.op](Operator(node, graph, values, layers))
    else:
        raise InputError("the notation has no such layer.")


def _split(operator: Operator) -> None:
    """Every output is a part of the same value's cells."""
    value, sizes = operator.layers.settled(operator.value()), operator.optional(1)
    names = operator.node.outputs
    axis = operator.axis(0, value)
    operator.refuse_unless(axis != value.batch, "it splits the batch")
    cuts = len(names) if sizes is None else np.cumsum(sizes)[:-1]
    for name, part in zip(names, np.array_split(value.cells, cuts, axis), strict=True):
        operator.values[name] = Value(value.node, value.shape, part, value.batch)
