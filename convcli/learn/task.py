"""What is to be learned: network, data and loss held against each other, targets and figures.

The task follows from the data; the network's last layer has to give what it asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.data import Dataset
from convcli.data.augmentation import Augmentation, read_augmentation
from convcli.data.dataset import IGNORED, TASKS as LABELS
from convcli.errors import InputError, UsageError, did_you_mean
from convcli.layers import Activation, Conv, Dense, Layer
from convcli.layers.base import shape_text
from convcli.layers.join import Block, Branch
from convcli.learn.metrics import centered, loss_values, measure, softmax
from convcli.learn.model import Model
from convcli.learn.recipes import METRICS, Recipe
from convcli.learn.trainer import Loss
from convcli.net import Network
from convcli.ops.rule import Array

PASSED_OVER = {"softmax", "sigmoid", "gap", "gmp", "flatten", "dropout", "adaptavg"}
"""Layers behind the one that decides the number of outputs."""


class Task(NamedTuple):
    """What a task asks of a training.

    Attributes:
        losses: that can be minimized, the usual one first.
        end: the activation at the network's end; None for none.
        layer: how the last layer is written, up to its number of outputs.
        monitor: the figure that chooses the epoch.
    """

    losses: tuple[str, ...]
    end: str | None
    layer: str
    monitor: str


TASKS = {
    "classes": Task(
        ("cross-entropy", "focal", "hinge", "mse", "bce"), "softmax", "dense {}", "accuracy"
    ),
    "labels": Task(("bce", "mse"), "sigmoid", "dense {}", "accuracy"),
    "values": Task(("mse", "mae", "huber"), None, "dense {}", "loss"),
    "mask": Task(("cross-entropy", "dice", "focal"), "softmax", "conv {} 1", "iou"),
}
"""The tasks by name, see `convcli.data.dataset.TASKS`."""

FIGURES = {"focal": 2.0, "huber": 1.0}
"""Focal's gamma, and Huber's delta in deviations of the values."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a network is to give for samples.

    Attributes:
        task: one of `TASKS`.
        loss: what is minimized.
        shape: of the network's output.
        mean: of each value to be told, in the data's units; empty where they are learned as they
            are.
        deviation: likewise; the network learns values of mean 0 and deviation 1.
    """

    task: str
    loss: Loss
    shape: tuple[int, ...]
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels of a data set as the trainer takes them."""
        if self.task == "mask":
            return centered(labels, self.shape[:-1])
        if self.task == "classes":
            if self.loss.rule.labels:
                return labels
            if self.shape != (1,):
                labels = np.eye(self.shape[-1], dtype=np.float32)[labels]
            return labels.reshape(len(labels), -1).astype(np.float32)
        if self.mean:
            scaled: Array = (labels - np.asarray(self.mean)) / np.asarray(self.deviation)
            labels = scaled
        return labels.astype(np.float32)

    def shares(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        """Return targets that can be mixed: shares of the classes, or values as they are."""
        if not self.loss.rule.labels:
            return targets
        off = self.loss.smoothing / self.shape[-1]
        shares = np.full((len(targets), self.shape[-1]), off, np.float32)
        shares[np.arange(len(targets)), targets] += np.float32(1 - self.loss.smoothing)
        return shares

    @property
    def loss_of_shares(self) -> Loss:
        """The loss that compares with `shares`."""
        return Loss("soft cross-entropy") if self.loss.rule.labels else self.loss

    def finished(self, outputs: Array) -> Array:
        """Return the network's outputs as figures read them: probabilities, or the data's units."""
        if self.mean:
            values: Array = outputs * np.asarray(self.deviation) + np.asarray(self.mean)
            return values.astype(np.float32)
        if self.task == "classes" and self.shape == (1,):
            return np.concatenate([1 - outputs, outputs], axis=1)
        if self.loss.name == "hinge":
            return softmax(outputs)
        return outputs

    def measure(self, outputs: Array, labels: NDArray[Any]) -> dict[str, float]:
        """Return the mean loss of a network's outputs and the figures of the task."""
        plain = Loss(self.loss.name, figure=self.loss.figure)
        told = {"loss": loss_values(plain, outputs, self.targets(labels))}
        if self.task == "mask":
            labels = centered(labels, self.shape[:-1])
        return told | measure(self.task, self.finished(outputs), labels)

    def guessing_loss(self) -> float:
        """Return the loss of one who tells nothing apart: what is to be beaten."""
        classes = max(self.shape[-1], 2)
        match self.loss.name:
            case "cross-entropy":
                return float(np.log(classes))
            case "focal":
                return float((1 - 1 / classes) ** self.loss.figure * np.log(classes))
            case "bce":
                return float(np.log(2))
            case "hinge" | "mse" if self.task == "classes":
                ones = 1 if self.loss.name == "hinge" else 1 / classes
                return (1 - 1 / classes) * ones
            case _:  # about that of the mean, of values with a deviation of 1; the most for dice
                return 1.0

    def fold(self, model: Model) -> None:
        """Let the last layer give values in the data's units."""
        if self.mean:
            kernel, bias = _last_arrays(model)
            kernel *= np.asarray(self.deviation, np.float32)
            bias *= np.asarray(self.deviation, np.float32)
            bias += np.asarray(self.mean, np.float32)

    def unfold(self, model: Model) -> None:
        """Undo `fold`, for a last layer that comes from an earlier model."""
        if self.mean:
            kernel, bias = _last_arrays(model)
            bias -= np.asarray(self.mean, np.float32)
            kernel /= np.asarray(self.deviation, np.float32)
            bias /= np.asarray(self.deviation, np.float32)


def goal_for(network: Network, data: Dataset, recipe: Recipe) -> Goal:
    """Return what a network is to learn of data, as a recipe has it.

    >>> from convcli.data import Split
    >>> from convcli.net import parse_notation
    >>> data = Dataset("d", ("a", "b"), Split(np.zeros((4, 1), np.float32), np.array([0, 0, 0, 1])))
    >>> net = parse_notation("input 1, dense 2 softmax")
    >>> goal_for(net, data, Recipe(class_weights="balanced")).loss.class_weights
    (0.6666666666666666, 2.0)
    """
    shape = network.trace().output_shape
    name = loss_name(recipe, data, shape)
    smoothing = recipe.label_smoothing if name == "cross-entropy" else 0.0
    loss = Loss(name, smoothing, _class_weights(recipe, data, name), FIGURES.get(name, 0.0))
    if data.task != "values" or not _foldable(network):
        return Goal(data.task, loss, shape)
    rows = data.train.labels.reshape(-1, data.train.labels.shape[-1]).astype(np.float64)
    deviation = rows.std(axis=0)
    deviation[deviation == 0] = 1.0
    return Goal(
        data.task, loss, shape, tuple(rows.mean(axis=0).tolist()), tuple(deviation.tolist())
    )


def loss_name(recipe: Recipe, data: Dataset, shape: tuple[int, ...]) -> str:
    """Return the recipe's loss, or the usual one of the task."""
    if recipe.loss is not None:
        return recipe.loss
    yes_or_no = data.task == "classes" and shape == (1,)
    return "bce" if yes_or_no else TASKS[data.task].losses[0]


def _class_weights(recipe: Recipe, data: Dataset, loss: str) -> tuple[float, ...] | None:
    """Return what each class weighs, None for all alike; balanced, every present one counts alike.

    Raises:
        UsageError: weights of classes that there are not, or for a loss that has none.
    """
    if recipe.class_weights == "none":
        return None
    if loss not in {"cross-entropy", "focal"}:
        raise UsageError(f"--class-weights weighs cross-entropy and focal, not --loss {loss}.")
    if named := recipe.read_class_weights():
        strangers = [name for name in named if name not in data.class_names]
        if strangers:
            hint = did_you_mean(strangers[0], data.class_names)
            raise UsageError(
                f"--class-weights: there is no class {strangers[0]!r}.{hint} {data.name} has "
                f"{', '.join(data.class_names[:12])}."
            )
        return tuple(named.get(name, 1.0) for name in data.class_names)
    labels = data.train.labels
    if data.task == "mask":
        labels = labels[labels != IGNORED]
    counts = np.bincount(labels.ravel(), minlength=data.classes)
    present = np.maximum(counts, 1)
    return tuple((labels.size / ((counts > 0).sum() * present)).tolist())


def check_fit(network: Network, data: Dataset, recipe: Recipe) -> None:
    """Compare the network with samples, task and loss, and the augmentation with the samples.

    Raises:
        InputError: the network does not fit.
        UsageError: a loss or a figure that the task does not have, or samples that cannot be
            changed so.
    """
    if recipe.sampler != "shuffle" and data.task != "classes":
        raise UsageError(
            f"--sampler {recipe.sampler} needs one class for each sample; {data.name} has "
            f"{LABELS[data.task]}. Leave it out."
        )
    if network.input_shape != data.sample_shape:
        raise InputError(
            f"The network takes {shape_text(network.input_shape)}, the samples of {data.name} are "
            f"{shape_text(data.sample_shape)}. Begin the network with "
            f"`input {shape_text(data.sample_shape)}`"
            f"{', or resize the samples with --size' if data.train.files else ''}."
        )
    task, trace = TASKS[data.task], network.trace()
    shape, steps = trace.output_shape, trace.steps
    loss = loss_name(recipe, data, shape)
    if loss not in task.losses:
        raise UsageError(
            f"--loss {loss} is none for {_wanted(data)}; there are {', '.join(task.losses)}."
        )
    if recipe.monitor is not None and data.task not in METRICS[recipe.monitor].tasks:
        known = [name for name, one in METRICS.items() if data.task in one.tasks]
        raise UsageError(
            f"--monitor {recipe.monitor} is none for {_wanted(data)}; there are {', '.join(known)}."
        )
    if not fits(shape, data):
        raise InputError(
            f"The network gives {shape_text(shape)}, {data.name} has {_wanted(data)}. "
            f"End the network with `{last_layer(data)}`."
        )
    end = {steps[-1].activation, steps[-1].op} if steps else {None}
    needed = Loss(loss).rule.fused
    if needed is not None and needed not in end:
        what = "Binary cross-entropy" if loss == "bce" else loss.capitalize()
        rest = ", or use --loss mse" if "mse" in task.losses else ""
        raise InputError(
            f"{what} needs a {needed} at the end, and the network ends with "
            f"{steps[-1].name if steps else 'its input'}. Write `{last_layer(data, needed)}` last"
            f"{rest}."
        )
    if loss == "hinge" and end & {"softmax", "sigmoid"}:
        raise InputError(
            "Hinge compares raw outputs, and the network ends with a softmax or sigmoid. Write "
            f"`dense {data.classes}` last."
        )
    augmentation = read_augmentation(recipe.augment)
    check_augmentation(augmentation, data)
    plain = not Loss(loss).rule.labels or (loss, recipe.class_weights) == ("cross-entropy", "none")
    if augmentation.mixes and not plain:
        raise UsageError(
            "--augment mixup and cutmix give shares of classes, which cross-entropy without "
            f"--class-weights, bce and mse can take, not --loss {loss}."
        )


def check_augmentation(augmentation: Augmentation, data: Dataset) -> None:
    """Refuse to change samples whose targets would have to change in a way that nobody knows.

    Raises:
        UsageError: these samples cannot be changed so.
    """
    if not augmentation:
        return
    augmentation.check(data.sample_shape)
    if data.task == "mask" and augmentation.mixes:
        raise UsageError("--augment mixup and cutmix are not for masks. Leave them out.")
    if data.task == "values" and len(data.output_shape) > 1:
        raise UsageError(
            "--augment moves samples, and values for every place of one would stay. Leave it out."
        )


def fits(shape: tuple[int, ...], data: Dataset) -> bool:
    """Tell whether a network's output can be compared with what the data ask for."""
    if data.task == "mask":  # a map without padding is smaller all around
        cells = zip(shape[:-1], data.output_shape[:-1], strict=False)
        same_axes = len(shape) == len(data.output_shape)
        return same_axes and shape[-1] == data.classes and all(ours <= all_ for ours, all_ in cells)
    if data.task == "classes" and data.classes == 2 and shape == (1,):
        return True
    return shape == data.output_shape


def _wanted(data: Dataset) -> str:
    """Return what is to be learned, in words."""
    return {
        "classes": f"{data.classes} classes",
        "labels": f"{data.classes} labels, each yes or no",
        "values": f"values of {shape_text(data.output_shape)}",
        "mask": f"masks of {shape_text(data.output_shape[:-1])} with {data.classes} classes",
    }[data.task]


def last_layer(data: Dataset, end: str | None = None) -> str:
    """Return the words of a last layer that fits.

    >>> from convcli.data import Split
    >>> last_layer(Dataset("d", ("a", "b"), Split(np.zeros((4, 1)), np.array([0, 0, 0, 1]))))
    'dense 2 softmax'
    """
    task, shape = TASKS[data.task], data.output_shape
    words = f"{task.layer.format(shape[-1])} {end or task.end or ''}".rstrip()
    if data.task != "values" or len(shape) == 1:
        return words
    if shape[:-1] == data.sample_shape[:-1]:
        return f"conv {shape[-1]} 1"
    return f"flatten, dense {np.prod(shape)}, reshape {shape_text(shape)}"


def adapted(network: Network, data: Dataset) -> tuple[Network, str]:
    """Return the network with the data's input shape and outputs, and what was changed.

    The sentence is empty where nothing was changed.

    Raises:
        InputError: the layers do not fit the input, or none decides the outputs.

    >>> from convcli.data import Split
    >>> from convcli.net import parse_notation, to_notation
    >>> data = Dataset("two", ("a", "b"), Split(np.zeros((2, 4, 4, 1)), np.array([0, 1])))
    >>> to_notation(adapted(parse_notation("input 9x9x1, flatten, dense 10 softmax"), data)[0])
    'input 4x4x1, flatten, dense 2 softmax'
    """
    changes = []
    if network.input_shape != data.sample_shape:
        changes.append(f"its input is {shape_text(data.sample_shape)}")
        network = network.with_input(data.sample_shape)
    before = network.trace().output_shape
    kept = data.task == "classes" and fits(before, data)
    changed = network if kept else _with_outputs(network, data)
    if changed != network:
        network, outputs = changed, data.output_shape[-1]
        if before[-1:] != network.trace().output_shape[-1:]:
            changes.append(f"it has {outputs} output{'s' if outputs != 1 else ''}")
        else:
            changes.append(f"it ends with `{last_layer(data)}`")
    if not fits(network.trace().output_shape, data):
        flat = "flatten, " if last_layer(data).startswith("dense") else ""
        raise InputError(
            f"The network gives {shape_text(before)}; no change of its last layer makes that "
            f"{_wanted(data)}. End it with `{flat}{last_layer(data)}`."
        )
    if not changes:
        return network, ""
    return network, f"For {data.name} the network was changed: {' and '.join(changes)}."


def with_new_head(network: Network, outputs: int) -> Network:
    """Return the network with another last layer, under a name that no layer had.

    >>> from convcli.net import parse_notation, to_notation
    >>> to_notation(with_new_head(parse_notation("input 9, dense 4 relu, dense 10 softmax"), 3))
    'input 9, dense 4 relu, dense 3 softmax name=head'

    Raises:
        InputError: the network ends with no layer that decides the number of outputs.
    """
    taken = {step.name for step in network.trace().steps}
    names = ("head", *(f"head{number}" for number in range(2, len(taken) + 3)))
    place = _deciding_layer(network)
    if place is None:
        raise InputError(
            f"{network.name} ends with no dense layer or convolution that --head could replace."
        )
    layer = network.layers[place]
    size = {"units": outputs} if isinstance(layer, Dense) else {"filters": outputs}
    changed = replace(layer, name=next(n for n in names if n not in taken), **size)
    return replace(network, layers=_put(network.layers, place, changed))


def _deciding_layer(network: Network) -> int | None:
    """Return the place of the layer that decides the number of outputs, None where none does."""
    for place in reversed(range(len(network.layers))):
        layer = network.layers[place]
        if isinstance(layer, Dense | Conv):
            return place
        if getattr(layer, "row_op", layer.op) not in PASSED_OVER:
            break
    return None


def _put(layers: Branch, place: int, layer: Layer | Block) -> Branch:
    return (*layers[:place], layer, *layers[place + 1 :])


def _with_outputs(network: Network, data: Dataset) -> Network:
    """Return the network with the task's outputs and end in the last layer that has any.

    One sigmoid for two classes stays; another softmax behind the layer stays too.
    """
    outputs, end = data.output_shape[-1], TASKS[data.task].end
    place = _deciding_layer(network)
    layer = None if place is None else network.layers[place]
    changed: Dense | Conv
    if isinstance(layer, Dense):
        if fits((layer.units,), data) and layer.units == 1 and layer.activation == "sigmoid":
            return network
        changed = replace(layer, units=outputs)
    elif isinstance(layer, Conv):
        changed = replace(layer, filters=outputs)
    else:
        return network
    behind = {getattr(one, "row_op", one.op) for one in network.layers[(place or 0) + 1 :]}
    wrong_end = data.task != "classes" or layer.activation == "sigmoid"
    if wrong_end and not behind & {"softmax", "sigmoid"}:
        changed = replace(changed, activation=end)
    return replace(network, layers=_put(network.layers, place or 0, changed))


def with_softmax(network: Network, data: Dataset, recipe: Recipe) -> Network:
    """Return a network of raw sums, as other programs save it, with the softmax its loss needs.

    >>> from convcli.data import Split
    >>> from convcli.net import parse_notation, to_notation
    >>> data = Dataset("d", ("a", "b"), Split(np.zeros((4, 9)), np.array([0, 0, 0, 1])))
    >>> to_notation(with_softmax(parse_notation("input 9, dense 2"), data, Recipe()))
    'input 9, dense 2, softmax'
    """
    place, loss = _deciding_layer(network), loss_name(recipe, data, data.output_shape)
    if place is None or data.task != "classes" or Loss(loss).rule.fused != "softmax":
        return network
    layer, *behind = network.layers[place:]
    ends = {getattr(one, "row_op", one.op) for one in behind} & {"softmax", "sigmoid"}
    if ends or getattr(layer, "activation", None):
        return network
    return replace(network, layers=(*network.layers, Activation("softmax")))


def _foldable(network: Network) -> bool:
    """Tell whether the last layer is linear with a bias, so that it can take scales over."""
    step = next(iter(network.trace().steps[-1:]), None)
    return (
        step is not None
        and isinstance(step.layer, Dense | Conv)
        and step.activation is None
        and "bias" in step.weights
    )


def cool(model: Model, degrees: float) -> None:
    """Divide the last layer, whose outputs become probabilities, by a temperature."""
    kernel, bias = _last_arrays(model)
    kernel /= np.float32(degrees)
    bias /= np.float32(degrees)


def _last_arrays(model: Model) -> tuple[Array, Array]:
    name = model.trace.steps[-1].name
    return model.parameters[f"{name}.kernel"], model.parameters[f"{name}.bias"]
