"""Networks that others drew, as PyTorch's exporters, Keras and the makers of ONNX write them.

`pytest -rP tests/exchange/test_networks.py | grep MACs` prints each with its figures.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.exchange.importing import import_model
from convcli.net.lookup import open_network
from tests.exchange.models import asked, keras
from tests.vision import models

onnx = pytest.importorskip("onnx", reason="ONNX files; extra [onnx]")

ALIKE = 1e-5
"""Largest difference, as a share of the largest output."""


def agrees(path: Path, samples: Any, ref: Any) -> None:
    """Compare what an imported network makes of channels-last samples with its own program."""
    model = import_model(path, outputs="values").model
    ready = model.preprocessing.engine_samples(np.ascontiguousarray(samples))
    got = model.model.predict(ready).reshape(ref.shape)
    totals, off = model.model.trace.totals, np.abs(got - ref).max() / np.abs(ref).max()
    print(f"{path.parent.name}: {totals.params:,} parameters, {totals.macs:,} MACs, {off:.0e} off")
    assert off < ALIKE
    assert ref.std() > ALIKE * np.abs(ref).max(), "the outputs tell nothing"


def run(path: Path, samples: Any) -> Any:
    runtime = pytest.importorskip("onnxruntime", reason="runs ONNX files; extra [bench]")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: samples})[0]


TORCHVISION = {  # name: which exporter, our parameters without the norms that it folds
    "inception_v3": (False, 23_817_352),  # a stack within a stack is written as one
    "shufflenet_v2_x1_0": (False, 2_270_514),
    "mobilenet_v3_small": (True, 2_536_800),
    "convnext_tiny": (True, 28_582_504),
    "densenet121": (False, 7_971_368),
    "googlenet": (False, 6_617_624),
}
"""All of the following were read through both exporters when this was written: alexnet, vgg11,
vgg11_bn, resnet18, resnet50, resnext50_32x4d, wide_resnet50_2, densenet121, inception_v3,
googlenet, squeezenet1_0, squeezenet1_1, mobilenet_v2, mobilenet_v3_small and _large, mnasnet1_0,
shufflenet_v2_x1_0, regnet_x_400mf, regnet_y_400mf, efficientnet_b0, convnext_tiny."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_networks_of_torchvision(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch exports; extra [bench]")
    built, (dynamo, params) = models(), TORCHVISION[name]
    torch.manual_seed(0)
    aside = {"aux_logits": False, "init_weights": False} if "v3" in name or "goo" in name else {}
    aside = {} if name.startswith("mobile") else aside
    module = getattr(built, name)(weights=None, **aside).eval()
    with torch.no_grad():
        for key, array in [*module.named_parameters(), *module.named_buffers()]:
            if key.endswith("running_var"):
                array.uniform_(0.5, 1.5)
            elif array.ndim == 1:
                array.add_(torch.randn_like(array) * 0.1)
    samples = torch.randn(2, 3, 96 if name == "inception_v3" else 64, 64 + 32 * ("inc" in name))
    path = tmp_path / "net.onnx"
    settings: dict[str, Any] = {"dynamic_axes": {"input": {0: "batch"}}}
    if dynamo:
        pytest.importorskip("onnxscript", reason="the default exporter needs it; extra [bench]")
        settings = {"dynamic_shapes": [{0: torch.export.Dim("batch")}], "verbose": False}
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the other program's own
        settings |= {"dynamo": dynamo, "input_names": ["input"]}
        torch.onnx.export(module, (samples,), path, **settings)
    assert open_network(str(path)).network.trace().totals.params == params
    agrees(path, np.moveaxis(samples.numpy(), 1, -1), run(path, samples.numpy()))


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


@pytest.mark.parametrize("name", LIGHT)
def test_the_networks_that_onnx_is_tested_with(name: str, tmp_path: Path) -> None:
    """Their weights are filled in as they are loaded, all alike: here they get numbers instead."""
    place = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    file = place / f"light_{name}.onnx"
    if not file.exists():
        pytest.skip("this package of onnx has no test data")
    assert open_network(str(file)).network.trace().totals.params == LIGHT[name]
    if name not in RUN:
        return
    model, random = onnx.load(file), np.random.default_rng(3)
    known = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        shape = known[node.input[0]]
        values = random.normal(size=shape) * np.sqrt(2 / max(1, np.prod(shape[1:])))
        values = np.float32(values if len(shape) > 1 else random.uniform(0.5, 1.5, shape))
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
        model.graph.node.remove(node)
    onnx.save(model, tmp_path / "net.onnx")
    stored = {tensor.name for tensor in model.graph.initializer}
    (read,) = (value for value in model.graph.input if value.name not in stored)
    sizes = [axis.dim_value for axis in read.type.tensor_type.shape.dim]
    samples = random.normal(size=sizes).astype(np.float32)
    ref = run(tmp_path / "net.onnx", samples)
    agrees(tmp_path / "net.onnx", np.moveaxis(samples, 1, -1), ref)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV3Small", "ConvNeXtTiny"])
def test_networks_of_keras(name: str, tmp_path: Path) -> None:
    peer, random = keras(), np.random.default_rng(0)
    os.environ.setdefault("TQDM_DISABLE", "1")
    peer.utils.set_random_seed(0)
    build = getattr(peer.applications, name)
    model = build(input_shape=(64, 64, 3), weights=None, classes=10)
    for weight in model.weights:
        if weight.name in {"moving_variance", "variance"}:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif weight.name in {"moving_mean", "beta", "bias", "mean"}:
            weight.assign(random.normal(0, 0.1, weight.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        model.save(tmp_path / "net.keras")
    samples = random.uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    totals = open_network(str(tmp_path / "net.keras")).network.trace().totals
    front = 7 if name == "EfficientNetB0" else 0  # what a Normalization has adapted to
    assert totals.params + totals.buffers == model.count_params() - front
    agrees(tmp_path / "net.keras", samples, asked(model, samples))
