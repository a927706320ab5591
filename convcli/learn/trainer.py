"""Loss and gradient of one batch with the compiled engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import IGNORED
from convcli.engine.calls import Base, Operation
from convcli.errors import InputError
from convcli.learn.model import Model
from convcli.ops.executor import Executor
from convcli.ops.losses import LOSSES, LossRule
from convcli.ops.lowering import compile_training, read_bytes, read_floats
from convcli.ops.rule import Array


@dataclass(frozen=True)
class Loss:
    """What is minimized.

    Attributes:
        name: one of `LOSSES`.
        smoothing: e makes the target 1 - e for the label plus e / classes for all (Szegedy et al.
            2016).
        class_weights: weigh the samples or cells of each class; the mean is the weighted one.
        figure: gamma of focal, delta of huber.
    """

    name: str = "cross-entropy"
    smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    figure: float = 0.0

    @property
    def rule(self) -> LossRule:
        """How the engine runs it."""
        return LOSSES[self.name]


class Trainer:
    """Turns batches into gradients; the optimizer's step on `model.flat` is the caller's.

    Building it compiles what the network needs, once for each machine and version.

    Args:
        model: whose parameters are read anew for each batch; batch norm's running statistics are
            updated in `model.buffers`.
        loss: what is minimized.
        batch: the largest batch.
        threads: 0 for all; the results do not depend on it.
        seed: of the dropout masks, with the step.
        frozen: names of steps whose parameters and statistics stay.
        reader: the operation that puts a sample of uint8 into the program, for augmentation.
        through_input: go on to the gradient of the input, to time a layer alone.

    Attributes:
        weight: of the last batch, by which its gradient's mean was taken.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        *,
        batch: int,
        threads: int = 0,
        seed: int = 0,
        frozen: Sequence[str] = (),
        reader: Operation | None = None,
        through_input: bool = False,
    ) -> None:
        self._through_input = through_input
        self.model, self.loss, self.batch, self.seed = model, loss, batch, seed
        self.threads, self.frozen = threads, frozenset(frozen)
        self._byte_reader = reader or read_bytes
        self._executors: dict[bool, Executor] = {}
        self.weight = 0.0
        self._index = np.arange(batch, dtype=np.int64)

    def compile(self, dtype: type = np.uint8) -> None:
        """Compile what samples of `dtype` need; otherwise the first batch does."""
        self._executor(np.dtype(dtype))

    def _executor(self, dtype: np.dtype[np.generic]) -> Executor:
        floats = dtype == np.float32
        if floats not in self._executors:
            program = compile_training(
                self.model.trace,
                self.model.slots,
                read_floats if floats else self._byte_reader,
                loss=self.loss.rule,
                frozen=self.frozen,
                through_input=self._through_input,
            )
            executor = Executor(
                program,
                batch=self.batch,
                threads=self.threads,
                gradient=self.model.flat.size,
            )
            executor.numbers(program.scaling)[:] = self.model.scaling
            self._constants = executor.numbers(program.loss_constants)
            self._executors[floats] = executor
            self._statistics = program.statistics
        return self._executors[floats]

    def gradients(
        self,
        images: NDArray[np.generic],
        targets: NDArray[np.generic],
        *,
        indices: NDArray[np.int64] | None = None,
        sample_weights: Array | None = None,
        step: int = 0,
    ) -> tuple[float, float, Array]:
        """Return (sum of losses, correct answers, gradient of the mean loss) of one batch.

        Args:
            images: uint8 or float32 samples, (N, *input shape), C-contiguous; a whole data set when
                `indices` choose the batch from it.
            targets: of the batch: int labels (n,), or (n, *cells) where `IGNORED` ones do not
                count; float32 (n, *outputs) for a loss of values.
            indices: int64 (n,), which samples are the batch.
            sample_weights: float32 (n,); ones when left out.
            step: number of the step, for dropout.

        Returns:
            The loss's sum is weighted as the gradient is; divide by the batch's weight for the
            mean. Of cells both sums are means over the cells that count, times the batch's samples.
            The gradient is one vector laid out as `model.flat`, overwritten by the next call.

        Raises:
            InputError: shapes or labels that do not fit the network.
        """
        executor = self._executor(images.dtype)
        count = len(targets)
        if indices is None:
            indices = self._index[:count]
        self._check(images, targets, indices, count)
        weights = self._weights(targets, sample_weights)
        if self.loss.rule.labels:
            targets = np.ascontiguousarray(targets, np.int64)
            if targets.ndim > 1:
                targets[targets == IGNORED] = 0  # which weighs nothing
        else:
            targets = np.ascontiguousarray(targets, np.float32)
        overlaps = self.loss.name == "dice"  # a mean over samples, each with all of its cells
        total = float(count) if overlaps else float(weights.sum(dtype=np.float64))
        self.weight = total
        self._constants[:] = 1 / total if total else 0.0, self.loss.smoothing, self.loss.figure
        self._load_statistics(executor)
        executor.run(
            count,
            {
                Base.PARAMETERS: self.model.flat.ctypes.data,
                Base.INPUT: images.ctypes.data,
                Base.INDEX: indices.ctypes.data,
                Base.TARGET: targets.ctypes.data,
                Base.SAMPLE_WEIGHT: weights.ctypes.data,
                Base.SEED: self.seed,
                Base.STEP: step,
            },
        )
        self._store_statistics(executor)
        loss, correct, judged = (float(one) for one in executor.sums(count))
        if weights.ndim > 1:
            loss *= count / total if total else 0.0
            correct *= count / max(judged, 1.0)
        return loss, correct, executor.add_gradients(count)

    def _weights(self, targets: NDArray[np.generic], given: Array | None) -> Array:
        """Return what each label weighs; of values, what each sample does."""
        labels = self.loss.rule.labels
        weights: Array = np.ones(targets.shape if labels else len(targets), np.float32)
        if given is not None:
            weights *= np.ascontiguousarray(given, np.float32).reshape(
                -1, *[1] * (weights.ndim - 1)
            )
        if labels and (self.loss.class_weights is not None or targets.ndim > 1):
            classes = self.loss.class_weights or (1.0,) * self.model.trace.output_shape[-1]
            table = np.zeros(max(IGNORED + 1, len(classes)), np.float32)
            table[: len(classes)] = classes
            weights *= table[targets.astype(np.int64)]
        return weights

    def _check(
        self,
        images: NDArray[np.generic],
        targets: NDArray[np.generic],
        indices: NDArray[np.int64],
        count: int,
    ) -> None:
        self.model.check_samples(images)
        if not 0 < count <= self.batch or len(indices) != count:
            raise InputError(
                f"A batch of {count} targets and {len(indices)} samples does not fit; "
                f"use 1 to {self.batch} of both."
            )
        if indices.min() < 0 or indices.max() >= len(images):
            raise InputError(f"Indices reach past the {len(images)} samples.")
        outputs = self.model.trace.output_shape
        if self.loss.rule.labels:
            known = targets[targets != IGNORED] if targets.ndim > 1 else targets
            classes = outputs[-1]
            low, high = (known.min(), known.max()) if known.size else (0, 0)
            if low < 0 or high >= classes:
                raise InputError(
                    f"Labels are {low} to {high}, and the network has {classes} outputs: 0 to "
                    f"{classes - 1}. Use `dense {high + 1} softmax` at the end."
                )
            if targets.shape[1:] != outputs[:-1]:
                raise InputError(
                    f"Labels of shape {targets.shape[1:]} do not fit the output {outputs}."
                )
        elif targets.reshape(count, -1).shape[1] != np.prod(outputs):
            raise InputError(
                f"Targets of shape {targets.shape[1:]} do not fit the output {outputs}."
            )

    def _load_statistics(self, executor: Executor) -> None:
        for name, place in self._statistics.items():
            executor.numbers(place)[:] = self.model.buffers[name].ravel()

    def _store_statistics(self, executor: Executor) -> None:
        for name, place in self._statistics.items():
            self.model.buffers[name].ravel()[:] = executor.numbers(place)
