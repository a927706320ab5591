"""A network with numbers in it: parameters, running statistics, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from convcli.engine.calls import KEYS, Base, digest
from convcli.engine.llvm import aligned
from convcli.errors import InputError
from convcli.layers.base import Shape, shape_text
from convcli.learn.first_weights import first_buffers, first_weights
from convcli.net.trace import Trace, check_single
from convcli.net.value import Network
from convcli.ops import reference
from convcli.ops.executor import Executor
from convcli.ops.lowering import compile_inference, read_bytes, read_floats
from convcli.ops.program import ProgramBuilder, Slot, parameter_shapes, slots, views
from convcli.ops.rule import Array

if TYPE_CHECKING:
    from convcli.data import Split
    from convcli.learn.prepare import Preprocessing

PREDICTION_BATCH = 128


@dataclass
class _Predictor:
    """A program that predicts, and what tells the numbers that its weights were prepared from."""

    program: ProgramBuilder
    executor: Executor
    seen: bytes | None = None
    prepared: bool = False

    def refresh(self, model: Model) -> None:
        """Follow the model's numbers, which anyone may have changed in place."""
        found = np.empty(1, np.int64)
        numbers, pairs = model.flat.ctypes.data, model.flat.size // 2
        digest.compiled.ctypes(numbers, pairs, KEYS.ctypes.data, found.ctypes.data)
        seen = b"".join(array.tobytes() for array in (found, *model.buffers.values()))
        if self.seen == seen:
            return
        self.seen, self.prepared = seen, False
        for name, place in self.program.statistics.items():
            self.executor.numbers(place)[:] = model.buffers[name].ravel()
        for name, array in self.program.folding.folded({**model.parameters, **model.buffers}):
            self.executor.numbers(self.program.folded[name])[:] = array.ravel()

    def run(self, count: int, bases: dict[Base, int]) -> None:
        """Predict for one batch."""
        self.executor.run(count, bases, prepare=not self.prepared)
        self.prepared = True


