"""Where the cells of our maps stand in ONNX' tensors, and the layers that put them elsewhere.

Our maps are channels last, ONNX' channels first; exporters turn, flatten and cut them as they
please. A `Value` therefore carries an array in the tensor's own shape that says which cell of ours
stands in each place. Whatever moves numbers moves these; whoever needs an order asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from convcli.errors import InputError
from convcli.exchange.onnx_graph import MAX_CELLS, Array, Node, folded
from convcli.layers import LSTM, ChannelShuffle, Crop, Flatten, Layer, Reshape
from convcli.layers.base import Join, Shape

Arrays = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor on its way: which of our layers made it, that layer's shape, and the order."""

    node: str
    shape: Shape
    order: Array | None = None
    """Which of our cells stands where, in the tensor's shape with a batch of one; None: channels
    first, or the row as it is."""
    batch: int = 0
    """The axis of the samples."""

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


@dataclass
class Layers:
    """Our layers so far, by a key of their own."""

    made: dict[str, Made] = field(default_factory=dict)
    where: str = ""
    """The operator that is being read."""

    def add(self, layer: Layer, *sources: Value, arrays: Arrays | None = None) -> Value:
        """Add a layer behind `sources` and return its output in our order."""
        layer = layer.at_rank(len(sources[0].shape) - 1)
        shapes = tuple(source.shape for source in sources)
        if isinstance(layer, Join):
            shape = layer.joined_shape(shapes)
        else:
            shape = layer.output_shape(shapes[0])
        key = str(len(self.made) + 1)
        self.made[key] = Made(layer, sources, arrays or {}, self.where)
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
        """Return a value for some of the cells: a part of the map, or the last step of a series."""
        made, whole = self.made.get(value.node), value.flat.reshape(value.shape)
        if made and isinstance(made.layer, LSTM) and np.array_equal(cells.ravel(), whole[-1]):
            last = replace(made.layer, sequence=False)
            final = self.add(last, made.sources[0], arrays=made.arrays)
            return self._shaped(final, cells.shape)
        if cells.ndim == whole.ndim > 1 and cells.size:
            begin = np.unravel_index(cells.flat[0], whole.shape)
            cut = whole[tuple(slice(b, b + n) for b, n in zip(begin, cells.shape, strict=True))]
            if begin[-1] == 0 and cells.shape[-1] == whole.shape[-1] and np.array_equal(cut, cells):
                ends = zip(whole.shape, begin, cells.shape, strict=True)
                crop = tuple((int(b), size - int(b) - n) for size, b, n in ends)[:-1]
                return self.add(Crop(crop), Value(value.node, value.shape))
        raise InputError(
            "it reads numbers in an order, or a part of them, that no layer of the notation gives."
        )


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
    kept = batch is not None and cells.shape[batch : batch + 1] == (1,)
    if node.op in {"Reshape", "Flatten"}:
        kept = kept and prod(cells.shape[:batch]) == prod(value.theirs[:batch])
    if batch is None or not kept:
        raise InputError(f"it mixes samples: from {value.theirs} to {cells.shape}.")
    return Value(value.node, value.shape, cells, batch)


def _batch_after(node: Node, value: Value, constants: list[Array | None]) -> int | None:
    """Return the axis that an operator puts the samples on, None where it mixes them."""
    batch, rank = value.batch, len(value.theirs)
    if node.op in {"Reshape", "Flatten"}:
        return batch
    if node.op == "Gather" and constants[0] is not None:
        axis = node.get("axis", 0) % rank
        return None if axis == batch else batch + (axis < batch) * (constants[0].ndim - 1)
    sizes = [1] * rank if node.op == "Squeeze" else [3] * rank
    sizes[batch] = 2
    after = folded(node, [np.zeros(sizes), *constants]).shape
    return after.index(2) if after.count(2) == 1 else None
