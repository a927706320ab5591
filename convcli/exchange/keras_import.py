"""Keras' files as networks with their weights, and the preprocessing that stands before them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from convcli.errors import InputError
from convcli.exchange.keras_arrays import ArrayStore, Leaf, leaves, notes_in_archive, open_arrays
from convcli.exchange.keras_config import (
    KerasGraph,
    KerasNode,
    layer_word,
    network_of,
    read_document,
)
from convcli.exchange.scaling import Scaling
from convcli.layers import PReLU, TransposedConv
from convcli.net import Network, Step

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class KerasTrained:
    """What a Keras file holds, in our terms.

    Attributes:
        network: the layers on paper.
        arrays: by `step.weight`, float32.
        notes: where something was left out.
        texts: our own notes, if the file was written here.
        scaling: of a Rescaling layer before all others, else None.
    """

    network: Network
    arrays: dict[str, Array]
    notes: tuple[str, ...]
    texts: dict[str, str]
    scaling: Scaling | None


def read_keras_trained(path: Path) -> KerasTrained:
    """Return the network and the weights in the `.keras` or `.h5` file at `path`.

    Raises:
        InputError: no such file, not what Keras writes, a layer that cannot be said here or
            would answer otherwise, or arrays that do not fit.
    """
    document = read_document(path)
    try:
        graph = KerasGraph(document)
        found = network_of(graph, name=path.stem)
        scaling = _rescaling(graph)
        _refuse_inexact(graph)
        by_word = {layer_word(leaf.name): leaf for leaf in leaves(document)}
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from problem
    arrays: dict[str, Array] = {}
    with open_arrays(path) as store:
        for step in found.network.trace().steps:
            if step.weights:
                arrays |= _arrays_of(step, by_word[step.name], store)
        texts = notes_in_archive(path) if path.suffix.lower() == ".keras" else store.texts()
    kept = texts if isinstance(texts, dict) else {}
    notes = tuple(note for note in found.notes if scaling is None or "(Rescaling)" not in note)
    return KerasTrained(
        network=found.network,
        arrays=arrays,
        notes=tuple(dict.fromkeys(notes)),
        texts={key: text for key, text in kept.items() if isinstance(text, str)},
        scaling=scaling,
    )


def _arrays_of(step: Step, leaf: Leaf, store: ArrayStore) -> dict[str, Array]:
    """Return a layer's arrays; Keras lists them in our order and has two in another layout."""
    needed = {**step.weights, **step.buffer_shapes}
    spatial = len(step.input_shapes[0]) - 1
    shapes = list(needed.values())
    if isinstance(step.layer, TransposedConv):
        *window, inputs, filters = shapes[0]
        shapes[0] = (*window, filters, inputs)
    elif isinstance(step.layer, PReLU):
        shapes[0] = (*[1] * spatial, *shapes[0])
    given = store.arrays(leaf, shapes)
    if isinstance(step.layer, TransposedConv):
        given[0] = np.swapaxes(given[0], -1, -2)
    elif isinstance(step.layer, PReLU):
        given[0] = given[0].reshape(-1)
    return {f"{step.name}.{name}": array for name, array in zip(needed, given, strict=True)}


def _refuse_inexact(graph: KerasGraph) -> None:
    for node in graph.nodes.values():
        if node.layer.inexact:
            raise node.layer.problem(
                "its slope is not the 0.01 that is known here, so the outputs would differ."
            )


def _rescaling(graph: KerasGraph) -> Scaling | None:
    """Return the figures of the Rescaling layer that alone reads the input, if there is one."""
    found = [node for node in graph.nodes.values() if node.layer.kind == "Rescaling"]
    if not found:
        return None
    readers = [node for node in graph.nodes.values() if graph.start in node.sources]
    if len(found) > 1 or readers != found:
        raise found[-1].layer.problem("it stands behind other layers; only the first can be read.")
    return Scaling(*(_figures(found[0], key) for key in ("scale", "offset")))


def _figures(node: KerasNode, key: str) -> tuple[float, ...]:
    value = node.layer.config.get(key, 0.0)
    parts = value if isinstance(value, list | tuple) else [value]
    try:
        return tuple(float(part) for part in parts)
    except (TypeError, ValueError) as problem:
        raise node.layer.problem(f"{key} is {value!r}, which is no number.") from problem
