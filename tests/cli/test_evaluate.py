"""`convcli evaluate` and `convcli predict` through the door."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run
from tests.cli.learning import NETWORK, quadrants, write_quadrants


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a trained run and pictures."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_quadrants(folder)
    words = ["--epochs", "5", "--batch", "16", "--lr", "0.01", "--quiet"]
    assert run(["train", NETWORK, "--data", str(data), "-o", str(folder / "run"), *words]) == 0
    pictures, labels = quadrants(8, seed=2)
    (folder / "pictures").mkdir()
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        image = Image.fromarray(picture[..., 0])
        image.save(folder / "pictures" / f"{number}_{label}.png")
    return folder


def told(capfd: pytest.CaptureFixture[str]) -> object:
    return json.loads(capfd.readouterr().out)


def test_evaluate_in_json(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(place / "quadrants.npz"), "--format", "json", "--threads", "1"]
    capfd.readouterr()
    assert run(["evaluate", str(place / "run"), *words]) == 0
    got = told(capfd)
    x_test, y_test = quadrants(40, seed=1)
    ref = convcli.load(place / "run" / "model.safetensors").predict(x_test)
    answers = ref.argmax(1)
    assert got["n"] == 40
    assert got["accuracy"] == (answers == y_test).mean()
    assert got["loss"] == pytest.approx(-np.log(ref[range(40), y_test]).mean(), rel=1e-5)
    confusion = [[int(((y_test == i) & (answers == j)).sum()) for j in range(4)] for i in range(4)]
    assert got["confusion"] == confusion
    assert got["baseline"] == np.bincount(y_test).max() / 40
    assert [set(one) for one in got["classes"]] == [{"name", "precision", "recall", "f1", "n"}] * 4
    assert sum(one["n"] for one in got["calibration"]) == 40


def test_evaluate_for_people(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(place / "quadrants.npz"), "--split", "train", "--worst", "3"]
    assert run(["evaluate", str(place / "run"), *words]) == 0
    said = capfd.readouterr().out
    for part in ("train: accuracy", "Recall", "F1", "Confusion", "Calibration:", "Confidence"):
        assert part in said
    assert "Always telling the commonest class is right in" in said
    assert max(map(len, said.splitlines())) <= 80


def test_the_csv_of_an_evaluation_is_its_classes(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="computes the figures again")
    x_test, y_test = quadrants(40, seed=1)
    probabilities = convcli.load(place / "run").predict(x_test)
    answers = probabilities.argmax(1)
    ref = metrics.precision_recall_fscore_support(y_test, answers, zero_division=0)
    words = ["evaluate", str(place / "run"), "--format", "csv", "--quiet"]
    capfd.readouterr()
    assert run(words) == 0
    *rows, whole = csv.DictReader(io.StringIO(capfd.readouterr().out))
    assert [row["class"] for row in rows] == list("0123")
    for key, figures in zip(("precision", "recall", "f1", "n"), ref, strict=True):
        assert [float(row[key] or 0) for row in rows] == pytest.approx(figures.tolist())
    assert (whole["class"], whole["n"]) == ("all", "40")
    assert float(whole["accuracy"]) == metrics.accuracy_score(y_test, answers)
    assert float(whole["loss"]) == pytest.approx(metrics.log_loss(y_test, probabilities), rel=1e-5)
    assert {row["accuracy"] for row in rows} == {""}
    assert run([*words, "--table", "confusion"]) == 0
    head, *counts = csv.reader(io.StringIO(capfd.readouterr().out))
    assert head == ["class", "as_0", "as_1", "as_2", "as_3"]
    got = [[int(n) for n in row[1:]] for row in counts]
    assert got == metrics.confusion_matrix(y_test, answers).tolist()
    assert run([*words, "--table", "mistake"]) == 2
    assert "its tables are classes, confusion, calibration" in capfd.readouterr().err


def test_evaluate_holds_a_bound(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(place / "quadrants.npz"), "--quiet", "--fail-under", "1.1"]
    assert run(["evaluate", str(place / "run"), *words]) == 5
    assert "under the 1.1 of --fail-under" in capfd.readouterr().err


def test_evaluate_refuses_what_does_not_fit(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = str(place / "run")
    pictures, labels = quadrants(40)
    np.savez(tmp_path / "fewer.npz", x_train=pictures, y_train=labels % 2)
    assert run(["evaluate", model, "--data", str(tmp_path / "fewer.npz")]) == 3
    assert "the model knows 4 classes" in capfd.readouterr().err
    np.savez(tmp_path / "larger.npz", x_train=np.repeat(pictures, 2, axis=1), y_train=labels)
    assert run(["evaluate", model, "--data", str(tmp_path / "larger.npz")]) == 3
    assert "takes 8x8x1, the samples of" in capfd.readouterr().err
    words = ["--data", str(tmp_path / "larger.npz")]
    assert run(["evaluate", model, *words, "--split", "validation"]) == 2
    assert "larger has no validation samples; it has train" in capfd.readouterr().err
    assert run(["evaluate", model, *words, "--size", "8x8"]) == 2
    assert "takes no size" in capfd.readouterr().err


def test_a_model_that_is_not_there_is_told_with_a_way_out(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(place / "runn")]) == 3
    said = " ".join(capfd.readouterr().err.split())
    assert f"no file and no run {place / 'runn'}. Did you mean run?" in said
    assert "convcli runs lists" in said
    assert f"convcli train -o {place / 'runn'} makes one." in said
    assert run(["show", "filters", str(place / "gone.onnx"), "--format", "json"]) == 3
    assert "train -o" not in capfd.readouterr().err


def test_predict_files_folders_and_patterns(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    for words in ([str(place / "pictures")], [str(place / "pictures" / "*.png")]):
        assert run(["predict", str(place / "run"), *words, "--format", "json", "--top", "2"]) == 0
        got = told(capfd)
        assert len(got) == 8
        for one in got:
            assert one["label"] == Path(one["file"]).stem[-1]
            assert [set(place) for place in one["top"]] == [{"label", "probability"}] * 2
            assert one["top"][0] == {"label": one["label"], "probability": one["probability"]}
            assert one["top"][0]["probability"] >= one["top"][1]["probability"]


def test_predict_stdin(place: Path) -> None:
    path = next((place / "pictures").glob("*_3.png"))
    command = [sys.executable, "-m", "convcli", "predict", str(place / "run"), "-"]
    got = subprocess.run(
        [*command, "--format", "json"], input=path.read_bytes(), capture_output=True, check=True
    )
    (answer,) = json.loads(got.stdout)
    assert (answer["file"], answer["label"]) == ("-", "3")


def test_predict_matrices(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pictures, labels = quadrants(3, seed=4)
    np.save(tmp_path / "stack.npy", pictures)
    np.savetxt(tmp_path / "one.csv", pictures[2, ..., 0], delimiter=",", fmt="%d")
    capfd.readouterr()
    files = [str(tmp_path / "stack.npy"), str(tmp_path / "one.csv")]
    assert run(["predict", str(place / "run"), *files, "--format", "json"]) == 0
    got = told(capfd)
    assert [one["label"] for one in got] == [*map(str, labels), str(labels[2])]
    assert got[0]["file"].endswith("stack.npy[0]")
    assert got[3]["probability"] == pytest.approx(got[2]["probability"])


def test_predict_may_not_know(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    path = str(next((place / "pictures").iterdir()))
    words = ["predict", str(place / "run"), path, "--threshold", "1"]
    assert run([*words, "--format", "json"]) == 0
    (got,) = told(capfd)
    assert got["label"] is None
    assert got["top"][0]["probability"] < 1
    assert run(words) == 0
    assert "don't know" in capfd.readouterr().out


def test_predict_keeps_to_a_memory_limit(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(next((place / "pictures").iterdir()))
    assert run(["predict", str(place / "run"), path, "--memory-limit", "100B"]) == 3
    assert "Allow more with --memory-limit 1MB" in capfd.readouterr().err


def test_predict_shows_what_was_fed_on_a_terminal(
    place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(next((place / "pictures").iterdir()))
    assert run(["predict", str(place / "run"), path, "--show"]) == 0
    assert "draws on a terminal only" in capfd.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(["predict", str(place / "run"), path, "--show", "--quiet"]) == 0
    said = capfd.readouterr()
    assert said.err.count("\N{UPPER HALF BLOCK}") == 8 * 4


def test_one_bad_picture_among_good_ones_is_listed(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    good = next((place / "pictures").iterdir())
    capfd.readouterr()
    assert run(["predict", str(place / "run"), str(good), str(bad), "--format", "json"]) == 3
    said = capfd.readouterr()
    assert [one["file"] for one in json.loads(said.out)] == [str(good)]
    assert "1 of 2 inputs could not be used" in said.err
    assert "bad.png" in said.err


@pytest.mark.parametrize("content", [b"", b"junk" * 100])
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_damaged_model_gets_a_sentence(
    command: str, content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    rest = ["x.png"] if command == "predict" else ["--data", "digits"]
    assert run([command, str(path), *rest]) == 3
    assert "not a whole safetensors file" in capfd.readouterr().err


def test_without_a_source_the_data_of_the_training_are_read(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert run(["evaluate", str(place / "run"), "--format", "json"]) == 0
    assert told(capfd)["n"] == 40
    model = convcli.load(place / "run" / "model.safetensors")
    model = type(model)(model.model, model.class_names, model.preprocessing)
    model.save(tmp_path / "silent.safetensors")
    assert run(["evaluate", str(tmp_path / "silent.safetensors")]) == 2
    assert "name --data SOURCE" in capfd.readouterr().err


def test_folders_of_pictures_from_training_to_prediction(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    for number in range(60):
        name = ("reddish", "bluish")[number % 2]
        side = 20 + number % 5  # mixed sizes
        picture = random.integers(0, 80, (side, side + 3, 3), dtype=np.uint8)
        picture[..., 2 * (number % 2)] += 120
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "bluish" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    words = ["train", "input 12x12x3, conv 4 3 relu, gap, dense 2 softmax", "--data"]
    words += [str(tmp_path / "photos"), "-o", str(tmp_path / "run"), "--batch", "8"]
    assert run([*words, "--epochs", "1"]) == 3
    assert "--size" in capfd.readouterr().err
    rest = ["--size", "12x12", "--epochs", "15", "--lr", "0.02", "--format", "json"]
    assert run([*words, *rest]) == 0
    said = capfd.readouterr()
    assert "broken.png" in said.err, "what was skipped is listed"
    assert json.loads(said.out)["val_accuracy"] == 1
    assert run(["evaluate", str(tmp_path / "run"), "--format", "json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["n"] == 6, "there are no test samples, so those held out are read"
    assert "the model was trained on" not in said.err
    sky = tmp_path / "sky.png"
    Image.new("RGB", (300, 200), (40, 50, 200)).save(sky)
    assert run(["predict", str(tmp_path / "run"), str(sky), "--format", "json"]) == 0
    (answer,) = told(capfd)
    assert answer["label"] == "bluish"


def test_a_table_of_series_from_training_to_prediction(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    lines = ["x,y,gait"]
    for number in range(12):
        gait, speed = (("walk", 0.1), ("run", 0.7))[number % 2]
        turn = speed * np.arange(200) + number
        signals = np.stack([np.sin(turn), np.cos(turn)], 1) + random.normal(0, 0.1, (200, 2))
        lines += [f"{x:.4f},{y:.4f},{gait}" for x, y in signals]
    (tmp_path / "gaits.csv").write_text("\n".join(lines) + "\n")
    words = ["input 40x2, conv 6 5 relu, gap, dense 2 softmax", "--data"]
    words += [str(tmp_path / "gaits.csv"), "--window", "40", "--overlap", "0.5", "--label", "gait"]
    out = ["-o", str(tmp_path / "run"), "--batch", "4", "--epochs", "30", "--lr", "0.02"]
    assert run(["train", *words, *out, "--format", "json", "--quiet"]) == 0
    assert told(capfd)["val_accuracy"] > 0.9
    assert run(["evaluate", str(tmp_path / "run"), "--format", "json", "--quiet"]) == 0
    assert told(capfd)["accuracy"] > 0.9
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    turn = 0.7 * np.arange(40)
    np.save(tmp_path / "new.npy", np.stack([np.sin(turn), np.cos(turn)], 1))
    assert run(["predict", str(tmp_path / "run"), str(tmp_path / "new.npy"), "--show"]) == 0
    said = capfd.readouterr()
    assert "run" in said.out.split()
    assert "no picture" in said.err
