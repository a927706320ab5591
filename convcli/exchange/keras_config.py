"""Keras' own description of a network, read without Keras: `model.to_json()` or a `.keras` file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from convcli.errors import ConvcliError, InputError, cannot_read
from convcli.exchange.branches import Branches, Path as Way, as_blocks
from convcli.exchange.keras_layers import KerasLayer, layers_of
from convcli.layers import Concat, Layer, Residual, Scale
from convcli.layers.join import Block
from convcli.net import Network
from convcli.net.lookup import OpenedNetwork

MAX_BYTES = 64 * 2**20
"""A configuration is text of some kilobytes; beyond this it is something else."""
MAX_NESTING = 8
"""Models within models."""

MODELS = {"Sequential", "Functional", "Model"}

JOINS = {"Add": "residual", "Multiply": "scale", "Concatenate": "concat"}
"""Keras classes that read several tensors -> our blocks."""


@dataclass(frozen=True, slots=True)
class KerasNode:
    """A layer, the layers it reads, and whether Keras would leave it as it is."""

    layer: KerasLayer
    sources: tuple[str, ...]
    frozen: bool


def read_keras(path: Path, input_shape: tuple[int, ...] | None = None) -> OpenedNetwork:
    """Return the network in a file of `model.to_json()` or a `.keras` archive.

    Args:
        path: the file.
        input_shape: channels last, no batch; for networks saved with open sizes.

    Raises:
        InputError: no such file, not what Keras writes, or a network that cannot be said here.
    """
    document = read_document(path)
    try:
        return network_from_keras(document, input_shape, name=path.stem)
    except InputError as problem:
        raise InputError(f"{path}: {problem}") from problem


def read_document(path: Path) -> object:
    """Return the decoded configuration in a `.keras`, `.h5` or JSON file.

    Raises:
        InputError: no such file, or not what Keras writes.
    """
    try:
        document: object = json.loads(_config_text(path))
    except ConvcliError:  # has its own sentence
        raise
    except (ValueError, RecursionError) as problem:
        raise InputError(f"{path} is not JSON as Keras writes it: {problem}.") from problem
    return document


def _config_text(path: Path) -> str:
    """Return the configuration inside an archive, or the whole file, as text."""
    if path.suffix.lower() in {".h5", ".hdf5"}:
        from convcli.exchange.keras_arrays import config_in_hdf5

        return config_in_hdf5(path)
    try:
        if path.suffix.lower() == ".keras":
            with ZipFile(path) as archive:
                entry = archive.getinfo("config.json")
                if entry.file_size > MAX_BYTES:
                    raise InputError(
                        f"config.json in {path} says it has {entry.file_size:,} bytes; "
                        f"at most {MAX_BYTES:,} are read."
                    )
                return archive.read(entry).decode("utf-8")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{path} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read."
            )
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise cannot_read(path, problem) from problem
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is not text. Give what model.to_json() returns.") from problem
    except (BadZipFile, KeyError, NotImplementedError, RuntimeError) as problem:
        raise InputError(f"{path} is no Keras archive with a config.json in it.") from problem


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
    return network_of(KerasGraph(document), input_shape, name)


def network_of(
    graph: KerasGraph, input_shape: tuple[int, ...] | None = None, name: str = "network"
) -> OpenedNetwork:
    """Return the network that the layers of a graph make; see `read_keras`."""
    shape = input_shape or graph.input_shape()
    way = as_blocks(
        {name: node.sources for name, node in graph.nodes.items()}, graph.start, graph.end
    )
    layers = tuple(_items(way, graph.nodes))
    if not layers:
        raise InputError("the Keras network has no layers.")
    notes = tuple(note for node in graph.nodes.values() for note in node.layer.notes)
    frozen = tuple(
        layer_word(name)
        for name, node in graph.nodes.items()
        if node.frozen and node.layer.kind not in JOINS and layers_of(node.layer)
    )
    network = Network(name=graph.name or name, input_shape=shape, layers=layers)
    return OpenedNetwork(network, frozen, notes)


def _items(way: Way, nodes: Mapping[str, KerasNode]) -> Iterator[Layer | Block]:
    """Yield layers and blocks for a way through the graph."""
    for step in way:
        if isinstance(step, Branches):
            yield _block(step, nodes)
            continue
        layer = nodes[step].layer
        if layer.kind in JOINS:
            raise layer.problem("it joins a single tensor.")
        for found in layers_of(layer):
            yield replace(found, name=layer_word(step))


def layer_word(name: str) -> str:
    """Return Keras' name as a name of the notation."""
    word = "".join(letter if letter.isalnum() or letter in "_-." else "_" for letter in name)[:70]
    return word if word[:1].isalpha() else f"k_{word}"


