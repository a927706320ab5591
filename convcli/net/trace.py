"""The one forward fold: a network becomes steps in the order of execution, with every figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from convcli.errors import InputError, UsageError, did_you_mean
from convcli.geometry import AxisMap
from convcli.layers.activation import activation_flops
from convcli.layers.base import (
    KINDS,
    MAX_EXTENT,
    Join,
    Layer,
    Shape,
    ShapeError,
    elements,
    shape_text,
)
from convcli.layers.join import MAX_DEPTH, Add, Block, Branch, From, Multiply, Repeat
from convcli.layers.rearrange import Crop, Input
from convcli.net.field import POINT, AxisField, effective_fields, union
from convcli.net.words import layer_text
from convcli.values import NotebookRepr

if TYPE_CHECKING:
    from convcli.net.value import Network

MAX_STEPS = 20_000
"""Rows of one network; the deepest preset has about 500."""

BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
"""Bytes of one number by dtype."""

GATED = (
    "The gates of scale see the whole input; receptive fields behind them are those of the maps "
    "they weigh."
)

Fields = tuple[AxisField, ...] | None
"""One field per spatial axis; None: every cell sees the whole input."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row: a layer at its place, with its figures for one sample (bytes: for the batch)."""

    index: int
    """From 1, in the order of execution; 0 is the network's input."""
    name: str
    op: str
    layer: Layer
    sources: tuple[int, ...]
    """Indices of the steps it reads; 0 is the network's input."""
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    activation: str | None
    weights: dict[str, Shape]
    """Learnable arrays: name to shape."""
    buffer_shapes: dict[str, Shape]
    """Running statistics: name to shape."""
    params: int
    trainable: int
    buffers: int
    macs: int
    flops: int
    flops_breakdown: dict[str, int]
    """Operations by kind, see `convcli.layers.base.KINDS`; they sum to `flops`."""
    activation_bytes: int
    fields: Fields
    receptive_field: tuple[int, ...]
    """Input cells per axis that one output cell can see, not clipped; the largest."""
    receptive_field_min: tuple[int, ...]
    """The same for the output cell that sees least; differs behind enlargements alone."""
    stride: tuple[int | float | None, ...] | None
    """Input cells per axis from one output cell to the next; None where all see everything."""
    padding: tuple[int | None, ...] | None
    """Cells per axis by which the first field begins before the input."""
    reads: tuple[AxisMap, ...] | None
    """What each axis reads: () cell by cell, None everything; see `Layer.reads`."""
    aligned: bool = True
    """Whether the branches it joins are centered on the same input cells."""


