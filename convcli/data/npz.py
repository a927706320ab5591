"""Arrays in NumPy's `.npz`, read without pickle and without believing its headers."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from convcli.data.dataset import Dataset, Split, as_labels, as_samples, make_dataset
from convcli.data.idx import MAX_BYTES, MAX_DEFLATE_RATIO
from convcli.errors import InputProblem

_KEYS = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels"), ("x", "y")),
    "validation": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
_ONE_TREE = ("images", "labels")


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an `.npz` file by name.

    Raises:
        InputProblem: no zip file, an array of Python objects, or sizes that are not true.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if item.filename.endswith(".npy")]
            if not members:
                raise InputProblem(f"{path} holds no arrays (.npy members).")
            for member in members:
                _check_member(path, archive, member)
            return {item.filename.removesuffix(".npy"): _load(archive, item) for item in members}
    except zipfile.BadZipFile as problem:
        raise InputProblem(f"{path} is no .npz file, or damaged: {problem}.") from problem
    except (EOFError, ValueError, zlib.error, NotImplementedError, RuntimeError) as problem:
        raise InputProblem(f"{path} is damaged: {problem}.") from problem
    except OSError as problem:
        raise InputProblem(f"Cannot read {path}: {problem.strerror or problem}.") from problem


def dataset_from_npz(path: Path) -> Dataset:
    """Return the data set in an `.npz` file.

    Its arrays are named `x_train`, `y_train` and perhaps `x_test`, `y_test`, `x_val`, `y_val`
    (Keras), or `train_images`, `train_labels`, `val_...`, `test_...` (MedMNIST), or just
    `images` and `labels` (or `x` and `y`). `class_names` may name the labels.

    Raises:
        InputProblem: as `read_npz`; no pair of samples and labels; what `make_dataset` refuses.
    """
    arrays = read_npz(path)
    splits = {}
    for name, pairs in _KEYS.items():
        for pair in (*pairs, _ONE_TREE) if name == "train" else pairs:
            if pair[0] in arrays and pair[1] in arrays:
                splits[name] = _split(path, arrays, *pair)
                break
    if "train" not in splits:
        raise InputProblem(
            f"{path} holds {', '.join(sorted(arrays))}; expected x_train and y_train (and x_test, "
            "y_test, x_val, y_val), or images and labels."
        )
    names = arrays.get("class_names")
    if names is not None and (names.ndim != 1 or names.dtype.kind not in "US"):
        raise InputProblem(f"{path}: class_names must be one row of texts, not {names.dtype}.")
    return make_dataset(
        path.stem,
        splits,
        class_names=None if names is None else tuple(str(name) for name in names.astype(str)),
        provenance=f"read from {path}",
    )


def _split(path: Path, arrays: dict[str, NDArray[np.generic]], x: str, y: str) -> Split:
    return Split(
        as_samples(f"{path} ({x})", arrays[x], pictures="image" in x),
        as_labels(f"{path} ({y})", arrays[y]),
    )


def _load(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    with archive.open(member) as stream:
        array: NDArray[np.generic] = npy.read_array(stream, allow_pickle=False)
    return array


def _check_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Refuse a member whose header promises something else than its stored bytes can hold."""
    name = member.filename
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = npy.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, _, dtype = npy.read_array_header_2_0(stream)
        else:
            raise InputProblem(f"{path}: {name} has the unknown npy version {version}.")
        header = stream.tell()
    if dtype.hasobject:
        raise InputProblem(
            f"{path}: {name} holds Python objects, which only pickle could read, and a pickle can "
            "run code. Save plain numbers: numpy.stack the samples to one shape."
        )
    promised = math.prod(shape) * dtype.itemsize
    if promised != member.file_size - header:
        raise InputProblem(
            f"{path}: {name} promises {'x'.join(map(str, shape))} values, {promised:,} bytes, "
            f"and holds {member.file_size - header:,}."
        )
    if member.file_size > MAX_DEFLATE_RATIO * member.compress_size and member.compress_type in {
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,
    }:
        raise InputProblem(
            f"{path}: {name} promises {member.file_size:,} bytes from {member.compress_size:,} "
            "packed ones, more than they can hold."
        )
    if promised > MAX_BYTES:
        raise InputProblem(f"{path}: {name} is {promised:,} bytes; at most {MAX_BYTES:,} are read.")
