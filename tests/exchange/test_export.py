"""ONNX and PyTorch exports, run by onnxruntime and PyTorch: both must give the same numbers."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
import pytest

from convcli.errors import InputError
from convcli.exchange.content import Scaling
from convcli.exchange.onnx_write import onnx_model
from convcli.exchange.torch_write import torch_module
from convcli.layers import Activation
from convcli.layers.registry import WORDS
from convcli.net import Trace, network, parse_notation
from convcli.ops.activation import OPERATIONS
from convcli.ops.lowering import KINDS

NETWORKS = {
    "mnist": "input 12x10x1, conv 4 3 relu, maxpool 2, conv 5 2 relu, flatten, dense 7 relu, "
    "dropout 0.5, dense 3 softmax",
    "asymmetric padding": "input 9x8x3, conv 4 4 s2 same, conv 4 3x2 p0:1x2:1 d2x1, maxpool 2 same",
    "separable": "input 8x8x4, dwconv 3 m2 same, bn, silu, sepconv 6 3 s2 same nobias, gelu",
    "transposed": "input 4x5x4, upconv 6 3 s2 p1 op1 g2, upconv 3 3 s2 same, upconv 2 2 s3",
    "norms": "input 6x6x4, ln, gn 2, instancenorm eps=1e-4, lrn 3, bn noscale eps=1e-3, prelu",
    "activations": "input 4x4x2, relu6, leakyrelu, elu, hardswish, tanh, sigmoid, softmax",
    "pools": "input 11x10x3, concat(maxpool 3 s2 ceil | avgpool 3 s2 ceil), avgpool 3 s2 p1, gmp",
    "counted padding": "input 8x8x2, avgpool 3 s1 p1 countpad, adaptavg 3x5, gap",
    "shapes": "input 6x6x4, pad 1:2x0:1, crop 1x0, upsample 2 bilinear, upsample 3x1, shuffle 2, "
    "reshape 14x12x14, dense 3",
    "joins": "input 8x8x4, residual(conv 4 3 same relu, conv 4 3 same), "
    "scale(gap, dense 2 relu, dense 4 sigmoid), concat(conv 2 1 | )",
    "series": "input 20x3, conv 6 3 causal d2 relu, maxpool 2, lstm 5 seq, lstm 4, dense 3 softmax",
    "numbers": "input 4x4x2, leakyrelu 0.2, elu 0.7, clip -0.5:1.5, hardsigmoid, softplus, mish, "
    "logsoftmax",
    "more pools": "input 11x9x3, maxpool 3 s1 d2, adaptmax 3x2, dropout2d 0.1",
    "more norms": "input 6x5x4, rmsnorm eps=1e-3, layerscale, l2norm, gap, layerscale 0.1, "
    "rmsnorm, l2norm",
    "turned": "input 6x4x8, permute 1x0x2, slice 2:6, pixelshuffle 2, permute 2x0x1, conv 4 1, "
    "permute 1x2x0, conv 6 1, slice 2:, pixelunshuffle 2",
    "enlarged": "input 5x6x2, upsample 1.5 bilinear, upsample size=11x10, upsample size=13x17 "
    "bilinear, upsample 1.3",
    "products": "input 6x5x4, mul(conv 3 1 | conv 3 1 sigmoid | gap, dense 3)",
    "units": "input 9x3, gru 4 seq, gru 3 seq bi, lstm 3 seq bi, concat(gru 2 | gru 3 bi | "
    "lstm 2 bi)",
    "volume": "input 4x6x5x2, conv 3 3x3x1 same hardswish, maxpool 2, bn, flatten, dense 3",
}


def arrays_for(trace: Trace) -> dict[str, Any]:
    """Return asymmetric random arrays, of the size that keeps activations near one."""
    random = np.random.default_rng(1)
    arrays = {}
    for step in trace.steps:
        for name, shape in (step.weights | step.buffer_shapes).items():
            values = random.normal(size=shape) / np.sqrt(max(1, np.prod(shape[:-1])))
            arrays[f"{step.name}.{name}"] = np.float32(
                values**2 + 0.5 if name == "variance" else values
            )
    return arrays


def samples_for(trace: Trace, count: int = 256) -> Any:
    """Return channels-first random samples."""
    *spatial, channels = trace.network.input_shape
    shape = (count, channels, *spatial)
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


def run_onnx(trace: Trace, arrays: dict[str, Any], samples: Any, *scaling: Scaling) -> Any:
    pytest.importorskip("onnx", reason="writes the file; extra [onnx]")
    return run_file(onnx_model(trace, arrays, *scaling), samples)


def run_file(content: bytes, samples: Any) -> Any:
    runtime = pytest.importorskip("onnxruntime", reason="ONNX files are run by it; extra [bench]")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": samples})[0]


def run_torch(source: str, tensors: dict[str, Any], samples: Any) -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch modules are run by it; extra [bench]")
    names: dict[str, Any] = {}
    exec(compile(source, "network.py", "exec"), names)  # noqa: S102  (the source under test)
    module = names["Network"]()
    state = {name: torch.tensor(array) for name, array in tensors.items()}
    module.load_state_dict(state)
    with torch.no_grad():
        return module.eval()(torch.tensor(samples)).numpy()


@pytest.mark.parametrize("notation", NETWORKS.values(), ids=NETWORKS)
def test_both_programs_give_the_same_numbers(notation: str) -> None:
    trace = parse_notation(notation).trace()
    arrays, samples = arrays_for(trace), samples_for(trace)
    ref = run_onnx(trace, arrays, samples)
    module = torch_module(trace, arrays)
    got = run_torch(module.source, module.tensors, samples)
    assert ref.shape == (256, trace.output_shape[-1], *trace.output_shape[:-1])
    np.testing.assert_allclose(ref, got, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset", ["lenet5-keras", "squeezenet", "mobilenet-v2", "resnet18", "har"]
)
def test_presets_leave_too(preset: str) -> None:
    trace = network(preset).trace()
    arrays, samples = arrays_for(trace), samples_for(trace, count=1)
    module = torch_module(trace, arrays)
    got = run_torch(module.source, module.tensors, samples)
    np.testing.assert_allclose(run_onnx(trace, arrays, samples), got, atol=1e-5)


def test_preprocessing_may_travel_inside() -> None:
    trace = parse_notation("input 5x4x3, conv 2 3, flatten, dense 2").trace()
    arrays = arrays_for(trace)
    levels = np.random.default_rng(3).integers(0, 256, (7, 5, 4, 3)).astype(np.float32)
    scaling = Scaling(scale=(1 / 255, 1 / 100, 1 / 50), offset=(0.0, -0.5, 1.0))
    prepared = levels * np.float32(scaling.scale) + np.float32(scaling.offset)
    ref = run_onnx(trace, arrays, np.ascontiguousarray(np.moveaxis(prepared, -1, 1)))
    got = run_onnx(trace, arrays, levels, scaling)
    np.testing.assert_allclose(ref, got, atol=1e-5)
    module = torch_module(trace, arrays, scaling)
    np.testing.assert_allclose(ref, run_torch(module.source, module.tensors, levels), atol=1e-5)


def test_names_from_files_stay_text_in_the_source() -> None:
    trace = parse_notation("input 4, dense 2").trace()
    hostile = '"""\nraise SystemExit\n"""\\'
    module = torch_module(trace, arrays_for(trace), about=hostile, classes=(hostile, "b"))
    names: dict[str, Any] = {}
    tree = ast.parse(module.source)
    exec(compile(ast.Module(tree.body[:1] + tree.body[4:5], []), "n", "exec"), names)  # noqa: S102  (the source under test)
    assert names["CLASSES"] == (hostile, "b")
    assert names["__doc__"] == hostile


def test_the_module_reads_like_one_written_by_hand() -> None:
    trace = parse_notation(NETWORKS["mnist"]).trace()
    lines = torch_module(trace, arrays_for(trace)).source.splitlines()
    assert "        self.conv1 = nn.Conv2d(1, 4, 3)" in lines
    assert "        x = F.relu(self.conv1(x))  # 4x10x8" in lines


RUNNING = {
    word
    for word, row in WORDS.items()
    if row.layer.op in KINDS and (row.layer is not Activation or word in OPERATIONS)
}
"""Words that can be run; the others are known on paper only."""


def test_every_layer_is_compared() -> None:
    """Each word that runs stands in one of the networks above, but for those refused below."""
    said = {word for text in NETWORKS.values() for word in re.split(r"[ ,|()]+", text)}
    assert said >= RUNNING


@pytest.mark.parametrize("word", ["classtoken", "pixelshuffle 2", "pixelunshuffle 2"])
@pytest.mark.parametrize(("write", "form"), [(onnx_model, "ONNX"), (torch_module, "PyTorch")])
def test_what_has_no_form_is_named(write: Any, form: str, word: str) -> None:
    if form == "ONNX":
        pytest.importorskip("onnx", reason="writes the file; extra [onnx]")
    trace = parse_notation(f"input 4x4, {word}").trace()
    with pytest.raises(InputError, match=rf"has no {form} form here"):
        write(trace, {})


def test_what_pytorch_lacks_is_named() -> None:
    trace = parse_notation("input 9x9x1, avgpool 2 same").trace()
    with pytest.raises(InputError, match=r"Layer 1 avgpool1 `avgpool 2 same`.*countpad"):
        torch_module(trace, {})


def test_what_onnx_lacks_is_named() -> None:
    pytest.importorskip("onnx", reason="writes the file; extra [onnx]")
    trace = parse_notation("input 9x9x1, avgpool 2 ceil countpad").trace()
    with pytest.raises(InputError, match=r"Layer 1 avgpool1 `.*`: ceil together with countpad"):
        onnx_model(trace, {})
