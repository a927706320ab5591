"""ONNX files as networks with their weights; an operator that the notation lacks is named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convcli.errors import InputError, cannot_read
from convcli.exchange.blocks import Joint, layer_word, layers_of, without_running_names
from convcli.exchange.content import Content, Scaling
from convcli.exchange.onnx_graph import MALFORMED, MAX_BYTES, Graph, load_graph, onnx_model_of
from convcli.exchange.onnx_layout import Arrays, Layers, Made, Value
from convcli.exchange.onnx_operators import Affine, read, refused
from convcli.exchange.onnx_write import PRODUCER, onnx_model
from convcli.exchange.own import Writer, noted, noted_scaling
from convcli.layers import (
    ActivatedLayer,
    Activation,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Input,
    Layer,
    TransposedConv,
)
from convcli.layers.base import Join, Shape
from convcli.net import Network, Trace
from convcli.net.lookup import OpenedNetwork

INPUT = "input"


def read_onnx(path: Path, input_shape: Shape | None = None, *, weights: bool = True) -> Content:
    """Return the network and the weights in the ONNX file at `path`.

    Args:
        path: the file; weights that it keeps in another one lie beside it.
        input_shape: for sizes that the file leaves open; channels last, no batch.
        weights: whether those of another file are read; on paper no network needs them.

    Raises:
        InputError: no such file, no ONNX, or an operator the notation does not have.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as problem:
        raise cannot_read(path, problem) from problem
    if size > MAX_BYTES:
        raise InputError(f"{path} has {size:,} bytes; an ONNX file has at most {MAX_BYTES:,}.")
    try:
        return _read(content, path.parent, path.stem, input_shape, weights=weights)
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from problem


def read_onnx_network(path: Path, input_shape: Shape | None = None) -> OpenedNetwork:
    """Return what `read_onnx` reads, without the weights that another file keeps."""
    return read_onnx(path, input_shape, weights=False).on_paper()


def network_from_onnx(content: bytes, name: str = "network") -> Content:
    """Return the network in the bytes of an ONNX file; see `read_onnx`."""
    return _read(content, None, name, None, weights=True)


def _read(
    content: bytes, folder: Path | None, name: str, input_shape: Shape | None, *, weights: bool
) -> Content:
    try:
        with np.errstate(all="ignore"):  # numbers that are none are refused where weights are used
            with suppress(LookupError, *MALFORMED):
                return _own(content, name, input_shape)
            graph = load_graph(content, folder, weights=weights)
            if weights and len(graph.outputs) > 1:
                first = graph.outputs[0]
                graph.notes.append(
                    f"Of {len(graph.outputs)} outputs only the first, {first}, is read."
                )
                graph.outputs = [first]
            return _network(graph, name, input_shape)
    except InputError:
        raise
    except MALFORMED as problem:
        raise InputError(f"the graph is malformed ({problem}).") from problem


def _own(content: bytes, name: str, input_shape: Shape | None) -> Content:
    """Return the network in a file that was written here, in the words it was written from.

    Raises:
        LookupError: it was not, or has been changed.
    """
    model = onnx_model_of(content)
    if model is None or input_shape is not None or model.producer_name != PRODUCER:
        raise LookupError("another program's")
    texts = {entry.key: entry.value for entry in model.metadata_props}
    outside, inside = (_same_as(model, scaling) for scaling in (None, noted_scaling(texts)))
    try:
        return noted(texts, name, lambda _: _numbers(model), outside)
    except LookupError:
        found = noted(texts, name, lambda _: _numbers(model), inside)
        return replace(found, scaling=noted_scaling(texts))


def _numbers(model: Any) -> list[Any]:
    from onnx import numpy_helper

    return [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]


def _same_as(model: Any, scaling: Scaling | None) -> Writer:
    """Return what writes a network and compares the operators with those of a file."""

    def write(trace: Trace, arrays: Mapping[str, np.ndarray]) -> list[Any] | None:
        try:
            other = onnx_model_of(onnx_model(trace, arrays, scaling))
        except InputError:
            return None
        ours, theirs = (
            [part.SerializeToString() for part in (*m.graph.node, *m.graph.input, *m.graph.output)]
            for m in (other, model)
        )
        names = [[tensor.name for tensor in m.graph.initializer] for m in (other, model)]
        return _numbers(other) if ours == theirs and names[0] == names[1] else None

    return write


