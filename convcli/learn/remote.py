"""Predictions on other machines: an order holds the model's and a picture's bytes."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from convcli.errors import InputError
from convcli.learn.evaluation import Prediction, predictions
from convcli.learn.modelfile import TrainedModel, load
from convcli.learn.pictures import samples_from_source


class PredictOrder(NamedTuple):
    """One file to be told about.

    Attributes:
        model: the bytes of a model file.
        content: those of a picture, or of an `.npy`.
        name: for messages.
        top, threshold, logits: as `predictions`.
        memory_limit: bytes that the picture may take.
    """

    model: bytes
    content: bytes
    name: str
    top: int
    threshold: float
    logits: bool
    memory_limit: int


def answer(order: PredictOrder) -> list[Prediction] | str:
    """Return what the model says of each sample of a file, or why there is none."""
    model = _loaded(order.model)
    try:
        samples = samples_from_source(
            order.content, order.name, model.preprocessing, memory_limit=order.memory_limit
        )
        return predictions(
            model, samples, top=order.top, threshold=order.threshold, logits=order.logits
        )
    except InputError as problem:
        return str(problem)


@lru_cache(maxsize=2)
def _loaded(content: bytes) -> TrainedModel:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        return load(path)
