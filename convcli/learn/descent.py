"""One step of gradient descent: an optimizer's settings become arithmetic on the flat weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from convcli.learn.optimizers import Optimizer

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """A run of neighboring weights that are treated alike.

    Attributes:
        start: index of the first in the flat vector.
        stop: index after the last.
        decays: weight decay applies; it does to kernels and matrices, not to biases and norms.
        lr_factor: the learning rate is multiplied by this (discriminative rates, Howard and Ruder
            2018).
    """

    start: int
    stop: int
    decays: bool
    lr_factor: float = 1.0


def apply_step(
    optimizer: Optimizer,
    engine: ModuleType,
    weights: Vector,
    gradient: Vector,
    memory: npt.NDArray[np.float32],
    spans: Sequence[Span],
    *,
    lr: float,
    count: int,
    clip: float | None = None,
) -> float | None:
    """Take one optimizer step on the weights of `spans`; all others stay as they are.

    Args:
        optimizer: its settings.
        engine: `convcli.engine.optimize` or its reference.
        weights: all weights of the model, (N,); changed in place.
        gradient: mean gradient of the batch, (N,).
        memory: (slots_per_weight, N), zero before the first step; changed in place.
        spans: which weights take part.
        lr: learning rate.
        count: steps taken, this one included.
        clip: longest allowed gradient (its Euclidean norm over `spans`), or None.

    Returns:
        The norm before clipping, or None where nothing was to be clipped.
    """
    norm, scale = None, 1.0
    if clip is not None:
        norm = sum(engine.squared_norm(gradient[span.start : span.stop]) for span in spans) ** 0.5
        scale = min(1.0, clip / (norm + 1e-6))
    formula = getattr(engine, optimizer.formula)
    for span in spans:
        part = slice(span.start, span.stop)
        decay = optimizer.weight_decay if span.decays else 0.0
        numbers = optimizer.arguments(lr * span.lr_factor, decay, scale, count)
        formula(
            weights[part],
            gradient[part],
            *memory[:, part],
            *(number if isinstance(number, int) else np.float32(number) for number in numbers),
        )
    return norm
