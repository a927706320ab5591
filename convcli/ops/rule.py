"""What the families of layers share: a kind of layer, and what a rule in NumPy gets and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""float32 in training, float64 in gradient checks; samples first, channels last."""

Integers = NDArray[np.int64]
"""Labels, places and indices."""

Weights = dict[str, Array]
"""A layer's arrays by their names on paper: kernel, bias, scale, shift."""

Backward = Callable[[Array], tuple[Array, Weights]]
"""dY -> (dX, gradients of the weights)."""

JoinBackward = Callable[[Array], tuple[Array, ...]]
"""dY -> the gradient of every branch."""


class Kind(NamedTuple):
    """One kind of layer.

    Attributes:
        numpy: `(layer, weights, x, context) -> y, backward`; of a join `(branches) -> y, backward`.
        lower: `(program, step, *sources) -> tensor`: appends instructions, forward and backward.
    """

    numpy: Callable[..., tuple[Array, Any]]
    lower: Callable[..., Any]


@dataclass
class Context:
    """What a rule may know besides its input.

    Attributes:
        training: whether dropout drops and batch norm uses the batch's statistics.
        buffers: this layer's running statistics; batch norm replaces them in training.
        layer_index: the step's number, for dropout.
        seed: of the dropout masks.
        step: number of the training step, for dropout.
    """

    training: bool = False
    buffers: Weights = field(default_factory=dict)
    layer_index: int = 0
    seed: int = 0
    step: int = 0


def cells(x: Array) -> Array:
    """Return `x` as (samples x cells, channels).

    >>> cells(np.zeros((2, 5, 6, 3))).shape
    (60, 3)
    """
    return x.reshape(-1, x.shape[-1])


def spatial_axes(x: Array) -> tuple[int, ...]:
    """Return the axes between the samples and the channels.

    >>> spatial_axes(np.zeros((2, 5, 6, 3)))
    (1, 2)
    """
    return tuple(range(1, x.ndim - 1))


def add_bias(y: Array, weights: Weights) -> Array:
    return y + weights["bias"] if "bias" in weights else y


def bias_grad(dy: Array, weights: Weights) -> Weights:
    return {"bias": dy.sum(axis=(0, *spatial_axes(dy)))} if "bias" in weights else {}
