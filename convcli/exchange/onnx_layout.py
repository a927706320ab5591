"""Where the cells of our maps stand in ONNX' tensors, and the layers that put them elsewhere.

Our maps are channels last, ONNX' channels first; exporters turn, flatten and cut them as they
please. A `Value` therefore carries an array in the tensor's own shape that says which cell of ours
stands in each place. Whatever moves numbers moves these; whoever needs an order asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import permutations
from math import prod

import numpy as np

from convcli.errors import InputError
from convcli.exchange.onnx_graph import MAX_CELLS, Array, Node, folded
from convcli.layers import (
    GRU,
    LSTM,
    ChannelShuffle,
    Crop,
    Flatten,
    Layer,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    Reshape,
    Slice,
)  # fmt: skip
from convcli.layers.base import Join, Shape

Arrays = dict[str, Array]

ONE_ROW = -1
"""For the axis of the samples: their cells stand one after the other in a single row."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor on its way: which of our layers made it, that layer's shape, and the order."""

    node: str
    shape: Shape
    order: Array | None = None
    """Which of our cells stands where, in the tensor's shape with a batch of one; None: channels
    first, or the row as it is."""
    batch: int = 0
    """The axis of the samples, or `ONE_ROW`."""

    @property
    def theirs(self) -> Shape:
        """The tensor's shape, with a batch of one."""
        first = (1, self.shape[-1], *self.shape[:-1])
        return first if self.order is None else self.order.shape

    @property
    def cells(self) -> Array:
        """The order, spelled out."""
        if self.order is not None:
            return self.order
        if prod(self.shape) > MAX_CELLS:
            raise InputError(f"its input has more than {MAX_CELLS:,} cells, too many to reorder.")
        return np.moveaxis(self.flat.reshape(self.shape), -1, 0)[np.newaxis]

    @property
    def flat(self) -> Array:
        """The numbers of our cells, in our order."""
        return np.arange(prod(self.shape))

    def channels(self, axis: int) -> Array | None:
        """Return which channel of ours each place along an axis is; None if it is no channel axis.

        >>> Value("conv1", (2, 2, 3)).channels(1).tolist()
        [0, 1, 2]
        """
        count = self.shape[-1]
        if self.order is None and axis in {1, 1 - len(self.theirs)}:
            return np.arange(count)
        if self.theirs[axis] != count:
            return None
        rows = np.moveaxis(self.cells, axis, 0).reshape(count, -1) % count
        found: Array = rows[:, 0]
        fits = (rows == found[:, np.newaxis]).all() and len({*found.tolist()}) == count
        return found if fits else None


@dataclass
class Made:
    """One of our layers with its arrays, and the layers it reads."""

    layer: Layer
    sources: tuple[Value, ...]
    arrays: Arrays = field(default_factory=dict)
    where: str = ""
    module: str = ""


