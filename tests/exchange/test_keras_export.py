"""Keras files written without Keras: Keras loads them, and gives our engine's numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from convcli.errors import InputError
from convcli.exchange.export import export_model
from convcli.exchange.keras_files import keras_hdf5, snake_case
from convcli.exchange.keras_write import keras_model
from convcli.net import parse_notation
from tests.exchange.models import keras, run_keras, samples_last, trained
from tests.exchange.test_export import NETWORKS, RUNNING, arrays_for

pytest.importorskip("h5py", reason="Keras' arrays are HDF5; extra [keras]")

LEAVING = {name: NETWORKS[name] for name in (
    "mnist", "asymmetric padding", "separable", "activations", "shapes", "joins", "series", "volume"
)} | {
    "transposed": "input 4x5x4, upconv 6 3 s2 p1 op1, upconv 3 3 s2 same, upconv 2 2 s3",
    "norms": "input 6x6x4, instancenorm, ln, gn 2, bn noscale eps=1e-3 momentum=0.2, prelu, "
    "dropout2d 0.2",
    "pools": "input 11x10x3, relu, maxpool 3 s2 ceil, maxpool 2 same, avgpool 3 same, gmp",
    "average pools": "input 8x12x2, avgpool 3 s1 p1 countpad, adaptavg 4x3, gap",
    "branches of one kind": "input 6x6x2, concat(conv 2 3 same, conv 3 3 same, conv 4 1 | "
    "conv 5 1 | conv 2 1, conv 3 1), residual(conv 12 3 same | conv 12 1), flatten, dense 2",
    "numbers": "input 6x6x4, leakyrelu 0.2, elu 0.7, clip 0:1.5, hardsigmoid, softplus, mish, "
    "rmsnorm, l2norm, logsoftmax",
    "turned": "input 6x4x8, permute 1x0x2, mul(conv 3 1 | conv 3 1 | gap, dense 3), adaptmax 2",
    "units": "input 9x3, gru 4 seq, gru 3",
    "both ways": "input 9x3, gru 4 seq bi, lstm 3 seq bi, gru 2 bi, dense 2",
    "two biases": "input 9x2, lstm 3 seq, flatten, dense 2",
}  # fmt: skip


@pytest.mark.slow  # Keras takes seconds to load
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("notation", LEAVING.values(), ids=LEAVING)
def test_keras_gives_our_numbers(notation: str, suffix: str, tmp_path: Path) -> None:
    model = trained(notation)
    samples = samples_last(model)
    export_model(model, tmp_path / f"m{suffix}")
    ref = run_keras(tmp_path / f"m{suffix}", samples)
    largest = max(1.0, float(np.abs(ref).max()))
    np.testing.assert_allclose(ref, model.predict(samples), rtol=0, atol=1e-5 * largest)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["lenet5-keras", "squeezenet", "resnet18", "har"])
def test_presets_reach_keras(preset: str, tmp_path: Path) -> None:
    model = trained(preset)
    samples = samples_last(model, count=2)
    export_model(model, tmp_path / "m.keras")
    ref = run_keras(tmp_path / "m.keras", samples)
    np.testing.assert_allclose(ref, model.predict(samples), atol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_preprocessing_may_travel_inside(suffix: str, tmp_path: Path) -> None:
    model = trained(scale=(1 / 255, 1 / 100), offset=(0.25, -0.5))
    levels = np.random.default_rng(3).integers(0, 256, (9, 12, 10, 2)).astype(np.float32)
    export_model(model, tmp_path / f"m{suffix}", with_preprocessing=True)
    ref = run_keras(tmp_path / f"m{suffix}", levels)
    np.testing.assert_allclose(ref, model.predict(levels), atol=1e-5)


def test_classes_are_named_as_keras_names_them() -> None:
    keras()
    from keras.src.utils.naming import to_snake_case

    for kind in ("Conv2D", "SeparableConv1D", "GlobalAveragePooling2D", "PReLU", "LSTM", "ReLU"):
        assert to_snake_case(kind) == snake_case(kind)


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.keras", "b.keras"):
        export_model(trained(), tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_long_lists_of_names_are_split_as_keras_splits_them(tmp_path: Path) -> None:
    keras()
    names = ", ".join(
        f"relu name=a_layer_with_a_name_as_long_as_names_get_{n:04}_" for n in range(1400)
    )
    trace = parse_notation(f"input 3, {names}, dense 2").trace()
    (tmp_path / "m.h5").write_bytes(keras_hdf5(keras_model(trace, arrays_for(trace))))
    h5py = pytest.importorskip("h5py", reason="reads the file; extra [keras]")
    with h5py.File(tmp_path / "m.h5") as file:
        group = file["model_weights"]
        from keras.src.legacy.saving.legacy_h5_format import load_attributes_from_hdf5_group

        assert len(load_attributes_from_hdf5_group(group, "layer_names")) == 1402


def test_every_layer_is_compared() -> None:
    """Each word stands in one of the networks above, but for those that Keras has not."""
    said = {word for text in LEAVING.values() for word in re.split(r"[ ,|()]+", text)}
    assert RUNNING - said == {"layerscale", "lrn", "pixelshuffle", "pixelunshuffle", "slice"}


@pytest.mark.parametrize(
    ("notation", "fact"),
    [
        ("input 9x9x1, lrn 3", "Keras has no such layer"),
        ("input 9x9x2, upconv 2 3 g2", "has no groups"),
        ("input 9x9x2, upconv 2 3 s2 op1", "gives fewer cells"),
        ("input 9x9x1, maxpool 3 p1", "behind a ReLU"),
        ("input 9x9x1, avgpool 3 p1", "by the rule `same` only"),
        ("input 9x9x1, adaptavg 2", "pools equal parts only"),
        ("input 9x9x1, conv 2 3 s2 d2", "stride together with a dilation"),
        ("input 9x9x1, dwconv 3 s2x1", "one stride for both axes"),
        ("input 9x9x9x1, dwconv 3", "for 1 and 2 axes"),
        ("input 9x1, upsample 2 bilinear", "over 2 axes only"),
        ("input 9x9x1, upsample 1.5", "whole factors only"),
        ("input 9x9x1, maxpool 2 d2", "have no dilation"),
        ("input 9x9x1, clip -1:2", "Keras has no clip"),
    ],
)
def test_what_keras_lacks_is_named(notation: str, fact: str) -> None:
    trace = parse_notation(notation).trace()
    with pytest.raises(InputError, match=rf"Layer 1 .*{fact}.*Try --to onnx"):
        keras_model(trace, arrays_for(trace))
