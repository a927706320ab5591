"""An ONNX file as a plain graph in one form, whichever exporter and operator set wrote it.

Settings that later operator sets moved from attributes to inputs become inputs, what depends on
stored arrays alone is calculated, and what exporters spell in many operators becomes one again.
The same rules that fold arrays move the cells of a map: see `convcli.exchange.onnx_layout`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError, missing_extra
from convcli.layers.activation import ACTIVATIONS

Array = npt.NDArray[Any]

MAX_BYTES = 2 * 2**30
"""A protocol buffer cannot be larger; weights beyond that lie in a file beside it."""

MAX_CELLS = 2**28
"""Numbers in one calculated array, at most."""

WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU"}
"""Operators whose second input is weights."""

MAX_CALCULATED = 2**16
"""Floats of a stored array that a network on paper may depend on, at most; more are weights."""

SPELLED = "spelled "
"""Before the kind of an activation that a file spells in several operators."""

MALFORMED = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, ArithmeticError,
    MemoryError, RecursionError, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What attributes of the wrong type or number end in; the checker of ONNX does not see them all."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operator: its inputs and outputs by name, its place in the file from 1."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    place: int = 0
    name: str = ""
    module: str = ""
    """The layer of the other program that it comes from, as far as the file says."""

    @property
    def where(self) -> str:
        """The operator as the file names it."""
        return f"operator {self.place} {self.op}" + (f" {self.name}" if self.name else "")

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute or its default."""
        return self.attributes.get(name, default)


@dataclass
class Graph:
    """Operators in the order of execution, stored arrays by name, the inputs and the outputs."""

    nodes: list[Node]
    constants: dict[str, Array]
    inputs: dict[str, tuple[int | None, ...]]
    """Name -> sizes as declared, the batch first; None for an open one."""
    outputs: list[str]
    opset: int
    texts: dict[str, str]
    notes: list[str] = field(default_factory=list)
    for_two: dict[str, Array] = field(default_factory=dict)
    """Those of the stored arrays that depend on the number of samples, as they are for two."""

    @property
    def samples(self) -> int:
        """How many samples the file is written for; 1 where it leaves them open."""
        sizes = next(iter(self.inputs.values()))
        return (sizes and sizes[0]) or 1


def onnx_model_of(content: bytes) -> Any:
    """Return the message in the bytes of an ONNX file, None where there is none.

    Raises:
        InputError: the package onnx is missing.
    """
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "onnx", "ONNX files") from None
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(content)
    except (DecodeError, *MALFORMED):
        return None


def load_graph(content: bytes, folder: Path | None, *, weights: bool = True) -> Graph:
    """Return the graph in the bytes of an ONNX file, in one form.

    Args:
        content: the file.
        folder: where arrays lie that the file keeps beside itself.
        weights: whether those are read; without, zeros of no size in memory stand for them.

    Raises:
        InputError: no ONNX, or one that is damaged or has no input.
    """
    model = onnx_model_of(content)
    if model is None:
        raise InputError("this is no ONNX model.")
    try:
        if model.functions:
            from onnx.inliner import inline_local_functions

            model = inline_local_functions(model)
    except MALFORMED as problem:
        raise InputError("this is no ONNX model.") from problem
    if not model.graph.node:
        raise InputError("this is no ONNX model, or one without operators.")
    try:
        graph = _plain(model, folder, weights=weights)
        _fold(graph)
        _fuse(graph)
        _note_shared(graph)
    except MALFORMED as problem:
        raise InputError(f"the graph is malformed ({problem}).") from problem
    return graph


def _note_shared(graph: Graph) -> None:
    """Say which weights several layers read: here each layer has its own."""
    read = Counter(node.inputs[1] for node in graph.nodes if node.op in WEIGHTED)
    shared = [name for name, count in read.items() if count > 1]
    if shared:
        graph.notes.append(
            f"Several layers share {', '.join(shared[:3])}: here each has, counts and trains its "
            "own."
        )


