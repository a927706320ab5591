"""ONNX' operators, each read as the layer that the notation has for it.

Every value carries its shape in our order and, once it is a row, the order its cells were put in,
so that the dense layer behind can be turned to ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputProblem
from convcli.layers import (
    Activation,
    Add,
    AveragePool,
    BatchNorm,
    ConcatChannels,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    LocalResponseNorm,
    MaxPool,
    Multiply,
    Pad,
    PReLU,
    TransposedConv,
)
from convcli.layers.base import Join, Shape, shape_text
from convcli.layers.conv import output_padding

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value on its way: which node made it, its shape channels last, and how a row was made."""

    node: str
    shape: Shape
    row_of: Shape | None = None
    """The channels-first map that was put in one row as it was; None for our own order."""
    channels_last: bool = False


@dataclass
class Node:
    """One of our layers with its arrays, and the nodes it reads."""

    layer: Layer
    sources: tuple[str, ...]
    arrays: Arrays = field(default_factory=dict)


@dataclass
class Graph:
    """What has been read so far: stored arrays, values on their way, and our layers."""

    constants: Arrays = field(default_factory=dict)
    values: dict[str, Tensor] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)


class Operator:
    """One operator with its attributes and inputs, as the readers below ask for them."""

    def __init__(self, graph: Graph, node: Any, key: str) -> None:
        from onnx import helper

        self.graph, self.node, self.key = graph, node, key
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}

    @property
    def source(self) -> Tensor:
        """The first input, which must come from the network's input."""
        return self.tensor(0)

    def tensor(self, index: int) -> Tensor:
        """Return input `index` as a value that depends on the network's input."""
        name = self.node.input[index]
        if name not in self.graph.values:
            raise InputProblem(f"its input {name} does not come from the network's input.")
        return self.graph.values[name]

    def is_constant(self, index: int) -> bool:
        """Tell whether input `index` is a stored array."""
        return len(self.node.input) > index and self.node.input[index] in self.graph.constants

    def constant(self, index: int) -> Array:
        """Return input `index` as a stored array."""
        if not self.is_constant(index):
            raise InputProblem(f"its input {index + 1} is no stored array.")
        return self.graph.constants[self.node.input[index]]

    def optional(self, index: int) -> Array | None:
        """Return input `index` as a stored array, or None where it is left out."""
        given = len(self.node.input) > index and self.node.input[index]
        return self.constant(index) if given else None

    def number(self, name: str, default: Any) -> Any:
        """Return an attribute or its default."""
        return self.attributes.get(name, default)

    def refuse_unless(self, holds: bool, fact: str) -> None:
        """Raise with `fact` unless the notation can say what the operator does."""
        if not holds:
            raise InputProblem(f"{fact}, which the notation cannot say.")

    def map_source(self) -> Tensor:
        """Return the first input, which must be a channels-first map."""
        source = self.source
        self.refuse_unless(
            len(source.shape) > 1 and not source.channels_last, "its input is no map of channels"
        )
        return source

    def add(self, layer: Layer, *sources: Tensor, arrays: Arrays | None = None) -> Tensor:
        """Add a layer behind `sources` and return its output."""
        reads = sources or (self.source,)
        layer = layer.at_rank(len(reads[0].shape) - 1)
        shapes = tuple(source.shape for source in reads)
        if isinstance(layer, Join):
            shape = layer.joined_shape(shapes)
        else:
            shape = layer.output_shape(shapes[0])
        names = tuple(source.node for source in reads)
        self.graph.nodes[self.key] = Node(layer, names, arrays or {})
        return Tensor(self.key, shape)

    def window(self, rank: int, dilated: bool = True) -> dict[str, Any]:
        """Return kernel, stride, padding and dilation as our fields."""
        strides = tuple(self.number("strides", [1] * rank))
        fields: dict[str, Any] = {
            "kernel": tuple(self.number("kernel_shape", [1] * rank)),
            "stride": strides,
            "padding": self._padding(rank),
        }
        dilations = tuple(self.number("dilations", [1] * rank))
        if dilated:
            fields["dilation"] = dilations
        else:
            self.refuse_unless(set(dilations) == {1}, f"its dilation is {shape_text(dilations)}")
        return fields

    def _padding(self, rank: int) -> Any:
        rule = self.number("auto_pad", b"NOTSET").decode()
        if rule in {"SAME_UPPER", "VALID"}:
            return "same" if rule == "SAME_UPPER" else "valid"
        self.refuse_unless(rule == "NOTSET", f"its auto_pad is {rule}")
        pads = self.number("pads", [0] * 2 * rank)
        return tuple(zip(pads[:rank], pads[rank:], strict=True))