class Totals(NamedTuple):
    """Sums over all steps; `non_trainable` is frozen parameters and buffers."""

    params: int
    trainable: int
    non_trainable: int
    buffers: int
    macs: int
    flops: int
    flops_breakdown: dict[str, int]
    activation_bytes: int
    weight_bytes: int
    receptive_field: tuple[int, ...]
    receptive_field_min: tuple[int, ...]
    stride: tuple[int | float | None, ...] | None
    padding: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Trace(NotebookRepr):
    """A network executed on paper: its steps, their totals, and what deserves a remark."""

    network: Network
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    batch: int = 1
    dtype: str = "float32"

    def __repr__(self) -> str:
        network, ends = self.network, (self.network.input_shape, self.output_shape)
        counted = f"{len(self.steps)} steps, {self.totals.params:,} parameters"
        return f"Trace({network.name!r}, {' -> '.join(map(shape_text, ends))}, {counted})"

    @property
    def output_shape(self) -> Shape:
        """Shape of the last step's output."""
        return self.steps[-1].output_shape if self.steps else self.network.input_shape

    @property
    def inputs(self) -> dict[str, Shape]:
        """The shapes of all inputs by name; the first is called input."""
        more = {step.name: step.output_shape for step in self.steps if not step.sources}
        return {"input": self.network.input_shape, **more}

    @property
    def outputs(self) -> tuple[Step, ...]:
        """The steps that no other one reads; a chain of blocks has one, the last."""
        return _unread(self.steps)

    def step(self, which: int | str) -> Step:
        """Return a step by index or name.

        Raises:
            UsageError: there is no such step; names the nearest.
        """
        for step in self.steps:
            if which in {step.index, step.name, str(step.index)}:
                return step
        names = [step.name for step in self.steps]
        raise UsageError(
            f"There is no layer {which!r}; they are 1 to {len(names)}, or by name."
            f"{did_you_mean(str(which), names)}"
        )

    @cached_property
    def effective_fields(self) -> tuple[tuple[float, ...] | None, ...]:
        """How many input cells each step mostly depends on; see `effective_fields`."""
        return effective_fields(self)

    @cached_property
    def totals(self) -> Totals:
        """The sums, and the field of the last spatial layer."""
        steps = self.steps
        sums: dict[str, Any] = {
            name: sum(getattr(step, name) for step in steps)
            for name in ("params", "trainable", "buffers", "macs", "flops", "activation_bytes")
        }
        breakdown = dict.fromkeys(KINDS, 0)
        for step in steps:
            for kind, flops in step.flops_breakdown.items():
                breakdown[kind] += flops
        last = next((step for step in reversed(steps) if _has_places(step)), None)
        return Totals(
            **sums,
            non_trainable=sums["params"] - sums["trainable"] + sums["buffers"],
            flops_breakdown=breakdown,
            weight_bytes=sums["params"] * BYTES[self.dtype],
            **_seen(last.fields if last else None, self.network.input_shape),
        )


def follow(
    network: Network, *, batch: int = 1, dtype: str = "float32", freeze: tuple[str, ...] = ()
) -> Trace:
    """Return the steps of a network in the order of execution; see `Network.trace`."""
    if dtype not in BYTES:
        raise UsageError(f"dtype {dtype!r} is unknown. Use one of {', '.join(BYTES)}.")
    if batch < 1:
        raise UsageError(f"A batch of {batch} holds nothing. Use at least 1.")
    fold = _Fold(network, batch * BYTES[dtype], freeze)
    if fold.branch(network.layers, 0, _Scope(""), 0) != len(fold.steps):
        raise InputError("The network ends with a `from`. Write the layers that go on from there.")
    fold.check_patterns()
    if more := [step for step in fold.steps if not step.sources]:
        told = ", ".join(f"{step.name} {shape_text(step.output_shape)}" for step in more)
        fold.notes.append(
            f"Beside its first input the network has {told}. Receptive fields are those on the "
            f"first input; layers that come from another one alone show theirs on it."
        )
    if len(ends := _unread(fold.steps)) > 1:
        told = ", ".join(f"{step.name} {shape_text(step.output_shape)}" for step in ends)
        fold.notes.append(f"The network has {len(ends)} outputs: {told}.")
    return Trace(network, tuple(fold.steps), tuple(fold.notes), batch, dtype)


def partial_trace(
    network: Network, accept: Callable[[Step], bool] | None = None
) -> tuple[tuple[Step, ...], InputError | None]:
    """Return the steps up to the first layer that does not fit, and what is wrong with it.

    With `accept` a step for which it is false ends the walk too.

    >>> from convcli.net import parse_notation
    >>> steps, problem = partial_trace(parse_notation("input 5x5x1, conv 4 3, maxpool 7"))
    >>> len(steps), str(problem)[:34]
    (1, 'layer 2 maxpool1 `maxpool 7`: wind')
    """
    fold = _Fold(network, BYTES["float32"], ())
    fold.accept = accept
    problem = None
    try:
        fold.branch(network.layers, 0, _Scope(""), 0)
    except InputError as found:
        problem = found
    return tuple(fold.steps), problem


