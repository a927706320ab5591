"""Checkpoints and run directories: damaged ones, full disks, places that cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from convcli.cli.main import run
from convcli.errors import InputError, OutputExistsError
from convcli.learn.checkpoint import read_spec
from convcli.learn.run_directory import RunDirectory, create_run_directory, find_runs, safe_name
from convcli.net.modelheader import read_model_header
from tests.cli.learning import NETWORK, write_quadrants


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A run of one epoch."""
    data = write_quadrants(tmp_path)
    words = ["--epochs", "1", "--batch", "16", "--quiet", "-o", str(tmp_path / "run")]
    assert run(["train", NETWORK, "--data", str(data), *words]) == 0
    return tmp_path / "run"


def rewrite(path: Path, *, drop: str = "", **changes: object) -> None:
    """Write the checkpoint anew without an array, or with other entries in its note."""
    header = read_model_header(path)
    record = json.loads(header.texts["checkpoint"]) | changes
    arrays = {name: array for name, array in load_file(path).items() if name != drop}
    save_file(arrays, path, header.texts | {"checkpoint": json.dumps(record)})


BROKEN = {
    "an array": {"drop": "memory"},
    "the best": {"drop": "best"},
    "recipe": {"recipe": {"epochs": -1}},
    "recipe type": {"recipe": {"epochs": "many"}},
    "recipe field": {"recipe": {"secret": 1}},
    "history": {"history": [{"number": 1}]},
    "history type": {"history": 3},
    "step": {"step": "x"},
    "source": {"source": 3},
    "seed": {"seed": None},
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_damaged_checkpoint_gets_a_sentence(
    case: str, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rewrite(place / "last.safetensors", **BROKEN[case])
    before = (place / "model.safetensors").read_bytes()
    assert run(["train", "--resume", str(place), "--quiet"]) in {2, 3}
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert (place / "model.safetensors").read_bytes() == before


def test_a_finished_run_resumes_to_the_same_result(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (place / "model.safetensors").read_bytes()
    record = json.loads((place / "run.json").read_text()) | {"started": "2020-02-02T02:02:02"}
    (place / "run.json").write_text(json.dumps(record))
    capfd.readouterr()
    assert run(["train", "--resume", str(place), "--quiet", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["epochs"] == 1
    assert RunDirectory(place).read_record()["started"] == "2020-02-02T02:02:02"
    assert (place / "model.safetensors").read_bytes() == before


def test_a_checkpoint_of_an_earlier_version_says_how_to_use_its_model(place: Path) -> None:
    path = place / "last.safetensors"
    rewrite(path, options={"epochs": 2})  # a name that settings had
    with pytest.raises(InputError, match="'options' is unknown") as told:
        read_spec(path)
    assert "Another version of convcli may have written it." in str(told.value)
    assert str(told.value).endswith(f"--init {place}")


def test_the_checkpoint_knows_how_the_training_was_started(place: Path) -> None:
    spec = read_spec(place / "last.safetensors")
    assert (spec.recipe.epochs, spec.recipe.batch, spec.seed) == (1, 16, 0)
    assert spec.source.name.endswith("quadrants.npz")


def test_leftovers_of_a_killed_run_are_removed(place: Path) -> None:
    leftover = place / ".last.abc123.safetensors"
    leftover.write_bytes(b"half")
    assert run(["train", "--resume", str(place), "--quiet"]) == 0
    assert not leftover.exists()


def test_a_full_disk_gets_a_sentence_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    """A bound on the size of files stands for the disk: writing past it fails just so."""
    data = write_quadrants(tmp_path, count=400)
    script = (
        "import resource, sys\n"
        "from convcli.cli.main import run\n"
        "from convcli.learn import run as runs\n"
        "save, count = runs.save_checkpoint, []\n"
        "def save_on_a_full_disk(*given):\n"
        "    count.append(1)\n"
        "    if len(count) == 4:\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))\n"
        "    save(*given)\n"
        "runs.save_checkpoint = save_on_a_full_disk\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    words = ["train", NETWORK, "--data", str(data), "-o", str(tmp_path / "run"), "--epochs", "9"]
    got = subprocess.run(
        [sys.executable, "-c", script, *words, "--quiet"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert got.returncode == 3, got.stderr
    assert "cannot write" in got.stderr
    assert "Traceback" not in got.stderr
    assert json.loads(read_model_header(tmp_path / "run" / "last.safetensors").texts["checkpoint"])
    assert not [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    assert run(["train", "--resume", str(tmp_path / "run"), "--quiet"]) == 0


def test_a_place_where_no_directory_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for nowhere in (tmp_path / "file" / "run", tmp_path / "file", Path("/proc/run")):
        with pytest.raises(InputError, match="Cannot make the run directory"):
            create_run_directory(nowhere, "x")


def test_default_directories_are_never_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = [create_run_directory(None, "mnist on digits") for _ in range(3)]
    assert len({directory.path for directory in made}) == 3
    assert all(directory.path.parent == Path("runs") for directory in made)
    assert all("mnist-on-digits" in directory.path.name for directory in made)


def test_a_used_directory_needs_force(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="has files in it"):
        create_run_directory(tmp_path, "x")
    create_run_directory(tmp_path, "x", force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_runs_are_found_below_a_folder(place: Path) -> None:
    assert [run.path for run in find_runs(place.parent)] == [place]
    assert [run.path for run in find_runs(place)] == [place]


def test_a_history_is_read_back(place: Path) -> None:
    (row,) = RunDirectory(place).read_history()
    assert row["number"] == 1
    assert 0 <= row["val_accuracy"] <= 1
    (place / "history.csv").write_text("number,train_loss\n1,x\n")
    with pytest.raises(InputError, match="no history of epochs"):
        RunDirectory(place).read_history()


@pytest.mark.parametrize("text", ["", "...", "../../etc", "ä" * 300, "a/b\\c:d"])
def test_names_are_safe(text: str) -> None:
    name = safe_name(text)
    assert name
    assert np.char.isalnum(name[0])
    assert not set(name) & set("/\\:")