def _text(name: Any) -> str:
    """Return a name; protobuf gives bytes for what is no UTF-8."""
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _plain(model: Any, folder: Path | None, *, weights: bool) -> Graph:
    """Return the graph with Python's values in it."""
    source = model.graph
    if not source.output:
        raise InputError("the graph names no output.")
    constants = {}
    for tensor in source.initializer:
        try:
            constants[_text(tensor.name)] = _stored(tensor, folder, weights=weights)
        except InputError:
            raise
        except MALFORMED as problem:
            raise InputError(f"the stored array {_text(tensor.name)} is malformed.") from problem
    inputs = [value for value in source.input if _text(value.name) not in constants]
    if not inputs:
        raise InputError("the graph has no input.")
    graph = Graph(
        nodes=list(_modern(source.node, constants)),
        constants=constants,
        inputs={
            _text(value.name): tuple(
                axis.dim_value if axis.dim_value > 0 else None
                for axis in value.type.tensor_type.shape.dim
            )
            for value in inputs
        },
        outputs=[_text(value.name) for value in source.output],
        opset=max(
            (s.version for s in model.opset_import if s.domain in {"", "ai.onnx"}), default=1
        ),
        texts={_text(entry.key): _text(entry.value) for entry in model.metadata_props},
    )
    folded = sum(_holds_batch_norm(node, model.producer_name) for node in source.node)
    if folded:
        layers = f"{folded} layers" if folded > 1 else "1 layer"
        graph.notes.append(
            f"The exporter folded batch norm into {layers}: parameters and operations are those of "
            "the folded network, without the norms."
        )
    return graph


def _holds_batch_norm(node: Any, producer: str) -> bool:
    """Tell whether PyTorch's exporters wrote a batch norm into the weights of this layer.

    The default one notes the rule by which it did; the classic one gives the new weights a number
    in place of the module's name.
    """
    if any("FuseBatchNorm" in _text(entry.value) for entry in node.metadata_props):
        return True
    if producer != "pytorch" or len(node.input) < 3:
        return False
    return all(re.fullmatch(r"onnx::Conv\w*_\d+", _text(name)) for name in node.input[1:3])


def _stored(tensor: Any, folder: Path | None, *, weights: bool) -> Array:
    """Return a stored array; floats of every width as float32.

    Without weights, large floats are zeros of no size in memory; whole numbers are sizes and axes.
    """
    from onnx import helper, numpy_helper

    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape, beside = tuple(tensor.dims), tensor.data_location == tensor.EXTERNAL
    if not weights and dtype.kind not in "iub" and (beside or prod(shape) > MAX_CALCULATED):
        return np.broadcast_to(np.zeros((), np.float32), shape)
    if beside:
        places = {entry.key: entry.value for entry in tensor.external_data}
        array = _beside(folder, tensor.name, places, dtype, shape)
    else:
        array = numpy_helper.to_array(tensor)
    return array if array.dtype.kind in "iub" else array.astype(np.float32, copy=False)


def _beside(
    folder: Path | None, name: str, places: Mapping[str, str], dtype: Any, shape: tuple[int, ...]
) -> Array:
    """Return an array from the file that the model names, which must lie in the same folder."""
    location = places.get("location", "")
    if folder is None or location in {"", ".."} or Path(location).name != location:
        raise InputError(
            f"the weights of {name} lie in the file {location[:80]!r}; only a file in the model's "
            "own folder is read."
        )
    path = folder / location
    try:
        offset, stored = int(places.get("offset", 0)), path.stat().st_size
        if path.is_symlink() or offset < 0 or offset + prod(shape) * dtype.itemsize > stored:
            raise InputError(f"the weights of {name} go beyond the {stored:,} bytes of {path}.")
        count = prod(shape)
        return np.fromfile(path, dtype, count, offset=offset).reshape(shape)
    except OSError as problem:
        raise InputError(
            f"the weights lie in {path}, which cannot be read: {problem.strerror}. Keep both files "
            "together."
        ) from problem


SETTINGS = {
    "Clip": ("min", "max"),
    "Dropout": ("ratio",),
    "Pad": ("pads", "value"),
    "Reshape": ("shape",),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Split": ("split",),
    "Upsample": ("scales",),
    **dict.fromkeys(
        ("Squeeze", "Unsqueeze", "ReduceMean", "ReduceSum", "ReduceL2", "ReduceMax"), ("axes",)
    ),
}
"""What older operator sets have as attributes and newer ones as inputs behind the first."""


