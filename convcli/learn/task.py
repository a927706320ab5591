"""Network, data and loss held against each other, and a network made to fit the data at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convcli.data import Dataset
from convcli.data.augmentation import read_augmentation
from convcli.errors import InputError
from convcli.layers import Conv, Dense
from convcli.layers.base import shape_text
from convcli.learn.recipes import Recipe
from convcli.learn.trainer import Loss
from convcli.net import Network

PASSED_OVER = {"softmax", "sigmoid", "gap", "gmp", "flatten", "dropout", "adaptavg"}
"""Layers behind the one that decides the number of outputs."""


def adapted(network: Network, data: Dataset) -> tuple[Network, str]:
    """Return the network with the data's input shape and number of classes, and what was changed.

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
    outputs = network.trace().output_shape
    if outputs != (data.classes,):
        network = _with_outputs(network, data.classes)
        changes.append(f"it has {data.classes} outputs")
        if network.trace().output_shape != (data.classes,):
            raise InputError(
                f"The network gives {shape_text(outputs)}; no change of its last layer makes that "
                f"{data.classes} classes. End it with `flatten, dense {data.classes} softmax`."
            )
    if not changes:
        return network, ""
    return network, f"For {data.name} the network was changed: {' and '.join(changes)}."


def _with_outputs(network: Network, outputs: int) -> Network:
    """Return the network with `outputs` units or filters in the last layer that has any."""
    for place in reversed(range(len(network.layers))):
        layer = network.layers[place]
        changed: Dense | Conv
        if isinstance(layer, Dense):
            yes_or_no = layer.units == 1 and layer.activation == "sigmoid"
            changed = replace(layer, units=outputs)
            if yes_or_no:  # one output for two classes becomes one for each
                changed = replace(changed, activation="softmax")
        elif isinstance(layer, Conv):
            changed = replace(layer, filters=outputs)
        elif getattr(layer, "row_op", layer.op) in PASSED_OVER:
            continue
        else:
            break
        layers = (*network.layers[:place], changed, *network.layers[place + 1 :])
        return replace(network, layers=layers)
    return network


def check_fit(network: Network, data: Dataset, recipe: Recipe) -> None:
    """Compare the network with samples, classes and loss, and the augmentation with the samples.

    Raises:
        InputError: the network does not fit.
        UsageError: these samples cannot be changed so.
    """
    if network.input_shape != data.sample_shape:
        raise InputError(
            f"The network takes {shape_text(network.input_shape)}, the samples of {data.name} are "
            f"{shape_text(data.sample_shape)}. Begin the network with "
            f"`input {shape_text(data.sample_shape)}`, or resize the samples with --size."
        )
    shape = network.trace().output_shape
    if shape != (data.classes,):
        raise InputError(
            f"The network gives {shape_text(shape)}, {data.name} has {data.classes} classes. "
            f"End the network with `dense {data.classes} softmax`."
        )
    last = network.trace().steps[-1:]
    if recipe.loss == "cross-entropy" and not any(
        "softmax" in {step.activation, step.op} for step in last
    ):
        raise InputError(
            "Cross-entropy needs a softmax at the end, and the network ends with "
            f"{last[0].name if last else 'its input'}. "
            f"Write `dense {data.classes} softmax` last, or use --loss mse."
        )
    if augmentation := read_augmentation(recipe.augment):
        augmentation.figures(data.sample_shape, data.train.samples.dtype)


def loss_for(recipe: Recipe, data: Dataset) -> Loss:
    """Return the loss with its class weights, which make every present class count alike.

    >>> from convcli.data import Split
    >>> data = Dataset("d", ("a", "b"), Split(np.zeros((4, 1), np.float32), np.array([0, 0, 0, 1])))
    >>> loss_for(Recipe(class_weights="balanced"), data).class_weights
    (0.6666666666666666, 2.0)
    """
    if recipe.loss == "mse":
        return Loss("mse")
    weights = None
    if recipe.class_weights == "balanced":
        counts = np.bincount(data.train.labels, minlength=data.classes)
        present = np.maximum(counts, 1)
        weights = tuple((len(data.train) / ((counts > 0).sum() * present)).tolist())
    return Loss("cross-entropy", recipe.label_smoothing, weights)
