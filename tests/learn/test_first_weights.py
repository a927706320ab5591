"""First weights: variances by the papers, and an LSTM whose forget gate alone begins open."""

from __future__ import annotations

import numpy as np
import pytest

import convcli
from convcli.learn.model import Model


def first(notation: str, seed: int = 0) -> dict[str, np.ndarray]:
    return Model.initialize(convcli.network(notation), seed).parameters


HE = {  # a rectifier follows: 2 / inputs of one output
    "input 9x9x16, conv 64 3 relu": ("conv1.kernel", 3 * 3 * 16),
    "input 9x9x16, conv 64 3, leakyrelu": ("conv1.kernel", 3 * 3 * 16),
    "input 9x9x16, conv 64 3, bn, relu": ("conv1.kernel", 3 * 3 * 16),
    "input 9x9x16, conv 64 3, gn 4, prelu": ("conv1.kernel", 3 * 3 * 16),
    "input 9x9x16, conv 64 3 g4 gelu": ("conv1.kernel", 3 * 3 * 4),
    "input 40x16, conv 64 5 silu": ("conv1.kernel", 5 * 16),
    "input 9x9x999, dwconv 3 relu": ("dwconv1.kernel", 3 * 3),
    "input 9x9x99, sepconv 64 3 m4 relu": ("sepconv1.depthwise", 3 * 3),
    "input 9x9x8, sepconv 64 3 m4 relu": ("sepconv1.pointwise", 8 * 4),
    "input 9x9x16, upconv 64 4 s2 relu": ("upconv1.kernel", 2 * 2 * 16),
    "input 100, dense 200 relu": ("dense1.kernel", 100),
    "input 100, dense 200 elu, dense 3": ("dense1.kernel", 100),
}
GLOROT = {  # none: 2 / (inputs of one output + outputs of one input)
    "input 9x9x16, conv 64 3": ("conv1.kernel", 3 * 3 * 16 + 3 * 3 * 64),
    "input 9x9x16, conv 64 3 tanh": ("conv1.kernel", 3 * 3 * 16 + 3 * 3 * 64),
    "input 9x9x16, conv 64 3, bn, tanh": ("conv1.kernel", 3 * 3 * 16 + 3 * 3 * 64),
    "input 9x9x999, dwconv 3 m2": ("dwconv1.kernel", 3 * 3 + 3 * 3 * 2),
    "input 9x9x16, upconv 64 4 s2": ("upconv1.kernel", 2 * 2 * 16 + 4 * 4 * 64),
    "input 100, dense 200 softmax": ("dense1.kernel", 100 + 200),
    "input 9x40, lstm 50": ("lstm1.kernel", 40 + 4 * 50),
}
CASES = [(notation, name, 2 / inputs) for notation, (name, inputs) in (HE | GLOROT).items()]


@pytest.mark.parametrize(("notation", "name", "variance"), CASES)
def test_kernels_are_uniform_with_the_variance_of_the_papers(
    notation: str, name: str, variance: float
) -> None:
    kernel = first(f"{notation}, dense 3")[name].astype(np.float64)
    assert kernel.size > 1000
    limit = (3 * variance) ** 0.5
    assert 0.99 * limit < np.abs(kernel).max() <= limit * 1.000001
    error = 4 * (0.8 / kernel.size) ** 0.5  # four deviations of a uniform sample's variance
    assert kernel.var() == pytest.approx(variance, rel=error)
    assert abs(kernel.mean()) < 4 * (variance / kernel.size) ** 0.5


@pytest.mark.parametrize("bound", ["relu", "tanh"])
def test_the_bounds_of_a_dense_layer_are_pytorchs(bound: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    ref = torch.empty(2000, 300)
    fill = torch.nn.init.kaiming_uniform_ if bound == "relu" else torch.nn.init.xavier_uniform_
    fill(ref, **({"nonlinearity": "relu"} if bound == "relu" else {}))
    got = first(f"input 300, dense 2000 {bound}, dense 3")["dense1.kernel"]
    assert np.abs(got).max() == pytest.approx(float(ref.abs().max()), rel=1e-3)


def test_biases_begin_as_zeros_scales_as_ones_and_slopes_at_a_quarter() -> None:
    got = first("input 9x9x4, conv 8 3, bn, prelu, gn 2, dense 3")
    for name in ("conv1.bias", "bn1.shift", "gn1.shift", "dense1.bias"):
        assert not got[name].any(), name
    for name in ("bn1.scale", "gn1.scale"):
        assert (got[name] == 1).all(), name
    assert (got["prelu1.slope"] == 0.25).all()


def test_only_the_forget_gate_of_an_lstm_begins_open() -> None:
    bias = first("input 9x3, lstm 5")["lstm1.bias"]
    gates = dict(zip("ifgo", bias.reshape(4, 5), strict=True))
    assert {gate: set(values.tolist()) for gate, values in gates.items()} == {
        "i": {0.0}, "f": {1.0}, "g": {0.0}, "o": {0.0}
    }  # fmt: skip


def test_the_open_gate_is_the_one_that_keeps_the_cell() -> None:
    """In PyTorch, with the same arrays: a cell of ones, no input, and what is left of it."""
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    w = first("input 9x3, lstm 5")
    cell = torch.nn.LSTMCell(3, 5)
    with torch.no_grad():
        cell.bias_ih.copy_(torch.from_numpy(w["lstm1.bias"]))
        cell.bias_hh.zero_()
        _, after = cell(torch.zeros(1, 3), (torch.zeros(1, 5), torch.ones(1, 5)))
    np.testing.assert_allclose(after.numpy(), 1 / (1 + np.exp(-1)), rtol=1e-6)


def test_the_recurrent_kernel_of_an_lstm_is_orthogonal() -> None:
    kernel = first("input 9x3, lstm 20")["lstm1.recurrent"].astype(np.float64)
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(20), atol=1e-6)


ENDS = ["dense 10 softmax", "dense 10, softmax", "conv 10 1, gap, softmax",
        "residual(conv 4 3 same, bn), gap, dropout 0.5, dense 10 softmax"]  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_the_first_loss_is_about_the_logarithm_of_the_classes(end: str) -> None:
    """Answers that lean to no class are wrong by ln C; a full kernel begins at ln C and a half."""
    flat = "" if "gap" in end else "flatten, "
    net = convcli.network(f"input 12x12x4, conv 4 3 same relu, {flat}{end}")
    model = Model.initialize(net, seed=3)
    samples = np.random.default_rng(0).standard_normal((500, 12, 12, 4)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 10, 500)
    shares = model.predict(samples, threads=1)
    assert -np.log(shares[np.arange(500), labels]).mean() == pytest.approx(np.log(10), abs=0.02)
    assert np.abs(model.logits(samples, threads=1)).max() > 1e-4 if "softmax" in end else True


def test_a_seed_is_a_set_of_weights() -> None:
    name = "dense1.kernel"
    one, again, other = (first("input 30, dense 20", seed)[name] for seed in (1, 1, 2))
    assert (one == again).all()
    assert not (one == other).any()
    layers = first("input 20, dense 20, dense 20", 1)
    assert not (layers["dense1.kernel"] == layers["dense2.kernel"]).any()
