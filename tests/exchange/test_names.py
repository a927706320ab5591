"""What a file name means does not depend on what was imported before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convcli.cli.main import run
from convcli.errors import InputError
from convcli.net import network
from tests.cli.learning import write_quadrants

WORDS = "input 8x8x1, conv 2 3 relu, gap, dense 4 softmax"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small network as a run directory, a model of ours, ONNX, Keras and notation."""
    pytest.importorskip("onnx", reason="ONNX files are written with onnx")
    place = tmp_path_factory.mktemp("names")
    data = write_quadrants(place)
    words = ["train", WORDS, "--data", str(data), "--epochs", "1", "--quiet"]
    assert run([*words, "-o", str(place / "run")]) == 0
    for name in ("net.onnx", "net.keras", "net.h5"):
        assert run(["export", str(place / "run"), "-o", str(place / name), "--quiet"]) == 0
    (place / "net.safetensors").write_bytes((place / "run" / "model.safetensors").read_bytes())
    (place / "net.net").write_text(WORDS)
    (place / "odd(1).net").write_text(WORDS)
    return place


NAMES = ["run", "net.safetensors", "net.onnx", "net.keras", "net.h5", "net.net", "odd(1).net"]


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_interpreter_knows_every_name(files: Path, name: str) -> None:
    script = (
        "import sys, convcli\n"
        "print(convcli.network(sys.argv[1]).trace().totals.params, "
        "convcli.network(sys.argv[1], input_shape=(9, 9, 1)).input_shape[0])\n"
    )
    got = subprocess.run(
        [sys.executable, "-c", script, str(files / name)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert got.stdout.split() == [str(2 * 10 + 3 * 4), "9"]


@pytest.mark.parametrize("name", ["run", "net.onnx", "net.keras"])
def test_every_command_knows_them(
    files: Path, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = str(files / name)
    assert run(["gradcheck", source]) == 0
    for words in (["shape", source], ["compare", source, WORDS]):
        assert run([*words, "--format", "json"]) == 0
    capfd.readouterr()
    data = ["--data", str(files / "quadrants.npz"), "--epochs", "1", "--val", "0"]
    assert run(["train", source, *data, "-o", str(tmp_path / "again"), "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["params"] == 2 * 10 + 3 * 4


def test_a_directory_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no run with a model: it has no model\.safetensors"):
        network(f"{tmp_path}/")
