"""`train --init MODEL --head CLASSES`, and files of other programs where a model is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.cli.main import run
from tests.cli.learning import quadrants, write_quadrants

WORDS = "input 8x8x1, conv 4 3 relu, flatten, dense 4 softmax"


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A model trained with samples that were multiplied by 1/255 and then shifted."""
    data = write_quadrants(tmp_path)
    assert run(["train", WORDS, "--data", str(data), "--epochs", "2", "-o", str(tmp_path / "run"),
                "--quiet"]) == 0  # fmt: skip
    return tmp_path / "run"


def halves(folder: Path) -> Path:
    """Write the set with two classes: left and right."""
    pictures, labels = quadrants(80)
    np.savez(folder / "halves.npz", x_train=pictures, y_train=labels % 2)
    return folder / "halves.npz"


def test_a_new_head_begins_afresh(first: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Also for as many classes; the layers before it keep their weights while they are frozen."""
    for classes, data in ((2, halves(first.parent)), (4, first.parent / "quadrants.npz")):
        out = first.parent / f"head{classes}"
        words = ["train", "--init", str(first), "--head", str(classes), "--data", str(data)]
        words += ["--freeze", "conv*", "--epochs", "1", "--lr", "1e-9", "-o", str(out)]
        assert run(words) == 0
        said = capfd.readouterr().err
        assert f"1 layer from {first}: conv1. Afresh: head." in said
        old, new = convcli.load(first).model, convcli.load(out).model
        assert new.network.layers[-1].name == "head"
        np.testing.assert_array_equal(old.parameters["conv1.kernel"],
                                      new.parameters["conv1.kernel"])  # fmt: skip
        same = old.parameters["dense1.kernel"].shape == new.parameters["head.kernel"].shape
        assert same == (classes == 4)
        close = same and np.allclose(
            old.parameters["dense1.kernel"], new.parameters["head.kernel"], atol=1e-3
        )
        assert not close


def test_a_head_has_the_classes_of_the_data(first: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--init", str(first), "--data", str(halves(first.parent)), "--head", "3"]
    assert run(words) == 2
    assert "--head 3: halves has 2 classes." in capfd.readouterr().err
    assert run([*words[:1], *words[3:]]) == 2
    assert "--head replaces the last layer of a model: name it with --init" in (
        capfd.readouterr().err
    )
    assert run(["train", "--init", str(first), "input 8x8x1, gap", *words[3:]]) != 0


def test_a_model_of_another_program_is_a_model(
    first: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx", reason="ONNX files; extra [onnx]")
    pytest.importorskip("h5py", reason="Keras files; extra [keras]")
    data, ref = str(first.parent / "quadrants.npz"), convcli.load(first)
    for name in ("net.onnx", "net.keras", "net.h5"):
        path = first.parent / name
        assert run(["export", str(first), "-o", str(path), "--quiet"]) == 0
        capfd.readouterr()
        assert run(["evaluate", str(path), "--data", data, "--format", "json"]) == 0
        told = json.loads(capfd.readouterr().out)
        assert run(["evaluate", str(first), "--data", data, "--format", "json"]) == 0
        again = json.loads(capfd.readouterr().out)
        assert told["accuracy"] == again["accuracy"]
        assert told["loss"] == pytest.approx(again["loss"], abs=1e-5)
        words = ["train", "--init", str(path), "--data", data, "--epochs", "1", "--lr", "1e-9"]
        assert run([*words, "-o", str(first.parent / f"{name}-run"), "--quiet"]) == 0
        samples, _ = quadrants(3)
        np.testing.assert_allclose(
            convcli.load(first.parent / f"{name}-run").predict(samples), ref.predict(samples),
            atol=1e-5,
        )  # fmt: skip


def test_imported_sums_learn_with_the_scaling_of_their_file(tmp_path: Path) -> None:
    """Keras' way: bytes come in, a first layer scales them, the last one gives raw sums."""
    pytest.importorskip("h5py", reason="Keras files; extra [keras]")
    data = write_quadrants(tmp_path)
    assert run(["train", WORDS.replace(" softmax", ""), "--loss", "hinge", "--data", str(data),
                "--epochs", "1", "-o", str(tmp_path / "run"), "--quiet"]) == 0  # fmt: skip
    trained = convcli.load(tmp_path / "run")
    changed = convcli.TrainedModel(
        trained.model, trained.class_names,
        type(trained.preprocessing)((8, 8, 1), (1 / 64,), (-1.0,)),
    )  # fmt: skip
    convcli.export_model(changed, tmp_path / "net.keras", with_preprocessing=True)
    words = ["train", "--init", str(tmp_path / "net.keras"), "--data", str(data), "--epochs", "2"]
    assert run([*words, "-o", str(tmp_path / "next"), "--quiet"]) == 0
    got = convcli.load(tmp_path / "next")
    assert got.preprocessing.scale == pytest.approx((1 / 64,))
    assert got.preprocessing.offset == pytest.approx((-1.0,))
    assert got.ends_in_softmax
    resumed = ["train", "--resume", str(tmp_path / "next"), "--epochs", "3", "--quiet"]
    assert run(resumed) == 0
    assert convcli.load(tmp_path / "next").preprocessing == got.preprocessing


def test_bytes_for_a_model_that_says_nothing_of_its_samples_are_warned_of(
    first: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx", reason="ONNX files; extra [onnx]")
    path = first.parent / "net.onnx"
    convcli.export_model(convcli.load(first), path)
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    assert run(["evaluate", str(path), "--data", str(first.parent / "quadrants.npz")]) == 0
    assert "does not say how samples are scaled" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["shape", "predict", "evaluate", "import", "train"])
def test_a_pickle_gets_the_line_that_turns_it_over(
    command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rest = {"predict": ["a.png"], "evaluate": ["--data", "digits"], "train": []}.get(command, [])
    first = ["--init", "net.pth"] if command == "train" else ["net.pth"]
    assert run([command, *first, *rest]) == 2
    said = capfd.readouterr().err
    assert "safetensors.torch.save_file(torch.load('net.pth', weights_only=True)" in said


def test_fit_takes_a_head_too() -> None:
    pictures, labels = quadrants(80)
    begun = convcli.fit(WORDS, (pictures, labels), epochs=1, val=0.0, patience=None)
    list(begun)
    again = convcli.fit(None, (pictures, labels % 2), init=begun.best_model(), head=2, epochs=1)
    assert again.taken == ["conv1"]
    assert again.model.trace.steps[-1].name == "head"
