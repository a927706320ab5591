"""Keras configurations against what Keras itself says of the same networks."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from convcli.errors import InputError
from convcli.exchange.keras_read import network_from_keras, read_keras
from convcli.net import parse_notation, to_notation

REFERENCE = json.loads(
    (Path(__file__).parent.parent / "reference" / "keras_configs.json").read_text()
)
MODELS = {model["name"]: model for model in REFERENCE["models"]}


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_has_the_shape_and_the_parameters_that_keras_says(name: str) -> None:
    model = MODELS[name]
    read = network_from_keras(model["config"])
    trace = read.network.trace(freeze=read.frozen)
    assert trace.totals.params + trace.totals.buffers == model["params"]
    assert trace.totals.trainable == model["trainable"]
    steps = {step.name: step for step in trace.steps}
    ends = {step.name.split(".")[-2]: step for step in trace.steps if "." in step.name}
    short = {step.name.rpartition(".")[2]: step for step in trace.steps}
    compared = 0
    for row in model["layers"]:
        step = steps.get(row["name"]) or short.get(row["name"]) or ends.get(row["name"])
        if step is None:
            continue
        compared += 1
        assert step.params + step.buffers == row["params"], row["name"]
        kept = [size for size in row["output"] if size != 1]
        assert kept == [size for size in step.output_shape if size != 1], row["name"]
    left_out = sum(
        layer["name"].startswith(("input", "rescaling", "head")) for layer in model["layers"]
    )
    assert compared == len(model["layers"]) - left_out


@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_can_be_written_in_the_notation(name: str) -> None:
    got = network_from_keras(MODELS[name]["config"]).network
    assert parse_notation(to_notation(got)) == got


def test_frozen_layers_and_what_was_left_out_are_told() -> None:
    read = network_from_keras(MODELS["digits"]["config"])
    assert read.frozen == ("dense",)
    assert read.notes == ("rescaling (Rescaling) prepares the data; it is left out.",)


def as_keras_2(model: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration in the form that tf.keras 2 wrote."""
    config = copy.deepcopy(model)
    for layer in config["config"]["layers"]:
        layer.pop("build_config", None)
        settings = layer["config"]
        if "batch_shape" in settings:
            settings["batch_input_shape"] = settings.pop("batch_shape")
        calls = []
        for call in layer.get("inbound_nodes", []):
            tensors = call["args"][0]
            tensors = tensors if isinstance(tensors, list) else [tensors]
            calls.append([[*tensor["config"]["keras_history"], {}] for tensor in tensors])
        if calls:
            layer["inbound_nodes"] = calls
    if config["class_name"] == "Functional":
        config["config"]["output_layers"] = [config["config"]["output_layers"]]
    return config


@pytest.mark.parametrize("name", ["digits", "residual", "unet", "series"])
def test_the_older_form_reads_the_same(name: str) -> None:
    config = MODELS[name]["config"]
    old = network_from_keras(as_keras_2(config))
    assert old.network == network_from_keras(config).network


def test_a_sequential_model_may_leave_its_input_to_its_first_layer() -> None:
    old = as_keras_2(MODELS["series"]["config"])
    entries = old["config"]["layers"]
    entries[1]["config"]["batch_input_shape"] = entries[0]["config"]["batch_input_shape"]
    del entries[0]
    assert network_from_keras(old).network == network_from_keras(MODELS["series"]["config"]).network


def test_both_kinds_of_file_are_read(tmp_path: Path) -> None:
    text = json.dumps(MODELS["unet"]["config"])
    (tmp_path / "unet.json").write_text(text)
    with ZipFile(tmp_path / "unet.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", text)
    from_json, from_archive = (
        read_keras(tmp_path / f"unet.{suffix}").network for suffix in ("json", "keras")
    )
    assert from_json == from_archive
    assert from_json.trace().output_shape == (32, 32, 2)


