"""A network written for other samples or classes, made to fit the data at hand."""

from __future__ import annotations

from dataclasses import replace

from convcli.data import Dataset
from convcli.errors import InputError
from convcli.layers import Conv, Dense
from convcli.layers.base import shape_text
from convcli.net import Network

PASSED_OVER = {"softmax", "sigmoid", "gap", "gmp", "flatten", "dropout", "adaptavg"}
"""Layers behind the one that decides the number of outputs."""


def adapted(network: Network, data: Dataset) -> tuple[Network, str]:
    """Return the network with the data's input shape and number of classes, and what was changed.

    The sentence is empty where nothing was changed.

    Raises:
        InputError: the layers do not fit the input, or none decides the outputs.

    >>> import numpy as np
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
