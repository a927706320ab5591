"""Checkpoints whose layers have other names: torchvision's into presets of the same networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.cli.main import run
from convcli.errors import InputError
from convcli.exchange.importing import import_model
from convcli.learn.modelfile import load
from tests.vision import models, prepare

PAIRS = {
    "resnet18": "resnet18",
    "squeezenet1_1": "squeezenet",
    "densenet121": "densenet121",
    "mobilenet_v3_small": "mobilenet-v3-small",
    "inception_v3": "inception-v3",
}
"""These too: resnet50, resnext50, alexnet, vgg11, mobilenet_v2, mobilenet_v3_large, shufflenet_v2,
efficientnet_b0, regnet_y_400mf, convnext_tiny."""


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_a_state_dict_goes_into_the_preset(name: str, tmp_path: Path) -> None:
    settings = {"init_weights": False} if name == "inception_v3" else {}
    module = getattr(models(), name)(weights=None, **settings)
    answers_alike(module, PAIRS[name], tmp_path)


@pytest.mark.slow
def test_a_state_dict_of_timm_goes_into_the_preset(tmp_path: Path) -> None:
    """These too: large, resnet50, vgg11, densenet121, efficientnet_b0, convnext_tiny and more."""
    prepare()  # timm imports torchvision
    timm = pytest.importorskip("timm", reason="timm is the peer")
    module = timm.create_model("mobilenetv3_small_100")
    answers_alike(module, "mobilenet-v3-small", tmp_path, eps=1e-5)


@pytest.mark.slow
def test_a_state_dict_of_transformers_goes_into_the_preset(tmp_path: Path) -> None:
    """These too: ResNet-18 and -50, ConvNeXt tiny, MobileNet v2, RegNet Y, EfficientNet B0."""
    prepare()  # transformers imports torchvision
    peer = pytest.importorskip("transformers", reason="transformers is the peer")
    settings = peer.MobileNetV1Config(num_labels=1000, tf_padding=False)
    module = peer.MobileNetV1ForImageClassification(settings)
    answers_alike(module, "mobilenet-v1", tmp_path, eps=1e-3)


def answers_alike(module: Any, preset: str, tmp_path: Path, eps: float | None = None) -> None:
    """Put a module's numbers, random in its norms too, into a preset and compare the answers."""
    torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    module.eval()
    with torch.no_grad():
        for key, array in [*module.named_buffers(), *module.named_parameters()]:
            if key.endswith("running_var"):
                array.uniform_(0.5, 1.5)
            elif array.ndim == 1 and array.is_floating_point():
                array.add_(torch.randn_like(array) * 0.1)
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    place = tmp_path / "w.safetensors"
    imported = import_model(place, network=preset, outputs="values", eps=eps)
    model = imported.model.model
    samples = torch.randn(1, 3, *model.network.input_shape[:2])
    with torch.no_grad():
        ref = module(samples)
    ref = getattr(ref, "logits", ref).numpy()
    ready = np.ascontiguousarray(np.moveaxis(samples.numpy(), 1, -1))
    got = model.logits(ready) if imported.model.ends_in_softmax else model.predict(ready)
    assert np.abs(got - ref).max() < 1e-5 * np.abs(ref).max()


WORDS = "input 6x5x2, conv 3 3, bn, relu, conv 3 3 p1, flatten, dense 4, dense 4"


def arrays(**names: str) -> dict[str, Any]:
    """Return PyTorch's arrays for `WORDS`, its layers under other names."""
    random = np.random.default_rng(1)
    shapes = {
        "a": {"weight": (3, 2, 3, 3), "bias": (3,)},
        "n": dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (3,)),
        "b": {"weight": (3, 3, 3, 3), "bias": (3,)},
        "c": {"weight": (4, 36), "bias": (4,)},
        "d": {"weight": (4, 4), "bias": (4,)},
    }
    return {
        f"{names[part]}.{leaf}": np.abs(random.normal(size=shape)).astype(np.float32)
        for part, leaves in shapes.items()
        for leaf, shape in leaves.items()
    }


