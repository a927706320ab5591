"""Options that the commands around training share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.options import STANDARD_STREAM

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.data import Dataset, Source
    from convcli.inspect.probe import Probe
    from convcli.learn.modelfile import TrainedModel
    from convcli.learn.rundata import Labeled

ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model file, or the directory of a run.")
]

ImageArgument = Annotated[
    str, typer.Argument(metavar="IMAGE", help="A picture, a matrix (.npy .csv .txt), or -.")
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


def load_probe(model: Path) -> Probe:
    """Return the model at a path, or in a run's directory, ready to be examined."""
    from convcli.inspect.probe import Probe
    from convcli.learn.modelfile import load

    return Probe(load(model))


def load_sample(probe: Probe, image: str) -> Any:
    """Return the first sample of a file, or of stdin, prepared: (1, *input shape)."""
    from convcli.cli.console import standard_input
    from convcli.learn.pictures import samples_from_source

    content = standard_input() if image == STANDARD_STREAM else Path(image)
    samples = samples_from_source(content, image, probe.trained.preprocessing)
    return probe.prepared(samples[:1])
