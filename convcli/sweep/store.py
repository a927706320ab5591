"""The directory of a sweep: its plan, and one file for each finished training."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convcli.errors import InputError
from convcli.files import new_file
from convcli.learn.run_directory import RunDirectory, new_directory, write_json
from convcli.records import from_record
from convcli.sweep.trial import Job, Outcome, Trained

PLAN, TRAININGS = "sweep.json", "trainings"


@dataclass(frozen=True, slots=True)
class SweepDirectory:
    """The files of one sweep.

    Attributes:
        path: the directory.
    """

    path: Path

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Write what the sweep was asked for, so that it can go on."""
        write_json(self.path / PLAN, plan)

    def folder(self, job: Job) -> RunDirectory:
        """Return where the model and the history of a training are."""
        return RunDirectory(self.path / TRAININGS / job.name)

    def save(self, job: Job, trained: Trained, fingerprint: str, values: dict[str, Any]) -> None:
        """Write one finished training: its model and history, then what tells that they are.

        `values` are those of its trial, for who reads the directory alone.
        """
        folder = self.folder(job)
        folder.path.mkdir(exist_ok=True)
        folder.write_history(trained.history)
        if trained.model:
            with new_file(folder.model, force=True) as temporary:
                temporary.write_bytes(trained.model)
        record = {
            "data": fingerprint,
            "values": values,
            "job": _plain(job),
            "outcome": dataclasses.asdict(trained.outcome),
        }
        write_json(self.path / TRAININGS / f"{job.name}.json", record)

    def history(self, job: Job) -> list[dict[str, float | None]]:
        """Return the epochs of a training that is kept; none where it has lost them."""
        try:
            return self.folder(job).read_history()
        except InputError:
            return []

    def find(self, job: Job, fingerprint: str) -> Outcome | None:
        """Return what came of this very job on these data, None if it has to be trained.

        A file that is damaged, or belongs to another job, is as good as none.
        """
        record = read_json(self.path / TRAININGS / f"{job.name}.json")
        if record is None or record.get("data") != fingerprint or record.get("job") != _plain(job):
            return None
        try:
            return from_record(Outcome, record.get("outcome"))
        except ValueError:
            return None

    def count(self) -> int:
        """Return how many finished trainings are kept."""
        return sum(1 for _ in (self.path / TRAININGS).glob("trial*.json"))

    def clean(self) -> None:
        """Remove the halves of files that a killed sweep was writing."""
        for leftover in (self.path / TRAININGS).glob(".trial*.json"):
            leftover.unlink(missing_ok=True)

    def empty(self) -> None:
        """Remove the trainings of an earlier sweep."""
        for old in (self.path / TRAININGS).glob("trial*"):
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)


def create_sweep_directory(path: Path | None, *, force: bool = False) -> SweepDirectory:
    """Return a new directory for a sweep, `runs/DATE-sweep` unless `path` names another.

    Raises:
        OutputExistsError: `path` has files in it and `force` is off.
        InputError: it cannot be made or written.
    """
    directory = SweepDirectory(new_directory(path, "sweep", "sweep", force=force))
    (directory.path / TRAININGS).mkdir(exist_ok=True)
    directory.empty()
    return directory


def _plain(job: Job) -> Any:
    """Return a job as JSON will give it back."""
    return json.loads(json.dumps(dataclasses.asdict(job)))


def read_json(place: Path) -> dict[str, Any] | None:
    """Return what a file of a training says; None for one that is missing or damaged."""
    try:
        record = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