def _modern(nodes: Iterable[Any], constants: dict[str, Array]) -> Iterator[Node]:
    """Yield nodes with Python's attributes; settings become inputs, as in the newest operators."""
    from onnx import helper

    for place, node in enumerate(nodes, 1):
        try:
            found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}
        except MALFORMED as problem:
            where = f"operator {place} {_text(node.op_type)}"
            raise InputError(f"{where}: it is malformed ({problem}).") from problem
        inputs = [_text(name) for name in node.input]
        for index, setting in enumerate(SETTINGS.get(node.op_type, ()), 1):
            if setting in attributes:
                name = f"{place}.{setting}"  # no two operators share it, and files number otherwise
                constants[name] = np.asarray(attributes.pop(setting))
                inputs += [""] * (index + 1 - len(inputs))
                inputs[index] = name
        yield Node(
            op=_text(node.op_type),
            inputs=tuple(inputs),
            outputs=tuple(_text(name) for name in node.output),
            attributes=attributes,
            place=place,
            name=_text(node.name)[:120],
            module=_module(node),
        )


def _module(node: Any) -> str:
    """Return the layer that a node comes from: by its weights, PyTorch's notes, or its path."""
    for name in map(_text, node.input):
        if name.endswith(".weight"):
            return name.removesuffix(".weight")
    for entry in node.metadata_props:
        if entry.key == "pkg.torch.onnx.name_scopes":
            scopes = re.findall(r"'([^']*)'", _text(entry.value))
            return scopes[-2] if len(scopes) > 1 else ""
    found = ""
    for part in _text(node.name).strip("/").split("/")[:-1]:  # /layer1/layer1.0/conv1/Conv
        found = part if part.startswith(f"{found}.") or not found else f"{found}.{part}"
    return found


MOVES = (
    "Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather",
    "GatherND",
)  # fmt: skip
"""Operators that move numbers and calculate none: on stored arrays, and on the cells of maps."""

FOLDS = {
    *MOVES, "Constant", "ConstantOfShape", "Cast", "CastLike", "Shape", "Size", "Concat", "Expand",
    "Tile", "Range", "Where", "Equal", "Less", "Greater", "Not", "And", "Or", "Mod", "Min", "Max",
    "Add", "Sub", "Mul", "Div", "Pow", "Neg", "Abs", "Sqrt", "Exp", "Log", "Reciprocal", "Floor",
    "Ceil", "ReduceSum", "ReduceProd", "ReduceMean", "ReduceL2", "ReduceMax", "ReduceMin",
}  # fmt: skip
"""Operators that are calculated at once where all they read is stored."""


def folded(node: Node, given: Sequence[Array | None]) -> Array:
    """Return what an operator of `FOLDS` makes of stored arrays, None for those left out.

    Raises:
        InputError: the result would be absurdly large.
    """
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    if _numbers(node.op, [part for part in given if part is not None]) > MAX_CELLS:
        raise InputError(f"{node.where}: it makes more than {MAX_CELLS:,} numbers.")
    names = ["" if part is None else f"x{index}" for index, part in enumerate(given)]
    made = helper.make_node(node.op, names, ["y"], **node.attributes)
    feeds = {name: part for name, part in zip(names, given, strict=True) if name}
    with np.errstate(all="ignore"):
        found = np.asarray(ReferenceEvaluator(made).run(None, feeds)[0])
    return found if found.dtype.kind in "iubf" else found.astype(np.float32)


