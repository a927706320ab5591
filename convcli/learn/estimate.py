"""What a training will take, from the network on paper and a few steps on the clock."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

import numpy as np

from convcli.data import Dataset
from convcli.learn.fit import Training
from convcli.learn.model import Model
from convcli.learn.prepare import preprocessing_for
from convcli.learn.recipes import Recipe
from convcli.net import Network

TIMED_STEPS = 5


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training will take.

    Attributes:
        params: learnable numbers.
        macs: multiply-accumulates of one sample, forward.
        samples: for training.
        steps_per_epoch: optimizer steps.
        steps: of the whole training.
        sample_bytes: all splits in memory.
        weight_bytes: weights, gradients, what the optimizer remembers, and averages.
        activation_bytes: of one batch, forward and backward.
        step_seconds: median of a few measured steps.
        train_seconds: of all steps, without validation and compilation.
    """

    params: int
    macs: int
    samples: int
    steps_per_epoch: int
    steps: int
    sample_bytes: int
    weight_bytes: int
    activation_bytes: int
    step_seconds: float
    train_seconds: float


def estimate(
    network: Network, data: Dataset, recipe: Recipe, *, seed: int = 0, threads: int = 0
) -> Estimate:
    """Return the figures of a training after timing a few of its steps on a throw-away model.

    Raises:
        InputError: the network does not fit the data.
    """
    batch = min(recipe.batch, len(data.train))
    totals = network.trace(batch=batch).totals
    steps_per_epoch = math.ceil(len(data.train) / recipe.batch)
    steps = recipe.epochs * steps_per_epoch
    preprocessing = preprocessing_for(data.train.samples)
    training = Training(
        Model.initialize(network, seed, preprocessing.engine_scaling),
        data,
        recipe,
        preprocessing,
        seed=seed,
        threads=threads,
    )
    training.warm_up()
    seconds = []
    order = np.arange(batch)
    for _ in range(TIMED_STEPS):
        began = time.perf_counter()
        training.step(order)
        seconds.append(time.perf_counter() - began)
    step_seconds = statistics.median(seconds)
    vectors = 2 + training.optimizer.slots_per_weight + (2 if recipe.ema is not None else 1)
    return Estimate(
        params=totals.params,
        macs=totals.macs,
        samples=len(data.train),
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        sample_bytes=sum(split.samples.nbytes for split in data.splits().values()),
        weight_bytes=vectors * totals.weight_bytes,
        activation_bytes=2 * totals.activation_bytes,
        step_seconds=step_seconds,
        train_seconds=step_seconds * steps,
    )