def test_a_wrong_file_is_told_by_name(tmp_path: Path) -> None:
    wrong = {
        "list.json": (b"[1, 2]", "class_name and config are missing"),
        "half.json": (b'{"class_name": ', "is not JSON as Keras writes it"),
        "deep.json": (b"[" * 200_000, "is not JSON as Keras writes it"),
        "bytes.json": (b"\xff\xfe\x00", "is not text"),
        "zip.keras": (b"no archive", "is no Keras archive"),
    }
    for name, (content, said) in wrong.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=said) as caught:
            read_keras(tmp_path / name)
        assert name in str(caught.value)
    with ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
    with pytest.raises(InputError, match="no Keras archive with a config"):
        read_keras(tmp_path / "empty.keras")


def changed(name: str, layer: str, **settings: Any) -> dict[str, Any]:
    """Return a reference configuration with other settings of one layer."""
    config = copy.deepcopy(MODELS[name]["config"])
    (entry,) = (entry for entry in config["config"]["layers"] if entry["config"]["name"] == layer)
    for key, value in settings.items():
        if key == "class_name":
            entry[key] = value
        else:
            entry["config"][key] = value
    return config


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (changed("digits", "flatten", class_name="Bidirectional"), "'flatten' (Bidirectional)"),
        (changed("digits", "conv2d", data_format="channels_first"), "channels first"),
        (changed("digits", "conv2d", activation="selu"), "activation 'selu' has no word"),
        (changed("digits", "conv2d", filters=None), "filters is None"),
        (changed("digits", "conv2d", kernel_size=[]), "kernel_size is []"),
        (changed("digits", "conv2d", filters=-3), "filters is -3"),
        (changed("digits", "batch_normalization", axis=1), "axis 1"),
        (changed("digits", "batch_normalization", center=False), "center is False"),
        (changed("digits", "input_layer", batch_shape=[None, None, None, 1]), "open: ?x?x1"),
        (changed("residual", "add", class_name="Subtract"), "reads 2 tensors"),
        (changed("unet", "concatenate", axis=1), "axis 1"),
        ({"class_name": "Mine", "config": {}}, "lists no layers"),
        ({"class_name": "Sequential", "config": {"layers": [1]}}, "A layer is not as Keras"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_named(config: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        network_from_keras(config)
    assert said in str(caught.value)


def test_an_open_input_can_be_given() -> None:
    config = changed("unet", "input_layer_3", batch_shape=[None, None, None, 1])
    got = network_from_keras(config, (64, 96, 1)).network
    assert got.trace().output_shape == (64, 96, 2)


def test_shared_weights_are_refused() -> None:
    config = copy.deepcopy(MODELS["unet"]["config"])
    layer = config["config"]["layers"][1]
    layer["inbound_nodes"] *= 2
    with pytest.raises(InputError, match="called 2 times with the same weights"):
        network_from_keras(config)


def test_a_circle_and_a_missing_layer_are_refused() -> None:
    for reader, said in (
        ("conv2d_17", "in a circle"),
        ("nowhere", "'nowhere', which is not there"),
    ):
        config = copy.deepcopy(MODELS["unet"]["config"])
        call = config["config"]["layers"][1]["inbound_nodes"][0]
        call["args"][0]["config"]["keras_history"][0] = reader
        with pytest.raises(InputError, match=said):
            network_from_keras(config)


def test_models_nested_without_end_are_refused() -> None:
    model: dict[str, Any] = {"class_name": "Dense", "config": {"name": "d", "units": 1}}
    for depth in range(12):
        model = {"class_name": "Sequential", "config": {"name": f"m{depth}", "layers": [model]}}
    with pytest.raises(InputError, match="nest more than 8 deep"):
        network_from_keras(model)


APPLICATIONS = """
import json, keras
print(json.dumps([
    [name, model.count_params(), model.to_json()]
    for name in ("MobileNetV2", "ResNet50V2", "DenseNet121", "InceptionV3")
    for model in [getattr(keras.applications, name)(weights=None)]
]))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("keras", "torch"))),
    reason="Keras' own networks need the packages keras and torch",
)
def test_keras_applications_have_the_parameters_that_keras_counts() -> None:
    got = subprocess.run(
        [sys.executable, "-c", APPLICATIONS],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=True,
    )
    for name, ref, config in json.loads(got.stdout.splitlines()[-1]):
        totals = network_from_keras(json.loads(config)).network.trace().totals
        assert (name, ref) == (name, totals.params + totals.buffers)
