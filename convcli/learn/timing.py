"""How long the layers of a network take on this machine, next to what they cost on paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

import numpy as np

from convcli.errors import InputError
from convcli.layers.base import Join, Layer, Shape
from convcli.learn.model import Model
from convcli.net import Network, Trace

RUNS = 5
"""A time is the median of at least so many runs."""
ENOUGH_SECONDS = 0.05
"""Runs go on for so long, so that short ones are measured often."""


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


def _time_layer(layer: Layer, input_shape: Shape, batch: int, threads: int) -> float | None:
    """Return the seconds of one layer by itself, None if the engine cannot run it so."""
    if isinstance(layer, Join):
        return None
    try:
        return _time(Network(input_shape, (layer,)), batch, threads)
    except InputError:
        return None


def _time(network: Network, batch: int, threads: int) -> float:
    """Return the median seconds of one pass; the first, which compiles, does not count."""
    model = Model.initialize(network)
    samples = np.random.default_rng(0).random((batch, *network.input_shape), np.float32)
    model.predict(samples, threads=threads, batch=batch)
    times: list[float] = []
    while len(times) < RUNS or sum(times) < ENOUGH_SECONDS:
        start = perf_counter()
        model.predict(samples, threads=threads, batch=batch)
        times.append(perf_counter() - start)
    return median(times)
