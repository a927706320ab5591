"""Why convolution at all: what is shifted stays itself, and neighbors count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.engine.correlation import correlate
from convcli.errors import InputError

Map = NDArray[np.float64]

NETWORKS = {
    "MLP": "input 28x28x1, flatten, dense 64 relu, dense 10 softmax",
    "CNN": "mnist",
}
"""Who learns plain and permuted digits."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What a picture, and the same picture shifted, are at one place of a network.

    Attributes:
        name: of the place.
        plain: of the picture.
        shifted: of the shifted picture.
        shift: by which the first has to move to become the second.
    """

    name: str
    plain: Map
    shifted: Map
    shift: tuple[int, int] = (0, 0)

    @property
    def changed(self) -> float:
        """The mean change of a cell, as a share of the mean cell."""
        return _share(self.plain, self.shifted)

    @property
    def moved_back(self) -> float:
        """The same once the shift is undone."""
        return _share(self.plain, np.roll(self.shifted, [-n for n in self.shift], (0, 1)))


def _share(one: Map, other: Map) -> float:
    return float(np.abs(one - other).mean() / (np.abs(one).mean() or 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """A picture and its map, each plain and shifted, and both pooled."""

    stages: tuple[Stage, ...]
    shift: tuple[int, int]
    kernel_size: tuple[int, int]
    pool: int


def translation(
    picture: NDArray[Any],
    kernel: tuple[str, Sequence[Sequence[float]]],
    shift: tuple[int, int],
    pool: int,
) -> Translation:
    """Return what a shift does to a picture, its rectified map, and the maximum of its cells.

    >>> found = translation(np.eye(8), ("edges", [[1, 0, -1]] * 3), (1, 2), 2)
    >>> [stage.moved_back for stage in found.stages[:2]], found.stages[-1].changed
    ([0.0, 0.0], 0.0)

    Args:
        picture: (H, W); it goes on from the other side at its borders.
        kernel: its name and its rows.
        shift: rows down, columns to the right.
        pool: side of the windows whose maximum is kept.
    """
    name, rows = kernel
    if min(picture.shape) < pool:
        raise InputError(
            f"The picture is {picture.shape[0]}x{picture.shape[1]}, the pooling window "
            f"{pool}x{pool}. Take a smaller one with --pool."
        )
    weights = np.array(rows, np.float64)
    both = [np.asarray(picture, np.float64)]
    both.append(np.roll(both[0], shift, (0, 1)))
    maps = [np.maximum(correlate(one, weights, mode="wrap", engine="numpy"), 0) for one in both]
    height, width = (size // pool for size in picture.shape)
    pooled = [
        one[: height * pool, : width * pool].reshape(height, pool, width, pool).max((1, 3))
        for one in maps
    ]
    stages = (
        Stage("picture", both[0], both[1], shift),
        Stage(f"{name}, relu", maps[0], maps[1], shift),
        Stage(f"maxpool {pool}", pooled[0], pooled[1]),
        Stage("gmp, the maximum of all", maps[0].max(keepdims=True), maps[1].max(keepdims=True)),
    )
    return Translation(stages, shift, weights.shape[:2], pool)


@dataclass(frozen=True, slots=True)
class Learner:
    """How well a network learned digits, and digits whose pixels all changed places alike."""

    name: str
    params: int
    plain: float
    permuted: float


def permuted(data: Any, seed: int) -> Any:
    """Return a data set of pictures with all pixels in another order, the same for all.

    It is a `Dataset` that comes and goes; this room knows that one by its fields alone.
    """
    shape = data.sample_shape
    order = np.random.default_rng(seed).permutation(int(np.prod(shape)))

    def moved(split: Any) -> Any:
        flat = split.samples.reshape(len(split), -1)
        stored = np.ascontiguousarray(flat[:, order]).reshape(-1, *shape)
        return replace(split, stored=stored, rows=None)

    return replace(data, train=moved(data.train), test=moved(data.test))
