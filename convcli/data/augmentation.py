"""What may be done to samples while they are trained on, as a value and as words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import IGNORED, axes
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


class Change(NamedTuple):
    """One kind of change.

    Attributes:
        most: its largest figure.
        unit: of the figure.
        kinds: of samples that it is for, see `KINDS`.
    """

    most: float
    unit: str
    kinds: tuple[str, ...]


KINDS = {1: "vector", 2: "series", 3: "picture", 4: "volume"}
"""Axes of a sample, channels last -> what it is."""
_GRID, _FLAT, _ALL = ("series", "picture", "volume"), ("picture", "volume"), tuple(KINDS.values())
CHANGES = {
    "shift": Change(1000, "cells", _GRID),
    "rotate": Change(180, "degrees", _FLAT),
    "scale": Change(0.9, "a share of the size", _GRID),
    "shear": Change(60, "degrees", _FLAT),
    "elastic": Change(100, "cells", _GRID),
    "crop": Change(0.9, "a share of each side", _GRID),
    "warp": Change(0.5, "a share of the length", ("series",)),
    "cutout": Change(1000, "cells", _GRID),
    "noise": Change(1, "a share of the range", _GRID),
    "jitter": Change(10, "deviations", ("series",)),
    "amplitude": Change(0.9, "a share of the values", ("series",)),
    "hflip": Change(1, "a share of the samples", _GRID),
    "vflip": Change(1, "a share of the samples", _FLAT),
    "dflip": Change(1, "a share of the samples", ("volume",)),
    "brightness": Change(1, "a share of the values", _FLAT),
    "contrast": Change(1, "a share of the contrast", _FLAT),
    "saturation": Change(1, "a share of the color", ("picture",)),
    "hue": Change(180, "degrees", ("picture",)),
    "mixup": Change(10, "alpha", _ALL),
    "cutmix": Change(10, "alpha", ("picture",)),
}
"""The changes by name: the most of each, in what it is told, and what samples it is for."""
_MOVING = ("shift", "rotate", "scale", "shear", "elastic", "crop", "warp",
           "hflip", "vflip", "dflip")  # fmt: skip
"""Changes of places, which a mask takes part in; all others are of values."""
_COLORS = ("saturation", "hue")
_MIXES = ("mixup", "cutmix")
_PART = 32
"""Samples that a thread takes at a time."""
_MIX_KEY = 2**63
"""Chance that mixes samples is another than that which changes each."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The largest change of each kind; 0 leaves it out. Flips are never on by themselves.

    Attributes:
        shift: cells to each side; of a volume within its slices, as all changes of places.
        rotate: degrees to each side.
        scale: share: 0.1 is from 0.9 to 1.1 times.
        shear: degrees to each side.
        elastic: deviation of smooth bends, in cells.
        crop: share of each side that is cut away at random; the rest fills the sample.
        warp: deviation of smooth bends of a series' time, as a share of its length.
        cutout: side of a square set to zero, in cells.
        noise: deviation, as a share of the full range (255 for uint8, 1 for float).
        jitter: deviation of the noise in a series, as a share of the data's deviation.
        amplitude: share that the values of a series grow or shrink by.
        hflip: share of samples mirrored left to right.
        vflip: share of samples mirrored top to bottom.
        dflip: share of volumes mirrored front to back.
        brightness: share: 0.2 is from 0.8 to 1.2 times the values.
        contrast: share, likewise, of the distance from the mean gray.
        saturation: share, likewise, of the distance from gray.
        hue: degrees to each side that colors are turned by.
        mixup: alpha of the shares by which two samples and their targets are mixed (Zhang et al.
            2018).
        cutmix: likewise of the area of one that is laid on the other (Yun et al. 2019).
    """

    shift: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    crop: float = 0.0
    warp: float = 0.0
    cutout: float = 0.0
    noise: float = 0.0
    jitter: float = 0.0
    amplitude: float = 0.0
    hflip: float = 0.0
    vflip: float = 0.0
    dflip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, change in CHANGES.items():
            value = getattr(self, name)
            if not 0 <= value <= change.most:
                raise UsageError(
                    f"augmentation: {name}={value:g} is outside 0..{change.most:g} ({change.unit})."
                )

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in CHANGES)

    def __str__(self) -> str:
        """Return the words that `read_augmentation` reads back."""
        pairs = ((name, getattr(self, name)) for name in CHANGES)
        return ",".join(f"{name}={value:g}" for name, value in pairs if value)

    @property
    def mixes(self) -> bool:
        """Whether samples are mixed with others, and their targets too."""
        return any(getattr(self, name) for name in _MIXES)

    def check(self, sample_shape: tuple[int, ...]) -> None:
        """Refuse what samples of a shape cannot be changed by.

        Raises:
            UsageError: with the changes that there are for them.
        """
        kind = KINDS[len(sample_shape)]
        colors = sample_shape[-1] == 3
        known = [
            name
            for name, change in CHANGES.items()
            if kind in change.kinds and (colors or name not in _COLORS)
        ]
        wrong = [name for name in CHANGES if getattr(self, name) and name not in known]
        if wrong:
            what = "pictures in color" if wrong[0] in _COLORS else f"a {CHANGES[wrong[0]].kinds[0]}"
            raise UsageError(
                f"augmentation: {wrong[0]} needs {what}; samples of {axes(sample_shape)} take "
                f"{', '.join(known)}."
            )

    def figures(
        self, sample_shape: tuple[int, ...], dtype: object, deviation: float = 1.0
    ) -> NDArray[np.float64]:
        """Return the figures for `engine.augment`, in radians and in units of the values.

        Args:
            sample_shape: of one sample, channels last.
            dtype: of the samples; noise is a share of 255 for uint8, of 1 otherwise.
            deviation: of the samples, for jitter.

        Raises:
            UsageError: these samples cannot be changed so.
        """
        self.check(sample_shape)
        full = 255.0 if dtype == np.uint8 else 1.0
        return np.array(
            [
                self.shift,
                math.radians(self.rotate),
                self.scale,
                math.radians(self.shear),
                math.hypot(self.elastic, self.warp * sample_shape[0]),
                self.cutout,
                math.hypot(self.noise * full, self.jitter * deviation),
                self.hflip,
                self.vflip,
                self.crop,
                max(self.brightness, self.amplitude),
                self.contrast,
                self.saturation,
                math.radians(self.hue),
                full if dtype == np.uint8 else math.inf,
            ]
        )

    def apply(
        self,
        samples: NDArray[np.generic],
        key: Key,
        *,
        threads: int = 1,
        deviation: float = 1.0,
    ) -> NDArray[np.float32]:
        """Return samples as an epoch sees them, but for what mixes them.

        Args:
            samples: N x D x H x W x C, N x H x W x C or N x L x C, uint8 or float32.
            key: what chance goes by.
            threads: that share the work, 0 for all there are; the result is always the same.
            deviation: as for `figures`.

        Returns:
            float32, N samples in the units of `samples`.

        Raises:
            UsageError: as `figures`.
        """
        from convcli.engine.augment import augment_batch
        from convcli.engine.threads import each_part
        from convcli.environment import thread_count

        shape = samples.shape[1:]
        figures = self.figures(shape, samples.dtype, deviation)
        pictures, flips = samples, np.zeros(0)
        if len(shape) == 4:  # all slices of a volume move together: they are channels of one
            pictures = np.moveaxis(samples, 1, 3).reshape(len(samples), *shape[1:3], -1)
        elif len(shape) < 3:
            pictures = samples.reshape(len(samples), 1, -1, shape[-1])
        pictures = np.ascontiguousarray(pictures)
        out, flips = np.empty(pictures.shape, np.float32), np.empty(len(samples))

        def work(parts: Iterable[slice]) -> None:
            for part in parts:
                numbers = key.numbers[part]
                augment_batch(
                    pictures[part], numbers, key.seed, key.epoch, figures, out[part], flips[part]
                )

        parts = [slice(at, at + _PART) for at in range(0, len(samples), _PART)]
        each_part(work, parts, thread_count(threads))
        if len(shape) < 4:
            return out.reshape(samples.shape)
        volumes = np.moveaxis(out.reshape(len(samples), *shape[1:3], shape[0], shape[3]), 3, 1)
        turned = flips < self.dflip
        volumes[turned] = volumes[turned, ::-1]
        return np.ascontiguousarray(volumes)

    def apply_to_masks(
        self, masks: NDArray[np.uint8], classes: int, key: Key, *, threads: int = 1
    ) -> NDArray[np.uint8]:
        """Return masks moved as `apply` moves their samples.

        What comes from outside of a mask, and what nobody knows, is `IGNORED`.
        """
        shares = (masks[..., np.newaxis] == np.arange(classes)).astype(np.float32)
        still = {name: 0.0 for name in CHANGES if name not in _MOVING}
        moved = replace(self, **still).apply(shares, key, threads=threads)
        labels: NDArray[np.uint8] = moved.argmax(axis=-1).astype(np.uint8)
        labels[moved.sum(axis=-1) < 1 / 2] = IGNORED
        return labels

    def mixed(
        self, samples: NDArray[np.float32], targets: NDArray[np.float32], key: Key
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a batch whose samples are each mixed with another, and targets in the same shares.

        With both mixup and cutmix each batch has one of them, by chance.

        Args:
            samples: N x ...
            targets: N x ..., shares of classes, or values.
            key: what chance goes by.
        """
        first = int(key.numbers[0]) if len(key.numbers) else 0
        random = np.random.Generator(np.random.Philox(key=[key.seed + _MIX_KEY,
                                                           (key.epoch << 40) + first]))  # fmt: skip
        partner = random.permutation(len(samples))
        cut = self.cutmix > 0 and (self.mixup == 0 or random.random() < 1 / 2)
        alpha = self.cutmix if cut else self.mixup
        share = random.beta(alpha, alpha, len(samples))
        others = samples[partner]
        if cut:
            height, width = samples.shape[1:3]
            middles = random.random((len(samples), 2))
            samples = samples.copy()
            for at, (one, (y, x)) in enumerate(zip(share, middles, strict=True)):
                side = math.sqrt(1 - one) / 2
                rows = slice(*_between(y - side, y + side, height))
                cols = slice(*_between(x - side, x + side, width))
                samples[at, rows, cols] = others[at, rows, cols]
                covered = (rows.stop - rows.start) * (cols.stop - cols.start)
                share[at] = 1 - covered / (height * width)
        else:
            samples = _blended(samples, others, share)
        return samples, _blended(targets, targets[partner], share)


