"""Options that the commands around training share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convcli.errors import UsageMistake

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.data import Dataset

LARGEST_SIDE = 4096
"""Pictures are not brought to more than this; a data set would not fit any memory."""

SOURCES = "mnist, fashion, digits, a folder of class folders, idx files, .npz, or .csv"

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="SOURCE",
        help=f"The samples: {SOURCES}; those of the training when left out.",
        show_default=False,
    ),
]
SizeOption = Annotated[
    str | None,
    typer.Option("--size", help="Resize pictures to HxW, such as 64x64.", show_default=False),
]
WindowOption = Annotated[
    int | None,
    typer.Option("--window", min=1, help="Rows of one window of a .csv.", show_default=False),
]
OverlapOption = Annotated[
    float | None,
    typer.Option(
        "--overlap", min=0, max=0.99, help="Share that windows of a .csv share.", show_default=False
    ),
]
ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model file, or the directory of a run.")
]


def load_source(
    source: str,
    messages: Messages,
    *,
    seed: int = 0,
    size: str | None = None,
    window: int | None = None,
    overlap: float | None = None,
    count: int | None = None,
) -> Dataset:
    """Return the data set that `--data` names, with progress while that takes long.

    Raises:
        UsageMistake: a malformed size, or a figure that the source has no use for.
        InputProblem: the data are not to be had, or cannot be used.
    """
    from convcli.data import load_dataset

    with messages.counted() as progress:
        data = load_dataset(
            source,
            size=read_size(size),
            window=window,
            overlap=overlap,
            count=count,
            seed=seed,
            progress=progress,
        )
    for note in data.notes:
        messages.say(note)
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


def model_path(place: Path) -> Path:
    """Return the model file, or the one in a run's directory."""
    from convcli.learn.rundir import MODEL

    return place / MODEL if place.is_dir() else place
