"""Batches of the compiled trainer: same bits for any number of threads, and sentences."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.errors import InputProblem
from convcli.learn.model import Model
from convcli.learn.trainer import CrossEntropy, SquaredError, Trainer
from convcli.network import parse_notation

SMALL = "input 12x12x1, conv 5 3 relu, maxpool 2, flatten, dropout 0.3, dense 4 softmax"


def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 12, 12, 1)).astype(np.uint8)
    return images, random.integers(0, 4, count)


def test_threads_do_not_change_a_bit() -> None:
    images, labels = samples(50)
    found = []
    for threads in (1, 2):
        model = Model.initialise(parse_notation(SMALL), 3, (1 / 255, 0.0))
        trainer = Trainer(model, CrossEntropy(), batch=50, threads=threads, seed=5)
        loss, correct, gradient = trainer.gradients(images, labels, step=7)
        found.append((loss, correct, gradient.tobytes()))
    assert found[0] == found[1]


def test_indices_choose_the_batch_and_uint8_is_scaled() -> None:
    images, labels = samples(30)
    model = Model.initialise(parse_notation(SMALL.replace("dropout 0.3, ", "")), 3, (1 / 255, 0))
    trainer = Trainer(model, CrossEntropy(), batch=8)
    chosen = np.array([3, 29, 0, 7])
    _, _, ref = trainer.gradients(np.ascontiguousarray(images[chosen]), labels[chosen])
    ref = ref.copy()
    _, _, got = trainer.gradients(images, labels[chosen], indices=chosen)
    np.testing.assert_array_equal(got, ref)
    plain = Model(model.network, model.flat, {})
    floats = images[chosen].astype(np.float32) * np.float32(1 / 255)
    _, _, got = Trainer(plain, CrossEntropy(), batch=8).gradients(floats, labels[chosen])
    np.testing.assert_allclose(got, ref, rtol=1e-5, atol=1e-7)


def test_steps_against_the_gradient_learn() -> None:
    images, labels = samples(40)
    model = Model.initialise(parse_notation(SMALL), 3, (1 / 255, 0.0))
    trainer = Trainer(model, CrossEntropy(), batch=40)
    losses = []
    for step in range(150):
        loss, _, gradient = trainer.gradients(images, labels, step=step)
        model.flat -= np.float32(0.3) * gradient
        losses.append(loss)
    assert losses[-1] < losses[0] / 4


def test_what_does_not_fit_gets_a_sentence() -> None:
    images, labels = samples(10)
    model = Model.initialise(parse_notation(SMALL), 3)
    trainer = Trainer(model, CrossEntropy(), batch=10)
    with pytest.raises(InputProblem, match=r"Samples are 12x6x1, and .* reads 12x12x1"):
        trainer.gradients(images[:, :, :6].copy(), labels)
    with pytest.raises(InputProblem, match=r"Labels are \d to 9, and the network has 4 outputs"):
        trainer.gradients(images, np.where(labels == 0, 9, labels))
    with pytest.raises(InputProblem, match="Samples are float64"):
        model.predict(images.astype(np.float64))
    no_softmax = Model.initialise(parse_notation("input 4, dense 2"), 3)
    with pytest.raises(InputProblem, match="needs a softmax at the end"):
        Trainer(no_softmax, CrossEntropy(), batch=2).compile()


def test_squared_error_of_a_line() -> None:
    model = Model.initialise(parse_notation("input 2, dense 1"), 0)
    model.parameters["dense1.kernel"][:] = [[2], [3]]
    x_NI = np.array([[1, 1], [2, 0]], np.float32)
    target_N1 = np.array([[4], [4]], np.float32)  # errors 1 and 0
    trainer = Trainer(model, SquaredError(), batch=2)
    loss, _, gradient = trainer.gradients(x_NI, target_N1)
    assert loss == 1.0
    np.testing.assert_array_equal(gradient[:2], [1, 1])  # d/dw of the mean: 2 * 1 * x / 2
