"""What a data set holds, and what may be wrong with it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import IGNORED, Dataset, Split

ALIKE = 0.99
"""Samples whose cells are more alike than this, as a correlation, are all but the same."""
AFAR = 8
_COMPARED = 1000
IMBALANCE = 3.0
"""The largest class may have this many times the samples of the smallest."""


@dataclass(frozen=True, slots=True, eq=False)
class SplitSummary:
    """Figures of one split; means and deviations are of each channel, in the samples' own units.

    `counts` are the samples of each class or label, and cells of masks; of values there are none.
    """

    name: str
    n: int
    counts: tuple[int, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check came upon, concerning `count` samples or classes.

    A result on data with a failed check would mislead; else it is only worth knowing.
    """

    check: str
    failed: bool
    count: int
    text: str


def summarize(data: Dataset) -> tuple[SplitSummary, ...]:
    """Return the figures of each split.

    >>> from convcli.data import Split, make_dataset
    >>> part = Split(np.array([[[[0], [2]]], [[[4], [6]]]], np.uint8), np.array([0, 1]))
    >>> summary = summarize(make_dataset("tiny", {"train": part}))[0]
    >>> summary.counts, summary.means, round(summary.deviations[0], 3)
    ((1, 1), (3.0,), 2.236)
    """
    found = []
    for name, split in data.splits().items():
        means, deviations = _moments(split)
        counts = tuple(label_counts(data, split).tolist())
        found.append(SplitSummary(name, len(split), counts, means, deviations))
    return tuple(found)


def label_counts(data: Dataset, split: Split) -> NDArray[np.int64]:
    """Return how many samples of a split have each class or label, or how many cells."""
    labels = split.labels
    if data.task == "values":
        return np.zeros(0, np.int64)
    if data.task == "labels":
        return np.asarray(labels.sum(axis=0), np.int64)
    known = labels[labels != IGNORED] if data.task == "mask" else labels
    return np.bincount(known, minlength=data.classes)


def check_dataset(data: Dataset) -> tuple[Finding, ...]:
    """Return what is or may be wrong, worst first; nothing is found in a sound data set.

    Samples are the same when every byte is.
    """
    found = [
        *_missing_classes(data), *_repeated(data), *_near_copies(data), *_unreadable(data),
        *_flat(data), *_imbalance(data),
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda finding: not finding.failed))


