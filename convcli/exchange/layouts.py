"""How kernels lie in other programs: one line each, read in both directions, for any rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

CHANNELS_FIRST = {
    "conv": "o i ... <-> ... i o",
    "upconv": "i o ... <-> ... i o",
    "dwconv": "i o ... <-> ... i o",
    "dense": "o i <-> i o",
}
"""PyTorch's and ONNX's kernels, and ours; depthwise ones as (channels, multiplier, ...)."""


def ours(kind: str, theirs: Array) -> Array:
    """Return a kernel of PyTorch or ONNX as ours.

    >>> ours("conv", np.zeros((8, 3, 5, 7))).shape
    (5, 7, 3, 8)
    """
    left, _, right = CHANNELS_FIRST[kind].partition(" <-> ")
    return _turned(theirs, left, right)


def theirs(kind: str, ours: Array) -> Array:
    """Return a kernel of ours as PyTorch and ONNX have it.

    >>> theirs("upconv", np.zeros((5, 7, 3, 8))).shape
    (3, 8, 5, 7)
    """
    left, _, right = CHANNELS_FIRST[kind].partition(" <-> ")
    return _turned(ours, right, left)


def _turned(array: Array, before: str, after: str) -> Array:
    """Return a view of an array with its named axes in another order; ... are all others."""

    def axes(names: str) -> list[int]:
        places = {"i": [0], "o": [1], "...": [*range(2, array.ndim)]}
        return [axis for name in names.split() for axis in places[name]]

    return np.asarray(np.einsum(array, axes(before), axes(after)))
