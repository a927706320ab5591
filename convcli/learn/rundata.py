"""The data of a training, read and parted again as they were: for a run, and for its model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convcli.data import Dataset, ProgressCallback, Source, Split
from convcli.errors import ConvcliError, InputError, UsageError
from convcli.learn.checkpoint import Setting, fingerprint, read_setting
from convcli.learn.modelfile import TrainedModel
from convcli.learn.plan import Parting, parted
from convcli.learn.recipes import read_recipe
from convcli.learn.rundir import RunDirectory
from convcli.records import from_record


def load_run_data(directory: RunDirectory, progress: ProgressCallback | None = None) -> Dataset:
    """Return the data that a run was trained with, parted as they were.

    Args:
        directory: of the run, with its checkpoint.
        progress: called while something takes long.

    Raises:
        InputError: the checkpoint is gone or damaged, the data are not to be had, or are no
            longer the same.
        UsageError: what the run notes about its data cannot be used.
    """
    setting = read_setting(directory.last)
    try:
        seed = int(setting.options["data_seed"])
        source = Source.noted(setting.source, setting.options["shaping"])
    except ConvcliError:  # has its own sentence
        raise
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(f"{directory.last} does not say how its data were read.") from problem
    data = source.load(seed=seed, progress=progress)
    return data_again(directory.last, setting, data)


def data_again(path: Path, setting: Setting, data: Dataset) -> Dataset:
    """Return loaded data parted as a checkpoint says, if they are those that it was made with.

    Raises:
        InputError: they are not.
    """
    data = parted(data, setting.recipe, noted_parting(path, setting))
    if fingerprint(data) != setting.fingerprint:
        raise InputError(
            f"The training samples of {setting.source} are no longer those that {path} was made "
            "with. Bring the old samples back, or train anew."
        )
    return data


def noted_parting(path: Path, setting: Setting) -> Parting:
    """Return how a run's data were parted.

    Raises:
        InputError: its checkpoint does not say.
    """
    try:
        return from_record(Parting, setting.options["parting"])
    except ConvcliError:  # has its own sentence
        raise
    except (KeyError, ValueError) as problem:
        raise InputError(f"{path} does not say how its data were parted; train anew.") from problem


@dataclass(frozen=True, slots=True, eq=False)
class Labeled:
    """Samples to judge a model by.

    Attributes:
        data: that they are part of.
        name: of the split.
        samples: of the split.
        seen: whether the model was trained on them.
        own: whether they are of the data that the model was trained on.
    """

    data: Dataset
    name: str
    samples: Split
    seen: bool
    own: bool

    @property
    def title(self) -> str:
        """What the samples are, in a few words."""
        held_out = self.name == "validation" and self.own
        told = "validation, held out of the training" if held_out else self.name
        return f"{self.data.name}, {told}"


def noted_source(model: TrainedModel) -> Source | None:
    """Return the data that a model notes to be trained on, None where it does not.

    Raises:
        InputError: its notes cannot be read.
    """
    name, shaping = model.training.get("data"), model.training.get("shaping")
    if not isinstance(name, str):
        return None
    return Source.noted(name, shaping or {})


def labeled(
    model: TrainedModel,
    source: Source,
    split: str | None = None,
    *,
    progress: ProgressCallback | None = None,
) -> Labeled:
    """Return the samples to judge a model by: of data it knows, those it was not trained on.

    Args:
        model: as its training wrote it.
        source: which data; what it leaves out are those of the training.
        split: train, validation or test; when left out the test samples, then those for
            validation, then all there are.
        progress: called while something takes long.

    Raises:
        UsageError: nobody names the data, or they have no such split.
        InputError: the data are not to be had, or no longer those of the training.
    """
    noted = noted_source(model)
    if noted is None and source.name is None:
        raise UsageError("The model does not say what it was trained on; name --data SOURCE.")
    wanted = source if noted is None else source.over(noted)
    own = wanted == noted
    data = wanted.load(seed=_noted_seed(model) if own else 0, progress=progress)
    if own and (split or ("test" if data.test else None)) != "test":
        data = _parted_as_noted(model, data)
    splits = data.splits()
    name = split or next(one for one in ("test", "validation", "train") if one in splits)
    if name not in splits:
        raise UsageError(f"{data.name} has no {name} samples; it has {', '.join(splits)}.")
    return Labeled(data, name, splits[name], seen=own and name == "train", own=own)


def _noted_seed(model: TrainedModel) -> int:
    seed = model.training.get("data_seed", 0)
    return seed if isinstance(seed, int) else 0


def _parted_as_noted(model: TrainedModel, data: Dataset) -> Dataset:
    """Return the data of a model's training with its validation samples held out again."""
    notes: dict[str, Any] = model.training
    if "parting" not in notes:  # written before it was noted
        return data
    try:
        found = parted(data, read_recipe(notes["recipe"]), from_record(Parting, notes["parting"]))
    except ConvcliError:  # has its own sentence
        raise
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(
            "The model does not say which samples it held out; name others with --data SOURCE."
        ) from problem
    if fingerprint(found) != notes.get("fingerprint"):
        raise InputError(
            f"The samples of {data.name} are no longer those that the model was trained on, so "
            "nobody can tell which it has not seen. Evaluate it on others: --data SOURCE."
        )
    return dataclasses.replace(found, test=data.test)
