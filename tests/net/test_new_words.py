"""Words that papers draw: shapes, parameters, receptive fields, against PyTorch where it runs."""

from __future__ import annotations

import json

import pytest

from convcli.cli import main as door
from convcli.errors import InputError, UsageError
from convcli.net import parse_notation, to_notation

TORCH = {
    # words: (input, module of PyTorch, whether it takes (N, L, C))
    "maxpool 3 d2": ("11x12x4", "nn.MaxPool2d(3, dilation=2)", False),
    "maxpool 3 s1 p1 d2": ("11x12x4", "nn.MaxPool2d(3, 1, 1, dilation=2)", False),
    "adaptavg _x5": ("11x12x4", "nn.AdaptiveAvgPool2d((None, 5))", False),
    "adaptmax 3x_": ("11x12x4", "nn.AdaptiveMaxPool2d((3, None))", False),
    "upsample 1.5": ("11x12x4", "nn.Upsample(scale_factor=1.5)", False),
    "upsample 1.3x2 bilinear": (
        "11x12x4", "nn.Upsample(scale_factor=(1.3, 2), mode='bilinear')", False),
    "upsample size=7x19": ("11x12x4", "nn.Upsample(size=(7, 19))", False),
    "upconv 6 3 s2 p1 size=22x23": (
        "11x12x4", "Sized(nn.ConvTranspose2d(4, 6, 3, 2, 1), [22, 23])", False),
    "pixelshuffle 2": ("11x12x8", "nn.PixelShuffle(2)", False),
    "pixelunshuffle 2": ("12x12x4", "nn.PixelUnshuffle(2)", False),
    "leakyrelu 0.2": ("11x12x4", "nn.LeakyReLU(0.2)", False),
    "prelu": ("11x12x4", "nn.PReLU(4)", False),
    "rmsnorm": ("11x4", "nn.RMSNorm(4)", True),
    "gru 5 seq": ("11x4", "First(nn.GRU(4, 5, batch_first=True))", True),
    "gru 5 seq bi": ("11x4", "First(nn.GRU(4, 5, batch_first=True, bidirectional=True))", True),
    "attention 2": ("11x4", "Attends(nn.MultiheadAttention(4, 2, batch_first=True))", True),
    "attention 2 nobias": (
        "11x4", "Attends(nn.MultiheadAttention(4, 2, bias=False, batch_first=True))", True),
}  # fmt: skip


@pytest.mark.parametrize("words", TORCH)
def test_shapes_and_parameters_are_pytorchs(words: str) -> None:
    torch = pytest.importorskip("torch", reason="the peer")
    nn = torch.nn

    class Sized(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inner: object, size: list[int]) -> None:
            super().__init__()
            self.inner, self.size = inner, size

        def forward(self, x: object) -> object:
            return self.inner(x, output_size=self.size)

    class First(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inner: object) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: object) -> object:
            return self.inner(x)[0]

    class Attends(First):
        def forward(self, x: object) -> object:
            return self.inner(x, x, x)[0]

    shape, text, last = TORCH[words]
    module = eval(text, {"nn": nn, "Sized": Sized, "First": First, "Attends": Attends})  # noqa: S307  (ours)
    step = parse_notation(f"input {shape}, {words}").trace().steps[0]
    extents = [int(part) for part in shape.split("x")]
    given = (1, *extents) if last else (1, extents[-1], *extents[:-1])
    out = module(torch.zeros(given)).shape[1:]
    assert step.output_shape == (tuple(out) if last else (*out[1:], out[0]))
    assert step.params == sum(array.numel() for array in module.parameters())


FIELDS = {
    "maxpool 3 s1 d2": ("16x16x4", (5, 5)),
    "upsample 1.5, conv 4 3": ("16x16x4", (3, 3)),
    "conv 4 3, slice 0:2": ("16x16x4", (3, 3)),
    "conv 4 3, permute 1x0x2": ("16x16x4", (16, 16)),
    "conv 4 3, mul( | conv 4 3 same sigmoid)": ("16x16x4", (5, 5)),
    "conv 4 3, layerscale, clip 0:6, mish": ("16x16x4", (3, 3)),
    "conv 4 3, attention 2": ("16x4", (16,)),
}


