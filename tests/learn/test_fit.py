"""The loop from Python: epochs, validation, freezing, averages, a loss that is no number."""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest

import convcli
from convcli.data import Dataset, Split
from convcli.errors import InputError, UsageError
from convcli.learn.descent import trainable_spans
from convcli.learn.fit import Diverged, Epoch, StepDone, batch_order
from tests.cli.learning import NETWORK, quadrants

DATA = Dataset(
    "quadrants", ("a", "b", "c", "d"), Split(*quadrants(160)), test=Split(*quadrants(40, seed=1))
)
FIGURES = {"batch": 16, "lr": 0.01}


def test_a_training_is_an_iterator_of_epochs_that_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    training = convcli.fit(NETWORK, DATA, epochs=4, **FIGURES)
    epochs = list(training)
    assert capfd.readouterr() == ("", "")
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert all(epoch.samples == 144 for epoch in epochs)
    model = training.best_model()
    pictures, labels = quadrants(40, seed=1)
    assert (model.predict(pictures).argmax(1) == labels).mean() > 0.9


def test_the_best_epoch_is_that_of_most_validation_accuracy() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=8, **FIGURES)
    epochs = list(training)
    ref = max(epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert training.best_epoch == ref
    assert training.best_model().metrics["epoch"] == ref.number


def test_figures_of_an_epoch_are_those_of_its_model() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=1, **FIGURES)
    (epoch,) = training
    held = training.data.validation
    told = training.best_model().predict(held.samples)
    assert epoch.val_accuracy == (told.argmax(1) == held.labels).mean()
    loss = -np.log(told[np.arange(len(held)), held.labels].astype(np.float64)).mean()
    assert epoch.val_loss == pytest.approx(loss)


def test_between_two_steps_a_training_is_whole() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=2, **FIGURES)
    first, second = itertools.islice(training.events(), 2)
    assert isinstance(first, StepDone)
    assert (first.step, second.step, second.steps, second.seen) == (1, 2, 9, 32)
    assert training.evaluate(DATA.test)["accuracy"] >= 0
    rest = list(training.events())
    assert sum(isinstance(event, StepDone) for event in rest) == 2 * 9 - 2
    assert sum(isinstance(event, Epoch) for event in rest) == 2


def test_the_average_is_validated_and_saved_not_the_last_weights() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=1, ema=0.9, **FIGURES)
    list(training)
    saved = training.best_model().model.flat
    assert (saved == training.progress.ema).all()
    assert (saved != training.model.flat).any()


def test_warming_up_changes_nothing() -> None:
    network = "input 8x8x1, conv 4 3, bn, relu, dropout 0.5, flatten, dense 4 softmax"
    cold = convcli.fit(network, DATA, epochs=1, **FIGURES)
    warm = convcli.fit(network, DATA, epochs=1, **FIGURES)
    assert warm.warm_up() > 0
    list(cold)
    list(warm)
    assert (cold.model.flat == warm.model.flat).all()
    for name, array in cold.model.buffers.items():
        assert (array == warm.model.buffers[name]).all()


def test_batch_norm_is_validated_with_its_running_statistics() -> None:
    network = "input 8x8x1, conv 4 3 nobias, bn, relu, flatten, dense 4 softmax"
    training = convcli.fit(network, DATA, epochs=5, **FIGURES)
    list(training)
    assert training.best_epoch.val_accuracy > 0.9
    assert (training.model.buffers["bn1.mean"] != 0).any()


