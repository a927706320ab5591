"""`convcli predict` on a model with several inputs: a file for each, in their order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from convcli.cli import main as door
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.prepare import Preprocessing
from convcli.net import parse_notation

SUMS = "input 2x2x1, left: flatten, right: input 1x4x1, flatten, residual( | from left), "


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sum of two small pictures, as shares."""
    monkeypatch.chdir(tmp_path)
    return saved(SUMS + "softmax")


def saved(notation: str) -> Path:
    net = parse_notation(notation)
    prepared = Preprocessing((2, 2, 1), (0.5,), (0.0,))
    trained = TrainedModel(Model.initialize(net, 0), tuple("abcd"), prepared)
    trained.save(Path("model.safetensors"), force=True)
    for name, numbers in {"one.csv": "0,0\n1,8", "two.csv": "8,0,3,4"}.items():
        Path(name).write_text(numbers)
    return Path("model.safetensors")


def test_a_file_for_each_input_makes_one_sample(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(model), "one.csv", "two.csv", "one.csv", "two.csv"]
    assert door.run([*words, "--format", "json"]) == 0
    first, second = json.loads(capfd.readouterr().out)
    assert first == second
    assert first["file"] == "one.csv + two.csv"
    shares = np.exp(np.array([8, 0, 4, 12]) / 2)  # scaled by a half, then added
    assert first["label"] == "d"
    assert first["probability"] == pytest.approx(shares[3] / shares.sum(), abs=1e-6)


def test_several_outputs_of_several_inputs(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    saved(SUMS + "from right, all: gap, from left, half: dense 4")
    assert door.run(["predict", str(model), "one.csv", "two.csv", "--format", "json"]) == 0
    (told,) = json.loads(capfd.readouterr().out)
    assert told["values"]["all"] == pytest.approx([15 / 4 / 2])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["one.csv"], "reads input 2x2x1, right 1x4x1: give a file for each, in this order, not 1"),
        (["one.csv", "two.csv", "--logits"], "--logits"),
        (["one.csv", "two.csv", "-o", "x.csv"], "one input"),
    ],
)
def test_what_does_not_go_together_is_said(
    model: Path, words: list[str], sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert door.run(["predict", str(model), *words]) == 2
    assert sentence in capfd.readouterr().err
