"""How long layers take on this machine, and what a training will take of time and memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np

from convcli.data import Dataset
from convcli.environment import thread_count
from convcli.errors import InputError
from convcli.layers.base import Join, Layer, Shape
from convcli.learn.fit import Training
from convcli.learn.model import Model
from convcli.learn.recipes import Recipe
from convcli.net import Network, Trace, parse_notation
from convcli.net.memory import Roof

RUNS = 5
"""A time is the median of at least so many runs."""
ENOUGH_SECONDS = 0.05
"""Runs go on for so long, so that short ones are measured often."""
TIMED_STEPS = 5
"""Steps of a training that an estimate takes."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Measured seconds for one batch through the engine.

    Attributes:
        layers: per step, the layer by itself; None for joins and for what the engine cannot run.
        network: all of it in one pass, None if it has a layer that the engine cannot run.
        batch: samples in one pass.
        reason: why `network` is None, else empty.
    """

    layers: tuple[float | None, ...]
    network: float | None
    batch: int
    reason: str = ""


def time_network(
    trace: Trace, *, threads: int = 0, after_each: Callable[[], None] = lambda: None
) -> Timing:
    """Measure every layer by itself on random numbers, and the whole network.

    A layer by itself includes its activation and reading its input; in one pass the engine keeps
    maps in its caches and joins layers with their neighbors, so that the parts add up to more.

    Args:
        trace: the network, whose `batch` is the number of samples in a pass.
        threads: 0 for all.
        after_each: called after each step, to show progress.
    """
    seconds: dict[tuple[Layer, Shape], float | None] = {}
    layers: list[float | None] = []
    for step in trace.steps:
        key = (replace(step.layer, name=None), step.input_shapes[0])
        if key not in seconds:
            seconds[key] = _time_layer(*key, trace.batch, threads)
        layers.append(seconds[key])
        after_each()
    try:
        whole = _time(trace.network, trace.batch, threads)
    except InputError as problem:
        return Timing(tuple(layers), None, trace.batch, str(problem))
    return Timing(tuple(layers), whole, trace.batch)


PRODUCTS = "input 16x16x256, conv 256 1, conv 256 1, conv 256 1, conv 256 1"
"""What the engine does fastest: products that come again and again from a near cache."""
COPIED_BYTES = 2**27
"""Far more than any cache holds."""


def measure_roof(*, threads: int = 0) -> Roof:
    """Measure what this machine does at most: the engine's products, and copies of memory.

    Args:
        threads: 0 for all.
    """
    network, batch, threads = parse_notation(PRODUCTS), 64, thread_count(threads)
    flops = 2 * batch * network.trace().totals.macs / _time(network, batch, threads, best=min)
    source = np.ones(COPIED_BYTES // 4, np.float32)
    target = np.zeros_like(source)
    parts = [*zip(np.array_split(target, threads), np.array_split(source, threads), strict=True)]
    times = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(RUNS):
            start = perf_counter()
            list(pool.map(lambda pair: np.copyto(*pair), parts))
            times.append(perf_counter() - start)
    return Roof(flops, 2 * COPIED_BYTES / min(times))


def _time_layer(layer: Layer, input_shape: Shape, batch: int, threads: int) -> float | None:
    """Return the seconds of one layer by itself, None if the engine cannot run it so."""
    if isinstance(layer, Join):
        return None
    try:
        return _time(Network(input_shape, (layer,)), batch, threads)
    except InputError:
        return None


def _time(
    network: Network,
    batch: int,
    threads: int,
    best: Callable[[list[float]], float] = median,
) -> float:
    """Return the median seconds of one pass; the first, which compiles, does not count."""
    model = Model.initialize(network)
    samples = np.random.default_rng(0).random((batch, *network.input_shape), np.float32)
    model.predict(samples, threads=threads, batch=batch)
    times: list[float] = []
    while len(times) < RUNS or sum(times) < ENOUGH_SECONDS:
        start = perf_counter()
        model.predict(samples, threads=threads, batch=batch)
        times.append(perf_counter() - start)
    return best(times)


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
    totals = network.trace(batch=math.ceil(batch / recipe.accumulate)).totals
    steps_per_epoch = math.ceil(len(data.train) / recipe.batch)
    steps = recipe.epochs * steps_per_epoch
    training = Training(network, data, recipe, seed=seed, threads=threads)
    training.warm_up()
    seconds = []
    order = np.arange(batch)
    for _ in range(TIMED_STEPS):
        began = perf_counter()
        training.step(order)
        seconds.append(perf_counter() - began)
    step_seconds = median(seconds)
    vectors = 2 + training.optimizer.slots_per_weight + (2 if recipe.ema is not None else 1)
    return Estimate(
        params=totals.params,
        macs=totals.macs,
        samples=len(data.train),
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        sample_bytes=sum(split.nbytes for split in data.splits().values()),
        weight_bytes=vectors * totals.weight_bytes,
        activation_bytes=2 * totals.activation_bytes,
        step_seconds=step_seconds,
        train_seconds=step_seconds * steps,
    )
