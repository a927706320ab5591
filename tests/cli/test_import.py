"""`convcli import` through the door: what it writes, evaluate and predict take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convcli
from convcli.cli.main import run
from convcli.exchange.export import export_model
from convcli.exchange.importing import import_model
from tests.exchange.models import samples_last, trained
from tests.exchange.test_export import run_file


def told(capfd: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capfd.readouterr().out)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with arrays of a small network in it."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(6)
    kernel, bias = random.normal(size=(12, 3)), random.normal(size=3)
    np.savez("w.npz", **{"dense1.kernel": kernel, "dense1.bias": bias})
    return tmp_path


WORDS = ["--network", "input 3x4x1, flatten, dense 3 softmax"]


def test_everything_said_is_in_the_model(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--classes", "a,b,c", "--scale", "1/255", "--offset", "-0.5", "--pictures", "digit"]
    words = ["import", "w.npz", "-o", "m.safetensors", *WORDS, *words, "--format", "json"]
    assert run(words) == 0
    assert told(capfd) == {
        "model": "m.safetensors", "network": WORDS[1], "params": 39, "classes": ["a", "b", "c"],
        "outputs": "classes", "scale": [1 / 255], "offset": [-0.5],
    }  # fmt: skip
    model = convcli.load("m.safetensors")
    assert model.preprocessing.pictures == "digit"
    levels = np.random.default_rng(7).integers(0, 256, (5, 3, 4, 1), dtype=np.uint8)
    with np.load("w.npz") as held:
        sums = (levels / 255 - 0.5).reshape(5, 12) @ held["dense1.kernel"] + held["dense1.bias"]
    ref = np.exp(sums) / np.exp(sums).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ref, model.predict(levels), atol=1e-6)


def test_what_is_not_said_is_plain_and_told(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", "w.npz", *WORDS]) == 0
    said = capfd.readouterr()
    assert "Samples are taken as they are; --scale 1/255" in said.err
    assert "w.safetensors" in said.out
    assert run(["import", "w.npz", *WORDS, "--force", "--quiet"]) == 0
    assert capfd.readouterr().err == ""
    assert convcli.load("w.safetensors").class_names == ("0", "1", "2")


@pytest.mark.parametrize("suffix", [".onnx", ".keras", ".h5", ".npz"])
def test_evaluate_and_predict_take_it(
    suffix: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for package in {".onnx": ["onnx"], ".npz": []}.get(suffix, ["h5py"]):
        pytest.importorskip(package, reason="writes the file; extras [onnx] and [keras]")
    sent = replace(trained(scale=(0.5, 0.25), offset=(0.0, 1.0)), outputs="classes")
    sent.save("sent.safetensors")
    export_model(sent, f"m{suffix}")
    assert run(["import", f"m{suffix}", "-o", "back.safetensors", "--quiet"]) == 0
    samples = samples_last(sent, count=30)
    labels, names = np.arange(30) % 3, np.array(sent.class_names)
    np.savez("data.npz", x_train=samples, y_train=labels, class_names=names)
    np.save("one.npy", samples[0])
    answers = []
    for name in ("sent.safetensors", "back.safetensors"):
        capfd.readouterr()
        assert run(["evaluate", name, "--data", "data.npz", "--format", "json"]) == 0
        figures = told(capfd)
        assert run(["predict", name, "one.npy", "--format", "json"]) == 0
        (answer,) = told(capfd)
        answers.append((figures["accuracy"], figures["confusion"], answer["label"]))
    assert answers[0] == answers[1]
    assert answers[0][2] in sent.class_names


def test_an_onnx_file_of_pytorch_gives_pytorch_s_numbers(folder: Path) -> None:
    pytest.importorskip("onnx", reason="reads the file; extra [onnx]")
    torch = pytest.importorskip("torch", reason="PyTorch exports; extra [bench]")
    from tests.exchange.test_onnx_import import exported_by_torch

    nn = torch.nn
    torch.manual_seed(2)
    module = nn.Sequential(
        nn.Conv2d(2, 3, (2, 3), padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3 * 4 * 3, 5), nn.Softmax(dim=1),
    ).eval()  # fmt: skip
    content = exported_by_torch(module, (2, 8, 6))
    Path("t.onnx").write_bytes(content)
    assert run(["import", "t.onnx", "--quiet"]) == 0
    model = convcli.load("t.safetensors")
    samples = samples_last(model)
    ref = run_file(content, np.ascontiguousarray(np.moveaxis(samples, -1, 1)))
    np.testing.assert_allclose(ref, model.predict(samples), atol=1e-5)


def test_an_onnx_file_with_preprocessing_inside_comes_back(folder: Path) -> None:
    pytest.importorskip("onnx", reason="writes the file; extra [onnx]")
    sent = trained(scale=(0.5, 0.25), offset=(1.0, -2.0))
    export_model(sent, "m.onnx", with_preprocessing=True)
    assert run(["import", "m.onnx", "--quiet"]) == 0
    back = convcli.load("m.safetensors")
    assert back.preprocessing == sent.preprocessing
    samples = samples_last(sent)
    np.testing.assert_allclose(back.predict(samples), sent.predict(samples), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["w.npz"], 2, "no network. Say which with --network"),
        (["w.npz", *WORDS, "--classes", "a,b"], 2, "--classes has 2 names, and the network"),
        (["w.npz", *WORDS, "--scale", "x"], 2, "--scale 'x': write numbers such as 1/255"),
        (["w.npz", *WORDS, "--scale", "1/0"], 2, "write numbers such as 1/255"),
        (["w.npz", *WORDS, "--offset", "1,2"], 2, "2 figures, and samples have 1 channels"),
        (["w.npz", "--network", "input 3x4x1, dense"], 2, "dense"),
        (["w.npz", "--network", "input 5, dense 3"], 3, "the network needs (5, 3)"),
        (["w.onnx", *WORDS], 2, "holds its own network; leave --network out"),
        (["w.pt"], 2, "w.pt is a pickle, which may run any code"),
        (["w.kears"], 2, "Did you mean .keras"),
        (["there.npz", *WORDS], 3, "No such file"),
        (["kept.safetensors", *WORDS, "--force"], 2, "kept.safetensors is an input"),
        (["w.npz", *WORDS, "-o", "-"], 2, "a model file ends in .safetensors"),
        (["w.npz", *WORDS, "-o", "w.npz", "--force"], 2, "a model file ends in .safetensors"),
        (["w.npz", *WORDS, "-o", "kept.safetensors"], 4, "kept.safetensors exists"),
    ],
)
def test_mistakes(
    words: list[str], code: int, said: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("kept.safetensors").write_text("kept")
    before = sorted(path.name for path in folder.iterdir())
    assert run(["import", *words]) == code
    assert said in capfd.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before
    assert Path("kept.safetensors").read_text() == "kept"


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_logits_get_their_softmax(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A network without one at its end, as PyTorch's classifiers are exported."""
    words = ["--network", "input 3x4x1, flatten, dense 3", "--scale", "1"]
    assert run(["import", "w.npz", "-o", "m.safetensors", *words]) == 0
    assert "outputs are taken for classes; --outputs values" in capfd.readouterr().err
    samples = np.random.default_rng(3).normal(size=(30, 3, 4, 1)).astype(np.float32) / 2
    with np.load("w.npz") as held:
        sums = samples.reshape(30, 12) @ held["dense1.kernel"] + held["dense1.bias"]
    ref, labels = softmax(sums), np.arange(30) % 3
    model = convcli.load("m.safetensors")
    np.testing.assert_allclose(model.predict(samples), ref, atol=1e-5)
    np.testing.assert_allclose(model.predict(samples, logits=True), sums, atol=1e-4)
    np.save("one.npy", samples[0])
    assert run(["predict", "m.safetensors", "one.npy", "--logits", "--format", "json"]) == 0
    (answer,) = told(capfd)
    assert answer["probability"] == pytest.approx(ref[0].max(), abs=1e-5)
    assert answer["logits"] == pytest.approx(sums[0].tolist(), abs=1e-4)
    assert run(["predict", "m.safetensors", "one.npy", "--logits"]) == 0
    assert f"{answer['logits'][0]:.6g}" in capfd.readouterr().out
    np.savez("data.npz", x_train=samples, y_train=labels, class_names=np.array(["0", "1", "2"]))
    assert run(["evaluate", "m.safetensors", "--data", "data.npz", "--format", "json"]) == 0
    loss = -np.log(ref[np.arange(30), labels]).mean()
    assert told(capfd)["loss"] == pytest.approx(loss, abs=1e-4)


