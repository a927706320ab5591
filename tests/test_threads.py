"""One place says how many threads work, and whatever takes time asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from convcli.environment import _processor_quota, thread_count
from convcli.errors import UsageError
from tests.cli.learning import NETWORK, write_quadrants

WORK = f"""
import sys, threading
import numpy as np
import convcli
from convcli.data import make_dataset
from convcli.data.dataset import Split
from tests.cli.learning import quadrants
if sys.argv[2] == "affinity":
    import os
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
data = make_dataset("quadrants", {{"train": Split(*quadrants(64)), "test": Split(*quadrants(8))}})
if sys.argv[1] == "train":
    for _ in convcli.fit({NETWORK!r}, data, epochs=1, batch=32):
        pass
elif sys.argv[1] == "predict":
    training = convcli.fit({NETWORK!r}, data, epochs=1, batch=32, threads=1)
    training.model.predict(quadrants(64)[0])
elif sys.argv[1] == "filter":
    convcli.correlate(np.ones((400, 400), np.uint8), np.ones((3, 3)), engine="numba")
print(threading.active_count())
"""


@pytest.mark.parametrize("work", ["train", "predict", "filter"])
@pytest.mark.parametrize("told", ["NUMBA_NUM_THREADS", "affinity"])
def test_no_more_threads_work_than_the_process_may_use(work: str, told: str) -> None:
    if told == "affinity" and not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system binds no process to processors")
    setting = {"NUMBA_NUM_THREADS": "1"} if told == "NUMBA_NUM_THREADS" else {}
    got = subprocess.run(
        [sys.executable, "-c", WORK, work, told],
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    assert got.stdout == "1\n"


def test_a_sweep_takes_as_many_processes_as_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    from convcli.sweep import engines

    class Refused:
        def __init__(self, *_: object, **__: object) -> None:
            raise AssertionError("another process, where one thread is allowed")

    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    monkeypatch.setattr(engines, "Parallel", Refused)
    monkeypatch.setattr(engines, "train_job", lambda job, data, threads: (job, threads))
    done = list(engines.LocalEngine().run(["first", "second"], None))  # type: ignore[list-item,arg-type]
    assert done == [("first", ("first", 1)), ("second", ("second", 1))]


def test_what_is_wanted_comes_before_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")
    assert thread_count() == thread_count(0) == 5
    assert thread_count(2) == 2
    monkeypatch.setenv("NUMBA_NUM_THREADS", "many")
    assert thread_count() <= (os.cpu_count() or 1)
    with pytest.raises(UsageError, match="-1 threads"):
        thread_count(-1)


@pytest.mark.parametrize(
    ("text", "quota"),
    [("max 100000", None), ("150000 100000", 2), ("5000 100000", 1), ("", None), ("1 0", None)],
)
def test_a_containers_share_of_time(text: str, quota: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert _processor_quota(tmp_path) == quota
    assert _processor_quota(tmp_path / "nowhere") is None


def test_training_and_filters_work_where_nothing_forks_and_no_terminal_hangs_up(
    tmp_path: Path,
) -> None:
    """As on Windows: neither `fork` nor its hooks, no SIGHUP, no affinity, no hard links."""
    words = [NETWORK, "--data", str(write_quadrants(tmp_path, 40)), "--epochs", "1", "--quiet"]
    elsewhere = f"""
import os, signal
for name in ("register_at_fork", "fork", "forkpty", "sched_getaffinity", "link"):
    delattr(os, name)
del signal.SIGHUP
from convcli.cli.main import run
assert run(["train", *{words!r}, "-o", "run"]) == 0
assert run(["sweep", *{words!r}, "lr=0.01", "-o", "sweep"]) == 0
assert run(["filter", "m.csv", "-k", "box", "-o", "out.csv", "--quiet"]) == 0
"""
    (tmp_path / "m.csv").write_text("1,2\n3,4\n")
    got = subprocess.run(
        [sys.executable, "-c", elsewhere], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert got.returncode == 0, got.stderr


@pytest.mark.parametrize(
    ("parts", "worked"), [(None, [0, 1, 2]), (2, [0, 1]), (1, [0]), (7, [0, 1, 2])]
)
def test_a_pool_wakes_no_more_threads_than_there_are_parts(
    parts: int | None, worked: list[int]
) -> None:
    from convcli.engine.threads import ThreadPool

    found: list[int] = []
    ThreadPool(3).run(found.append, parts)
    assert sorted(found) == worked
