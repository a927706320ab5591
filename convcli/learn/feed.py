"""Batches for the training loop; those of samples on disk are made ready ahead of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.data import Augmentation, Dataset
from convcli.data.augmentation import Key
from convcli.environment import made_ahead, thread_count
from convcli.learn.prepare import Preprocessing
from convcli.learn.task import Goal


class Batch(NamedTuple):
    """What `Trainer.gradients` takes for one batch.

    Attributes:
        images: those of the batch, or all there are where `indices` choose from them.
        targets: of the batch.
        indices: of the batch in `images`; None for all of them.
    """

    images: NDArray[Any]
    targets: NDArray[Any]
    indices: NDArray[np.int64] | None

    def part(self, at: NDArray[np.int64]) -> Batch:
        """Return the samples at these places of the batch."""
        if self.indices is None:
            return Batch(self.images[at], self.targets[at], None)
        return Batch(self.images, self.targets[at], self.indices[at])


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """Makes batches of the training samples; places and epoch decide a batch, whoever makes it.

    Attributes:
        data: whose training samples they are.
        preprocessing: how samples become inputs.
        goal: how labels become targets.
        augmentation: what may be done to samples.
        seed: of the augmentation.
        threads: 0 for all there are; they do not change the result.
    """

    data: Dataset
    preprocessing: Preprocessing
    goal: Goal
    augmentation: Augmentation
    seed: int
    threads: int

    def batch(self, chosen: NDArray[np.int64], epoch: int, threads: int | None = None) -> Batch:
        """Return the batch of the training samples at these places.

        Places count on behind the last sample, from the first one again: chance makes others of it.
        """
        split, chance = self.data.train, self.augmentation
        places = chosen % len(split)
        stored = split.stored
        as_it_is = stored.flags.c_contiguous and not self.preprocessing.rescales(stored.dtype)
        if as_it_is and not (chance or split.on_disk):
            rows = places if split.rows is None else split.rows[places]
            return Batch(stored, self.goal.targets(split.labels[places]), rows)
        images, labels = self.preprocessing.engine_samples(split.some(places)), split.labels[places]
        if chance:
            threads = self.threads if threads is None else threads
            key = Key(self.seed, epoch, chosen)
            deviation = 1 / abs(self.preprocessing.engine_scaling[0])
            images = chance.apply(images, key, threads=threads, deviation=deviation)
            if self.data.task == "mask":
                labels = chance.apply_to_masks(labels, self.data.classes, key, threads=threads)
        targets = self.goal.targets(labels)
        if chance.mixes:
            images, targets = chance.mixed(images, self.goal.shares(targets), key)
        return Batch(images, targets, None)

    def ahead(
        self, parts: Iterable[tuple[NDArray[np.int64], int]]
    ) -> Iterator[tuple[NDArray[np.int64], Batch]]:
        """Yield the batches of places and epochs in order, with their places.

        Samples on disk are read and augmented by workers meanwhile.
        """
        if not self.data.train.on_disk:
            for chosen, epoch in parts:
                yield chosen, self.batch(chosen, epoch)
            return
        workers = thread_count(self.threads)
        for (chosen, _), batch in made_ahead(
            lambda part: self.batch(*part, 1), parts, threads=workers, waiting=workers
        ):
            yield chosen, batch