@dataclass
class Layers:
    """Our layers so far, by a key of their own."""

    made: dict[str, Made] = field(default_factory=dict)
    where: str = ""
    module: str = ""
    """The operator that is being read, and the layer that the file has it from."""

    def add(self, layer: Layer, *sources: Value, arrays: Arrays | None = None) -> Value:
        """Add a layer behind `sources` and return its output in our order."""
        layer = layer.at_rank(len(sources[0].shape) - 1)
        shapes = tuple(source.shape for source in sources)
        if isinstance(layer, Join):
            shape = layer.joined_shape(shapes)
        else:
            shape = layer.output_shape(shapes[0])
        key = str(len(self.made) + 1)
        self.made[key] = Made(layer, sources, arrays or {}, self.where, self.module)
        return Value(key, shape)

    def cellwise(self, layer: Layer, source: Value, arrays: Arrays | None = None) -> Value:
        """Add a layer that leaves every cell in its place."""
        return replace(source, node=self.add(layer, source, arrays=arrays).node)

    def flat(self, value: Value) -> Value:
        """Return a value whose layer is a row; the tensor's order stays."""
        if len(value.shape) == 1:
            return value
        return replace(self.add(Flatten(), value), order=value.cells, batch=value.batch)

    def as_map(self, value: Value) -> Value:
        """Return a value in our order whose tensor is a channels-first map."""
        if value.order is None and len(value.shape) > 1:
            return value
        if len(value.theirs) < 3 or value.batch or value.theirs[0] != 1:
            raise InputError(f"its input has the axes {value.theirs}, which are no map.")
        return self.arranged(value, np.moveaxis(value.cells[0], 0, -1))

    def settled(self, value: Value) -> Value:
        """Return a value in our order before a part of it is taken, where it is a map."""
        whole = value.order is not None and value.order.size == prod(value.shape)
        if not whole or value.batch or len(value.theirs) < 3 or value.channels(1) is None:
            return value
        try:
            return self.as_map(value)
        except InputError:
            return value  # perhaps the part alone can be said

    def as_row(self, value: Value) -> Value:
        """Return a value in our order whose tensor is a row."""
        if value.order is None and len(value.shape) == 1:
            return value
        return self.arranged(value, value.cells.ravel())

    def arranged(self, value: Value, cells: Array) -> Value:
        """Return a value whose layer gives the cells of `value` in the order and shape wanted.

        Raises:
            InputError: no layer of the notation does that.
        """
        wanted, flat = cells.ravel(), value.flat
        if np.array_equal(wanted, flat):
            return self._shaped(value, cells.shape)
        groups = self._dealt(cells[(0,) * (cells.ndim - 1)], value.shape[-1])
        if cells.shape == value.shape and groups:
            dealt = flat.reshape(-1, groups, cells.shape[-1] // groups).swapaxes(1, 2)
            if np.array_equal(wanted, dealt.ravel()):
                return self.add(ChannelShuffle(groups), Value(value.node, value.shape))
        groups = self._dealt(wanted, len(flat))
        if groups and np.array_equal(wanted, flat.reshape(groups, -1).T.ravel()):
            row = self.add(ChannelShuffle(groups), self._shaped(value, (len(flat),)))
            return self._shaped(row, cells.shape)
        return self._part(value, cells)

    def _shaped(self, value: Value, shape: Shape) -> Value:
        if shape == value.shape:
            return Value(value.node, shape)
        layer: Layer = Flatten() if len(shape) == 1 else Reshape(shape)
        return self.add(layer, Value(value.node, value.shape))

    @staticmethod
    def _dealt(order: Array, count: int) -> int:
        """Return in how many groups cells in this order were dealt out, 0 where they were not."""
        if len(order) != count or count < 4 or order[0] != 0:
            return 0
        size = int(order[1])
        return count // size if 1 < size < count and count % size == 0 else 0

    def _part(self, value: Value, cells: Array) -> Value:
        """Return a value for some of the cells, or all in another order, as one layer gives them.

        The last step of a series, a part of a map or of its channels, turned axes, and space that
        became channels.
        """
        made, whole = self.made.get(value.node), value.flat.reshape(value.shape)
        ours = Value(value.node, value.shape)
        if made and np.array_equal(cells.ravel(), whole[-1]):
            layer = made.layer
            if isinstance(layer, LSTM | GRU) and not layer.bidirectional:
                last = self.add(replace(layer, sequence=False), *made.sources, arrays=made.arrays)
                self.made[last.node].module = made.module
                return self._shaped(last, cells.shape)
        if cells.ndim == whole.ndim and cells.size:
            begin = [int(n) for n in np.unravel_index(cells.flat[0], whole.shape)]
            ends = [first + count for first, count in zip(begin, cells.shape, strict=True)]
            if np.array_equal(whole[tuple(map(slice, begin, ends))], cells):
                if ends[-1] - begin[-1] < whole.shape[-1]:
                    ours = self.add(Slice((begin[-1], ends[-1])), ours)
                rest = zip(whole.shape[:-1], begin, ends, strict=False)
                crop = tuple((first, size - end) for size, first, end in rest)
                return self.add(Crop(crop), ours) if any(map(any, crop)) else ours
            for order in permutations(range(whole.ndim)):
                if np.array_equal(whole.transpose(order), cells):
                    return self.add(Permute(order), ours)
        factor = max(1, whole.shape[0] // max(1, cells.shape[0]))
        parted = _unshuffled(whole, factor)
        if parted is not None and np.array_equal(parted, cells):
            return self.add(PixelUnshuffle(factor), ours)
        factor = max(1, cells.shape[0] // whole.shape[0])
        parted = _unshuffled(cells, factor)  # of what was shuffled, the cells stand as they stood
        if parted is not None and np.array_equal(parted, whole):
            return self.add(PixelShuffle(factor), ours)
        raise InputError(
            "it reads numbers in an order, or a part of them, that no layer of the notation gives."
        )


def _unshuffled(cells: Array, factor: int) -> Array | None:
    """Return cells as a `PixelUnshuffle` puts them, None where it does not fit."""
    *spatial, channels = cells.shape
    if factor == 1 or any(size % factor for size in spatial):
        return None
    parted = cells.reshape([n for size in spatial for n in (size // factor, factor)] + [channels])
    rank = len(spatial)
    order = [*range(0, 2 * rank, 2), 2 * rank, *range(1, 2 * rank, 2)]
    return parted.transpose(order).reshape(*(size // factor for size in spatial), -1)


def moved(node: Node, value: Value, constants: list[Array | None], samples: int = 1) -> Value:
    """Return what an operator of `MOVES` makes of a value: the same layer in another order.

    Raises:
        InputError: it mixes the samples of a batch.
    """
    if node.op == "Squeeze" and not any(part is not None for part in constants):
        sizes = enumerate(value.theirs)
        constants = [np.array([axis for axis, n in sizes if n == 1 and axis != value.batch], int)]
    batch = _batch_after(node, value, constants)
    if node.op == "Reshape" and samples > 1 and constants[0] is not None:
        target = constants[0].copy()  # an exporter wrote its own batch in
        target[value.batch : value.batch + 1][target[value.batch : value.batch + 1] == samples] = 1
        constants = [target]
    cells = folded(node, [value.cells, *constants])
    if node.op == "Reshape" and cells.ndim == 1 and not value.batch and len(value.theirs) > 1:
        return Value(value.node, value.shape, cells, ONE_ROW)
    kept = batch is not None and cells.shape[batch : batch + 1] == (1,)
    if node.op in {"Reshape", "Flatten"}:
        kept = kept and prod(cells.shape[:batch]) == prod(value.theirs[:batch])
    if batch is None or not kept:
        raise InputError(f"it mixes samples: from {value.theirs} to {cells.shape}.")
    return Value(value.node, value.shape, cells, batch)


def parted_samples(value: Value, one: Array | None, two: Array | None) -> Value:
    """Return samples that stood in a row on an axis of their own again.

    Args:
        value: the row.
        one: which cells are read for a single sample,
        two: and which for two.

    Raises:
        InputError: what is read is no sample after the other.
    """
    count = value.cells.size
    if one is None or two is None or one.shape[:1] != (1,) or two.shape[:1] != (2,):
        raise InputError("its input mixes samples: they stand in one row.")
    if not (np.array_equal(two[0], one[0]) and np.array_equal(two[1], one[0] + count)):
        raise InputError("it mixes samples that stand in one row.")
    return Value(value.node, value.shape, value.cells[one])


def _batch_after(node: Node, value: Value, constants: list[Array | None]) -> int | None:
    """Return the axis that an operator puts the samples on, None where it mixes them.

    Two samples are sent through it, each of its own number.
    """
    if node.op in {"Reshape", "Flatten"}:
        return value.batch
    sizes = [*value.theirs]
    sizes[value.batch] = 2
    numbers = np.arange(2).reshape([-1 if n == value.batch else 1 for n in range(len(sizes))])
    after = folded(node, [np.broadcast_to(numbers, sizes), *constants])
    for axis, size in enumerate(after.shape):
        first = np.moveaxis(after, axis, 0)
        if size == 2 and not first[0].any() and first[1].all():
            return axis
    return None
