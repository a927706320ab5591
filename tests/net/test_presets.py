"""Every preset against figures that PyTorch and Keras printed (tests/reference/networks.json)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from convcli.errors import InputError, UsageError
from convcli.layers.base import Shape
from convcli.net import network, parse_notation, preset_names, preset_text, to_notation
from convcli.net.trace import Trace
from tests.vision import models

REFERENCE = json.loads((Path(__file__).parent.parent / "reference" / "networks.json").read_text())
NETS = REFERENCE["nets"]

PRESET_OF = {
    "alexnet_orig_ungrouped_227": "alexnet",
    "vgg11": "vgg11",
    "vgg16": "vgg16",
    "googlenet_paper_caffe": "googlenet",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "inception_v3_torchvision_noaux_299": "inception-v3",
    "mobilenet_v1": "mobilenet-v1",
    "squeezenet1_1": "squeezenet",
    "densenet121": "densenet121",
    "unet_572_valid": "unet",
    "lenet5_modern_32": "lenet5",
}

# Parameters as printed by torchvision's model pages, the lectures and Keras; None: no such source.
PUBLISHED_PARAMS = {
    "mnist": 30_762,
    "rps": 56_867,
    "lenet5-keras": 545_546,
    "alexnet-torchvision": 61_100_840,
    "vgg13": 133_047_848,
    "vgg19": 143_667_240,
    "vgg11-bn": 132_868_840,
    "vgg13-bn": 133_053_736,
    "vgg16-bn": 138_365_992,
    "vgg19-bn": 143_678_248,
    "resnet34": 21_797_672,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "mobilenet-v2": 3_504_872,
    # of modules written from the papers, see test_preset_twins.py
    "se-resnet50": 28_088_024,
    "fcn-8s": 134_489_759,
    "yolo-v3-tiny": 8_852_366,
    "densenet-bc-100": 769_162,
    "wrn-28-10": 36_479_194,
    "c3d": 79_991_015,
}

TORCHVISION = {
    "alexnet-torchvision": "alexnet",
    **{f"vgg{depth}": f"vgg{depth}" for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}-bn": f"vgg{depth}_bn" for depth in (11, 13, 16, 19)},
    **{f"resnet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    "resnext50": "resnext50_32x4d",
    "wide-resnet50-2": "wide_resnet50_2",
    "densenet121": "densenet121",
    "squeezenet": "squeezenet1_1",
    "mobilenet-v2": "mobilenet_v2",
    "mobilenet-v3-large": "mobilenet_v3_large",
    "mobilenet-v3-small": "mobilenet_v3_small",
    "efficientnet-b0": "efficientnet_b0",
    "shufflenet-v2": "shufflenet_v2_x1_0",
    "regnety": "regnet_y_400mf",
    "convnext-tiny": "convnext_tiny",
    "vit-b-16": "vit_b_16",
}
"""Presets and the functions of torchvision that build the same network."""

FAMILIES = {
    "mobilenet-v2:width=35": ("mobilenet_v2", {"width_mult": 0.35}),
    "mobilenet-v2:width=140": ("mobilenet_v2", {"width_mult": 1.4}),
    "resnet50:width=128": ("wide_resnet50_2", {}),
    "resnext50:groups=16:width=8": ("resnet50", {"groups": 16, "width_per_group": 8}),
    "mobilenet-v3-large width=75": ("mobilenet_v3_large", {"width_mult": 0.75}),
    "mobilenet-v3-large width=125": ("mobilenet_v3_large", {"width_mult": 1.25}),
    "mobilenet-v3-small width=50 classes=10": (
        "mobilenet_v3_small", {"width_mult": 0.5, "num_classes": 10},
    ),
    "shufflenet-v2 width=50": ("shufflenet_v2_x0_5", {}),
    "shufflenet-v2 width=150": ("shufflenet_v2_x1_5", {}),
    "shufflenet-v2 width=200": ("shufflenet_v2_x2_0", {}),
    "regnety-800mf": ("regnet_y_800mf", {}),
    "regnety mf=1600": ("regnet_y_1_6gf", {}),
    "regnety mf=3200": ("regnet_y_3_2gf", {}),
    "regnety mf=8000": ("regnet_y_8gf", {}),
    "regnety mf=16000": ("regnet_y_16gf", {}),
    "regnety-32000mf": ("regnet_y_32gf", {}),
    "efficientnet-b0 depth=110": ("efficientnet_b1", {}),
    "efficientnet-b0 width=110 depth=120": ("efficientnet_b2", {}),
    "efficientnet-b0 width=200 depth=310": ("efficientnet_b7", {}),
    "convnext-tiny depth=27": ("convnext_small", {}),
    "convnext-tiny width=128 depth=27": ("convnext_base", {}),
    "vit-b-16 patch=32": ("vit_b_32", {}),
    "vit-b-16 width=1024 depth=24 heads=16": ("vit_l_16", {}),
    "densenet121 depth=161": ("densenet161", {}),
    "densenet121 depth=201": ("densenet201", {}),
    "resnet50 depth=101": ("resnet101", {}),
    "resnext50 depth=101 width=8": ("resnext101_32x8d", {}),
    "resnext50 depth=101 groups=64": ("resnext101_64x4d", {}),
    "wide-resnet50-2 depth=101": ("wide_resnet101_2", {}),
    "squeezenet classes=7": ("squeezenet1_1", {"num_classes": 7}),
}  # fmt: skip
"""Presets with variables, and the functions of torchvision that build the same network."""

ROW_OF = {
    "Conv2d": {"conv", "dwconv"},
    "ConvTranspose2d": {"upconv"},
    "MaxPool2d": {"maxpool"},
    "AvgPool2d": {"avgpool"},
    "AdaptiveAvgPool2d": {"gap", "adaptavg"},
}


def channels_last(shape: list[int]) -> Shape:
    channels, *spatial = shape
    return (channels,) if set(spatial) == {1} else (*spatial, channels)


def test_every_preset_has_a_source_for_its_figures() -> None:
    without = {"har", "occupancy", "har-lstm", "occupancy-lstm"}  # counted by hand below
    assert set(preset_names()) == {
        *PRESET_OF.values(), *PUBLISHED_PARAMS, *TORCHVISION, *without
    }  # fmt: skip


@pytest.mark.parametrize("key", PRESET_OF)
def test_totals_are_those_of_the_reference(key: str) -> None:
    ref = NETS[key]
    trace = network(PRESET_OF[key]).trace()
    got = trace.totals
    assert got.params == ref["params"]
    assert got.macs == ref["macs"]
    assert got.buffers == ref["bn_buffers"]
    dense = sum(step.macs for step in trace.steps if step.op == "dense")
    if key != "lenet5_modern_32":  # C5 is a dense layer there and a 5x5 convolution here
        assert (got.macs - dense, dense) == (ref["macs_conv"], ref["macs_linear"])


@pytest.mark.parametrize("key", PRESET_OF)
def test_every_listed_stage_has_its_shape(key: str) -> None:
    rows = iter(network(PRESET_OF[key]).trace().steps)
    for _, op, shape in NETS[key]["stages"]:
        ref = channels_last(shape)
        assert any(row.op in ROW_OF[op] and row.output_shape == ref for row in rows), (op, shape)


@pytest.mark.parametrize("key", sorted(PRESET_OF.keys() - {"unet_572_valid", "lenet5_modern_32"}))
def test_the_receptive_field_is_that_of_the_reference(key: str) -> None:
    ref = NETS[key]["receptive_field"]
    got = network(PRESET_OF[key]).trace().totals
    assert got.receptive_field == got.receptive_field_min == (ref["size"],) * 2
    assert got.stride == (ref["effective_stride"],) * 2
    assert got.padding == (ref["effective_padding_left"],) * 2
    assert (ref["size"] - 1) / 2 - got.padding[0] == ref["centre_of_first_output"]


def test_the_field_of_lenet5_before_its_dense_layers() -> None:
    ref = NETS["lenet5_modern_32"]["receptive_field"]
    got = network("lenet5").trace().step("avgpool2")
    assert got.receptive_field == (ref["size"],) * 2
    assert got.stride == (ref["effective_stride"],) * 2


def test_the_decoder_of_unet_has_a_range_of_fields() -> None:
    ref = NETS["unet_572_valid"]["receptive_field"]
    last = network("unet").trace().steps[-1]
    assert last.receptive_field == (ref["rf_max"],) * 2
    assert last.receptive_field_min == (ref["rf_min"],) * 2
    assert last.fields is not None
    field = last.fields[0]
    sizes = [field.span(cell)[1] - field.span(cell)[0] + 1 for cell in range(16)]
    assert sorted(sizes) == sorted(ref["sizes_period16"])
    assert list(field.span(0)) == ref["first"]
    assert list(field.span(387)) == ref["last"]


@pytest.mark.parametrize(("name", "ref"), PUBLISHED_PARAMS.items())
def test_published_parameters(name: str, ref: int) -> None:
    assert network(name).trace().totals.params == ref


def test_the_smallest_of_the_rps_family() -> None:
    assert network("rps:n=1").trace().totals.params == 2_687


@pytest.mark.parametrize("module", REFERENCE["googlenet_modules"])
def test_the_modules_of_googlenet(module: str) -> None:
    ref = REFERENCE["googlenet_modules"][module]
    trace = network("googlenet").trace()
    own = {"stem.0": "conv1", "stem.4": "conv2", "stem.6": "conv3", "fc": "dense1"}
    name = own.get(module, module.replace("i", "inception") + ".")
    steps = [step for step in trace.steps if step.name.startswith(name)]
    if module in own:
        steps = [trace.step(name)]
    assert sum(step.params for step in steps) == ref["params_with_bias"]
    assert sum(step.macs for step in steps) == ref["macs"]
    kernels = [shape for step in steps for key, shape in step.weights.items() if key == "kernel"]
    assert sum(_product(shape) for shape in kernels) == ref["weights_only"]


def _product(shape: Shape) -> int:
    total = 1
    for extent in shape:
        total *= extent
    return total


def test_two_lectures_networks_by_hand() -> None:
    def dense(inputs: int, outputs: int) -> int:
        return inputs * outputs + outputs

    har = 3 * 9 * 64 + 64 + 3 * 64 * 64 + 64 + dense(62 * 64, 100) + dense(100, 6)
    assert network("har").trace().totals.params == har
    occupancy = 3 * 5 * 16 + 16 + 3 * 16 * 32 + 32 + dense(3 * 32, 32) + dense(32, 1)
    assert network("occupancy").trace().totals.params == occupancy
    lstm = 4 * (64 * (9 + 64) + 64) + dense(64, 100) + dense(100, 6)
    assert network("har-lstm").trace().totals.params == lstm
    lstm = 4 * (32 * (5 + 32) + 32) + dense(32, 32) + dense(32, 1)
    assert network("occupancy-lstm").trace().totals.params == lstm


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_written_down_reads_the_same(name: str) -> None:
    ref = network(name)
    assert parse_notation(to_notation(ref)) == ref


@pytest.mark.parametrize("name", preset_names())
def test_figures_add_up(name: str) -> None:
    trace: Trace = network(name).trace()
    for step in trace.steps:
        assert sum(step.flops_breakdown.values()) == step.flops
        assert step.params == sum(map(_product, step.weights.values()))
        assert all(source < step.index for source in step.sources)
    assert sum(trace.totals.flops_breakdown.values()) == trace.totals.flops


# The Distill article measured the TF-Slim forms: `same` padding with TensorFlow's rule throughout.
ALEXNET_V2 = """input 231x231x3, conv 64 11 s4, maxpool 3 s2, conv 192 5 same, maxpool 3 s2,
conv 384 3 same, conv 384 3 same, conv 256 3 same, maxpool 3 s2"""

MOBILENET_SAME = "input 224x224x3, conv 32 3 s2 same, " + ", ".join(
    f"dwconv 3 s{stride} same, conv {width} 1"
    for stride, width in [
        (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512),
        *[(1, 512)] * 5, (2, 1024), (1, 1024),
    ]
)  # fmt: skip


def _resnet_v1_50() -> str:
    """TF-Slim puts the stride on the last unit of a block, and pads strided kernels by hand."""
    parts = ["input 224x224x3, pad 3, conv 64 7 s2, maxpool 3 s2 same"]
    for units, width, last_stride in [(3, 64, 2), (4, 128, 2), (6, 256, 2), (3, 512, 1)]:
        for unit in range(units):
            stride = last_stride if unit == units - 1 else 1
            middle = f"conv {width} 3 same" if stride == 1 else f"pad 1, conv {width} 3 s{stride}"
            body = f"conv {width} 1, {middle}, conv {4 * width} 1"
            shortcut = f"maxpool 1 s{stride}" if unit else f"conv {4 * width} 1 s{stride}"
            parts.append(f"residual({body} | {shortcut})")
    return ", ".join(parts)


def _inception_v2() -> str:
    """Branches 1x1, 3x3, double 3x3 and pool; reductions without the first and the last 1x1."""

    def module(one: int, two: str, three: str, four: int, pool: str = "avgpool") -> str:
        low2, high2 = two.split()
        low3, high3 = three.split()
        return (
            f"concat(conv {one} 1 | conv {low2} 1, conv {high2} 3 same"
            f" | conv {low3} 1, conv {high3} 3 same, conv {high3} 3 same"
            f" | {pool} 3 s1 same, conv {four} 1)"
        )

    def reduction(two: str, three: str) -> str:
        low2, high2 = two.split()
        low3, high3 = three.split()
        return (
            f"concat(conv {low2} 1, conv {high2} 3 s2 same"
            f" | conv {low3} 1, conv {high3} 3 same, conv {high3} 3 s2 same | maxpool 3 s2 same)"
        )

    parts = [
        "input 224x224x3, sepconv 64 7 s2 same m8, maxpool 3 s2 same",
        "conv 64 1, conv 192 3 same, maxpool 3 s2 same",
        module(64, "64 64", "64 96", 32),
        module(64, "64 96", "64 96", 64),
        reduction("128 160", "64 96"),
        module(224, "64 96", "96 128", 128),
        module(192, "96 128", "96 128", 128),
        module(160, "128 160", "128 160", 96),
        module(96, "128 192", "160 192", 96),
        reduction("128 192", "192 256"),
        module(352, "192 320", "160 224", 128),
        module(352, "192 320", "192 224", 128, pool="maxpool"),
    ]
    return ", ".join(parts)


@pytest.mark.parametrize(
    ("text", "net"),
    [
        (_inception_v2(), "inception_v2"),
        ("vgg16", "vgg_16"),
        (ALEXNET_V2, "alexnet_v2"),
        (MOBILENET_SAME, "mobilenet_v1"),
        (_resnet_v1_50(), "resnet_v1_50"),
    ],
)
def test_the_rows_of_the_distill_article(text: str, net: str) -> None:
    rows = REFERENCE["receptive_fields_of_the_Distill_article"]
    (ref,) = [row for row in rows if row["net"] == net]
    got = network(text).trace().totals
    assert got.receptive_field == (ref["rf"],) * 2
    assert got.stride == (ref["stride"],) * 2
    assert got.padding == (ref["pad"],) * 2


@pytest.mark.parametrize("name", ["alexnet-torchvision", "vgg16", "densenet121"])
def test_the_smallest_input_is_that_of_torchvision(name: str) -> None:
    ref = REFERENCE["min_input_size"][name.removesuffix("-torchvision")]["min_size"]
    network(name, input_shape=(ref, ref, 3)).trace()
    with pytest.raises(InputError, match="does not fit input"):
        network(name, input_shape=(ref - 1, ref - 1, 3)).trace()


@pytest.mark.parametrize("name", ["a(1).net", "a,b.net"])
def test_an_existing_file_is_no_notation_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "input 4, dense 2 softmax"
    (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert to_notation(network(name)) == text
    assert to_notation(network(str(tmp_path / name))) == text


@pytest.mark.parametrize("preset", [*TORCHVISION, *FAMILIES])
def test_parameters_and_macs_are_those_of_torchvision(preset: str) -> None:
    """MACs are half of what PyTorch's own counter of floating-point operations says."""
    built = models()
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    name, settings = FAMILIES.get(preset) or (TORCHVISION[preset], {})
    with torch.device("meta"), meta_widths(built):
        module = getattr(built, name)(**settings).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(1, 3, 224, 224, device="meta"))
    totals = network(preset).trace().totals
    assert totals.params == sum(array.numel() for array in module.parameters())
    assert 2 * totals.macs == counter.get_total_flops()


