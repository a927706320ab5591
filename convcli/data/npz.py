"""Data sets in `.npz` files, under the names that Keras, MedMNIST and others use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.arrayfiles import MAX_BYTES, read_npz
from convcli.data.dataset import (
    ALLOW,
    Dataset,
    Split,
    as_samples,
    as_targets,
    make_dataset,
    renumbered,
)
from convcli.errors import InputError
from convcli.files import new_file

_KEYS = {
    "train": (
        ("x_train", "y_train"),
        ("train_images", "train_labels"),
        ("x", "y"),
        ("images", "labels"),
    ),
    "validation": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
_CLASS_NAMES = "class_names"


def dataset_from_npz(path: Path, *, task: str | None = None, max_bytes: int = MAX_BYTES) -> Dataset:
    """Return the data set in an `.npz` file.

    Its arrays are named `x_train`, `y_train` and perhaps `x_test`, `y_test`, `x_val`, `y_val`
    (Keras), or `train_images`, `train_labels`, `val_...`, `test_...` (MedMNIST), or just
    `images` and `labels` (or `x` and `y`). `class_names` may name the labels, which may be texts
    themselves. What is to be learned follows from the labels, see `as_targets`, unless `task` says.
    """
    pairs: dict[str, tuple[str, str]] = {}

    def choose(names: list[str]) -> list[str]:
        pairs.update(_pairs(names))
        if "train" not in pairs:
            raise InputError(
                f"{path} holds {', '.join(sorted(names)[:20])}; expected x_train and y_train (and "
                "x_test, y_test, x_val, y_val), or images and labels."
            )
        chosen = [name for pair in pairs.values() for name in pair]
        return chosen + [name for name in names if name == _CLASS_NAMES]

    arrays = read_npz(path, choose, max_bytes=max_bytes, allow=ALLOW)
    given = arrays.get(_CLASS_NAMES)
    names = None if given is None else _texts(path, given)
    splits = {}
    for split, (x, y) in pairs.items():
        pictures = "image" in x
        samples = as_samples(f"{path} ({x})", arrays[x], pictures=pictures, max_bytes=max_bytes)
        labels, task, found = as_targets(f"{path} ({y})", arrays[y], samples.shape[1:], task)
        if found is not None:
            names = names or found
            labels = renumbered(f"{path} ({y})", labels, found, names)
        splits[split] = Split(samples, labels)
    return make_dataset(
        path.stem,
        splits,
        class_names=names,
        provenance=f"read from {path}",
        task=task or "classes",
    )


def _texts(path: Path, names: NDArray[Any]) -> tuple[str, ...]:
    if names.ndim != 1 or names.dtype.kind not in "US":
        raise InputError(f"{path}: class_names must be one row of texts, not {names.dtype}.")
    try:
        return tuple(str(name) for name in names.astype(str))
    except UnicodeDecodeError as problem:
        raise InputError(f"{path}: class_names hold bytes that are no ASCII.") from problem


def _pairs(names: list[str]) -> dict[str, tuple[str, str]]:
    """Return the names of samples and labels by split, those that come first in `_KEYS`."""
    found = {
        split: [pair for pair in known if set(pair) <= set(names)] for split, known in _KEYS.items()
    }
    return {split: pairs[0] for split, pairs in found.items() if pairs}


_SUFFIXES = {"train": "train", "validation": "val", "test": "test"}


def check_name(path: Path) -> None:
    """Refuse a name for a data set that does not end in `.npz`."""
    if path.suffix.lower() != ".npz":
        raise InputError(f"{path}: a data set is written as .npz; give the name that suffix.")


def save_npz(
    data: Dataset, path: Path, *, force: bool = False, inputs: Iterable[Path] = ()
) -> None:
    """Write the splits as `x_train`, `y_train`, `x_val`, ... and the names as `class_names`."""
    check_name(path)
    arrays = {"class_names": np.array(data.class_names)}
    for name, split in data.splits().items():
        arrays[f"x_{_SUFFIXES[name]}"] = split.samples
        arrays[f"y_{_SUFFIXES[name]}"] = split.labels
    with new_file(path, force=force, inputs=inputs) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
