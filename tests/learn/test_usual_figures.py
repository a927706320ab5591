"""What a training does when nothing is said: the papers' and PyTorch's figures, pinned."""

from __future__ import annotations

import pytest

from convcli.learn.optimizers import read_optimizer
from convcli.learn.recipes import Recipe
from convcli.learn.task import TASKS


def test_a_recipe_without_words() -> None:
    got = Recipe()
    assert (got.epochs, got.batch, got.val) == (10, 128, 0.1)
    assert (got.optimizer, got.schedule, got.loss) == ("adam", "one-cycle", None)
    assert {name: task.losses[0] for name, task in TASKS.items()} == {
        "classes": "cross-entropy", "labels": "bce", "values": "mse", "mask": "cross-entropy",
    }  # fmt: skip
    assert (got.label_smoothing, got.class_weights, got.augment) == (0.0, "none", "")


@pytest.mark.parametrize(
    ("name", "theirs", "figures"),
    [
        ("adam", "Adam", {"beta1": 0, "beta2": 1}),
        ("adamw", "AdamW", {"beta1": 0, "beta2": 1}),
        ("rmsprop", "RMSprop", {}),
    ],
)
def test_optimizers_have_pytorchs_figures(name: str, theirs: str, figures: dict[str, int]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    usual = getattr(torch.optim, theirs)([torch.zeros(1)]).defaults
    ours = read_optimizer(name)
    assert ours.epsilon == usual["eps"]
    assert ours.weight_decay == usual["weight_decay"]
    for figure, place in figures.items():
        assert getattr(ours, figure) == usual["betas"][place]
    if name == "rmsprop":
        assert (ours.alpha, ours.momentum) == (usual["alpha"], usual["momentum"])


@pytest.mark.parametrize(
    ("name", "rate"),
    [("adam", 0.003), ("adamw", 0.003), ("rmsprop", 0.001), ("sgd", 0.05), ("nesterov", 0.05)],
)
def test_rates_when_none_was_chosen(name: str, rate: float) -> None:
    assert read_optimizer(name).default_lr == rate


def test_momentum_when_none_was_chosen() -> None:
    assert read_optimizer("sgd").momentum == read_optimizer("nesterov").momentum == 0.9
