"""A network as code of Keras or PyTorch that builds it, and as Keras' summary of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from convcli.exchange.keras_files import KerasEntry, KerasModel
from convcli.exchange.keras_read import KerasGraph
from convcli.exchange.keras_write import keras_model
from convcli.exchange.layouts import Array
from convcli.exchange.torch_write import torch_module
from convcli.layers.base import Shape
from convcli.net import Network, Trace

CHAIN, GRAPH = 88, 108
"""Columns of Keras' summary: of a stack, and of a graph, whose rows say what they read."""


def source_of(network: Network, framework: str) -> str:
    """Return Python code that builds a network in `keras` or `torch`.

    Raises:
        InputError: a layer that the framework does not have.
    """
    trace = network.trace()
    if framework == "keras":
        return keras_source(trace)
    return torch_module(trace, _zeros(trace), about=f"{network.name}, written by convcli.").source


def _zeros(trace: Trace) -> dict[str, Array]:
    """Return arrays for all weights that take no memory."""
    empty = np.zeros((), np.float32)
    return {
        f"{step.name}.{name}": np.broadcast_to(empty, shape)
        for step in trace.steps
        for name, shape in {**step.weights, **step.buffer_shapes}.items()
    }


def keras_summary(trace: Trace) -> str:
    """Return what `model.summary()` of Keras 3 prints for a network; a stack is a Sequential.

    Raises:
        InputError: a layer that Keras does not have.
    """
    from rich.console import Console
    from rich.table import Table

    model = keras_model(trace, _zeros(trace))
    chain = all(len(entry.sources) < 2 for entry in model.entries)
    width, ends = (CHAIN, (0.45, 0.8, 1.0)) if chain else (GRAPH, (0.3, 0.56, 0.74, 1.0))
    table, begin = Table(width=width, show_lines=True), 0
    heads = ("Layer (type)", "Output Shape", "Param #", "Connected to")
    for head, end in zip(heads, ends, strict=False):
        column = int(end * width) - begin
        table.add_column(head, width=column, justify="right" if head == "Param #" else "left")
        begin += column
    shapes = dict(_shapes(model))
    for entry in model.entries[chain:]:
        shape = ", ".join(["None", *map(str, shapes.get(entry.name, trace.network.input_shape))])
        sizes = f"{sum(array.size for array in entry.arrays):,}"
        row = [f"{entry.name} ({entry.kind})", f"({shape})", sizes]
        reads = ", ".join(f"{source}[0][0]" for source in entry.sources) or "-"
        table.add_row(*row, *([] if chain else [reads]))
    total = sum(array.size for entry in model.entries for array in entry.arrays)
    fixed = trace.totals.non_trainable
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False, markup=False)
    console.print(f'Model: "{model.name}"')
    console.print(table)
    for head, count in (("Total", total), ("Trainable", total - fixed), ("Non-trainable", fixed)):
        console.print(f" {head} params: {count:,} ({_memory(4 * count)})")
    return out.getvalue()


def _shapes(model: KerasModel) -> Iterator[tuple[str, Shape]]:
    """Yield what each layer of a model gives, the input left out."""
    content, leaves = KerasGraph(model.config()).content(None, model.name)
    for step, leaf in zip(content.network.trace().steps, leaves, strict=True):
        yield leaf.name, step.output_shape


def _memory(count: int) -> str:
    """Return bytes as Keras writes them.

    >>> _memory(123048), _memory(0)
    ('120.16 KB', '0.00 B')
    """
    if not count:
        return "0.00 B"
    power = min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.2f} {('B', 'KB', 'MB', 'GB', 'TB')[power]}"


def keras_source(trace: Trace) -> str:
    """Return Python code that builds a network in Keras.

    >>> from convcli.net import parse_notation
    >>> print(keras_source(parse_notation("input 4, dense 2 softmax").trace()).splitlines()[3])
    x = layers.Dense(units=2, use_bias=True, activation='softmax', name='dense1')(inputs)

    Raises:
        InputError: a layer that Keras does not have.
    """
    model = keras_model(trace, _zeros(trace))
    first, *rest = model.entries
    shape = tuple(trace.network.input_shape)
    lines = ["from keras import Model, layers", "", f"inputs = layers.Input({_code(shape)}, name={first.name!r})"]
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
    """Return a setting as Python has it, sizes as tuples."""
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_code, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)
