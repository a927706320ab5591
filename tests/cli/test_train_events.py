"""`train --tensorboard`: TensorBoard's own reader finds what the run's history says."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run
from convcli.exchange.event_log import EventLog
from tests.cli.learning import NETWORK, write_quadrants

ROOT = Path(__file__).parent.parent.parent


def read(folder: Path) -> Any:
    """Return what TensorBoard reads in a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        reason = "reads and writes event files; extra [tensorboard]"
        package = "tensorboard.backend.event_processing.event_accumulator"
        reader = pytest.importorskip(package, reason=reason)
        found = reader.EventAccumulator(str(folder), size_guidance={"images": 0, "histograms": 0})
        found.Reload()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("events")
    pytest.importorskip("tensorboard", reason="writes event files; extra [tensorboard]")
    data = write_quadrants(place)
    words = ["--data", str(data), "-o", str(place / "run"), "--epochs", "3", "--batch", "16"]
    assert run(["train", NETWORK, *words, "--tensorboard", "--quiet"]) == 0
    return place


def history(folder: Path) -> list[dict[str, str]]:
    text = (folder / "history.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def test_scalars_are_the_history(folder: Path) -> None:
    found = read(folder / "run")
    pairs = {
        "loss/train": "train_loss", "loss/validation": "val_loss",
        "accuracy/train": "train_accuracy", "accuracy/validation": "val_accuracy",
        "lr": "lr",
    }  # fmt: skip
    assert {*pairs, "samples_per_second"} == set(found.Tags()["scalars"])
    for tag, column in pairs.items():
        ref = [float(row[column]) for row in history(folder / "run")]
        events = found.Scalars(tag)
        assert [event.step for event in events] == [1, 2, 3]
        np.testing.assert_allclose(ref, [event.value for event in events], rtol=1e-6)


def test_histograms_hold_every_weight(folder: Path) -> None:
    found = read(folder / "run")
    model = convcli.load(folder / "run" / "model.safetensors").model
    names = {name.replace(".", "/") for name in model.parameters}
    assert set(found.Tags()["histograms"]) == names
    last = found.Histograms("dense1/kernel")[-1]
    assert last.step == 3
    assert last.histogram_value.num == model.parameters["dense1.kernel"].size
    assert sum(last.histogram_value.bucket) == last.histogram_value.num
    if history(folder / "run")[-1]["best"] == "True":
        ref = float(model.parameters["dense1.kernel"].max())
        assert last.histogram_value.max == pytest.approx(ref)


def test_pictures_show_the_first_filters(folder: Path) -> None:
    events = read(folder / "run").Images("filters/conv1")
    assert [event.step for event in events] == [1, 2, 3]
    picture = Image.open(io.BytesIO(events[-1].encoded_image_string))
    assert (picture.mode, picture.size) == ("RGB", (events[-1].width, events[-1].height))
    assert len(np.unique(np.asarray(picture)[..., 0])) > 10


def test_a_run_taken_over_keeps_no_old_curves(folder: Path) -> None:
    words = ["--data", str(folder / "quadrants.npz"), "-o", str(folder / "again"), "--quiet"]
    words += ["--batch", "16", "--tensorboard", "--force"]
    for epochs in ("3", "2"):
        assert run(["train", NETWORK, *words, "--epochs", epochs]) == 0
    assert [event.step for event in read(folder / "again").Scalars("loss/train")] == [1, 2]


def test_vectors_have_no_pictures(folder: Path) -> None:
    samples = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    np.savez(folder / "rows.npz", x_train=samples, y_train=np.arange(40) % 2)
    words = ["--data", str(folder / "rows.npz"), "-o", str(folder / "rows"), "--epochs", "1"]
    words += ["--batch", "8", "--tensorboard", "--quiet"]
    assert run(["train", "input 5, dense 2 softmax", *words]) == 0
    tags = read(folder / "rows").Tags()
    assert tags["images"] == []
    assert tags["scalars"]


def test_a_full_disk_ends_the_notes_and_not_the_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventLog, "histogram", full)
    words = ["--data", str(folder / "quadrants.npz"), "-o", str(folder / "full"), "--tensorboard"]
    assert run(["train", NETWORK, *words, "--batch", "16", "--epochs", "2"]) == 0
    said = capfd.readouterr().err
    assert said.count("TensorBoard's file is no longer written: No space left") == 1
    assert f"tensorboard --logdir {folder / 'full'}" in said


def test_the_missing_package_is_named_before_anything_is_written(folder: Path) -> None:
    script = (
        "import sys, importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'tensorboard' else find(name, *a)\n"
        "from convcli.cli.main import run\n"
        f"place = {str(folder / 'missing')!r}\n"
        "sys.exit(run(['train', '--data', 'digits', '--tensorboard', '-o', place]))"
    )
    got = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert got.returncode == 3
    assert "pip install 'convcli[tensorboard]'" in got.stderr
    assert not (folder / "missing").exists()
