"""Losses and their gradients against PyTorch, and against NumPy's rules."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.data.dataset import IGNORED
from convcli.learn.metrics import loss_values
from convcli.learn.model import Model
from convcli.learn.trainer import Loss, Trainer
from convcli.net import parse_notation

N = 6
VECTOR = "input 5, dense 4 {end}"
MAP = "input 3x4x2, conv 3 1 {end}"
random = np.random.default_rng(0)
X_VECTOR = random.standard_normal((N, 5)).astype(np.float32)
X_MAP = random.standard_normal((N, 3, 4, 2)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 3, 0])
MASKS = random.integers(0, 3, (N, 3, 4)).astype(np.uint8)
MASKS[random.random(MASKS.shape) < 0.2] = IGNORED
VALUES = (2 * random.standard_normal((N, 4))).astype(np.float32)
SHARES = random.dirichlet(np.ones(4), N).astype(np.float32)
BITS = (random.random((N, 4)) < 0.5).astype(np.float32)

CASES = {
    "cross-entropy": (Loss(), "softmax", LABELS),
    "cross-entropy of cells": (Loss(), "softmax", MASKS),
    "cross-entropy of cells, weighed": (Loss(class_weights=(1.0, 3.0, 0.5)), "softmax", MASKS),
    "cross-entropy of cells, smoothed": (Loss(smoothing=0.1), "softmax", MASKS),
    "focal": (Loss("focal", figure=2.0), "softmax", LABELS),
    "focal of cells": (Loss("focal", figure=1.5), "softmax", MASKS),
    "dice": (Loss("dice"), "softmax", MASKS),
    "hinge": (Loss("hinge"), "", LABELS),
    "shares": (Loss("soft cross-entropy"), "softmax", SHARES),
    "bce": (Loss("bce"), "sigmoid", BITS),
    "mse": (Loss("mse"), "", VALUES),
    "mae": (Loss("mae"), "", VALUES),
    "huber": (Loss("huber", figure=0.8), "", VALUES),
    "mse behind tanh": (Loss("mse"), "tanh", VALUES),
}


def made(end: str, target: np.ndarray) -> tuple[Model, np.ndarray]:
    words, x = (MAP, X_MAP) if target.dtype == np.uint8 else (VECTOR, X_VECTOR)
    model = Model.initialize(parse_notation(words.format(end=end)), 1)
    model.flat += 0.3 * np.random.default_rng(5).standard_normal(model.flat.size).astype(np.float32)
    return model, x


def theirs(torch, loss: Loss, z, target: np.ndarray):
    """Return PyTorch's loss of what the last layer gives before its activation."""
    F = torch.nn.functional
    if loss.name in {"mse", "mae", "huber", "bce", "soft cross-entropy"}:
        t = torch.from_numpy(target).double()
        return {
            "mse": lambda: F.mse_loss(z, t),
            "mae": lambda: F.l1_loss(z, t),
            "huber": lambda: F.huber_loss(z, t, delta=loss.figure),
            "bce": lambda: F.binary_cross_entropy_with_logits(z, t),
            "soft cross-entropy": lambda: F.cross_entropy(z, t),
        }[loss.name]()
    z, t = z.reshape(N, -1, z.shape[-1]), torch.from_numpy(target.reshape(N, -1).astype(np.int64))
    if loss.name == "hinge":
        return F.multi_margin_loss(z[:, 0], t[:, 0])
    if loss.name == "dice":
        seen = (t != IGNORED).double()[..., None]
        p, one = z.softmax(-1) * seen, F.one_hot(t.clamp(max=2), 3) * seen
        return (1 - (2 * (p * one).sum(1) + 1) / (p.sum(1) + one.sum(1) + 1)).mean()
    z, t = z.reshape(-1, z.shape[-1]), t.reshape(-1)
    if loss.name == "focal":
        each = F.cross_entropy(z, t, reduction="none", ignore_index=IGNORED)
        return ((1 - torch.exp(-each)) ** loss.figure * each).sum() / (t != IGNORED).sum()
    weight = None if loss.class_weights is None else torch.tensor(loss.class_weights).double()
    return F.cross_entropy(
        z, t, weight=weight, label_smoothing=loss.smoothing, ignore_index=IGNORED
    )


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_are_those_of_pytorch(case: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the losses")
    loss, end, target = CASES[case]
    model, x = made(end, target)
    total, _, got = Trainer(model, loss, batch=N).gradients(x, target)
    name = "dense1" if x is X_VECTOR else "conv1"
    kernel, bias = (
        torch.tensor(model.parameters[f"{name}.{one}"], dtype=torch.float64, requires_grad=True)
        for one in ("kernel", "bias")
    )
    z = torch.from_numpy(x).double() @ kernel.reshape(kernel.shape[-2:]) + bias
    ref = theirs(torch, loss, z.tanh() if end == "tanh" else z, target)
    ref.backward()
    assert total / N == pytest.approx(ref.item(), rel=1e-5)
    for array, one in ((kernel, "kernel"), (bias, "bias")):
        slot = model.slots[f"{name}.{one}"]
        part = got[slot.offset : slot.offset + slot.size]
        np.testing.assert_allclose(part, array.grad.numpy().ravel(), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_the_compiled_losses_are_numpys(case: str) -> None:
    loss, end, target = CASES[case]
    model, x = made(end, target)
    total, _, _ = Trainer(model, loss, batch=N).gradients(x, target)
    assert total / N == pytest.approx(loss_values(loss, model.predict(x), target), rel=1e-5)


@pytest.mark.parametrize("case", ["cross-entropy of cells", "dice", "focal of cells"])
def test_cells_that_nobody_knows_do_not_count(case: str) -> None:
    loss, end, target = CASES[case]
    model, x = made(end, target)
    trainer = Trainer(model, loss, batch=N)
    _, right, gradient = trainer.gradients(x, target)
    answers = model.predict(x).argmax(axis=-1)
    known = target != IGNORED
    assert right / N == pytest.approx((answers == target)[known].mean())
    assert np.isfinite(gradient).all()
    nothing = np.full_like(target, IGNORED)
    _, right, gradient = trainer.gradients(x, nothing)
    assert not gradient.any()
    assert right == 0


def test_yes_and_no_are_counted() -> None:
    loss, end, target = CASES["bce"]
    model, x = made(end, target)
    _, right, _ = Trainer(model, loss, batch=N).gradients(x, target)
    assert right / N == pytest.approx(((model.predict(x) > 0.5) == (target > 0.5)).mean())