def _bias(operator: Operator, index: int) -> Arrays:
    bias = operator.optional(index)
    return {} if bias is None else {"bias": bias.reshape(-1)}


def _conv(operator: Operator) -> Tensor:
    source, weight = operator.map_source(), operator.constant(1)
    rank, groups = weight.ndim - 2, operator.number("group", 1)
    fields, bias = operator.window(rank) | {"kernel": weight.shape[2:]}, _bias(operator, 2)
    channels = source.shape[-1]
    if groups == channels > 1 and weight.shape[1] == 1:
        multiplier = weight.shape[0] // channels
        depthwise = DepthwiseConv(multiplier=multiplier, bias=bool(bias), **fields)
        parted = weight.reshape(channels, multiplier, *weight.shape[2:])
        arrays = {"kernel": np.moveaxis(parted, (0, 1), (-2, -1))} | bias
        return operator.add(depthwise, source, arrays=arrays)
    layer = Conv(filters=weight.shape[0], groups=groups, bias=bool(bias), **fields)
    arrays = {"kernel": np.moveaxis(weight, (0, 1), (-1, -2))} | bias
    return operator.add(layer, source, arrays=arrays)


def _transposed(operator: Operator) -> Tensor:
    source, weight = operator.map_source(), operator.constant(1)
    rank, groups = weight.ndim - 2, operator.number("group", 1)
    operator.refuse_unless("output_shape" not in operator.attributes, "it names its output_shape")
    fields, bias = operator.window(rank) | {"kernel": weight.shape[2:]}, _bias(operator, 2)
    layer = TransposedConv(
        filters=weight.shape[1] * groups,
        groups=groups,
        bias=bool(bias),
        output_padding=output_padding(operator.number("output_padding", [0] * rank)),
        **fields,
    )
    arrays = {"kernel": np.moveaxis(weight, (0, 1), (-2, -1))} | bias
    return operator.add(layer, source, arrays=arrays)


def _rows_in_our_order(kernel: Array, source: Tensor) -> Array:
    """Return dense weights (in, out) for cells that stand channels last."""
    if source.row_of is None:
        return kernel
    *spatial, channels = source.row_of
    parted = kernel.reshape(channels, *spatial, -1)
    return np.moveaxis(parted, 0, -2).reshape(kernel.shape)


def _gemm(operator: Operator) -> Tensor:
    plain = operator.number("alpha", 1.0) == operator.number("beta", 1.0) == 1.0
    plain = plain and not operator.number("transA", 0)
    operator.refuse_unless(plain, "it scales or transposes its input")
    weight = operator.constant(1)
    return _dense(
        operator, weight.T if operator.number("transB", 0) else weight, _bias(operator, 2)
    )


def _matmul(operator: Operator) -> Tensor:
    return _dense(operator, operator.constant(1), {})


def _dense(operator: Operator, kernel: Array, bias: Arrays) -> Tensor:
    source = operator.source
    operator.refuse_unless(
        kernel.ndim == 2 and len(source.shape) == 1, "it multiplies more than a row by a matrix"
    )
    kernel = _rows_in_our_order(kernel, source)
    layer = Dense(units=kernel.shape[1], bias=bool(bias))
    return operator.add(layer, source, arrays={"kernel": kernel} | bias)


