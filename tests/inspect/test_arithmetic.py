"""The spelled-out sums against the lecture's numbers, SciPy and PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convcli.errors import InputError, UsageError
from convcli.inspect.arithmetic import (
    Sliding,
    activate,
    adam_steps,
    dense_unit,
    pooling_window,
    softmax_cross_entropy,
)

SIX = [
    [3, 0, 1, 2, 7, 4],
    [1, 5, 8, 9, 3, 1],
    [2, 7, 2, 5, 1, 3],
    [0, 1, 3, 1, 7, 8],
    [4, 2, 1, 6, 2, 8],
    [2, 4, 5, 2, 3, 9],
]
VERTICAL_EDGE = [[1, 0, -1]] * 3
BINARY = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
POOLED = [[2, 3, 1, 9], [4, 7, 3, 5], [8, 2, 2, 2], [1, 3, 4, 5]]


def test_the_lecture_s_six_by_six_picture() -> None:
    ref = [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]]
    assert Sliding(SIX, VERTICAL_EDGE).output() == ref


def test_the_lecture_s_binary_picture_begins_with_four() -> None:
    assert Sliding(BINARY, [[1, 0, 1], [0, 1, 0], [1, 0, 1]]).cell(0, 0).total == 4


def test_the_lecture_s_pooling() -> None:
    got = [[pooling_window(POOLED, 2, 2, y, x, "max").result for x in (0, 1)] for y in (0, 1)]
    assert got == [[7, 9], [8, 5]]
    got = [[pooling_window(POOLED, 2, 2, y, x, "avg").result for x in (0, 1)] for y in (0, 1)]
    assert got == [[4, 4.5], [3.5, 3.25]]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.integers(0, 9999))
def test_output_and_gradients_are_pytorch_s(
    stride: int, padding: int, dilation: int, seed: int
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle; extra [bench]")
    random = np.random.default_rng(seed)
    image = torch.tensor(random.normal(size=(7, 6)), requires_grad=True)
    kernel = torch.tensor(random.normal(size=(2, 3)), requires_grad=True)
    ref = torch.nn.functional.conv2d(
        image[None, None], kernel[None, None], None, stride, padding, dilation
    )[0, 0]
    upstream = torch.tensor(random.normal(size=tuple(ref.shape)))
    ref.backward(upstream)
    slide = Sliding(image.tolist(), kernel.tolist(), stride, padding, dilation)
    np.testing.assert_allclose(ref.tolist(), slide.output(), atol=1e-12)
    patches = np.array(slide.patches()) @ kernel.detach().numpy().ravel()
    np.testing.assert_allclose(ref.detach().numpy().ravel(), patches, atol=1e-12)
    for shape, gradient, ask in (
        ((2, 3), kernel.grad, slide.weight_gradient),
        ((7, 6), image.grad, slide.input_gradient),
    ):
        got = [ask(y, x, upstream.tolist()).total for y, x in np.ndindex(*shape)]
        np.testing.assert_allclose(gradient.numpy().ravel(), got, atol=1e-12)


def test_softmax_and_adam_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle; extra [bench]")
    logits = torch.tensor([[2.0, -1.0, 0.5, 800.0]], dtype=torch.float64, requires_grad=True)
    ref = torch.nn.functional.cross_entropy(logits, torch.tensor([2]))
    ref.backward()
    got = softmax_cross_entropy(logits[0].tolist(), 2)
    assert math.isclose(ref.item(), got.loss)
    np.testing.assert_allclose(logits.grad[0].numpy(), got.gradient, atol=1e-15)

    weight = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([weight], lr=0.05, betas=(0.8, 0.99), eps=1e-6)
    for step in adam_steps(0.3, [0.5, -2.0, 0.0, 1e-9], 0.05, 0.8, 0.99, 1e-6):
        weight.grad = torch.tensor([step.gradient], dtype=torch.float64)
        adam.step()
        assert math.isclose(weight.item(), step.weight, rel_tol=1e-9)


def test_padding_has_no_place_and_counts_as_zero() -> None:
    terms = Sliding([[5]], [[1] * 3] * 3, padding=1).cell(0, 0).terms
    assert [term.place for term in terms if term.place] == [(0, 0)]
    assert sum(term.product for term in terms) == 5


def test_the_first_of_equal_cells_takes_the_gradient() -> None:
    assert pooling_window([[1, 1], [1, 1]], 2, 2, 0, 0, "max").shares == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: Sliding([[1]], [[1, 1]]), "covers 2 columns.*padding of at least 1"),
        (lambda: Sliding(SIX, VERTICAL_EDGE).cell(4, 0), "outside the output of 4x4.*to 3,3"),
        (lambda: Sliding(SIX, VERTICAL_EDGE).weight_gradient(3, 0, SIX), "outside the kernel"),
        (lambda: Sliding(SIX, VERTICAL_EDGE).input_gradient(0, 0, SIX), "6x6, the output is 4x4"),
        (lambda: dense_unit([1, 2], [1], 0), "2 inputs meet 1 weights"),
        (lambda: softmax_cross_entropy([1, 2], 2), "outside the classes of 2"),
    ],
)
def test_misfits_name_both_sizes(ask: object, sentence: str) -> None:
    with pytest.raises((InputError, UsageError), match=sentence):
        ask()  # type: ignore[operator]  # the table holds functions


def test_a_dense_unit_and_its_activation() -> None:
    unit = dense_unit([1.0, 2.0, 3.0], [0.5, -1.0, 2.0], 0.25)
    assert unit.total == 0.5 - 2.0 + 6.0 + 0.25
    assert activate("tanh", 0.5) == math.tanh(0.5)
    assert math.isclose(activate("sigmoid", 1.0), 1 / (1 + math.exp(-1)))
    assert activate("sigmoid", -1e4) == 0.0
