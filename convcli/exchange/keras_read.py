"""Keras' own description of a network and its arrays, read without Keras.

A network is what `model.to_json()` returns, or lies in a `.keras` or `.h5` file with its weights.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from convcli.errors import ConvcliError, InputError
from convcli.exchange.blocks import Joint, layer_word, layers_of, without_running_names
from convcli.exchange.content import Content, Scaling
from convcli.exchange.keras_files import (
    ArrayStore,
    KerasModel,
    Leaf,
    config_text,
    group_name,
    keras_word,
    notes_in_archive,
    open_arrays,
)
from convcli.exchange.keras_layers import PREPARING, KerasLayer, layer_of
from convcli.exchange.keras_write import keras_model
from convcli.exchange.layouts import AS_OURS, Array, ours, theirs
from convcli.exchange.own import noted, noted_scaling
from convcli.layers import GRU, Input, Layer
from convcli.net import Network, Step, Trace
from convcli.net.lookup import OpenedNetwork

MAX_NESTING = 8
"""Models within models."""

MODELS = {"Sequential", "Functional", "Model"}

SCALINGS = {"Rescaling", "Normalization"}
"""Keras classes that scale the input."""

JOINS = {"Add": "add", "Multiply": "scale", "Concatenate": "concat"}
"""Keras classes that read several tensors -> our joins."""


@dataclass(frozen=True, slots=True)
class KerasNode:
    """A layer, the layers it reads, and the ways to its arrays."""

    layer: KerasLayer
    sources: tuple[str, ...]
    leaf: Leaf


def read_keras(path: Path, input_shape: tuple[int, ...] | None = None) -> OpenedNetwork:
    """Return the network in a file of `model.to_json()`, a `.keras` or an `.h5` file.

    Args:
        path: the file.
        input_shape: channels last, no batch; for networks saved with open sizes.

    Raises:
        InputError: no such file, not what Keras writes, or a network that cannot be said here.
    """
    document = _document(path)
    if input_shape is None and path.suffix.lower() != ".json":
        with suppress(LookupError, InputError):  # what is wrong is told below
            return _own(path, document).on_paper()
    try:
        return network_from_keras(document, input_shape, name=path.stem)
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from problem


def _document(path: Path) -> object:
    try:
        document: object = json.loads(config_text(path))
    except ConvcliError:  # has its own sentence
        raise
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{path} is not JSON as Keras writes it: {problem}.") from problem
    return document


def network_from_keras(
    document: object, input_shape: tuple[int, ...] | None = None, name: str = "network"
) -> OpenedNetwork:
    """Return the network that a decoded Keras configuration describes; see `read_keras`.

    >>> layer = {"class_name": "Dense", "config": {"name": "out", "units": 3}}
    >>> start = {"class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 4]}}
    >>> model = {"class_name": "Sequential", "config": {"layers": [start, layer]}}
    >>> network_from_keras(model).network.trace().totals.params  # 4 x 3 weights and 3 biases
    15
    """
    return KerasGraph(document).content(input_shape, name)[0].on_paper()


def read_keras_trained(path: Path, input_shape: tuple[int, ...] | None = None) -> Content:
    """Return the network and the weights in the `.keras` or `.h5` file at `path`.

    Raises:
        InputError: no such file, not what Keras writes, a layer that cannot be said here or
            would answer otherwise, or arrays that do not fit.
    """
    document = _document(path)
    with suppress(LookupError, InputError):  # what is wrong is told below
        return _own(path, document)
    try:
        graph = KerasGraph(document)
        told = graph.one_output()
        found, leaves = graph.content(input_shape, path.stem)
        steps = found.network.trace().steps
        front = graph.front()
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from problem
    scales = [node.layer for node in front if node.layer.kind in SCALINGS]
    if scales and len(found.network.trace().inputs) > 1:
        fact = "it scales one of several inputs. Save the model without it."
        raise InputError(f"{path}: {scales[0].problem(fact)}")
    arrays: dict[str, Array] = {}
    with open_arrays(path) as store:
        scaling = _scaling(front, found.network.input_shape[-1], store)
        for step, leaf in zip(steps, leaves, strict=True):
            if step.weights:
                arrays |= _arrays_of(step, leaf, store)
        texts = _texts(path, store)
    said = {note for node in front for note in node.layer.notes if node.layer.kind in SCALINGS}
    notes = [*told, *(note for note in found.notes if note not in said)]
    return replace(
        found,
        arrays=arrays,
        notes=tuple(dict.fromkeys(notes)),
        texts=texts,
        scaling=scaling,
    )


def _texts(path: Path, store: ArrayStore) -> dict[str, str]:
    """Return our own notes in a file."""
    found = notes_in_archive(path) if path.suffix.lower() == ".keras" else store.texts()
    kept = found if isinstance(found, dict) else {}
    return {key: text for key, text in kept.items() if isinstance(text, str)}


def _own(path: Path, document: object) -> Content:
    """Return the network in a file that was written here, in the words it was written from.

    Raises:
        LookupError: it was not, or has been changed.
    """
    with open_arrays(path) as store:
        texts = _texts(path, store)
        if "network" not in texts:
            raise LookupError("another program's")
        graph = KerasGraph(document)
        leaves = [node.leaf for node in graph.listed]
        last: list[KerasModel] = []

        def write(trace: Trace, arrays: Mapping[str, Array]) -> list[Array] | None:
            for scaling in (None, noted_scaling(texts)):
                model = keras_model(trace, arrays, scaling)
                if json.loads(json.dumps(model.config())) == document:
                    last[:] = [model]
                    return [array for entry in model.entries for array in entry.arrays]
            return None

        def read(_: object) -> list[Array]:
            pairs = zip(leaves, last[0].entries, strict=True)
            return [
                array
                for leaf, entry in pairs
                if entry.arrays
                for array in store.arrays(leaf, [np.shape(one) for one in entry.arrays])
            ]

        found = noted(texts, graph.name, read, write)
        inside = any(entry.kind == "Rescaling" for entry in last[0].entries)
    return replace(found, scaling=noted_scaling(texts)) if inside else found


def _scaling(front: list[KerasNode], channels: int, store: ArrayStore) -> Scaling | None:
    """Return what the layers before all others do to the input, one after the other."""
    scale, offset = np.ones(1), np.zeros(1)
    found = [node for node in front if node.layer.kind in SCALINGS]
    for node in found:
        if node.layer.kind == "Rescaling":
            factor, summand = (np.asarray(_figures(node.layer, key)) for key in ("scale", "offset"))
        else:
            mean, variance = _statistics(node, channels, store)
            factor = 1 / np.maximum(np.sqrt(variance), 1e-7)
            summand = -mean * factor
        scale, offset = scale * factor, offset * factor + summand
    if not found:
        return None
    return Scaling(*(tuple(map(float, figures)) for figures in (scale, offset + 0 * scale)))


def _statistics(node: KerasNode, channels: int, store: ArrayStore) -> list[Array]:
    """Return the mean and the variance of a Normalization, as written or as it adapted to data."""
    node.layer.last_axis()
    node.layer.choice("invert", False)
    if node.layer.config.get("mean") is not None:
        return [np.ravel(_figures(node.layer, key)) for key in ("mean", "variance")]
    return store.arrays(node.leaf, [(channels,), (channels,)], further=1)


def _arrays_of(step: Step, leaf: Leaf, store: ArrayStore) -> dict[str, Array]:
    """Return a layer's arrays; Keras lists them in our order."""
    keras = step.layer.elsewhere.keras
    lines = keras.arrays if keras else {}
    needed = {
        name: (shape, lines.get(name, AS_OURS))
        for name, shape in {**step.weights, **step.buffer_shapes}.items()
    }
    rank = len(step.input_shapes[0]) - 1
    empty = np.zeros((), np.float32)
    if isinstance(step.layer, GRU):
        return _gru_arrays(step, leaf, store)
    shapes = [theirs(np.broadcast_to(empty, s), line, rank).shape for s, line in needed.values()]
    given = store.arrays(leaf, shapes)
    return {
        f"{step.name}.{name}": ours(array, line)
        for (name, (_, line)), array in zip(needed.items(), given, strict=True)
    }


def _gru_arrays(step: Step, leaf: Leaf, store: ArrayStore) -> dict[str, Array]:
    """Return a GRU's arrays; Keras orders the gates z r h, and keeps both biases in one."""
    names = [name for name in step.weights if not name.endswith("recurrent_bias")]
    shapes = [step.weights[name] for name in names]
    given = store.arrays(leaf, [(2, *s) if len(s) == 1 else s for s in shapes])
    found: dict[str, Array] = {}
    for name, array in zip(names, given, strict=True):
        z, r, h = np.split(array, 3, axis=-1)
        turned = np.concatenate([r, z, h], axis=-1)
        both = name.endswith("bias")
        found[f"{step.name}.{name}"] = turned[0] if both else turned
        if both:
            second = name.replace("bias", "recurrent_bias")
            found[f"{step.name}.{second}"] = turned[1]
    return found


class KerasGraph:
    """The layers of a configuration by name in reading order, with nested models spread out."""

    def __init__(self, document: object) -> None:
        kind, config = _class_and_config(document, "The document")
        self.name = str(config.get("name") or "")
        self._found: dict[str, KerasNode] = {}
        self.listed: list[KerasNode] = []
        """Layers in the order of the file."""
        self._stands_for: dict[str, str] = {}
        ends = self._spread(kind, config, "", None, "", ())
        self.listed += self._found.values()
        for name, node in self._found.items():
            self._found[name] = replace(node, sources=tuple(map(self._resolve, node.sources)))
        self._spelled()
        self.nodes = self._in_order()
        self.ends = [self._resolve(end) for end in ends]
        starts = [name for name, node in self.nodes.items() if node.layer.kind == "InputLayer"]
        if not starts:
            raise InputError("the Keras network has no input.")
        declared = [name for name in _layer_names(config.get("input_layers")) if name in starts]
        self.start = (*declared, *starts)[0]
        self._fill_ranks()

    def content(
        self, input_shape: tuple[int, ...] | None, name: str
    ) -> tuple[Content, Iterator[Leaf]]:
        """Return the network without its arrays, and the leaf of each of its steps."""
        shape = input_shape or self.input_shape(self.start)
        parts = {key: _part(key, node) for key, node in self.nodes.items()}
        sources = {key: node.sources for key, node in self.nodes.items()}
        for key, node in self.nodes.items():
            if node.layer.kind == "InputLayer" and key != self.start:
                parts[key] = Input(self.input_shape(key), name=layer_word(key))
                sources[key] = (self.start,)
        layers, steps = layers_of(sources, self.start, self.ends, parts)
        if not layers:
            raise InputError("the Keras network has no layers.")
        frozen = tuple(
            layer_word(key)
            for key, node in self.nodes.items()
            if node.layer.config.get("trainable") is False and isinstance(parts[key], Layer)
        )
        notes = tuple(note for node in self.nodes.values() for note in node.layer.notes)
        network = Network(name=self.name or name, input_shape=shape, layers=layers)
        network = without_running_names(network, keras_word)
        leaves = (self.nodes[key].leaf for key in steps)
        return Content(network, notes=notes, frozen=frozen), leaves

    def one_output(self) -> list[str]:
        """Keep the first output, which can be run; return what there is to say of it."""
        count, (first, *_) = len(self.ends), self.ends
        self.ends = [first]
        return [f"Of {count} outputs only the first, {first}, is read."] if count > 1 else []

    def front(self) -> list[KerasNode]:
        """Return the layers that prepare the input, one behind the other.

        Raises:
            InputError: one that scales stands behind others.
        """
        found, here = list[KerasNode](), self.start
        while True:
            readers = [key for key, node in self.nodes.items() if here in node.sources]
            if len(readers) != 1 or self.nodes[readers[0]].layer.kind not in PREPARING:
                break
            here = readers[0]
            found.append(self.nodes[here])
        for node in self.nodes.values():
            if node.layer.kind in SCALINGS and node not in found:
                raise node.layer.problem(
                    "it stands behind other layers; only the first can be read."
                )
        return found

    def _spelled(self) -> None:
        """Write as one layer what Keras spells in several: hard sigmoids, leaky suffixes."""
        for name, node in list(self._found.items()):
            config = node.layer.config
            if config.get("activation") == "leaky_relu" and node.layer.kind != "Activation":
                inner, layer = f"{name}_linear", node.layer
                bare = replace(layer, name=inner, config={**config, "activation": "linear"})
                self._found[inner] = replace(node, layer=bare)
                slope = KerasLayer(name, "LeakyReLU", {"negative_slope": 0.2})
                self._found[name] = KerasNode(slope, (inner,), node.leaf)
            cut = self._found.get(node.sources[0]) if len(node.sources) == 1 else None
            moved = self._found.get(cut.sources[0]) if cut and len(cut.sources) == 1 else None
            sixth = abs(config.get("constant", 0) - 1 / 6) < 1e-6 and node.layer.kind == "Multiply"
            if (
                sixth
                and cut
                and moved
                and cut.layer.config.get("max_value")
                == 6
                == 2 * (moved.layer.config.get("constant", 0) if moved.layer.kind == "Add" else 0)
            ):
                layer = KerasLayer(name, "Activation", {"activation": "hard_sigmoid"})
                self._found[name] = KerasNode(layer, moved.sources, node.leaf)

    def _fill_ranks(self) -> None:
        """Give layers whose input shape is not said (Keras 2) one with the right number of axes."""
        ranks: dict[str, int] = {}
        for name, node in self.nodes.items():
            layer = node.layer
            reads = ranks[node.sources[0]] if node.sources else len(layer.input_shape)
            layer.input_shape = layer.input_shape or (None,) * reads
            ranks[name] = _rank_after(layer, reads)

    def input_shape(self, key: str) -> tuple[int, ...]:
        """Return an input's shape without the batch.

        Raises:
            InputError: Keras leaves a size open.
        """
        shape = self.nodes[key].layer.input_shape
        if not shape or None in shape:
            told = "x".join("?" if size is None else str(size) for size in shape) or "nothing"
            if key == self.start:
                raise InputError(f"the input's size is open: {told}. Give it with --input HxWxC.")
            raise InputError(f"the input {key} has an open size: {told}. Save it with fixed ones.")
        return tuple(size for size in shape if size is not None)

    def _spread(
        self,
        kind: str,
        config: Mapping[str, Any],
        prefix: str,
        source: str | None,
        place: str,
        route: tuple[str, ...],
    ) -> list[str]:
        """Note the layers of a model that reads `source`; return the names of its outputs.

        Args:
            kind: class of the model.
            config: its settings.
            prefix: of the names of its layers.
            source: the layer it reads, None for the outermost model.
            place: of its group of arrays, see `Leaf`.
            route: names of the models around its layers, itself among them.
        """
        if len(route) > MAX_NESTING:
            raise InputError(f"Keras models nest more than {MAX_NESTING} deep.")
        chain, counts = kind == "Sequential", Counter[str]()
        last = source
        for entry in _layer_entries(kind, config):
            inner, settings = _class_and_config(entry, "A layer")
            local = str(entry.get("name") or settings.get("name") or inner)
            name, path = prefix + local, f"{place}{{}}/{group_name(inner, counts)}"
            if name in self._found or name in self._stands_for:
                raise InputError(f"Keras layer {name!r} is there twice.")
            if chain and last is None and inner != "InputLayer":
                last = self._add_input(config, settings)
            reads = _reads(entry, local)
            if (number := _constant(entry)) is not None:
                settings = {**settings, "constant": number}
            sources = ((last,) if last else ()) if chain else tuple(prefix + read for read in reads)
            if inner == "InputLayer" and source is not None:
                self._stands_for[name] = source
            elif inner in MODELS:
                if len(sources) != 1:
                    raise InputError(f"Keras model {name!r} reads {len(sources)} tensors, not 1.")
                inside = (f"{name}_", sources[0], f"{path}/", (*route, local))
                ends = self._spread(inner, settings, *inside)
                if len(ends) > 1:
                    raise InputError(
                        f"Keras model {name!r} within the model has {len(ends)} outputs."
                    )
                self._stands_for[name] = ends[0]
            else:
                layer = KerasLayer(name, inner, settings, _shape_of(entry, settings))
                leaf = Leaf(name, inner, path, (*route, local))
                self._found[name] = KerasNode(layer, sources, leaf)
            last = name
        if chain and last is not None:
            return [last]
        outputs = list(_layer_names(config.get("output_layers")))
        if not outputs:
            raise InputError("the Keras network has no output.")
        return [prefix + output for output in outputs]

    def _add_input(self, config: Mapping[str, Any], first: Mapping[str, Any]) -> str:
        """Note the input that a Sequential model leaves unsaid; return its name."""
        shape = _extents(first.get("batch_input_shape") or config.get("build_input_shape"))
        layer = KerasLayer("input", "InputLayer", {}, shape)
        self._found["input"] = KerasNode(layer, (), Leaf("input", "InputLayer", "", ()))
        return "input"

    def _resolve(self, name: str) -> str:
        """Return the layer behind the name of a nested model or of its input."""
        for _ in range(2 * MAX_NESTING + 2):
            if name not in self._stands_for:
                break
            name = self._stands_for[name]
        if name not in self._found:
            raise InputError(f"a Keras layer reads {name!r}, which is not there.")
        return name

    def _in_order(self) -> dict[str, KerasNode]:
        """Return the layers so that each stands after what it reads."""
        reads = {name: node.sources for name, node in self._found.items()}
        try:
            order = list(TopologicalSorter(reads).static_order())
        except CycleError as problem:
            raise InputError(f"Keras layers read each other in a circle: {problem}.") from problem
        return {name: self._found[name] for name in order}


def _part(key: str, node: KerasNode) -> Layer | Joint | None:
    """Return what a layer is in a network of ours."""
    layer, name = node.layer, layer_word(key)
    if layer.kind in JOINS:
        if layer.kind == "Concatenate":
            layer.last_axis()
        return Joint(JOINS[layer.kind], name, layer.problem)
    if len(node.sources) > 1:
        reads = len(node.sources)
        raise layer.problem(f"it reads {reads} tensors, and no block does this.")
    found = None if layer.kind == "InputLayer" else layer_of(layer)
    return found and replace(found, name=name)


def _figures(layer: KerasLayer, key: str) -> tuple[float, ...]:
    value = layer.config.get(key, 0.0)
    parts = value if isinstance(value, list | tuple) else [value]
    try:
        return tuple(float(part) for part in parts)
    except (TypeError, ValueError) as problem:
        raise layer.problem(f"{key} is {value!r}, which is no number.") from problem


def _rank_after(layer: KerasLayer, rank: int) -> int:
    """Return the number of axes behind a layer, channels included."""
    if layer.kind == "Reshape":
        return len(layer.axes("target_shape"))
    if layer.kind in {"LSTM", "GRU", "Bidirectional"}:
        inner = layer.config.get("layer")
        config = inner.get("config") if isinstance(inner, Mapping) else layer.config
        return 2 if isinstance(config, Mapping) and config.get("return_sequences") else 1
    gathers = layer.kind == "Flatten" or layer.kind.startswith("Global")
    return 1 if gathers and not layer.config.get("keepdims") else rank


def _layer_entries(kind: str, config: Mapping[str, Any]) -> Sequence[Any]:
    """Return the entries of a model's layers."""
    entries = config.get("layers")
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"the Keras model of class {kind!r} lists no layers. A class of one's own saves none: "
            "build the network as Sequential or Functional."
        )
    return entries


