"""Optimizers as a table: their settings and what the engine is to be given for one step.

Standard library only; `convcli.learn.descent` takes the steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from convcli.learn.choices import read_choice


class Optimizer(Protocol):
    """What the loop asks of an optimizer."""

    formula: ClassVar[str]
    """The function of `convcli.engine.optimize` that takes a step."""
    slots_per_weight: ClassVar[int]
    """Numbers remembered for each weight."""
    default_lr: ClassVar[float]
    """The learning rate when none was chosen."""

    @property
    def weight_decay(self) -> float:
        """Share of a weight that joins its gradient (or, decoupled, leaves the weight)."""
        ...

    def arguments(
        self, lr: float, decay: float, scale: float, count: int
    ) -> tuple[float | int | bool, ...]:
        """Return what `formula` takes behind weights, gradient and memory.

        Args:
            lr: learning rate.
            decay: weight decay of these weights.
            scale: factor on the gradient, for clipping.
            count: steps taken, this one included.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sgd:
    """Stochastic gradient descent with momentum, plain or Nesterov's."""

    formula: ClassVar[str] = "sgd"
    slots_per_weight: ClassVar[int] = 1
    default_lr: ClassVar[float] = 0.05
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_share(self.momentum, "momentum")
        _check_decay(self.weight_decay)

    def arguments(
        self, lr: float, decay: float, scale: float, count: int
    ) -> tuple[float | int | bool, ...]:
        """See `Optimizer.arguments`."""
        return lr, self.momentum, self.nesterov, decay, scale


@dataclass(frozen=True, slots=True)
class Nesterov(Sgd):
    """`Sgd` with Nesterov's momentum."""

    nesterov: bool = True


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam; its weight decay joins the gradient (an L2 penalty)."""

    formula: ClassVar[str] = "adam"
    slots_per_weight: ClassVar[int] = 2
    default_lr: ClassVar[float] = 0.003
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

    def arguments(
        self, lr: float, decay: float, scale: float, count: int
    ) -> tuple[float | int | bool, ...]:
        """See `Optimizer.arguments`."""
        return lr, self.beta1, self.beta2, self.epsilon, count, decay, self.decoupled, scale


@dataclass(frozen=True, slots=True)
class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves."""

    decoupled: ClassVar[bool] = True
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class RmsProp:
    """RMSprop, with perhaps momentum."""

    formula: ClassVar[str] = "rmsprop"
    slots_per_weight: ClassVar[int] = 2
    default_lr: ClassVar[float] = 0.001
    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check_share(self.alpha, "alpha")
        _check_share(self.momentum, "momentum")
        _check_epsilon(self.epsilon)
        _check_decay(self.weight_decay)

    def arguments(
        self, lr: float, decay: float, scale: float, count: int
    ) -> tuple[float | int | bool, ...]:
        """See `Optimizer.arguments`."""
        return lr, self.alpha, self.epsilon, self.momentum, decay, scale


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
        UsageError: no such optimizer or setting.

    >>> read_optimizer("nesterov", momentum=0.8)
    Nesterov(momentum=0.8, nesterov=True, weight_decay=0.0)
    >>> read_optimizer("adam", momentum=0.8).beta1
    0.8
    """
    share = None if momentum is None else float(momentum)
    return read_choice(
        text,
        OPTIMIZERS,
        "optimizer",
        momentum=share,
        beta1=share,
        weight_decay=None if weight_decay is None else float(weight_decay),
    )


def _check_share(value: float, name: str) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 0 and below 1")


def _check_epsilon(value: float) -> None:
    if not value > 0:
        raise ValueError(f"epsilon is {value}; it must be above 0")


def _check_decay(value: float) -> None:
    if not value >= 0:
        raise ValueError(f"weight_decay is {value}; it must not be negative")
