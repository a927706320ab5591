"""What samples are once they are in memory: a frozen `Dataset` of named splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convcli.arrayfiles import MAX_BYTES, check_bytes
from convcli.errors import InputError

Samples = NDArray[np.uint8] | NDArray[np.float32]
"""Pictures N x H x W x C (uint8, or float32 as the source), series N x L x C, vectors N x D."""

ProgressCallback = Callable[[str, int, int | None], None]
"""Called as `callback(what, done, total)`; `total` is None while it is unknown."""

MAX_CLASSES = 10_000
ALLOW = "Allow more with --memory-limit"
"""The way out of a limit in bytes, up to the number."""
SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Samples that serve one purpose, with their labels.

    Attributes:
        samples: N x H x W x C uint8 or float32, N x L x C float32, or N x D; channels last.
        labels: N integers, 0-based positions in the data set's `class_names`.
        groups: N integers or None; samples with one number share rows, a person or a recording
            and must stay on one side of any split.
        indices: N integers or None; where these samples stood before a split was made.
        files: the file each sample came from, where there is one.
    """

    samples: Samples
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    indices: NDArray[np.int64] | None = None
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

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
            samples=self.samples[at],
            labels=self.labels[at],
            groups=None if self.groups is None else self.groups[at],
            indices=before[at],
            files=tuple(self.files[i] for i in at.tolist()) if self.files else (),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labeled samples in named splits.

    Attributes:
        name: what people call it.
        class_names: the name of label 0, 1, ...
        train: the samples to learn from.
        test: the samples to judge by, read once at the end; None where the source has none.
        validation: the samples to choose by; None until a split is made.
        provenance: one sentence on where the samples come from and what was checked.
        notes: sentences on what was skipped, resized or assumed on the way.
        channel_names: names of the last axis, where the source gives them.

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

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, channels last: (28, 28, 1) for MNIST."""
        return tuple(self.train.samples.shape[1:])

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

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
) -> Dataset:
    """Return a `Dataset` after checking that its splits fit each other.

    Args:
        name: what to call it in messages.
        splits: by name, `train` and perhaps `validation` and `test`.
        class_names: the names of the labels; "0", "1", ... up to the largest when left out.
        provenance: as in `Dataset`.
        notes: as in `Dataset`.
        channel_names: as in `Dataset`.

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
    classes = int(train.labels.max()) + 1 if class_names is None else len(class_names)
    if classes > MAX_CLASSES:
        raise InputError(
            f"{name}: the largest label is {classes - 1:,}; at most {MAX_CLASSES:,} classes."
        )
    if class_names is None:
        class_names = tuple(str(label) for label in range(classes))
    for split_name, split in splits.items():
        _check_labels(f"{name} ({split_name})", split.labels, len(class_names))
        if split.samples.shape[1:] != train.samples.shape[1:]:
            raise InputError(
                f"{name}: samples of {split_name} are {_axes(split.samples.shape[1:])}, those of "
                f"train {_axes(train.samples.shape[1:])}. All splits need one size."
            )
    present = np.unique(train.labels)
    if len(present) < 2:
        raise InputError(
            f"{name}: all {len(train):,} training samples have one class, "
            f"{class_names[int(present[0])]}. A classifier needs at least two."
        )
    return Dataset(
        name,
        class_names,
        **{key: splits.get(key) for key in ("test", "validation")},
        train=train,
        provenance=provenance,
        notes=notes,
        channel_names=channel_names,
    )


def as_labels(place: str, labels: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return labels as one integer per sample; whole floats, columns and one-hot rows will do.

    >>> as_labels("y", np.array([[0.0, 1.0], [1.0, 0.0]])).tolist()
    [1, 0]
    """
    if labels.dtype.kind not in "biuf":
        raise InputError(f"{place}: labels are of type {labels.dtype}; they must be integers.")
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
            f"{place}: labels have the shape {_axes(labels.shape)}; give one integer per sample."
        )
    whole = labels.astype(np.int64) if _is_whole(labels) else None
    if whole is None:
        raise InputError(f"{place}: labels are no whole numbers; give one integer per sample.")
    return whole


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
            f"{place}: samples have the shape {_axes(samples.shape)}; expected N x H x W x C "
            "pictures, N x H x W gray pictures, N x L x C series or N x D vectors."
        )
    if samples.ndim == 4 and samples.shape[1] in {1, 3} and samples.shape[3] > 4:
        raise InputError(
            f"{place}: the shape {_axes(samples.shape)} has its channels first. "
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
    samples, labels = split.samples, split.labels
    if len(samples) != len(labels):
        raise InputError(f"{place}: {len(samples):,} samples but {len(labels):,} labels.")
    if not len(labels):
        raise InputError(f"{place}: there are no samples.")
    if not samples.size:
        raise InputError(f"{place}: samples of {_axes(samples.shape[1:])} hold no values.")
    if samples.dtype != np.uint8:
        finite = np.isfinite(samples.reshape(len(samples), -1)).all(axis=1)
        if not finite.all():
            raise InputError(
                f"{place}: {int((~finite).sum()):,} of {len(samples):,} samples hold NaN or "
                f"infinity, first sample {int(np.flatnonzero(~finite)[0])}."
            )


def _check_labels(place: str, labels: NDArray[np.int64], classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise InputError(
            f"{place}: sample {int(wrong[0])} has the label {int(labels[wrong[0]])}, outside "
            f"0..{classes - 1}; {len(wrong):,} of {len(labels):,} labels are out of range."
        )


def _axes(shape: tuple[int, ...]) -> str:
    return "x".join(str(length) for length in shape)
