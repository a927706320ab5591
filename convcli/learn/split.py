"""Samples set aside: a stratified hold-out, and stratified folds; groups stay on one side."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convcli.data import Dataset, Split
from convcli.errors import InputError, UsageError


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """Which samples of a data set train, which validate, and whether any test.

    Attributes:
        seed: of what is held out, and of data made on the spot.
        fold: number of the fold that validates, from 1; None outside cross-validation.
        folds: how many there are.
        overfit: so many samples train and validate, and nothing else is read.
    """

    seed: int = 0
    fold: int | None = None
    folds: int | None = None
    overfit: int | None = None


def split_data(data: Dataset, share: float, spec: SplitSpec) -> Dataset:
    """Return the data with the splits that a training is to have.

    Args:
        data: as they were loaded.
        share: of the training samples that validate, unless the data bring samples for that.
        spec: what else decides.

    Raises:
        InputError: there are too few samples for that.

    >>> whole = Split(np.zeros((8, 2), np.float32), np.arange(8) % 2)
    >>> got = split_data(Dataset("d", ("a", "b"), whole), 0.1, SplitSpec(fold=1, folds=2))
    >>> len(got.train), len(got.validation)
    (4, 4)
    """
    if spec.overfit is not None:
        few = data.train.take(range(min(spec.overfit, len(data.train))))
        return dataclasses.replace(data, train=few, validation=few, test=None)
    if spec.fold is not None and spec.folds is not None:
        train, held = folds(data.train, spec.folds, spec.seed)[spec.fold - 1]
        return dataclasses.replace(data, train=train, validation=held, test=None)
    if data.validation is not None or share == 0:
        return data
    train, held = hold_out(data.train, share, spec.seed)
    return dataclasses.replace(data, train=train, validation=held)


def hold_out(split: Split, share: float, seed: int = 0) -> tuple[Split, Split]:
    """Return what is left for training, and a share of each class for validation.

    Both keep the order of the samples. Samples of one group (a person, a recording) stay together.

    Args:
        split: samples to divide.
        share: of the samples of each class, between 0 and 1.
        seed: which ones.

    Raises:
        InputError: there are too few samples or groups to set any aside.

    >>> whole = Split(np.zeros((10, 2), np.float32), np.array([0] * 6 + [1] * 4))
    >>> left, held = hold_out(whole, 0.5)
    >>> np.bincount(left.labels).tolist(), np.bincount(held.labels).tolist()
    ([3, 2], [3, 2])
    """
    units, unit_classes = _units(split)
    unit_sizes = np.bincount(units)
    held = np.zeros(len(unit_sizes), bool)
    for members in _shuffled_by_class(unit_classes, seed):
        wanted = share * unit_sizes[members].sum()
        reached = np.cumsum(unit_sizes[members])
        count = min(int(np.searchsorted(reached, wanted - 1e-9)) + 1, len(members) - 1)
        held[members[:count]] = True
    if not held.any():
        what = "samples" if split.groups is None else "groups"
        raise InputError(
            f"No validation samples can be set aside: every class has a single one of the "
            f"{len(unit_sizes)} {what}. Use --val 0, or bring more data."
        )
    chosen = held[units]
    return split.take(np.flatnonzero(~chosen)), split.take(np.flatnonzero(chosen))


def folds(split: Split, count: int, seed: int = 0) -> list[tuple[Split, Split]]:
    """Return `count` pairs (training, validation); each sample validates once.

    Raises:
        UsageError: fewer than 2 folds.
        InputError: fewer samples or groups than folds.

    >>> whole = Split(np.arange(12.0).reshape(6, 2), np.array([0, 0, 0, 1, 1, 1]))
    >>> [held.labels.tolist() for _, held in folds(whole, 3)]
    [[0, 1], [0, 1], [0, 1]]
    """
    if count < 2:
        raise UsageError(f"--folds {count}: use at least 2.")
    units, unit_classes = _units(split)
    if len(unit_classes) < count:
        what = "samples" if split.groups is None else "groups"
        raise InputError(f"{len(unit_classes)} {what} cannot make {count} folds.")
    fold_of = np.empty(len(unit_classes), np.int64)
    dealt = 0
    for members in _shuffled_by_class(unit_classes, seed):
        fold_of[members] = (dealt + np.arange(len(members))) % count
        dealt += len(members)
    return [
        (
            split.take(np.flatnonzero(fold_of[units] != fold)),
            split.take(np.flatnonzero(fold_of[units] == fold)),
        )
        for fold in range(count)
    ]


def _units(split: Split) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each sample's unit, what must stay together, and each unit's commonest class."""
    labels = split.labels
    if labels.ndim > 1 or labels.dtype.kind == "f":  # no classes to be stratified by
        labels = np.zeros(len(split), np.int64)
    if split.groups is None:
        return np.arange(len(split)), labels
    names, units = np.unique(split.groups, return_inverse=True)
    classes = int(labels.max()) + 1
    votes = np.bincount(units * classes + labels, minlength=len(names) * classes)
    return units, votes.reshape(len(names), classes).argmax(axis=1)


def _shuffled_by_class(
    unit_classes: npt.NDArray[np.int64], seed: int
) -> list[npt.NDArray[np.int64]]:
    """Return the units of each class, in an order that only the seed decides."""
    generator = np.random.Generator(np.random.Philox(seed))
    order = generator.permutation(len(unit_classes))
    return [order[unit_classes[order] == number] for number in np.unique(unit_classes)]