def _network(graph: Graph, name: str, input_shape: Shape | None) -> Content:
    """Follow the operators in order and put our layers into nested blocks."""
    layers = Layers()
    name_first, *others = graph.inputs
    first = _input(graph, name_first, input_shape)
    values = {name_first: first}
    for other in others:
        value = _input(graph, other, None)
        added = layers.add(Input(value.shape, name=layer_word(other)), first)
        values[other] = replace(value, node=added.node)
    for node in graph.nodes:
        try:
            read(node, graph, values, layers)
        except InputError as problem:
            raise refused(node.where, problem) from problem
        except MALFORMED as problem:
            raise InputError(f"{node.where}: it is malformed ({problem}).") from problem
    ends = [_ended(layers, values, output).node for output in graph.outputs]
    made = _needed(layers.made, ends)
    scaling, ends = _absorbed(made, ends)
    ends = _with_suffixes(made, ends)
    sources = {INPUT: (), **{k: tuple(v.node for v in m.sources) for k, m in made.items()}}
    names = _names(made)
    parts = {key: _part(one, names.get(key)) for key, one in made.items()}
    found, keys = layers_of(sources, INPUT, list(dict.fromkeys(ends)), parts)
    network = without_running_names(Network(first.shape, found, name))
    arrays: Arrays = {}
    for step, key in zip(network.trace().steps, keys, strict=True):
        given = made[key].arrays
        arrays |= {f"{step.name}.{weight}": array for weight, array in given.items()}
    return Content(network, arrays, graph.texts, scaling, tuple(graph.notes))


def _part(one: Made, name: str | None) -> Layer | Joint:
    if isinstance(one.layer, Input):
        return one.layer
    if not isinstance(one.layer, Join):
        return replace(one.layer, name=name)
    return Joint(one.layer.op, None, lambda fact: InputError(f"{one.where}: {fact}"))


def _names(made: dict[str, Made]) -> dict[str, str]:
    """Return what the file calls layers: each of its layers is one of ours, rather with weights.

    What has layers inside is no layer; of several operators in one the first with weights has its
    name.
    """
    modules = {one.module for one in made.values()}
    inner = {module[: at.start()] for module in modules for at in re.finditer(r"\.", module)}
    keys = sorted(made, key=lambda key: not made[key].arrays)
    inputs = {key: one.layer.name for key, one in made.items() if isinstance(one.layer, Input)}
    found = {key: name for key, name in inputs.items() if name}
    for key in keys:
        name = layer_word(made[key].module)
        fits = made[key].module and made[key].module not in inner and name not in found.values()
        if fits and not isinstance(made[key].layer, Join):
            found[key] = name
    return found


def _input(graph: Graph, name: str, input_shape: Shape | None) -> Value:
    """Return an input as a value; its channels are last where the graph turns them first."""
    sizes, last = graph.inputs[name], _channels_last(graph, name)
    if len(sizes) < 2 or (input_shape and len(input_shape) != len(sizes) - 1):
        has = f"{len(sizes) - 1} axes after the batch" if sizes else "no declared axes"
        raise InputError(f"the input {name} has {has}.")
    rest = sizes[1:] if last else (*sizes[2:], sizes[1])
    shape = input_shape or tuple(n for n in rest if n)
    if len(shape) != len(rest):
        told = "x".join("?" if n is None else str(n) for n in rest)
        way_out = f"Say them with --input, such as --input {told.replace('?', '224')}."
        if name != next(iter(graph.inputs)):
            way_out = "Export the network with fixed sizes: --input is the first input's."
        raise InputError(f"the input {name} leaves sizes open: {told}. {way_out}")
    value = Value(INPUT, shape)
    return replace(value, order=value.flat.reshape(1, *shape)) if last else value


LAST = ("MatMul", "LayerNormalization", "LSTM", "GRU")
"""Operators whose input has its channels last."""


def _channels_last(graph: Graph, name: str) -> bool:
    """Tell whether what first reads an input, perhaps turned, reads its last axis as channels."""
    axes = [*range(len(graph.inputs[name]))]
    for node in graph.nodes:
        if name not in node.inputs or len(axes) < 3 or node.op == "Shape":
            continue
        if node.op == "Transpose":
            axes = [axes[axis] for axis in node.get("perm", [*reversed(range(len(axes)))])]
        elif node.op not in {"Add", "Sub", "Mul", "Div"}:
            return bool(axes[-1 if node.op in LAST else 1] == len(axes) - 1)
        name = node.outputs[0]
    return False


def _ended(layers: Layers, values: dict[str, Value], output: str) -> Value:
    """Return an output in our order, so that each number stands where the file has it."""
    if output not in values:
        raise InputError(f"the output {output} is not calculated from the input.")
    value = values[output]
    last = value.batch == 0 and value.theirs[1:] == value.shape
    if last and np.array_equal(value.cells.ravel(), value.flat):
        return value
    layers.module = ""
    try:
        return layers.as_row(value) if len(value.theirs) == 2 else layers.as_map(value)
    except InputError as problem:
        raise refused(f"the output {output}", problem) from problem


