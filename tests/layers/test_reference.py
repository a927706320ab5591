"""Every single layer against PyTorch, Keras and ONNX (tests/reference/layers.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convcli.errors import InputError
from convcli.geometry import same_padding
from convcli.layers import (
    AdaptiveAveragePool,
    AveragePool,
    BatchNorm,
    ConcatChannels,
    Conv,
    Crop,
    Dense,
    DepthwiseConv,
    Flatten,
    GroupNorm,
    Layer,
    MaxPool,
    Pad,
    PixelShuffle,
    PixelUnshuffle,
    SeparableConv,
    TransposedConv,
    Unfold,
    Upsample,
)
from convcli.layers.base import Shape, elements
from convcli.net import Network
from convcli.net.dialects import in_dialect

CASES = json.loads((Path(__file__).parent.parent / "reference" / "layers.json").read_text())


def per_axis(value: int | list[int]) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def pairs(value: int | list[int]) -> tuple[tuple[int, int], ...]:
    return tuple((cells, cells) for cells in per_axis(value))


def channels_last(shape: list[int], layout: str, rank: int) -> Shape:
    """Return one sample: no batch, channels last."""
    sample = shape[-(rank + 1) :] if len(shape) > rank else shape
    if layout == "NHWC":
        return tuple(sample)
    channels, *spatial = sample
    return (*spatial, channels)


def torch_conv(args: dict[str, Any]) -> list[Layer]:
    padding = args.get("padding", 0)
    return [
        Conv(
            args["out_channels"],
            per_axis(args["kernel_size"]),
            per_axis(args.get("stride", 1)),
            padding if isinstance(padding, str) else pairs(padding),
            per_axis(args.get("dilation", 1)),
            args.get("groups", 1),
            args.get("bias", True),
            args.get("padding_mode", "zeros"),
        )
    ]


def keras_conv(args: dict[str, Any]) -> list[Layer]:
    return [
        Conv(
            args["filters"],
            per_axis(args["kernel_size"]),
            per_axis(args.get("strides", 1)),
            args.get("padding", "valid"),
            per_axis(args.get("dilation_rate", 1)),
            args.get("groups", 1),
        )
    ]


def conv(args: dict[str, Any]) -> list[Layer]:
    return keras_conv(args) if "filters" in args else torch_conv(args)


def torch_transposed(args: dict[str, Any]) -> list[Layer]:
    return [
        TransposedConv(
            args["out_channels"],
            per_axis(args["kernel_size"]),
            per_axis(args.get("stride", 1)),
            pairs(args.get("padding", 0)),
            per_axis(args.get("output_padding", 0)),
            per_axis(args.get("dilation", 1)),
            args.get("groups", 1),
        )
    ]


def pool(cls: type[MaxPool | AveragePool], args: dict[str, Any]) -> list[Layer]:
    size = per_axis(args.get("kernel_size", args.get("pool_size", 1)))
    stride = args.get("stride", args.get("strides"))
    padding = args.get("padding", 0)
    return [
        cls(
            size,
            per_axis(stride) if stride else (),
            padding if isinstance(padding, str) else pairs(padding),
            args.get("ceil_mode", False),
        )
    ]


def onnx_pads(args: dict[str, Any]) -> Any:
    if "auto_pad" in args:
        assert args["auto_pad"] == "SAME_UPPER"
        return "same"
    cells = args.get("pads", [0, 0, 0, 0])
    return tuple(zip(cells[: len(cells) // 2], cells[len(cells) // 2 :], strict=True))


def onnx_pool(cls: type[MaxPool | AveragePool], args: dict[str, Any]) -> list[Layer]:
    stride = per_axis(args["strides"])
    return [cls(per_axis(args["kernel_shape"]), stride, onnx_pads(args), bool(args["ceil_mode"]))]


def onnx_conv(args: dict[str, Any]) -> list[Layer]:
    filters, _, *kernel = args["weight_shape"]
    stride = per_axis(args.get("strides", 1))
    return [Conv(filters, tuple(kernel), stride, onnx_pads(args), bias=False)]


def onnx_transposed(args: dict[str, Any]) -> list[Layer]:
    _, filters, *kernel = args["weight_shape"]
    stride, extra = per_axis(args["strides"]), (0,)
    if "output_shape" in args:  # the reference input is 3x3: output padding makes up the rest
        extra = tuple(
            out - ((3 - 1) * step + size)
            for out, step, size in zip(args["output_shape"], stride, kernel, strict=True)
        )
    return [TransposedConv(filters, tuple(kernel), stride, onnx_pads(args), extra, bias=False)]


def zero_pad(args: dict[str, Any]) -> list[Layer]:
    if "padding" in args:
        return [Pad(tuple((before, after) for before, after in args["padding"]))]
    left, right, top, bottom = args["padding_lrtb"]
    grow = ((max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)))
    cut = ((max(-top, 0), max(-bottom, 0)), (max(-left, 0), max(-right, 0)))
    return [Pad(grow), Crop(cut)]


SEQUENCES: dict[str, list[Layer]] = {
    "depthwise_separable": [
        Conv(32, (3,), padding=((1, 1),), groups=32, bias=False),
        Conv(64, (1,), bias=False),
    ],
    "flatten_linear": [Flatten(), Dense(120)],
}

LAYERS_OF = {
    "conv1d": conv,
    "conv2d": conv,
    "conv3d": conv,
    "convtranspose1d": torch_transposed,
    "convtranspose2d": torch_transposed,
    "conv2dtranspose": lambda args: [
        TransposedConv(args["filters"], (args["kernel_size"],), (args["strides"],), args["padding"])
    ],
    "depthwiseconv2d": lambda args: [
        DepthwiseConv(
            (args["kernel_size"],),
            (args["strides"],),
            args["padding"],
            multiplier=args["depth_multiplier"],
        )
    ],
    "separableconv2d": lambda args: [
        SeparableConv(
            args["filters"],
            (args["kernel_size"],),
            padding=args["padding"],
            multiplier=args.get("depth_multiplier", 1),
        )
    ],
    "maxpool2d": lambda args: pool(MaxPool, args),
    "maxpool3d": lambda args: pool(MaxPool, args),
    "avgpool2d": lambda args: pool(AveragePool, args),
    "adaptiveavgpool2d": lambda args: [AdaptiveAveragePool((args["output_size"],))],
    "pixelshuffle": lambda args: [PixelShuffle(args["upscale_factor"])],
    "pixelunshuffle": lambda args: [PixelUnshuffle(args["downscale_factor"])],
    "unfold": lambda args: [
        Unfold((args["kernel_size"],), (args["stride"],), pairs(args["padding"]))
    ],
    "zeropad2d": zero_pad,
    "zeropadding2d": zero_pad,
    "cropping2d": lambda args: [Crop(tuple((one, two) for one, two in args["cropping"]))],
    "batchnorm2d": lambda args: [BatchNorm()],
    "batchnormalization": lambda args: [BatchNorm(scale=args["scale"])],
    "groupnorm": lambda args: [GroupNorm(args["num_groups"])],
    "upsampling2d": lambda args: [Upsample(tuple(args["size"]))],
    "dense": lambda args: [Dense(args["units"])],
    "onnx.MaxPool": lambda args: onnx_pool(MaxPool, args),
    "onnx.AveragePool": lambda args: onnx_pool(AveragePool, args),
    "onnx.Conv": onnx_conv,
    "onnx.ConvTranspose": onnx_transposed,
}


def rank_of(case: dict[str, Any]) -> int:
    shape = case["input_shape"]
    op = case["op"]
    if isinstance(shape[0], list):
        return len(shape[0]) - 2
    for rank, mark in ((1, "1d"), (2, "2d"), (3, "3d")):
        if mark in op:
            return rank
    return len(shape) - 2


SINGLE = [
    case
    for case in CASES
    if case["op"] not in {"concat", "concatenate"}
    and case["id"] not in {"flatten_linear_mismatch", "conv2d_channel_mismatch"}
]
FITTING = [case for case in SINGLE if case["expected_output_shape"]]
MISFITTING = [case for case in SINGLE if not case["expected_output_shape"]]


def network_of(case: dict[str, Any]) -> Network:
    layers = SEQUENCES.get(case["id"]) or LAYERS_OF[case["op"]](case["args"])
    rank = rank_of(case)
    network = Network(channels_last(case["input_shape"], case["layout"], rank), tuple(layers))
    return in_dialect(network, dialect_of(case))


def dialect_of(case: dict[str, Any]) -> str:
    return str(case["oracle"].split()[0])


@pytest.mark.parametrize("case", FITTING, ids=lambda case: str(case["id"]))
def test_shapes_params_and_macs(case: dict[str, Any]) -> None:
    trace = network_of(case).trace()
    out = case["expected_output_shape"]
    if case["op"] == "unfold":  # PyTorch gives the matrix with windows as columns
        ref: Shape = (out[2], out[1])
    else:
        rank = 0 if case["id"] == "flatten_linear" else rank_of(case)
        ref = channels_last(out, case["layout"], rank)
    assert trace.output_shape == ref
    totals = trace.totals
    if "trainable" in case:  # Keras counts running statistics as parameters
        assert totals.params + totals.buffers == case["expected_params"]
        assert (totals.trainable, totals.non_trainable) == (
            case["trainable"],
            case["non_trainable"],
        )
    else:
        assert totals.params == case["expected_params"]
    if "expected_macs" in case:
        assert totals.macs == case["expected_macs"]
    if "buffers" in case:
        assert totals.buffers + 1 == case["buffers"]  # PyTorch also counts the batches it saw


@pytest.mark.parametrize("case", MISFITTING, ids=lambda case: str(case["id"]))
def test_what_the_frameworks_refuse_is_refused_with_a_way_out(case: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"layer 1 \w+ `.+`: .+ (Use|Write|Move) "):
        network_of(case).trace()


def test_every_case_is_covered() -> None:
    by_hand = {
        "flatten_linear_mismatch",
        "conv2d_channel_mismatch",
        "concat_channels",
        "keras_concat",
    }
    assert len(CASES) == len(SINGLE) + len(by_hand) == 76


@pytest.mark.parametrize("name", ["concat_channels", "keras_concat"])
def test_concatenation(name: str) -> None:
    (case,) = [case for case in CASES if case["id"] == name]
    shapes = tuple(channels_last(shape, case["layout"], 2) for shape in case["input_shape"])
    ref = channels_last(case["expected_output_shape"], case["layout"], 2)
    assert ConcatChannels().joined_shape(shapes) == ref


def test_mismatched_weights_cannot_be_described() -> None:
    """Channels and features are never written twice here, so that they cannot contradict."""
    assert Conv(8, (3, 3)).weights((28, 28, 1))["kernel"] == (3, 3, 1, 8)
    assert Dense(120).weights((256,))["kernel"] == (256, 120)


@pytest.mark.parametrize("case", [case for case in CASES if "pads" in case], ids=lambda c: c["id"])
def test_same_pads_after_first(case: dict[str, Any]) -> None:
    args, size = case["args"], case["input_shape"][1]
    got = same_padding(
        size, args["kernel_size"], args.get("strides", 1),
        args.get("dilation_rate", 1),
    )  # fmt: skip
    assert got == (case["pads"]["left"], case["pads"]["right"])


def test_elements_of_a_scalar_shape() -> None:
    assert elements(()) == 1
