"""The ends of blocks: the sum, the stack and the product of branches."""

from __future__ import annotations

import numpy as np

from convcli.learn.arrays import Array
from convcli.learn.rules.base import JoinBackward


def add(branches: tuple[Array, ...]) -> tuple[Array, JoinBackward]:
    """The sum; each branch gets the whole gradient."""
    return sum(branches[1:], start=branches[0]), lambda dy: (dy,) * len(branches)


def concat(branches: tuple[Array, ...]) -> tuple[Array, JoinBackward]:
    """The channels one after the other; each branch gets its own back."""
    ends = np.cumsum([branch.shape[-1] for branch in branches])

    def backward(dy: Array) -> tuple[Array, ...]:
        return tuple(np.split(dy, ends[:-1], axis=-1))

    return np.concatenate(branches, axis=-1), backward


def multiply(branches: tuple[Array, ...]) -> tuple[Array, JoinBackward]:
    """The input times its gate, which is broadcast over missing or single axes."""
    data, gate = branches
    missing = data.ndim - gate.ndim
    spread = gate.reshape(len(gate), *(1,) * missing, *gate.shape[1:])

    def backward(dy: Array) -> tuple[Array, ...]:
        axes = tuple(a for a in range(1, dy.ndim) if spread.shape[a] == 1 < dy.shape[a])
        dgate = (dy * data).sum(axis=axes, keepdims=True).reshape(gate.shape)
        return dy * spread, dgate

    return data * spread, backward
