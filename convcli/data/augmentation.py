"""What may be done to samples while they are trained on, as a value and as words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import IGNORED
from convcli.errors import UsageError
from convcli.option import parse_settings


class Key(NamedTuple):
    """What decides what chance makes of samples.

    Attributes:
        seed: of the training.
        epoch: counted from 0.
        numbers: N integers, the samples' places in the data set.
    """

    seed: int
    epoch: int
    numbers: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The largest change of each kind; 0 leaves it out. Flips are never on by themselves.

    Attributes:
        shift: cells to each side.
        rotate: degrees to each side.
        scale: share: 0.1 is from 0.9 to 1.1 times.
        shear: degrees to each side.
        elastic: deviation of smooth bends, in cells.
        cutout: side of a square set to zero, in cells.
        noise: deviation, as a share of the full range (255 for uint8, 1 for float).
        hflip: share of samples mirrored left to right.
        vflip: share of samples mirrored top to bottom.
    """

    shift: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    cutout: float = 0.0
    noise: float = 0.0
    hflip: float = 0.0
    vflip: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, (most, unit) = getattr(self, field.name), _LIMITS[field.name]
            if not 0 <= value <= most:
                raise UsageError(
                    f"augmentation: {field.name}={value:g} is outside 0..{most:g} ({unit})."
                )

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        """Return the words that `read_augmentation` reads back."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ",".join(f"{name}={value:g}" for name, value in pairs if value)

    def figures(self, sample_shape: tuple[int, ...], dtype: object) -> NDArray[np.float64]:
        """Return the figures for `engine.augment`, in radians and in units of the values.

        Args:
            sample_shape: height x width x channels, or length x channels for a series.
            dtype: of the samples; noise is a share of 255 for uint8, of 1 otherwise.

        Raises:
            UsageError: the samples have other axes, or are a series that is to be turned.
        """
        if len(sample_shape) not in {2, 3}:
            raise UsageError(
                f"augmentation: samples of {'x'.join(map(str, sample_shape))} cannot be moved; "
                "pictures (height x width x channels) and series (length x channels) can."
            )
        flat = [name for name in _PICTURES_ONLY if getattr(self, name)]
        if len(sample_shape) == 2 and flat:
            raise UsageError(
                f"augmentation: {flat[0]} needs pictures; a series takes "
                "shift, scale, elastic, cutout, noise and hflip."
            )
        full = 255.0 if dtype == np.uint8 else 1.0
        return np.array(
            [
                self.shift,
                math.radians(self.rotate),
                self.scale,
                math.radians(self.shear),
                self.elastic,
                self.cutout,
                self.noise * full,
                self.hflip,
                self.vflip,
            ]
        )

    def apply(
        self,
        samples: NDArray[np.generic],
        key: Key,
        *,
        threads: int = 1,
    ) -> NDArray[np.float32]:
        """Return samples as an epoch sees them.

        Args:
            samples: N x H x W x C or N x L x C, uint8 or float32.
            key: what chance goes by.
            threads: that share the work, 0 for all there are; the result is always the same.

        Returns:
            float32, N samples in the units of `samples`.

        Raises:
            UsageError: as `figures`.
        """
        from convcli.engine.augment import augment_batch
        from convcli.engine.threads import each_part
        from convcli.environment import thread_count

        shape = samples.shape[1:]
        figures = self.figures(shape, samples.dtype)
        pictures = samples if len(shape) == 3 else samples[:, np.newaxis]
        out = np.empty(pictures.shape, np.float32)

        def work(parts: Iterable[slice]) -> None:
            for part in parts:
                augment_batch(
                    pictures[part], key.numbers[part], key.seed, key.epoch, figures, out[part]
                )

        parts = [slice(at, at + _PART) for at in range(0, len(samples), _PART)]
        each_part(work, parts, thread_count(threads))
        return out.reshape(samples.shape)

    def apply_to_masks(
        self,
        masks: NDArray[np.uint8],
        classes: int,
        key: Key,
        *,
        threads: int = 1,
    ) -> NDArray[np.uint8]:
        """Return masks moved as `apply` moves their samples.

        What comes from outside of a mask, and what nobody knows, is `IGNORED`.
        """
        shares = (masks[..., np.newaxis] == np.arange(classes)).astype(np.float32)
        moved = replace(self, cutout=0.0, noise=0.0).apply(shares, key, threads=threads)
        labels: NDArray[np.uint8] = moved.argmax(axis=-1).astype(np.uint8)
        labels[moved.sum(axis=-1) < 1 / 2] = IGNORED
        return labels


_PART = 32
"""Samples that a thread takes at a time."""

_LIMITS = {
    "shift": (1000.0, "cells"),
    "rotate": (180.0, "degrees"),
    "scale": (0.9, "a share of the size"),
    "shear": (60.0, "degrees"),
    "elastic": (100.0, "cells"),
    "cutout": (1000.0, "cells"),
    "noise": (1.0, "a share of the range"),
    "hflip": (1.0, "a share of the samples"),
    "vflip": (1.0, "a share of the samples"),
}
"""The most of each kind, and in what it is told."""
_PICTURES_ONLY = ("rotate", "shear", "vflip")


def read_augmentation(text: str) -> Augmentation:
    """Return the augmentation in words such as `shift=2,rotate=10`; empty or `none` is none.

    Raises:
        UsageError: an unknown word, no figure, or one out of range.

    >>> read_augmentation("shift=2,rotate=10").rotate
    10.0
    >>> str(read_augmentation("scale=0.1, noise=0.05"))
    'scale=0.1,noise=0.05'
    """
    values: dict[str, float] = {}
    words = "" if text.strip() == "none" else text
    for name, figure in parse_settings(words, _LIMITS, "augmentation", "shift=2,hflip=0.5").items():
        try:
            values[name] = float(figure)
        except ValueError as problem:
            example = min(2.0, _LIMITS[name][0] / 2)
            raise UsageError(
                f"augmentation: {name}={figure} needs a number, such as {name}={example:g}."
            ) from problem
    return Augmentation(**values)
