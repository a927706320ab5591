"""A trained network as ONNX: channels first, symbolic batch, an opset that old runtimes read.

Windows arrive resolved, so `same`, `causal` and `ceil` need no flag of ONNX's own: a ceil window
that hangs over the edge becomes padding after. Operators: onnx.ai/onnx/operators, opset 13.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from convcli import layers
from convcli.errors import missing_extra
from convcli.exchange.content import Scaling
from convcli.exchange.layouts import Array, theirs
from convcli.exchange.writer import (
    Arrays,
    Writer,
    elsewhere_of,
    paddings,
    rank,
    settings_of,
    window,
)
from convcli.geometry import adaptive_window
from convcli.layers.activation import ACTIVATIONS, numbers_of
from convcli.net import Step, Trace

OPSET = 13
"""Read by onnxruntime 1.7 (2021) and later; the newest operator used here has not changed since."""

PRODUCER = "convcli"
"""What a file says of the program that wrote it."""

IR_VERSION = 7
"""The file format that belongs to opset 13's release."""


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

    graph = OnnxWriter(arrays)
    shape = trace.network.input_shape
    last = graph.write(trace, graph.prepared("input", len(shape), scaling))
    graph.node("Identity", last, output="output")
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
        producer_name=PRODUCER,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, dict(notes or {}))
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


GATES = {"lstm": (0, 2, 3, 1), "gru": (1, 0, 2)}
"""Where our gates stand among ONNX': i f g o among i o f c, r z n among z r h."""


def _channels_first(shape: Sequence[int]) -> list[int]:
    return [shape[-1], *shape[:-1]]


def _windows(step: Step, *, dilations: bool = True) -> dict[str, Any]:
    """Return ONNX' words for the windows; what hangs over the edge becomes padding after."""
    before, after = zip(*paddings(step), strict=True)
    attributes = {
        "kernel_shape": window(step, "kernel"),
        "strides": window(step, "stride"),
        "pads": [*before, *after],
    }
    return attributes | ({"dilations": window(step, "dilation")} if dilations else {})