class _Scope:
    """Running numbers of the names inside one block; a layer with a name of its own counts too."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.counts: dict[str, int] = {}

    def name(self, op: str) -> str:
        self.counts[op] = number = self.counts.get(op, 0) + 1
        return f"{self.prefix}{op}{number}"


class _Fold:
    def __init__(self, network: Network, cell_bytes: int, freeze: tuple[str, ...]) -> None:
        self.cell_bytes = cell_bytes
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.points: dict[str, int] = {"input": 0}
        """Names of layers and blocks -> the step that `from` goes on from."""
        self.beside: set[int] = set()
        """Steps that depend on other inputs than the first alone."""
        self.given = set(_names(network.layers))
        """Names that are written; running numbers pass them over."""
        self.accept: Callable[[Step], bool] | None = None
        self.unmatched = dict.fromkeys(freeze)
        self.freeze = freeze
        self.figures: dict[tuple[int, tuple[Shape, ...]], dict[str, Any]] = {}
        """What a layer costs on one input; the same layer on the same input costs the same."""
        self.input_shape = network.input_shape
        rank = len(network.input_shape) - 1
        self.input_fields: Fields = (POINT,) * rank if rank else None
        if rank == 1 and network.input_shape[0] == network.input_shape[1]:
            size = shape_text(network.input_shape)
            self.notes.append(
                f"input {size} is a series of {network.input_shape[0]} steps with "
                f"{network.input_shape[1]} channels; a gray picture is {size}x1."
            )

    def shape_of(self, index: int) -> Shape:
        return self.steps[index - 1].output_shape if index else self.input_shape

    def fields_of(self, index: int) -> Fields:
        return self.steps[index - 1].fields if index else self.input_fields

    def strides_apart(self, one: int, other: int) -> tuple[float, ...]:
        """Return how many cells of `other` lie between two of `one`, on each axis; () unknown."""
        pairs = zip(self.fields_of(one) or (), self.fields_of(other) or (), strict=False)
        return tuple(
            a.advance * len(b.spans) / (b.advance * len(a.spans)) if b.advance else 1.0
            for a, b in pairs
        )

    def branch(self, branch: Branch, source: int, scope: _Scope, depth: int) -> int:
        """Follow layers one after the other from step `source`; return the last step's index."""
        if depth > MAX_DEPTH:
            raise InputError(f"Blocks are nested more than {MAX_DEPTH} deep. Use fewer.")
        for layer in branch:
            if isinstance(layer, Layer):
                source = self.add(layer, () if layer.is_source else (source,), scope)
            elif isinstance(layer, From):
                if layer.point not in self.points:
                    hint = did_you_mean(layer.point, self.points)
                    raise InputError(
                        f"from {layer.point}: no layer before it has this name.{hint} Name one: "
                        f"{layer.point}: conv 16 3"
                    )
                source = self.points[layer.point]
            elif isinstance(layer, Repeat):
                for _ in range(layer.count):
                    source = self.branch(layer.body, source, scope, depth + 1)
            else:
                source = self.block(layer, source, scope, depth + 1)
        return source

    def block(self, block: Block, source: int, scope: _Scope, depth: int) -> int:
        numbered = scope.name(block.op)
        inner = _Scope(f"{block.name or numbered}.")
        crops = [_fitting_crop(part) for part in block.joined]
        ends = [
            self.branch(part[:-1] if crop else part, source, inner, depth)
            for part, crop in zip(block.joined, crops, strict=True)
        ]
        shapes = [self.shape_of(end) for end in ends]
        others = [shape for shape, crop in zip(shapes, crops, strict=True) if not crop] or shapes
        extents = tuple(map(min, zip(*(shape[:-1] for shape in others), strict=False)))
        for place, crop in enumerate(crops):
            if crop:
                ends[place] = self.add(
                    self.fitted(crop, shapes[place], extents), (ends[place],), inner
                )
        end = self.add(block.join, tuple(ends), inner)
        self.points.setdefault(inner.prefix[:-1], end)
        return end

    def add(self, layer: Layer, sources: tuple[int, ...], scope: _Scope) -> int:
        """Append the step of one layer and return its index."""
        index = len(self.steps) + 1
        if index > MAX_STEPS:
            raise InputError(f"The network has more than {MAX_STEPS:,} layers. Repeat less.")
        numbered = scope.name(layer.row_op)
        while not layer.name and numbered in self.given:
            numbered = scope.name(layer.row_op)
        name = layer.name or numbered
        shapes = tuple(self.shape_of(source) for source in sources)
        if isinstance(layer, Input):
            shapes = (layer.shape,)
        try:
            if isinstance(layer, Add) and (apart := self.strides_apart(*sources)):
                layer.check_strides(shapes, apart)
            figures = self.figures_of(layer, shapes)
            if name in self.points:
                raise ShapeError(
                    f"the name {name} is taken. Use another, and none inside a repeat."
                )
            fields, aligned = self.fields_after(layer, figures, sources)
        except ShapeError as problem:
            raise InputError(f"layer {index} {name} `{layer_text(layer)}`: {problem}") from None
        self.points[name] = index
        if self.beside.issuperset(sources):
            self.beside.add(index)
        step = Step(
            index=index,
            name=name,
            sources=sources,
            input_shapes=shapes,
            trainable=0 if self.freeze and self.frozen(name) else figures["params"],
            fields=fields,
            aligned=aligned,
            **figures,
            **_seen(fields, self.input_shape),
        )
        self.steps.append(step)
        self.remark(step)
        if self.accept and not self.accept(step):
            raise InputError(f"layer {index} {name} is not accepted.")
        return index

    def fitted(self, crop: Crop, shape: Shape, extents: Shape) -> Crop:
        try:
            return crop.onto(shape, extents)
        except ShapeError as problem:
            raise InputError(f"behind layer {len(self.steps)}: {problem}") from None

    def figures_of(self, layer: Layer, shapes: tuple[Shape, ...]) -> dict[str, Any]:
        """Return the fields of a `Step` that the layer and its inputs decide."""
        key = (id(layer), shapes)
        if key in self.figures:
            return self.figures[key]
        if isinstance(layer, Join):
            out = layer.joined_shape(shapes)
            work = layer.joined_flops(shapes)
        else:
            layer = _at_rank(layer, shapes[0]).fitted(shapes[0])
            out = layer.output_shape(shapes[0])
            work = layer.flops(shapes[0])
        if max(out) > MAX_EXTENT:
            raise ShapeError(
                f"its output {shape_text(out)} is absurdly large; {MAX_EXTENT:,} per axis is the "
                f"limit. Use a smaller input or factor."
            )
        activation = getattr(layer, "activation", None)
        if activation is not None:
            work["activation"] = activation_flops(activation, out)
        weights, buffers = layer.weights(shapes[0]), layer.buffers(shapes[0])
        self.figures[key] = figures = {
            "op": layer.row_op,
            "layer": layer,
            "activation": activation,
            "output_shape": out,
            "weights": weights,
            "buffer_shapes": buffers,
            "params": sum(map(elements, weights.values())),
            "buffers": sum(map(elements, buffers.values())),
            "macs": layer.macs(shapes[0]),
            "flops_breakdown": work,
            "flops": sum(work.values()),
            "activation_bytes": elements(out) * self.cell_bytes,
            "reads": layer.reads(shapes[0]),
        }
        return figures

    def fields_after(
        self, layer: Layer, figures: dict[str, Any], sources: tuple[int, ...]
    ) -> tuple[Fields, bool]:
        """Return the receptive fields of the output, and whether joined branches are aligned."""
        reads = figures["reads"]
        if isinstance(layer, Join):
            own = [source for source in sources if source not in self.beside]
            branches = [self.fields_of(source) for source in own or sources]
            known = [fields for fields in branches if fields is not None]
            gated = isinstance(layer, Multiply) and branches[0]  # by whole maps: `remark` says so
            if len(known) < len(branches) and not gated:
                return None, True
            merged = [
                union([fields[axis] for fields in known], extent)
                for axis, extent in enumerate(figures["output_shape"][:-1])
            ]
            return _all_known([field for field, _ in merged]), all(fine for _, fine in merged)
        if not sources:
            return (POINT,) * (len(figures["output_shape"]) - 1) or None, True
        before = self.fields_of(sources[0])
        if reads is None or before is None:
            return None, True
        if not reads:
            return before, True
        pairs = zip(before, reads, strict=True)
        return _all_known([field.through(axis) for field, axis in pairs]), True

    def frozen(self, name: str) -> bool:
        matching = [pattern for pattern in self.freeze if fnmatchcase(name, pattern)]
        for pattern in matching:
            self.unmatched.pop(pattern, None)
        return bool(matching)

    def check_patterns(self) -> None:
        for pattern in self.unmatched:
            hint = did_you_mean(pattern, self.points)
            raise UsageError(
                f"The pattern {pattern!r} matches no layer.{hint} Names are like "
                f"{', '.join(step.name for step in self.steps[:3])}; * stands for anything."
            )

    def remark(self, step: Step) -> None:
        """Note what is allowed and yet often a mistake."""
        if step.op == "dense" and len(step.output_shape) > 1:
            self.notes.append(
                f"layer {step.index} {step.name} works on the channels of each cell of the map "
                f"{shape_text(step.input_shapes[0])}. Put `flatten` before it if that is not meant."
            )
        gates = step.sources[1:] if isinstance(step.layer, Multiply) and step.fields else ()
        if None in map(self.fields_of, gates):
            self.notes = [note for note in self.notes if note != GATED] + [GATED]
        if not step.aligned:
            self.notes.append(
                f"layer {step.index} {step.name} joins branches whose receptive fields are not "
                f"centered on the same input cells."
            )


