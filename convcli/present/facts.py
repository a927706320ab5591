"""What a run directory tells: its record and history, whatever state it was left in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convcli.errors import ConvcliError, InputError
from convcli.learn.run_directory import HISTORY, RECORD, RunDirectory, find_runs
from convcli.net import parse_notation
from convcli.report.value import as_text

History = list[dict[str, float | None]]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The figures of one run.

    Attributes:
        directory: where they were read.
        name: what to call it, unique among the runs that are shown together.
        record: what run.json says.
        history: the rows of history.csv; none before the first epoch.
    """

    directory: RunDirectory
    name: str
    record: dict[str, Any]
    history: History

    @property
    def finished(self) -> bool:
        """Whether the training came to its end and read its test samples."""
        return self.record.get("status") == "done"

    def part(self, key: str) -> dict[str, Any]:
        """Return a group of the record, empty where it has none."""
        found = self.record.get(key)
        return found if isinstance(found, dict) else {}

    def result(self, key: str) -> Any:
        """Return a figure of the finished run, None where there is none."""
        found = self.part("result").get(key)
        return found if isinstance(found, int | float) else None

    @property
    def params(self) -> int | None:
        """Learnable numbers of the network; of an unfinished run counted from its notation."""
        told = self.result("params")
        if told is not None:
            return int(told)
        try:
            return parse_notation(str(self.record.get("network"))).trace().totals.params
        except ConvcliError:
            return None

    def curve(self, key: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return epochs and one column of the history, without its gaps."""
        return column(self.history, key)

    @property
    def best(self) -> dict[str, float | None]:
        """The history's row of the epoch whose weights the model has; empty without any."""
        return next((row for row in reversed(self.history) if row.get("best")), {})

    @property
    def last(self) -> dict[str, float | None]:
        """The history's last row; empty without any."""
        return self.history[-1] if self.history else {}


def column(history: History, key: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return epochs and one column of a history, without its gaps."""
    pairs = [
        (number, value)
        for row in history
        if (number := row.get("number")) is not None and (value := row.get(key)) is not None
    ]
    return tuple(x for x, _ in pairs), tuple(y for _, y in pairs)


def read_run(place: Path | str) -> RunFacts:
    """Return what the run directory at `place` tells.

    Raises:
        InputError: it is no run directory, or its record or history is damaged.
    """
    return read_runs([Path(place)])[0]


def read_runs(places: Sequence[Path]) -> list[RunFacts]:
    """Return what run directories tell; runs of one name are called by their whole path.

    Raises:
        InputError: as `read_run`.
    """
    names = [place.resolve().name for place in places]
    return [
        _facts(place, name if names.count(name) == 1 else place.as_posix())
        for place, name in zip(places, names, strict=True)
    ]


def _facts(place: Path, name: str) -> RunFacts:
    if place.suffix == ".json":
        return _training_facts(place)
    directory = RunDirectory(place)
    if not (place / RECORD).is_file():
        what = "has no run.json, so it is no run" if place.is_dir() else "is no directory"
        raise InputError(f"{place} {what}. Name what convcli train wrote, such as runs/NAME.")
    record = directory.read_record()
    history = directory.read_history() if (place / HISTORY).is_file() else []
    return RunFacts(directory, name, record, history)


def _training_facts(place: Path) -> RunFacts:
    """Return what a sweep's file of one training tells; it is called by its trial's values."""
    from convcli.sweep.store import read_json  # loads the engine

    told = read_json(place) or {}
    job, outcome, values = (told.get(key) for key in ("job", "outcome", "values"))
    if not (isinstance(job, dict) and isinstance(outcome, dict)):
        raise InputError(f"{place} is no training of a sweep: it does not say what was trained.")
    known = values if isinstance(values, dict) else {"trial": job.get("trial")}
    record = {
        "status": "done",
        "values": known,
        **{key: job.get(key) for key in ("network", "recipe", "seed")},
        "result": {"train_seconds": outcome.get("seconds")},
    }
    directory = RunDirectory(place.with_suffix(""))
    name = " ".join(f"{key}={value}" for key, value in known.items())
    return RunFacts(directory, name, record, directory.read_history())


def runs_at(place: Path) -> list[Path]:
    """Return the run at a place, or all runs in a folder.

    Those of a sweep are its files of finished trainings.

    Raises:
        InputError: there is none.
    """
    if (place / RECORD).is_file():
        return [place]
    is_sweep = (place / "sweep.json").is_file()
    trainings = place.glob("trainings/trial*.json") if is_sweep else ()
    found = list(trainings) or [directory.path for directory in find_runs(place)]
    found.sort(key=_by_numbers)
    if not found and is_sweep:
        raise InputError(
            f"{place} is a sweep without a finished training. Go on with it: "
            f"convcli sweep --resume {place}"
        )
    if not found:
        raise InputError(f"There is no run in {place}. Train first: convcli train -o {place}")
    return found


def _by_numbers(path: Path) -> list[tuple[bool, int, str]]:
    """Return a key that puts n2 before n16.

    >>> [path.name for path in sorted([Path("n16"), Path("n2")], key=_by_numbers)]
    ['n2', 'n16']
    """
    parts = re.split(r"(\d+)", path.as_posix())
    return [(p.isdecimal(), int(p) if p.isdecimal() else 0, p) for p in parts]


def differing(records: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return what is not the same in all records: name -> its value in each.

    >>> differing([{"seed": 0, "recipe": {"lr": 0.1}}, {"seed": 0, "recipe": {"lr": 0.2}}])
    {'recipe.lr': [0.1, 0.2]}
    """
    flat = [_flattened(record) for record in records]
    keys = dict.fromkeys(key for one in flat for key in one)
    values = {key: [one.get(key) for one in flat] for key in keys}
    return {key: found for key, found in values.items() if len(set(map(repr, found))) > 1}


def _flattened(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        inner = isinstance(value, dict)
        flat |= _flattened(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return flat


def setting_text(value: Any) -> str:
    """Return a setting as people read it: lists with commas, a dash for none.

    >>> setting_text(["conv1", "conv2"]), setting_text(""), setting_text(0.001), setting_text(1000)
    ('conv1, conv2', '-', '0.001', '1,000')
    """
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value == "" else f"{value:g}" if isinstance(value, float) else as_text(value)