def test_the_order_is_a_permutation_that_seed_and_epoch_decide() -> None:
    orders = [batch_order(50, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all((np.sort(order) == np.arange(50)).all() for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_spans_cover_every_parameter_once_and_no_frozen_one() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=1)
    covered = np.zeros(training.model.flat.size, int)
    for span in trainable_spans(training.model, ("dense*",)):
        covered[span.start : span.stop] += 1
    for name, slot in training.model.slots.items():
        count = covered[slot.offset : slot.offset + slot.size]
        assert (count == (0 if name.startswith("dense") else 1)).all(), name


def test_a_weight_that_is_no_number_stops_the_epoch() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=1, **FIGURES)
    with pytest.raises(Diverged, match="A weight is no longer a number, in epoch 1"):
        for event in training.events():
            if event.step == 9:
                training.model.parameters["conv1.bias"][0] = np.inf


@pytest.mark.parametrize("monitor", [None, "loss"])
def test_a_better_epoch_has_the_higher_accuracy_then_the_lower_loss(monitor: str | None) -> None:
    figures = FIGURES | {"schedule": "constant", "lr": 0.05}
    best: tuple[float, ...] | None = None
    for epoch in convcli.fit(NETWORK, DATA, epochs=8, monitor=monitor, **figures):
        assert epoch.val_loss is not None
        assert epoch.val_accuracy is not None
        rank = (-epoch.val_loss,) if monitor else (epoch.val_accuracy, -epoch.val_loss)
        assert epoch.best == (best is None or rank > best)
        best = rank if best is None else max(best, rank)


def test_mistakes() -> None:
    with pytest.raises(UsageError, match=r"no argument 'epoch'\. Did you mean epochs"):
        convcli.fit(NETWORK, DATA, epoch=3)
    with pytest.raises(InputError, match="does not fit"):
        convcli.fit("input 8x8x1, conv 4 9, flatten, dense 4 softmax", DATA)
    one_class = dataclasses.replace(DATA, class_names=("a",))
    with pytest.raises(InputError):
        list(convcli.fit("input 8x8x1, flatten, dense 1 softmax", one_class, epochs=1))


def test_the_squared_error_is_trained_with_validated_with_and_counted() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=6, loss="mse", **FIGURES)
    epochs = list(training)
    assert epochs[-1].train_accuracy > 0.9
    told = training.model.predict(training.data.validation.samples)
    truth = np.eye(4, dtype=np.float32)[training.data.validation.labels]
    assert epochs[-1].val_loss == pytest.approx(((told - truth) ** 2).mean(), rel=1e-5)


def test_a_validation_loss_of_zero_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    training = convcli.fit(NETWORK, DATA, epochs=2, **FIGURES)
    monkeypatch.setattr(type(training), "evaluate", lambda *_: {"loss": 0.0, "accuracy": 1.0})
    list(training)
    seen = []
    monkeypatch.setattr(training.schedule.__class__, "factor", lambda _, now: seen.append(now) or 1)
    training.next_lr()
    assert list(seen[0].losses) == [0.0, 0.0]


def test_a_finite_explosion_is_a_divergence() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=2, batch=16, lr=1e9)
    with pytest.raises(Diverged, match=r"mean loss of the epoch is .*; guessing has 1\.39.*--lr"):
        list(training)


def test_a_training_that_learns_nothing_says_so() -> None:
    training = convcli.fit(NETWORK, DATA, epochs=1, batch=144, lr=1e-9, seed=1)
    list(training)
    assert re.search(r"Nothing was learned: .* that of guessing 1\.39", training.doubt)
    training = convcli.fit(NETWORK, DATA, epochs=4, **FIGURES)
    list(training)
    assert training.doubt is None


def test_a_sample_that_comes_again_in_a_balanced_pass_is_augmented_anew() -> None:
    samples, labels = quadrants(40)
    rare = np.concatenate([np.flatnonzero(labels == 0)[:1], np.flatnonzero(labels > 0)])
    data = Dataset("rare", DATA.class_names, Split(samples[rare], labels[rare]))
    figures = {"sampler": "balanced", "val": 0, "augment": "shift=2,noise=0.1", **FIGURES}
    training = convcli.fit(NETWORK, data, **figures)
    batch = training.feed.batch(training.order_of(0)[:16], 0)
    again = [image.tobytes() for image, label in zip(*batch[:2], strict=True) if label == 0]
    assert len(set(again)) == len(again) == 4
