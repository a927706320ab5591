"""A trained network as ONNX: channels first, symbolic batch, an opset that old runtimes read.

Windows arrive resolved, so `same`, `causal` and `ceil` need no flag of ONNX's own: a ceil window
that hangs over the edge becomes padding after. Operators: onnx.ai/onnx/operators, opset 13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError, missing_extra
from convcli.exchange.scaling import Scaling
from convcli.geometry import Window, adaptive_window
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
    GroupNorm,
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
from convcli.net import Step, Trace
from convcli.net.words import layer_text

OPSET = 13
"""Read by onnxruntime 1.7 (2021) and later; the newest operator used here has not changed since."""

IR_VERSION = 7
"""The file format that belongs to opset 13's release."""

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


def onnx_model(
    trace: Trace,
    arrays: Arrays,
    scaling: Scaling | None = None,
    notes: Mapping[str, str] | None = None,
) -> bytes:
    """Return the network as the bytes of an ONNX file.

    The input is `input`, float32, batch x channels x spatial (batch x features for a vector); with
    `scaling` it is the raw levels as float32, batch x spatial x channels. The output is `output`.

    Args:
        trace: the network's steps.
        arrays: parameters and running statistics by `step.weight`.
        scaling: preprocessing to include.
        notes: texts for the file's metadata, such as the classes.

    Raises:
        InputError: the package onnx is missing, or a layer has no ONNX counterpart here.
    """
    try:
        from onnx import TensorProto, checker, helper
    except ImportError:
        raise missing_extra("onnx", "onnx", "ONNX files") from None

    graph = _Graph(arrays)
    shape = trace.network.input_shape
    current = _prepared("input", shape, scaling, graph)
    values = [current]
    for step in trace.steps:
        values.append(_step(step, [values[source] for source in step.sources], graph))
    graph.node("Identity", [values[-1]], output="output")
    declared = shape if scaling else _channels_first(shape)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            trace.network.name or "convcli",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *declared])],
            [
                helper.make_tensor_value_info(
                    "output", TensorProto.FLOAT, ["batch", *_channels_first(trace.output_shape)]
                )
            ],
            initializer=graph.constants,
        ),
        producer_name="convcli",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, dict(notes or {}))
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _channels_first(shape: Sequence[int]) -> list[int]:
    return [shape[-1], *shape[:-1]]