def test_a_softmax_of_its_own_is_the_only_one(folder: Path) -> None:
    assert run(["import", "w.npz", "-o", "m.safetensors", *WORDS, "--quiet"]) == 0
    model = convcli.load("m.safetensors")
    samples = np.random.default_rng(3).normal(size=(5, 3, 4, 1)).astype(np.float32)
    logits = model.predict(samples, logits=True)
    np.testing.assert_allclose(model.predict(samples), softmax(logits), atol=1e-6)


def test_values_stay_values(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--network", "input 3x4x1, flatten, dense 3", "--outputs", "values"]
    assert run(["import", "w.npz", "-o", "m.safetensors", *words]) == 0
    assert "--outputs" not in capfd.readouterr().err
    model = convcli.load("m.safetensors")
    assert model.outputs == "values"
    sample = np.full((3, 4, 1), 2, np.float32)
    np.save("one.npy", sample)
    assert run(["predict", "m.safetensors", "one.npy", "--format", "json"]) == 0
    (answer,) = told(capfd)
    assert answer["values"] == pytest.approx(model.predict(sample, logits=True)[0].tolist())
    assert (answer["label"], answer["probability"], answer["top"]) == (None, None, [])
    np.savez("data.npz", x_train=[sample] * 3, y_train=[0, 1, 2], class_names=["0", "1", "2"])
    assert run(["evaluate", "m.safetensors", "--data", "data.npz"]) == 3
    assert "so its answers cannot be right or wrong" in capfd.readouterr().err
    export_model(model, "again.npz")
    assert import_model("again.npz").model.outputs == "values"


@pytest.mark.parametrize("end", ["dense 3 sigmoid", "dense 3 relu", "dense 3, tanh"])
def test_an_activation_at_the_end_gives_values(
    end: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", "w.npz", "--network", f"input 3x4x1, flatten, {end}"]) == 0
    assert "outputs are taken for values" in capfd.readouterr().err
    assert convcli.load("w.safetensors").outputs == "values"
