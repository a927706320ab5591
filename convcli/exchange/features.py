"""What a layer makes of every sample: features for another classifier.

The idea is from Donahue et al. 2014, "DeCAF: a deep convolutional activation feature".
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.data import Dataset, ProgressCallback
from convcli.data.npz import save_npz
from convcli.errors import InputError, UsageError
from convcli.files import new_file
from convcli.layers import Dropout
from convcli.layers.base import shape_text
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel, model_of
from convcli.net import Step

BATCH = 1024
"""Samples at a time."""

MAX_BYTES = 4 * 2**30
"""Of all features together; they are held in memory."""

Features = npt.NDArray[np.float32]


class FeatureExtractor:
    """Computes one layer's activations, one row for each sample.

    Attributes:
        step: the layer.
        length: features of a sample.
    """

    def __init__(
        self, model: TrainedModel, layer: str | None = None, *, pool: bool = False
    ) -> None:
        """Prepare to compute a layer.

        Args:
            model: trained.
            layer: its name or number; the one before the output's weights when left out.
            pool: average a map over its cells, which leaves one number for each channel.

        Raises:
            UsageError: no such layer, or nothing to average.
        """
        trace = model.network.trace()
        self.step = trace.step(layer) if layer else _before_the_output(model)
        if pool and len(self.step.output_shape) == 1:
            raise UsageError(
                f"Layer {self.step.name} gives a row of {self.step.output_shape[0]} numbers; "
                "--pool averages maps."
            )
        self.pool = pool
        self.length = self.step.output_shape[-1] if pool else int(np.prod(self.step.output_shape))
        self._model = model
        self._part = _beginning(model.model, self.step)

    def batches(self, count: int, some: Callable[[range], npt.NDArray[Any]]) -> Iterator[Features]:
        """Yield (up to BATCH, length) rows for samples as the training data were.

        Args:
            count: how many there are.
            some: gives those at a few places.

        Raises:
            InputError: the samples do not fit the network, or the rows would not fit memory.
        """
        size = count * self.length * 4
        if size > MAX_BYTES:
            raise InputError(
                f"{count:,} rows of {self.length:,} features are {size / 2**30:.1f} GiB, "
                f"over {MAX_BYTES / 2**30:.0f}. Use --pool, or a later --layer."
            )
        prepare = self._model.preprocessing
        for begin in range(0, count, BATCH):
            at = range(begin, min(begin + BATCH, count))
            part = prepare.engine_samples(prepare.stack(some(at)))
            values = self._values(part)
            if self.pool:
                values = values.mean(axis=tuple(range(1, values.ndim - 1)))
            yield values.reshape(len(part), self.length)

    def of(self, data: Dataset, progress: ProgressCallback | None = None) -> Dataset:
        """Return the data with each sample's features in its place.

        Raises:
            InputError: as `batches`.
        """
        parts: dict[str, Any] = {}
        for name, split in data.splits().items():
            rows = []
            for batch in self.batches(len(split), split.some):
                rows.append(batch)
                if progress is not None:
                    progress(name, sum(map(len, rows)), len(split))
            parts[name] = replace(split, stored=np.concatenate(rows), rows=None)
        return replace(data, **parts)

    def _values(self, samples: npt.NDArray[Any]) -> Features:
        if self._part is not None:
            return self._part.predict(samples)
        return self._model.model.activations(samples)[self.step.name]


def features(
    model: TrainedModel | str | os.PathLike[str],
    samples: Any,
    layer: str | None = None,
    *,
    pool: bool = False,
) -> Features:
    """Return (N, features) float32: what a layer makes of each sample, maps in one row.

    Args:
        model: a model, its file, or its run's directory.
        samples: (N, *input shape) as the training data were, or pictures as `predict` takes them.
        layer: name or number; the one before the output's weights when left out.
        pool: average maps over their cells.

    Raises:
        UsageError: no such layer, or nothing to average.
        InputError: samples that do not fit.
    """
    trained = model_of(model)
    extractor = FeatureExtractor(trained, layer, pool=pool)
    found = trained.samples_of(samples)
    rows = list(extractor.batches(len(found), lambda at: found[at.start : at.stop]))
    return np.concatenate(rows) if rows else np.zeros((0, extractor.length), np.float32)


def write_features(
    data: Dataset, path: Path, *, force: bool = False, inputs: Sequence[Path] = ()
) -> None:
    """Write features as .npz or .csv: a row a sample, with split, class, and f0, f1, ...

    Raises:
        OutputExistsError, UsageError, InputError: as `convcli.files.new_file`; or a .csv of
            something else than classes.
    """
    if path.suffix.lower() == ".npz":
        save_npz(data, path, force=force, inputs=inputs)
        return
    if data.task != "classes":
        raise InputError(f"{path}: a .csv of features has classes; write these as .npz.")
    with (
        new_file(path, force=force, inputs=inputs) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        length = data.sample_shape[0]
        writer.writerow(["split", "label", *(f"f{number}" for number in range(length))])
        for name, split in data.splits().items():
            for row, label in zip(split.samples, split.labels, strict=True):
                label_name = data.class_names[int(label)]
                writer.writerow([name, label_name, *(f"{x:.9g}" for x in row)])


def _before_the_output(model: TrainedModel) -> Step:
    """Return the step that the last layer with weights reads, dropouts passed over."""
    steps = model.network.trace().steps
    last = next((step for step in reversed(steps) if step.weights), None)
    while last is not None and last.sources[0]:
        last = steps[last.sources[0] - 1]
        if not isinstance(last.layer, Dropout):
            return last
    raise UsageError(
        "The network has no layer before its output; name one with --layer: "
        f"{', '.join(step.name for step in steps[:8])}."
    )


def _beginning(model: Model, step: Step) -> Model | None:
    """Return the network up to `step` alone, None where the step is inside a block."""
    network = model.network
    for count in range(1, len(network.layers) + 1):
        part = replace(network, layers=network.layers[:count])
        reached = len(part.trace().steps)
        if reached > step.index:
            return None
        if reached == step.index:
            break
    beginning = Model.initialize(part, scaling=model.scaling)
    for name, array in {**beginning.parameters, **beginning.buffers}.items():
        array[...] = model.parameters[name] if name in model.parameters else model.buffers[name]
    return beginning


def described(extractor: FeatureExtractor) -> str:
    """Return which layer, and what its rows are made of, in words."""
    step = extractor.step
    kind = "averaged over its cells" if extractor.pool else "in one row, channels last"
    shape = shape_text(step.output_shape)
    return f"{step.name} {shape}" + (f", {kind}" if len(step.output_shape) > 1 else "")
