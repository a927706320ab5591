"""Options that the commands around training share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.data import Dataset

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
LabelOption = Annotated[
    str | None,
    typer.Option("--label", help="The column of labels of a .csv.", show_default=False),
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
    label: str | None = None,
    samples: int | None = None,
) -> Dataset:
    """Return the data set that `--data` names, with progress while that takes long.

    Raises:
        UsageMistake: a malformed size, or a figure that the source has no use for.
        InputProblem: the data are not to be had, or cannot be used.
    """
    from convcli.data.shaping import load_shaped

    with messages.counted() as progress:
        data = load_shaped(
            source,
            size=size,
            window=window,
            overlap=overlap,
            label=label,
            samples=samples,
            seed=seed,
            progress=progress,
        )
    for note in data.notes:
        messages.say(note)
    return data


def model_path(place: Path) -> Path:
    """Return the model file, or the one in a run's directory."""
    from convcli.learn.rundir import MODEL

    return place / MODEL if place.is_dir() else place