def _moments(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation of each channel."""
    means, deviations = split.moments()
    if len(split.sample_shape) == 1:  # a vector has no channels: one figure for all
        spread = np.sqrt(np.mean(deviations**2 + (means - means.mean()) ** 2))
        return (float(means.mean()),), (float(spread),)
    return tuple(means.tolist()), tuple(deviations.tolist())


def _missing_classes(data: Dataset) -> list[Finding]:
    found = []
    for split_name, split in data.splits().items():
        counts = label_counts(data, split)
        missing = [data.class_names[label] for label in np.flatnonzero(counts == 0)]
        if missing:
            text = f"{split_name} has no sample of {', '.join(missing[:10])}."
            found.append(Finding("missing class", split_name == "train", len(missing), text))
    return found


def _repeated(data: Dataset) -> list[Finding]:
    """Return samples that occur more than once: across splits, under two names, or just twice."""
    places: dict[bytes, list[tuple[str, bytes]]] = defaultdict(list)
    for name, split in data.splits().items():
        labels = map(np.ndarray.tobytes, map(np.asarray, split.labels))
        samples = (sample for block in split.blocks() for sample in block)
        for sample, label in zip(samples, labels, strict=True):
            places[hashlib.blake2b(sample.tobytes(), digest_size=16).digest()].append((name, label))
    leaks: dict[tuple[str, str], int] = defaultdict(int)
    named_twice = twice = 0
    for found in places.values():
        if len(found) == 1:
            continue
        twice += len(found) - 1
        named_twice += len({label for _, label in found}) > 1
        splits = list(dict.fromkeys(name for name, _ in found))
        for other in splits[1:]:
            leaks[splits[0], other] += sum(name == other for name, _ in found)
    findings = [
        Finding("leakage", True, count, f"{count:,} samples of {b} are also in {a}.")
        for (a, b), count in leaks.items()
    ]
    if named_twice:
        text = f"{named_twice:,} samples stand under more than one label."
        findings.append(Finding("two labels", True, named_twice, text))
    if twice:
        text = f"{twice:,} samples are copies of another one, byte by byte."
        findings.append(Finding("duplicates", False, twice, text))
    return findings


def _near_copies(data: Dataset) -> list[Finding]:
    """Return samples of other splits that are all but the same as one to train on.

    Those that look alike from afar (`AFAR` cells along each axis, whatever the brightness and
    contrast) are compared cell by cell; equal ones are leakage already.
    """
    sketches = {name: _sketches(split) for name, split in data.splits().items()}
    found = []
    for name, split in data.splits().items():
        if name == "train" or sketches[name].shape[1] < 3:
            continue
        near = []
        for first in range(0, len(split), _COMPARED):
            alike = sketches[name][first : first + _COMPARED] @ sketches["train"].T
            best = alike.argmax(axis=1)
            likely = np.flatnonzero(alike[np.arange(len(best)), best] > ALIKE)
            near += [(first + at, int(best[at])) for at in likely.tolist()]
        pairs = [pair for pair in near if _all_but_same(split, pair[0], data.train, pair[1])]
        if pairs:
            at, other = pairs[0]
            text = (
                f"{len(pairs):,} samples of {name} are all but the same as one in train, such as "
                f"{_named(split, at)} and {_named(data.train, other)}."
            )
            found.append(Finding("near copies", False, len(pairs), text))
    return found


def _sketches(split: Split) -> NDArray[np.float32]:
    """Return each sample as its means over a few blocks, at mean 0 and length 1."""
    found = []
    for block in split.blocks():
        values = block.mean(axis=-1, dtype=np.float32) if block.ndim > 2 else block
        for axis in range(1, values.ndim):
            edges = np.unique(np.linspace(0, values.shape[axis], AFAR + 1).astype(int)[:-1])
            sizes = np.diff([*edges, values.shape[axis]])
            shape = [-1 if other == axis else 1 for other in range(values.ndim)]
            values = np.add.reduceat(values, edges, axis=axis) / sizes.reshape(shape)
        found.append(_unit(values.reshape(len(values), -1)))
    return np.concatenate(found)


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Return rows at mean 0 and length 1; flat ones are zeros."""
    apart = rows.astype(np.float32) - rows.mean(axis=1, keepdims=True, dtype=np.float32)
    lengths = np.linalg.norm(apart, axis=1, keepdims=True)
    unit: NDArray[np.float32] = apart / np.where(lengths > 0, lengths, 1)
    return unit


def _all_but_same(split: Split, at: int, other: Split, place: int) -> bool:
    one, two = split.some([at]), other.some([place])
    if np.array_equal(one, two):
        return False
    return float((_unit(one.reshape(1, -1)) * _unit(two.reshape(1, -1))).sum()) > ALIKE


def _named(split: Split, at: int) -> str:
    return split.files[at] if split.files else f"sample {at}"


def _unreadable(data: Dataset) -> list[Finding]:
    if not data.skipped:
        return []
    text = f"{len(data.skipped):,} files could not be read, such as: {data.skipped[0]}"
    return [Finding("unreadable", False, len(data.skipped), text)]


def _flat(data: Dataset) -> list[Finding]:
    found = []
    for name, split in data.splits().items():
        blocks = (block.reshape(len(block), -1) for block in split.blocks())
        alike = sum(int((rows.min(axis=1) == rows.max(axis=1)).sum()) for rows in blocks)
        flat = alike if np.prod(split.sample_shape) > 1 else 0
        if flat:
            text = f"{flat:,} samples of {name} have one value everywhere."
            found.append(Finding("flat samples", False, flat, text))
    return found


def _imbalance(data: Dataset) -> list[Finding]:
    counts = label_counts(data, data.train)
    present = np.flatnonzero(counts)
    if not len(present):
        return []
    small, large = present[counts[present].argmin()], int(counts.argmax())
    ratio = counts[large] / counts[small]
    if ratio <= IMBALANCE:
        return []
    what = "cells" if data.task == "mask" else "samples"
    text = (
        f"{data.class_names[large]} has {int(counts[large]):,} training {what}, "
        f"{data.class_names[int(small)]} {int(counts[small]):,}: {ratio:.1f} times as many. "
        "Weigh the classes, and look at each class's accuracy."
    )
    return [Finding("imbalance", False, len(present), text)]
