"""Gradients as reasons: linear functions, completeness, PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from convcli.inspect.attribution import integrated_gradient, plain_gradient, smooth_gradient
from convcli.inspect.explaining import saliency
from tests.inspect.models import DIGITS, probe_of, some_inputs

LINEAR = "input 4x5x1, flatten, dense 3"


def test_the_saliency_of_a_linear_model_is_its_weights() -> None:
    probe = probe_of(LINEAR)
    ref = np.abs(probe.parameters["dense1.kernel"][:, 1].reshape(4, 5))
    sample = some_inputs(probe)
    for method in ("gradient", "smoothgrad"):
        got = saliency(probe, sample, 1, method)
        assert_allclose(ref, got.values, rtol=1e-5)
        assert not got.with_signs


def test_integrated_gradients_of_a_linear_model_are_weight_times_input() -> None:
    probe = probe_of(LINEAR)
    sample = some_inputs(probe)
    ref = probe.parameters["dense1.kernel"][:, 2].reshape(4, 5) * sample[0, ..., 0]
    got = saliency(probe, sample, 2, "integrated", steps=3)
    assert_allclose(ref, got.values, rtol=1e-5)
    rise = got.figures["logit"] - got.figures["baseline_logit"]
    assert got.figures["sum"] == pytest.approx(rise, rel=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 9999), st.floats(-2, 2))
def test_integrated_gradients_are_complete(seed: int, baseline: float) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, 6))
    point = random.normal(size=6)

    def score(x: np.ndarray) -> np.ndarray:
        return np.sin(x @ a) + (x @ b) ** 3

    def gradient(x: np.ndarray) -> np.ndarray:
        return np.cos(x @ a)[:, None] * a + 3 * ((x @ b) ** 2)[:, None] * b

    got = integrated_gradient(gradient, point, baseline=baseline, steps=2000)
    ref = score(point[None])[0] - score(np.full((1, 6), baseline))[0]
    assert got.sum() == pytest.approx(ref, abs=1e-3, rel=1e-3)


def test_integrated_gradients_of_a_network_sum_to_the_rise_of_its_logit() -> None:
    probe = probe_of(DIGITS, seed=4)
    sample = some_inputs(probe, seed=1)
    coarse = saliency(probe, sample, 0, "integrated", steps=4)
    fine = saliency(probe, sample, 0, "integrated", steps=400)
    rise = fine.figures["logit"] - fine.figures["baseline_logit"]
    assert fine.figures["sum"] == pytest.approx(rise, abs=2e-3)
    assert abs(fine.figures["sum"] - rise) <= abs(coarse.figures["sum"] - rise) + 1e-6
    assert "400 steps" in fine.note


def test_smoothgrad_is_the_mean_over_noisy_copies_and_repeats_with_its_seed() -> None:
    point = np.array([0.0, 2.0])
    seen: list[np.ndarray] = []

    def gradient(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x**2

    first = smooth_gradient(gradient, point, count=70, noise=0.1, seed=3)
    copies = np.concatenate(seen)
    assert len(copies) == 70
    assert_allclose((copies**2).mean(axis=0), first, rtol=1e-12)
    assert np.std(copies[:, 0]) == pytest.approx(0.2, rel=0.3)  # a tenth of the range of 2
    assert_array_equal(first, smooth_gradient(gradient, point, count=70, noise=0.1, seed=3))
    assert (first != smooth_gradient(gradient, point, count=70, noise=0.1, seed=4)).any()


def test_without_noise_smoothgrad_is_the_gradient() -> None:
    point = np.array([1.0, -3.0])
    ref = plain_gradient(lambda x: x**3, point)
    assert_allclose(ref, smooth_gradient(lambda x: x**3, point, noise=0.0, count=3))


def test_gradients_of_a_network_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle; extra [bench]")
    probe = probe_of(DIGITS, seed=2)
    sample = some_inputs(probe, 2, seed=5)
    x = torch.tensor(sample.transpose(0, 3, 1, 2), requires_grad=True)
    arrays = {name: torch.tensor(np.array(a)) for name, a in probe.parameters.items()}
    functional = torch.nn.functional

    def conv(x: object, name: str) -> object:
        kernel = arrays[f"{name}.kernel"].permute(3, 2, 0, 1)
        return functional.relu(functional.conv2d(x, kernel, arrays[f"{name}.bias"]))

    h = conv(functional.max_pool2d(conv(x, "conv1"), 2), "conv2")
    h = h.permute(0, 2, 3, 1).reshape(2, -1)
    h = functional.relu(h @ arrays["dense1.kernel"] + arrays["dense1.bias"])
    logits = h @ arrays["dense2.kernel"] + arrays["dense2.bias"]
    assert_allclose(logits.detach().numpy(), probe.logits(sample), rtol=1e-4, atol=1e-5)
    logits[:, 1].sum().backward()
    ref = x.grad.numpy().transpose(0, 2, 3, 1)
    assert_allclose(ref, probe.class_slopes(sample, 1), rtol=1e-3, atol=1e-6)
