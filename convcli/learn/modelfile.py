"""Model files: safetensors with the network, classes, preprocessing and metrics inside."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as tensors_from_bytes, save as tensors_to_bytes

from convcli.errors import ConvcliError, InputError, WrongTypeError
from convcli.files import new_file
from convcli.layers.base import shape_text
from convcli.learn.metrics import loss_values, softmax
from convcli.learn.model import Model
from convcli.learn.prepare import Preprocessing
from convcli.learn.task import FIGURES, TASKS, Goal
from convcli.learn.trainer import Loss
from convcli.net import Network, parse_notation, to_notation
from convcli.net.lookup import FOREIGN, FOREIGN_READER, loaded, model_path
from convcli.net.modelheader import ModelHeader, read_model_header
from convcli.ops.losses import LOSSES
from convcli.values import NotebookRepr

if TYPE_CHECKING:
    from convcli.learn.evaluation import Evaluation

FORMAT = "convcli 1"
"""Noted in each file; a file of a later format is refused with a sentence."""

Tensors = dict[str, npt.NDArray[Any]]

OUTPUTS = tuple(TASKS)
"""What a network's outputs are: one number for each class, values such as a regression's, ..."""


@dataclass(frozen=True, slots=True)
class TrainedModel(NotebookRepr):
    """A network with its numbers, and what is needed to ask it about new samples.

    Attributes:
        model: network, weights and running statistics.
        class_names: the name of each output.
        preprocessing: how samples become the network's input.
        metrics: what was measured, by name.
        training: how it came about: data, recipe, seed, version.
        outputs: one of `OUTPUTS`; classes get their softmax where the network has none.
        target_scaling: mean and deviation of each value in the training, by which the loss is told.
    """

    model: Model
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    outputs: str = "classes"
    target_scaling: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __repr__(self) -> str:
        known = {name: f"{one:.4g}" for name, one in self.metrics.items() if name != "epoch"}
        told = "".join(f", {name} {text}" for name, text in known.items())
        ends = f"{shape_text(self.network.input_shape)} -> {len(self.class_names)} {self.outputs}"
        return f"TrainedModel({self.network.name!r}, {ends}{told})"

    @property
    def network(self) -> Network:
        """The network as a value."""
        return self.model.network

    @property
    def loss(self) -> str:
        """The loss it was trained with; the usual one of its outputs where nothing is noted."""
        recipe = self.training.get("recipe")
        noted = recipe.get("loss") if isinstance(recipe, dict) else None
        if noted in LOSSES:
            return str(noted)
        one_sigmoid = self.outputs == "classes" and self.model.trace.output_shape == (1,)
        return "bce" if one_sigmoid else TASKS[self.outputs].losses[0]

    @property
    def scaling_unknown(self) -> bool:
        """Whether it comes from another program's file that scales no samples and does not say."""
        scaling = {*self.preprocessing.scale}, {*self.preprocessing.offset}
        return "source" not in self.training and scaling == ({1.0}, {0.0})

    def kept_scaling(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return factors and summands that a training from here goes on with, None for its own."""
        scale, offset = self.preprocessing.scale, self.preprocessing.offset
        fits = {len(scale), len(offset)} <= {1, channels}
        return None if self.scaling_unknown or not fits else (scale, offset)

    @property
    def ends_in_softmax(self) -> bool:
        """Whether the network's last step gives probabilities."""
        steps = self.model.trace.steps
        return bool(steps) and "softmax" in {steps[-1].op, steps[-1].activation}

    def finished(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities for the network's outputs, or values as they are."""
        return self._goal.finished(self._ended(outputs))

    def measure(
        self, outputs: npt.NDArray[np.float32], labels: npt.NDArray[Any]
    ) -> dict[str, float]:
        """Return the loss of the network's outputs, as its training told it, and other figures."""
        outputs, goal = self._ended(outputs), self._goal
        told = goal.measure(outputs, labels)
        if self.target_scaling is not None:
            mean, deviation = map(np.asarray, self.target_scaling)
            told["loss"] = loss_values(goal.loss, (outputs - mean) / deviation,
                                       (labels - mean) / deviation)  # fmt: skip
        return told

    @property
    def _goal(self) -> Goal:
        loss = Loss(self.loss, figure=FIGURES.get(self.loss, 0.0))
        return Goal(self.outputs, loss, self.model.trace.output_shape)

    def _ended(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return outputs behind the softmax that an imported network of classes may lack."""
        lacks = self.outputs == "classes" and not self.ends_in_softmax
        return softmax(outputs) if lacks and self._goal.loss.rule.fused == "softmax" else outputs

    def samples_of(self, images: Any) -> npt.NDArray[Any]:
        """Return (N, *input shape) samples of arrays, files or Pillow pictures, as `predict`."""
        if isinstance(images, np.ndarray):
            return self.preprocessing.stack(images)
        from convcli.learn.pictures import samples_of

        return samples_of(images, self.preprocessing)

    def evaluate(
        self,
        data: Any = None,
        labels: Any = None,
        *,
        split: str | None = None,
        worst: int = 5,
        threads: int = 0,
    ) -> Evaluation:
        """Return how the model does on labeled samples; arguments as `convcli.evaluate`."""
        from convcli.learn.evaluation import judged

        return judged(self, data, labels, split=split, worst=worst, threads=threads)[0]

    def predict(self, images: Any, *, logits: bool = False) -> npt.NDArray[np.float32]:
        """Return each class's probability, (N, classes), or the values, for samples.

        Args:
            images: (N, *input shape) or one sample, as the training data were: bytes 0 to 255 for
                pictures. A gray picture may leave its channel axis out. Or a picture's file, a
                Pillow picture, or a list of these.
            logits: return the raw outputs instead, before any softmax.

        Warns:
            UserWarning: the model scales its samples, and these seem to be scaled already.

        Raises:
            InputError: the samples do not fit the network.
        """
        stacked = self.samples_of(images)
        self.warn_of(stacked)
        samples = self.preprocessing.engine_samples(stacked)
        if logits:
            raw = self.model.logits if self.ends_in_softmax else self.model.predict
            return raw(samples)
        return self.finished(self.model.predict(samples))

    def predict_all(self, inputs: Any) -> dict[str, npt.NDArray[np.float32]]:
        """Return every output by its layer's name, (N, *its shape); of one output that one.

        Args:
            inputs: samples as `predict` takes them; for a network with several inputs a dictionary
                of arrays by name, the first of which is `input`.

        Raises:
            InputError: the samples do not fit the network, or an input is missing.
        """
        if not isinstance(inputs, Mapping):
            inputs = {"input": self.samples_of(inputs)}
        scaled = {
            name: self.preprocessing.engine_samples(np.asarray(array))
            for name, array in inputs.items()
        }
        return self.model.outputs(scaled)

    def warn_of(self, samples: npt.NDArray[Any]) -> None:
        """Warn the caller's caller where samples seem to be scaled already, or not at all."""
        doubt = self.preprocessing.doubt(samples)
        if self.scaling_unknown and samples.dtype == np.uint8 and samples.max(initial=0) > 1:
            doubt = (
                "The model's file does not say how samples are scaled: they are taken as they are, "
                "0 to 255. If it was trained on 0 to 1, write convcli import FILE --scale 1/255"
            )
        if doubt:
            warnings.warn(doubt, UserWarning, stacklevel=3)

    def save(self, path: Path | str, *, force: bool = False) -> None:
        """Write the model file, whole or not at all.

        Raises:
            OutputExistsError: `path` exists and `force` is off.
            InputError: it cannot be written there.
        """
        with new_file(Path(path), force=force) as temporary:
            temporary.write_bytes(self.content())

    def content(self) -> bytes:
        """Return the bytes of the model file."""
        return _content(
            {**self.model.parameters, **self.model.buffers},
            {
                "network": to_notation(self.network),
                "classes": json.dumps(self.class_names),
                "preprocessing": json.dumps(self.preprocessing.record()),
                "metrics": json.dumps(self.metrics),
                "training": json.dumps(self.training),
                "outputs": self.outputs,
                "target_scaling": json.dumps(self.target_scaling),
            },
        )


def model_of(model: TrainedModel | str | os.PathLike[str]) -> TrainedModel:
    """Return a model, or the one in a file or a run's directory, see `load`."""
    if isinstance(model, TrainedModel):
        return model
    if isinstance(model, str | os.PathLike):
        return load(model)
    raise WrongTypeError(f"{type(model).__name__}: a model is a TrainedModel, or a path to one.")


def load(path: str | os.PathLike[str]) -> TrainedModel:
    """Return the model in the file at `path`, or in the run's directory there.

    Files of other programs (.onnx, .keras, .h5) are read as `import_model` reads them.

    Raises:
        InputError: no such file, a damaged or hostile one, or one without a network.
    """
    path = model_path(Path(path))
    if path.suffix.lower() in FOREIGN:
        foreign: TrainedModel = loaded(FOREIGN_READER)(path)
        return foreign
    header, tensors = read_tensors(path)
    if "checkpoint" in header.texts:
        raise InputError(
            f"{path} is the checkpoint of a training; the model is model.safetensors beside it."
        )
    network = _network(path, header)
    _check_shapes(path, network, tensors)
    preprocessing = Preprocessing.from_record(
        _json(path, header, "preprocessing", dict), network.input_shape
    )
    model = Model.initialize(network, scaling=preprocessing.engine_scaling)
    for name, array in {**model.parameters, **model.buffers}.items():
        array[...] = tensors[name]
    class_names = tuple(_json(path, header, "classes", list))
    (outputs,) = network.trace().output_shape[-1:]
    named = len(class_names) == outputs or (outputs == 1 and len(class_names) == 2)
    if not named or not all(isinstance(name, str) for name in class_names):
        raise InputError(
            f"{path}: {len(class_names)} class names for a network with {outputs} outputs."
        )
    outputs_are = header.texts.get("outputs", OUTPUTS[0])
    if outputs_are not in OUTPUTS:
        raise InputError(
            f"{path}: its outputs are {outputs_are[:40]!r}, not {' or '.join(OUTPUTS)}."
        )
    return TrainedModel(
        model=model,
        class_names=class_names,
        preprocessing=preprocessing,
        metrics=_json(path, header, "metrics", dict),
        training=_json(path, header, "training", dict),
        outputs=outputs_are,
        target_scaling=_target_scaling(path, header, outputs),
    )


def _target_scaling(
    path: Path, header: ModelHeader, outputs: int
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and deviation of each output, None for a model whose values are not scaled."""
    if header.texts.get("target_scaling", "null") == "null":
        return None
    try:
        mean, deviation = (
            tuple(map(float, row)) for row in _json(path, header, "target_scaling", list)
        )
    except (TypeError, ValueError):
        mean, deviation = (), ()
    told = np.array([*mean, *deviation])
    if {len(mean), len(deviation)} != {outputs} or not np.isfinite(told).all() or 0 in deviation:
        raise InputError(f"{path}: its note 'target_scaling' has malformed figures.")
    return mean, deviation


def write_tensors(
    path: Path, tensors: Tensors, texts: dict[str, str], *, force: bool = False
) -> None:
    """Write a safetensors file, whole or not at all; errors as `convcli.files.new_file`."""
    content = _content(tensors, texts)
    with new_file(path, force=force) as temporary:
        temporary.write_bytes(content)


def _content(tensors: Tensors, texts: dict[str, str]) -> bytes:
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    return _in_fixed_order(tensors_to_bytes(whole, {"format": FORMAT, **texts}))


def read_tensors(path: Path) -> tuple[ModelHeader, Tensors]:
    """Return head and arrays of a safetensors file of ours; its numbers are all finite.

    Raises:
        InputError: no such file, a damaged or hostile one, or one of a later format.
    """
    header = read_model_header(path)
    written_as = header.texts.get("format", "")
    if written_as.startswith("convcli ") and written_as != FORMAT:
        raise InputError(
            f"{path} has the format {written_as[:40]!r}; this version reads {FORMAT!r}. "
            "Use the convcli that wrote it, or a newer one."
        )
    try:
        tensors = tensors_from_bytes(path.read_bytes())
    except (SafetensorError, ValueError, KeyError, AttributeError, TypeError) as problem:
        raise InputError(f"{path} cannot be read as safetensors: {problem}.") from problem
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise InputError(f"{path}: the array {name} holds NaN or infinity; train anew.")
    return header, tensors


def _in_fixed_order(content: bytes) -> bytes:
    """Return a safetensors file with its header sorted: the package orders the texts by chance.

    Equal models then are equal files. The header's length stays a multiple of 8, as the arrays
    must begin aligned.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _network(path: Path, header: ModelHeader) -> Network:
    if "network" not in header.texts:
        raise InputError(
            f"{path} holds numbers but no network: it was not written by convcli train. "
            "For weights of another program see: convcli import --help"
        )
    try:
        return parse_notation(header.texts["network"])
    except ConvcliError as problem:
        raise InputError(f"{path}: the network in it cannot be used. {problem}") from problem


def _check_shapes(path: Path, network: Network, tensors: Tensors) -> None:
    """Compare the arrays with the network on paper, before memory for the network is taken."""
    needed = {
        f"{step.name}.{name}": shape
        for step in network.trace().steps
        for name, shape in {**step.weights, **step.buffer_shapes}.items()
    }
    for name, shape in needed.items():
        found = tensors.get(name)
        if found is None:
            raise InputError(f"{path}: the network needs an array {name}, the file has none.")
        if found.shape != shape or found.dtype != np.float32:
            raise InputError(
                f"{path}: the array {name} is {found.dtype} of shape {found.shape}, "
                f"the network needs float32 of shape {shape}."
            )
    extra = sorted(set(tensors) - set(needed))
    if extra:
        raise InputError(f"{path}: the network has no place for the array {extra[0]}.")


def _json(path: Path, header: ModelHeader, key: str, kind: type) -> Any:
    try:
        value = json.loads(header.texts[key])
    except (KeyError, ValueError, RecursionError) as problem:
        raise InputError(f"{path}: its note {key!r} is missing or no JSON.") from problem
    if not isinstance(value, kind):
        raise InputError(f"{path}: its note {key!r} is no {kind.__name__}.")
    return value