def test_the_table_says_what_went_where(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = arrays(a="body.0", n="body.1", b="body.3", c="body.10", d="head")
    given["aux.weight"] = np.zeros((9, 9), np.float32)  # of a branch that nothing here stands for
    np.savez(tmp_path / "w.npz", **dict(sorted(given.items())))
    words = ["import", str(tmp_path / "w.npz"), "--network", WORDS, "--force"]
    assert run([*words, "--format", "json"]) == 0
    whence = {
        "body.0": "conv1", "body.1": "bn1", "body.3": "conv2", "body.10": "dense1",
        "head": "dense2",
    }  # fmt: skip
    assert json.loads(capfd.readouterr().out)["arrays"] == whence
    assert run([*words, "--table", "arrays", "--format", "csv"]) == 0
    assert "body.10,dense1" in capfd.readouterr().out
    model = import_model(tmp_path / "w.npz", network=WORDS).model.model
    np.testing.assert_array_equal(model.parameters["dense2.kernel"], given["head.weight"].T)


def test_names_are_ordered_as_people_count(tmp_path: Path) -> None:
    """As in Inception v3: all of one branch, then all of the next, whose numbers begin again."""
    words = "input 3, concat(dense 3, dense 3 | dense 3, dense 3), dense 2"
    names = ["branch7x7_1", "branch7x7_2", "branch7x7dbl_1", "branch7x7dbl_2"]
    given = {f"{name}.weight": np.full((3, 3), number, np.float32)
             for number, name in enumerate(names)}  # fmt: skip
    given |= {f"{name}.bias": np.zeros(3, np.float32) for name in names}
    given |= {"fc.weight": np.zeros((2, 6), np.float32), "fc.bias": np.zeros(2, np.float32)}
    np.savez(tmp_path / "w.npz", **given)
    arrays = import_model(tmp_path / "w.npz", network=words).model.model.parameters
    kernels = [array for key, array in arrays.items() if key.endswith("kernel")][:4]
    assert [array[0, 0] for array in kernels] == [0, 1, 2, 3]


def test_norms_stand_beside_their_layers(tmp_path: Path) -> None:
    """Those of equal size too, where the file has branches in another order than the network."""
    words = (
        "input 6x6x2, concat(conv 3 1 nobias, conv 3 5 same nobias, bn | conv 3 3 same nobias, bn)"
    )
    shapes = {"b5_1.conv": (3, 2, 1, 1), "b5_2.conv": (3, 3, 5, 5), "b3.conv": (3, 2, 3, 3)}
    given = {f"m.{name}.weight": np.ones(shape, np.float32) for name, shape in shapes.items()}
    norm = ("weight", "bias", "running_mean", "running_var")
    given |= {f"m.{name}.bn.{leaf}": np.full(3, number, np.float32)
              for name, number in (("b5_2", 5), ("b3", 3)) for leaf in norm}  # fmt: skip
    np.savez(tmp_path / "w.npz", **given)
    got = import_model(tmp_path / "w.npz", network=words, outputs="values").model.model
    norms = [array[0] for key, array in got.parameters.items() if key.endswith("scale")]
    assert norms == [5, 3]


def test_a_map_decides_where_shapes_do_not(tmp_path: Path) -> None:
    words = "input 4, dense 4, dense 4"
    layer = {"weight": np.zeros((4, 4), np.float32), "bias": np.zeros(4, np.float32)}
    names = {f"{name}.{leaf}": array + (name == "second") for name in ("first", "second")
             for leaf, array in layer.items()}  # fmt: skip
    np.savez(tmp_path / "w.npz", **names)
    for turned in (False, True):
        pairs = {"first": "dense2", "second": "dense1"} if turned else {}
        got = import_model(tmp_path / "w.npz", network=words, map=pairs).model.model
        assert got.parameters["dense1.kernel"].max() == turned
    with pytest.raises(InputError, match=r"--map third=dense1: there is no such layer in the file"):
        import_model(tmp_path / "w.npz", network=words, map={"third": "dense1"})
    with pytest.raises(InputError, match=r"no such layer in the network\. In the file are first"):
        import_model(tmp_path / "w.npz", network=words, map={"first": "dense9"})


def test_a_map_is_for_arrays_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    assert run(["import", str(tmp_path / "net.onnx"), "--map", "a=b"]) == 2
    assert "leave --map out" in capfd.readouterr().err
    assert run(["import", "w.npz", "--map", "a"]) == 2
    assert "--map 'a': write FILE=LAYER" in capfd.readouterr().err


def test_norms_add_what_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A checkpoint does not say it: MobileNet v3 has 1e-3 in torchvision, 1e-5 in timm."""
    np.savez(tmp_path / "w.npz", **arrays(a="body.0", n="body.1", b="body.3", c="x.0", d="x.1"))
    words = ["import", str(tmp_path / "w.npz"), "--network", WORDS, "--force"]
    assert run(words) == 0
    assert "neither the eps of norms (1e-05 here; --eps replaces it)" in capfd.readouterr().err
    assert run([*words, "--eps", "0.5", "--outputs", "values"]) == 0
    assert "neither the eps" not in capfd.readouterr().err
    sample = np.ones((1, 6, 5, 2), np.float32)
    got = [import_model(tmp_path / "w.npz", network=text, outputs="values", eps=eps).model
           for text, eps in ((WORDS, 0.5), (WORDS.replace("bn", "bn eps=0.5"), None))]  # fmt: skip
    one, other = (model.model.predict(sample) for model in got)
    np.testing.assert_array_equal(one, other)
    assert got[0].network == got[1].network == load(tmp_path / "w.safetensors").network
    (tmp_path / "net.onnx").write_bytes(b"")
    assert run(["import", str(tmp_path / "net.onnx"), "--eps", "1e-5"]) == 2
    assert "holds its own network; leave --eps out" in capfd.readouterr().err


def test_stems_and_ways_down_stand_first(tmp_path: Path) -> None:
    """As timm has ConvNeXt: stages before the stem by letter, blocks before the way down."""
    names = {
        "stem.0": (3, 3), "stages.0.blocks.0": (3, 3), "stages.1.downsample.0": (3, 3),
        "stages.1.blocks.0.fc1": (4, 3), "stages.1.blocks.0.fc2": (3, 4),
        "stages.1.blocks.1.fc1": (4, 3), "stages.1.blocks.1.fc2": (3, 4), "head.fc": (2, 3),
    }  # fmt: skip
    words = ", ".join(["input 3", *(f"dense {shape[0]}" for shape in names.values())])
    given = {f"{name}.weight": np.zeros(shape, np.float32) for name, shape in names.items()}
    given |= {f"{name}.bias": np.full(shape[0], number, np.float32)
              for number, (name, shape) in enumerate(names.items())}  # fmt: skip
    np.savez(tmp_path / "w.npz", **dict(sorted(given.items())))
    got = import_model(tmp_path / "w.npz", network=words).model.model.parameters
    assert [got[f"dense{number}.bias"][0] for number in range(1, 9)] == [*range(8)]


def test_a_window_as_large_as_the_map_is_a_dense_layer(tmp_path: Path) -> None:
    """As timm has VGG, so that it takes any picture."""
    words = "input 4x3x2, conv 2 3 same, flatten, dense 5, dense 3"
    random = np.random.default_rng(2)
    shapes = {"features.0": (2, 2, 3, 3), "fc1": (5, 2, 4, 3), "fc2": (3, 5, 1, 1)}
    given = {f"{name}.weight": random.normal(size=shape) for name, shape in shapes.items()}
    given |= {f"{name}.bias": np.zeros(shape[0]) for name, shape in shapes.items()}
    np.savez(tmp_path / "w.npz", **given)
    got = import_model(tmp_path / "w.npz", network=words).model.model.parameters
    kernel = got["dense1.kernel"].reshape(4, 3, 2, 5)
    np.testing.assert_allclose(np.moveaxis(kernel, (3, 2), (0, 1)), given["fc1.weight"], rtol=1e-6)
