"""Networks that others drew, as PyTorch's exporters, Keras and the makers of ONNX write them.

`python -m tests.exchange.test_networks` tries all of them, some minutes each, and prints a table;
`python -m tests.exchange.test_networks resnet18 keras:ResNet50 light:vgg19` those named.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from convcli.exchange.importing import import_model
from convcli.net.lookup import open_network
from tests.exchange.models import asked, keras
from tests.vision import models

onnx = pytest.importorskip("onnx", reason="ONNX files; extra [onnx]")

ALIKE = 1e-5
"""Largest difference, as a share of the largest output."""


class Figures(NamedTuple):
    """What is said and found of a network.

    Attributes:
        params: parameters on paper.
        buffers: numbers that are kept and not learned.
        macs: multiply-accumulates on paper.
        off: largest difference of an output, as a share of the largest output.
        spread: deviation of the outputs, as a share of the largest: near 0 they tell nothing.
    """

    params: int
    buffers: int
    macs: int
    off: float
    spread: float

    def check(self) -> None:
        """Fail where the outputs differ, or are all the same anyway."""
        assert self.off < ALIKE
        assert self.spread > 0.01, "the outputs tell nothing"


def compared(path: Path, samples: Any, ref: Any) -> Figures:
    """Compare what an imported network makes of channels-last samples with its own program."""
    totals = open_network(str(path)).network.trace().totals
    model = import_model(path, outputs="values").model
    assert model.model.trace.totals == totals
    ready = model.preprocessing.engine_samples(np.ascontiguousarray(samples))
    got, largest = model.model.predict(ready).reshape(ref.shape), np.abs(ref).max()
    off, spread = np.abs(got - ref).max() / largest, ref.std() / largest
    return Figures(totals.params, totals.buffers, totals.macs, float(off), float(spread))


def run(path: Path, samples: Any) -> Any:
    runtime = pytest.importorskip("onnxruntime", reason="runs ONNX files; extra [bench]")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: samples})[0]


TORCHVISION = {
    "alexnet": 224, "vgg11": 224, "vgg11_bn": 224, "vgg16": 224, "vgg19_bn": 224, "resnet18": 224,
    "resnet50": 224, "resnext50_32x4d": 224, "wide_resnet50_2": 224, "densenet121": 224,
    "inception_v3": 299, "googlenet": 224, "squeezenet1_0": 224, "squeezenet1_1": 224,
    "mobilenet_v2": 224, "mobilenet_v3_small": 224, "mobilenet_v3_large": 224, "mnasnet1_0": 224,
    "shufflenet_v2_x1_0": 224, "regnet_x_400mf": 224, "regnet_y_400mf": 224,
    "efficientnet_b0": 224, "efficientnet_v2_s": 224, "convnext_tiny": 224,
}  # fmt: skip
"""Name of a network -> its input's side."""


