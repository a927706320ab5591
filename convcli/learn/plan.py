"""What follows from recipe, network and data before the first step of a training."""

from __future__ import annotations

import dataclasses
import fnmatch
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convcli.data import Dataset, Split
from convcli.data.augmentation import read_augmentation
from convcli.errors import InputError, UsageError
from convcli.layers.base import shape_text
from convcli.learn.descent import Span
from convcli.learn.holdout import folds, hold_out
from convcli.learn.model import Model
from convcli.learn.prepare import Preprocessing
from convcli.learn.recipes import Recipe
from convcli.learn.trainer import CrossEntropy, Loss, SquaredError
from convcli.net import Network
from convcli.ops.parameters import LINE

EVALUATION_BATCH = 2048
"""Samples prepared at a time for an evaluation; bounds its memory."""


@dataclass(frozen=True, slots=True)
class Parting:
    """Which samples of a data set train, which validate, and whether any test.

    Attributes:
        seed: of what is held out.
        fold: number of the fold that validates, from 1; None outside cross-validation.
        folds: how many there are.
        by_heart: so many samples are to be learned by heart, and nothing else is read.
    """

    seed: int = 0
    fold: int | None = None
    folds: int | None = None
    by_heart: int | None = None


def parted(data: Dataset, recipe: Recipe, parting: Parting) -> Dataset:
    """Return the data with the splits that a training is to have.

    Raises:
        InputError: there are too few samples for that.

    >>> from convcli.data import Split
    >>> whole = Split(np.zeros((8, 2), np.float32), np.arange(8) % 2)
    >>> got = parted(Dataset("d", ("a", "b"), whole), Recipe(), Parting(fold=1, folds=2))
    >>> len(got.train), len(got.validation)
    (4, 4)
    """
    if parting.by_heart is not None:
        few = data.train.take(range(min(parting.by_heart, len(data.train))))
        return dataclasses.replace(data, train=few, validation=few, test=None)
    if parting.fold is not None and parting.folds is not None:
        train, held = folds(data.train, parting.folds, parting.seed)[parting.fold - 1]
        return dataclasses.replace(data, train=train, validation=held, test=None)
    return with_validation(data, recipe, parting.seed)


def with_validation(data: Dataset, recipe: Recipe, seed: int) -> Dataset:
    """Return the data with validation samples: their own, or the recipe's share held out."""
    if data.validation is not None or recipe.val == 0:
        return data
    train, validation = hold_out(data.train, recipe.val, seed)
    return dataclasses.replace(data, train=train, validation=validation)


def batch_order(samples: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order of the samples in an epoch, from 0; seed and epoch alone decide it.

    >>> sorted(batch_order(4, seed=1, epoch=0).tolist())
    [0, 1, 2, 3]
    """
    key = np.array([seed, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).permutation(samples)


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


def check_fit(network: Network, data: Dataset, recipe: Recipe) -> None:
    """Compare the network with samples, classes and loss, and the augmentation with the samples.

    Raises:
        InputError: the network does not fit.
        UsageError: these samples cannot be changed so.
    """
    if network.input_shape != data.sample_shape:
        raise InputError(
            f"The network takes {shape_text(network.input_shape)}, the samples of {data.name} are "
            f"{shape_text(data.sample_shape)}. Begin the network with "
            f"`input {shape_text(data.sample_shape)}`, or resize the samples with --size."
        )
    shape = network.trace().output_shape
    if shape != (data.classes,):
        raise InputError(
            f"The network gives {shape_text(shape)}, {data.name} has {data.classes} classes. "
            f"End the network with `dense {data.classes} softmax`."
        )
    last = network.trace().steps[-1:]
    if recipe.loss == "cross-entropy" and not any(
        "softmax" in {step.activation, step.op} for step in last
    ):
        raise InputError(
            "Cross-entropy needs a softmax at the end, and the network ends with "
            f"{last[0].name if last else 'its input'}. "
            f"Write `dense {data.classes} softmax` last, or use --loss mse."
        )
    if augmentation := read_augmentation(recipe.augment):
        augmentation.figures(data.sample_shape, data.train.samples.dtype)


def loss_for(recipe: Recipe, data: Dataset) -> Loss:
    """Return the loss with its class weights, which make every present class count alike.

    >>> from convcli.data import Split
    >>> data = Dataset("d", ("a", "b"), Split(np.zeros((4, 1), np.float32), np.array([0, 0, 0, 1])))
    >>> loss_for(Recipe(class_weights="balanced"), data).class_weights
    (0.6666666666666666, 2.0)
    """
    if recipe.loss == "mse":
        return SquaredError()
    weights = None
    if recipe.class_weights == "balanced":
        counts = np.bincount(data.train.labels, minlength=data.classes)
        present = np.maximum(counts, 1)
        weights = tuple((len(data.train) / ((counts > 0).sum() * present)).tolist())
    return CrossEntropy(recipe.label_smoothing, weights)


def predict_split(
    model: Model, preprocessing: Preprocessing, split: Split, threads: int = 0
) -> npt.NDArray[np.float32]:
    """Return (N, classes) probabilities for all samples of a split."""
    if preprocessing.engine_scaling != (1.0, 0.0):
        return model.predict(split.samples, threads=threads)
    parts = [
        model.predict(
            preprocessing.engine_samples(split.samples[start : start + EVALUATION_BATCH]),
            threads=threads,
        )
        for start in range(0, len(split), EVALUATION_BATCH)
    ]
    return np.concatenate(parts)
