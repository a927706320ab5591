"""Compiled code finds a place even where nothing lasting can be written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from convcli.engine.cache_place import ensure_cache_place


@pytest.fixture
def nothing_writable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package in a tree, and a home, that this user may only read (root may write anything)."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # what the test sets is taken back at its end
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    may = os.access
    forbidden = tmp_path / "package", tmp_path / "home"
    for folder in forbidden:
        folder.mkdir()

    def access(path: Path, mode: int) -> bool:
        return may(path, mode) and not any(Path(path).is_relative_to(one) for one in forbidden)

    monkeypatch.setattr(os, "access", access)
    return tmp_path / "package"


def test_a_private_folder_serves_where_nothing_can_be_written(nothing_writable: Path) -> None:
    place = ensure_cache_place(nothing_writable)
    assert place is not None
    assert os.environ["NUMBA_CACHE_DIR"] == str(place)
    assert place.stat().st_mode & 0o077 == 0, "others may not put code there"
    assert ensure_cache_place(nothing_writable) is None, "one for each process"


def test_a_cache_of_the_user_or_beside_the_sources_is_preferred(
    nothing_writable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other" / "cache"))
    assert ensure_cache_place(nothing_writable) is None
    assert ensure_cache_place(tmp_path) is None
    assert not os.environ["NUMBA_CACHE_DIR"]
