"""A data set as the words and figures of a command ask for it, today or noted in a run."""

from __future__ import annotations

import dataclasses

from convcli.data.dataset import Dataset, ProgressCallback
from convcli.data.sources import load_dataset
from convcli.errors import UsageMistake

LARGEST_SIDE = 4096
"""Pictures are not brought to more than this; a data set would not fit any memory."""


def load_shaped(
    source: str,
    *,
    size: str | None = None,
    window: int | None = None,
    overlap: float | None = None,
    label: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Dataset:
    """Return the data set that `source` names, of that size and that many samples.

    Args:
        source: as `load_dataset`.
        size: `HxW`, see `read_size`.
        window: as `load_dataset`.
        overlap: as `load_dataset`.
        label: as `load_dataset`.
        samples: only so many training samples, the first; `digits` are made in that number.
        seed: of `digits`.
        progress: called while something takes long.

    Raises:
        UsageMistake, InputProblem: as `load_dataset`; a malformed size.

    >>> len(load_shaped("digits", samples=60).train)
    60
    """
    data = load_dataset(
        source,
        size=read_size(size),
        window=window,
        overlap=overlap,
        label=label,
        count=samples if source == "digits" else None,
        seed=seed,
        progress=progress,
    )
    if samples is not None and samples < len(data.train):
        return dataclasses.replace(data, train=data.train.take(range(samples)))
    return data


def read_size(text: str | None) -> tuple[int, int] | None:
    """Return height and width of `HxW`; one number is both.

    Raises:
        UsageMistake: it is malformed.

    >>> read_size("48x64"), read_size("32"), read_size(None)
    ((48, 64), (32, 32), None)
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageMistake(f"--size {text}: write height x width, such as 64x64.")
    height, width = int(parts[0]), int(parts[-1])
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise UsageMistake(f"--size {text}: use 1 to {LARGEST_SIDE:,} pixels a side.")
    return height, width
