"""Runs side by side in a terminal: a list of all, and what differs between some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convcli.present.facts import differing, setting_text
from convcli.report import Column, Report, tabulate

if TYPE_CHECKING:
    from convcli.learn.run_directory import RunDirectory

Found = tuple["RunDirectory", dict[str, Any]]
"""A run and its record."""


def list_report(found: Sequence[Found], sort: str) -> Report:
    """Return one row for each run; the document has their whole records.

    Args:
        found: the runs.
        sort: `started`, or the figure of the result that orders them, the largest last.
    """
    ordered = sorted(found, key=lambda one: _sort_key(one[1], sort))
    rows = [
        _result(record)
        | {
            "run": directory.path.as_posix(),
            "status": record.get("status"),
            "data": record.get("data"),
            "epochs": record.get("epochs_done"),
        }
        for directory, record in ordered
    ]
    columns = {
        "run": "Run",
        "status": "Status",
        "data": "Data",
        "epochs": "Epochs",
        "params": "Parameters",
        "val_accuracy": "Validation|%",
        "test_accuracy": "Test|%",
        "train_seconds": "Time|s",
    }
    dead = [row["run"] for row in rows if row["status"] == "died"]
    return tabulate(
        rows,
        columns,
        notes=[f"{run} died: go on with convcli train --resume {run}" for run in dead],
        document=[{"run": d.path.as_posix(), **record} for d, record in ordered],
    )


def _sort_key(record: dict[str, Any], key: str) -> tuple[bool, Any]:
    value = record.get(key) if key == "started" else _result(record).get(key)
    known = isinstance(value, str if key == "started" else int | float)
    return (known, value if known else 0)


def _result(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a finished run, none of one that is not."""
    result = record.get("result")
    return result if isinstance(result, dict) else {}


def differences_report(directories: Sequence[RunDirectory]) -> Report:
    """Return what differs between runs, settings and results, one row a figure."""
    records = [directory.read_record() for directory in directories]
    found = differing([{k: v for k, v in one.items() if k != "process"} for one in records])
    keys = [f"run{number}" for number in range(1, len(directories) + 1)]
    columns: dict[str, str | Column] = {"figure": "Figure"}
    for key, directory in zip(keys, directories, strict=True):
        columns[key] = Column(key, directory.path.name, "right", setting_text)
    rows = [
        {"figure": name, **dict(zip(keys, values, strict=True))} for name, values in found.items()
    ]
    return tabulate(rows, columns, title="What differs")