def _numbers(op: str, given: list[Array]) -> float:
    """Return how many numbers an operator makes at most that may make more than it reads."""
    if op == "ConstantOfShape":
        return float(prod(map(int, given[0])))
    if op == "Range":
        start, stop, step = (float(np.ravel(part)[0]) for part in given)
        return float(abs((stop - start) / step))
    if op == "Expand":
        return float(prod(np.broadcast_shapes(given[0].shape, tuple(map(int, given[1])))))
    if op in {"Gather", "GatherND"}:
        return float(given[0].size * given[1].size // given[0].shape[0])
    if op == "Tile":
        return float(given[0].size * prod(map(int, given[1])))
    moves = op in {*MOVES, "Concat", "Shape", "Constant"} or op.startswith("Reduce")
    return 0 if moves else float(prod(np.broadcast_shapes(*(part.shape for part in given))))


def _fold(graph: Graph) -> None:
    """Calculate what depends on stored arrays alone, and read past operators that do nothing."""
    rest: list[Node] = []
    renamed: dict[str, str] = {}
    for given_node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in given_node.inputs)
        node = replace(given_node, inputs=inputs)
        constant = all(name in graph.constants for name in node.inputs if name)
        if constant and node.op in FOLDS and (node.inputs or node.op == "Constant"):
            given = [graph.constants[name] if name else None for name in node.inputs]
            try:
                graph.constants[node.outputs[0]] = folded(node, given)
            except MALFORMED as problem:
                raise InputError(f"{node.where}: it is malformed ({problem}).") from problem
        elif node.op in {"Identity", "Cast"} and node.inputs and node.outputs:
            renamed[node.outputs[0]] = node.inputs[0]
        else:
            rest.append(node)
    graph.nodes = rest
    graph.outputs = [renamed.get(name, name) for name in graph.outputs]


SPELLINGS = (
    *((SPELLED + kind, row.elsewhere.onnx.form) for kind, row in ACTIVATIONS.items()
      if row.elsewhere.onnx and row.elsewhere.onnx.form and not row.numbers),
    (SPELLED + "hardswish", "Mul(x, HardSigmoid(x, alpha=0.1666667, beta=0.5))"),
    (SPELLED + "hardswish", "Mul(x, Div(Clip(Add(x, 3), 0, 6), 6))"),
    (SPELLED + "hardsigmoid", "Div(Clip(Add(x, 3), 0, 6), 6)"),
    (SPELLED + "softplus", "Where(Greater(x, 20), x, Softplus(x))"),
    (SPELLED + "gelu", "Mul(Mul(x, 0.5), Add(Erf(Div(x, 1.4142136)), 1))"),
    (SPELLED + "gelu", "Mul(Mul(x, Add(Erf(Div(x, 1.4142136)), 1)), 0.5)"),
    (SPELLED + "gelu", "Mul(x, Mul(Add(Erf(Div(x, 1.4142136)), 1), 0.5))"),
    *(("LayerNormalization", "Add(Mul(Div(Sub(x, ReduceMean(x, axes)), Sqrt(Add(ReduceMean("
       f"{square}, axes), eps))), scale), shift)")
      for square in ("Pow(Sub(x, ReduceMean(x, axes)), 2)",
                     "Mul(Sub(x, ReduceMean(x, axes)), Sub(x, ReduceMean(x, axes)))")),
    *(("RMSNormalization", f"Mul({normal}, scale)")
      for square in ("Pow(x, 2)", "Mul(x, x)")
      for root in (f"Sqrt(Add(ReduceMean({square}, axes), eps))",)
      for normal in (f"Div(x, {root})", f"Mul(x, Reciprocal({root}))", f"Mul(x, Div(1, {root}))")),
    ("LpNormalization", "Div(x, Expand(Clip(ReduceL2(x, axes), _), _))"),
    ("LpNormalization", "Div(x, ReduceL2(x, axes))"),
    ("GroupNormalization", "Add(Mul(Reshape(InstanceNormalization(Reshape(x, _), ones, _), _), "
     "scale), shift)"),
)  # fmt: skip
"""One operator, and how exporters spell it in several; a name stands for one value, `_` for any."""

BOTH_WAYS = {"Add", "Mul"}

Bound = dict[str, str]