def _add(operator: Operator) -> Tensor:
    """A sum of two values joins branches; with a stored row it is the bias of the layer before."""
    stored = [index for index in (0, 1) if operator.is_constant(index)]
    if not stored:
        return operator.add(Add(), *(operator.tensor(i) for i in range(len(operator.node.input))))
    source, bias = operator.tensor(1 - stored[0]), operator.constant(stored[0])
    node = operator.graph.nodes.get(source.node)
    if node is None or not isinstance(node.layer, Dense) or node.layer.bias:
        raise InputProblem("it adds a stored array to something but a dense layer without bias.")
    layer = replace(node.layer, bias=True)
    operator.refuse_unless(bias.size == layer.units, "its array has another size than the layer")
    arrays = node.arrays | {"bias": bias.reshape(-1)}
    operator.graph.nodes[source.node] = Node(layer, node.sources, arrays)
    return source


def _multiply(operator: Operator) -> Tensor:
    """X times sigmoid(x) is silu; a value times its own gate is a scale block."""
    if operator.is_constant(0) or operator.is_constant(1):
        raise InputProblem(
            "it multiplies by a stored array, which the notation cannot say. If it prepares the "
            "input, export the file without that and give --scale and --offset."
        )
    first, second = operator.tensor(0), operator.tensor(1)
    for plain, gate in ((first, second), (second, first)):
        node = operator.graph.nodes.get(gate.node)
        if node and node.layer == Activation("sigmoid") and node.sources == (plain.node,):
            del operator.graph.nodes[gate.node]
            return operator.add(Activation("silu"), plain)
    large, small = sorted((first, second), key=lambda value: -len(value.shape))
    return operator.add(Multiply(), large, small)


def _concat(operator: Operator) -> Tensor:
    sources = [operator.tensor(index) for index in range(len(operator.node.input))]
    last = len(sources[0].shape)
    operator.refuse_unless(operator.number("axis", 1) in {1, -last}, "it joins another axis")
    return operator.add(ConcatChannels(), *sources)


def _pool(kind: type[MaxPool] | type[AveragePool]) -> Callable[[Operator], Tensor]:
    def read(operator: Operator) -> Tensor:
        source = operator.map_source()
        fields = operator.window(len(source.shape) - 1, dilated=False)
        if kind is AveragePool:
            fields["count_padding"] = bool(operator.number("count_include_pad", 0))
        return operator.add(kind(ceil=bool(operator.number("ceil_mode", 0)), **fields), source)

    return read


def _whole(layer: Layer) -> Callable[[Operator], Tensor]:
    return lambda operator: operator.add(layer, operator.map_source())


def _reduce_mean(operator: Operator) -> Tensor:
    source = operator.map_source()
    axes = operator.attributes.get("axes") or list(operator.constant(1))
    spatial = {*range(2, len(source.shape) + 1)}
    found = {axis % (len(source.shape) + 1) for axis in axes}
    operator.refuse_unless(found == spatial, "it averages other axes than the map's")
    return operator.add(GlobalAveragePool(), source)


def _batch_norm(operator: Operator) -> Tensor:
    names = ("scale", "shift", "mean", "variance")
    arrays = {name: operator.constant(index + 1) for index, name in enumerate(names)}
    return operator.add(BatchNorm(eps=float(operator.number("epsilon", 1e-5))), arrays=arrays)


def _local_response(operator: Operator) -> Tensor:
    layer = LocalResponseNorm(
        size=operator.number("size", 0),
        alpha=float(operator.number("alpha", 1e-4)),
        beta=float(operator.number("beta", 0.75)),
        k=float(operator.number("bias", 1.0)),
    )
    return operator.add(layer)


def _activation(kind: str) -> Callable[[Operator], Tensor]:
    return lambda operator: operator.add(Activation(kind))


def _with_slope(kind: str, expected: float, default: float) -> Callable[[Operator], Tensor]:
    def read(operator: Operator) -> Tensor:
        slope = float(operator.number("alpha", default))
        operator.refuse_unless(abs(slope - expected) < 1e-6, f"its alpha is {slope:g}")
        return operator.add(Activation(kind))

    return read


