"""From the word after `--data` to a `Dataset`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike

from convcli.data.dataset import (
    TASKS,
    Dataset,
    ProgressCallback,
    Split,
    as_samples,
    as_targets,
    axes,
    make_dataset,
    renumbered,
)
from convcli.data.folders import folders_dataset
from convcli.data.idx import dataset_from_idx, is_idx
from convcli.data.listed import file_column, is_folder_of_pairs, listed_dataset, pairs_dataset
from convcli.data.npz import dataset_from_npz
from convcli.data.published import PUBLISHED, load_published
from convcli.data.series import is_series_folder, series_dataset
from convcli.data.source import MADE, LabelRule, Source, Task, read_size
from convcli.errors import InputError, MissingFileError, UsageError, WrongTypeError, did_you_mean
from convcli.option import completes

NAMES = (*PUBLISHED, *MADE)
"""The names that need no path."""


TABLES = (".csv", ".txt")


class Columns(TypedDict, total=False):
    """What a table or a series may be asked for besides; the fields of `Source`."""

    window: int | str | None
    overlap: float | None
    label: str | None
    label_rule: LabelRule | None
    task: Task | None
    forecast: int | None
    group: str | None


@completes(Source, Columns)
def load_dataset(
    source: str | Path,
    *,
    size: tuple[int, int] | None = None,
    val_data: str | Path | None = None,
    test_data: str | Path | None = None,
    seed: int = 0,
    samples: int | None = None,
    memory_limit: int | None = None,
    progress: ProgressCallback | None = None,
    **columns: Unpack[Columns],
) -> Dataset:
    """Return the data set that `source` names.

    Args:
        source: `mnist` or `fashion`; a name of `MADE`, made on the spot; a folder of class folders
            of pictures, of `images` and `masks`, or of idx files; the images' file of an idx pair,
            or both files with a comma between them; an `.npz` file; a table of samples, of series
            or of picture files (`.csv`, `.txt`), or a folder of those.
        size: height and width that pictures are brought to.
        val_data: other data that choose the epoch.
        test_data: other data to judge by, in place of those of the source.
        seed: of data made on the spot.
        samples: for training, all when left out; those that are made come with some for testing.
        memory_limit: bytes that the samples of one file or split may take, 8 GiB when left out;
            more are refused before they are read. Pictures in files are kept on disk instead.
        progress: called while something takes long.
        columns: of tables: `window` (rows of a window of a series, 0 for one sample a row, or
            seconds by its column of time, such as "2.56s") and
            `overlap` (share of it that the next one shares, 0.5 when left out); `label` (the column
            of labels, or several with commas between them); `label_rule` (`majority` of a window's
            rows or the `last` one); `forecast` (rows after a window that are learned); `group` (the
            column whose equal values stay on one side of every split); and `task` (what the labels
            are, one of `convcli.data.dataset.TASKS`), which an `.npz` takes too.

    Returns:
        a `Dataset` whose samples stay uint8 in memory where the source holds bytes.

    Raises:
        InputError: unknown name, missing place, or contents that cannot be used.
        UsageError: a figure that makes no sense, or that this source has no use for.

    >>> data = load_dataset("digits", samples=60)
    >>> data.train.samples.shape, data.train.samples.dtype, len(data.test)
    ((60, 28, 28, 1), dtype('uint8'), 10)
    """
    for name in columns:
        if name not in Columns.__annotations__:
            hint = did_you_mean(name, Columns.__annotations__)
            raise WrongTypeError(f"load_dataset takes no {name!r}.{hint}")
    asked = Source(
        name=os.fspath(source),
        samples=samples,
        size=None if size is None else f"{size[0]}x{size[1]}",
        val_data=None if val_data is None else os.fspath(val_data),
        test_data=None if test_data is None else os.fspath(test_data),
        memory_limit=None if memory_limit is None else f"{memory_limit}B",
        **columns,
    )
    return read_source(asked, seed=seed, progress=progress)


def read_source(
    source: Source, *, seed: int = 0, progress: ProgressCallback | None = None
) -> Dataset:
    """Return the data set of a source, see `load_dataset`.

    >>> len(read_source(Source(name="digits", samples=60)).train)
    60
    """
    data = _read(source, seed, progress)
    if source.samples is not None and source.samples < len(data.train):
        data = replace(data, train=data.train.take(range(source.samples)))
    for split, name in (("validation", source.val_data), ("test", source.test_data)):
        if name is not None:
            alone = replace(source, name=name, samples=None, val_data=None, test_data=None)
            data = _with_split(data, split, _read(alone, seed, progress))
    return data


def _with_split(data: Dataset, name: str, other: Dataset) -> Dataset:
    """Return the data with a split of another data set: that of the name, or all it trains on."""
    found = getattr(other, name) or other.train
    if other.task != data.task or other.sample_shape != data.sample_shape:
        raise InputError(
            f"{other.name} for {name} has samples of {axes(other.sample_shape)} with "
            f"{TASKS[other.task]}, and {data.name} {axes(data.sample_shape)} with "
            f"{TASKS[data.task]}. Both must be alike."
        )
    if data.task == "classes":
        labels = renumbered(other.name, found.labels, other.class_names, data.class_names)
        found = replace(found, labels=labels)
    elif data.output_shape != other.output_shape or data.class_names != other.class_names:
        raise InputError(
            f"{other.name} for {name} names {', '.join(other.class_names)}, and {data.name} "
            f"{', '.join(data.class_names)}. Both must be alike."
        )
    data = replace(data, notes=(*data.notes, f"{name.capitalize()}: {other.provenance}."))
    return replace(data, test=found) if name == "test" else replace(data, validation=found)


def _read(source: Source, seed: int, progress: ProgressCallback | None) -> Dataset:
    read_size(source.size)  # a malformed one is told before it is found useless
    kind = KINDS[_kind_of(str(source.name))]
    everywhere = {"samples", "memory_limit", "val_data", "test_data"}
    useless = [name for name in source.given() if name not in {*kind.uses, *everywhere}]
    if useless:
        raise UsageError(f"{source.name} is {kind.what}, which takes no {useless[0]}.")
    return kind.load(source, seed, progress)


class Kind(NamedTuple):
    """A kind of source: what it is, the fields of `Source` it has a use for, and its reader."""

    what: str
    uses: tuple[str, ...]
    load: Callable[[Source, int, ProgressCallback | None], Dataset]


def _made(source: Source, seed: int, progress: ProgressCallback | None) -> Dataset:
    from convcli.data.made import make

    return make(source, seed, progress)


KINDS = {
    "published": Kind("a published set", (), lambda source, _, progress: load_published(
        PUBLISHED[str(source.name)], progress=progress, max_bytes=source.max_bytes)),
    "made": Kind("a made set", (), _made),
    "idx": Kind("a set in idx files", (), lambda source, *_: dataset_from_idx(
        source.place, max_bytes=source.max_bytes)),
    "npz": Kind("an .npz file", ("task",), lambda source, *_: dataset_from_npz(
        source.place, task=source.task, max_bytes=source.max_bytes)),
    "series": Kind(
        "a set of series",
        ("window", "overlap", "label", "label_rule", "task", "forecast", "group"),
        lambda source, _, progress: series_dataset(source, progress),
    ),
    "folders": Kind("a folder of pictures", ("size",), lambda source, _, progress: (
        folders_dataset(source, progress))),
    "pairs": Kind("pairs of pictures", ("size",), lambda source, _, progress: (
        pairs_dataset(source, progress))),
    "listed": Kind("a table of pictures", ("size", "label", "task", "group"),
        lambda source, _, progress: listed_dataset(source, progress)),
}  # fmt: skip
"""The kinds of sources by name."""


def _kind_of(source: str) -> str:
    """Return which kind of source this is, one of `KINDS`."""
    place = Path(source)
    if source in PUBLISHED:
        return "published"
    if source in MADE:
        return "made"
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
        if is_series_folder(place):
            return "series"
        return "pairs" if is_folder_of_pairs(place) else "folders"
    suffix = place.suffix.lower()
    if suffix != ".npz" and suffix not in TABLES:
        what = f"named *{suffix}" if suffix else "without a suffix"
        raise InputError(
            f"{place}: no data set is read from a file {what}; idx files, .npz, "
            f"{' and '.join(TABLES)} are, and folders of pictures."
        )
    if suffix == ".npz":
        return "npz"
    return "listed" if file_column(place) is not None else "series"


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
        data: a data set, the words that name one, `(samples, labels)`, samples alone, or a bunch of
            scikit-learn's, whose `images` go before its `data`.
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
    if labels is None and "target" in getattr(data, "keys", tuple)():
        return _bunch_dataset(data)
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


def _bunch_dataset(bunch: Any) -> Dataset:
    """Return a bunch of scikit-learn's; targets without names that are fractions are values."""
    images = bunch.get("images")
    samples = as_samples("data", np.asarray(bunch["data"] if images is None else images),
                         pictures=images is not None)  # fmt: skip
    named = bunch.get("target_names")
    told = np.asarray(bunch["target"])
    fractions = named is None and told.dtype.kind == "f"
    told = told.astype(str) if told.dtype.kind == "O" else told
    targets, task, found = as_targets(
        "target", told, samples.shape[1:], "values" if fractions else None
    )
    names = found if named is None or found is not None else tuple(map(str, named))
    return make_dataset("samples", {"train": Split(samples, targets)}, class_names=names, task=task)
