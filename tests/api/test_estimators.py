"""`ConvClassifier` and `ConvRegressor` do what scikit-learn asks of its estimators."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import convcli
from convcli.errors import UsageError
from tests.cli.learning import quadrants

NETWORK = "input 8x8x1, conv 4 3 relu, flatten, dense 4 softmax"
PICTURES, LABELS = quadrants(160)
NAMES = np.array(["nw", "ne", "sw", "se"])[LABELS]
POINTS = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
VALUES = POINTS @ np.array([1.0, -2.0, 0.5]) + 3


@pytest.fixture
def classifier() -> Any:
    return convcli.ConvClassifier(NETWORK, epochs=6, lr=0.01)


def test_a_classifier_learns_names(classifier: Any) -> None:
    assert classifier.fit(PICTURES, NAMES) is classifier
    assert classifier.classes_.tolist() == sorted({*NAMES})
    samples, labels = quadrants(40, seed=1)
    assert classifier.score(samples, np.array(["nw", "ne", "sw", "se"])[labels]) > 0.9
    shares = classifier.predict_proba(samples)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    told = classifier.classes_[shares.argmax(axis=1)]
    np.testing.assert_array_equal(classifier.predict(samples), told)
    assert [epoch.number for epoch in classifier.history_] == list(range(1, 7))
    assert classifier.model_.class_names == tuple(classifier.classes_)


def test_labels_that_do_not_begin_at_zero() -> None:
    found = convcli.ConvClassifier(NETWORK, epochs=4, lr=0.01).fit(PICTURES, LABELS * 3 - 1)
    assert {*found.predict(PICTURES).tolist()} <= {-1, 2, 5, 8}


@pytest.mark.parametrize(
    "samples",
    [POINTS, np.repeat(POINTS[:, None], 12, axis=1), PICTURES],
    ids=["vectors", "series", "pictures"],
)
def test_without_a_network_one_is_made(samples: np.ndarray) -> None:
    labels = np.arange(len(samples)) % 2
    found = convcli.ConvClassifier(epochs=1).fit(samples, labels)
    assert found.predict(samples).shape == labels.shape


@pytest.mark.parametrize("columns", [1, 2])
def test_a_regressor_learns_numbers(columns: int) -> None:
    values = VALUES if columns == 1 else np.stack([VALUES, -VALUES], axis=1)
    found = convcli.ConvRegressor("input 3, dense 1", epochs=40, lr=0.05).fit(POINTS, values)
    assert found.predict(POINTS).shape == values.shape
    assert found.score(POINTS, values) > 0.99


def test_parameters_are_read_and_set(classifier: Any) -> None:
    assert classifier.get_params()["epochs"] == 6
    assert classifier.set_params(epochs=3, lr=None) is classifier
    assert repr(classifier) == f"ConvClassifier(network={NETWORK!r}, epochs=3)"
    with pytest.raises(TypeError, match=r"no parameter 'epoch'\. Did you mean epochs"):
        classifier.set_params(epoch=3)
    with pytest.raises(UsageError, match="not fitted yet"):
        classifier.predict(PICTURES)


def test_same_seed_same_bits() -> None:
    one, two, other = (
        convcli.ConvClassifier(NETWORK, epochs=1, seed=seed).fit(PICTURES, LABELS)
        for seed in (0, 0, 1)
    )
    flats = [found.model_.model.flat for found in (one, two, other)]
    np.testing.assert_array_equal(flats[0], flats[1])
    assert (flats[0] != flats[2]).any()


def test_scikit_learn_takes_them(classifier: Any) -> None:
    selection = pytest.importorskip("sklearn.model_selection", reason="its tools are asked")
    base = pytest.importorskip("sklearn.base")
    pipeline = pytest.importorskip("sklearn.pipeline")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    assert base.is_classifier(classifier)
    assert base.is_regressor(convcli.ConvRegressor())
    assert base.clone(classifier).get_params() == classifier.get_params()
    scores = selection.cross_val_score(classifier, PICTURES, NAMES, cv=3)
    assert scores.min() > 0.5
    grid = selection.GridSearchCV(
        convcli.ConvClassifier(NETWORK, epochs=3), {"lr": [1e-6, 0.01]}, cv=2
    ).fit(PICTURES, NAMES)
    assert grid.best_params_ == {"lr": 0.01}
    regressor = convcli.ConvRegressor("input 3, dense 1", epochs=30, lr=0.05)
    chain = pipeline.make_pipeline(preprocessing.StandardScaler(), regressor)
    assert selection.cross_val_score(chain, POINTS, VALUES, cv=3).min() > 0.9


def test_scikit_learn_is_not_needed() -> None:
    script = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import numpy as np, convcli\n"
        "X, y = np.eye(4, dtype=np.float32), [0, 1, 0, 1]\n"
        "print(convcli.ConvClassifier(epochs=1).fit(X, y).predict(X).shape)\n"
    )
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert got.stdout == "(4,)\n"
