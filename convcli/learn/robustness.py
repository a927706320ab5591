"""How well models stand noise, shifts and lost channels: accuracy over the size of a change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.data import Dataset, Split
from convcli.errors import InputError, UsageError, did_you_mean
from convcli.learn.evaluation import evaluate
from convcli.learn.modelfile import TrainedModel

Samples = NDArray[Any]
STEPS = 7
"""Sizes of a change, evenly spaced, where nobody says how many."""


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of change, and the sizes it is tried in."""

    kind: str
    sizes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stood:
    """The accuracy of a model on samples changed by so much."""

    change: str
    size: float
    model: str
    accuracy: float


def read_changes(text: str, shape: Sequence[int]) -> list[Change]:
    """Return the changes in `noise=0..0.3,shift=0..4,drop-channel`.

    >>> read_changes("noise=0..0.3:4,drop-channel", (28, 28, 1))[1]
    Change(kind='drop-channel', sizes=(0, 1))

    Args:
        text: changes with commas between; behind a range `:N` for so many sizes.
        shape: of a sample.

    Raises:
        UsageError: an unknown change, or a range that is none.
    """
    found = []
    for word in text.split(","):
        kind, _, span = word.strip().partition("=")
        if kind not in CHANGES:
            raise UsageError(
                f"--perturb {kind[:40]!r}: there are {', '.join(CHANGES)}."
                f"{did_you_mean(kind, CHANGES)} Write noise=0..0.3,shift=0..4,drop-channel."
            )
        usual = {"noise": "0..0.3", "shift": "0..4", "drop-channel": f"0..{shape[-1]}"}[kind]
        match = re.fullmatch(r"(\d*\.?\d+)\.\.(\d*\.?\d+)(?::(\d{1,3}))?", span or usual)
        whole = kind != "noise"
        if match is None or (whole and "." in match[1] + match[2]) or match[3] in {"0", "1"}:
            kinds = "whole numbers" if whole else "numbers"
            raise UsageError(
                f"--perturb {word[:40]!r}: write a range of {kinds}, as {kind}={usual}."
            )
        low, high = float(match[1]), float(match[2])
        if high <= low or (kind == "drop-channel" and high > shape[-1]):
            raise UsageError(
                f"--perturb {word[:40]!r}: the range goes upward, and samples have "
                f"{shape[-1]} channels."
            )
        count = int(match[3] or (high - low + 1 if whole else STEPS))
        sizes = np.linspace(low, high, count)
        told = np.unique(np.rint(sizes)).astype(int) if whole else sizes.round(12)
        found.append(Change(kind, tuple(told.tolist())))
    return found


def _noise(samples: Samples, size: float, random: np.random.Generator) -> Samples:
    """Return samples with noise: its deviation is a share of each channel's range."""
    axes = tuple(range(samples.ndim - 1))
    span = np.ptp(samples, axis=axes).astype(np.float32)
    noisy: Samples = samples + size * span * random.standard_normal(samples.shape, np.float32)
    if samples.dtype != np.uint8:
        return np.asarray(noisy, np.float32)
    levels: Samples = np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
    return levels


def _shift(samples: Samples, size: float, random: np.random.Generator) -> Samples:
    """Return each sample moved by so many cells along every axis, to a side by chance."""
    cells, axes = int(size), samples.ndim - 2
    if samples.ndim < 3:
        raise InputError("Vectors have no places: they cannot be shifted.")
    edges = [(cells, cells)] * axes + [(0, 0)]
    moved = np.empty_like(samples)
    sides = random.integers(0, 2, (len(samples), axes)) * 2 * cells
    for at, sample in enumerate(samples):
        starts = zip(sides[at].tolist(), sample.shape, strict=False)
        window = tuple(slice(start, start + extent) for start, extent in starts)
        moved[at] = np.pad(sample, edges, mode="edge")[window]
    return moved


def _drop_channel(samples: Samples, size: float, random: np.random.Generator) -> Samples:
    """Return samples that lost so many channels, by chance: they have the mean instead."""
    channels = samples.shape[-1]
    lost = np.argsort(random.random((len(samples), channels)), axis=1) < int(size)
    lost = lost.reshape(len(samples), *[1] * (samples.ndim - 2), channels)
    mean = samples.mean(axis=tuple(range(samples.ndim - 1))).astype(samples.dtype)
    return np.where(lost, mean, samples)


CHANGES: dict[str, Callable[[Samples, float, np.random.Generator], Samples]] = {
    "noise": _noise,
    "shift": _shift,
    "drop-channel": _drop_channel,
}


def perturbed(
    models: Mapping[str, TrainedModel],
    data: Dataset,
    split: Split,
    changes: Sequence[Change],
    *,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Stood]:
    """Return the accuracy of every model on the same samples, changed by every size.

    Raises:
        InputError: the models give values, or the data are not theirs.
    """
    found: list[Stood] = []
    total = len(models) * sum(len(change.sizes) for change in changes)
    for change in changes:
        for size in change.sizes:
            random = np.random.default_rng(0)
            samples = CHANGES[change.kind](split.samples, size, random) if size else split.samples
            moved = replace(split, stored=samples, rows=None)
            for name, model in models.items():
                accuracy = evaluate(model, data, moved, worst=0, threads=threads).accuracy
                if accuracy is None:
                    raise InputError(f"{name} gives values, which have no accuracy to be drawn.")
                found.append(Stood(change.kind, size, name, accuracy))
                if progress is not None:
                    progress(len(found), total)
    return found
