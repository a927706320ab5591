"""Words that learn: each between two convolutions, on pictures that anything can learn."""

from __future__ import annotations

import json

import pytest

from convcli.cli.main import run
from tests.cli.learning import write_quadrants

LAYERS = [
    "lrn 5", "pixelshuffle 2", "pixelunshuffle 2", "shuffle 2", "leakyrelu 0.2", "elu 0.7",
    "clip -2:2", "softplus", "mish", "hardsigmoid", "logsoftmax", "maxpool 2 s1 d2",
    "adaptmax 4x_", "adaptavg _x5", "upsample 1.5", "upsample size=9x7 bilinear", "slice 2:7",
    "upconv 4 3 s2 size=18x18", "permute 1x2x0", "layerscale 0.5", "rmsnorm", "mul( | conv 8 1)",
    "reshape 64x8, gru 8 seq bi, reshape 8x8x16", "reshape 64x8, lstm 8 seq bi, reshape 8x8x16",
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS)
def test_a_network_with_this_layer_learns(tmp_path, capsys, layer: str) -> None:
    data = write_quadrants(tmp_path)
    network = f"input 8x8x1, conv 8 3 p1, {layer}, conv 4 3 p1 relu, flatten, dense 4 softmax"
    settings = [
        "--epochs",
        "16",
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
