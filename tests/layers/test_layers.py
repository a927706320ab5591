"""Every layer: the table is complete, and its counts are those of a loop that really runs."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings, strategies as st

import convcli.layers as room
from convcli.layers import (
    LSTM,
    Conv,
    Dense,
    DepthwiseConv,
    SeparableConv,
    ShapeError,
    TransposedConv,
)
from convcli.layers.activation import KINDS, OPS_PER_ELEMENT
from convcli.layers.base import Shape
from convcli.layers.registry import WORDS
from convcli.net import parse_notation
from convcli.net.words import FLAGS

WITHOUT_A_WORD = {
    *("ActivatedLayer", "Join", "Layer", "ShapeError"),  # no layers
    *("Add", "ConcatChannels", "Multiply", "Product"),  # rows that close a block
    *("Residual", "Concat", "From", "Mul", "Repeat", "Scale"),  # blocks
    "Unfold",  # on paper alone
}
ROLES = {
    "input",
    "conv",
    "pool",
    "dense",
    "norm",
    "activation",
    "dropout",
    "rearrange",
    "recurrent",
}


def test_every_layer_has_its_word() -> None:
    named = {row.layer.__name__ for row in WORDS.values()}
    public = {name for name, value in vars(room).items() if isinstance(value, type)}
    assert public - named == WITHOUT_A_WORD
    assert named <= public, "name it in `__all__` of its file"
    assert {row.layer.role for row in WORDS.values()} == ROLES


@pytest.mark.parametrize("word", WORDS)
def test_every_field_can_be_written(word: str) -> None:
    row = WORDS[word]
    fields = {field.name: field for field in dataclasses.fields(row.layer)}
    assert {*row.positional, *row.options} == {*fields} - {"name", *row.fixed, *row.layer.unsaid}
    assert {*row.layer.unsaid} <= {*fields}
    for name in row.options:
        if fields[name].type == "bool":
            assert name in FLAGS.values(), f"no bare word for {name}"
    assert row.about
    assert ">>>" in (row.layer.__doc__ or ""), f"{row.layer.__name__} has no example"


def test_every_activation_has_its_cost() -> None:
    assert set(OPS_PER_ELEMENT) == {*KINDS, "prelu"}
    for kind in KINDS:
        assert kind in WORDS


def places(shape: Shape) -> itertools.product[tuple[int, ...]]:
    return itertools.product(*map(range, shape))


def loop_conv(layer: Conv, input_shape: Shape) -> tuple[int, int]:
    """Run the loops of a convolution; return output cells and multiply-accumulates."""
    height, width, channels = input_shape
    kernel_h, kernel_w = layer.kernel
    none = ((0, 0), (0, 0))
    (top, bottom), (left, right) = none if isinstance(layer.padding, str) else layer.padding
    macs = cells = 0
    row = 0
    while row + (kernel_h - 1) * layer.dilation[0] < height + top + bottom:
        column = 0
        while column + (kernel_w - 1) * layer.dilation[1] < width + left + right:
            for _ in range(layer.filters):
                cells += 1
                for _ in places((kernel_h, kernel_w, channels // layer.groups)):
                    macs += 1
            column += layer.stride[1]
        row += layer.stride[0]
    return cells, macs


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_macs_of_a_convolution_are_those_of_its_loops(data: st.DataObject) -> None:
    draw = data.draw
    groups = draw(st.sampled_from([1, 2]))
    layer = Conv(
        filters=groups * draw(st.integers(1, 2)),
        kernel=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        stride=(draw(st.integers(1, 2)), draw(st.integers(1, 3))),
        padding=((draw(st.integers(0, 1)), 1), (0, draw(st.integers(0, 2)))),
        dilation=(draw(st.integers(1, 2)), 1),
        groups=groups,
    )
    shape = (draw(st.integers(1, 7)), draw(st.integers(1, 7)), groups * draw(st.integers(1, 2)))
    cells, macs = loop_conv(layer, shape)
    if not cells:
        with pytest.raises(ShapeError):
            layer.output_shape(shape)
        return
    out = layer.output_shape(shape)
    assert out[0] * out[1] * out[2] == cells
    assert layer.macs(shape) == macs
    assert layer.flops(shape) == {"conv": 2 * macs, "bias": cells}


def test_macs_of_the_other_convolutions_by_their_loops() -> None:
    shape = (5, 6, 4)
    depthwise = DepthwiseConv((3, 3), multiplier=2)
    outputs = list(places((3, 4, 4 * 2)))
    assert depthwise.output_shape(shape) == (3, 4, 8)
    assert depthwise.macs(shape) == sum(1 for _ in outputs for _ in places((3, 3)))

    separable = SeparableConv(5, (3, 3), multiplier=2)
    second = sum(1 for _ in places((3, 4, 5)) for _ in range(8))
    assert separable.macs(shape) == depthwise.macs(shape) + second

    transposed = TransposedConv(6, (2, 3), (2, 2), groups=2)
    spread = sum(1 for _ in places(shape) for _ in places((2, 3)) for _ in range(6 // 2))
    assert transposed.macs(shape) == spread


def test_macs_of_dense_and_lstm_by_their_loops() -> None:
    assert Dense(7).macs((5,)) == sum(1 for _ in range(7) for _ in range(5))
    steps, inputs, units = 6, 3, 4
    loops = sum(
        1
        for _ in range(steps)
        for _ in range(4 * units)
        for _ in itertools.chain(range(inputs), range(units))
    )
    assert LSTM(units).macs((steps, inputs)) == loops


def test_parameters_of_an_lstm_in_both_dialects() -> None:
    """Keras: 4 * (9 + 64 + 1) * 64 = 18,944; PyTorch has a second bias."""
    text = "input 128x9, lstm 64"
    assert parse_notation(text).trace().totals.params == 18_944
    assert parse_notation(text).trace(dialect="torch").totals.params == 18_944 + 256


def test_the_lstm_is_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="parameters are held against PyTorch")
    ref = torch.nn.LSTM(9, 64, batch_first=True)
    trace = parse_notation("input 128x9, lstm 64 seq").trace(dialect="torch")
    assert trace.totals.params == sum(array.numel() for array in ref.parameters())
    out, _ = ref(torch.zeros(1, 128, 9))
    assert trace.output_shape == tuple(out.shape[1:])


@pytest.mark.parametrize(
    ("words", "build"),
    [
        ("conv 6 3x2 s2x1 p1:1x0:0 d1x2 g2", lambda nn: nn.Conv2d(
            4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2)),
        ("upconv 6 3x4 s2x3 p1 op1x0 g2", lambda nn: nn.ConvTranspose2d(
            4, 6, (3, 4), (2, 3), 1, (1, 0), 2)),
        ("dwconv 3 m2 p1", lambda nn: nn.Conv2d(4, 8, 3, padding=1, groups=4)),
        ("maxpool 3x2 s2 p1 ceil", lambda nn: nn.MaxPool2d((3, 2), 2, 1, ceil_mode=True)),
        ("avgpool 3 s2 p1", lambda nn: nn.AvgPool2d(3, 2, 1)),
        ("adaptavg 5x3", lambda nn: nn.AdaptiveAvgPool2d((5, 3))),
        ("upsample 2x3", lambda nn: nn.Upsample(scale_factor=(2, 3))),
        ("bn", lambda nn: nn.BatchNorm2d(4)),
        ("gn 2", lambda nn: nn.GroupNorm(2, 4)),
        ("prelu", lambda nn: nn.PReLU(4)),
        ("lrn 3", lambda nn: nn.LocalResponseNorm(3)),
        ("shuffle 2", lambda nn: nn.ChannelShuffle(2)),
    ],
)  # fmt: skip
def test_shapes_and_parameters_are_those_pytorch_computes(words: str, build: object) -> None:
    torch = pytest.importorskip("torch", reason="shapes are held against PyTorch")
    module = build(torch.nn).eval()  # type: ignore[operator]
    got = parse_notation(f"input 9x11x4, {words}").trace()
    _, channels, *spatial = module(torch.zeros(1, 4, 9, 11)).shape
    assert got.output_shape == (*spatial, channels)
    assert got.totals.params == sum(array.numel() for array in module.parameters())


def test_the_rows_of_lenet5_of_1998() -> None:
    """C1, S2, C5 and F6 as printed; C3's partial connection table has no word.

    Connections count each weight and bias once for each output cell. S2's trainable coefficient
    and bias are a scale and a shift for each map.
    """
    c1 = Conv(6, (5, 5))
    arrays = c1.weights((32, 32, 1))
    assert sum(_size(shape) for shape in arrays.values()) == 156
    cells = 28 * 28 * 6
    assert c1.macs((32, 32, 1)) + cells == 122_304
    assert parse_notation("input 28x28x6, avgpool 2, bn").trace().totals.params == 12
    assert parse_notation("input 5x5x16, conv 120 5, flatten, dense 84").trace().totals.params == (
        48_120 + 10_164
    )


def _size(shape: Shape) -> int:
    total = 1
    for extent in shape:
        total *= extent
    return total


def test_the_figures_of_the_slides() -> None:
    def params(text: str) -> int:
        return parse_notation(text).trace().totals.params

    assert params("input 6x6x3, conv 10 3") == 280
    assert params("input 6x6x3, conv 2 3") == 56
    dense = parse_notation("input 200x200x1, flatten, dense 500 ").trace()
    assert dense.totals.macs == 20_000_000
    assert params("input 1000x1000x3, flatten, dense 1000") == 3_000_001_000
    assert parse_notation("input 32x32x3, conv 12 6 s2").trace().output_shape == (14, 14, 12)
