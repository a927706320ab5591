"""Damaged files of every kind get a sentence: no traceback, no raw escape character."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import crashes, kinds, seeded

EACH = 60
SLOW = {
    "checkpoint": 12,
    "run.json": 60,
    "history": 30,
    "indices": 12,
    "sweep.json": 6,
    "training": 4,
}
"""Kinds whose readers train, draw or predict when the damage did not matter."""


def test_damaged_files_get_a_sentence(tmp_path: Path) -> None:
    found = [
        crash
        for kind in kinds(tmp_path)
        for crash in crashes(kind, SLOW.get(kind.name, EACH), seeded(1, kind))
    ]
    assert not found, "\n".join(sorted({f"{crash.kind}: {crash.cause}" for crash in found}))
