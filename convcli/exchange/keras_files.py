"""Keras' two file formats around a configuration and arrays; HDF5 by h5py, without Keras.

`.keras` (Keras 3) is a zip of config.json, metadata.json and model.weights.h5, whose arrays are
numbered per layer class; `.h5` (Keras 1 to 3) is one HDF5 file with the configuration as an
attribute. Sources: keras/src/saving/saving_lib.py and keras/src/legacy/saving/legacy_h5_format.py.

A file may lie: links and arrays that lead to other files are refused, and shapes are checked
before anything is read.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from convcli.errors import ConvcliError, InputError, cannot_read, missing_extra
from convcli.exchange.layouts import Array

HOLDERS = ("layers", "_layer_checkpoint_dependencies")
"""Groups that hold the layers of a model: in Keras 3, and in the `.keras` files of Keras 2."""

MAX_WEIGHTS_BYTES = 4 * 2**30
"""Of the weights inside an archive, which are read into memory whole."""

MAX_CONFIG_BYTES = 64 * 2**20
"""A configuration is text of some kilobytes; beyond this it is something else."""

KERAS_VERSION = "3.0.0"
"""The version whose words the files are written in; later ones read them."""

LONGEST_ATTRIBUTE = 64000
"""HDF5 keeps no attribute beyond 64 KiB; Keras splits longer lists by this figure too."""

NOTES = "convcli"
"""Key of our own notes, which Keras passes over."""


class KerasEntry(NamedTuple):
    """One layer of a configuration: its name, class, settings, sources and arrays in order."""

    name: str
    kind: str
    settings: dict[str, Any]
    sources: tuple[str, ...]
    arrays: tuple[Array, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """The ways to the arrays of one layer of a configuration.

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


def keras_word(name: str) -> str:
    """Return a name that Keras takes: no slashes, and a letter first."""
    word = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name)
    return word if word[:1].isalpha() else f"layer_{word}"


def group_name(kind: str, counts: Counter[str]) -> str:
    """Return the group's name of the next layer of a class; `counts` has those before it.

    >>> counts = Counter()
    >>> group_name("Conv2D", counts), group_name("Conv2D", counts)
    ('conv2d', 'conv2d_1')
    """
    word = snake_case("Functional" if kind == "Model" else kind)
    counts[word] += 1
    return word if counts[word] == 1 else f"{word}_{counts[word] - 1}"


HOLDING = {
    **dict.fromkeys(("LSTM", "GRU"), ("cell/vars",)),
    "Bidirectional": ("forward_layer/cell/vars", "backward_layer/cell/vars"),
}
"""Where classes keep their arrays that do not have them among their own."""


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A network in Keras' words.

    Attributes:
        name: of the model.
        entries: the layers, input first, in the order in which Keras numbers them.
    """

    name: str
    entries: tuple[KerasEntry, ...]

    def config(self) -> dict[str, Any]:
        """Return the configuration that `config.json` and `model_config` hold."""
        layers = [_layer_config(entry) for entry in self.entries]
        return {
            "module": "keras",
            "class_name": "Model",
            "config": {
                "name": self.name,
                "trainable": True,
                "layers": layers,
                "input_layers": [[self.entries[0].name, 0, 0]],
                "output_layers": [[self.entries[-1].name, 0, 0]],
            },
            "registered_name": None,
        }


def _layer_config(entry: KerasEntry) -> dict[str, Any]:
    reads = [[source, 0, 0, {}] for source in entry.sources]  # the form that Keras 2 reads too
    return {
        "module": "keras.layers",
        "class_name": entry.kind,
        "config": {"name": entry.name, **entry.settings},
        "registered_name": None,
        "name": entry.name,
        "inbound_nodes": [reads] if reads else [],
    }


def keras_archive(model: KerasModel, notes: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a `.keras` file; equal models give equal bytes.

    Args:
        model: what to write.
        notes: texts for the metadata, such as the classes.

    Raises:
        InputError: the package h5py is missing.
    """
    metadata = {"keras_version": KERAS_VERSION, "date_saved": "", NOTES: dict(notes or {})}
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        for name, content in (
            ("metadata.json", json.dumps(metadata).encode()),
            ("config.json", json.dumps(model.config()).encode()),
            ("model.weights.h5", _numbered_arrays(model)),
        ):
            archive.writestr(ZipInfo(name), content)
    return out.getvalue()