def _class_and_config(value: object, what: str) -> tuple[str, Mapping[str, Any]]:
    """Return the class name and the settings of a serialized object."""
    if isinstance(value, Mapping):
        kind, config = value.get("class_name"), value.get("config")
        if isinstance(kind, str) and isinstance(config, Mapping):
            return kind, config
        if kind == "Sequential" and isinstance(config, list):  # Keras before 2.3
            return kind, {"layers": config}
    raise InputError(f"{what} is not as Keras writes it: class_name and config are missing.")


def _reads(entry: Mapping[str, Any], name: str) -> list[str]:
    """Return the names of the layers that an entry of a Functional model reads."""
    calls = entry.get("inbound_nodes") or []
    if not isinstance(calls, list):
        raise InputError(f"Keras layer {name!r}: what it reads is no list, as Keras writes it.")
    if len(calls) > 1:
        raise InputError(
            f"Keras layer {name!r} is called {len(calls)} times with the same weights. Shared "
            "weights cannot be said here."
        )
    return list(_layer_names(calls))


def _constant(entry: Mapping[str, Any]) -> float | None:
    """Return the number that an operation joins to its tensor, None where there is none."""
    match entry.get("inbound_nodes"):
        case [{"args": [dict(), int(number) | float(number)]}]:
            return number
    return None


