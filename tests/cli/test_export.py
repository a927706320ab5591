"""`convcli export` through the door, and other programs running what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.learn.modelfile import TrainedModel
from tests.exchange.models import samples_last, trained
from tests.exchange.test_export import run_file

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainedModel:
    """A model, saved as model.safetensors in the current directory."""
    monkeypatch.chdir(tmp_path)
    found = trained(scale=(0.5, 0.25), offset=(0.0, 1.0))
    found.save("model.safetensors")
    return found


def told(capfd: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capfd.readouterr().out)


def prepared(model: TrainedModel, samples: Any) -> Any:
    return samples * np.float32(model.preprocessing.scale) + np.float32(model.preprocessing.offset)


def first(samples: Any) -> Any:
    return np.ascontiguousarray(np.moveaxis(samples, -1, 1))


def test_onnx_by_suffix(model: TrainedModel, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="writes the file; extra [onnx]")
    assert run(["export", "model.safetensors", "-o", "m.onnx", "--format", "json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out) == {
        "format": "onnx", "files": ["m.onnx"], "input": [2, 12, 10], "output": [3],
        "preprocessing": "outside",
    }  # fmt: skip
    assert "samples of 12x10x2 times 0.5 0.25 plus 0 1 per channel" in said.err
    samples = samples_last(model)
    got = run_file(Path("m.onnx").read_bytes(), first(prepared(model, samples)))
    np.testing.assert_allclose(model.predict(samples), got, atol=1e-5)


def test_onnx_with_preprocessing(model: TrainedModel, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="writes the file; extra [onnx]")
    words = ["--to", "onnx", "--with-preprocessing", "--format", "json"]
    assert run(["export", "model.safetensors", *words]) == 0
    assert told(capfd)["input"] == [12, 10, 2]
    samples = samples_last(model)
    got = run_file(Path("model.onnx").read_bytes(), samples)
    np.testing.assert_allclose(model.predict(samples), got, atol=1e-5)


def test_the_torch_source_runs_as_its_docstring_says(model: TrainedModel) -> None:
    pytest.importorskip("torch", reason="PyTorch runs the module; extra [bench]")
    assert run(["export", "model.safetensors", "-o", "net.py", "--quiet"]) == 0
    samples = samples_last(model)
    np.save("samples.npy", first(prepared(model, samples)))
    docstring = Path("net.py").read_text().split('"""')[1].replace('\\"', '"')
    usage = [line.strip() for line in docstring.splitlines() if line.startswith("    ")]
    script = "\n".join(
        [
            *usage,
            "import numpy, torch",
            "x = torch.from_numpy(numpy.load('samples.npy'))",
            "numpy.save('out.npy', network(x).detach().numpy())",
        ]
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    np.testing.assert_allclose(model.predict(samples), np.load("out.npy"), atol=1e-5)


def test_npz_holds_the_arrays_and_the_notes(model: TrainedModel) -> None:
    assert run(["export", "model.safetensors", "--to", "npz", "--quiet"]) == 0
    with np.load("model.npz", allow_pickle=False) as held:
        np.testing.assert_array_equal(model.model.parameters["conv1.kernel"], held["conv1.kernel"])
        assert json.loads(str(held["classes"])) == ["ant", 'b"ee', "cat"]
        assert str(held["network"]).startswith("input 12x10x2, conv 4 3x2 relu")


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.hdf5"])
def test_keras_by_suffix(model: TrainedModel, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("h5py", reason="writes the file; extra [keras]")
    assert run(["export", "model.safetensors", "-o", name]) == 0
    assert f"{name}  " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "m.pt"], 2, "pickles; write its source and tensors: .py"),
        (["-o", "m.onx"], 2, "Did you mean .onnx"),
        ([], 2, "Use --to onnx|torch|keras|h5|npz"),
        (["--to", "keras", "-o", "m.onnx"], 2, "--to keras writes .keras files"),
        (["-o", "m.npz", "--with-preprocessing"], 2, "holds arrays only"),
        (["-o", "nowhere/m.npz"], 3, "nowhere does not exist"),
        (["-o", "there.npz"], 4, "there.npz exists. Use --force"),
    ],
)
def test_mistakes(
    model: TrainedModel, words: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("there.npz").write_text("kept")
    assert run(["export", "model.safetensors", *words]) == code
    assert said in capfd.readouterr().err
    assert Path("there.npz").read_text() == "kept"


def test_force_replaces_but_never_an_input(
    model: TrainedModel, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("m.npz").write_text("old")
    assert run(["export", "model.safetensors", "-o", "m.npz", "--force", "--quiet"]) == 0
    assert Path("m.npz").read_bytes()[:2] == b"PK"
    Path("m_weights.safetensors").write_bytes(Path("model.safetensors").read_bytes())
    assert run(["export", "m_weights.safetensors", "-o", "m.py", "--force"]) == 2
    assert "m_weights.safetensors is an input" in capfd.readouterr().err
    assert not Path("m.py").exists()


def test_a_missing_package_is_named_with_its_extra(model: TrainedModel) -> None:
    for package, words in (("onnx", ["--to", "onnx"]), ("h5py", ["--to", "keras"])):
        script = (
            f"import sys; sys.modules[{package!r}] = None\n"
            "from convcli.cli.main import run\n"
            f"sys.exit(run(['export', {str(Path.cwd() / 'model.safetensors')!r}, *{words}]))"
        )
        got = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert got.returncode == 3
        assert f"pip install 'convcli[{'onnx' if package == 'onnx' else 'keras'}]'" in got.stderr


def test_a_hostile_model_gets_a_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"\xff" * 100)
    assert run(["export", str(tmp_path / "m.safetensors"), "--to", "npz"]) == 3
    assert "is not a whole safetensors file" in capfd.readouterr().err