@contextmanager
def meta_widths(built: Any) -> Iterator[None]:
    """RegNet computes its widths with tensors, which need numbers while all others need none."""
    import torch

    params = built.regnet.BlockParams
    made = params.from_init_params

    def on_paper(*given: Any, **named: Any) -> Any:
        with torch.device("cpu"):
            return made(*given, **named)

    params.from_init_params = on_paper
    try:
        yield
    finally:
        params.from_init_params = made


def test_a_size_in_a_preset_name_is_its_variable() -> None:
    assert network("regnety-800mf") == network("RegNetY_800MF") == network("regnety mf=800")
    assert preset_text("regnety-800mf") == preset_text("regnety").replace("mf = 400", "mf = 800")
    assert "let depth = 101" in preset_text("resnet50 depth=101")
    with pytest.raises(UsageError, match="700 is none of 400, 800, 1600"):
        network("regnety-700mf")
    with pytest.raises(UsageError, match=r"no variable 'wdth' .*Did you mean width"):
        preset_text("resnet50 wdth=3")


def test_two_presets_are_each_others_depth() -> None:
    for depth in (101, 152):
        assert network(f"resnet50 depth={depth}") == network(f"resnet{depth}")


def test_presets_take_what_their_family_has() -> None:
    def params(source: str) -> int:
        return network(source).trace().totals.params

    assert params("resnet50:classes=10") == params("resnet50") - 990 * 2049
    assert params("wrn-28-10:depth=16:k=8:classes=100") == 11_007_540
    assert params("densenet-bc-100:depth=40") == 176_122
    assert params("vit-b-16:depth=1") < params("vit-b-16") / 8


def test_mobilenet_v1_in_half_width_is_the_papers() -> None:
    """Howard et al. 2017, table 6: 1.3 million parameters; U-Net of half the width is a quarter."""
    assert round(network("mobilenet-v1:width=50").trace().totals.params / 1e6, 1) == 1.3
    half, whole = (network(f"unet:width={n}").trace().totals.params for n in (32, 64))
    assert half == pytest.approx(whole / 4, rel=0.01)


def test_two_outputs_are_both_there() -> None:
    trace = network("yolo-v3-tiny").trace()
    assert trace.step("boxes13").output_shape == (13, 13, 255)
    assert trace.output_shape == (26, 26, 255)
    assert network("fcn-8s").trace().output_shape == (500, 500, 21)