@dataclass
class Model:
    """Parameters and running statistics of a network.

    Attributes:
        network: what it is on paper.
        flat: all parameters in one float32 vector on cache lines; gaps between arrays are zeros.
        buffers: `step.name` -> running statistics of batch norm, float32.
        scaling: factor and summand that turn stored samples into inputs, for uint8 and float32
            alike; (1, 0) leaves them.
    """

    network: Network
    flat: Array
    buffers: dict[str, Array]
    scaling: tuple[float, float] = (1.0, 0.0)
    trace: Trace = field(init=False, repr=False)
    slots: dict[str, Slot] = field(init=False, repr=False)
    parameters: dict[str, Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.trace = self.network.trace()
        self.slots, size = slots(parameter_shapes(self.trace))
        if self.flat.shape != (size,) or self.flat.dtype != np.float32:
            raise InputError(
                f"{self.flat.shape} numbers do not fit {self.network.name}: it needs ({size},)."
            )
        self.parameters = views(self.slots, self.flat)
        self._predictors: dict[tuple[bool, int, int, bool], _Predictor] = {}

    @classmethod
    def initialize(
        cls, network: Network, seed: int = 0, scaling: tuple[float, float] = (1.0, 0.0)
    ) -> Model:
        """Return a model with first weights.

        >>> from convcli.net import parse_notation
        >>> model = Model.initialize(parse_notation("input 4, dense 2 softmax"), seed=1)
        >>> {name: array.shape for name, array in model.parameters.items()}
        {'dense1.kernel': (4, 2), 'dense1.bias': (2,)}
        """
        trace = network.trace()
        _, size = slots(parameter_shapes(trace))
        model = cls(network, aligned(size), first_buffers(trace), scaling)
        for name, values in first_weights(trace, seed).items():
            model.parameters[name][...] = values
        return model

    def copy(self) -> Model:
        """Return a model with the same numbers in memory of its own."""
        twin = aligned(self.flat.size)
        twin[...] = self.flat
        buffers = {name: array.copy() for name, array in self.buffers.items()}
        return Model(self.network, twin, buffers, self.scaling)

    def copy_layers(self, source: Model) -> list[str]:
        """Take the numbers of the layers that both models have with one name and equal shapes.

        Returns:
            their names.

        Raises:
            InputError: they share none.
        """
        theirs, ours = _arrays_by_layer(source), _arrays_by_layer(self)
        shared = [
            name
            for name, arrays in ours.items()
            if {key: array.shape for key, array in arrays.items()}
            == {key: array.shape for key, array in theirs.get(name, {}).items()}
        ]
        if not shared:
            raise InputError(
                "The model to begin with shares no layer with the network: names or shapes differ "
                f"(it has {', '.join(list(theirs)[:3])}; the network {', '.join(list(ours)[:3])})."
            )
        for name in shared:
            for key, array in ours[name].items():
                array[...] = theirs[name][key]
        return shared

    def check_samples(self, images: NDArray[np.generic], shape: Shape | None = None) -> None:
        """Refuse samples of another shape or type; of the first input unless `shape` is given.

        Raises:
            InputError: with both shapes.
        """
        shape = shape or self.network.input_shape
        if images.shape[1:] != shape:
            raise InputError(
                f"Samples are {'x'.join(map(str, images.shape[1:]))}, and {self.network.name} "
                f"reads {'x'.join(map(str, shape))}. Change the network's input or the data."
            )
        if images.dtype not in {np.dtype(np.uint8), np.dtype(np.float32)}:
            raise InputError(f"Samples are {images.dtype}. Use uint8 or float32.")
        if not images.flags.c_contiguous:
            raise InputError("Samples do not lie in one piece. Use numpy.ascontiguousarray.")

    def predict(
        self, images: NDArray[np.generic], *, threads: int = 0, batch: int = PREDICTION_BATCH
    ) -> Array:
        """Return the network's outputs, (N, *output shape) float32: probabilities after a softmax.

        Args:
            images: (N, *input shape), uint8 or float32; `scaling` is applied.
            threads: 0 for all.
            batch: samples at a time.

        Raises:
            InputError: samples that do not fit.
        """
        return self._single(images, threads, batch, logits=False)

    def outputs(
        self,
        inputs: NDArray[np.generic] | Mapping[str, NDArray[np.generic]],
        *,
        threads: int = 0,
        batch: int = PREDICTION_BATCH,
    ) -> dict[str, Array]:
        """Return every output of a network by its layer's name, (N, *its shape) float32.

        Args:
            inputs: (N, *input shape), uint8 or float32; of several inputs one array for each name,
                all of one type: `input` is the first, the others have names of their own.
            threads: 0 for all.
            batch: samples at a time.

        >>> from convcli.net import parse_notation
        >>> text = "input 4, a: dense 2, b: input 3, dense 2, residual( | from a), c: dense 5"
        >>> model = Model.initialize(parse_notation(f"{text}, from b, d: dense 1"))
        >>> samples = {"input": np.ones((9, 4), np.float32), "b": np.ones((9, 3), np.float32)}
        >>> {name: array.shape for name, array in model.outputs(samples).items()}
        {'c': (9, 5), 'd': (9, 1)}

        Raises:
            InputError: samples that do not fit, or inputs that are missing.
        """
        found = self._answer(self._rows(inputs), threads, batch, logits=False)
        shapes = {step.name: step.output_shape for step in self.trace.outputs}
        ends = np.cumsum([prod(shape) for shape in shapes.values()])[:-1]
        parts = np.split(found, ends, axis=1)
        return {
            name: part.reshape(len(part), *shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }

    def _rows(
        self, inputs: NDArray[np.generic] | Mapping[str, NDArray[np.generic]]
    ) -> NDArray[np.generic]:
        """Return the samples with all inputs of one in a row."""
        given = inputs if isinstance(inputs, Mapping) else {"input": inputs}
        shapes = self.trace.inputs
        if given.keys() != shapes.keys():
            wanted = ", ".join(f"{name} {shape_text(shape)}" for name, shape in shapes.items())
            raise InputError(
                f"{self.network.name} reads {wanted}, and got {', '.join(given) or 'nothing'}."
            )
        for name, shape in shapes.items():
            self.check_samples(given[name], shape)
        if len(shapes) == 1:
            return given["input"]
        counts, types = ({fact(array) for array in given.values()} for fact in (len, _type_of))
        if len(counts) > 1 or len(types) > 1:
            told = ", ".join(f"{name} {a.dtype} {a.shape}" for name, a in given.items())
            raise InputError(f"All inputs need one type and as many samples: {told}.")
        return np.concatenate([given[name].reshape(len(given[name]), -1) for name in shapes], 1)

    def logits(
        self, images: NDArray[np.generic], *, threads: int = 0, batch: int = PREDICTION_BATCH
    ) -> Array:
        """Return what the last softmax gets; otherwise as `predict`.

        Raises:
            InputError: samples that do not fit, or no softmax at the end.
        """
        return self._single(images, threads, batch, logits=True)

    def activations(self, images: NDArray[np.generic]) -> dict[str, Array]:
        """Return every step's output by name, (N, *shape) float32, computed layer by layer.

        Raises:
            InputError: samples that do not fit.
        """
        run = self._run(images)
        return {step.name: run.values[step.index] for step in self.trace.steps}

    def input_gradient(
        self, images: NDArray[np.generic], slopes: Mapping[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        """Return the gradient with respect to the scaled input, and every step's output.

        Args:
            images: (N, *input shape), uint8 or float32; `scaling` is applied.
            slopes: step name -> gradient of the wanted number with respect to that step's output,
                (N, *shape): ones at a class's output give the slope of that class.

        Raises:
            InputError: samples that do not fit.
        """
        run = self._run(images)
        by_index = {
            self.trace.step(name).index: np.asarray(slope, np.float32)
            for name, slope in slopes.items()
        }
        gradient, _ = run.backward(by_index)
        return gradient, {step.name: run.values[step.index] for step in self.trace.steps}

    def _run(self, images: NDArray[np.generic]) -> reference.Pass:
        self.check_samples(images)
        factor, summand = self.scaling
        scaled = images.astype(np.float32) * np.float32(factor) + np.float32(summand)
        return reference.run(self.trace, self.parameters, self.buffers, scaled)

    def _single(
        self, images: NDArray[np.generic], threads: int, batch: int, *, logits: bool
    ) -> Array:
        check_single(
            self.trace,
            "this answers one with one. In Python convcli.load(MODEL).predict_all takes an array "
            "for each input and gives every output.",
        )
        self.check_samples(images)
        found = self._answer(images, threads, batch, logits=logits)
        return found.reshape(len(images), *self.trace.output_shape)

    def _answer(
        self, images: NDArray[np.generic], threads: int, batch: int, *, logits: bool
    ) -> Array:
        ends = [step.output_shape for step in self.trace.outputs] or [self.network.input_shape]
        outputs = np.zeros((len(images), sum(map(prod, ends))), np.float32)
        predictor = self._predictor(images.dtype, threads, batch, logits)
        for begin in range(0, len(images), batch):
            count = min(batch, len(images) - begin)
            index = np.arange(begin, begin + count)
            predictor.run(
                count,
                {
                    Base.PARAMETERS: self.flat.ctypes.data,
                    Base.INPUT: images.ctypes.data,
                    Base.INDEX: index.ctypes.data,
                    Base.OUTPUT: outputs[begin:].ctypes.data,
                },
            )
        return outputs

    def _predictor(
        self, dtype: np.dtype[np.generic], threads: int, batch: int, logits: bool
    ) -> _Predictor:
        floats = dtype == np.float32
        key = (floats, threads, batch, logits)
        if key not in self._predictors:
            reader = read_floats if floats else read_bytes
            program = compile_inference(self.trace, self.slots, reader, logits=logits)
            executor = Executor(program, batch=batch, threads=threads)
            executor.numbers(program.scaling)[:] = self.scaling
            self._predictors[key] = _Predictor(program, executor)
        self._predictors[key].refresh(self)
        return self._predictors[key]


def _type_of(array: NDArray[np.generic]) -> np.dtype[np.generic]:
    return array.dtype


def _arrays_by_layer(model: Model) -> dict[str, dict[str, Array]]:
    found: dict[str, dict[str, Array]] = {}
    for name, array in (model.parameters | model.buffers).items():
        layer, _, key = name.rpartition(".")
        found.setdefault(layer, {})[key] = array
    return found


def predict_split(
    model: Model, preprocessing: Preprocessing, split: Split, threads: int = 0
) -> npt.NDArray[np.float32]:
    """Return the network's outputs for all samples of a split."""
    if split.rows is None and not (split.on_disk or preprocessing.rescales(split.stored.dtype)):
        return model.predict(np.ascontiguousarray(split.stored), threads=threads)
    blocks = split.blocks(PREDICTION_BATCH)
    return np.concatenate(
        [model.predict(preprocessing.engine_samples(one), threads=threads) for one in blocks]
    )