def _block(join: Branches, nodes: Mapping[str, KerasNode]) -> Block:
    """Return the block that a join closes."""
    layer = nodes[join.join].layer
    kind = JOINS.get(layer.kind)
    branches = [tuple(_items(path, nodes)) for path in join.paths]
    name = layer_word(layer.name)
    if kind is None:
        raise layer.problem(f"it reads {len(branches)} tensors, and no block does this.")
    if kind == "concat":
        layer.last_axis()
        return Concat(tuple(branches), name=name)
    filled = [branch for branch in branches if branch]
    bare = len(branches) - len(filled)
    if kind == "scale":
        if len(branches) != 2 or bare != 1:
            raise layer.problem(
                "it multiplies two computed tensors; `scale` multiplies a block's own input."
            )
        return Scale(filled[0], name=name)
    if bare > 1 or not filled:
        raise layer.problem("it adds its input to itself; no block does this.")
    body, *shortcuts = filled
    for shortcut in shortcuts[: len(branches) - 2]:
        body = (Residual(body, shortcut),)
    return Residual(body, () if bare else shortcuts[-1], name=name)


class KerasGraph:
    """The layers of a configuration by name in reading order, with nested models spread out."""

    def __init__(self, document: object) -> None:
        kind, config = class_and_config(document, "The document")
        self.name = str(config.get("name") or "")
        self._found: dict[str, KerasNode] = {}
        self._stands_for: dict[str, str] = {}
        end = self._spread(kind, config, "", None, 0)
        for name, node in self._found.items():
            self._found[name] = replace(node, sources=tuple(map(self._resolve, node.sources)))
        self.nodes = self._in_order()
        self.end = self._resolve(end)
        starts = [name for name, node in self.nodes.items() if node.layer.kind == "InputLayer"]
        if len(starts) != 1:
            raise InputError(f"the Keras network has {len(starts)} inputs; one can be said here.")
        self.start = starts[0]
        self._fill_ranks()

    def _fill_ranks(self) -> None:
        """Give layers whose input shape is not said (Keras 2) one with the right number of axes."""
        ranks: dict[str, int] = {}
        for name, node in self.nodes.items():
            layer = node.layer
            reads = ranks[node.sources[0]] if node.sources else len(layer.input_shape)
            layer.input_shape = layer.input_shape or (None,) * reads
            ranks[name] = _rank_after(layer, reads)

    def input_shape(self) -> tuple[int, ...]:
        """Return the input's shape without the batch.

        Raises:
            InputError: Keras leaves a size open.
        """
        shape = self.nodes[self.start].layer.input_shape
        if not shape or None in shape:
            open_shape = "x".join("?" if size is None else str(size) for size in shape) or "nothing"
            raise InputError(f"the input's size is open: {open_shape}. Give it with --input HxWxC.")
        return tuple(size for size in shape if size is not None)

    def _spread(
        self, kind: str, config: Mapping[str, Any], prefix: str, source: str | None, depth: int
    ) -> str:
        """Note the layers of a model that reads `source`; return the name of its output."""
        if depth > MAX_NESTING:
            raise InputError(f"Keras models nest more than {MAX_NESTING} deep.")
        chain = kind == "Sequential"
        last = source
        for entry in layer_entries(kind, config):
            inner, settings = class_and_config(entry, "A layer")
            local = str(entry.get("name") or settings.get("name") or inner)
            name = prefix + local
            if name in self._found or name in self._stands_for:
                raise InputError(f"Keras layer {name!r} is there twice.")
            if chain and last is None and inner != "InputLayer":
                last = self._add_input(config, settings)
            reads = _reads(entry, local)
            sources = ((last,) if last else ()) if chain else tuple(prefix + read for read in reads)
            if inner == "InputLayer" and source is not None:
                self._stands_for[name] = source
            elif inner in MODELS:
                if len(sources) != 1:
                    raise InputError(f"Keras model {name!r} reads {len(sources)} tensors, not 1.")
                end = self._spread(inner, settings, f"{name}_", sources[0], depth + 1)
                self._stands_for[name] = end
            else:
                layer = KerasLayer(name, inner, settings, _shape_of(entry, settings))
                self._found[name] = KerasNode(layer, sources, settings.get("trainable") is False)
            last = name
        if chain and last is not None:
            return last
        outputs = list(_layer_names(config.get("output_layers")))
        if len(outputs) != 1:
            raise InputError(f"the Keras network has {len(outputs)} outputs; one can be said here.")
        return prefix + outputs[0]

    def _add_input(self, config: Mapping[str, Any], first: Mapping[str, Any]) -> str:
        """Note the input that a Sequential model leaves unsaid; return its name."""
        shape = _extents(first.get("batch_input_shape") or config.get("build_input_shape"))
        self._found["input"] = KerasNode(KerasLayer("input", "InputLayer", {}, shape), (), False)
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


def _rank_after(layer: KerasLayer, rank: int) -> int:
    """Return the number of axes behind a layer, channels included."""
    if layer.kind == "Reshape":
        return len(layer.axes("target_shape"))
    if layer.kind == "LSTM":
        return 2 if layer.config.get("return_sequences") else 1
    gathers = layer.kind == "Flatten" or layer.kind.startswith("Global")
    return 1 if gathers and not layer.config.get("keepdims") else rank


def layer_entries(kind: str, config: Mapping[str, Any]) -> Sequence[Any]:
    """Return the entries of a model's layers."""
    entries = config.get("layers")
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"the Keras model of class {kind!r} lists no layers. A class of one's own saves none: "
            "build the network as Sequential or Functional."
        )
    return entries


def class_and_config(value: object, what: str) -> tuple[str, Mapping[str, Any]]:
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