class OnnxWriter(Writer):
    """Nodes and constants in the making; every value has a name of its own."""

    program = "ONNX"

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.layer = ""

    def row(self, step: Step, *sources: str) -> str:
        """Write one row; its operators have its name, as PyTorch's exporter gives modules'."""
        self.layer = step.name
        out = super().row(step, *sources)
        self.layer = ""
        return out

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        from onnx import helper

        output = output or f"{op.lower()}_{len(self.nodes)}"
        name = f"{self.layer}/{output}" if self.layer else ""
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
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

    def weights(self, step: Step, *names: str) -> list[str]:
        """Append arrays of a step, those that it has, as ONNX has them; return their names."""
        known = [name for name in names if name in step.weights]
        return [self.constant(self.first(step, name)) for name in known]

    def prepared(self, name: str, axes: int, scaling: Scaling | None) -> str:
        """Return the input, scaled and turned to channels first where a scaling is given."""
        if scaling is None:
            return name
        scaled = self.node("Mul", name, self.constant(scaling.scale))
        return self.to_first(self.node("Add", scaled, self.constant(scaling.offset)), axes)

    def to_first(self, name: str, axes: int) -> str:
        """Move channels from the last of so many axes to the first behind the batch."""
        if axes == 1:
            return name
        return self.node("Transpose", name, perm=[0, axes, *range(1, axes)])

    def to_last(self, name: str, axes: int) -> str:
        """Move channels from the first of so many axes to the last."""
        if axes == 1:
            return name
        return self.node("Transpose", name, perm=[0, *range(2, axes + 1), 1])

    def named(self, step: Step, layer: layers.Layer, *sources: str) -> str:
        """Write a layer by the operator, attributes and inputs that stand on its class."""
        said = elsewhere_of(layer).onnx
        if said is None or not (said.attributes or said.arrays):
            raise self.formless(step)
        spatial = len(step.output_shape) - 1
        arrays = [
            self.constant(theirs(self.array(step, name), line, spatial))
            for name, line in said.arrays.items()
        ]
        return self.node(said.op, *sources, *arrays, **settings_of(layer, said.attributes))

    def activated(self, step: Step, kind: str, source: str) -> str:
        """Write the form that stands in an activation's row."""
        said = ACTIVATIONS[kind].elsewhere.onnx
        if said is None:
            raise self.formless(step)
        form = said.spelled(numbers_of(step.layer, kind))
        return self.expression(ast.parse(form, mode="eval").body, source)

    def expression(self, form: ast.expr, x: str) -> str:
        """Append the nodes of a spelled form over `x` and return the name of the last."""
        if isinstance(form, ast.Call):
            given = {word.arg or "": ast.literal_eval(word.value) for word in form.keywords}
            inputs = [self.expression(argument, x) for argument in form.args]
            return self.node(ast.unparse(form.func), *inputs, **given)
        return x if isinstance(form, ast.Name) else self.constant(ast.literal_eval(form))

    def write_conv(self, step: Step, layer: layers.Conv, source: str) -> str:
        """Write a convolution."""
        inputs = self.weights(step, "kernel", "bias")
        return self.node("Conv", source, *inputs, group=layer.groups, **_windows(step))

    def write_dwconv(self, step: Step, _: layers.Layer, source: str) -> str:
        """Every channel is a group."""
        inputs, channels = self.weights(step, "kernel", "bias"), step.input_shapes[0][-1]
        return self.node("Conv", source, *inputs, group=channels, **_windows(step))

    def write_sepconv(self, step: Step, _: layers.Layer, source: str) -> str:
        """Write both convolutions, with the bias in the second."""
        depthwise, *rest = self.weights(step, "depthwise", "pointwise", "bias")
        channels = step.input_shapes[0][-1]
        middle = self.node("Conv", source, depthwise, group=channels, **_windows(step))
        return self.node("Conv", middle, *rest)

    def write_upconv(self, step: Step, layer: layers.TransposedConv, source: str) -> str:
        """Write a transposed convolution."""
        before, after, extra = zip(*layer.crops(), strict=True)
        return self.node(
            "ConvTranspose",
            source,
            *self.weights(step, "kernel", "bias"),
            kernel_shape=list(layer.kernel),
            strides=list(layer.stride),
            dilations=list(layer.dilation),
            group=layer.groups,
            pads=[*before, *after],
            output_padding=list(extra),
        )

    def write_dense(self, step: Step, _: layers.Dense, source: str) -> str:
        """On a map it acts on channels: a 1x1 convolution."""
        kernel, axes = self.array(step, "kernel"), rank(step)
        turned = self.first(step, "kernel").reshape(*kernel.shape[::-1], *[1] * axes)
        weight = self.constant(turned if axes else kernel)
        return self.node("Conv" if axes else "Gemm", source, weight, *self.weights(step, "bias"))

    def write_maxpool(self, step: Step, _: layers.MaxPool, source: str) -> str:
        """Write a maximum."""
        return self.node("MaxPool", source, **_windows(step))

    def write_avgpool(self, step: Step, layer: layers.AveragePool, source: str) -> str:
        """Write a mean."""
        if layer.ceil and layer.count_padding:
            raise self.problem(
                step,
                ": ceil together with countpad has no ONNX form that runtimes agree on. Use one of "
                "them.",
            )
        counted = int(layer.count_padding)
        attributes = _windows(step, dilations=False)
        return self.node("AveragePool", source, count_include_pad=counted, **attributes)

    def write_gap(self, step: Step, layer: layers.Layer, source: str) -> str:
        """Write a pool over the whole map, whose axes of 1 are left out."""
        said = layer.elsewhere.onnx
        if said is None:
            raise self.formless(step)
        return self.node("Flatten", self.node(said.op, source))

    write_gmp = write_gap

    def write_adaptavg(self, step: Step, _: layers.Layer, source: str) -> str:
        """Uneven means along each axis are one small matrix product per axis."""
        for axis in range(rank(step)):
            size, count = step.input_shapes[0][axis], step.output_shape[axis]
            means = np.zeros((size, count))
            for cell in range(count):
                cells = adaptive_window(size, count, cell)
                means[cells.start : cells.stop, cell] = 1 / len(cells)
            swap = [*range(rank(step) + 2)]
            swap[axis + 2], swap[-1] = swap[-1], swap[axis + 2]
            moved = self.node("Transpose", source, perm=swap)
            product = self.node("MatMul", moved, self.constant(means))
            source = self.node("Transpose", product, perm=swap)
        return source

    def write_adaptmax(self, step: Step, _: layers.Layer, source: str) -> str:
        """Cells of each window are gathered, the last one again where it has fewer."""
        for axis in range(rank(step)):
            size, count = step.input_shapes[0][axis], step.output_shape[axis]
            cells = [adaptive_window(size, count, cell) for cell in range(count)]
            longest = max(map(len, cells))
            chosen = [[*window, *[window[-1]] * (longest - len(window))] for window in cells]
            gathered = self.node("Gather", source, self.constant(chosen, np.int64), axis=axis + 2)
            source = self.node("ReduceMax", gathered, axes=[axis + 3], keepdims=0)
        return source

    def write_bn(self, step: Step, layer: layers.BatchNorm, source: str) -> str:
        """ONNX asks for scales also where they say nothing."""
        self.arrays = {f"{step.name}.scale": np.ones(step.output_shape[-1])} | {**self.arrays}
        return self.named(step, layer, source)

    def scale_and_shift(self, step: Step, x: str) -> str:
        """Multiply by `scale` and add `shift`, each one number per channel."""
        spatial = len(step.output_shape) - 1
        scale, shift = (
            self.constant(theirs(self.array(step, name), "c -> c ...", spatial))
            for name in ("scale", "shift")
        )
        return self.node("Add", self.node("Mul", x, scale), shift)

    def write_rmsnorm(self, step: Step, layer: layers.RMSNorm, source: str) -> str:
        """Write the sum and root that opset 13 has no operator for."""
        square = self.node("ReduceMean", self.node("Mul", source, source), axes=[1], keepdims=1)
        root = self.node("Sqrt", self.node("Add", square, self.constant(layer.eps)))
        return self.write_layerscale(step, layer, self.node("Div", source, root))

    def write_layerscale(self, step: Step, _: layers.Layer, source: str) -> str:
        """Write a product with one factor for each channel."""
        spatial = len(step.output_shape) - 1
        scale = theirs(self.array(step, "scale"), "c -> c ...", spatial)
        return self.node("Mul", source, self.constant(scale))

    def write_ln(self, step: Step, layer: layers.LayerNorm, source: str) -> str:
        """Write the sums and roots of a layer norm, which opset 13 does not have."""
        mean = self.node("ReduceMean", source, axes=[1], keepdims=1)
        centered = self.node("Sub", source, mean)
        square = self.node("Mul", centered, centered)
        variance = self.node("ReduceMean", square, axes=[1], keepdims=1)
        deviation = self.node("Sqrt", self.node("Add", variance, self.constant(layer.eps)))
        return self.scale_and_shift(step, self.node("Div", centered, deviation))

    def write_gn(self, step: Step, layer: layers.GroupNorm, source: str) -> str:
        """Group norm is instance norm over the cells of each group in one row."""
        groups = layer.groups
        row = self.node("Reshape", source, self.integers([0, groups, -1]))
        ones, zeros = self.constant(np.ones(groups)), self.constant(np.zeros(groups))
        normal = self.node("InstanceNormalization", row, ones, zeros, epsilon=layer.eps)
        shape = self.integers([0, *_channels_first(step.output_shape)])
        return self.scale_and_shift(step, self.node("Reshape", normal, shape))

    def write_dropout(self, _: Step, __: layers.Dropout, source: str) -> str:
        """Nothing is dropped in use."""
        return source

    def write_flatten(self, step: Step, _: layers.Flatten, source: str) -> str:
        """Channels last before the cells are put in one row, as the dense weights expect."""
        return self.node("Flatten", self.to_last(source, len(step.input_shapes[0])))

    def write_reshape(self, step: Step, _: layers.Reshape, source: str) -> str:
        """Cells keep their order, which is channels last."""
        row = self.to_last(source, len(step.input_shapes[0]))
        shaped = self.node("Reshape", row, self.integers([0, *step.output_shape]))
        return self.to_first(shaped, len(step.output_shape))

    def write_pad(self, _: Step, layer: layers.Pad, source: str) -> str:
        """Write zeros around the map."""
        before, after = zip(*layer.cells, strict=True)
        pads = self.integers([0, 0, *before, 0, 0, *after])
        return self.node("Pad", source, pads, self.constant(0.0), mode="constant")

    def write_crop(self, step: Step, layer: layers.Crop, source: str) -> str:
        """Write the part of the map that is left."""
        starts = [before for before, _ in layer.cells]
        sizes = zip(step.input_shapes[0], layer.cells, strict=False)
        ends = [size - after for size, (_, after) in sizes]
        axes = self.integers(range(2, 2 + len(starts)))
        return self.node("Slice", source, self.integers(starts), self.integers(ends), axes)

    def write_pixelshuffle(self, step: Step, layer: layers.PixelShuffle, source: str) -> str:
        """Write PyTorch's order, over two axes."""
        if rank(step) != 2:
            raise self.formless(step)
        return self.node("DepthToSpace", source, blocksize=layer.factor, mode="CRD")

    def write_pixelunshuffle(self, step: Step, layer: layers.PixelUnshuffle, source: str) -> str:
        """ONNX deals the channels out after the parts of a cell; ours stand the other way round."""
        if rank(step) != 2:
            raise self.formless(step)
        parts = self.node("SpaceToDepth", source, blocksize=layer.factor)
        channels, *spatial = _channels_first(step.output_shape)
        inside = step.input_shapes[0][-1]
        return self.dealt(parts, [channels // inside, inside, *spatial])

    def dealt(self, source: str, split: Sequence[int]) -> str:
        """Turn the first two of the axes that channels and space are parted into."""
        parted = self.node("Reshape", source, self.integers([0, *split]))
        swapped = self.node("Transpose", parted, perm=[0, 2, 1, *range(3, len(split) + 1)])
        whole = [0, split[0] * split[1], *split[2:]]
        return self.node("Reshape", swapped, self.integers(whole))

    def write_slice(self, step: Step, layer: layers.Slice, source: str) -> str:
        """Write a part of the channels."""
        start, stop = layer.channels
        ends = self.integers([step.input_shapes[0][-1] if stop is None else stop])
        return self.node("Slice", source, self.integers([start]), ends, self.integers([1]))

    def write_permute(self, _: Step, layer: layers.Permute, source: str) -> str:
        """Write a turn of axes, as they stand channels last."""
        axes = len(layer.order)
        perm = [0, *(axis + 1 for axis in layer.order)]
        turned = self.node("Transpose", self.to_last(source, axes), perm=perm)
        return self.to_first(turned, axes)

    def write_upsample(self, _: Step, layer: layers.Upsample, source: str) -> str:
        """Write an enlargement by factors, or to sizes behind the batch as it comes."""
        inputs = ["", self.constant([1.0, 1.0, *map(float, layer.factor)])]
        if layer.size:
            shape = self.node("Shape", source)
            first = self.node("Slice", shape, self.integers([0]), self.integers([2]))
            sizes = self.node("Concat", first, self.integers(layer.size), axis=0)
            inputs = ["", "", sizes]
        rule = (
            {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
            if layer.bilinear
            else {
                "mode": "nearest",
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
        )
        return self.node("Resize", source, *inputs, **rule)

    def write_shuffle(self, step: Step, layer: layers.ChannelShuffle, source: str) -> str:
        """Write a turn of two axes that channels are parted into."""
        channels, *spatial = _channels_first(step.output_shape)
        return self.dealt(source, [layer.groups, channels // layer.groups, *spatial])

    def write_lstm(self, step: Step, layer: layers.LSTM | layers.GRU, source: str) -> str:
        """Each direction's gates in ONNX' order; a second bias that we do not have is zero."""
        from onnx import helper

        def gates(way: str, name: str) -> Array:
            if way + name not in step.weights:
                return 0 * gates(way, "bias")
            array = self.array(step, way + name).T
            parts = np.split(array, layer.gates)
            return np.concatenate([parts[GATES[layer.op].index(k)] for k in range(layer.gates)])

        kernels, recurrents, biases = (
            np.stack([gates(way, name) for way in layer.directions])
            for name in ("kernel", "recurrent", "bias")
        )
        seconds = np.stack([gates(way, "recurrent_bias") for way in layer.directions])
        arrays = kernels, recurrents, np.concatenate([biases, seconds], axis=1)
        series = self.node("Transpose", source, perm=[2, 0, 1])  # batch, channels, length
        inputs = [series, *(self.constant(array) for array in arrays)]
        every, final = f"{step.name}_every", f"{step.name}_final"
        ways = {"direction": "bidirectional"} if layer.bidirectional else {}
        reset = {"linear_before_reset": 1} if layer.op == "gru" else {}
        self.nodes.append(
            helper.make_node(
                layer.op.upper(), inputs, [every, final], hidden_size=layer.units, **ways, **reset
            )
        )
        shape = self.integers([0, -1, step.output_shape[-1]])
        if layer.sequence:  # length, directions, batch, units
            last = self.node("Transpose", every, perm=[2, 0, 1, 3])
            return self.node("Transpose", self.node("Reshape", last, shape), perm=[0, 2, 1])
        row = self.integers([-1, step.output_shape[-1]])
        return self.node("Reshape", self.node("Transpose", final, perm=[1, 0, 2]), row)

    write_gru = write_lstm

    def write_add(self, _: Step, __: layers.Add, *sources: str) -> str:
        """Write a sum."""
        return self.node("Sum", *sources)

    def write_concat(self, _: Step, __: layers.ConcatChannels, *sources: str) -> str:
        """Write a stack of channels."""
        return self.node("Concat", *sources, axis=1)

    def write_scale(self, step: Step, _: layers.Multiply, source: str, *gates: str) -> str:
        """A gate of one number per channel is spread over the map."""
        first, *others = step.input_shapes
        for gate, shape in zip(gates, others, strict=True):
            spread = [0, shape[-1], *[1] * (len(first) - 1)]
            fits = len(shape) == len(first)
            given = gate if fits else self.node("Reshape", gate, self.integers(spread))
            source = self.node("Mul", source, given)
        return source

    write_mul = write_scale
