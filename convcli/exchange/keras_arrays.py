"""The arrays in Keras' files, found by the paths that Keras gives them; h5py reads them.

A file may lie: links and arrays that lead to other files are refused, and shapes are checked
before anything is read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from convcli.errors import ConvcliError, InputError, cannot_read, missing_extra
from convcli.exchange.keras_config import MODELS, class_and_config, layer_entries
from convcli.exchange.keras_files import NOTES, snake_case

Array = npt.NDArray[Any]

HOLDERS = ("layers", "_layer_checkpoint_dependencies")
"""Groups that hold the layers of a model: in Keras 3, and in the `.keras` files of Keras 2."""

MAX_WEIGHTS_BYTES = 4 * 2**30
"""Of the weights inside an archive, which are read into memory whole."""

MAX_CONFIG_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Leaf:
    """One layer of a configuration and the ways to its arrays.

    Attributes:
        name: as in the spread-out graph, models within models before it.
        kind: its class.
        numbered: the group's path in a `.keras` file, `{}` standing for the holder.
        route: names of the models around it and its own; the way in an `.h5` file.
    """

    name: str
    kind: str
    numbered: str
    route: tuple[str, ...]


def leaves(document: object) -> Iterator[Leaf]:
    """Yield the layers of a configuration in Keras' order, models within models spread out."""
    kind, config = class_and_config(document, "The document")
    yield from _leaves(kind, config, "", "", ())


def _leaves(
    kind: str, config: Mapping[str, Any], prefix: str, place: str, route: tuple[str, ...]
) -> Iterator[Leaf]:
    counts: dict[str, int] = {}
    for entry in layer_entries(kind, config):
        inner, settings = class_and_config(entry, "A layer")
        local = str(entry.get("name") or settings.get("name") or inner)
        word = snake_case("Functional" if inner == "Model" else inner)
        number = counts[word] = counts.get(word, -1) + 1
        path = f"{place}{{}}/{word}_{number}" if number else f"{place}{{}}/{word}"
        if inner in MODELS:
            yield from _leaves(inner, settings, f"{prefix}{local}_", f"{path}/", (*route, local))
        else:
            yield Leaf(prefix + local, inner, path, (*route, local))