def check_single(trace: Trace, what: str) -> None:
    """Refuse a network with several inputs or outputs.

    Args:
        trace: the network.
        what: what needs one of both, as a sentence's end with the way out.

    Raises:
        InputError: names them.
    """
    for kind, names in (("inputs", [*trace.inputs]), ("outputs", [s.name for s in trace.outputs])):
        if len(names) > 1:
            raise InputError(
                f"{trace.network.name} has {len(names)} {kind} ({', '.join(names)}), and {what}"
            )


def _fitting_crop(part: Branch) -> Crop | None:
    """Return the crop without cells at the end of a branch."""
    last = part[-1] if part else None
    return last if isinstance(last, Crop) and not last.cells else None


def _names(branch: Branch) -> Iterator[str]:
    for item in branch:
        if item.name:
            yield item.name
        if isinstance(item, Block):
            for part in item.parts:
                yield from _names(part)


def _unread(steps: Sequence[Step]) -> tuple[Step, ...]:
    read = {source for step in steps for source in step.sources}
    return tuple(step for step in steps if step.index not in read)


def _at_rank(layer: Layer, shape: Shape) -> Layer:
    """Return the layer with its sizes spelled out for the axes of its input, which errors name."""
    try:
        return layer.at_rank(len(shape) - 1)
    except ShapeError as problem:
        raise ShapeError(f"{problem} Its input is {shape_text(shape)}.") from None


def _has_places(step: Step) -> bool:
    """Return whether cells of the output lie at places of the input, or all see all of it."""
    return step.stride is not None or elements(step.output_shape[:-1]) > 1


def _all_known(fields: list[AxisField | None]) -> Fields:
    known = [field for field in fields if field is not None]
    return tuple(known) if len(known) == len(fields) else None


def _seen(fields: Fields, input_shape: Shape) -> dict[str, Any]:
    """Return what receptive fields say per axis; without any, every cell sees the whole input."""
    if not fields:
        whole = input_shape[:-1] or input_shape
        return {"receptive_field": whole, "receptive_field_min": whole,
                "stride": None, "padding": None}  # fmt: skip
    return {
        "receptive_field": tuple([field.size for field in fields]),
        "receptive_field_min": tuple([field.smallest for field in fields]),
        "stride": tuple([field.stride for field in fields]),
        "padding": tuple([field.padding for field in fields]),
    }
