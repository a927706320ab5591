"""The data of a run, read and parted again as they were for its training."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

from convcli.data import Dataset, ProgressCallback
from convcli.data.shaping import load_shaped
from convcli.errors import InputProblem
from convcli.learn.checkpoint import Setting, fingerprint, read_setting
from convcli.learn.plan import Parting, parted
from convcli.learn.rundir import RunDirectory
from convcli.records import checked, from_record


def load_run_data(directory: RunDirectory, progress: ProgressCallback | None = None) -> Dataset:
    """Return the data that a run was trained with, parted as they were.

    Args:
        directory: of the run, with its checkpoint.
        progress: called while something takes long.

    Raises:
        InputProblem: the checkpoint is gone or damaged, the data are not to be had, or are no
            longer the same.
        UsageMistake: what the run notes about its data cannot be used.
    """
    setting = read_setting(directory.last)
    try:
        noted = {"seed": setting.options["data_seed"], **setting.options["shaping"]}
        shaping = checked(noted, get_type_hints(load_shaped))
    except (KeyError, TypeError, ValueError) as problem:
        raise InputProblem(f"{directory.last} does not say how its data were read.") from problem
    data = load_shaped(setting.source, progress=progress, **shaping)
    return data_again(directory.last, setting, data)


def data_again(path: Path, setting: Setting, data: Dataset) -> Dataset:
    """Return loaded data parted as a checkpoint says, if they are those that it was made with.

    Raises:
        InputProblem: they are not.
    """
    data = parted(data, setting.recipe, noted_parting(path, setting))
    if fingerprint(data) != setting.fingerprint:
        raise InputProblem(
            f"The training samples of {setting.source} are no longer those that {path} was made "
            "with. Bring the old samples back, or train anew."
        )
    return data


def noted_parting(path: Path, setting: Setting) -> Parting:
    """Return how a run's data were parted.

    Raises:
        InputProblem: its checkpoint does not say.
    """
    try:
        return from_record(Parting, setting.options["parting"])
    except (KeyError, ValueError) as problem:
        raise InputProblem(
            f"{path} does not say how its data were parted; train anew."
        ) from problem
