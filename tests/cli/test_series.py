"""Activity, occupancy and volumes from end to end, on made data of the described shapes."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.data import load_dataset
from convcli.net import network
from samples.series import (
    ACTIVITIES,
    activity_rows,
    occupancy_rows,
    volumes,
    write_table,
    write_volumes,
)

WINDOWS = ["--window", "128", "--overlap", "0.5"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def activity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("activity") / "activity.csv"
    write_table(place, activity_rows(people=6, seconds=8))
    return place


@pytest.fixture(scope="module")
def occupancy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("occupancy") / "occupancy.csv"
    write_table(place, occupancy_rows(days=2))
    return place


def test_the_made_measurements_have_the_described_shape(activity: Path, occupancy: Path) -> None:
    with activity.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 6 * 8 * 50 * len(ACTIVITIES)
    times = [float(row["time"]) for row in rows[:400]]
    assert np.diff(times) == pytest.approx(1 / 50)
    assert set(Counter(row["activity"] for row in rows).values()) == {6 * 8 * 50}
    data = load_dataset(activity, window=128, overlap=0.5)
    assert data.sample_shape == (128, 9)
    assert data.class_names == tuple(sorted(ACTIVITIES))
    assert data.train.groups is not None
    assert len(set(data.train.groups.tolist())) == 6
    np.testing.assert_array_equal(data.train.samples[0, 64:], data.train.samples[1, :64])
    room = load_dataset(occupancy, window=10, overlap=0.5)
    assert room.sample_shape == (10, 5)
    assert room.class_names == ("0", "1")
    assert 0.15 < (room.train.labels == 1).mean() < 0.5


def test_the_same_seed_makes_the_same_measurements() -> None:
    def some(seed: int) -> list[tuple[object, ...]]:
        return list(activity_rows(people=1, seconds=1, seed=seed))

    assert some(0) == some(0)
    assert some(0) != some(1)
    assert list(occupancy_rows(1)) == list(occupancy_rows(1))
    np.testing.assert_array_equal(volumes(3)[0], volumes(3)[0])


def test_the_script_replaces_nothing(tmp_path: Path) -> None:
    def make(place: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "samples.series", "volumes", str(place)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    place = tmp_path / "v.npz"
    assert make(place).returncode == 0
    before = place.read_bytes()
    assert make(place).returncode == 1
    assert place.read_bytes() == before


@pytest.mark.slow
def test_activities_are_learned_and_the_next_step_is_told(
    activity: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ["train", "--data", str(activity), *WINDOWS, "har", "--epochs", "4", "--batch", "16"]
    assert run([*words, "-o", str(tmp_path / "run")]) == 0
    said = capfd.readouterr().out
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["result"]["params"] == network("har").trace().totals.params
    assert record["result"]["val_accuracy"] > 0.6  # a sixth by chance; a person never seen
    following = next(line for line in said.splitlines() if line.startswith("  convcli evaluate"))
    assert run([*shlex.split(following)[1:], "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert got["n"] == record["samples"]["validation"], "of its own data those held out are judged"
    assert got["accuracy"] > 0.6


@pytest.mark.slow
def test_a_cnn_and_an_lstm_in_one_comparison(
    activity: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ["sweep", "network=har,har-lstm", "--data", str(activity), *WINDOWS, "--epochs", "4"]
    words += ["--batch", "16", "--lr", "0.003", "-o", str(tmp_path / "s"), "--quiet"]
    assert run([*words, "--jobs", "1", "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert [trial["values"]["network"] for trial in got["trials"]] == ["har", "har-lstm"]
    for trial in got["trials"]:
        name = trial["values"]["network"]
        assert trial["params"] == network(name).trace().totals.params
        assert trial["val_accuracy"]["mean"] > 0.35  # a sixth by chance


@pytest.mark.parametrize("name", ["occupancy", "occupancy-lstm"])
def test_an_occupied_room_is_told_from_an_empty_one(
    name: str, occupancy: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ["train", name, "--data", str(occupancy), "--window", "10", "--overlap", "0.5"]
    words += ["--epochs", "6", "--batch", "16", "-o", str(tmp_path / "run")]
    assert run([*words, "--format", "json"]) == 0
    said = capfd.readouterr()
    assert "it has 2 outputs" not in said.err, "one sigmoid tells two classes"
    assert json.loads(said.out)["val_accuracy"] > 0.9


@pytest.mark.slow
def test_volumes_are_told_apart(tmp_path: Path, capfd: Captured) -> None:
    place = tmp_path / "volumes.npz"
    write_volumes(place, count=180)
    words = ["train", "input 12x12x12x1, conv 8 3 relu, maxpool 2, flatten, dense 3 softmax"]
    words += ["--data", str(place), "--epochs", "10", "--batch", "8", "--lr", "0.005"]
    assert run([*words, "-o", str(tmp_path / "run"), "--quiet", "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert got["params"] == (27 + 1) * 8 + (5**3 * 8 + 1) * 3
    assert got["test_accuracy"] > 0.5  # a third by chance
