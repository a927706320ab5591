"""Optimizer steps against PyTorch and against the NumPy twin."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.engine import optimize
from convcli.errors import UsageError
from convcli.learn.descent import Span, apply_step
from convcli.learn.optimizers import OPTIMIZERS, read_optimizer
from tests.learn import optimize_reference

SIZE = 37  # no multiple of a vector's width

CHOICES = [
    "sgd:momentum=0",
    "sgd:momentum=0.9,weight_decay=0.1",
    "nesterov:weight_decay=0.01",
    "adam",
    "adam:beta1=0.8,beta2=0.95,epsilon=0.001,weight_decay=0.1",
    "adamw:weight_decay=0.1",
    "rmsprop",
    "rmsprop:alpha=0.9,momentum=0.5,weight_decay=0.1",
]


def walk(choice: str, engine: object, lr: float, steps: int = 20) -> np.ndarray:
    """Descend on a quadratic whose gradient is the weights less a target."""
    optimizer = read_optimizer(choice)
    weights = np.linspace(-1, 1, SIZE).astype(np.float32)
    target = np.sin(np.arange(SIZE)).astype(np.float32)
    memory = np.zeros((optimizer.slots_per_weight, SIZE), np.float32)
    for count in range(1, steps + 1):
        gradient = weights - target
        apply_step(
            optimizer, engine, weights, gradient, memory, [Span(0, SIZE, decays=True)],
            lr=lr, count=count,
        )  # fmt: skip
    return weights


@pytest.mark.parametrize("choice", CHOICES)
def test_the_compiled_steps_are_the_twins(choice: str) -> None:
    ref = walk(choice, optimize_reference, lr=0.05)
    got = walk(choice, optimize, lr=0.05)
    np.testing.assert_allclose(got, ref, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("choice", CHOICES)
def test_the_steps_are_pytorchs(choice: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the optimizers")
    ours = read_optimizer(choice)
    figures = {"lr": 0.05, "weight_decay": ours.weight_decay}
    name = choice.partition(":")[0]
    kind = {"adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}.get(name, "SGD")
    if kind in {"Adam", "AdamW"}:
        figures |= {"betas": (ours.beta1, ours.beta2), "eps": ours.epsilon}
    elif kind == "RMSprop":
        figures |= {"alpha": ours.alpha, "momentum": ours.momentum, "eps": ours.epsilon}
    else:
        figures |= {"momentum": ours.momentum, "nesterov": name == "nesterov"}
    weights = torch.nn.Parameter(torch.from_numpy(np.linspace(-1, 1, SIZE).astype(np.float32)))
    target = torch.from_numpy(np.sin(np.arange(SIZE)).astype(np.float32))
    theirs = getattr(torch.optim, kind)([weights], **figures)
    for _ in range(20):
        weights.grad = weights.detach() - target
        theirs.step()
    ref = weights.detach().numpy()
    got = walk(choice, optimize, lr=0.05)
    np.testing.assert_allclose(got, ref, rtol=2e-5, atol=2e-6)


def test_the_gradient_is_clipped_by_its_norm() -> None:
    weights, gradient = np.zeros(2, np.float32), np.array([3, 4], np.float32)
    memory = np.zeros((1, 2), np.float32)
    sgd = read_optimizer("sgd", momentum=0.0)
    norm = apply_step(
        sgd, optimize, weights, gradient, memory, [Span(0, 2, decays=False)],
        lr=1.0, count=1, clip=1.0,
    )  # fmt: skip
    assert norm == 5
    np.testing.assert_allclose(weights, [-0.6, -0.8], rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_outside_the_spans_stay(name: str) -> None:
    optimizer = read_optimizer(name)
    weights = np.ones(10, np.float32)
    memory = np.zeros((optimizer.slots_per_weight, 10), np.float32)
    spans = [Span(0, 2, decays=True), Span(6, 10, decays=False)]
    gradient = np.full(10, 2, np.float32)
    apply_step(optimizer, optimize, weights, gradient, memory, spans, lr=0.1, count=1)
    assert (weights[2:6] == 1).all()
    assert (weights[:2] != 1).all()
    assert (weights[6:] != 1).all()


def test_biases_do_not_decay() -> None:
    weights = np.ones(4, np.float32)
    sgd = read_optimizer("sgd", weight_decay=0.5)
    spans = [Span(0, 2, decays=True), Span(2, 4, decays=False)]
    apply_step(
        sgd, optimize, weights, np.zeros(4, np.float32), np.zeros((1, 4), np.float32), spans,
        lr=0.1, count=1,
    )  # fmt: skip
    np.testing.assert_allclose(weights, [0.95, 0.95, 1, 1])


def test_the_average_follows_the_weights() -> None:
    got, ref = np.arange(5, dtype=np.float32), np.arange(5, dtype=np.float32)
    weights = np.full(5, 3, np.float32)
    optimize.ema_update(got, weights, np.float32(0.9))
    optimize_reference.ema_update(ref, weights, np.float32(0.9))
    np.testing.assert_allclose(got, ref, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("adma", "Did you mean adam"),
        ("sgd:beta1=0.5", "sgd has no parameter .beta1.; it has weight_decay, momentum, nesterov"),
        ("sgd:momentum=1.5", "momentum is 1.5; it must be at least 0 and below 1"),
        ("adam:epsilon=0", "epsilon is 0.0; it must be above 0"),
        ("adam:beta1=high", "'high' is not a number"),
        ("sgd:nesterov=maybe", "neither yes nor no"),
    ],
)
def test_a_mistake_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_optimizer(text)
