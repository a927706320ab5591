"""A network as code of Keras or PyTorch that builds it."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcli.exchange.keras_files import KerasEntry, KerasModel
from convcli.exchange.keras_write import keras_model
from convcli.exchange.layouts import Array
from convcli.exchange.torch_write import torch_module
from convcli.net import Network, Trace


def source_of(network: Network, framework: str) -> str:
    """Return Python code that builds a network in `keras` or `torch`.

    Raises:
        InputError: a layer that the framework does not have.
    """
    trace = network.trace()
    if framework == "keras":
        return keras_source(trace)
    return torch_module(trace, _zeros(trace), about=f"{network.name}, written by convcli.").source


def keras_on_paper(trace: Trace) -> KerasModel:
    """Return the network in Keras' words, its arrays without memory."""
    return keras_model(trace, _zeros(trace))


def _zeros(trace: Trace) -> dict[str, Array]:
    """Return arrays for all weights that take no memory."""
    empty = np.zeros((), np.float32)
    return {
        f"{step.name}.{name}": np.broadcast_to(empty, shape)
        for step in trace.steps
        for name, shape in {**step.weights, **step.buffer_shapes}.items()
    }


def keras_source(trace: Trace) -> str:
    """Return Python code that builds a network in Keras.

    >>> from convcli.net import parse_notation
    >>> print(keras_source(parse_notation("input 4, dense 2 softmax").trace()).splitlines()[3])
    x = layers.Dense(units=2, use_bias=True, activation='softmax', name='dense1')(inputs)

    Raises:
        InputError: a layer that Keras does not have.
    """
    model = keras_on_paper(trace)
    first, *rest = model.entries
    shape = tuple(trace.network.input_shape)
    lines = [
        "from keras import Model, layers",
        "",
        f"inputs = layers.Input({_code(shape)}, name={first.name!r})",
    ]
    names = {first.name: "inputs"}
    readers = [source for entry in rest for source in entry.sources]
    for place, entry in enumerate(rest):
        read = [names[source] for source in entry.sources]
        alone = place + 1 < len(rest) and rest[place + 1].sources[:1] == (entry.name,)
        chain = place + 1 == len(rest) or (alone and readers.count(entry.name) == 1)
        names[entry.name] = "x" if chain else _variable(entry)
        called = f"[{', '.join(read)}]" if len(read) > 1 else read[0]
        given = [f"{key}={_code(value)}" for key, value in entry.settings.items()]
        made = f"layers.{entry.kind}({', '.join([*given, f'name={entry.name!r}'])})"
        lines.append(f"{names[entry.name]} = {made}({called})")
    name = f"name={model.name!r}"
    lines.append(f"model = Model(inputs, {names[rest[-1].name] if rest else 'inputs'}, {name})")
    return "\n".join(lines) + "\n"


def _variable(entry: KerasEntry) -> str:
    name = entry.name.replace("-", "_")
    return name if name.isidentifier() and name not in {"x", "inputs", "layers"} else f"_{name}"


def _code(value: Any) -> str:
    """Return a setting as Python has it, sizes as tuples, a layer as its call."""
    if isinstance(value, dict):
        given = ", ".join(f"{key}={_code(part)}" for key, part in value["config"].items())
        return f"layers.{value['class_name']}({given})"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_code, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)
