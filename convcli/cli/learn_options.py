"""Options that the commands around training share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.data import Dataset, Source
    from convcli.learn.modelfile import TrainedModel
    from convcli.learn.rundata import Labeled

ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model file, or the directory of a run.")
]


def load_source(source: Source, messages: Messages, *, seed: int = 0) -> Dataset:
    """Return the data set of a source, with progress while that takes long; say its notes.

    Raises:
        UsageError: a malformed size, or a figure that the source has no use for.
        InputError: the data are not to be had, or cannot be used.
    """
    with messages.counted() as progress:
        data = source.load(seed=seed, progress=progress)
    for note in data.notes:
        messages.say(note)
    return data


def load_labeled(
    model: TrainedModel, source: Source, split: str | None, messages: Messages
) -> Labeled:
    """Return the samples to judge a model by, with progress; say the data's notes.

    Raises:
        UsageError, InputError: as `labeled`.
    """
    from convcli.learn.rundata import labeled

    with messages.counted() as progress:
        found = labeled(model, source, split, progress=progress)
    for note in found.data.notes:
        messages.say(note)
    if found.seen:
        messages.say("These samples are those the model was trained on; new ones tell more.")
    return found
