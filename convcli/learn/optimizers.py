"""Optimizers: frozen figures and one step each; the arithmetic runs in the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from convcli.learn.choices import read_choice

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """A run of neighboring weights that are treated alike.

    Attributes:
        start: index of the first in the flat vector.
        stop: index after the last.
        decays: weight decay applies; it does to kernels and matrices, not to biases and norms.
        rate_factor: the schedule's rate is multiplied by this (discriminative rates, Howard and
            Ruder 2018).
    """

    start: int
    stop: int
    decays: bool
    rate_factor: float = 1.0


class Optimizer(Protocol):
    """What the loop asks of an optimizer."""

    slots_per_weight: ClassVar[int]
    """Numbers remembered for each weight."""
    default_rate: ClassVar[float]
    """The learning rate when none was chosen."""

    @property
    def weight_decay(self) -> float:
        """Share of a weight that joins its gradient (or, decoupled, leaves the weight)."""
        ...

    def step(
        self,
        engine: ModuleType,
        weights: Vector,
        gradient: Vector,
        memory: npt.NDArray[np.float32],
        *,
        rate: float,
        decay: float,
        scale: float,
        count: int,
    ) -> None:
        """Move `weights` (N,) in place against `gradient` (N,).

        Args:
            engine: `convcli.engine.optimize` or its twin.
            weights: changed in place.
            gradient: mean gradient of the batch; read only.
            memory: (slots_per_weight, N), zero before the first step; changed in place.
            rate: learning rate.
            decay: weight decay of these weights.
            scale: factor on the gradient, for clipping.
            count: steps taken, this one included.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sgd:
    """Stochastic gradient descent with momentum, plain or Nesterov's."""

    slots_per_weight: ClassVar[int] = 1
    default_rate: ClassVar[float] = 0.05
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_share(self.momentum, "momentum")
        _check_decay(self.weight_decay)

    def step(
        self,
        engine: ModuleType,
        weights: Vector,
        gradient: Vector,
        memory: npt.NDArray[np.float32],
        *,
        rate: float,
        decay: float,
        scale: float,
        count: int,
    ) -> None:
        """Move `weights` in place; see `Optimizer.step`."""
        engine.sgd(
            weights,
            gradient,
            memory[0],
            np.float32(rate),
            np.float32(self.momentum),
            self.nesterov,
            np.float32(decay),
            np.float32(scale),
        )


@dataclass(frozen=True, slots=True)
class Nesterov(Sgd):
    """`Sgd` with Nesterov's momentum."""

    nesterov: bool = True


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam; its weight decay joins the gradient (an L2 penalty)."""

    slots_per_weight: ClassVar[int] = 2
    default_rate: ClassVar[float] = 0.003
    decoupled: ClassVar[bool] = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_share(self.beta1, "beta1")
        _check_share(self.beta2, "beta2")
        _check_epsilon(self.epsilon)
        _check_decay(self.weight_decay)

    def step(
        self,
        engine: ModuleType,
        weights: Vector,
        gradient: Vector,
        memory: npt.NDArray[np.float32],
        *,
        rate: float,
        decay: float,
        scale: float,
        count: int,
    ) -> None:
        """Move `weights` in place; see `Optimizer.step`."""
        engine.adam(
            weights,
            gradient,
            memory[0],
            memory[1],
            np.float32(rate),
            np.float32(self.beta1),
            np.float32(self.beta2),
            np.float32(self.epsilon),
            count,
            np.float32(decay),
            self.decoupled,
            np.float32(scale),
        )


@dataclass(frozen=True, slots=True)
class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves."""

    decoupled: ClassVar[bool] = True
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class RmsProp:
    """RMSprop, with perhaps momentum."""

    slots_per_weight: ClassVar[int] = 2
    default_rate: ClassVar[float] = 0.001
    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_share(self.alpha, "alpha")
        _check_share(self.momentum, "momentum")
        _check_epsilon(self.epsilon)
        _check_decay(self.weight_decay)

    def step(
        self,
        engine: ModuleType,
        weights: Vector,
        gradient: Vector,
        memory: npt.NDArray[np.float32],
        *,
        rate: float,
        decay: float,
        scale: float,
        count: int,
    ) -> None:
        """Move `weights` in place; see `Optimizer.step`."""
        engine.rmsprop(
            weights,
            gradient,
            memory[0],
            memory[1],
            np.float32(rate),
            np.float32(self.alpha),
            np.float32(self.epsilon),
            np.float32(self.momentum),
            np.float32(decay),
            np.float32(scale),
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": Sgd,
    "nesterov": Nesterov,
    "rmsprop": RmsProp,
}
"""The optimizers by name."""


def read_optimizer(
    text: str, *, momentum: float | None = None, weight_decay: float | None = None
) -> Optimizer:
    """Return the optimizer that `text` names, such as `sgd:momentum=0.8`.

    `momentum` becomes Adam's `beta1`, which is the same thing there.

    Raises:
        UsageError: no such optimizer or figure.

    >>> read_optimizer("nesterov", momentum=0.8)
    Nesterov(momentum=0.8, nesterov=True, weight_decay=0.0)
    >>> read_optimizer("adam", momentum=0.8).beta1
    0.8
    """
    return read_choice(
        text,
        OPTIMIZERS,
        "optimizer",
        momentum=momentum,
        beta1=momentum,
        weight_decay=weight_decay,
    )


def apply_step(
    optimizer: Optimizer,
    engine: ModuleType,
    weights: Vector,
    gradient: Vector,
    memory: npt.NDArray[np.float32],
    spans: Sequence[Span],
    *,
    rate: float,
    count: int,
    clip: float | None = None,
) -> float | None:
    """Take one optimizer step on the weights of `spans`; all others stay as they are.

    Args:
        optimizer: its figures.
        engine: `convcli.engine.optimize` or its twin.
        weights: all weights of the model, (N,); changed in place.
        gradient: mean gradient of the batch, (N,).
        memory: (slots_per_weight, N); changed in place.
        spans: which weights take part.
        rate: learning rate.
        count: steps taken, this one included.
        clip: longest allowed gradient (its Euclidean norm over `spans`), or None.

    Returns:
        The norm before clipping, or None where nothing was to be clipped.
    """
    norm, scale = None, 1.0
    if clip is not None:
        norm = sum(engine.squared_norm(gradient[span.start : span.stop]) for span in spans) ** 0.5
        scale = min(1.0, clip / (norm + 1e-6))
    for span in spans:
        part = slice(span.start, span.stop)
        optimizer.step(
            engine,
            weights[part],
            gradient[part],
            memory[:, part],
            rate=rate * span.rate_factor,
            decay=optimizer.weight_decay if span.decays else 0.0,
            scale=scale,
            count=count,
        )
    return norm


def _check_share(value: float, name: str) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 0 and below 1")


def _check_epsilon(value: float) -> None:
    if not value > 0:
        raise ValueError(f"epsilon is {value}; it must be above 0")


def _check_decay(value: float) -> None:
    if not value >= 0:
        raise ValueError(f"weight_decay is {value}; it must not be negative")