def keras_hdf5(model: KerasModel, notes: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of an `.h5` file; arguments and errors as `keras_archive`."""
    h5py = _h5py()
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["keras_version"] = KERAS_VERSION
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(model.config())
        file.attrs[NOTES] = json.dumps(dict(notes or {}))
        group = file.create_group("model_weights")
        group.attrs["keras_version"] = KERAS_VERSION
        group.attrs["backend"] = "tensorflow"
        _put_names(group, "layer_names", [entry.name for entry in model.entries])
        for entry in model.entries:
            layer = group.create_group(entry.name)
            names = [f"{entry.name}/array_{number}" for number in range(len(entry.arrays))]
            _put_names(layer, "weight_names", names)
            for name, array in zip(names, entry.arrays, strict=True):
                layer[name] = np.asarray(array, np.float32)
    return out.getvalue()


def snake_case(kind: str) -> str:
    """Return a class's name as Keras writes it in paths.

    >>> snake_case("BatchNormalization"), snake_case("Conv2DTranspose"), snake_case("PReLU")
    ('batch_normalization', 'conv2d_transpose', 'p_re_lu')
    """
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()


def _numbered_arrays(model: KerasModel) -> bytes:
    out, counts = io.BytesIO(), Counter[str]()
    with _h5py().File(out, "w") as file:
        file.create_group("vars")
        for entry in model.entries:
            layer = file.create_group(f"layers/{group_name(entry.kind, counts)}")
            layer.create_group("vars").attrs["name"] = entry.name
            holders = [layer.require_group(tail) for tail in HOLDING.get(entry.kind, ("vars",))]
            each = len(entry.arrays) // len(holders)
            for number, array in enumerate(entry.arrays):
                place = holders[number // each]
                place[str(number % each)] = np.asarray(array, np.float32)
    return out.getvalue()


def _put_names(group: Any, key: str, names: list[str]) -> None:
    """Write a list of names as an attribute, in parts where HDF5 would refuse it whole."""
    encoded = np.array([name.encode() for name in names])
    if encoded.nbytes <= LONGEST_ATTRIBUTE:
        group.attrs[key] = encoded
        return
    for number, part in enumerate(np.array_split(encoded, encoded.nbytes // LONGEST_ATTRIBUTE + 1)):
        group.attrs[f"{key}{number}"] = part


class ArrayStore:
    """An open HDF5 file of Keras', old or new."""

    def __init__(self, file: Any, where: str) -> None:
        self.file = file
        self.where = where
        self.old = "model_weights" in file or "layer_names" in file.attrs

    def texts(self) -> object:
        """Return our own notes in an old file."""
        return _json_attribute(self.file, NOTES)

    def arrays(
        self, leaf: Leaf, shapes: Sequence[tuple[int, ...]], further: int = 0
    ) -> list[Array]:
        """Return the arrays of one layer, in Keras' order, as float32.

        Args:
            leaf: the layer.
            shapes: what they must have, checked before they are read.
            further: how many more the file has there, which are not read.

        Raises:
            InputError: another number of arrays, other shapes, or arrays that lie elsewhere.
        """
        found = self._by_name(leaf) if self.old else self._by_number(leaf)
        if len(found) != len(shapes) + further:
            raise InputError(
                f"{self.where}: Keras layer {leaf.name!r} ({leaf.kind}) has {len(found)} arrays "
                f"in the file and needs {len(shapes)}."
            )
        return [self._read(leaf, *pair) for pair in zip(found, shapes, strict=False)]

    def _by_number(self, leaf: Leaf) -> list[Any]:
        for holder in HOLDERS:
            place = leaf.numbered.replace("{}", holder)
            tails = HOLDING.get(leaf.kind, ("vars",))
            groups = [self._get(f"{place}/{tail}") for tail in tails]
            if None not in groups:
                return [self._get_in(g, str(number)) for g in groups for number in range(len(g))]
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


def config_text(path: Path) -> str:
    """Return the configuration in a `.keras`, `.h5` or JSON file.

    Raises:
        InputError: no such file, damaged, or one of weights alone.
    """
    suffix = path.suffix.lower()
    if suffix in {".h5", ".hdf5"}:
        with open_arrays(path) as store:
            text = store.file.attrs.get("model_config")
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        if isinstance(text, str):
            return text
        raise InputError(
            f"{path} holds no network, perhaps weights alone. Save the whole in Keras: "
            "model.save('model.keras')."
        )
    try:
        if suffix == ".keras":
            return _member(path, "config.json", MAX_CONFIG_BYTES).decode("utf-8")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise InputError(
                f"{path} has {path.stat().st_size:,} bytes; at most {MAX_CONFIG_BYTES:,} are read."
            )
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise cannot_read(path, problem) from problem
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is not text. Give what model.to_json() returns.") from problem


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
