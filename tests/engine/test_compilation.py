"""Compilation in several processes: every task once, and code that one process left for another."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from convcli.engine.compilation import MOST_TASKS, compile_together


def _note(folder: Path, number: int, in_company: bool) -> None:
    """Note which process has the task; in company, wait until another one has one too."""
    own, patience = f"{os.getpid()}\n", time.monotonic() + 60
    with Path(folder, str(number)).open("a") as file:
        file.write(own)
    while in_company and {path.read_text() for path in folder.iterdir()} == {own}:
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.mark.parametrize(("tasks", "processes"), [(20, 2), (3, 8), (20, 1), (MOST_TASKS + 1, 2)])
def test_every_task_is_run_once(tmp_path: Path, tasks: int, processes: int) -> None:
    copied = processes > 1 and tasks <= MOST_TASKS and sys.platform == "linux"
    notes = [partial(_note, tmp_path, number, copied) for number in range(tasks)]
    compile_together(notes, processes)
    ran = [Path(tmp_path, str(number)).read_text().split() for number in range(tasks)]
    assert [len(one) for one in ran] == [1] * tasks
    assert (len({one[0] for one in ran}) > 1) == copied


def test_a_task_that_fails_here_leaves_no_copy_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, copies = os.fork, []

    def forked() -> int:
        copies.append(fork())
        return copies[-1]

    def fail() -> None:
        if os.getpid() == parent:
            raise RuntimeError("here")
        time.sleep(0.05)

    parent = os.getpid()
    monkeypatch.setattr(os, "fork", forked)
    with pytest.raises(RuntimeError, match="here"):
        compile_together([fail] * 8, 2)
    for copy in copies:
        with pytest.raises(ChildProcessError):
            os.waitpid(copy, os.WNOHANG)


def test_operations_compiled_by_a_copy_are_loaded(tmp_path: Path) -> None:
    script = (
        "from numba.core import ccallback\n"
        "from convcli.engine.calls import compile_operations\n"
        "from convcli.ops.activation import OPERATIONS\n"
        "two = OPERATIONS['relu']\n"
        "compile_operations(two, 2)\n"
        "ccallback.CFunc._compile_uncached = None\n"
        "print([each.address > 0 for each in two])\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ
        | {"CONVCLI_CACHE": str(tmp_path), "PYTHONPATH": str(Path.cwd()), "NUMBA_DISABLE_JIT": "0"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == "[True, True]"