@cache
def _pattern(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _fuse(graph: Graph) -> None:
    """Write as one operator what is spelled in several; what nothing reads any more is left out.

    A growing concatenation reads the shorter one before it, as in DenseNet: blocks then nest.
    """
    made = {output: node for node in graph.nodes for output in node.outputs}
    needed, kept = {*graph.outputs}, []
    for node in reversed(graph.nodes):
        if needed.isdisjoint(node.outputs):
            continue
        found = next(filter(None, (_fused(graph, made, node, *row) for row in SPELLINGS)), node)
        kept.append(found)
        needed.update(found.inputs)
    graph.nodes = list(_nested(reversed(kept)))


def _nested(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield nodes; a concatenation that begins as an earlier one does reads that one."""
    joined: dict[tuple[str, ...], str] = {}
    for node in nodes:
        inputs = node.inputs
        if node.op != "Concat":
            yield node
            continue
        lengths = range(len(inputs) - 1, 1, -1)
        known = next((length for length in lengths if inputs[:length] in joined), 0)
        begin = (joined[inputs[:known]],) if known else ()
        joined.setdefault(inputs, node.outputs[0])
        yield replace(node, inputs=(*begin, *inputs[known:]))


def _fused(graph: Graph, made: dict[str, Node], node: Node, op: str, text: str) -> Node | None:
    """Return the one operator for which `node` ends the spelling `text`, if it does."""
    bound = _match(graph, made, _pattern(text), node.outputs[0], {})
    if bound is None or bound["x"] in graph.constants:
        return None
    stored = [bound[name] for name in ("scale", "shift") if name in bound]
    if not all(name in graph.constants for name in stored):
        return None
    settings: dict[str, Any] = {}
    if "axes" in bound:
        settings["axes"] = [int(axis) for axis in np.ravel(graph.constants[bound["axes"]])]
    if "eps" in bound:
        settings["epsilon"] = graph.constants[bound["eps"]].item()
    if "ones" in bound:
        behind = (n for n in _upwards(made, node) if n.op == "InstanceNormalization")
        inner = next(behind, None)  # a damaged graph may give one name twice
        if inner is None or not (graph.constants[bound["ones"]] == 1).all():
            return None
        settings = {"num_groups": graph.constants[bound["ones"]].size, **inner.attributes}
    return replace(node, op=op, inputs=(bound["x"], *stored), attributes=settings)


def _upwards(made: dict[str, Node], node: Node) -> Iterator[Node]:
    """Yield the operators behind a node, each once, those of its first input first."""
    waiting, seen = list(reversed(node.inputs)), set()
    while waiting:
        name = waiting.pop()
        if name in made and name not in seen:
            seen.add(name)
            yield made[name]
            waiting += reversed(made[name].inputs)


def _alike(graph: Graph, first: str, second: str) -> bool:
    """Tell whether two names stand for equal stored arrays."""
    stored = graph.constants
    both = first in stored and second in stored
    return both and np.array_equal(stored[first], stored[second])


def _match(
    graph: Graph, made: dict[str, Node], pattern: ast.expr, name: str, bound: Bound
) -> Bound | None:
    """Return what the names of a pattern stand for when it is to give the value `name`."""
    if isinstance(pattern, ast.Name):
        before = bound.get(pattern.id, name)
        fits = pattern.id == "_" or before == name or _alike(graph, before, name)
        return {**bound, pattern.id: name} if fits else None
    if isinstance(pattern, ast.Constant):
        array = graph.constants.get(name)
        fits = array is not None and array.size == 1 and abs(array.item() - pattern.value) < 1e-5
        return bound if fits else None
    node, call = made.get(name), pattern
    if not isinstance(call, ast.Call) or node is None or node.op != ast.unparse(call.func):
        return None
    if len(node.inputs) < len(call.args):
        return None
    defaults = {"alpha": 0.2, "beta": 0.5}  # of HardSigmoid, the one operator asked for them
    for setting in call.keywords:
        value = ast.literal_eval(setting.value)
        if abs(node.get(setting.arg or "", defaults[setting.arg or ""]) - value) > 1e-5:
            return None
    orders = [call.args] + ([call.args[::-1]] if node.op in BOTH_WAYS else [])
    for arguments in orders:
        found: Bound | None = bound
        for argument, given in zip(arguments, node.inputs, strict=False):
            found = found if found is None else _match(graph, made, argument, given, found)
        if found is not None:
            return found
    return None
