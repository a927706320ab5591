"""`--quiet`: what a command wrote goes without saying, unless --format asks; an answer stays."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from convcli.cli.main import run
from tests.cli.learning import NETWORK, write_quadrants


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a run, a sample and a picture."""
    folder = tmp_path_factory.mktemp("quiet")
    data = write_quadrants(folder)
    words = [NETWORK, "--data", str(data), "--epochs", "2", "--out", str(folder / "run")]
    assert run(["train", *words, "--quiet"]) == 0
    samples = np.load(data)["x_test"]
    np.save(folder / "sample.npy", samples[0])
    np.savetxt(folder / "matrix.txt", samples[0, :, :, 0], fmt="%d")
    return folder


WRITES = {
    "train": f"train '{NETWORK}' --data quadrants.npz --epochs 2 --out again",
    "folds": f"train '{NETWORK}' --data quadrants.npz --epochs 1 --folds 2 --out folds",
    "sweep": f"sweep '{NETWORK}' lr=0.001,0.01 --data quadrants.npz --epochs 1 -o sweep",
    "filter": "filter matrix.txt -k sobel -o out.npy",
    "pool": "pool matrix.txt --max 2 -o pooled.npy",
    "data": "data quadrants.npz -o kept.npz",
    "export": "export run -o net.npz",
    "import": "import run/model.safetensors -o back.safetensors",
    "features": "features run quadrants.npz -o features.npz",
    "convolutionalize": "convolutionalize run -o fcn.safetensors",
    "filters": "show filters run -o filters.png",
    "activations": "show activations run sample.npy -o activations.png",
    "confusion": "show confusion run --data quadrants.npz -o confusion.png",
    "curves": "show curves run -o curves.svg",
    "page": "page run -o page.html",
    "lesson": "lesson window -o window.html",
    "receptive": "show receptive run --at 2,2 -o receptive.png",
}
ANSWERS = {
    "shape": "shape mnist",
    "evaluate": "evaluate run --data quadrants.npz",
    "predict": "predict run sample.npy",
    "matrix": "filter matrix.txt -k sobel",
    "runs": "runs .",
    "data": "data quadrants.npz",
}


def words_of(line: str) -> list[str]:
    return [*shlex.split(line), "--quiet"]


@pytest.mark.parametrize("name", WRITES)
def test_a_quiet_command_that_writes_says_nothing_unless_asked(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    words = words_of(WRITES[name])
    assert run(words) == 0
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")
    assert run([*words, "--force", "--format", "json"]) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)
    assert told.err == ""


@pytest.mark.parametrize("name", ANSWERS)
def test_a_quiet_command_that_answers_prints_its_answer_alone(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert run(words_of(ANSWERS[name])) == 0
    told = capfd.readouterr()
    assert told.out
    assert told.err == ""
