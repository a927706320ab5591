"""What a rule is: forward returns its own backward, which kept exactly what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from convcli.learn.arrays import Array

Weights = dict[str, Array]
"""A layer's arrays by their names on paper: kernel, bias, scale, shift."""

Backward = Callable[[Array], tuple[Array, Weights]]
"""dY -> (dX, gradients of the weights)."""

JoinBackward = Callable[[Array], tuple[Array, ...]]
"""dY -> the gradient of every branch."""


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

    >>> import numpy as np
    >>> cells(np.zeros((2, 5, 6, 3))).shape
    (60, 3)
    """
    return x.reshape(-1, x.shape[-1])


def spatial_axes(x: Array) -> tuple[int, ...]:
    """Return the axes between the samples and the channels.

    >>> import numpy as np
    >>> spatial_axes(np.zeros((2, 5, 6, 3)))
    (1, 2)
    """
    return tuple(range(1, x.ndim - 1))
