"""All that decides a training, as its run and its model note it; and its data read again."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convcli import __version__
from convcli.data import Dataset, ProgressCallback, Source
from convcli.data.sources import read_source
from convcli.errors import ConvcliError, InputError
from convcli.learn.recipes import Recipe
from convcli.learn.split import SplitSpec, split_data
from convcli.records import from_record

if TYPE_CHECKING:
    from convcli.learn.modelfile import TrainedModel


@dataclass(frozen=True, slots=True)
class RunSpec:
    """All that decides a training's bits, but for what `fingerprint` stands for.

    Attributes:
        network: in the notation.
        recipe: all other figures.
        source: of the samples.
        seed: of weights, order, dropout and augmentation.
        split: which samples train, and which validate.
        pictures: how pictures are prepared for the model, see `Preprocessing`.
        scaling: factors and summands of the model it begins with; None for the samples' own.
        fingerprint: SHA-256 of the training samples and labels.
    """

    network: str
    recipe: Recipe
    source: Source
    seed: int = 0
    split: SplitSpec = field(default_factory=SplitSpec)
    pictures: str = "resize"
    scaling: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    fingerprint: str = ""

    def record(self) -> dict[str, Any]:
        """Return the fields as plain values, for a file."""
        return dataclasses.asdict(self) | {"version": __version__}

    def load_data(self, progress: ProgressCallback | None = None) -> Dataset:
        """Return the data as their source gives them, not split yet."""
        return read_source(self.source, seed=self.split.seed, progress=progress)

    def split_again(self, data: Dataset, changed: str) -> Dataset:
        """Return loaded data split as they were.

        Args:
            data: from `load_data`.
            changed: what to do if they are no longer the same.

        Raises:
            InputError: they are not.
        """
        data = split_data(data, self.recipe.val, self.split)
        if fingerprint(data) != self.fingerprint:
            raise InputError(
                f"The training samples of {self.source.name} are no longer those {changed}"
            )
        return data


def read_run_spec(record: dict[str, Any]) -> RunSpec:
    """Return what `RunSpec.record` wrote.

    Raises:
        ValueError: a field is unknown or missing, or its value cannot be used.
    """
    return from_record(RunSpec, {key: one for key, one in record.items() if key != "version"})


def noted_spec(model: TrainedModel) -> RunSpec | None:
    """Return how a model was trained; None where it does not say, as one that was imported.

    Raises:
        InputError: its notes cannot be read.
    """
    if "source" not in model.training:
        return None
    try:
        return read_run_spec(model.training)
    except ConvcliError:  # has its own sentence
        raise
    except ValueError as problem:
        raise InputError(
            f"What the model notes on its training cannot be read: {problem}."
        ) from problem


def fingerprint(data: Dataset) -> str:
    """Return a SHA-256 over the training samples and labels, so that others are noticed."""
    digest = hashlib.sha256()
    split = data.train
    digest.update(repr(((len(split), *split.sample_shape), split.stored.dtype.str)).encode())
    for block in split.blocks():
        digest.update(np.ascontiguousarray(block).data)
    digest.update(repr((split.labels.shape, split.labels.dtype.str)).encode())
    digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()