def _clip(operator: Operator) -> Tensor:
    limits = [
        operator.constant(index).item() if operator.is_constant(index) else operator.number(name, 0)
        for index, name in ((1, "min"), (2, "max"))
    ]
    operator.refuse_unless(limits == [0.0, 6.0], f"it clips to {limits[0]:g} and {limits[1]:g}")
    return operator.add(Activation("relu6"))


def _prelu(operator: Operator) -> Tensor:
    channels, slope = operator.source.shape[-1], operator.constant(1)
    operator.refuse_unless(slope.size in {1, channels}, "its slope is not one number per channel")
    arrays = {"slope": np.broadcast_to(slope.reshape(-1), (channels,))}
    return operator.add(PReLU(), arrays=arrays)


def _softmax(operator: Operator) -> Tensor:
    axis = operator.number("axis", -1) % (len(operator.source.shape) + 1)
    operator.refuse_unless(axis == 1, "it runs over another axis than the channels")
    return operator.add(Activation("softmax"))


def _flatten(operator: Operator) -> Tensor:
    operator.refuse_unless(operator.number("axis", 1) == 1, "its axis is not 1")
    return _as_row(operator)


def _as_row(operator: Operator) -> Tensor:
    source = operator.source
    if len(source.shape) == 1:
        return source
    row = operator.add(Flatten(), source)
    one_cell = max(source.shape[:-1]) == 1
    return row if source.channels_last or one_cell else replace(row, row_of=source.shape)


def _reshape(operator: Operator) -> Tensor:
    source, target = operator.source, [int(size) for size in operator.constant(1)]
    total = int(np.prod(source.shape))
    row = len(target) == 2 and target[1] in {-1, total}
    operator.refuse_unless(row, f"it makes the shape {target}")
    return _as_row(operator)


def _transpose(operator: Operator) -> Tensor:
    rank = len(operator.source.shape)
    order = list(operator.number("perm", []))
    to_last = order == [0, *range(2, rank + 1), 1]
    operator.refuse_unless(to_last and not operator.source.channels_last, f"it reorders to {order}")
    return replace(operator.source, channels_last=True)


def _pad(operator: Operator) -> Tensor:
    source = operator.map_source()
    operator.refuse_unless(operator.number("mode", b"constant") == b"constant", "its mode is odd")
    fill = operator.optional(2)
    operator.refuse_unless(fill is None or not np.any(fill), "it pads with something but zeros")
    pads = [int(cells) for cells in operator.constant(1)]
    half = len(pads) // 2
    pairs = list(zip(pads[:half], pads[half:], strict=True))
    operator.refuse_unless(pairs[:2] == [(0, 0), (0, 0)], "it pads batch or channels")
    return operator.add(Pad(cells=tuple(pairs[2:])), source)


def _dropout(operator: Operator) -> Tensor:
    rate = operator.optional(1)
    given = operator.number("ratio", 0.5) if rate is None else float(rate)
    return operator.add(Dropout(rate=round(float(given), 6)))


OPERATORS: dict[str, Callable[[Operator], Tensor]] = {
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Sum": _add,
    "Mul": _multiply,
    "Concat": _concat,
    "MaxPool": _pool(MaxPool),
    "AveragePool": _pool(AveragePool),
    "GlobalAveragePool": _whole(GlobalAveragePool()),
    "GlobalMaxPool": _whole(GlobalMaxPool()),
    "ReduceMean": _reduce_mean,
    "BatchNormalization": _batch_norm,
    "LRN": _local_response,
    "Relu": _activation("relu"),
    "Tanh": _activation("tanh"),
    "Sigmoid": _activation("sigmoid"),
    "HardSwish": _activation("hardswish"),
    "LeakyRelu": _with_slope("leakyrelu", 0.01, 0.01),
    "Elu": _with_slope("elu", 1.0, 1.0),
    "Gelu": _activation("gelu"),
    "Clip": _clip,
    "PRelu": _prelu,
    "Softmax": _softmax,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _as_row,
    "Transpose": _transpose,
    "Pad": _pad,
    "Dropout": _dropout,
    "Identity": lambda operator: operator.source,
}
"""One reader for each operator that the notation has a word for."""
