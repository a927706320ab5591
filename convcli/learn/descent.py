"""One step of gradient descent: an optimizer's settings become arithmetic on the flat weights."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import numpy.typing as npt

from convcli.errors import UsageError
from convcli.learn.model import Model
from convcli.learn.optimizers import Optimizer
from convcli.ops.program import LINE

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
        numbers = optimizer.arguments(lr=lr * span.lr_factor, decay=decay, scale=scale, count=count)
        formula(
            weights[part],
            gradient[part],
            *memory[:, part],
            *(number if isinstance(number, int) else np.float32(number) for number in numbers),
        )
    return norm


def trainable_spans(
    model: Model,
    freeze: tuple[str, ...],
    *,
    decay: bool = True,
    layer_rates: tuple[tuple[str, float], ...] = (),
) -> list[Span]:
    """Return the runs of the flat vector that are trained; neighbors treated alike are one run.

    Args:
        model: whose vector it is.
        freeze: patterns of layer names that keep their weights.
        decay: kernels and matrices decay; without it nothing does, and the runs are few.
        layer_rates: patterns of layer names and what their learning rate is multiplied by.

    Raises:
        UsageError: a pattern matches no layer, or nothing is left to train.
    """
    frozen, factors = frozen_steps(model, freeze), lr_factors(model, layer_rates)
    spans: list[Span] = []
    for name, slot in model.slots.items():
        step, _, _ = name.rpartition(".")
        if step in frozen:
            continue
        alike = decay and len(slot.shape) > 1, factors.get(step, 1.0)
        stop = slot.offset + slot.size
        last = spans[-1] if spans else None
        if last and (last.decays, last.lr_factor) == alike and slot.offset - last.stop < LINE:
            spans[-1] = Span(last.start, stop, *alike)
        else:
            spans.append(Span(slot.offset, stop, *alike))
    if not spans:
        raise UsageError("Nothing is left to train: every layer with weights is frozen.")
    return spans


def lr_factors(model: Model, layer_rates: tuple[tuple[str, float], ...]) -> dict[str, float]:
    """Return what each named layer multiplies the learning rate by; the last fitting pattern holds.

    Raises:
        UsageError: a pattern matches no layer with weights.
    """
    steps = [step.name for step in model.network.trace().steps if step.params]
    factors: dict[str, float] = {}
    for pattern, factor in layer_rates:
        named = fnmatch.filter(steps, pattern)
        if not named:
            raise UsageError(
                f"--layer-rate {pattern}={factor:g}: the pattern matches no layer with weights; "
                f"there are {', '.join(steps)}."
            )
        factors |= dict.fromkeys(named, factor)
    return factors


def frozen_steps(model: Model, freeze: tuple[str, ...]) -> set[str]:
    """Return the names of the layers with weights that the patterns of `--freeze` name.

    Raises:
        UsageError: a pattern matches no layer.
    """
    steps = model.network.trace(freeze=freeze).steps
    return {step.name for step in steps if step.params and not step.trainable}
