"""A network is a value: an input shape and layers, compared and hashed like a number."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from convcli.layers.base import MAX_EXTENT, Layer, Shape, ShapeError, shape_text
from convcli.layers.join import MAX_DEPTH, Block, Branch, From, Scale
from convcli.net.dialects import in_dialect
from convcli.net.trace import Trace, follow
from convcli.values import NotebookRepr, Value


@dataclass(slots=True, eq=False, repr=False)
class Network(NotebookRepr, Value):
    """Layers in order, and the shape of one sample: channels last, no batch.

    Sizes given once for all axes are spelled out on construction, so that equivalent descriptions
    are equal values. The name is a label and no part of the value.

    >>> from convcli.layers import Conv
    >>> Network((28, 28, 1), (Conv(16, (3,)),)).layers[0].kernel
    (3, 3)
    """

    input_shape: Shape
    layers: Branch
    name: str = field(default="network", compare=False)

    def __repr__(self) -> str:
        layers = "1 layer" if len(self.layers) == 1 else f"{len(self.layers)} layers"
        return f"Network({self.name!r}, {shape_text(self.input_shape)}, {layers})"

    def __post_init__(self) -> None:
        check_input(self.input_shape)
        rank = len(self.input_shape) - 1
        spelled, _ = _Ranks(rank).branch(self.layers, rank, 0)
        object.__setattr__(self, "layers", spelled)

    def trace(
        self,
        *,
        dialect: str | None = None,
        batch: int = 1,
        dtype: str = "float32",
        freeze: tuple[str, ...] = (),
    ) -> Trace:
        """Return every step in the order of execution, blocks flattened depth first.

        Args:
            dialect: `torch`, `keras` or `onnx`: their own rules where they differ from the
                notation's.
            batch: samples at a time; only `activation_bytes` grows with it.
            dtype: of weights and activations: float64, float32, float16, bfloat16 or int8.
            freeze: patterns of names (`conv*`) whose parameters are not trained.

        >>> from convcli.net import parse_notation
        >>> steps = parse_notation("input 28x28x1, conv 16 3 relu, maxpool 2").trace().steps
        >>> [(step.name, step.output_shape, step.params) for step in steps]
        [('conv1', (26, 26, 16), 160), ('maxpool1', (13, 13, 16), 0)]

        Raises:
            InputError: a layer does not fit; names the layer, the shapes and the smallest edit.
            UsageError: unknown dialect, dtype or batch, or a pattern that matches no name.
        """
        network = self if dialect is None else in_dialect(self, dialect)
        return follow(network, batch=batch, dtype=dtype, freeze=freeze)

    def with_input(self, input_shape: Shape) -> Network:
        """Return the same layers on another input."""
        return replace(self, input_shape=input_shape)


def check_input(shape: Shape) -> None:
    """Refuse an input that is no vector, series, picture or volume.

    Raises:
        ShapeError: wrong number of axes, or an axis that is empty or absurdly long.
    """
    if not 1 <= len(shape) <= 4:
        raise ShapeError(
            f"input {shape_text(shape)} has {len(shape)} axes. "
            f"Write HxWxC, LxC for a series, DxHxWxC for a volume or N for a vector."
        )
    if min(shape) < 1 or max(shape) > MAX_EXTENT:
        raise ShapeError(
            f"input {shape_text(shape)} is out of range. Use 1 to {MAX_EXTENT:,} per axis."
        )


class _Ranks:
    """The number of spatial axes behind every layer, to spell out the sizes of each.

    A layer that does not suit its rank stays as it is; the trace says so with its place.
    """

    def __init__(self, rank: int) -> None:
        self.named = {"input": rank}

    def branch(self, branch: Branch, rank: int, depth: int) -> tuple[Branch, int]:
        if depth > MAX_DEPTH:
            raise ShapeError(f"blocks are nested more than {MAX_DEPTH} deep. Use fewer.")
        done: list[Layer | Block] = []
        for item in branch:
            if isinstance(item, Layer):
                spelled, rank = self.layer(item, rank)
                done.append(spelled)
            else:
                block, rank = self.block(item, rank, depth + 1)
                done.append(block)
            if item.name:
                self.named[item.name] = rank
        return tuple(done), rank

    def layer(self, layer: Layer, rank: int) -> tuple[Layer, int]:
        try:
            spelled = layer.at_rank(rank)
            return spelled, spelled.output_rank(rank)
        except ShapeError:
            return layer, rank

    def block(self, block: Block, rank: int, depth: int) -> tuple[Block, int]:
        if isinstance(block, From):
            return block, self.named.get(block.point, rank)
        spelled = [self.branch(part, rank, depth) for part in block.parts]
        after = rank if isinstance(block, Scale) else spelled[0][1]
        return block.with_parts(tuple(branch for branch, _ in spelled)), after
