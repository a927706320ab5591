"""`convcli features` through the door; features and weights carried to other digits."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convcli
from convcli.cli.main import run
from tests.exchange.models import samples_last, trained


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory with a model and data for it."""
    monkeypatch.chdir(tmp_path)
    model = trained()
    model.save("model.safetensors")
    samples, labels = samples_last(model, count=40), np.arange(40) % 2
    np.savez(
        "data.npz", x_train=samples[:30], y_train=labels[:30], x_test=samples[30:],
        y_test=labels[30:], class_names=np.array(["no", "yes"]),
    )  # fmt: skip
    return tmp_path


def told(capfd: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capfd.readouterr().out)


def test_npz_for_other_programs(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["features", "model.safetensors", "data.npz", "--format", "json"]) == 0
    assert told(capfd) == {
        "file": "model_features.npz", "layer": "dense1", "features": 7, "pooled": False,
        "samples": {"train": 30, "test": 10}, "classes": ["no", "yes"],
    }  # fmt: skip
    model = convcli.load("model.safetensors")
    with np.load("model_features.npz") as got, np.load("data.npz") as data:
        ref = convcli.features(model, data["x_test"])
        np.testing.assert_array_equal(ref, got["x_test"])
        np.testing.assert_array_equal(data["y_train"], got["y_train"])
        assert list(got["class_names"]) == ["no", "yes"]
    words = ["train", "input 7, dense 2 softmax", "--data", "model_features.npz", "--epochs", "1"]
    assert run([*words, "--batch", "10", "-o", "again", "--quiet"]) == 0


def test_csv_of_averaged_maps(folder: Path) -> None:
    words = ["--layer", "conv2", "--pool", "--samples", "20", "-o", "f.csv", "--quiet"]
    assert run(["features", "model.safetensors", "data.npz", *words]) == 0
    with Path("f.csv").open(encoding="utf-8", newline="") as stream:
        head, *rows = csv.reader(stream)
    assert head == ["split", "label", "f0", "f1", "f2", "f3", "f4"]
    assert [row[0] for row in rows] == ["train"] * 20 + ["test"] * 10
    with np.load("data.npz") as data:
        model = convcli.load("model.safetensors")
        ref = convcli.features(model, data["x_test"], "conv2", pool=True)
        assert [row[1] for row in rows[20:]] == [["no", "yes"][i] for i in data["y_test"]]
    np.testing.assert_array_equal(ref, np.float32([row[2:] for row in rows[20:]]))


def test_series_and_folders_are_shaped_as_in_training(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trained("input 8x2, conv 3 3 relu, gap, dense 3").save("series.safetensors")
    rows = [f"{np.sin(i / 5):.4f},{np.cos(i / 7):.4f},{'ab'[i // 32 % 2]}" for i in range(128)]
    Path("walk.csv").write_text("\n".join(["x,y,what", *rows]) + "\n")
    words = ["--window", "8", "--overlap", "0.5", "--label", "what", "--format", "json"]
    assert run(["features", "series.safetensors", "walk.csv", *words]) == 0
    assert told(capfd)["samples"]["train"] > 10
    from PIL import Image

    trained("input 6x5x1, flatten, dense 4 relu, dense 2").save("small.safetensors")
    for name in ("a", "b"):
        Path("pictures", name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (9, 7), 50 * number).save(Path("pictures", name, f"{number}.png"))
    words = ["--size", "6x5", "--force", "--format", "json"]
    assert run(["features", "small.safetensors", "pictures", *words]) == 0
    assert told(capfd)["features"] == 4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["data.npz", "-o", "f.txt"], 2, "this is written as .npz or .csv"),
        (["data.npz", "-o", "data.npz", "--force"], 2, "data.npz is an input"),
        (["data.npz", "-o", "kept.csv"], 4, "kept.csv exists"),
        (["data.npz", "--layer", "cnov1"], 2, "there is no layer 'cnov1'"),
        (["nowhere.npz"], 3, "nowhere.npz"),
    ],
)
def test_mistakes(
    words: list[str], code: int, said: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("kept.csv").write_text("kept")
    assert run(["features", "model.safetensors", *words]) == code
    assert said in capfd.readouterr().err
    assert Path("kept.csv").read_text() == "kept"
    assert not Path("model_features.npz").exists()


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits 0-4, of which there are many, digits 5-9, of which there are 60, and a model."""
    place = tmp_path_factory.mktemp("transfer")
    data = convcli.load_dataset("digits", samples=6000)
    for name, first, count in (("low", 0, 3000), ("high", 5, 60)):
        arrays: dict[str, Any] = {}
        for key, split in (("train", data.train), ("test", data.test)):
            chosen = np.flatnonzero((split.labels >= first) & (split.labels < first + 5))
            chosen = chosen[:count] if key == "train" else chosen
            arrays |= {f"x_{key}": split.samples[chosen], f"y_{key}": split.labels[chosen] - first}
        names = np.array([str(first + number) for number in range(5)])
        np.savez(place / f"{name}.npz", **arrays, class_names=names)
    words = ["--data", str(place / "low.npz"), "-o", str(place / "low"), "--epochs", "8"]
    assert run(["train", "mnist", *words, "--lr", "0.003", "--quiet"]) == 0
    return place


MODEL = "model.safetensors"


@pytest.mark.slow
def test_digits_0_to_4_help_with_5_to_9(halves: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The head first, with frozen convolutions, then the whole at a smaller rate."""

    def learn(name: str, *words: str) -> float:
        capfd.readouterr()
        common = ["--data", str(halves / "high.npz"), "--val", "0", "--format", "json", "--quiet"]
        place = ["-o", str(halves / name), "--batch", "20", "--epochs", "10"]
        assert run(["train", "mnist", *common, *place, *words]) == 0
        return float(told(capfd)["test_accuracy"])

    scratch = learn("scratch", "--lr", "0.003")
    start = str(halves / "low" / MODEL)
    learn("head", "--lr", "0.01", "--init", start, "--freeze", "conv*")
    whole = learn("whole", "--lr", "5e-4", "--init", str(halves / "head" / MODEL))
    assert whole > scratch
    low, head, all_of_it = (
        convcli.load(halves / name / MODEL).model.parameters for name in ("low", "head", "whole")
    )
    for name in ("conv1.kernel", "conv2.bias"):
        np.testing.assert_array_equal(low[name], head[name])
        assert (head[name] != all_of_it[name]).any()
    assert (low["dense1.kernel"] != head["dense1.kernel"]).any()


@pytest.mark.slow
def test_a_support_vector_machine_reads_the_features(halves: Path) -> None:
    svm = pytest.importorskip("sklearn.svm", reason="the other classifier; extra [bench]")
    words = ["--layer", "maxpool2", "-o", str(halves / "f.npz"), "--quiet"]
    assert run(["features", str(halves / "low"), str(halves / "high.npz"), *words]) == 0

    def score(path: Path) -> float:
        with np.load(path) as held:
            x_train, x_test = (
                held[key].reshape(len(held[key]), -1) for key in ("x_train", "x_test")
            )
            scale = np.abs(x_train).max()
            machine = svm.SVC().fit(x_train / scale, held["y_train"])
            return float(machine.score(x_test / scale, held["y_test"]))

    assert score(halves / "f.npz") > score(halves / "high.npz") + 0.03
