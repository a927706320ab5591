"""ONNX files come back as the network and the weights they left with; PyTorch's own come in too."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.errors import ConvcliError, InputError
from convcli.exchange.onnx_import import network_from_onnx, read_onnx
from convcli.exchange.onnx_write import onnx_model
from convcli.net import network, parse_notation, to_notation
from tests.exchange.test_export import arrays_for, run_file, run_onnx, samples_for

pytest.importorskip("onnx", reason="the package reads ONNX files; extra [onnx]")

RETURNING = {
    "plain": "input 12x10x1, conv 4 3 relu, maxpool 2, conv 5 2 relu, flatten, dense 7 relu, "
    "dropout 0.5, dense 3 softmax",
    "asymmetric": "input 9x8x3, conv 4 4x3 s2 p1:2x0:1 nobias, bn, dwconv 3 m2 p1, "
    "upconv 6 3 s2 p1 op1, prelu, lrn 3, instancenorm, avgpool 3 s2 p1, gmp, dense 2",
    "joins": "input 8x8x4, residual(conv 4 3 p1 relu, conv 4 3 p1), relu, "
    "concat(conv 2 1 | conv 3 3 p1 | ), residual(conv 5 1 s2 | conv 5 1 s2), gap",
    "series": "input 20x3, conv 6 3 relu6, maxpool 2, silu, flatten, dense 3 tanh",
    "volume": "input 4x6x5x2, conv 3 3x3x1 p1 elu, maxpool 2, flatten, dense 3 sigmoid",
}


@pytest.mark.parametrize("notation", RETURNING.values(), ids=RETURNING)
def test_what_left_comes_back(notation: str) -> None:
    sent = parse_notation(notation)
    trace = sent.trace()
    arrays = arrays_for(trace)
    content = onnx_model(trace, arrays)
    back = network_from_onnx(content, name=sent.name)
    again = back.network.trace()
    ref = [
        (step.op, step.output_shape, step.params) for step in trace.steps if step.op != "dropout"
    ]
    assert ref == [(step.op, step.output_shape, step.params) for step in again.steps]
    samples = samples_for(trace, count=16)
    np.testing.assert_allclose(
        run_file(content, samples), run_onnx(again, back.arrays, samples), atol=1e-6
    )


def test_presets_come_back_in_the_same_words() -> None:
    for preset in ("lenet5", "resnet18"):
        trace = network(preset).trace()
        back = network_from_onnx(onnx_model(trace, arrays_for(trace))).network.trace()
        assert back.totals.params == trace.totals.params
        assert back.totals.macs == trace.totals.macs
        assert back.totals.receptive_field == trace.totals.receptive_field


def exported_by_torch(module: Any, shape: tuple[int, ...]) -> bytes:
    torch = pytest.importorskip("torch", reason="PyTorch exports; extra [bench]")
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # the exporter that needs no more packages
        torch.onnx.export(
            module, (torch.zeros(1, *shape),), out, dynamo=False, opset_version=13,
            input_names=["input"], dynamic_axes={"input": {0: "batch"}},
        )  # fmt: skip
    return out.getvalue()


def test_pytorch_s_own_flatten_order_is_turned_to_ours() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(3 * 3 * 2, 5), torch.nn.Softmax(dim=1),
    ).eval()  # fmt: skip
    back = network_from_onnx(exported_by_torch(module, (2, 8, 6)))
    words = "maxpool 2 name=layer2, flatten, dense 5 softmax name=layer4"
    assert to_notation(back.network).endswith(words)
    samples = samples_for(back.network.trace(), count=256)
    with torch.no_grad():
        ref = module(torch.tensor(samples)).numpy()
    got = run_onnx(back.network.trace(), back.arrays, samples)
    np.testing.assert_allclose(ref, got, atol=1e-6)


def test_what_the_notation_lacks_is_named() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch exports; extra [bench]")

    class Odd(torch.nn.Module):  # type: ignore[misc]  # PyTorch carries no types here
        def forward(self, x: Any) -> Any:
            return torch.sin(x)

    with pytest.raises(InputError, match=r"operator 1 Sin.*no such layer"):
        network_from_onnx(exported_by_torch(Odd(), (1, 4, 4)))


def test_hostile_files_get_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for content in (b"", b"not a model", b"\x08\x07" * 50, bytes(range(256))):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.onnx: this is no ONNX model"):
            read_onnx(path)
    with pytest.raises(InputError, match="No such file"):
        read_onnx(tmp_path / "missing.onnx")


def test_any_damage_ends_in_a_sentence() -> None:
    trace = parse_notation(RETURNING["plain"]).trace()
    whole = onnx_model(trace, arrays_for(trace))
    random = np.random.default_rng(8)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in random.integers(0, len(whole), 4):
            damaged[place] = random.integers(256)
        for place in random.integers(0, 600, 2):
            damaged[place] = random.integers(256)
        try:
            network_from_onnx(bytes(damaged))
        except ConvcliError:
            refused += 1
    assert refused > 100


def test_a_graph_without_outputs_or_inputs_gets_a_sentence() -> None:
    import onnx

    trace = parse_notation("input 4, dense 2").trace()
    whole = onnx.load_model_from_string(onnx_model(trace, arrays_for(trace)))
    for part, sentence in (("output", "names no output"), ("input", "graph has no input")):
        damaged = onnx.ModelProto()
        damaged.CopyFrom(whole)
        damaged.graph.ClearField(part)
        with pytest.raises(InputError, match=sentence):
            network_from_onnx(damaged.SerializeToString())


@pytest.mark.parametrize(
    "given",
    [
        {"output_shape": [8, 9]},
        {"output_shape": [9, 10], "auto_pad": "SAME_UPPER", "output_padding": [1, 0]},
        {"auto_pad": "SAME_LOWER"},
    ],
    ids=["sizes", "sizes, more after", "twice as large"],
)
def test_transposed_convolutions_are_read_by_what_they_give(given: dict[str, Any]) -> None:
    onnx = pytest.importorskip("onnx", reason="ONNX files; extra [onnx]")
    helper, random = onnx.helper, np.random.default_rng(0)
    weight = random.normal(size=(2, 3, 3, 4)).astype(np.float32)
    node = helper.make_node("ConvTranspose", ["input", "w"], ["y"], strides=[2, 2], **given)
    ends = ("input", 2, [4, 5]), ("y", 3, ["H", "W"])
    sizes = [helper.make_tensor_value_info(name, 1, ["N", channels, *axes])
             for name, channels, axes in ends]  # fmt: skip
    tensors = [onnx.numpy_helper.from_array(weight, "w")]
    graph = helper.make_graph([node], "net", sizes[:1], sizes[1:], tensors)
    opsets = [helper.make_opsetid("", 13)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=7).SerializeToString()
    back = network_from_onnx(content)
    samples = samples_for(back.network.trace(), count=4)
    np.testing.assert_allclose(
        run_onnx(back.network.trace(), back.arrays, samples),
        run_file(content, samples),
        atol=1e-5,
    )
