"""Which samples: what every command that reads labeled data may be told, as one frozen value.

Standard library only until the samples are loaded.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from convcli.errors import ConvcliError, InputError, UsageError
from convcli.option import byte_count, option
from convcli.records import from_record

LARGEST_SIDE = 4096
"""Pictures are not brought to more than this; a data set would not fit any memory."""

MADE = ("digits", "activity", "occupancy", "hands", "volumes", "shapes", "waves")
"""Data sets that are made on the spot."""
SOURCES = (
    f"mnist, fashion, {', '.join(MADE)}, a folder of class folders or of images and masks, idx "
    "files, .npz, or .csv"
)
Task = Literal["classes", "labels", "values", "mask"]
LabelRule = Literal["majority", "last"]


@dataclass(frozen=True)
class Shaping:
    """How samples are read from their source; None is what the source itself suggests."""

    PANEL = "Data"

    samples: int | None = option("Take this many training samples.", min=2)
    size: str | None = option("Resize pictures to HxW, such as 64x64.")
    window: int | str | None = option(
        "Rows of one window of a .csv of series, or seconds by its column of time, such as 2.56s; "
        "0: each row is a sample.",
        metavar="ROWS",
        parser=lambda text: int(text) if text.isdigit() else text,
    )
    overlap: float | None = option("Share that windows of a .csv share.", min=0, max=0.99)
    label: str | None = option(
        "The column of labels of a .csv; several with commas between them are several things to "
        "learn."
    )
    label_rule: LabelRule | None = option("Which rows of a window name it.")
    task: Task | None = option(
        "What the labels are, where they might be something else: one class, several labels, "
        "numbers, or a class for every cell."
    )
    forecast: int | None = option(
        "Learn the next N rows of a .csv of series: all columns, or those of --label.",
        min=1,
        metavar="N",
    )
    group: str | None = option(
        "The column of a .csv whose equal values stay on one side of every split."
    )
    val_data: str | None = option("Other data that choose the epoch.", metavar="SOURCE")
    test_data: str | None = option("Other data that are read once, at the end.", metavar="SOURCE")
    memory_limit: str | None = option(
        "Refuse samples that would take more; 8GiB when left out. Pictures in files are kept on "
        "disk instead, from 256MiB on.",
        metavar="SIZE",
    )

    def given(self) -> dict[str, Any]:
        """Return what is not left out, as plain values.

        >>> Shaping(window=64, label="kind").given()
        {'window': 64, 'label': 'kind'}
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(Shaping)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Named:
    """Where samples come from; None is what the command takes then."""

    PANEL = ""

    name: str | None = option(
        f"The samples: {SOURCES}. Left out: mnist to learn from, the training's own to judge by.",
        "--data",
        metavar="SOURCE",
    )


@dataclass(frozen=True)
class Source(Shaping, Named):
    """Labeled samples: where they come from and how they are read."""

    @classmethod
    def noted(cls, name: str | None, shaping: object) -> Source:
        """Return the source that a run or a model file notes."""
        try:
            how = from_record(Shaping, shaping)
        except ConvcliError:  # has its own sentence
            raise
        except ValueError as problem:
            raise InputError(f"What is noted on the data cannot be read: {problem}.") from problem
        return cls(name=name, **how.given())

    def over(self, noted: Source) -> Source:
        """Return this source, with what it leaves out from `noted` if both are one place.

        >>> Source(size="8x8").over(Source(name="photos", samples=20))
        Source(name='photos', samples=20, size='8x8', window=None, overlap=None, label=None, \
label_rule=None, task=None, forecast=None, group=None, val_data=None, test_data=None, \
memory_limit=None)
        >>> Source(name="other").over(Source(name="photos", samples=20)).samples
        """
        if self.name is not None and not _same_place(self.name, str(noted.name)):
            return self
        return dataclasses.replace(noted, **self.given())

    @property
    def place(self) -> Path:
        """The path that the name may be."""
        return Path(str(self.name))

    @property
    def max_bytes(self) -> int:
        """What the samples of one file or split may take."""
        from convcli.arrayfiles import MAX_BYTES

        return MAX_BYTES if self.memory_limit is None else byte_count(self.memory_limit)


def _same_place(one: str, other: str) -> bool:
    return one == other or Path(one).resolve() == Path(other).resolve()


def read_size(text: str | None) -> tuple[int, int] | None:
    """Return height and width of `HxW`; one number is both.

    >>> read_size("48x64"), read_size("32"), read_size(None)
    ((48, 64), (32, 32), None)
    """
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"--size {text}: write height x width, such as 64x64.")
    height, width = int(parts[0]), int(parts[-1])
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise UsageError(f"--size {text}: use 1 to {LARGEST_SIDE:,} pixels a side.")
    return height, width
