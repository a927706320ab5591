"""Recipes: their budgets, their mistakes, and networks made to fit other data."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from convcli.data import Dataset, Split
from convcli.data.augmentation import read_augmentation
from convcli.errors import InputError, UsageError
from convcli.learn.recipes import RECIPES, Recipe, find_recipe, read_recipe
from convcli.learn.task import adapted
from convcli.net import network, parse_notation, to_notation


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_mnist_and_survives_a_file(name: str) -> None:
    recipe = find_recipe(name)
    assert network(recipe.network).input_shape == (28, 28, 1)
    assert network(recipe.network).trace().output_shape == (10,)
    read_augmentation(recipe.augment)
    assert read_recipe(json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe


def test_tiny_has_less_than_10000_parameters() -> None:
    assert network(find_recipe("tiny").network).trace().totals.params < 10_000


def test_lecture_is_the_lectures_network_batch_optimizer_and_epochs() -> None:
    recipe = find_recipe("lecture")
    assert network(recipe.network).trace().totals.params == 30_762
    assert (recipe.batch, recipe.optimizer, recipe.epochs) == (128, "adam", 10)


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({"epochs": 0}, "--epochs 0: use at least 1"),
        ({"batch": -1}, "--batch -1: use at least 1"),
        ({"lr": 0.0}, "--lr 0: use a number above 0"),
        ({"lr": float("nan")}, "--lr nan: use a number above 0"),
        ({"clip": float("inf")}, "--clip inf: use a number above 0"),
        ({"label_smoothing": 1.0}, "from 0 to below 1"),
        ({"ema": -0.1}, "from 0 to below 1"),
        ({"val": 1.5}, "from 0 to below 1"),
        ({"loss": "mean"}, "use one of cross-entropy, focal, hinge, dice, bce, mse, mae, huber"),
        ({"class_weights": "balance"}, "Did you mean balanced"),
        ({"optimizer": "sgdd"}, "Did you mean sgd"),
        ({"surprise": 1}, "'surprise' is unknown"),
        ({"epochs": "ten"}, "cannot be read"),
    ],
)
def test_a_mistake_names_option_and_value(figures: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_recipe(figures)


def test_momentum_and_weight_decay_reach_the_optimizer() -> None:
    recipe = Recipe(optimizer="sgd", momentum=0.5, weight_decay=0.25)
    assert recipe.read_optimizer().momentum == 0.5
    assert recipe.read_optimizer().weight_decay == 0.25
    assert recipe.full_lr == recipe.read_optimizer().default_lr


def data(shape: tuple[int, ...], classes: int) -> Dataset:
    names = tuple(f"class {number}" for number in range(classes))
    return Dataset("set", names, Split(np.zeros((classes, *shape)), np.arange(classes)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("flatten, dense 10 softmax", "flatten, dense 3 softmax"),
        ("flatten, dense 10, softmax", "flatten, dense 3, softmax"),
        ("conv 10 3, gap, softmax", "conv 3 3, gap, softmax"),
        ("gap, dense 8 relu, dropout 0.5, dense 10", "gap, dense 8 relu, dropout 0.5, dense 3"),
    ],
)
def test_a_network_is_made_to_fit(before: str, after: str) -> None:
    got, change = adapted(parse_notation(f"input 28x28x1, {before}"), data((9, 8, 3), 3))
    assert to_notation(got) == f"input 9x8x3, {after}"
    assert change == "For set the network was changed: its input is 9x8x3 and it has 3 outputs."


def test_a_network_that_fits_is_left_alone() -> None:
    before = network("mnist")
    assert adapted(before, data((28, 28, 1), 10)) == (before, "")


def test_a_network_that_cannot_be_made_to_fit() -> None:
    with pytest.raises(InputError, match="End it with `flatten, dense 3 softmax`"):
        adapted(parse_notation("input 8x8x1, maxpool 2"), data((8, 8, 1), 3))
