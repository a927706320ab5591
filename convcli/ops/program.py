"""A program in the making: instructions over buffers, and tensors with their gradients.

A layer's rule appends instructions; they name buffers, not addresses. Where each buffer finally
lies is decided when all are known, see `layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from convcli.engine.calls import Base, Operands, Operation, each_sample
from convcli.engine.tile import RELUS
from convcli.net.trace import Step, Trace
from convcli.ops.folding import Folding
from convcli.ops.rule import Array

LINE = 16
"""Arrays begin on cache lines, 16 float32; the gaps are zeros and stay zeros."""

LEAST_FRAME = 14
"""Cells of a line from which on it is a product of its own at no cost."""

Three = tuple[int, int, int]


@dataclass(frozen=True)
class Slot:
    """One array in the flat vector that optimizers step."""

    offset: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers."""
        return prod(self.shape)


def slots(arrays: Mapping[str, tuple[int, ...]]) -> tuple[dict[str, Slot], int]:
    """Return each array's slot, in order, and the length of the vector that holds all.

    >>> slots({"a": (3, 2), "b": (4,)})
    ({'a': Slot(offset=0, shape=(3, 2)), 'b': Slot(offset=16, shape=(4,))}, 32)
    """
    found, offset = {}, 0
    for name, shape in arrays.items():
        found[name] = Slot(offset, shape)
        offset += lines(prod(shape))
    return found, offset


def parameter_shapes(trace: Trace) -> dict[str, tuple[int, ...]]:
    """Return `step.weight` -> shape of everything that is learned."""
    return {
        f"{step.name}.{name}": shape for step in trace.steps for name, shape in step.weights.items()
    }


def views(places: Mapping[str, Slot], flat: Array) -> dict[str, Array]:
    """Return each array as a view on the flat vector."""
    return {
        name: flat[slot.offset : slot.offset + slot.size].reshape(slot.shape)
        for name, slot in places.items()
    }


@each_sample(Operands("to", "size"))
def clear(o):
    """Write zeros."""
    for i in range(o.size):
        o.to[i] = 0.0


@each_sample(
    Operands(
        "to source",
        "run outer outer_to outer_from middle middle_to middle_from inner inner_to inner_from add",
    )
)
def copy(o):
    """Copy runs of numbers in three loops, or add them to what is there."""
    for i in range(o.outer):
        for j in range(o.middle):
            for k in range(o.inner):
                to = i * o.outer_to + j * o.middle_to + k * o.inner_to
                at = i * o.outer_from + j * o.middle_from + k * o.inner_from
                if o.add:
                    for n in range(o.run):
                        o.to[to + n] += o.source[at + n]
                else:
                    for n in range(o.run):
                        o.to[to + n] = o.source[at + n]


@dataclass(eq=False)
class Buffer:
    """`size` float32 of one sample, or of the program where `base` is given.

    A `pinned` buffer is neither shared nor moved: its untouched cells stay the zeros they began as.
    """

    size: int
    base: Base | None = None
    offset: int = 0
    pinned: bool = False


@dataclass(frozen=True)
class Address:
    """A place inside a buffer."""

    buffer: Buffer
    offset: int = 0

    def after(self, count: int) -> Address:
        return Address(self.buffer, self.offset + count)


Operand = Address | int | tuple[int, ...]


@dataclass(frozen=True)
class Map:
    """A map of depth x height x width cells with `channels` numbers each.

    `line` and `plane` are the numbers from one row to the next and from one depth to the next.
    """

    address: Address
    depth: int
    height: int
    width: int
    channels: int
    line: int
    plane: int

    @staticmethod
    def whole(address: Address, shape: tuple[int, ...]) -> Map:
        """Return the map of a whole tensor; missing axes have one cell."""
        depth, height, width = three(shape[:-1], 1)
        line = width * shape[-1]
        return Map(address, depth, height, width, shape[-1], line, height * line)

    @property
    def extent(self) -> Three:
        return self.depth, self.height, self.width

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return *self.extent, self.channels

    @property
    def cells(self) -> int:
        return prod(self.extent)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def inside(self, before: Three, extent: Three) -> Map:
        """Return the part of `extent` cells that begins at `before`."""
        offset = before[0] * self.plane + before[1] * self.line + before[2] * self.channels
        return Map(self.address.after(offset), *extent, self.channels, self.line, self.plane)


