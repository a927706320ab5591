"""Words that learn: each between two convolutions, on pictures that anything can learn."""

from __future__ import annotations

import json

import pytest

from convcli.cli.main import run
from tests.cli.learning import write_quadrants

LAYERS = ["lrn 5", "pixelshuffle 2", "pixelunshuffle 2", "shuffle 2"]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_network_with_this_layer_learns(tmp_path, capsys, layer: str) -> None:
    data = write_quadrants(tmp_path)
    network = f"input 8x8x1, conv 8 3 p1, {layer}, conv 4 3 p1 relu, flatten, dense 4 softmax"
    settings = [
        "--epochs",
        "4",
        "--batch",
        "16",
        "--lr",
        "0.01",
        "--augment",
        "none",
        "--seed",
        "1",
    ]
    out = tmp_path / "run"
    arguments = ["train", network, "--data", str(data), "--out", str(out), *settings]
    assert run([*arguments, "--format", "json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] > 0.9
    assert run(["gradcheck", network, "--quiet"]) == 0
