"""A data set as one `.npz` file, readable again as a source."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from convcli.data.dataset import Dataset
from convcli.errors import InputError
from convcli.files import new_file

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
