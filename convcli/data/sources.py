"""From the word after `--data` to a `Dataset`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convcli.arrayfiles import MAX_BYTES
from convcli.data.dataset import (
    Dataset,
    ProgressCallback,
    Split,
    as_samples,
    as_targets,
    make_dataset,
    renumbered,
)
from convcli.data.folders import folders_dataset
from convcli.data.idx import dataset_from_idx, is_idx
from convcli.data.npz import dataset_from_npz
from convcli.data.published import PUBLISHED, load_published
from convcli.data.series import is_series_folder, series_dataset
from convcli.errors import InputError, MissingFileError, UsageError, did_you_mean

NAMES = (*PUBLISHED, "digits")
"""The names that need no path."""


TABLES = (".csv", ".txt")


def load_dataset(
    source: str | Path,
    *,
    size: tuple[int, int] | None = None,
    window: int | None = None,
    overlap: float | None = None,
    label: str | None = None,
    label_rule: str | None = None,
    task: str | None = None,
    seed: int = 0,
    count: int | None = None,
    memory_limit: int | None = None,
    progress: ProgressCallback | None = None,
) -> Dataset:
    """Return the data set that `source` names.

    Args:
        source: `mnist` or `fashion`; `digits`, made on the spot; a folder of class folders of
            pictures, or of idx files; the images' file of an idx pair, or both files with a comma
            between them; an `.npz` file; a table of series (`.csv`, `.txt`), or a folder of them.
        size: height and width that pictures from folders are brought to.
        window: rows of a window of a series, 0 for one sample a row; see `series_dataset`.
        overlap: share of a window that the next one shares; 0.5 when left out.
        label: the column of a table that holds the labels.
        label_rule: what names a window: `majority` of its rows (the default) or the `last` one.
        task: what the labels are, one of `convcli.data.dataset.TASKS`; found from them when left
            out.
        seed: of `digits`.
        count: training samples of `digits`; 60,000 when left out. Test samples are a sixth.
        memory_limit: bytes that the samples of one file or split may take, 8 GiB when left out;
            more are refused before they are read.
        progress: called while something takes long.

    Returns:
        a `Dataset` whose samples stay uint8 in memory where the source holds bytes.

    Raises:
        InputError: unknown name, missing place, or contents that cannot be used.
        UsageError: a figure that makes no sense, or that this source has no use for.

    >>> data = load_dataset("digits", count=60)
    >>> data.train.samples.shape, data.train.samples.dtype, len(data.test)
    ((60, 28, 28, 1), dtype('uint8'), 10)
    """
    max_bytes = MAX_BYTES if memory_limit is None else memory_limit
    given = {
        "size": size,
        "window": window,
        "overlap": overlap,
        "label": label,
        "label_rule": label_rule,
        "task": task,
        "count": count,
    }
    kind = _kind_of(str(source))
    place = Path(source)
    useless = [
        name for name, value in given.items() if value is not None and name not in _USES[kind]
    ]
    if useless:
        raise UsageError(f"{source} is {_KINDS[kind]}, which takes no {useless[0]}.")
    match kind:
        case "published":
            return load_published(PUBLISHED[str(source)], progress=progress, max_bytes=max_bytes)
        case "digits":
            from convcli.data.digits import TRAIN_COUNT, digits_dataset

            wanted = TRAIN_COUNT if count is None else count
            return digits_dataset(
                wanted, max(10, wanted // 6), seed=seed, progress=progress, max_bytes=max_bytes
            )
        case "idx":
            return dataset_from_idx(place, max_bytes=max_bytes)
        case "npz":
            return dataset_from_npz(place, task=task, max_bytes=max_bytes)
        case "series":
            return series_dataset(
                place,
                window=window,
                overlap=overlap,
                label=label,
                label_rule=label_rule or "majority",
                progress=progress,
                max_bytes=max_bytes,
            )
        case _:
            return folders_dataset(place, size=size, progress=progress, max_bytes=max_bytes)


_KINDS = {
    "published": "a published set",
    "digits": "a made set",
    "idx": "a set in idx files",
    "npz": "an .npz file",
    "series": "a set of series",
    "folders": "a folder of pictures",
}
_USES: dict[str, tuple[str, ...]] = {
    "published": (),
    "digits": ("count",),
    "idx": (),
    "npz": ("task",),
    "series": ("window", "overlap", "label", "label_rule"),
    "folders": ("size",),
}


def _kind_of(source: str) -> str:
    """Return which kind of source this is, one of `_KINDS`."""
    place = Path(source)
    if source in NAMES:
        return "digits" if source == "digits" else "published"
    if "," in place.name or is_idx(place):
        return "idx"
    if not place.exists():
        raise MissingFileError(
            f"There is no data set or file {source}.{did_you_mean(source, NAMES)} "
            f"Names: {', '.join(NAMES)}; or give a path."
        )
    if place.is_dir():
        if any(is_idx(path) for path in place.iterdir()):
            return "idx"
        return "series" if is_series_folder(place) else "folders"
    suffix = place.suffix.lower()
    if suffix != ".npz" and suffix not in TABLES:
        what = f"named *{suffix}" if suffix else "without a suffix"
        raise InputError(
            f"{place}: no data set is read from a file {what}; idx files, .npz, "
            f"{' and '.join(TABLES)} are, and folders of pictures."
        )
    return "npz" if suffix == ".npz" else "series"


def as_dataset(
    data: Dataset | Split | str | Path | tuple[Any, Any] | Any,
    labels: ArrayLike | None = None,
    *,
    seed: int = 0,
    class_names: tuple[str, ...] | None = None,
    pictures: bool = False,
) -> Dataset:
    """Return labeled samples, however they are held, as a `Dataset`.

    Args:
        data: a data set, the words that name one, `(samples, labels)`, or samples alone.
        labels: of the samples: whole numbers from 0, one-hot rows, or names; else what
            `as_targets` makes of them.
        seed: of `digits`.
        class_names: of the labels; those that occur, or the numbers, when left out.
        pictures: samples of three axes are gray pictures, not series.

    >>> as_dataset(np.zeros((4, 8, 8)), ["cat", "dog", "dog", "cat"]).class_names
    ('cat', 'dog')
    >>> as_dataset((np.zeros((4, 8)), [0, 1, 2, 0])).sample_shape
    (8,)

    Raises:
        UsageError: labels beside data that have their own, or samples without any.
        InputError: samples or labels that cannot be used.
    """
    if isinstance(data, tuple | list) and labels is None and len(data) == 2:
        data, labels = data
    if isinstance(data, Dataset | Split | str | os.PathLike):
        if labels is not None:
            raise UsageError("These data bring their own labels; leave the others out.")
        if isinstance(data, Split):
            return make_dataset("samples", {"train": data}, class_names=class_names)
        return data if isinstance(data, Dataset) else load_dataset(os.fspath(data), seed=seed)
    if labels is None:
        raise UsageError("Samples need labels: (samples, labels), or samples, labels.")
    samples = as_samples("samples", np.asarray(data), pictures=pictures)
    told = np.asarray(labels)
    if told.dtype.kind == "O":
        told = told.astype(str)
    targets, task, found = as_targets("labels", told, samples.shape[1:])
    if found is not None:
        class_names = class_names or found
        targets = renumbered("labels", targets, found, class_names)
    split = Split(samples, targets)
    return make_dataset("samples", {"train": split}, class_names=class_names, task=task)
