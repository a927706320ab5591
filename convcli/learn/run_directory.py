"""Run directories: what one training leaves behind, and lists of them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcli.errors import InputError, OutputExistsError, cannot_read
from convcli.files import write_text
from convcli.net.lookup import RUN_MODEL
from convcli.records import fits

if TYPE_CHECKING:
    from convcli.learn.fit import Epoch

RECORD, HISTORY, LAST = "run.json", "history.csv", "last.safetensors"
HELD_OUT = "validation_indices.txt"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The files of one training.

    Attributes:
        path: the directory.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The model of the best epoch."""
        return self.path / RUN_MODEL

    @property
    def last(self) -> Path:
        """The checkpoint."""
        return self.path / LAST

    def write_history(self, history: Sequence[Epoch]) -> None:
        """Write one row for each epoch to history.csv."""
        from convcli.learn.fit import Epoch  # loads the engine, which a reader of runs needs not

        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        rows = [epoch.row() for epoch in history]
        fields = [one.name for one in dataclasses.fields(Epoch) if one.name != "figures"]
        writer.writerow(rows[0] if rows else fields)
        for row in rows:
            writer.writerow(["" if cell is None else cell for cell in row.values()])
        write_text(self.path / HISTORY, out.getvalue(), force=True)

    def write_record(self, record: dict[str, Any]) -> None:
        """Write what the run is and came to, as run.json."""
        write_json(self.path / RECORD, record)

    def write_held_out(self, indices: Sequence[int]) -> None:
        """Write which training samples were set aside for validation, one index a line."""
        write_text(self.path / HELD_OUT, "".join(f"{i}\n" for i in indices), force=True)

    def read_record(self) -> dict[str, Any]:
        """Return what run.json says; the status of a run whose process has gone is `died`.

        Raises:
            InputError: it is missing or damaged.
        """
        place = self.path / RECORD
        try:
            record = json.loads(place.read_text(encoding="utf-8"))
        except OSError as problem:
            raise cannot_read(place, problem) from problem
        except (ValueError, RecursionError) as problem:
            raise InputError(f"{place} is no JSON; the run cannot be listed.") from problem
        if not isinstance(record, dict):
            raise InputError(f"{place} is no JSON object; the run cannot be listed.")
        figures = record.get("result") or {}
        if not isinstance(figures, dict):
            raise InputError(f"{place} has a result without figures; the run cannot be listed.")
        kinds = {"model": str, "task": str} | dict.fromkeys(("val_figures", "test_figures"), dict)
        for name, figure in figures.items():
            if not fits(figure, kinds.get(name, float | None)):
                raise InputError(
                    f"{place}: {name} of its result is {str(figure)[:40]!r}, no figure; the run "
                    "cannot be listed."
                )
        if record.get("status") == "running" and has_ended(record.get("process")):
            record["status"] = "died"
        return record

    def read_history(self) -> list[dict[str, float | None]]:
        """Return the rows of history.csv, empty cells as None.

        Raises:
            InputError: it is missing or damaged.
        """
        place = self.path / HISTORY
        try:
            rows = list(csv.DictReader(io.StringIO(place.read_text(encoding="utf-8"))))
            return [{key: _figure(cell) for key, cell in row.items()} for row in rows]
        except OSError as problem:
            raise cannot_read(place, problem) from problem
        except (ValueError, AttributeError, TypeError, csv.Error) as problem:
            raise InputError(f"{place} is no history of epochs: {problem}.") from problem

    @contextmanager
    def dropped_if_empty(self) -> Iterator[None]:
        """Remove the directory if what is done here fails and has left nothing in it."""
        try:
            yield
        except BaseException:
            with suppress(OSError):
                self.path.rmdir()
            raise

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep every other process from training this run while the block lasts.

        The system frees a claim when its process ends, however that ends. Where a file system or a
        system has no locks, nothing is kept.

        Raises:
            InputError: another process is at it.
        """
        if sys.platform == "win32":
            yield
            return
        import fcntl

        claim = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{self.path} is being trained by another process. Wait for its end, or stop "
                    "it first: Ctrl-C saves where it stands."
                ) from None
            except OSError:
                pass
            yield
        finally:
            os.close(claim)

    def clean(self) -> None:
        """Remove the halves of files that a killed run was writing."""
        for pattern in (".last.*.safetensors", ".model.*.safetensors", ".run.*.json"):
            for leftover in self.path.glob(pattern):
                leftover.unlink(missing_ok=True)


def create_run_directory(path: Path | None, name: str, *, force: bool = False) -> RunDirectory:
    """Return a new directory, `runs/DATE-NAME` unless `path` names another.

    Args:
        path: must be empty or not exist, unless forced.
        name: what the run is called, for the default place.
        force: a directory with an earlier run may be taken over; that run's files are replaced.

    Raises:
        OutputExistsError: `path` has files in it and `force` is off.
        InputError: it cannot be made or written.
    """
    return RunDirectory(new_directory(path, name, "train", force=force))


def new_directory(path: Path | None, name: str, command: str, *, force: bool) -> Path:
    """Return a directory made for what `convcli COMMAND` writes; see `create_run_directory`."""
    path = path or _dated(name)
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
    except OSError as problem:
        raise InputError(f"Cannot make the run directory {path}: {problem.strerror}.") from problem
    if occupied and not force:
        raise OutputExistsError(
            f"{path} has files in it. Use --force to replace what is there, another place with "
            f"-o, or go on with it: convcli {command} --resume {path}"
        )
    return path


def write_json(path: Path, record: object) -> None:
    """Write plain values for programs and people, whole or not at all."""
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n", force=True)


def _dated(name: str) -> Path:
    """Return `runs/DATE-NAME`, with a number where that exists."""
    wanted = Path("runs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{safe_name(name)}"
    path, number = wanted, 2
    while path.exists():
        path, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    return path


def find_runs(folder: Path) -> list[RunDirectory]:
    """Return the run directories in `folder`, itself included, sorted by path.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Train first: convcli train --data digits")
    return [RunDirectory(place.parent) for place in sorted(folder.rglob(RECORD))]


def safe_name(text: str) -> str:
    """Return `text` as a file name: letters, digits, dots, dashes; at most 40 characters.

    >>> safe_name("rps:n=16 on /tmp/x")
    'rps-n-16-on-tmp-x'
    """
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")[:40] or "run"


def _figure(cell: str | None) -> float | None:
    if cell in {"True", "False"}:
        return float(cell == "True")
    return float(cell) if cell else None


def this_process() -> dict[str, Any]:
    """Return what tells this process from every other, for a run's record."""
    return {"host": platform.node(), "pid": os.getpid(), "began": _began(os.getpid())}


def has_ended(process: object) -> bool:
    """Tell whether the process that a record names is known to have ended.

    One of another machine, or of a system that does not tell, may still be there.

    >>> has_ended(this_process()), has_ended(this_process() | {"began": "another"})
    (False, True)
    """
    if not isinstance(process, dict) or process.get("host") != platform.node():
        return False
    pid, began = process.get("pid"), process.get("began")
    return began is not None and isinstance(pid, int) and _began(pid) != began


def _began(pid: int) -> str | None:
    """Return when a process began, in the system's own ticks; None without such a process.

    The number alone would not do: it is given anew to a later process.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
