"""Model files: read back by the package's own reader, and nothing hostile gets through."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save

import convcli
from convcli.errors import InputError, OutputExistsError
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel, load
from convcli.learn.prepare import Preprocessing
from convcli.net import network

NOTATION = "input 6x6x1, conv 3 3 nobias, bn, relu, flatten, dense 2 softmax"


def made() -> TrainedModel:
    preprocessing = Preprocessing((6, 6, 1), (1 / 255,), (0.0,))
    model = Model.initialize(network(NOTATION), 7, preprocessing.engine_scaling)
    model.buffers["bn1.mean"][...] = [0.1, 0.2, 0.3]
    return TrainedModel(model, ("left", "right"), preprocessing, {"val_accuracy": 0.5})


def texts() -> dict[str, str]:
    return {
        "format": "convcli 1",
        "network": NOTATION,
        "classes": '["left", "right"]',
        "preprocessing": json.dumps(made().preprocessing.record()),
        "metrics": "{}",
        "training": "{}",
    }


def arrays() -> dict[str, np.ndarray]:
    model = made().model
    return {name: array.copy() for name, array in (model.parameters | model.buffers).items()}


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    ref = made()
    ref.save(tmp_path / "m.safetensors")
    got = load(tmp_path / "m.safetensors")
    samples = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 1), dtype=np.uint8)
    assert (got.predict(samples) == ref.predict(samples)).all()
    assert (got.network, got.class_names) == (ref.network, ref.class_names)
    assert (got.preprocessing, got.metrics) == (ref.preprocessing, ref.metrics)


def test_a_run_directory_is_its_model(tmp_path: Path) -> None:
    made().save(tmp_path / "model.safetensors")
    assert convcli.load(tmp_path).class_names == made().class_names
    assert convcli.load(str(tmp_path)).network == made().network


def test_a_directory_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no run with a model: it has no model.safetensors"):
        convcli.load(tmp_path)


def test_the_package_reads_arrays_and_texts(tmp_path: Path) -> None:
    made().save(tmp_path / "m.safetensors")
    got = load_file(tmp_path / "m.safetensors")
    for name, array in arrays().items():
        assert (got[name] == array).all()
    with safe_open(tmp_path / "m.safetensors", "numpy") as file:
        assert file.metadata()["network"] == NOTATION
    assert (tmp_path / "m.safetensors").read_bytes()[8:].index(b"{") == 0


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        made().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_is_not_replaced_without_force(tmp_path: Path) -> None:
    made().save(tmp_path / "m.safetensors")
    with pytest.raises(OutputExistsError):
        made().save(tmp_path / "m.safetensors")
    made().save(tmp_path / "m.safetensors", force=True)


def test_one_sample_and_a_missing_channel_axis_will_do() -> None:
    sample = np.random.default_rng(0).integers(0, 256, (6, 6), dtype=np.uint8)
    ref = made().predict(sample[np.newaxis, ..., np.newaxis])
    assert (made().predict(sample) == ref).all()
    assert (made().predict(sample[..., np.newaxis]) == ref).all()
    np.testing.assert_allclose(made().predict(sample.astype(np.float64)), ref, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (5, 5), (2, 6, 6, 3), (2, 7, 6, 1), ()])
def test_samples_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="the network takes N x 6 x 6 x 1"):
        made().predict(np.zeros(shape))


def test_per_channel_scaling_is_the_same_as_scaling_by_hand() -> None:
    preprocessing = Preprocessing((4, 2), (2.0, 3.0), (1.0, -1.0))
    model = Model.initialize(network("input 4x2, conv 3 3 relu, flatten, dense 2 softmax"), 1)
    samples = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    ref = model.predict((samples * [2, 3] + [1, -1]).astype(np.float32))
    got = TrainedModel(model, ("a", "b"), preprocessing).predict(samples)
    np.testing.assert_allclose(got, ref, rtol=1e-5)


def changed_text(**changes: str | None) -> bytes:
    notes = {key: value for key, value in (texts() | changes).items() if value is not None}
    return save(arrays(), notes)


def changed_array(**changes: np.ndarray | None) -> bytes:
    numbers = {key: value for key, value in (arrays() | changes).items() if value is not None}
    return save(numbers, texts())


BILLION = "input 6x6x1, conv 3 3 nobias, bn, relu, flatten, dense 1000000000 softmax"
DAMAGED = {
    "no network": (changed_text(network=None), "holds numbers but no network"),
    "malformed network": (changed_text(network="input 6x6x1, comv 3"), "cannot be used"),
    "unfitting network": (changed_text(network="input 2x2x1, conv 3 3"), "conv1"),
    "huge network": (changed_text(network=BILLION), "the network needs float32 of shape"),
    "other network": (changed_text(network="input 6x6x1, flatten, dense 2"), "needs float32"),
    "later format": (changed_text(format="convcli 2"), "this version reads 'convcli 1'"),
    "a checkpoint": (changed_text(checkpoint="{}"), "is the checkpoint of a training"),
    "no classes": (changed_text(classes=None), "missing or no JSON"),
    "three classes": (changed_text(classes='["a", "b", "c"]'), "3 class names"),
    "number classes": (changed_text(classes="[1, 2]"), "2 class names"),
    "deep classes": (changed_text(classes="[" * 10**5), "missing or no JSON"),
    "text metrics": (changed_text(metrics='"x"'), "is no dict"),
    "no preprocessing": (changed_text(preprocessing="{}"), "cannot be read"),
    "infinite scale": (
        changed_text(preprocessing=texts()["preprocessing"].replace("[0.0]", "[Infinity]")),
        "malformed figures",
    ),
    "other shape": (
        changed_text(preprocessing=texts()["preprocessing"].replace("[6, 6, 1]", "[6, 7, 1]")),
        "its network takes 6 x 6 x 1",
    ),
    "missing array": (changed_array(**{"dense1.bias": None}), "needs an array dense1.bias"),
    "extra array": (changed_array(more=np.ones(3, np.float32)), "no place for the array more"),
    "other type": (changed_array(**{"dense1.bias": np.ones(2)}), "is float64 of shape"),
    "a NaN": (
        changed_array(**{"dense1.bias": np.array([0, np.nan], np.float32)}),
        "dense1.bias holds NaN",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_or_hostile_file_gets_a_sentence(case: str, tmp_path: Path) -> None:
    content, says = DAMAGED[case]
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        load(path)
