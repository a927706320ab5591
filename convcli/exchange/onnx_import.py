"""ONNX files as networks with their weights; an operator that the notation lacks is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convcli.errors import InputProblem, missing_extra
from convcli.exchange.branches import Path as Way
from convcli.exchange.branches import as_blocks
from convcli.exchange.onnx_operators import OPERATORS, Arrays, Graph, Operator, Tensor
from convcli.layers import ActivatedLayer, Activation, Concat, Layer, Residual, Scale
from convcli.layers.base import Shape
from convcli.layers.blocks import Block
from convcli.net import Network

MAX_BYTES = 2 * 2**30
"""A protocol buffer cannot be larger."""

INPUT = "input"

MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)
"""What attributes of the wrong type or number end in; the checker of ONNX does not see them all."""


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """What an ONNX file holds, in our terms.

    Attributes:
        network: the layers on paper.
        arrays: by `step.weight`.
        texts: the file's notes by key.
    """

    network: Network
    arrays: Arrays
    texts: dict[str, str]


def read_onnx(path: Path) -> OnnxNetwork:
    """Return the network and the weights in the ONNX file at `path`.

    Raises:
        InputProblem: no such file, no ONNX, or an operator the notation does not have.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as problem:
        raise InputProblem(f"Cannot read {path}: {problem.strerror}.") from problem
    if size > MAX_BYTES:
        raise InputProblem(f"{path} has {size:,} bytes; an ONNX file has at most {MAX_BYTES:,}.")
    try:
        return network_from_onnx(content, name=path.stem)
    except InputProblem as problem:
        raise InputProblem(f"{path}: {problem}") from problem


def network_from_onnx(content: bytes, name: str = "network") -> OnnxNetwork:
    """Return the network in the bytes of an ONNX file; see `read_onnx`."""
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "onnx", "ONNX files") from None
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as problem:
        raise InputProblem("this is no ONNX model.") from problem
    if not model.graph.node:
        raise InputProblem("this is no ONNX model, or one without operators.")
    texts = {entry.key: entry.value for entry in model.metadata_props}
    return _Reader(model.graph).result(name, texts)


class _Reader:
    """Follows the operators in order and collects our layers."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self.graph = Graph()
        for tensor in graph.initializer:
            if tensor.external_data:
                raise InputProblem(f"the weights of {tensor.name} lie in another file.")
            try:
                self.graph.constants[tensor.name] = numpy_helper.to_array(tensor)
            except (ValueError, TypeError, KeyError, OverflowError) as problem:
                raise InputProblem(f"the stored array {tensor.name} is malformed.") from problem
        self.nodes = self.graph.nodes
        self.output = graph.output[0].name
        self.input_shape = self._take_input(graph)
        for position, node in enumerate(graph.node):
            self._follow(position, node)

    def _take_input(self, graph: Any) -> Shape:
        inputs = [value for value in graph.input if value.name not in self.graph.constants]
        if len(inputs) != 1:
            raise InputProblem(f"the graph has {len(inputs)} inputs; the notation has one.")
        name = inputs[0].name
        sizes = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim]
        if len(sizes) < 2 or min(sizes[1:]) < 1:
            raise InputProblem(
                f"the input {name} has the sizes {sizes}; all but the batch must be given."
            )
        shape = (*sizes[2:], sizes[1])
        self.graph.values[name] = Tensor(INPUT, shape)
        return shape

    def _follow(self, position: int, node: Any) -> None:
        from onnx import numpy_helper

        read = OPERATORS.get(node.op_type)
        where = f"operator {position + 1} {node.op_type}" + (f" {node.name}" if node.name else "")
        if read is None and node.op_type != "Constant":
            raise InputProblem(f"{where}: the notation has no such layer.")
        try:
            if read is None:
                value = numpy_helper.to_array(node.attribute[0].t)
                self.graph.constants[node.output[0]] = value
                return
            self.graph.values[node.output[0]] = read(Operator(self.graph, node, f"n{position}"))
        except InputProblem as problem:
            raise InputProblem(f"{where}: {problem}") from problem
        except MALFORMED as problem:
            raise InputProblem(f"{where}: it is malformed ({problem}).") from problem

    def result(self, name: str, texts: dict[str, str]) -> OnnxNetwork:
        """Return the network on the way from the input to the first output, and its arrays."""
        if self.output not in self.graph.values:
            raise InputProblem(f"the output {self.output} is not calculated from the input.")
        end = self._with_suffix_activations(self.graph.values[self.output].node)
        sources = {INPUT: (), **{key: node.sources for key, node in self.nodes.items()}}
        way = as_blocks(sources, INPUT, end)
        network = Network(self.input_shape, tuple(self._layers(way)), name)
        arrays: Arrays = {}
        steps = network.trace().steps
        for step, key in zip(steps, _flat(way), strict=True):
            given = self.nodes[key].arrays
            arrays |= {f"{step.name}.{weight}": array for weight, array in given.items()}
        return OnnxNetwork(network, arrays, texts)

    def _with_suffix_activations(self, end: str) -> str:
        """Write each activation that alone reads a layer as that layer's suffix."""
        readers: dict[str, int] = {}
        for node in self.nodes.values():
            for source in node.sources:
                readers[source] = readers.get(source, 0) + 1
        renamed: dict[str, str] = {}
        for key, node in list(self.nodes.items()):
            sources = tuple(renamed.get(source, source) for source in node.sources)
            self.nodes[key] = replace(node, sources=sources)
            if not isinstance(node.layer, Activation) or sources[0] == INPUT:
                continue
            before = self.nodes[sources[0]]
            layer = before.layer
            if not isinstance(layer, ActivatedLayer) or layer.activation:
                continue
            if readers[sources[0]] == 1:
                fused = replace(layer, activation=node.layer.kind)
                self.nodes[sources[0]] = replace(before, layer=fused)
                readers[sources[0]] = readers.get(key, 0)
                renamed[key] = sources[0]
                del self.nodes[key]
        return renamed.get(end, end)

    def _layers(self, way: Way) -> Iterator[Layer | Block]:
        for part in way:
            if isinstance(part, str):
                yield self.nodes[part].layer
                continue
            branches = tuple(tuple(self._layers(path)) for path in part.paths)
            yield self._block(self.nodes[part.join].layer, branches)

    def _block(self, join: Layer, branches: tuple[tuple[Layer | Block, ...], ...]) -> Block:
        match join.op:
            case "concat":
                return Concat(branches)
            case "add" if len(branches) == 2:
                body, shortcut = branches if branches[0] else branches[::-1]
                return Residual(body, shortcut)
            case "scale" if () in branches:
                return Scale(branches[0] or branches[1])
        raise InputProblem(f"{join.op} of {len(branches)} branches has no block in the notation.")


def _flat(way: Way) -> Iterator[str]:
    """Yield nodes in the order of execution, joins after their branches."""
    for part in way:
        if isinstance(part, str):
            yield part
            continue
        for path in part.paths:
            yield from _flat(path)
        yield part.join
