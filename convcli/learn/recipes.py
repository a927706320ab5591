"""Recipes: all that decides a training besides the data, as one frozen value of plain figures."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from convcli.errors import UsageError, did_you_mean
from convcli.learn.optimizers import Optimizer, read_optimizer
from convcli.learn.schedules import Schedule, read_schedule
from convcli.records import from_record

LOSSES = ("cross-entropy", "mse")
CLASS_WEIGHTS = ("none", "balanced")


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"--{option} {value}: use at least {least}.")


def _above_zero(option: str, value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise UsageError(f"--{option} {value:g}: use a number above 0.")


def _share(option: str, value: float | None) -> None:
    if value is not None and not 0 <= value < 1:
        raise UsageError(f"--{option} {value:g}: use a share from 0 to below 1.")


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = did_you_mean(value, known)
        raise UsageError(f"--{option} {value}: use one of {', '.join(known)}.{hint}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides a training besides the data and the seed.

    Attributes:
        network: notation, preset or file.
        epochs: passes over the training samples.
        batch: samples a step.
        learning_rate: the schedule's full rate; None means the optimizer's usual one.
        optimizer: such as `adam` or `sgd:momentum=0.8`.
        schedule: such as `one-cycle` or `step:every=3,by=0.5`.
        augment: such as `shift=2,rotate=10`; empty for none.
        loss: cross-entropy or mse.
        label_smoothing: share of each label spread over all classes.
        class_weights: none, or balanced for weights that rise with a class's rarity.
        weight_decay: None means the optimizer's usual one.
        momentum: None means the optimizer's usual one.
        clip: longest allowed gradient, None for any.
        average: share kept at each step by the running average of the weights, None for no
            average; with one, the average is what is validated and saved.
        validation: share of the training samples held out to choose the epoch, where the data
            bring no validation split.
        patience: epochs without a better validation accuracy before stopping, None for never.
        freeze: patterns of layer names that keep their weights.
        layer_rates: patterns of layer names, and what their learning rate is multiplied by.
    """

    network: str = "mnist"
    epochs: int = 10
    batch: int = 128
    learning_rate: float | None = None
    optimizer: str = "adam"
    schedule: str = "one-cycle"
    augment: str = ""
    loss: str = "cross-entropy"
    label_smoothing: float = 0.0
    class_weights: str = "none"
    weight_decay: float | None = None
    momentum: float | None = None
    clip: float | None = None
    average: float | None = None
    validation: float = 0.1
    patience: int | None = None
    freeze: tuple[str, ...] = ()
    layer_rates: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        _at_least("epochs", self.epochs, 1)
        _at_least("batch", self.batch, 1)
        _above_zero("lr", self.learning_rate)
        _above_zero("clip", self.clip)
        _share("label-smoothing", self.label_smoothing)
        _share("ema", self.average)
        _share("val", self.validation)
        if self.patience is not None:
            _at_least("patience", self.patience, 1)
            if self.validation == 0:
                raise UsageError("--patience needs validation samples; leave --val 0 out.")
        _one_of("loss", self.loss, LOSSES)
        _one_of("class-weights", self.class_weights, CLASS_WEIGHTS)
        for pattern, factor in self.layer_rates:
            if not 0 < factor < math.inf:
                raise UsageError(
                    f"--layer-rate {pattern}={factor:g}: the factor must be above 0; to keep the "
                    f"weights use --freeze {pattern!r}."
                )
        self.read_optimizer()
        self.read_schedule()

    def read_optimizer(self) -> Optimizer:
        """Return the optimizer with its figures."""
        return read_optimizer(
            self.optimizer, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def read_schedule(self) -> Schedule:
        """Return the schedule with its figures."""
        return read_schedule(self.schedule)

    @property
    def full_rate(self) -> float:
        """The learning rate that the schedule takes shares of."""
        return self.learning_rate or self.read_optimizer().default_rate

    def changed(self, **figures: Any) -> Recipe:
        """Return the recipe with the figures that are not None.

        >>> Recipe().changed(epochs=3, batch=None).epochs
        3
        """
        return dataclasses.replace(
            self, **{name: value for name, value in figures.items() if value is not None}
        )


def _pairs(first: int, second: int, third: int) -> str:
    """Return a network of two pairs of convolutions and one more, normalized, for 28x28."""

    def conv(filters: int) -> str:
        return f"conv {filters} 3 nobias, bn, relu"

    body = [conv(first), conv(first), "maxpool 2", conv(second), conv(second), "maxpool 2"]
    return ", ".join(["input 28x28x1", *body, conv(third), "gap", "dense 10 softmax"])


RECIPES: dict[str, Recipe] = {
    "default": Recipe(learning_rate=0.005),
    "lecture": Recipe(learning_rate=0.005),
    "fast": Recipe(epochs=5, batch=48, learning_rate=0.005),
    "tiny": Recipe(
        network=_pairs(8, 16, 24),
        epochs=20,
        learning_rate=0.01,
        validation=0.05,
        augment="shift=2,rotate=10,scale=0.1",
    ),
    "accurate": Recipe(
        network=_pairs(24, 48, 96),
        epochs=20,
        learning_rate=0.006,
        average=0.998,
        validation=0.05,
        augment="shift=2,rotate=12,scale=0.12,shear=8,elastic=0.7",
    ),
}
"""Whole recipes by name, tuned on MNIST's training samples with a validation split of them."""


def find_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        hint = did_you_mean(name, RECIPES)
        raise UsageError(f"Unknown recipe {name!r}.{hint} There are: {', '.join(RECIPES)}.")
    return RECIPES[name]


def read_recipe(record: dict[str, Any]) -> Recipe:
    """Return the recipe that `dataclasses.asdict` made `record` from, checked anew.

    Raises:
        UsageError: a field is unknown or its value cannot be used.
    """
    try:
        return from_record(Recipe, record)
    except ValueError as problem:
        raise UsageError(f"A recipe cannot be read: {problem}.") from problem
