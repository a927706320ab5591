"""Models with asymmetric numbers in them, and Keras on PyTorch to run what they become."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.prepare import Preprocessing
from convcli.net import network
from tests.exchange.test_export import arrays_for

SMALL = (
    "input 12x10x2, conv 4 3x2 relu, maxpool 2, conv 5 2 relu, flatten, dense 7 tanh, "
    "dense 3 softmax"
)


def trained(
    text: str = SMALL, scale: tuple[float, ...] = (1.0,), offset: tuple[float, ...] = (0.0,)
) -> TrainedModel:
    """Return a model whose every axis can be told from every other."""
    model = Model.initialize(network(text), scaling=(1.0, 0.0))
    given = arrays_for(model.trace)
    for name, array in {**model.parameters, **model.buffers}.items():
        array[...] = given[name]
    preprocessing = Preprocessing(model.network.input_shape, scale, offset)
    model.scaling = preprocessing.engine_scaling
    outputs = model.trace.output_shape[-1]
    names = ("ant", 'b"ee', "cat", *map(str, range(3, outputs)))[:outputs]
    return TrainedModel(model, names, preprocessing, outputs="values")  # as the files give them


def samples_last(model: TrainedModel, count: int = 256) -> Any:
    """Return random samples, channels last, as the model takes them."""
    shape = (count, *model.network.input_shape)
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


def keras() -> Any:
    """Return Keras, running on PyTorch, or skip the test."""
    pytest.importorskip("torch", reason="Keras runs on it here; extra [bench]")
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ.setdefault("KERAS_HOME", str(Path(tempfile.gettempdir()) / "convcli-keras"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras", reason="Keras' files are run by it; extra [bench]")


def run_keras(path: Path, samples: Any) -> Any:
    """Return what Keras makes of samples with the model in a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        return asked(keras().saving.load_model(path, compile=False), samples)


def asked(model: Any, samples: Any) -> Any:
    """Return what a Keras model makes of samples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return keras().ops.convert_to_numpy(model(samples, training=False))
