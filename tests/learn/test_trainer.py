"""Batches of the compiled trainer: same bits for any number of threads, and sentences."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from convcli.errors import InputError
from convcli.learn.model import Model
from convcli.learn.trainer import Loss, Trainer
from convcli.net import parse_notation
from convcli.ops.executor import Executor

SMALL = "input 12x12x1, conv 5 3 relu, maxpool 2, flatten, dropout 0.3, dense 4 softmax"


def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 12, 12, 1)).astype(np.uint8)
    return images, random.integers(0, 4, count)


def test_threads_do_not_change_a_bit() -> None:
    images, labels = samples(50)
    found = []
    for threads in (1, 2):
        model = Model.initialize(parse_notation(SMALL), 3, (1 / 255, 0.0))
        trainer = Trainer(model, Loss(), batch=50, threads=threads, seed=5)
        loss, correct, gradient = trainer.gradients(images, labels, step=7)
        found.append((loss, correct, gradient.tobytes()))
    assert found[0] == found[1]


def test_sixteen_threads_give_the_bits_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run, found = Executor._run, []

    def noted(*given: object, **named: object) -> None:
        worked.add(threading.get_ident())
        run(*given, **named)

    monkeypatch.setattr(Executor, "_run", noted)
    images, labels = samples(256)
    for threads in (1, 16):
        model = Model.initialize(parse_notation(SMALL.replace("maxpool", "bn, maxpool")), 3)
        worked: set[int] = set()
        trainer = Trainer(model, Loss(), batch=256, threads=threads, seed=5)
        loss, correct, gradient = trainer.gradients(images, labels, step=7)
        assert len(worked) == threads
        answers = model.predict(images[:70], threads=threads)
        found.append((loss, correct, gradient.tobytes(), answers.tobytes()))
    assert found[0] == found[1]


def test_indices_choose_the_batch_and_uint8_is_scaled() -> None:
    images, labels = samples(30)
    model = Model.initialize(parse_notation(SMALL.replace("dropout 0.3, ", "")), 3, (1 / 255, 0))
    trainer = Trainer(model, Loss(), batch=8)
    chosen = np.array([3, 29, 0, 7])
    _, _, ref = trainer.gradients(np.ascontiguousarray(images[chosen]), labels[chosen])
    ref = ref.copy()
    _, _, got = trainer.gradients(images, labels[chosen], indices=chosen)
    np.testing.assert_array_equal(got, ref)
    plain = Model(model.network, model.flat, {})
    floats = images[chosen].astype(np.float32) * np.float32(1 / 255)
    _, _, got = Trainer(plain, Loss(), batch=8).gradients(floats, labels[chosen])
    np.testing.assert_allclose(got, ref, rtol=1e-5, atol=1e-7)


def test_steps_against_the_gradient_learn() -> None:
    images, labels = samples(40)
    model = Model.initialize(parse_notation(SMALL), 3, (1 / 255, 0.0))
    trainer = Trainer(model, Loss(), batch=40)
    losses = []
    for step in range(150):
        loss, _, gradient = trainer.gradients(images, labels, step=step)
        model.flat -= np.float32(0.3) * gradient
        losses.append(loss)
    assert losses[-1] < losses[0] / 4


def test_what_does_not_fit_gets_a_sentence() -> None:
    images, labels = samples(10)
    model = Model.initialize(parse_notation(SMALL), 3)
    trainer = Trainer(model, Loss(), batch=10)
    with pytest.raises(InputError, match=r"Samples are 12x6x1, and .* reads 12x12x1"):
        trainer.gradients(images[:, :, :6].copy(), labels)
    with pytest.raises(InputError, match=r"Labels are \d to 9, and the network has 4 outputs"):
        trainer.gradients(images, np.where(labels == 0, 9, labels))
    with pytest.raises(InputError, match="Samples are float64"):
        model.predict(images.astype(np.float64))
    no_softmax = Model.initialize(parse_notation("input 4, dense 2"), 3)
    with pytest.raises(InputError, match="need a softmax at the end"):
        Trainer(no_softmax, Loss(), batch=2).compile()


def test_squared_error_of_a_line() -> None:
    model = Model.initialize(parse_notation("input 2, dense 1"), 0)
    model.parameters["dense1.kernel"][:] = [[2], [3]]
    x_NI = np.array([[1, 1], [2, 0]], np.float32)
    target_N1 = np.array([[4], [4]], np.float32)  # errors 1 and 0
    trainer = Trainer(model, Loss("mse"), batch=2)
    loss, _, gradient = trainer.gradients(x_NI, target_N1)
    assert loss == 1.0
    np.testing.assert_array_equal(gradient[:2], [1, 1])  # d/dw of the mean: 2 * 1 * x / 2


def test_squared_error_counts_right_answers() -> None:
    model = Model.initialize(parse_notation("input 3, dense 3"), 0)
    model.parameters["dense1.kernel"][:] = np.eye(3)
    x_NI = np.array([[1, 0, 0], [0, 2, 1], [0, 0, 3], [5, 0, 5]], np.float32)
    target_NO = np.eye(3, dtype=np.float32)[[0, 2, 2, 0]]
    got = Trainer(model, Loss("mse"), batch=4).gradients(x_NI, target_NO)[1]
    ref = int((x_NI.argmax(axis=1) == target_NO.argmax(axis=1)).sum())
    assert got == ref == 3


def test_what_explainers_ask_of_a_model() -> None:
    images, _ = samples(3)
    model = Model.initialize(parse_notation(SMALL), 3, (1 / 255, 0.0))
    layers = model.activations(images)
    assert list(layers) == [step.name for step in model.trace.steps]
    np.testing.assert_allclose(layers["dense1"], model.predict(images), rtol=1e-4, atol=1e-6)
    powers = np.exp(model.logits(images))
    got = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(got, layers["dense1"], rtol=1e-4, atol=1e-6)
    slope = np.zeros((3, 4), np.float32)
    slope[:, 1] = 1
    gradient, _ = model.input_gradient(images, {"dense1": slope})
    step = np.float32(0.05) * gradient / np.abs(gradient).max()
    moved = Model(model.network, model.flat, {}).predict(images / np.float32(255) + step)
    assert (moved[:, 1] > layers["dense1"][:, 1]).all()


def test_frozen_steps_get_no_gradient_and_keep_their_statistics() -> None:
    network = parse_notation("input 4x4x2, conv 3 3, bn, flatten, dense 2 softmax")
    model = Model.initialize(network, 0)
    random = np.random.default_rng(1)
    x = random.standard_normal((6, 4, 4, 2)).astype(np.float32)
    before = {name: values.copy() for name, values in model.buffers.items()}
    trainer = Trainer(model, Loss(), batch=6, frozen=["conv1", "bn1"])
    _, _, gradient = trainer.gradients(x, np.array([0, 1, 0, 1, 0, 1]))
    for name, slot in model.slots.items():
        part = gradient[slot.offset : slot.offset + slot.size]
        assert part.any() == name.startswith("dense1"), name
    for name, values in model.buffers.items():
        np.testing.assert_array_equal(values, before[name])


def test_smoothing_and_class_weights_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    model = Model.initialize(parse_notation("input 5, dense 4 softmax"), 3)
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    labels = np.array([0, 1, 2, 3, 3, 0, 1])
    for smoothing, weights in ((0.0, None), (0.1, None), (0.0, (1.0, 2.0, 0.5, 3.0))):
        logits = torch.tensor(model.logits(x), requires_grad=True)
        table = None if weights is None else torch.tensor(weights)
        loss = torch.nn.functional.cross_entropy(
            logits, torch.tensor(labels), weight=table, label_smoothing=smoothing
        )
        loss.backward()
        ref = x.T @ logits.grad.numpy()
        trainer = Trainer(model, Loss("cross-entropy", smoothing, weights), batch=7)
        total, _, gradient = trainer.gradients(x, labels)
        np.testing.assert_allclose(gradient[:20].reshape(5, 4), ref, rtol=1e-4, atol=1e-6)
        share = 7 if weights is None else sum(weights[label] for label in labels)
        assert total / share == pytest.approx(loss.item(), rel=1e-5)