def three(numbers: tuple[int, ...], fill: int) -> Three:
    """Return per-axis numbers for depth, height and width.

    >>> three((3,), 1)
    (1, 1, 3)
    """
    d, h, w = (fill,) * (3 - len(numbers)) + tuple(numbers)
    return d, h, w


@dataclass(eq=False)
class MaxPooled:
    """The max-pooling behind a convolution: its tensor, its choices, its disjoint windows."""

    tensor: Tensor
    choice: Address
    pitch: int
    window: tuple[int, int]


@dataclass(eq=False)
class Tensor:
    """What a step computes, and the loss's gradient with respect to it."""

    shape: tuple[int, ...]
    address: Address
    needs_grad: bool
    grad: Address | None = None
    activated: bool = False
    """Whether what wrote it has applied the layer's own activation."""
    relu_fused: bool = False
    """A ReLU whose gradient the following pooling applies."""
    sparse_grad_ok: bool = False
    """Whether its layer can read its gradient as a list, see `sparse_conv_backward`."""
    pooled: MaxPooled | None = None
    """A max-pooling that leaves its backward to the convolution before it."""
    used_extent: Three | None = None
    """Cells that the only consumer reads, from the first; None: all."""
    frame: Map | None = None
    """The zeros around it that the only consumer reads, which it lies in from the beginning."""

    @property
    def size(self) -> int:
        """Numbers of one sample."""
        return prod(self.shape)

    @property
    def map(self) -> Map:
        """The tensor as a map, as far as it is used."""
        return self.used(self.address)

    def used(self, address: Address) -> Map:
        """What is used of this tensor, or of its gradient at `address`."""
        whole = Map.whole(address, self.shape)
        if self.frame:
            return replace(whole, line=self.frame.line, plane=self.frame.plane)
        return whole.inside((0, 0, 0), self.used_extent) if self.used_extent else whole


@dataclass(frozen=True)
class Instruction:
    """One operation with its operands, in the order in which it reads them."""

    operation: Operation
    operands: tuple[Operand, ...]
    per_sample: bool

    @staticmethod
    def of(
        operation: Operation, named: Mapping[str, Operand], *, per_sample: bool = False
    ) -> Instruction:
        wanted = operation.operands.names
        if named.keys() != set(wanted):
            raise TypeError(
                f"{operation.function.__name__} takes {', '.join(wanted)}; got {', '.join(named)}"
            )
        return Instruction(operation, tuple(named[name] for name in wanted), per_sample)

    @property
    def buffers(self) -> list[Buffer]:
        """The buffers it touches."""
        return [part.buffer for part in self.operands if isinstance(part, Address)]


@dataclass
class Phase:
    """Instructions that run over all shards, then those that run once when all have finished."""

    body: list[Instruction] = field(default_factory=list)
    after: list[Instruction] = field(default_factory=list)


