"""Loss and gradient of one batch with the compiled engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convcli.engine.calls import Base, Operation, aligned
from convcli.errors import InputError
from convcli.learn.model import Model
from convcli.ops.executor import Executor
from convcli.ops.lowering import compile_training, read_bytes, read_floats
from convcli.ops.rule import Array


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax and cross-entropy, fused.

    `smoothing` e makes the target 1 - e for the label plus e / classes for all (Szegedy et al.
    2016); `class_weights` weigh the samples of each class, and the mean is the weighted one.
    """

    smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class SquaredError:
    """The mean over outputs and samples of the squared difference."""


Loss = CrossEntropy | SquaredError


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
        self.gradient = aligned(model.flat.size)
        self._byte_reader = reader or read_bytes
        self._executors: dict[bool, Executor] = {}
        self._index = np.arange(batch, dtype=np.int64)
        self._ones = np.ones(batch, np.float32)

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
                by_class=isinstance(self.loss, CrossEntropy),
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
    ) -> tuple[float, int, Array]:
        """Return (sum of losses, correct answers, gradient of the mean loss) of one batch.

        Args:
            images: uint8 or float32 samples, (N, *input shape), C-contiguous; a whole data set when
                `indices` choose the batch from it.
            targets: of the batch: int labels (n,), or float32 rows for the squared error.
            indices: int64 (n,), which samples are the batch.
            sample_weights: float32 (n,); ones when left out.
            step: number of the step, for dropout.

        Returns:
            The loss's sum is weighted as the gradient is; divide by the batch's weight for the
            mean. The gradient is one vector laid out as `model.flat`, overwritten by the next call.

        Raises:
            InputError: shapes or labels that do not fit the network.
        """
        executor = self._executor(images.dtype)
        count = len(targets)
        if indices is None:
            indices = self._index[:count]
        self._check(images, targets, indices, count)
        weights = self._weights(targets, sample_weights)
        if isinstance(self.loss, CrossEntropy):
            targets = np.ascontiguousarray(targets, np.int64)
            self._constants[1] = self.loss.smoothing
        else:
            targets = np.ascontiguousarray(targets, np.float32)
        total = float(weights.sum(dtype=np.float64))
        self._constants[0] = 1 / total if total else 0.0
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
        executor.add_gradients(count, self.gradient)
        sums = executor.sums(count)
        return float(sums[0]), int(sums[1]), self.gradient

    def _weights(self, targets: NDArray[np.generic], given: Array | None) -> Array:
        weights: Array = self._ones[: len(targets)]
        if given is not None:
            weights = np.ascontiguousarray(given, np.float32)
        if isinstance(self.loss, CrossEntropy) and self.loss.class_weights is not None:
            table = np.array(self.loss.class_weights, np.float32)
            weights = weights * table[targets.astype(np.int64)]
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
        if isinstance(self.loss, CrossEntropy):
            classes = outputs[-1]
            if targets.min() < 0 or targets.max() >= classes:
                raise InputError(
                    f"Labels are {targets.min()} to {targets.max()}, and the network has "
                    f"{classes} outputs: 0 to {classes - 1}. Use `dense {targets.max() + 1} "
                    f"softmax` at the end."
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
