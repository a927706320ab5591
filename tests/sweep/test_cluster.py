"""Sweeps on a real scheduler with two workers on the loopback; one is killed in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convcli.cli.main import run
from tests.cli.learning import NETWORK, write_quadrants
from tests.sweep.cluster import free_port, running_cluster


def weights(document: str) -> list[list[str]]:
    trials = json.loads(document)["trials"]
    return [[outcome["weights"] for outcome in trial["trainings"]] for trial in trials]


@pytest.mark.slow
def test_a_killed_worker_loses_no_trial_and_changes_no_bit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [
        "sweep", NETWORK, "lr=0.001,0.002,0.004,0.008", "--seeds", "2", "--epochs", "3", "--batch",
        "8", "--data", str(write_quadrants(tmp_path)), "--format", "json",
    ]  # fmt: skip
    with running_cluster() as cluster:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "convcli", *words, "-o", str(tmp_path / "far"),
                "--cluster", cluster.address,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        finished = 0
        for line in process.stderr:
            finished += line.startswith("trial")
            if finished == 2:
                cluster.workers[0].kill()
                break
        got, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    capfd.readouterr()
    assert run([*words, "-o", str(tmp_path / "near"), "--jobs", "1", "--quiet"]) == 0
    ref = capfd.readouterr().out
    assert weights(ref) == weights(got)
    assert len(list((tmp_path / "far" / "trainings").glob("*.json"))) == 8


def test_nobody_answers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "distributed", reason="needs the extra cluster: pip install 'convcli[cluster]'"
    )
    monkeypatch.setattr("convcli.sweep.cluster.CONNECT_SECONDS", 1)
    words = ["sweep", NETWORK, "lr=0.1", "--data", str(write_quadrants(tmp_path)), "-o"]
    address = f"tcp://127.0.0.1:{free_port()}"
    assert run([*words, str(tmp_path / "a"), "--cluster", address]) == 3
    assert f"no scheduler answers at {address}" in capfd.readouterr().err
    assert run([*words, str(tmp_path / "b"), "--cluster", "nonsense"]) in {2, 3}
    said = capfd.readouterr().err
    assert "nonsense" in said
    assert "Traceback" not in said


def test_without_the_extra_the_way_to_it_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = ["sweep", NETWORK, "lr=0.1", "--data", str(write_quadrants(tmp_path))]
    assert run([*words, "-o", str(tmp_path / "a"), "--cluster", "tcp://127.0.0.1:1"]) == 3
    assert "pip install 'convcli[cluster]'" in capfd.readouterr().err