class ArrayStore:
    """An open HDF5 file of Keras', old or new."""

    def __init__(self, file: Any, where: str) -> None:
        self.file = file
        self.where = where
        self.old = "model_weights" in file or "layer_names" in file.attrs

    def texts(self) -> object:
        """Return our own notes in an old file."""
        return _json_attribute(self.file, NOTES)

    def arrays(self, leaf: Leaf, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
        """Return the arrays of one layer, in Keras' order, as float32.

        Args:
            leaf: the layer.
            shapes: what they must have, checked before they are read.

        Raises:
            InputError: another number of arrays, other shapes, or arrays that lie elsewhere.
        """
        found = self._by_name(leaf) if self.old else self._by_number(leaf)
        if len(found) != len(shapes):
            raise InputError(
                f"{self.where}: Keras layer {leaf.name!r} ({leaf.kind}) has {len(found)} arrays "
                f"in the file and needs {len(shapes)}."
            )
        return [self._read(leaf, *pair) for pair in zip(found, shapes, strict=True)]

    def _by_number(self, leaf: Leaf) -> list[Any]:
        tail = "/cell/vars" if leaf.kind == "LSTM" else "/vars"
        for holder in HOLDERS:
            group = self._get(leaf.numbered.replace("{}", holder) + tail)
            if group is not None:
                return [self._get_in(group, str(number)) for number in range(len(group))]
        return []

    def _by_name(self, leaf: Leaf) -> list[Any]:
        """Arrays of a model within the model carry their layer's name in their own."""
        root = "model_weights/" if "model_weights" in self.file else ""
        group = self._get(root + leaf.route[0])
        if group is None:
            return []
        names = [
            name.decode() if isinstance(name, bytes) else str(name)
            for name in _list_attribute(group, "weight_names")
        ]
        if len(leaf.route) > 1:
            names = [name for name in names if leaf.route[-1] in name.split("/")[:-1]]
        return [self._get_in(group, name) for name in names]

    def _get(self, path: str) -> Any:
        return self._get_in(self.file, path)

    def _get_in(self, group: Any, path: str) -> Any:
        """Follow a path link by link; only what lies in this very file is followed."""
        import h5py

        for part in path.split("/"):
            if not isinstance(group, h5py.Group) or part not in group:
                return None
            if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                raise InputError(f"{self.where}: {path} is a link to elsewhere; refused.")
            group = group[part]
        return group

    def _read(self, leaf: Leaf, dataset: Any, shape: tuple[int, ...]) -> Array:
        import h5py

        name = f"{self.where}: an array of Keras layer {leaf.name!r} ({leaf.kind})"
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{name} is missing.")
        if dataset.external or dataset.is_virtual:
            raise InputError(f"{name} lies in another file; refused.")
        if dataset.shape != shape or dataset.dtype.kind != "f":
            raise InputError(
                f"{name} is {dataset.dtype} of shape {dataset.shape}; needed are floats of {shape}."
            )
        values: Array = np.asarray(dataset[()], np.float32)
        return values


@contextmanager
def open_arrays(path: Path) -> Iterator[ArrayStore]:
    """Yield the arrays of a `.keras` or `.h5` file.

    Raises:
        InputError: no such file, damaged, or h5py is missing.
    """
    h5py = _h5py()
    source: Any = path
    if path.suffix.lower() == ".keras":
        source = io.BytesIO(_member(path, "model.weights.h5", MAX_WEIGHTS_BYTES))
    try:
        with h5py.File(source, "r") as file:
            yield ArrayStore(file, str(path))
    except ConvcliError:  # has its own sentence
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as problem:
        reason = "it cannot be opened" if path.exists() else "there is no such file"
        raise InputError(f"{path} is no whole Keras file: {reason}.") from problem


def notes_in_archive(path: Path) -> object:
    """Return our own notes in the metadata of a `.keras` file, None where there are none."""
    try:
        metadata = json.loads(_member(path, "metadata.json", MAX_CONFIG_BYTES))
    except ConvcliError:  # has its own sentence
        raise
    except (ValueError, RecursionError):
        return None
    return metadata.get(NOTES) if isinstance(metadata, dict) else None


def config_in_hdf5(path: Path) -> str:
    """Return the configuration in an `.h5` file.

    Raises:
        InputError: no such file, damaged, or one of weights alone.
    """
    with open_arrays(path) as store:
        text = store.file.attrs.get("model_config")
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str):
        raise InputError(
            f"{path} holds no network, perhaps weights alone. Save the whole in Keras: "
            "model.save('model.keras')."
        )
    return text


def _member(path: Path, name: str, limit: int) -> bytes:
    try:
        with ZipFile(path) as archive:
            entry = archive.getinfo(name)
            if entry.file_size > limit:
                raise InputError(
                    f"{name} in {path} says it has {entry.file_size:,} bytes; "
                    f"at most {limit:,} are read."
                )
            return archive.read(entry)
    except OSError as problem:
        raise cannot_read(path, problem) from problem
    except (BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError) as problem:
        raise InputError(f"{path} is no Keras archive with a {name} in it.") from problem


def _list_attribute(group: Any, key: str) -> list[Any]:
    """Return a list of names; Keras writes long ones in numbered parts."""
    if key in group.attrs:
        return list(np.atleast_1d(group.attrs[key]))
    names: list[Any] = []
    for number in range(len(group.attrs)):
        names += list(np.atleast_1d(group.attrs.get(f"{key}{number}", [])))
    return names


def _json_attribute(file: Any, key: str) -> object:
    try:
        found: object = json.loads(str(file.attrs.get(key, "null")))
    except (ValueError, RecursionError):
        return None
    return found


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "keras", "Keras files") from None
    return h5py