def of_torchvision(name: str, side: int, folder: Path, *, dynamo: bool) -> Figures:
    """Export a network with random numbers in its norms, too, and compare the file read back."""
    torch = pytest.importorskip("torch", reason="PyTorch exports; extra [bench]")
    built = models()
    torch.manual_seed(0)
    aside = {"aux_logits": False, "init_weights": False} if name[:3] in {"inc", "goo"} else {}
    module = getattr(built, name)(weights=None, **aside).eval()
    with torch.no_grad():
        for key, array in [*module.named_parameters(), *module.named_buffers()]:
            if key.endswith("running_var"):
                array.uniform_(0.5, 1.5)
            elif array.ndim == 1:
                array.add_(torch.randn_like(array) * 0.1)
    samples, path = torch.randn(2, 3, side, side), folder / "net.onnx"
    settings: dict[str, Any] = {"dynamic_axes": {"input": {0: "batch"}}}
    if dynamo:
        pytest.importorskip("onnxscript", reason="the default exporter needs it; extra [bench]")
        settings = {"dynamic_shapes": [{0: torch.export.Dim("batch")}], "verbose": False}
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the other program's own
        settings |= {"dynamo": dynamo, "input_names": ["input"]}
        torch.onnx.export(module, (samples,), path, **settings)
    return compared(path, np.moveaxis(samples.numpy(), 1, -1), run(path, samples.numpy()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dynamo", "params"),  # ours, without the norms that the exporters fold
    [
        ("inception_v3", False, 23_817_352),  # a stack within a stack is written as one
        ("shufflenet_v2_x1_0", False, 2_270_514),
        ("mobilenet_v3_small", True, 2_536_800),
        ("convnext_tiny", True, 28_582_504),
        ("densenet121", False, 7_971_368),
        ("googlenet", False, 6_617_624),
    ],
)
def test_networks_of_torchvision(name: str, dynamo: bool, params: int, tmp_path: Path) -> None:
    side = 96 if name == "inception_v3" else 64
    found = of_torchvision(name, side, tmp_path, dynamo=dynamo)
    assert found.params == params
    found.check()


LIGHT = {
    "squeezenet": 1_235_496,
    "shufflenet": 1_393_320,
    "inception_v1": 6_998_552,
    "inception_v2": 11_214_888,
    "resnet50": 25_557_032,
    "densenet121": 8_062_504,
    "bvlc_alexnet": 60_965_224,
    "vgg19": 143_667_240,
    "zfnet512": 87_250_536,
}
RUN = {"squeezenet", "shufflenet", "inception_v1", "densenet121"}
"""Those that are run too; the others take seconds."""


def light(name: str) -> Path:
    """Return one of the networks that ONNX is tested with, or skip the test."""
    place = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    if not (place / f"light_{name}.onnx").exists():
        pytest.skip("this package of onnx has no test data")
    return place / f"light_{name}.onnx"


def of_onnx(name: str, folder: Path) -> Figures:
    """Give a network numbers, compare it without its softmax, which would hide differences.

    Its weights are filled in as it is loaded, all alike.
    """
    model, random = onnx.load(light(name)), np.random.default_rng(3)
    known = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        shape = known[node.input[0]]
        values = random.normal(size=shape) * np.sqrt(2 / max(1, np.prod(shape[1:])))
        values = np.float32(values if len(shape) > 1 else random.uniform(0.5, 1.5, shape))
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
        model.graph.node.remove(node)
    last = model.graph.node[-1]
    if last.op_type == "Softmax":
        model.graph.node.remove(last)
        model.graph.output[0].name = last.input[0]
    path = folder / "net.onnx"
    onnx.save(model, path)
    stored = {tensor.name for tensor in model.graph.initializer}
    (read,) = (value for value in model.graph.input if value.name not in stored)
    sizes = [axis.dim_value for axis in read.type.tensor_type.shape.dim]
    samples = random.normal(size=sizes).astype(np.float32)
    return compared(path, np.moveaxis(samples, 1, -1), run(path, samples))


@pytest.mark.parametrize("name", LIGHT)
def test_the_networks_that_onnx_is_tested_with(name: str, tmp_path: Path) -> None:
    assert open_network(str(light(name))).network.trace().totals.params == LIGHT[name]
    if name in RUN:
        of_onnx(name, tmp_path).check()


KERAS = {
    "DenseNet121": 224, "DenseNet201": 224, "ResNet50": 224, "ResNet101V2": 224, "ResNet50V2": 224,
    "VGG16": 224, "MobileNet": 224, "MobileNetV2": 224, "MobileNetV3Small": 224,
    "MobileNetV3Large": 224, "EfficientNetB0": 224, "EfficientNetB3": 300, "EfficientNetV2B0": 224,
    "EfficientNetV2S": 384, "ConvNeXtTiny": 224, "InceptionV3": 299, "InceptionResNetV2": 299,
    "Xception": 299,
}  # fmt: skip
"""Name of an application -> its input's side; NASNet does not run on PyTorch."""


def of_keras(name: str, side: int, folder: Path) -> Figures:
    """Save an application with random numbers in its norms, too, and compare the file read back.

    Its outputs are compared before any softmax, which would hide differences.
    """
    peer, random = keras(), np.random.default_rng(0)
    os.environ.setdefault("TQDM_DISABLE", "1")
    peer.utils.set_random_seed(0)
    build = getattr(peer.applications, name)
    shape = (side, side, 3)
    model = build(input_shape=shape, weights=None, classes=1000, classifier_activation=None)
    for weight in model.weights:
        if weight.name in {"moving_variance", "variance"}:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif weight.name in {"moving_mean", "beta", "bias", "mean"}:
            weight.assign(random.normal(0, 0.1, weight.shape))
        elif weight.name == "gamma" and len(weight.shape) == 1:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    path = folder / "net.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        model.save(path)
    samples = random.uniform(0, 255, (2, *shape)).astype(np.float32)
    found = compared(path, samples, asked(model, samples))
    prepares = (one for one in model.layers if type(one).__name__ == "Normalization")
    front = sum(int(np.prod(weight.shape)) for one in prepares for weight in one.weights)
    assert found.params + found.buffers == model.count_params() - front
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV3Small", "ConvNeXtTiny"])
def test_networks_of_keras(name: str, tmp_path: Path) -> None:
    of_keras(name, 64, tmp_path).check()


def table(names: list[str]) -> None:
    """Print a row for each network, by `NAME`, `keras:NAME` or `light:NAME`."""
    everything = [*TORCHVISION, *(f"keras:{n}" for n in KERAS), *(f"light:{n}" for n in LIGHT)]
    print("network | written by | parameters | MACs | off | spread")
    for whole in names or everything:
        kind, _, name = whole.rpartition(":")
        ways = {"keras": ("Keras",), "light": ("ONNX",)}.get(kind, ("classic", "default"))
        for way in ways:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                try:
                    if kind == "keras":
                        found = of_keras(name, KERAS[name], folder)
                    elif kind == "light":
                        found = of_onnx(name, folder)
                    else:
                        dynamo = way == "default"
                        found = of_torchvision(name, TORCHVISION[name], folder, dynamo=dynamo)
                except Exception as problem:
                    print(f"{name} | {way} | {type(problem).__name__}: {problem}", flush=True)
                    continue
                said = f"{found.params:,} | {found.macs:,} | {found.off:.0e} | {found.spread:.2f}"
                print(f"{name} | {way} | {said}", flush=True)


if __name__ == "__main__":
    table(sys.argv[1:])
