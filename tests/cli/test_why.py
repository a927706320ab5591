"""`explain bn|translation|permutation`: why convolution at all, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run

Capture = pytest.CaptureFixture[str]


def document(capfd: Capture, *words: str) -> Any:
    assert run(["explain", *words, "--format", "json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_batch_norm_is_mean_zero_and_variance_one_then_gamma_and_beta(capfd: Capture) -> None:
    values = [12.0, 8.0, -3.0, 15.0]
    words = ["bn", "12 8 -3 15", "--gamma", "2", "--beta", "-1", "--epsilon", "0.5"]
    got = document(capfd, *words)
    assert (got["mean"], got["variance"]) == (np.mean(values), np.var(values))
    normalized = (np.array(values) - np.mean(values)) / np.sqrt(np.var(values) + 0.5)
    np.testing.assert_allclose(got["normalized"], normalized)
    np.testing.assert_allclose(got["output"], 2 * normalized - 1)
    s = 1 / (1 + np.exp(-np.array(values)))
    np.testing.assert_allclose(got["slope_before"], s * (1 - s), rtol=1e-6)
    assert min(got["slope_after"]) > 100 * min(got["slope_before"])
    assert convcli.explain_bn(values, gamma=2, beta=-1, epsilon=0.5).document == got


def test_batch_norm_leaves_no_crumbs_and_refuses_equal_values_without_epsilon(
    capfd: Capture,
) -> None:
    assert document(capfd, "bn", "0.1 0.2 0.3")["centered"][1] == 0
    assert run(["explain", "bn", "5 5 5", "--epsilon", "0"]) == 3
    assert "the variance is 0, and so is epsilon" in capfd.readouterr().err


def test_a_shift_goes_through_a_convolution_and_not_through_the_maximum(
    tmp_path: Path, capfd: Capture
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    words = ["translation", str(tmp_path / "a.png"), "--shift", "3,5", "-k", "laplacian-4"]
    figure = tmp_path / "b.png"
    got = document(capfd, *words, "--pool", "4", "-o", str(figure))
    picture, convolved, pooled, whole = got["stages"]
    assert picture["changed"] > 0.3 < convolved["changed"]
    assert picture["moved_back"] == convolved["moved_back"] == 0
    assert pooled["shape"] == [5, 6]
    assert whole["changed"] == 0
    assert (got["weights"], got["dense_weights"]) == (9, (20 * 24) ** 2)
    with Image.open(figure) as shown:
        assert shown.width > 400
    drawn = convcli.explain_translation(pixels, shift=(3, 5), kernel="laplacian-4", pool=4)
    assert drawn.report.document["stages"][2]["changed"] == pytest.approx(pooled["changed"])
    assert run(["explain", *words, "-o", str(figure)]) == 4
    assert run(["explain", *words[:4], "-k", "sobel"]) == 2
    assert "take one, such as sobel-x" in capfd.readouterr().err
    assert run(["explain", *words, "--pool", "30"]) == 3
    assert "Take a smaller one with --pool" in capfd.readouterr().err


def test_permuted_pixels_hurt_the_cnn_alone(tmp_path: Path, capfd: Capture) -> None:
    figure = tmp_path / "permuted.svg"
    words = ["permutation", "--samples", "1000", "--epochs", "4", "--seed", "1", "--threads", "1"]
    mlp, cnn = document(capfd, *words, "-o", str(figure))
    assert (mlp["name"], cnn["name"]) == ("MLP", "CNN")
    assert abs(mlp["lost"]) < 0.1 < cnn["lost"]
    assert mlp["params"] == 784 * 64 + 64 + 64 * 10 + 10
    drawn = figure.read_text(encoding="utf-8")
    assert "CNN, permuted" in drawn
    assert f"{cnn['plain']:.1%}" in drawn
