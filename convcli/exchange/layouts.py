"""How arrays lie in other programs: one line each, read in both directions, for any rank."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

AS_OURS = "... -> ..."


def theirs(array: Array, line: str = AS_OURS, rank: int = 0) -> Array:
    """Return an array of ours as another program has it.

    Args:
        array: ours.
        line: see `convcli.layers.elsewhere`.
        rank: axes of 1 that dots stand for which our array does not have.

    >>> theirs(np.zeros((5, 7, 3, 2)), "... c m -> (c m) 1 ...").shape
    (6, 1, 5, 7)
    >>> theirs(np.zeros(4), "c -> ... c", rank=2).shape
    (1, 1, 4)
    """
    before, _, after = line.partition(" -> ")
    return _turned(array, before, after, rank, {})


def ours(array: Array, line: str = AS_OURS, **sizes: int) -> Array:
    """Return an array of another program as ours; `sizes` are those of names in brackets.

    >>> ours(np.zeros((6, 1, 5, 7)), "... c m -> (c m) 1 ...", c=3).shape
    (5, 7, 3, 2)

    Raises:
        ValueError: it has other axes than the line.
    """
    after, _, before = line.partition(" -> ")
    return _turned(array, before, after, 0, sizes)


def _turned(array: Array, before: str, after: str, rank: int, sizes: dict[str, int]) -> Array:
    lengths = _lengths(array.shape, re.findall(r"\(.+?\)|\S+", before), sizes)
    dots = [name for name in lengths if name.startswith(".")]
    wanted = re.findall(r"\.+|\w+", after)
    kept = [name for word in wanted for name in (dots if word == "..." else [word])]
    order = [name for name in kept if name in lengths]
    parts = array.reshape([*lengths.values()])
    if gone := [number for number, name in enumerate(lengths) if name not in order]:
        parts = parts.squeeze(tuple(gone))
    left = [name for name in lengths if name in order]
    moved = parts.transpose([left.index(name) for name in order])
    shape: list[int] = []
    for word in re.findall(r"\(.+?\)|\S+", after):
        if word == "...":
            shape += [lengths[name] for name in dots] if dots else [1] * rank
        else:
            names = re.findall(r"[a-z]+", word)
            shape.append(int(np.prod([lengths[name] for name in names])) if names else 1)
    return moved.reshape(shape)


def _lengths(shape: Sequence[int], words: list[str], sizes: dict[str, int]) -> dict[str, int]:
    """Return axis name -> length, in order; a name in brackets has a length of its own."""
    spare = len(shape) - len(words) + ("..." in words)
    if spare < 0 or (spare and "..." not in words):
        raise ValueError(f"{len(shape)} axes, not {len(words)}")
    lengths: dict[str, int] = {}
    rest = list(shape)
    for word in words:
        if word == "...":
            lengths |= {f".{number}": rest.pop(0) for number in range(spare)}
        elif word == "1":
            if (length := rest.pop(0)) != 1:
                raise ValueError(f"{length} where 1 is expected")
        else:
            *known, last = re.findall(r"[a-z]+", word)
            length = rest.pop(0)
            for name in known:
                lengths[name] = sizes[name]
                if length % sizes[name]:
                    raise ValueError(f"{length} is no multiple of {sizes[name]}")
                length //= sizes[name]
            lengths[last] = length
    return lengths