class Program:
    """Collects instructions.

    Attributes:
        prepare: instructions that run once a batch, before all others.
        last: instructions that run once a batch, after all others.
        constants: what the shared memory begins with: offset and numbers.
        panels: right side of products, its rows, columns and step -> where it is laid out anew.
    """

    def __init__(self) -> None:
        self.training = True
        self.phases = [Phase()]
        self.prepare: list[Instruction] = []
        self.last: list[Instruction] = []
        self.constants: list[tuple[int, np.ndarray]] = []
        self.shared = 0
        self.shard_sums = LINE
        self._frames: dict[tuple[object, ...], Map] = {}
        self.panels: dict[tuple[Address, int, int, int], Address] = {}

    @property
    def operations(self) -> set[Operation]:
        """What its instructions call."""
        parts = [self.prepare, self.last]
        parts += [part for phase in self.phases for part in (phase.body, phase.after)]
        return {instruction.operation for part in parts for instruction in part}

    def buffer(self, size: int, *, pinned: bool = False) -> Address:
        """Return a new place for `size` numbers of each sample."""
        return Address(Buffer(size, pinned=pinned))

    def map(self, shape: tuple[int, ...], *, pinned: bool = False) -> Map:
        """Return a new map."""
        return Map.whole(self.buffer(prod(shape), pinned=pinned), shape)

    def frame(self, shape: tuple[int, ...], before: Three, extent: Three, use: int = 0) -> Map:
        """Return a map whose cells around `extent` are zeros; what is inside is soon overwritten.

        It must be filled before each use: whoever asks for the same frame gets the same memory.
        """
        key = (shape, before, extent, use)
        if key not in self._frames:
            self._frames[key] = self.map(shape, pinned=True)
        return self._frames[key]

    def shared_buffer(self, size: int) -> Address:
        """Return a place in the memory that all samples of a batch share."""
        offset, self.shared = self.shared, self.shared + lines(size)
        return Address(Buffer(size, Base.SHARED, offset))

    def constant(self, numbers: Sequence[float] | np.ndarray) -> Address:
        """Return a shared place that begins with `numbers`."""
        address = self.shared_buffer(len(numbers))
        self.constants.append((address.buffer.offset, np.asarray(numbers, np.float32)))
        return address

    def zeros(self, count: int) -> Address:
        """Return that many zeros to start a product from."""
        return self.constant(np.zeros(count))

    def shard_buffer(self, size: int) -> Address:
        """Return a place among the sums of each shard."""
        offset, self.shard_sums = self.shard_sums, self.shard_sums + lines(size)
        return Address(Buffer(size, Base.SHARD, offset))

    def sample(self, operation: Operation, **operands: Operand) -> None:
        """Append an instruction that runs sample by sample with its neighbors."""
        self.phases[-1].body.append(Instruction.of(operation, operands, per_sample=True))

    def chunk(self, operation: Operation, **operands: Operand) -> None:
        """Append an instruction that runs on all samples of a chunk at once."""
        self.phases[-1].body.append(Instruction.of(operation, operands))

    def once(self, operation: Operation, **operands: Operand) -> None:
        """Append an instruction that runs once a batch before all others."""
        self.prepare.append(Instruction.of(operation, operands))

    def finish(self, operation: Operation, **operands: Operand) -> None:
        """Append an instruction that runs once a batch after all others."""
        self.last.append(Instruction.of(operation, operands))

    def barrier(self, operation: Operation, **operands: Operand) -> None:
        """End the phase: `operation` runs once, when every shard has come this far."""
        self.phases[-1].after.append(Instruction.of(operation, operands))
        self.phases.append(Phase())

    def clear(self, to: Address, size: int) -> None:
        self.sample(clear, to=to, size=size)

    def copy(
        self, to: Address, source: Address, run: int, *loops: Three, add: bool = False
    ) -> None:
        """Copy runs of numbers in up to three loops of (count, jump of `to`, jump of `source`)."""
        outer, middle, inner, *_ = (*loops, (1, 0, 0), (1, 0, 0), (1, 0, 0))
        self.sample(
            copy, to=to, source=source, run=run, add=int(add),
            outer=outer[0], outer_to=outer[1], outer_from=outer[2],
            middle=middle[0], middle_to=middle[1], middle_from=middle[2],
            inner=inner[0], inner_to=inner[1], inner_from=inner[2],
        )  # fmt: skip

    def copy_axes(self, to: Address, source: Address, axes: Sequence[Three]) -> None:
        """Copy cells along any number of axes of (count, jump of `to`, jump of `source`)."""
        longest = sorted(axes, key=lambda axis: axis[0])
        rest, loops = longest[:-3], longest[-3:]
        for place in np.ndindex(*(count for count, _, _ in rest)):
            there = sum(at * jump for at, (_, jump, _) in zip(place, rest, strict=True))
            here = sum(at * jump for at, (_, _, jump) in zip(place, rest, strict=True))
            self.copy(to.after(there), source.after(here), 1, *loops)

    def copy_map(self, to: Map, source: Map) -> None:
        """Copy one map's cells to another of the same extents."""
        run, rows = to.width * to.channels, (to.height, to.line, source.line)
        if (to.line, source.line) == (run, run):
            run, rows = run * to.height, (1, 0, 0)
        self.copy(to.address, source.address, run, (to.depth, to.plane, source.plane), rows)


