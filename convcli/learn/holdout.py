"""Samples set aside: a stratified hold-out, and stratified folds; groups stay on one side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from convcli.data import Split
from convcli.errors import InputError, UsageError


def hold_out(split: Split, share: float, seed: int = 0) -> tuple[Split, Split]:
    """Return what is left for training, and a share of each class for validation.

    Both keep the order of the samples. Samples of one group (a person, a recording) stay together.

    Args:
        split: samples to part.
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
    if split.groups is None:
        return np.arange(len(split)), split.labels
    names, units = np.unique(split.groups, return_inverse=True)
    classes = int(split.labels.max()) + 1
    votes = np.bincount(units * classes + split.labels, minlength=len(names) * classes)
    return units, votes.reshape(len(names), classes).argmax(axis=1)


def _shuffled_by_class(
    unit_classes: npt.NDArray[np.int64], seed: int
) -> list[npt.NDArray[np.int64]]:
    """Return the units of each class, in an order that only the seed decides."""
    generator = np.random.Generator(np.random.Philox(seed))
    order = generator.permutation(len(unit_classes))
    return [order[unit_classes[order] == number] for number in np.unique(unit_classes)]