def _layer_names(value: object) -> Iterator[str]:
    """Yield the layer names in what Keras 2 and 3 write for tensors.

    Keras 3 writes `{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}`,
    Keras 2 `[name, 0, 0, {}]`, both within lists.
    """
    if isinstance(value, Mapping):
        config = value.get("config")
        if value.get("class_name") == "__keras_tensor__" and isinstance(config, Mapping):
            yield from _layer_names(config.get("keras_history"))
        else:
            yield from _layer_names([value.get("args"), value.get("kwargs")])
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            yield value[0]
        else:
            for part in value:
                yield from _layer_names(part)


def _shape_of(entry: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[int | None, ...]:
    """Return the shape that a layer reads, as far as Keras says it; an input's own shape."""
    built = entry.get("build_config")
    shape = settings.get("batch_shape") or settings.get("batch_input_shape")
    if shape is None and isinstance(built, Mapping):
        shape = built.get("input_shape")
    if isinstance(shape, list) and shape and isinstance(shape[0], list):
        shape = shape[0]  # a join's first input
    return _extents(shape)


def _extents(shape: object) -> tuple[int | None, ...]:
    """Return a shape without its batch, () for none."""
    if not isinstance(shape, list | tuple) or len(shape) < 2:
        return ()
    extents = tuple(shape[1:])
    if not all(size is None or (isinstance(size, int) and size > 0) for size in extents):
        return ()
    return extents