@pytest.mark.parametrize("words", FIELDS)
def test_receptive_fields(words: str) -> None:
    shape, seen = FIELDS[words]
    assert parse_notation(f"input {shape}, {words}").trace().steps[-1].receptive_field == seen


def test_the_field_behind_a_fractional_enlargement_is_what_each_cell_reads() -> None:
    """Against the definition: output cell u of nearest reads input cell floor(u * 2 / 3)."""
    trace = parse_notation("input 30x1, conv 1 3, upsample 1.5, conv 1 4").trace()
    (field,) = trace.steps[-1].fields or ()
    for cell in range(trace.steps[-1].output_shape[0]):
        read = [u * 2 // 3 for u in range(cell, cell + 4)]
        assert field.span(cell) == (min(read), max(read) + 2)


WRONG = {
    "input 8x8x4, slice 2:9": (InputError, "channels 2:9 are not in the 4 of input 8x8x4"),
    "input 8x8x4, slice 3": (UsageError, "no range of channels; write 0:16 or 16:"),
    "input 8x8x4, permute 0x0x1": (UsageError, "does not name every axis once"),
    "input 8x8x4, permute 1x0": (InputError, "names 2 axes, and its input 8x8x4 has 3"),
    "input 8x8x4, upsample": (UsageError, "takes a factor or a size"),
    "input 8x8x4, upsample 2 size=4x4": (UsageError, "takes a factor or a size"),
    "input 8x8x4, upsample 0.1": (InputError, "its output 0x0 is empty"),
    "input 8x8x4, upconv 4 3 s2 size=30x30": (InputError, "17 to 18 x 17 to 18 can"),
    "input 8x8x4, upconv 4 3 s2 op1 size=18x18": (UsageError, "both decide the output"),
    "input 8x8x4, attention 2": (InputError, "attention reads a series LxC"),
    "input 8x6, attention 4": (InputError, "4 heads do not divide 6 channels. Use attention 3."),
    "input 8x8x4, clip 6:0": (UsageError, "has its ends turned. Use 0:6."),
    "input 8x8x4, clip 6": (UsageError, "clip takes 2 numbers, not 1"),
    "input 8x8x4, relu 3": (UsageError, "relu takes no number, and this is one more"),
    "input 8x8x4, adaptavg 0": (UsageError, "0 is too small; use at least 1."),
    "input 8x8x4, mul( | conv 3 1)": (InputError, "branches of mul do not fit: 8x8x4 and 8x8x3"),
    "input 8x8x4, residual(gap, reshape 1x1x4)": (
        InputError, "PyTorch spreads a single cell over the map, and here both must be equal: "
        "residual(body, upsample size=8x8)."),
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_what_does_not_fit_gets_a_sentence(text: str) -> None:
    kind, sentence = WRONG[text]
    with pytest.raises(kind) as caught:
        parse_notation(text).trace()
    assert sentence in str(caught.value)


def test_what_a_suggestion_says_fits() -> None:
    text = "input 8x8x4, residual(gap, reshape 1x1x4, upsample size=8x8)"
    assert parse_notation(text).trace().output_shape == (8, 8, 4)


@pytest.mark.parametrize(
    "words",
    [
        "leakyrelu 0.2", "elu 0.7", "clip 0:6", "layerscale 1e-05", "maxpool 3 d2", "adaptavg _x5",
        "upsample 1.5x2", "upsample bilinear size=9x7", "upconv 4 3 s2 size=18x17", "slice 1:3",
        "slice 1:", "permute 2x0x1", "mul(relu | conv 4 1 sigmoid)", "rmsnorm eps=0.001",
    ],
)  # fmt: skip
def test_words_go_there_and_back(words: str) -> None:
    text = f"input 8x8x4, {words}"
    assert to_notation(parse_notation(text)) == text


def test_named_points_are_gone_on_from() -> None:
    text = (
        "input 16x16x3, a: conv 8 3 p1, maxpool 2, b: residual(conv 8 3 p1), upsample 2, "
        "concat( | from a), from b, gap, dense 10"
    )
    net = parse_notation(text)
    steps = {step.name: step for step in net.trace().steps}
    assert steps["concat1.concat1"].sources == (steps["upsample1"].index, steps["a"].index)
    assert steps["gap1"].sources == (steps["b.add1"].index,)
    assert net.trace().totals.params == 3 * 9 * 8 + 8 + 8 * 9 * 8 + 8 + 80 + 10
    assert parse_notation(to_notation(net)) == net


def test_blocks_take_arguments_and_repeats_count() -> None:
    short = parse_notation(
        "let k = 3\nlet cbr(f, s) = conv {f} {k} s{s} p1, bn, relu\nlet twice(f) = (\n"
        "  cbr(f, 1),\n  cbr({2*f}, 2)\n)\ninput 16x16x3\ntop: twice(8)\n"
        "repeat i=1..3 (conv {4*i} 1)\nfrom top, relu"
    )
    long = parse_notation(
        "input 16x16x3, conv 8 3 p1, bn, relu, conv 16 3 s2 p1, bn, relu name=top, "
        "conv 4 1, conv 8 1, conv 12 1, from top, relu"
    )
    assert short == long


MISTAKES = {
    "input 8x8x3, from b": (InputError, "no layer before it has this name"),
    "let f(a) = conv {a} 3, input 8x8x3, f(2, 3)": (UsageError, "takes 1 arguments, not 2"),
    "let f(a) = f(a), input 8x8x3, f(2)": (UsageError, "nested more than 50 deep"),
    "let f(a) = (relu, input 8x8x3, f(2)": (UsageError, "the layers of f have no end"),
    "let conv(a) = relu, input 8x8x3": (UsageError, "a name that no layer has"),
    "let f(a) relu, input 8x8x3": (UsageError, "here comes a = and the layers"),
    "input 8x8x3, repeat i=1..999999999 (relu)": (UsageError, "more than 20,000 layers"),
    "input 8x8x3, repeat i=1..3 ()": (UsageError, "one branch that is not empty"),
    "input 8x8x3, repeat i=3..1 (relu)": (UsageError, "a counter is written repeat i=1..3"),
    "input 8x8x3, a: relu name=b": (UsageError, "names one layer or block that has no name"),
    "input 8x8x3, a:, relu": (UsageError, "a: names nothing"),
    "input 8x8x3, a: relu, relu, from a": (InputError, "The network ends with a `from`"),
    "input 8x8x3, repeat 2 (a: relu)": (InputError, "the name a is taken"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_them_gets_a_sentence(text: str) -> None:
    kind, sentence = MISTAKES[text]
    with pytest.raises(kind) as caught:
        parse_notation(text).trace()
    assert sentence in str(caught.value)


@pytest.mark.parametrize("words", ["attention 2", "posembed", "classtoken"])
def test_what_exists_on_paper_alone_is_refused_by_training(
    words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    net = f"input 6x4, {words}, flatten, dense 2"
    assert door.run(["gradcheck", net]) == 3
    said = capfd.readouterr().err
    assert "can be calculated with `shape`, but not run or trained" in said


def test_graphs_with_named_points_have_the_right_gradients(
    capfd: pytest.CaptureFixture[str],
) -> None:
    net = (
        "input 8x8x2, a: conv 3 3 p1 tanh, maxpool 2, conv 3 3 p1 sigmoid, upsample 2, "
        "concat( | from a), conv 2 3, residual( | from a, conv 2 3), flatten, dense 2"
    )
    assert door.run(["gradcheck", net, "--format", "json"]) == 0
    assert all(row["holds"] for row in json.loads(capfd.readouterr().out))


def test_several_outputs_are_told_and_not_trained(capfd: pytest.CaptureFixture[str]) -> None:
    net = "input 8x8x2, a: conv 3 3 relu, gap, one: dense 4, from a, gap, two: dense 3"
    trace = parse_notation(net).trace()
    assert [step.name for step in trace.outputs] == ["one", "two"]
    assert "The network has 2 outputs: one 4, two 3." in trace.notes
    assert door.run(["gradcheck", net]) == 3
    assert "network has 2 outputs (one, two), and " in capfd.readouterr().err