class ProgramBuilder(Program):
    """The program of one network; each step's rule appends to it.

    Attributes:
        tensors: step index -> what it computes; 0 is the input.
        training: whether dropout drops and batch norm uses the batch's statistics.
        statistics: running statistic -> its place in the shared memory.
        folded: array of `folding` -> its place in the shared memory.
        scaling: place of the factor and summand of the samples.
        loss_constants: see `convcli.ops.losses`.
    """

    def __init__(
        self,
        trace: Trace,
        slots: Mapping[str, Slot],
        *,
        training: bool,
        frozen: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.trace, self.slots = trace, slots
        self.training, self.frozen = training, frozen
        self.tensors: dict[int, Tensor] = {}
        self.statistics: dict[str, Address] = {}
        self.folding = Folding(trace)
        self.folded: dict[str, Address] = {}
        self.scaling = self.constant([1.0, 0.0])
        self.loss_constants = self.zeros(3)
        self._tape: list[Iterator[Tensor]] = []
        self._readers: dict[int, list[Step]] = {}
        for step in trace.steps:
            for source in step.sources:
                self._readers.setdefault(source, []).append(step)

    def fold(self, folding: Folding) -> None:
        """Read folded arrays instead of the network's own."""
        self.folding = folding
        for name, shape in folding.arrays.items():
            self.folded[name] = self.shared_buffer(prod(shape))

    def weight(self, step: Step, name: str) -> Address:
        """Return the place of a parameter, or of what was folded into it."""
        key = f"{step.name}.{name}"
        if key in self.folded:
            return self.folded[key]
        slot = self.slots[key]
        return Address(Buffer(slot.size, Base.PARAMETERS, slot.offset))

    def bias(self, step: Step, size: int) -> Address:
        """Return the step's bias, or zeros."""
        return self.weight(step, "bias") if "bias" in step.weights else self.zeros(size)

    def weight_grad(self, step: Step, name: str) -> Address:
        """Return the place of a parameter's gradient in the shard."""
        slot = self.slots[f"{step.name}.{name}"]
        return Address(Buffer(slot.size, Base.GRADIENT, slot.offset))

    def learns(self, step: Step) -> bool:
        """Tell whether the step has parameters that are not frozen."""
        return self.training and bool(step.weights) and step.name not in self.frozen

    def statistic(self, step: Step, name: str) -> Address:
        """Return the place of a running statistic, in the shared memory."""
        key = f"{step.name}.{name}"
        if key not in self.statistics:
            self.statistics[key] = self.shared_buffer(prod(step.buffer_shapes[name]))
        return self.statistics[key]

    def tensor(self, step: Step, *sources: Tensor, honors_extent: bool = False) -> Tensor:
        """Return a fresh tensor for what the step computes.

        A rule that `honors_extent` writes and reads the tensor and its gradient as maps, which end
        where the only consumer stops reading; all others get the whole tensor.
        """
        needs = self.learns(step) or any(source.needs_grad for source in sources)
        tensor = Tensor(step.output_shape, self.buffer(prod(step.output_shape)), needs)
        if honors_extent:
            tensor.used_extent = self._used_extent(step)
            self._put_in_frame(step, tensor, sources)
        return tensor

    def _put_in_frame(self, step: Step, tensor: Tensor, sources: Sequence[Tensor]) -> None:
        """Let the tensor be written among the zeros that a convolution right behind it reads."""
        reader = self.only_reader(step)
        if self.training or reader is None or reader.index != step.index + 1:
            return
        layer, framed = reader.layer, reader.op in {"conv", "dwconv", "sepconv"}
        if (
            not framed
            or getattr(layer, "multiplier", 1) > 1
            or step.activation not in {None, *RELUS}
        ):
            return
        axes = layer.windows(step.output_shape)  # type: ignore[attr-defined]  # it has windows
        before = three(tuple(axis.before for axis in axes), 0)
        after = three(tuple(axis.after for axis in axes), 0)
        extent = tensor.map.extent
        if not any((*before, *after)) or extent[2] < LEAST_FRAME:
            return
        d, h, w = (sum(sizes) for sizes in zip(before, extent, after, strict=True))
        read = [source.frame.address for source in sources if source.frame]
        for use in (1, 2):  # not the one that the step itself reads
            frame = self.frame((d, h, w, tensor.shape[-1]), before, extent, use)
            if frame.address not in read:
                tensor.frame, tensor.address = frame, frame.inside(before, extent).address
                return

    def _used_extent(self, step: Step) -> Three | None:
        """Return how many cells the only reader, a pooling without padding, reads of each axis."""
        reader = self.only_reader(step)
        windows = getattr(reader.layer, "windows", None) if reader else None
        if reader is None or reader.op not in {"maxpool", "avgpool"} or windows is None:
            return None
        axes = windows(step.output_shape)
        if any(axis.before or axis.after for axis in axes):
            return None
        sizes = zip(axes, step.output_shape, reader.output_shape, strict=False)
        read = (
            min(size, (count - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1)
            for axis, size, count in sizes
        )
        return three(tuple(read), 1)

    def only_reader(self, step: Step) -> Step | None:
        """Return the one step that reads this one, or None; an output is read by the caller too."""
        readers = self._readers.get(step.index, [])
        alone = len(readers) == 1 and step.index not in self.folding.outputs
        return readers[0] if alone else None

    def follow(self, rule: Iterator[Tensor]) -> Tensor:
        """Run a rule up to its tensor; what comes after is its backward half."""
        tensor = next(rule)
        self._tape.append(rule)
        return tensor

    def backward(self) -> None:
        """Append the backward halves, last layer first."""
        while self._tape:
            next(self._tape.pop(), None)

    def grad_of(self, tensor: Tensor) -> Address:
        """Return the complete gradient of a tensor; zeros when nothing reads it."""
        if tensor.grad is None:
            tensor.grad = self.buffer(tensor.size)
            self.clear(tensor.grad, tensor.size)
        return tensor.grad

    def grad_map(self, tensor: Tensor) -> Map:
        """Return the gradient as a map, as far as the tensor is used."""
        return tensor.used(self.grad_of(tensor))

    def accumulate_grad(self, tensor: Tensor, write: Callable[[Address], None]) -> None:
        """Let `write` append what writes a gradient of `tensor`; later ones are added up."""
        if not tensor.needs_grad:
            return
        if tensor.grad is None:
            tensor.grad = self.buffer(tensor.size)
            write(tensor.grad)
            return
        part = self.buffer(tensor.size)
        write(part)
        self.copy(tensor.grad, part, tensor.size, add=True)

    def grad_through(self, step: Step, x: Tensor, write: Callable[[Address], None]) -> None:
        """Let `write` append what gives the gradients of `x` and of the step's parameters, in one.

        That of `x` is thrown away where only the parameters learn.
        """
        if x.needs_grad:
            self.accumulate_grad(x, write)
        elif self.learns(step):
            write(self.buffer(x.size))


def lines(size: int) -> int:
    """Return `size` rounded up to whole cache lines."""
    return -(-size // LINE) * LINE