def _between(low: float, high: float, size: int) -> tuple[int, int]:
    return round(max(0.0, low) * size), round(min(1.0, high) * size)


def _blended(
    ours: NDArray[np.float32], others: NDArray[np.float32], share: NDArray[np.float64]
) -> NDArray[np.float32]:
    parts: NDArray[np.float32] = share.astype(np.float32).reshape(-1, *[1] * (ours.ndim - 1))
    result: NDArray[np.float32] = parts * ours + (1 - parts) * others
    return result


def read_augmentation(text: str) -> Augmentation:
    """Return the augmentation in words such as `shift=2,rotate=10`; empty or `none` is none.

    Raises:
        UsageError: an unknown word, no figure, or one out of range.

    >>> read_augmentation("shift=2,rotate=10").rotate
    10.0
    >>> str(read_augmentation("scale=0.1, noise=0.05"))
    'scale=0.1,noise=0.05'
    """
    values: dict[str, Any] = {}
    words = "" if text.strip() == "none" else text
    known = [field.name for field in fields(Augmentation)]
    for name, figure in parse_settings(words, known, "augmentation", "shift=2,hflip=0.5").items():
        try:
            values[name] = float(figure)
        except ValueError as problem:
            example = min(2.0, CHANGES[name].most / 2)
            raise UsageError(
                f"augmentation: {name}={figure} needs a number, such as {name}={example:g}."
            ) from problem
    return Augmentation(**values)
