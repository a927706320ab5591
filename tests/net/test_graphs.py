"""Networks that are no chain: named points, several inputs and outputs, crops that fit themselves.

On paper and in numbers, each against the same network in PyTorch with the same weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcli.cli import main as door
from convcli.errors import InputError, UsageError
from convcli.learn.model import Model
from convcli.net import parse_notation, to_notation
from convcli.present.network_diagram import diagram
from tests.vision import models

PYRAMID = """input 16x24x8
c3: input 8x12x16
c4: input 4x6x32
top: conv 6 1, p4: conv 6 3 p1
from top, upsample 2, middle: residual( | from c3, conv 6 1), p3: conv 6 3 p1
from middle, upsample 2, residual( | from input, conv 6 1), p2: conv 6 3 p1"""
"""The pyramid over maps of three sizes (Lin et al., Feature Pyramid Networks, 2017)."""

NESTED = """let node(c) = (conv {c} 3 p1 relu)
input 16x16x3
a0: conv 4 3 p1 relu
b0: maxpool 2, bx: conv 8 3 p1 relu
maxpool 2, conv 16 3 p1 relu
upsample 2, concat(from bx | ), b1: conv 8 3 p1 relu
from bx, upsample 2, concat(from a0 | ), a1: conv 4 3 p1 relu
from b1, upsample 2, concat(from a0 | from a1 | ), a2: conv 4 3 p1 relu
from a1, mask1: conv 2 1
from a2, mask2: conv 2 1"""
"""U-Net++ of three levels with deep supervision (Zhou et al. 2018)."""


def random_model(text: str) -> Model:
    model = Model.initialize(parse_notation(text), seed=4)
    random = np.random.default_rng(1)
    for array in model.parameters.values():
        array[...] = random.uniform(-0.5, 0.5, array.shape)
    return model


def channels_first(array: Any) -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    return torch.from_numpy(np.ascontiguousarray(array)).movedim(-1, 1)


def samples(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(2)
    return [random.random((5, *shape), np.float32) for shape in shapes]


def test_a_feature_pyramid_is_torchvisions() -> None:
    models()
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    from torchvision.ops import FeaturePyramidNetwork

    model = random_model(PYRAMID)
    peer = FeaturePyramidNetwork([8, 16, 32], 6)
    names = {
        "inner_blocks.0.0": "residual2.conv1", "inner_blocks.1.0": "middle.conv1",
        "inner_blocks.2.0": "top", "layer_blocks.0.0": "p2", "layer_blocks.1.0": "p3",
        "layer_blocks.2.0": "p4",
    }  # fmt: skip
    state = {}
    for theirs, ours in names.items():
        kernel = model.parameters[f"{ours}.kernel"]
        state[f"{theirs}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        state[f"{theirs}.bias"] = torch.from_numpy(model.parameters[f"{ours}.bias"].copy())
    peer.load_state_dict(state)
    assert model.trace.totals.params == sum(p.numel() for p in peer.parameters())
    maps = samples((16, 24, 8), (8, 12, 16), (4, 6, 32))
    got = model.outputs(dict(zip(("input", "c3", "c4"), maps, strict=True)))
    with torch.no_grad():
        ref = peer(dict(zip(("p2", "p3", "p4"), map(channels_first, maps), strict=True)))
    assert got.keys() == ref.keys()
    for name, array in got.items():
        np.testing.assert_allclose(array, ref[name].movedim(1, -1).numpy(), atol=1e-5)


def test_a_nested_u_net_answers_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the peer of this test")
    from torch.nn import functional

    model = random_model(NESTED)
    arrays = model.parameters

    def conv(name: str, x: Any, pad: int = 1) -> Any:
        kernel = torch.from_numpy(arrays[f"{name}.kernel"].transpose(3, 2, 0, 1).copy())
        return functional.conv2d(x, kernel, torch.from_numpy(arrays[f"{name}.bias"]), padding=pad)

    def up(x: Any) -> Any:
        return functional.interpolate(x, scale_factor=2)

    (pictures,) = samples((16, 16, 3))
    a0 = conv("a0", channels_first(pictures)).relu()
    b0 = conv("bx", functional.max_pool2d(a0, 2)).relu()
    c0 = conv("conv3", functional.max_pool2d(b0, 2)).relu()
    b1 = conv("b1", torch.cat([b0, up(c0)], 1)).relu()
    a1 = conv("a1", torch.cat([a0, up(b0)], 1)).relu()
    a2 = conv("a2", torch.cat([a0, a1, up(b1)], 1)).relu()
    got = model.outputs(pictures)
    for name, map_ in (("mask1", a1), ("mask2", a2)):
        ref = conv(name, map_, pad=0).movedim(1, -1).numpy()
        np.testing.assert_allclose(got[name], ref, atol=1e-5)


def test_the_heads_of_yolo_are_all_predicted() -> None:
    from convcli.net import network

    model = Model.initialize(network("yolo-v3-tiny", input_shape=(64, 96, 3)))
    got = model.outputs(np.zeros((2, 64, 96, 3), np.float32))
    assert {name: array.shape for name, array in got.items()} == {
        "boxes13": (2, 2, 3, 255), "boxes26": (2, 4, 6, 255)
    }  # fmt: skip


def test_paper_knows_inputs_outputs_and_fields() -> None:
    trace = parse_notation(PYRAMID).trace()
    assert trace.inputs == {"input": (16, 24, 8), "c3": (8, 12, 16), "c4": (4, 6, 32)}
    assert [step.name for step in trace.outputs] == ["p4", "p3", "p2"]
    assert trace.step("top").receptive_field == (1, 1)  # on its own input
    assert trace.step("p2").receptive_field == (3, 3)  # on the first one
    told = " ".join(trace.notes)
    assert "Beside its first input the network has c3 8x12x16, c4 4x6x32." in told
    assert "3 outputs: p4 4x6x6, p3 8x12x6, p2 16x24x6" in told
    assert parse_notation(to_notation(parse_notation(PYRAMID))) == parse_notation(PYRAMID)
    assert diagram(trace).count("<polyline") == 12


def test_what_needs_one_input_and_output_says_so() -> None:
    model = random_model(PYRAMID)
    one, *_ = samples((16, 24, 8))
    for call in (model.predict, model.logits, model.activations):
        with pytest.raises(InputError, match="has 3 inputs"):
            call(one)
    with pytest.raises(InputError, match="reads input 16x24x8, c3 8x12x16, c4 4x6x32, and got inp"):
        model.outputs(one)
    two = parse_notation("input 4, a: dense 3, from input, dense 2")
    with pytest.raises(InputError, match=r"has 2 outputs \(a, dense2\)"):
        Model.initialize(two).predict(np.zeros((1, 4), np.float32))
    uneven = dict(zip(("input", "c3", "c4"), samples((16, 24, 8), (8, 12, 16), (4, 6, 32)),
                      strict=True))  # fmt: skip
    with pytest.raises(InputError, match="one type and as many samples"):
        model.outputs(uneven | {"c4": uneven["c4"][:2]})


def test_training_such_a_network_is_refused(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    heads = "input 28x28x1, conv 2 3, gap, a: dense 10 softmax, from a, dense 10 softmax"
    heads = heads.replace("from a", "from conv1, gap")
    place = ["--data", "digits", "--out", str(tmp_path / "run"), "--quiet"]
    assert door.run(["train", heads, *place]) == 3
    assert "has 2 outputs (a, dense2), and what is trained has one" in capfd.readouterr().err
    pair = "input 28x28x1, conv 2 3, gap, b: input 2, residual( | from gap1), dense 10 softmax"
    assert door.run(["train", pair, *place]) == 3
    assert "has 2 inputs (input, b), and what is trained has one" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


def test_predict_shows_every_output(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = "input 4x5x1, a: conv 2 3, from input, flatten, b: dense 3"
    model = random_model(text)
    np.savez(tmp_path / "arrays.npz", **model.parameters)
    (tmp_path / "two.net").write_text(text)
    made = [str(tmp_path / name) for name in ("arrays.npz", "two.net", "two.safetensors")]
    importing = ["import", made[0], "--network", made[1], "-o", made[2], "--scale", "1"]
    assert door.run([*importing, "--outputs", "values", "--quiet"]) == 0
    (sample,) = samples((4, 5, 1))[0][:1]
    np.save(tmp_path / "one.npy", sample[..., 0])
    capfd.readouterr()
    assert door.run(["predict", made[2], str(tmp_path / "one.npy"), "--format", "json"]) == 0
    (got,) = json.loads(capfd.readouterr().out)
    for name, array in model.outputs(sample[None]).items():
        np.testing.assert_allclose(got["values"][name], array[0], rtol=1e-6)
    assert door.run(["export", made[2], "-o", str(tmp_path / "two.onnx")]) == 3
    assert "has 2 outputs (a, b), and an exported graph has one" in capfd.readouterr().err
    assert door.run(["predict", made[2], str(tmp_path / "one.npy")]) == 0
    assert "a: a map of 2 rows" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("block", "cells"),
    [
        ("concat( | from a, crop)", (1, 1)),
        ("residual(crop | conv 4 3)", (1, 1)),
        ("concat(conv 4 5 | crop | conv 4 3, crop)", (2, 2)),
        ("concat(crop | maxpool 4)", (11, 12)),
    ],
)
def test_a_crop_fits_itself_to_the_other_branch(block: str, cells: tuple[int, int]) -> None:
    start = "input 32x32x3, a: conv 4 3, " + ("conv 4 3, " if "from a" in block else "")
    trace = parse_notation(start + block).trace()
    crops = [step for step in trace.steps if step.op == "crop"]
    assert crops[0].layer.cells == (cells, cells)  # type: ignore[attr-defined]  # a crop
    assert parse_notation(to_notation(trace.network)).trace().steps == trace.steps
    model = Model.initialize(trace.network)
    assert np.isfinite(model.predict(samples((32, 32, 3))[0])).all()


def test_a_crop_without_a_shortcut_or_with_a_smaller_map_says_what_to_do() -> None:
    with pytest.raises(InputError, match="stands at its end: concat"):
        parse_notation("input 9x9x1, crop").trace()
    with pytest.raises(InputError, match=r"7x7x2 does not hold 9x9. Put `crop` at the end of"):
        parse_notation("input 9x9x1, residual( | conv 2 3, crop)").trace()
    with pytest.raises(UsageError, match="one more has a name: right: input 16x16x3"):
        parse_notation("input 9x9x1, conv 2 3, input 3x3x1")
