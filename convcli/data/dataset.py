"""What samples are once they are in memory: a frozen `Dataset` of named splits."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convcli.arrayfiles import MAX_BYTES, check_bytes
from convcli.errors import InputError
from convcli.values import NotebookRepr

Samples = NDArray[np.uint8] | NDArray[np.float32]
"""Pictures N x H x W x C (uint8, or float32 as the source), series N x L x C, vectors N x D."""

ProgressCallback = Callable[[str, int, int | None], None]
"""Called as `callback(what, done, total)`; `total` is None while it is unknown."""

MAX_CLASSES = 10_000
ALLOW = "Allow more with --memory-limit"
"""The way out of a limit in bytes, up to the number."""
SPLIT_NAMES = ("train", "validation", "test")
TASKS = {
    "classes": "one class of several",
    "labels": "several labels, each yes or no",
    "values": "numbers",
    "mask": "a class for every cell",
}
"""What is to be learned of a sample."""
IGNORED = 255
"""The class of a cell of a mask that nobody knows."""
BLOCK_BYTES = 2**22
"""Samples are looked at in blocks of so many bytes, so that no figure needs all of them at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Samples that serve one purpose, with their labels.

    Attributes:
        stored: M x H x W x C uint8 or float32, M x L x C float32, or M x D; channels last. The
            samples are all of them, or the `rows`; parts of one data set share them, large ones
            are mapped from a file, and windows of a series lie over each other.
        labels: what is to be learned: N integers, 0-based positions in the data set's
            `class_names`; N x L of 0 and 1 for labels; N x ... float32 for values; N x H x W uint8
            for masks, where `IGNORED` is no class.
        groups: N integers or None; samples with one number share rows, a person or a recording
            and must stay on one side of any split.
        indices: N integers or None; where these samples stood before a split was made.
        files: the file each sample came from, where there is one.
        rows: N integers, which rows of `stored` the samples are; None for all of them.
    """

    stored: Samples
    labels: NDArray[Any]
    groups: NDArray[np.int64] | None = None
    indices: NDArray[np.int64] | None = None
    files: tuple[str, ...] = ()
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple[type[Split], tuple[Any, ...]]:
        """Return what makes it anew in another process; windows lie there one after the other."""
        whole = self.stored.flags.c_contiguous
        stored, rows = (self.stored, self.rows) if whole else (self.samples, None)
        return Split, (stored, self.labels, self.groups, self.indices, self.files, rows)

    def __repr__(self) -> str:
        return f"Split({len(self)} samples of {axes(self.sample_shape)} {self.stored.dtype})"

    @property
    def samples(self) -> Samples:
        """All samples as one array, copied together where they are `rows` of a larger one."""
        return self.stored if self.rows is None else self.stored[self.rows]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, channels last."""
        return tuple(self.stored.shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes that the samples take; rows that windows share count once."""
        each = self.stored[:1].nbytes
        return min(len(self) * each, (len(self.stored) - 1) * self.stored.strides[0] + each)

    @property
    def on_disk(self) -> bool:
        """Whether the samples are mapped from a file."""
        return isinstance(self.stored, np.memmap)

    def some(self, at: ArrayLike) -> Samples:
        """Return copies of the samples at these places, in that order."""
        places = np.asarray(at, dtype=np.int64)
        rows = places if self.rows is None else self.rows[places]
        stored: Any = self.stored
        if self.on_disk and isinstance(stored.base, mmap.mmap):  # the whole file, no part of it
            return _read_rows(stored, rows)
        found = self.stored[rows]
        release(self.stored)
        return found

    def blocks(self, multiple: int = 1) -> Iterator[Samples]:
        """Yield all samples in order, some `BLOCK_BYTES` at a time: a multiple of so many."""
        each = max(1, self.stored[:1].nbytes)
        count = max(1, BLOCK_BYTES // (each * multiple)) * multiple
        for first in range(0, len(self), count):
            part = slice(first, first + count)
            yield self.stored[part] if self.rows is None else self.stored[self.rows[part]]
            release(self.stored)

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and deviation along the last axis of the samples, summed in float64."""
        count = len(self) * int(np.prod(self.sample_shape[:-1]))
        rows = (block.reshape(-1, block.shape[-1]) for block in self.blocks())
        means = sum(block.sum(axis=0, dtype=np.float64) for block in rows) / count
        rows = (block.reshape(-1, block.shape[-1]) for block in self.blocks())
        squares = sum(((block - means) ** 2).sum(axis=0) for block in rows)
        return means, np.sqrt(squares / count)

    def take(self, indices: ArrayLike) -> Split:
        """Return the samples at `indices`, in that order, remembering where they stood.

        >>> whole = Split(np.zeros((4, 2, 2, 1), np.uint8), np.array([0, 1, 0, 1]))
        >>> part = whole.take([3, 0])
        >>> part.labels.tolist(), part.indices.tolist(), part.samples.shape
        ([1, 0], [3, 0], (2, 2, 2, 1))
        """
        at = np.asarray(indices, dtype=np.int64)
        before = np.arange(len(self)) if self.indices is None else self.indices
        return Split(
            self.stored,
            labels=self.labels[at],
            groups=None if self.groups is None else self.groups[at],
            indices=before[at],
            files=tuple(self.files[i] for i in at.tolist()) if self.files else (),
            rows=at if self.rows is None else self.rows[at],
        )


def _read_rows(stored: np.memmap[Any, Any], rows: NDArray[np.int64]) -> Samples:
    """Return rows of a mapped file, each read at once: a page at a time takes the disk far longer.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     mapped = np.memmap(file.name, np.uint8, "w+", shape=(3, 2))
    ...     mapped[:] = [[1, 2], [3, 4], [5, 6]]
    ...     _read_rows(mapped, np.array([2, -3])).tolist()
    [[5, 6], [1, 2]]
    """
    found = np.empty((len(rows), *stored.shape[1:]), stored.dtype)
    each = stored[:1].nbytes
    with open(str(stored.filename), "rb", buffering=0) as file:  # noqa: PTH123  (unbuffered)
        for place, row in enumerate(rows.tolist()):
            file.seek(stored.offset + (row % len(stored)) * each)
            if file.readinto(found[place].reshape(-1).view(np.uint8).data) < each:
                raise InputError(f"{stored.filename} was cut off while it was read. Train anew.")
    return found


def release(stored: NDArray[Any]) -> None:
    """Give the memory of a mapped file's pages back; they are read again when they are needed."""
    if isinstance(stored, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
        stored._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]  # NumPy hides it


@dataclass(frozen=True, slots=True, eq=False)
class Dataset(NotebookRepr):
    """Labeled samples in named splits.

    Attributes:
        name: what people call it.
        class_names: the name of label 0, 1, ..., or of each number along the last axis of values.
        train: the samples to learn from.
        test: the samples to judge by, read once at the end; None where the source has none.
        validation: the samples to choose by; None until a split is made.
        provenance: one sentence on where the samples come from and what was checked.
        notes: sentences on what was skipped, resized or assumed on the way.
        channel_names: names of the last axis, where the source gives them.
        task: one of `TASKS`.
        skipped: why files of the source are missing, a sentence each.

    Raises:
        InputError: a class without a name that can be seen, or two of one name.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    test: Split | None = None
    validation: Split | None = None
    provenance: str = ""
    notes: tuple[str, ...] = ()
    channel_names: tuple[str, ...] = ()
    task: str = "classes"
    skipped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: dict[str, int] = {}
        for number, name in enumerate(self.class_names):
            if not any(sign.isprintable() and not sign.isspace() for sign in name):
                raise InputError(
                    f"{self.name}: class {number} is named {name!a}, which nobody can see. "
                    "Give it a name."
                )
            if name in seen:
                raise InputError(
                    f"{self.name}: classes {seen[name]} and {number} are both named {name!r}. "
                    "Give each class a name of its own."
                )
            seen[name] = number

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(split)}" for name, split in self.splits().items())
        shape = f"{axes(self.sample_shape)} {self.train.stored.dtype}"
        return f"Dataset({self.name!r}, {shape}, {self.classes} classes, {counts})"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, channels last: (28, 28, 1) for MNIST."""
        return self.train.sample_shape

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """What a network is to give for one sample."""
        if self.task == "classes":
            return (self.classes,)
        shape = tuple(self.train.labels.shape[1:])
        return (*shape, self.classes) if self.task == "mask" else shape

    def splits(self) -> dict[str, Split]:
        """Return the splits there are, by name, in the order train, validation, test."""
        found = {name: getattr(self, name) for name in SPLIT_NAMES}
        return {name: split for name, split in found.items() if split is not None}


def make_dataset(
    name: str,
    splits: Mapping[str, Split],
    *,
    class_names: tuple[str, ...] | None = None,
    provenance: str = "",
    notes: tuple[str, ...] = (),
    channel_names: tuple[str, ...] = (),
    task: str = "classes",
) -> Dataset:
    """Return a `Dataset` after checking that its splits fit each other.

    Args:
        name: what to call it in messages.
        splits: by name, `train` and perhaps `validation` and `test`.
        class_names: the names of the labels; "0", "1", ... up to the largest when left out, or one
            for each number along the last axis of values.
        provenance: as in `Dataset`.
        notes: as in `Dataset`.
        channel_names: as in `Dataset`.
        task: as in `Dataset`.

    Raises:
        InputError: no samples, lengths that differ, a label out of range, fewer than two
            classes, sample shapes that differ between splits, or values that are not finite.

    >>> part = Split(np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1]))
    >>> make_dataset("tiny", {"train": part}).class_names
    ('0', '1')
    """
    for split_name, split in splits.items():
        _check_split(f"{name} ({split_name})", split)
    train = splits["train"]
    if class_names is not None:
        classes = len(class_names)
    elif task in {"classes", "mask"}:
        known = train.labels[train.labels != IGNORED] if task == "mask" else train.labels
        classes = int(known.max(initial=0)) + 1
    else:
        classes = train.labels.shape[-1]
    if classes > MAX_CLASSES:
        raise InputError(
            f"{name}: the largest label is {classes - 1:,}; at most {MAX_CLASSES:,} classes."
        )
    if class_names is None:
        class_names = tuple(str(label) for label in range(classes))
    for split_name, split in splits.items():
        _CHECKS[task](f"{name} ({split_name})", split, len(class_names))
        if split.sample_shape != train.sample_shape:
            raise InputError(
                f"{name}: samples of {split_name} are {axes(split.sample_shape)}, those of "
                f"train {axes(train.sample_shape)}. All splits need one size."
            )
    present = np.unique(train.labels) if task == "classes" else np.arange(2)
    if len(present) < 2:
        raise InputError(
            f"{name}: all {len(train):,} training samples have one class, "
            f"{class_names[int(present[0])]}. A classifier needs at least two."
        )
    return Dataset(
        name,
        class_names,
        train,
        test=splits.get("test"),
        validation=splits.get("validation"),
        provenance=provenance,
        notes=notes,
        channel_names=channel_names,
        task=task,
    )


def as_labels(place: str, labels: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return labels as one integer per sample; whole floats, columns and one-hot rows will do.

    >>> as_labels("y", np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [1, 0]
    """
    if labels.dtype.kind not in "biuf":
        raise InputError(f"{place}: labels are of type {labels.dtype}; they must be numbers.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and bool(((labels == 0) | (labels == 1)).all()):
        ones = labels.sum(axis=1)
        if bool((ones == 1).all()):
            return np.asarray(labels.argmax(axis=1), dtype=np.int64)
        wrong = int(np.flatnonzero(ones != 1)[0])
        raise InputError(
            f"{place}: row {wrong} has {int(ones[wrong])} ones; a one-hot row has exactly 1."
        )
    if labels.ndim != 1:
        raise InputError(
            f"{place}: labels have the shape {axes(labels.shape)}; give one integer per sample."
        )
    whole = labels.astype(np.int64) if _is_whole(labels) else None
    if whole is None:
        raise InputError(f"{place}: labels are no whole numbers; give one integer per sample.")
    return whole


def as_targets(
    place: str, labels: NDArray[Any], sample_shape: tuple[int, ...], task: str | None = None
) -> tuple[NDArray[Any], str, tuple[str, ...] | None]:
    """Return what is to be learned, the task that it is, and the classes' names where they tell.

    Without a task: texts and whole numbers are classes, and so are one-hot rows; other rows of 0
    and 1 are several labels; whole numbers for every cell are masks; all else are values.

    >>> as_targets("y", np.array([0.5, 1.5]), (4,))[:2]
    (array([[0.5],
           [1.5]], dtype=float32), 'values')
    """
    if labels.dtype.kind in "US":
        if labels.ndim != 1 or task not in {None, "classes"}:
            raise InputError(f"{place}: texts are names of classes, one for each sample.")
        names, numbers = np.unique(labels.astype(str), return_inverse=True)
        return numbers.astype(np.int64), "classes", tuple(names.tolist())
    if labels.dtype.kind not in "biuf":
        raise InputError(f"{place}: labels are of type {labels.dtype}; they must be numbers.")
    cells = labels[..., 0] if labels.ndim > 2 and labels.shape[-1] == 1 else labels
    whole = _is_whole(labels)
    task = task or _task_of(cells, sample_shape, whole=whole)
    if task == "classes":
        return as_labels(place, labels), task, None
    if task == "labels":
        return labels.reshape(len(labels), -1).astype(np.float32), task, None
    if task == "mask":
        if not whole or labels.min(initial=0) < 0 or labels.max(initial=0) > IGNORED:
            raise InputError(f"{place}: masks hold classes, whole numbers from 0 to {IGNORED}.")
        return cells.astype(np.uint8), task, None
    return (labels.reshape(-1, 1) if labels.ndim == 1 else labels).astype(np.float32), task, None


def _task_of(labels: NDArray[Any], sample_shape: tuple[int, ...], *, whole: bool) -> str:
    if labels.ndim == 1 or labels.shape[1:] == (1,):
        return "classes" if whole else "values"
    if labels.ndim == 2 and bool(((labels == 0) | (labels == 1)).all()):
        return "classes" if bool((labels.sum(axis=1) == 1).all()) else "labels"
    each_cell = len(sample_shape) > 2 and labels.shape[1:] == sample_shape[:-1]
    return "mask" if whole and each_cell else "values"


def renumbered(
    place: str, labels: NDArray[Any], names: tuple[str, ...], wanted: tuple[str, ...]
) -> NDArray[np.int64]:
    """Return labels of classes with one order of names in another's.

    >>> renumbered("y", np.array([0, 1]), ("b", "c"), ("a", "b", "c")).tolist()
    [1, 2]
    """
    unknown = [name for name in names if name not in wanted]
    if unknown:
        raise InputError(
            f"{place}: {unknown[0]!r} is none of the classes that the training data have: "
            f"{', '.join(wanted)}."
        )
    table = np.array([wanted.index(name) for name in names], np.int64)
    return np.asarray(table[labels])


def as_samples(
    place: str,
    samples: NDArray[np.generic],
    *,
    pictures: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Samples:
    """Return samples with a channel axis, as uint8 where their values are bytes, else float32.

    Three axes are gray pictures when the values are bytes or `pictures` says so, and otherwise a
    series N x L x C; two axes are vectors.

    >>> as_samples("x", np.zeros((5, 8, 8), np.uint8)).shape
    (5, 8, 8, 1)
    """
    if samples.dtype.kind not in "biuf":
        raise InputError(f"{place}: samples are of type {samples.dtype}; they must be numbers.")
    if not 2 <= samples.ndim <= 5:
        raise InputError(
            f"{place}: samples have the shape {axes(samples.shape)}; expected N x H x W x C "
            "pictures, N x H x W gray pictures, N x L x C series or N x D vectors."
        )
    if samples.ndim == 4 and samples.shape[1] in {1, 3} and samples.shape[3] > 4:
        raise InputError(
            f"{place}: the shape {axes(samples.shape)} has its channels first. "
            "Put them last: numpy.moveaxis(x, 1, -1)."
        )
    if samples.dtype.kind in "biu" and samples.size:
        low, high = int(samples.min()), int(samples.max())
        if low >= 0 and high <= 255 and samples.ndim > 2:
            samples = samples.astype(np.uint8, copy=False)
    if samples.ndim == 3 and (pictures or samples.dtype == np.uint8):
        samples = samples[..., np.newaxis]
    kind = np.uint8 if samples.dtype == np.uint8 and samples.ndim > 2 else np.float32
    check_bytes(f"{place}: the samples take", samples.size * kind().itemsize, max_bytes, ALLOW)
    return np.ascontiguousarray(samples, dtype=kind)  # type: ignore[return-value]  # one of two types


def _is_whole(values: NDArray[np.generic]) -> bool:
    if values.dtype.kind in "biu":
        return True
    return bool(np.isfinite(values).all()) and bool((values == np.rint(values)).all())


def _check_split(place: str, split: Split) -> None:
    count, labels = len(split.stored if split.rows is None else split.rows), split.labels
    if count != len(labels):
        raise InputError(f"{place}: {count:,} samples but {len(labels):,} labels.")
    if not len(labels):
        raise InputError(f"{place}: there are no samples.")
    if not split.nbytes:
        raise InputError(f"{place}: samples of {axes(split.sample_shape)} hold no values.")
    if split.stored.dtype != np.uint8:
        finite = np.concatenate(
            [np.isfinite(block.reshape(len(block), -1)).all(axis=1) for block in split.blocks()]
        )
        if not finite.all():
            raise InputError(
                f"{place}: {int((~finite).sum()):,} of {count:,} samples hold NaN or "
                f"infinity, first sample {int(np.flatnonzero(~finite)[0])}."
            )


def _check_classes(place: str, split: Split, classes: int) -> None:
    labels = split.labels
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise InputError(
            f"{place}: sample {int(wrong[0])} has the label {int(labels[wrong[0]])}, outside "
            f"0..{classes - 1}; {len(wrong):,} of {len(labels):,} labels are out of range."
        )


def _check_yes_or_no(place: str, split: Split, classes: int) -> None:
    labels = split.labels
    if labels.ndim != 2 or labels.shape[1] != classes:
        raise InputError(
            f"{place}: labels have the shape {axes(labels.shape)}; {classes} names need as many "
            "columns of 0 and 1."
        )
    wrong = np.flatnonzero(((labels != 0) & (labels != 1)).any(axis=1))
    if len(wrong):
        raise InputError(
            f"{place}: sample {int(wrong[0])} has labels that are neither 0 nor 1; "
            f"{len(wrong):,} of {len(labels):,} have. Values of that kind are --task values."
        )


def _check_values(place: str, split: Split, classes: int) -> None:
    rows = split.labels.reshape(len(split), -1)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise InputError(
            f"{place}: {len(bad):,} of {len(rows):,} samples have values to learn that are NaN or "
            f"infinite, first sample {int(bad[0])}."
        )
    if split.labels.shape[-1] != classes:
        raise InputError(
            f"{place}: {classes} names for {split.labels.shape[-1]} values; name each one."
        )


def _check_masks(place: str, split: Split, classes: int) -> None:
    if split.labels.shape[1:] != split.sample_shape[:-1]:
        raise InputError(
            f"{place}: masks are {axes(split.labels.shape[1:])}, the samples "
            f"{axes(split.sample_shape)}. A mask has a class for every cell of its sample."
        )
    known = split.labels[split.labels != IGNORED]
    if not known.size:
        raise InputError(f"{place}: the masks know no cell; all are {IGNORED}, which is no class.")
    if int(known.max()) >= classes:
        raise InputError(
            f"{place}: the masks reach class {int(known.max())}, outside 0..{classes - 1}."
        )


_CHECKS = {
    "classes": _check_classes,
    "labels": _check_yes_or_no,
    "values": _check_values,
    "mask": _check_masks,
}


def axes(shape: tuple[int, ...]) -> str:
    return "x".join(str(length) for length in shape)
