"""How samples are scaled: chosen from the data, said, and warned of where it was done already."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run
from convcli.data import Dataset, Split
from convcli.inspect.live import page_network
from convcli.learn.modelfile import TrainedModel
from convcli.learn.prepare import Preprocessing, preprocessing_for
from tests.cli.learning import NETWORK, quadrants

Captured = pytest.CaptureFixture[str]


def test_a_model_of_bytes_warns_of_samples_that_were_scaled_already() -> None:
    x, y = quadrants(160)
    training = convcli.fit(NETWORK, Dataset("q", tuple("abcd"), Split(x, y)), epochs=6, batch=16)
    list(training)
    model = training.best_model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict(x)
        model.predict(x.astype(np.float32))
        model.predict(np.zeros((1, 8, 8, 1)))
        assert not caught
        model.predict(x / 255)
    (warning,) = caught
    assert "multiplies them by 1/255 itself" in str(warning.message)
    assert warning.filename == __file__


def test_a_model_without_a_scale_never_warns() -> None:
    floats = np.random.default_rng(0).random((40, 6), np.float32)
    y = np.arange(40) % 2
    data = Dataset("f", ("a", "b"), Split(floats, y))
    training = convcli.fit("input 6, dense 2 softmax", data, epochs=1)
    list(training)
    model = training.best_model()
    model.predict(floats)  # warnings are errors here
    plain = Preprocessing((6,), (1.0,), (0.0,))
    TrainedModel(model.model, ("a", "b"), plain).predict(floats)


@pytest.fixture(scope="module")
def dim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures of 0 to 16, and a run on them."""
    folder = tmp_path_factory.mktemp("dim")
    x, y = quadrants(160)
    x = (x // 11).clip(0, 16).astype(np.uint8)
    np.savez(folder / "dim.npz", x_train=x[:120], y_train=y[:120], x_test=x[120:], y_test=y[120:])
    words = ["train", NETWORK, "--data", str(folder / "dim.npz"), "--epochs", "8", "--lr", "0.01"]
    assert run([*words, "--batch", "16", "-o", str(folder / "run"), "--format", "json"]) == 0
    return folder


def test_bytes_that_do_not_fill_their_range_are_scaled_by_their_largest_and_it_is_said(
    dim: Path, capfd: Captured
) -> None:
    model = convcli.load(dim / "run" / "model.safetensors")
    with np.load(dim / "dim.npz") as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    assert model.preprocessing == Preprocessing((8, 8, 1), (1 / 16,), (0.0,), "resize", 16)
    assert (model.predict(x).argmax(1) == y).mean() > 0.9
    words = ["train", NETWORK, "--data", str(dim / "dim.npz"), "--epochs", "1"]
    assert run([*words, "-o", str(dim / "again")]) == 0
    assert "The samples reach 16 of 255: they are multiplied by 1/16" in capfd.readouterr().err


def test_a_picture_has_the_white_of_the_training(dim: Path, capfd: Captured) -> None:
    with np.load(dim / "dim.npz") as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    names = []
    for number, sample in enumerate(x[:8, :, :, 0]):
        names.append(str(dim / f"{number}.png"))
        Image.fromarray((sample.astype(float) * 255 / 16).round().astype(np.uint8)).save(names[-1])
    assert run(["predict", str(dim / "run"), *names, "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    model = convcli.load(dim / "run" / "model.safetensors")
    ref = model.predict(x[:8]).max(axis=1)
    assert [int(one["label"]) for one in got] == y[:8].tolist()
    np.testing.assert_allclose([one["probability"] for one in got], ref, rtol=1e-6)


def test_the_page_shows_whole_bytes(dim: Path) -> None:
    model = convcli.load(dim / "run" / "model.safetensors")
    assert page_network(model)["preprocessing"]["scale"] == [pytest.approx(1 / 255)]


def test_commands_say_so_too(dim: Path, capfd: Captured) -> None:
    with np.load(dim / "dim.npz") as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    np.save(dim / "scaled.npy", x[:2] / 16)
    assert run(["predict", str(dim / "run"), str(dim / "scaled.npy"), "--format", "json"]) == 0
    said = capfd.readouterr()
    assert "scaled.npy: The samples reach 1, and the model multiplies them by 1/16" in said.err
    json.loads(said.out)
    np.savez(dim / "scaled.npz", x=(x / 16).astype(np.float32), y=y)
    assert run(["evaluate", str(dim / "run"), "--data", str(dim / "scaled.npz"), "--quiet"]) == 0
    assert capfd.readouterr().err == ""
    assert run(["evaluate", str(dim / "run"), "--data", str(dim / "scaled.npz")]) == 0
    assert "multiplies them by 1/16 itself" in capfd.readouterr().err


def test_only_half_empty_ranges_are_stretched() -> None:
    for largest, white in ((1, 1), (16, 16), (127, 127), (128, 255), (255, 255)):
        samples = np.array([[[0], [largest]]], np.uint8)
        got = preprocessing_for(Split(samples, np.zeros(1)))
        assert (got.white, got.scale) == (white, (1 / white,))
        assert Preprocessing.from_record(got.record(), (2, 1)) == got
    assert preprocessing_for(Split(np.zeros((1, 2, 1), np.uint8), np.zeros(1))).white == 255


def test_scikit_learns_digits_are_learned(tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="its digits reach 16")
    digits = datasets.load_digits()
    np.savez(tmp_path / "digits.npz", images=digits.images.astype(int), labels=digits.target)
    data = convcli.load_dataset(str(tmp_path / "digits.npz"))
    network = "input 8x8x1, conv 16 3 relu, conv 32 3 relu, flatten, dense 10 softmax"
    got = [
        list(convcli.fit(network, data, epochs=8, lr=0.005, seed=seed))[-1].val_accuracy
        for seed in range(3)
    ]
    assert np.mean(got) > 0.945  # 0.958; divided by 255 it is 0.926
