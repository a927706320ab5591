"""Keras' two file formats around a configuration and arrays; HDF5 by h5py, without Keras.

`.keras` (Keras 3) is a zip of config.json, metadata.json and model.weights.h5, whose arrays are
numbered per layer class; `.h5` (Keras 1 to 3) is one HDF5 file with the configuration as an
attribute. Sources: keras/src/saving/saving_lib.py and keras/src/legacy/saving/legacy_h5_format.py.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from convcli.errors import missing_extra
from convcli.exchange.keras_model import KerasEntry, KerasModel

KERAS_VERSION = "3.0.0"
"""The version whose words the files are written in; later ones read them."""

LONGEST_ATTRIBUTE = 64000
"""HDF5 keeps no attribute beyond 64 KiB; Keras splits longer lists by this figure too."""

NOTES = "convcli"
"""Key of our own notes, which Keras passes over."""


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
    h5py = _h5py()
    out = io.BytesIO()
    counts: dict[str, int] = {}
    with h5py.File(out, "w") as file:
        file.create_group("vars")
        for entry in model.entries:
            kind = snake_case(entry.kind)
            number = counts[kind] = counts.get(kind, -1) + 1
            layer = file.create_group(f"layers/{kind}_{number}" if number else f"layers/{kind}")
            _put_arrays(layer, entry)
    return out.getvalue()


def _put_arrays(layer: Any, entry: KerasEntry) -> None:
    own = layer.create_group("vars")
    own.attrs["name"] = entry.name
    holder = layer.create_group("cell/vars") if entry.kind == "LSTM" else own
    for number, array in enumerate(entry.arrays):
        holder[str(number)] = np.asarray(array, np.float32)


def _put_names(group: Any, key: str, names: list[str]) -> None:
    """Write a list of names as an attribute, in parts where HDF5 would refuse it whole."""
    encoded = np.array([name.encode() for name in names])
    if encoded.nbytes <= LONGEST_ATTRIBUTE:
        group.attrs[key] = encoded
        return
    for number, part in enumerate(np.array_split(encoded, encoded.nbytes // LONGEST_ATTRIBUTE + 1)):
        group.attrs[f"{key}{number}"] = part


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise missing_extra("h5py", "keras", "Keras files") from None
    return h5py
