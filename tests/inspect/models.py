"""Small models with known or random numbers, ready to be examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.inspect.probe import Probe
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.prepare import Preprocessing
from convcli.net import parse_notation

DIGITS = (
    "input 12x12x1, conv 4 3 relu, maxpool 2, conv 6 3 relu, flatten, dense 8 relu, dense 3 softmax"
)


def model_of(
    notation: str,
    seed: int = 0,
    *,
    arrays: Mapping[str, Any] | None = None,
    preprocessing: Preprocessing | None = None,
    training: dict[str, Any] | None = None,
) -> TrainedModel:
    """Return a model with random weights, biases and statistics; `arrays` replace some of them."""
    network = parse_notation(notation)
    model = Model.initialize(network, seed)
    random = np.random.default_rng(seed)
    for name, array in {**model.parameters, **model.buffers}.items():
        if not name.endswith("kernel"):
            array[...] = random.uniform(0.2, 0.8, array.shape)
    for name, values in (arrays or {}).items():
        model.parameters[name][...] = values
    classes = network.trace().output_shape[-1]
    preprocessing = preprocessing or Preprocessing(network.input_shape, (1 / 255,), (0.0,))
    model.scaling = preprocessing.engine_scaling
    return TrainedModel(
        model,
        tuple("abcdefghijklmnop"[:classes]),
        preprocessing,
        training=training or {},
    )


def probe_of(notation: str = DIGITS, seed: int = 0, **more: Any) -> Probe:
    return Probe(model_of(notation, seed, **more))


def some_inputs(probe: Probe, count: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """Return prepared samples between 0 and 1."""
    random = np.random.default_rng(seed)
    return random.random((count, *probe.input_shape), np.float32)
