"""Optimizers as a table: each row has its settings, and names what the engine takes for a step.

Standard library only; `convcli.learn.descent` takes the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar

from convcli.errors import UsageError
from convcli.option import read_choice


@dataclass(frozen=True, slots=True)
class Optimizer:
    """One way to step; its fields are the settings that a user may give."""

    formula: ClassVar[str]
    """The function of `convcli.engine.optimize` that takes a step."""
    takes: ClassVar[str]
    """What `formula` takes behind weights, gradient and memory: settings, and figures of a step."""
    slots_per_weight: ClassVar[int]
    """Numbers remembered for each weight."""
    default_lr: ClassVar[float]
    """The learning rate when none was chosen."""
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            holds, demand = _DEMANDS.get(setting.name, _SHARE)
            if not isinstance(value, bool) and not holds(value):
                raise UsageError(f"{setting.name} is {value}; it must {demand}.")

    def arguments(self, **step: float) -> tuple[float, ...]:
        """Return what `formula` takes.

        Args:
            step: `lr`; `decay` of these weights; `scale`, a factor on the gradient, for clipping;
                `count` of steps, this one included.
        """
        return tuple(
            step[name] if name in step else getattr(self, name) for name in self.takes.split()
        )


Demand = tuple[Callable[[float], bool], str]

_SHARE: Demand = (lambda value: 0 <= value < 1, "be at least 0 and below 1")
_DEMANDS: dict[str, Demand] = {
    "epsilon": (lambda value: value > 0, "be above 0"),
    "weight_decay": (lambda value: value >= 0, "not be negative"),
}
"""Setting -> whether a value will do, and what it must; of all others `_SHARE`."""


@dataclass(frozen=True, slots=True)
class Sgd(Optimizer):
    """Stochastic gradient descent with momentum, plain or Nesterov's."""

    formula: ClassVar[str] = "sgd"
    takes: ClassVar[str] = "lr momentum nesterov decay scale"
    slots_per_weight: ClassVar[int] = 1
    default_lr: ClassVar[float] = 0.05
    momentum: float = 0.9
    nesterov: bool = False


@dataclass(frozen=True, slots=True)
class Nesterov(Sgd):
    """`Sgd` with Nesterov's momentum."""

    nesterov: bool = True


@dataclass(frozen=True, slots=True)
class Adam(Optimizer):
    """Adam; its weight decay joins the gradient (an L2 penalty)."""

    formula: ClassVar[str] = "adam"
    takes: ClassVar[str] = "lr beta1 beta2 epsilon count decay decoupled scale"
    slots_per_weight: ClassVar[int] = 2
    default_lr: ClassVar[float] = 0.003
    decoupled: ClassVar[bool] = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True, slots=True)
class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves."""

    decoupled: ClassVar[bool] = True
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class RmsProp(Optimizer):
    """RMSprop, with perhaps momentum."""

    formula: ClassVar[str] = "rmsprop"
    takes: ClassVar[str] = "lr alpha epsilon momentum decay scale"
    slots_per_weight: ClassVar[int] = 2
    default_lr: ClassVar[float] = 0.001
    alpha: float = 0.99
    epsilon: float = 1e-8
    momentum: float = 0.0


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
    Nesterov(weight_decay=0.0, momentum=0.8, nesterov=True)
    >>> read_optimizer("adam", momentum=0.8).beta1
    0.8
    """
    share = None if momentum is None else float(momentum)
    decay = None if weight_decay is None else float(weight_decay)
    return read_choice(
        text, OPTIMIZERS, "optimizer", momentum=share, beta1=share, weight_decay=decay
    )