def _needed(made: dict[str, Made], ends: list[str]) -> dict[str, Made]:
    """Return the layers that the outputs depend on, in the order of execution."""
    waiting, found = [*ends], {INPUT}
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += [source.node for source in made[key].sources]
    return {key: layer for key, layer in made.items() if key in found}


def _readers(made: dict[str, Made], ends: Iterable[str]) -> Counter[str]:
    return Counter([*ends, *(source.node for one in made.values() for source in one.sources)])


LINEAR = (Conv, DepthwiseConv, TransposedConv, Dense)


def _absorbed(made: dict[str, Made], ends: list[str]) -> tuple[Scaling | None, list[str]]:
    """Take factors and summands of channels into the layer before them, or into the scaling."""
    scaling, renamed = None, dict[str, str]()
    for key, one in list(made.items()):
        sources = tuple(replace(s, node=renamed.get(s.node, s.node)) for s in one.sources)
        one.sources = sources
        if not isinstance(one.layer, Affine):
            continue
        zeros, summand = np.zeros(one.sources[0].shape[-1], np.float32), one.arrays.get("summand")
        factor = one.arrays.get("factor", zeros + 1).astype(np.float32)
        summand = None if summand is None else summand.astype(np.float32)
        now = (renamed.get(end, end) for end in ends)
        alone = _readers(made, now)[sources[0].node] == 1
        before = made.get(sources[0].node)
        if before is None and alone:
            held = scaling or Scaling((1.0,), (0.0,))
            offset = factor * held.offset + (zeros if summand is None else summand)
            scale = factor * held.scale
            scaling = Scaling(_few(scale), _few(offset))
        elif before is not None and alone and isinstance(before.layer, LINEAR):
            _take_up(before, factor, summand)
        elif len(sources[0].shape) > 1:
            bias = {} if summand is None else {"bias": summand}
            kernel = factor.reshape(*[1] * (len(sources[0].shape) - 1), -1, 1)
            layer = DepthwiseConv((1,), bias=bool(bias)).at_rank(len(sources[0].shape) - 1)
            one.layer, one.arrays = layer, {"kernel": kernel} | bias
            continue
        else:
            _as_norm(one, factor, zeros if summand is None else summand)
            continue
        renamed[key] = sources[0].node
        del made[key]
    return scaling, [renamed.get(end, end) for end in ends]


def _few(figures: np.ndarray) -> tuple[float, ...]:
    """Return one figure where all are the same, with as few digits as their 32 bits need."""
    told = tuple(float(str(np.float32(figure))) for figure in figures)
    return told[:1] if len({*told}) == 1 else told


def _take_up(before: Made, factor: np.ndarray, summand: np.ndarray | None) -> None:
    """Multiply the outputs of a linear layer and add to them."""
    layer, arrays = before.layer, before.arrays
    if not isinstance(layer, LINEAR):
        raise TypeError(type(layer))
    kernel = arrays["kernel"]
    if isinstance(layer, DepthwiseConv):
        spread = factor.reshape(kernel.shape[-2:])
    elif isinstance(layer, TransposedConv) and layer.groups > 1:
        raise InputError(f"{before.where}: its grouped result is scaled, which cannot be said.")
    else:
        spread = factor
    bias = arrays["bias"] * factor if layer.bias else None
    if summand is not None:
        layer, bias = replace(layer, bias=True), summand + (0 if bias is None else bias)
    arrays = {"kernel": kernel * spread} | ({} if bias is None else {"bias": bias})
    before.layer, before.arrays = layer, arrays


def _as_norm(one: Made, factor: np.ndarray, summand: np.ndarray) -> None:
    """A row scaled on its own is a batch norm whose statistics do nothing."""
    layer, zeros = BatchNorm(), np.zeros_like(factor)
    one.layer = layer
    one.arrays = {
        "scale": factor, "shift": summand, "mean": zeros, "variance": zeros + (1 - layer.eps)
    }  # fmt: skip


def _with_suffixes(made: dict[str, Made], ends: list[str]) -> list[str]:
    """Write each activation that alone reads a layer as that layer's suffix; return the ends."""
    readers, renamed = _readers(made, ends), dict[str, str]()
    for key, one in list(made.items()):
        one.sources = tuple(replace(s, node=renamed.get(s.node, s.node)) for s in one.sources)
        before = made.get(one.sources[0].node)
        if not isinstance(one.layer, Activation) or before is None:
            continue
        layer, name = before.layer, one.sources[0].node
        alone = readers[name] == 1 and one.layer == Activation(one.layer.kind)  # no own numbers
        if isinstance(layer, ActivatedLayer) and not layer.activation and alone:
            before.layer = replace(layer, activation=one.layer.kind)
            readers[name], renamed[key] = readers[key], name
            del made[key]
    return [renamed.get(end, end) for end in ends]