@dataclass
class _Graph:
    """Nodes and constants in the making; every value has a name of its own."""

    arrays: Arrays
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def node(self, op: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        from onnx import helper

        output = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Append a constant and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        array = np.asarray(values, dtype=dtype, order="C")  # keeps a scalar a scalar
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Append a vector of int64 and return its name."""
        return self.constant(list(values), np.int64)

    def weight(self, step: Step, name: str) -> Array:
        """Return the array `name` of a step."""
        return self.arrays[f"{step.name}.{name}"]


def _prepared(name: str, shape: Sequence[int], scaling: Scaling | None, graph: _Graph) -> str:
    if scaling is None:
        return name
    scaled = graph.node("Mul", [name, graph.constant(scaling.scale)])
    return _to_first(graph.node("Add", [scaled, graph.constant(scaling.offset)]), len(shape), graph)


def _to_first(name: str, rank: int, graph: _Graph) -> str:
    """Move channels from the last axis to the first behind the batch; `rank` has no batch."""
    if rank == 1:
        return name
    return graph.node("Transpose", [name], perm=[0, rank, *range(1, rank)])


def _to_last(name: str, rank: int, graph: _Graph) -> str:
    if rank == 1:
        return name
    return graph.node("Transpose", [name], perm=[0, *range(2, rank + 1), 1])


def _step(step: Step, sources: list[str], graph: _Graph) -> str:
    """Append the nodes of one row, its suffix activation included; return the output's name."""
    if getattr(step.layer, "padding_mode", "zeros") != "zeros":
        raise _formless(step)
    writer = _WRITERS.get(type(step.layer), _named)
    rank = len(step.input_shapes[0]) - 1
    out = writer(step, step.layer.at_rank(rank), sources, graph)
    if step.activation and not isinstance(step.layer, Activation):
        out = _activation(step.activation, out, graph)
    return out


def _formless(step: Step) -> InputError:
    return InputError(
        f"Layer {step.index} {step.name} `{layer_text(step.layer)}` has no ONNX form here."
    )


def _activation(kind: str, x: str, graph: _Graph) -> str:
    direct = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
    match kind:
        case "relu" | "tanh" | "sigmoid":
            return graph.node(direct[kind], [x])
        case "relu6":
            return graph.node("Clip", [x, graph.constant(0.0), graph.constant(6.0)])
        case "leakyrelu":
            return graph.node("LeakyRelu", [x], alpha=0.01)
        case "elu":
            return graph.node("Elu", [x], alpha=1.0)
        case "softmax":
            return graph.node("Softmax", [x], axis=1)
        case "silu":
            return graph.node("Mul", [x, graph.node("Sigmoid", [x])])
        case "hardswish":
            moved = graph.node("Add", [x, graph.constant(3.0)])
            cut = graph.node("Clip", [moved, graph.constant(0.0), graph.constant(6.0)])
            product = graph.node("Mul", [x, cut])
            return graph.node("Div", [product, graph.constant(6.0)])
        case "gelu":
            scaled = graph.node("Mul", [x, graph.constant(np.sqrt(0.5))])
            gate = graph.node("Add", [graph.node("Erf", [scaled]), graph.constant(1.0)])
            half = graph.node("Mul", [x, graph.constant(0.5)])
            return graph.node("Mul", [half, gate])
    raise InputError(f"The activation {kind} has no ONNX form here.")


def _windows(step: Step) -> list[Window]:
    return [axis for axis in step.reads or () if isinstance(axis, Window)]


def _window_attributes(step: Step, *, dilations: bool = True) -> dict[str, Any]:
    """Return ONNX' words for the windows; what hangs over the edge becomes padding after."""
    axes = _windows(step)
    after = []
    for axis, size, count in zip(axes, step.input_shapes[0], step.output_shape, strict=False):
        reach = (count - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1
        after.append(max(0, reach - size - axis.before))
    attributes = {
        "kernel_shape": [axis.kernel for axis in axes],
        "strides": [axis.stride for axis in axes],
        "pads": [axis.before for axis in axes] + after,
    }
    return attributes | ({"dilations": [axis.dilation for axis in axes]} if dilations else {})


def _bias(step: Step, graph: _Graph) -> list[str]:
    return [graph.constant(graph.weight(step, "bias"))] if "bias" in step.weights else []


def _conv(step: Step, layer: Conv, sources: list[str], graph: _Graph) -> str:
    kernel = np.moveaxis(graph.weight(step, "kernel"), (-1, -2), (0, 1))
    inputs = [sources[0], graph.constant(kernel), *_bias(step, graph)]
    return graph.node("Conv", inputs, group=layer.groups, **_window_attributes(step))


def _depthwise(step: Step, source: str, kernel: Array, bias: list[str], graph: _Graph) -> str:
    """Kernel (*window, channels, multiplier) becomes (channels * multiplier, 1, *window)."""
    channels = kernel.shape[-2]
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    moved = moved.reshape(-1, 1, *moved.shape[2:])
    inputs = [source, graph.constant(moved), *bias]
    return graph.node("Conv", inputs, group=channels, **_window_attributes(step))


def _dwconv(step: Step, _: Layer, sources: list[str], graph: _Graph) -> str:
    return _depthwise(step, sources[0], graph.weight(step, "kernel"), _bias(step, graph), graph)


def _sepconv(step: Step, _: Layer, sources: list[str], graph: _Graph) -> str:
    middle = _depthwise(step, sources[0], graph.weight(step, "depthwise"), [], graph)
    pointwise = np.moveaxis(graph.weight(step, "pointwise"), (-1, -2), (0, 1))
    return graph.node("Conv", [middle, graph.constant(pointwise), *_bias(step, graph)])


def _upconv(step: Step, layer: TransposedConv, sources: list[str], graph: _Graph) -> str:
    """Kernel (*window, in, filters / groups) becomes (in, filters / groups, *window)."""
    kernel = np.moveaxis(graph.weight(step, "kernel"), (-2, -1), (0, 1))
    before, after, extra = zip(*layer.crops(), strict=True)
    return graph.node(
        "ConvTranspose",
        [sources[0], graph.constant(kernel), *_bias(step, graph)],
        kernel_shape=list(layer.kernel),
        strides=list(layer.stride),
        dilations=list(layer.dilation),
        group=layer.groups,
        pads=[*before, *after],
        output_padding=list(extra),
    )


def _dense(step: Step, _: Layer, sources: list[str], graph: _Graph) -> str:
    kernel = graph.weight(step, "kernel")
    if len(step.input_shapes[0]) == 1:
        inputs = [sources[0], graph.constant(kernel), *_bias(step, graph)]
        return graph.node("Gemm", inputs)
    rank = len(step.input_shapes[0]) - 1  # on a map it acts on channels: a 1x1 convolution
    pointwise = kernel.T.reshape(*kernel.T.shape, *[1] * rank)
    return graph.node("Conv", [sources[0], graph.constant(pointwise), *_bias(step, graph)])


def _maxpool(step: Step, _: Layer, sources: list[str], graph: _Graph) -> str:
    return graph.node("MaxPool", [sources[0]], **_window_attributes(step, dilations=False))


def _avgpool(step: Step, layer: AveragePool, sources: list[str], graph: _Graph) -> str:
    if layer.ceil and layer.count_padding:
        raise InputError(
            f"Layer {step.index} {step.name}: ceil together with countpad has no ONNX form that "
            "runtimes agree on. Use one of them."
        )
    attributes = _window_attributes(step, dilations=False)
    counted = int(layer.count_padding)
    return graph.node("AveragePool", [sources[0]], count_include_pad=counted, **attributes)


def _global_pool(op: str) -> Callable[..., str]:
    def write(_: Step, __: Layer, sources: list[str], graph: _Graph) -> str:
        return graph.node("Flatten", [graph.node(op, [sources[0]])])

    return write


def _adaptavg(step: Step, _: Layer, sources: list[str], graph: _Graph) -> str:
    """Uneven means along each axis are one small matrix product per axis."""
    rank = len(step.input_shapes[0]) - 1
    out = sources[0]
    for axis in range(rank):
        size, count = step.input_shapes[0][axis], step.output_shape[axis]
        means = np.zeros((size, count))
        for cell in range(count):
            window = adaptive_window(size, count, cell)
            means[window.start : window.stop, cell] = 1 / len(window)
        swap = [*range(rank + 2)]
        swap[axis + 2], swap[-1] = swap[-1], swap[axis + 2]
        moved = graph.node("Transpose", [out], perm=swap)
        product = graph.node("MatMul", [moved, graph.constant(means)])
        out = graph.node("Transpose", [product], perm=swap)
    return out


def _named(step: Step, layer: Layer, sources: list[str], graph: _Graph) -> str:
    """Write a layer by the operator, attributes and inputs that stand on its class."""
    said = layer.elsewhere.onnx
    if said is None or not (said.attributes or said.arrays):
        raise _formless(step)
    rank = len(step.output_shape) - 1
    inputs = [sources[0]]
    for name, lie in said.arrays.items():
        array = graph.weight(step, name)
        inputs.append(graph.constant(array.reshape(-1, *[1] * rank) if lie == "c ..." else array))
    attributes: dict[str, Any] = {
        key: getattr(layer, value) if isinstance(value, str) else value
        for key, value in said.attributes.items()
    }
    return graph.node(said.op, inputs, "", **attributes)


def _bn(step: Step, layer: BatchNorm, sources: list[str], graph: _Graph) -> str:
    """ONNX asks for scales also where they say nothing."""
    graph.arrays = {f"{step.name}.scale": np.ones(step.output_shape[-1])} | {**graph.arrays}
    return _named(step, layer, sources, graph)


def _scale_and_shift(step: Step, x: str, graph: _Graph) -> str:
    """Multiply by `scale` and add `shift`, each one number per channel."""
    spread = (-1, *[1] * (len(step.output_shape) - 1))
    scale, shift = (graph.weight(step, name).reshape(spread) for name in ("scale", "shift"))
    return graph.node("Add", [graph.node("Mul", [x, graph.constant(scale)]), graph.constant(shift)])


def _ln(step: Step, layer: LayerNorm, sources: list[str], graph: _Graph) -> str:
    mean = graph.node("ReduceMean", [sources[0]], axes=[1], keepdims=1)
    centered = graph.node("Sub", [sources[0], mean])
    square = graph.node("Mul", [centered, centered])
    variance = graph.node("ReduceMean", [square], axes=[1], keepdims=1)
    raised = graph.node("Add", [variance, graph.constant(layer.eps)])
    normal = graph.node("Div", [centered, graph.node("Sqrt", [raised])])
    return _scale_and_shift(step, normal, graph)


def _gn(step: Step, layer: GroupNorm, sources: list[str], graph: _Graph) -> str:
    """Group norm is instance norm over the cells of each group in one row."""
    groups = layer.groups
    row = graph.node("Reshape", [sources[0], graph.integers([0, groups, -1])])
    ones, zeros = graph.constant(np.ones(groups)), graph.constant(np.zeros(groups))
    normal = graph.node("InstanceNormalization", [row, ones, zeros], epsilon=layer.eps)
    shape = graph.integers([0, *_channels_first(step.output_shape)])
    return _scale_and_shift(step, graph.node("Reshape", [normal, shape]), graph)


def _flatten(step: Step, _: Layer, sources: list[str], graph: _Graph) -> str:
    """Channels last before the cells are put in one row, as the dense weights expect."""
    return graph.node("Flatten", [_to_last(sources[0], len(step.input_shapes[0]), graph)])


def _reshape(step: Step, _: Layer, sources: list[str], graph: _Graph) -> str:
    row = _to_last(sources[0], len(step.input_shapes[0]), graph)
    shaped = graph.node("Reshape", [row, graph.integers([0, *step.output_shape])])
    return _to_first(shaped, len(step.output_shape), graph)


def _pad(step: Step, layer: Pad, sources: list[str], graph: _Graph) -> str:
    before, after = zip(*layer.cells, strict=True)
    pads = graph.integers([0, 0, *before, 0, 0, *after])
    return graph.node("Pad", [sources[0], pads, graph.constant(0.0)], mode="constant")


def _crop(step: Step, layer: Crop, sources: list[str], graph: _Graph) -> str:
    starts = [before for before, _ in layer.cells]
    sizes = zip(step.input_shapes[0], layer.cells, strict=False)
    ends = [size - after for size, (_, after) in sizes]
    axes = graph.integers(range(2, 2 + len(starts)))
    return graph.node("Slice", [sources[0], graph.integers(starts), graph.integers(ends), axes])


def _upsample(step: Step, layer: Upsample, sources: list[str], graph: _Graph) -> str:
    scales = graph.constant([1.0, 1.0, *map(float, layer.factor)])
    rule = (
        {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        if layer.bilinear
        else {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
        }
    )
    return graph.node("Resize", [sources[0], "", scales], **rule)


def _shuffle(step: Step, layer: ChannelShuffle, sources: list[str], graph: _Graph) -> str:
    groups, shape = layer.groups, _channels_first(step.output_shape)
    split = [0, groups, shape[0] // groups, *shape[1:]]
    parted = graph.node("Reshape", [sources[0], graph.integers(split)])
    swapped = graph.node("Transpose", [parted], perm=[0, 2, 1, *range(3, len(split))])
    return graph.node("Reshape", [swapped, graph.integers([0, *shape])])


def _lstm(step: Step, layer: LSTM, sources: list[str], graph: _Graph) -> str:
    """Gates i f g o become ONNX' i o f c; weights (in, 4 units) become (1, 4 units, in)."""
    units = layer.units

    def reordered(array: Array) -> Array:
        gates = np.split(array, 4, axis=-1)
        return np.concatenate([gates[0], gates[3], gates[1], gates[2]], axis=-1)

    kernel, recurrent = (
        reordered(graph.weight(step, name)).T[np.newaxis] for name in ("kernel", "recurrent")
    )
    biases = [reordered(graph.weight(step, "bias"))]
    two = "recurrent_bias" in step.weights
    biases.append(reordered(graph.weight(step, "recurrent_bias")) if two else 0 * biases[0])
    bias = np.concatenate(biases)[np.newaxis]
    series = graph.node("Transpose", [sources[0]], perm=[2, 0, 1])  # batch, channels, length
    inputs = [series, *(graph.constant(array) for array in (kernel, recurrent, bias))]
    from onnx import helper

    every, final = f"{step.name}_every", f"{step.name}_final"
    graph.nodes.append(helper.make_node("LSTM", inputs, [every, final], hidden_size=units))
    if layer.sequence:  # length, directions, batch, units
        alone = graph.node("Squeeze", [every, graph.integers([1])])
        return graph.node("Transpose", [alone], perm=[1, 2, 0])
    return graph.node("Squeeze", [final, graph.integers([0])])


def _multiply(step: Step, _: Layer, sources: list[str], graph: _Graph) -> str:
    """A gate of one number per channel is spread over the map."""
    first, second = step.input_shapes
    gate = sources[1]
    if len(second) < len(first):
        spread = graph.integers([0, second[-1], *[1] * (len(first) - 1)])
        gate = graph.node("Reshape", [gate, spread])
    return graph.node("Mul", [sources[0], gate])


_WRITERS: dict[type[Layer], Callable[..., str]] = {
    Conv: _conv,
    DepthwiseConv: _dwconv,
    SeparableConv: _sepconv,
    TransposedConv: _upconv,
    Dense: _dense,
    MaxPool: _maxpool,
    AveragePool: _avgpool,
    GlobalAveragePool: _global_pool("GlobalAveragePool"),
    GlobalMaxPool: _global_pool("GlobalMaxPool"),
    AdaptiveAveragePool: _adaptavg,
    BatchNorm: _bn,
    LayerNorm: _ln,
    GroupNorm: _gn,
    Activation: lambda _, layer, sources, graph: _activation(layer.kind, sources[0], graph),
    Dropout: lambda _, __, sources, ___: sources[0],
    Flatten: _flatten,
    Reshape: _reshape,
    Pad: _pad,
    Crop: _crop,
    Upsample: _upsample,
    ChannelShuffle: _shuffle,
    LSTM: _lstm,
    Add: lambda _, __, sources, graph: graph.node("Sum", sources),
    ConcatChannels: lambda _, __, sources, graph: graph.node("Concat", sources, axis=1),
    Multiply: _multiply,
}
"""Layers that take more than an operator; the others say theirs, see `_named`."""
