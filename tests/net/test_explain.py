"""Explanations carry the numbers of the step, so that a reader can redo them."""

from __future__ import annotations

import re

import pytest

from convcli.errors import UsageError
from convcli.layers import WORDS
from convcli.layers.registry import Word
from convcli.net import network, parse_notation, preset_names
from convcli.net.explain import explain, formula, symbols


def told(text: str, which: int | str = 1) -> str:
    return "\n".join(explain(parse_notation(text).trace(), which))


def test_the_lecture_formula_with_its_numbers() -> None:
    got = told("input 32x32x3, conv 12 6 s2")
    assert "height: floor((n + 2p - f) / s) + 1 = floor((32 + 0 + 0 - 6) / 2) + 1 = 14" in got
    assert "output: 32x32x3 -> 14x14x12, 2,352 numbers" in got
    assert "parameters: f x f x c x k + k = 6 x 6 x 3 x 12 (kernel) + 12 (bias) = 1,308" in got
    assert (
        "multiply-accumulates: cells x k x f x f x c = 14 x 14 x 12 cells x 6 x 6 x 3 = 254,016"
        in got
    )


def test_what_floor_threw_away_is_said() -> None:
    rest = "the division leaves a rest: the last"
    assert f"{rest} cell is never read" in told("input 224x224x3, conv 8 3 s2")
    assert f"{rest} 3 cells are never read" in told("input 9x9x3, conv 8 3 s4 d2 p1:1x1:2")


def test_what_same_padded_where_is_said() -> None:
    assert "max(0, (28 - 1) * 1 + 4 - 28) = 3 cells of padding: 1 before, 2 after" in told(
        "input 28x28x3, conv 8 4 same"
    )


def test_joins_say_what_their_fields_are_made_of() -> None:
    got = told("input 9x9x4, residual(conv 4 3 same | conv 4 1)", "residual1.add1")
    assert "receptive field, width: union of r1, r2 = union of 3, 1 = 3" in got


@pytest.mark.parametrize("row", WORDS.values(), ids=WORDS)
def test_every_word_says_how_its_shape_comes_about(row: Word) -> None:
    shape = SHAPES.get(row.text, "8x8x6" if row.text == "shuffle" else "8x8x16")
    shape = "16x49" if row.text == "reshape" else shape
    _, *lines = told(f"input {shape}, {row.example}").splitlines()
    before = next(line for line in lines if line.startswith("output:"))
    assert lines.index(before) > 0
    assert lines[lines.index(before) + 1].startswith("memory: ")


def test_the_rule_of_ceil_is_said() -> None:
    got = told("input 5x5x3, maxpool 2 s2 p1 ceil")
    assert "ceil((5 + 1 + 1 - 2) / 2) + 1 = 4" in got
    assert "the last window would begin after the input and its padding before: 3 are left" in got


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "input 9x2, conv 4 3 causal d2",
            "length: causal: f - 1 = 5 - 1 = 4 cells of padding, all before",
        ),
        ("input 9x2, conv 4 1 s3", "stride 3 steps over 2 cells each time"),
        ("input 4x4x1, upconv 1 2 s3", "kernel 2 is below stride 3: some outputs stay empty"),
        ("input 4x4x1, upconv 1 3 s2 p1 op1", "(4 - 1) * 2 + 3 = 9, less 1 = 8"),
        ("input 13x13x8, adaptavg 7", "7 windows over 13 cells"),
        ("input 9x9x4, conv 3 3", "n x k + k = 324 x 147 + 147 = 47,775 parameters, 430 times"),
        ("input 9x9x4, conv 3 3 s2", "step, width: j * s = 1 * 2 = 2"),
        ("input 9x9x4, conv 3 3", "memory: 147 numbers x 4 bytes = 588 bytes"),
        ("input 64, dense 3", "multiply-accumulates: c x k = 64 x 3 = 192"),
        ("input 64, dense 3", "k = 3 outputs, each a sum over all c = 64 inputs"),
        ("input 16x9, gru 5", "The state carries every earlier step"),
        ("input 5x5x8, bn", "receptive field, height: r = 1"),
        ("input 5x5x8, upsample 2", "height: n x factor = 5 x 2 = 10"),
        ("input 5x5x8, pad 1:2", "height: n + p + q = 5 + 1 + 2 = 8"),
        ("input 5x5x8, crop 1:2", "height: n - p - q = 5 - 1 - 2 = 2"),
        ("input 5x5x8, bn", "statistics: c + c = 8 + 8 = 16 (mean and variance, not learned)"),
        ("input 5x5x8, gap", "receptive field: the whole input, 5x5"),
        (
            "input 4x5x6x2, conv 3 2",
            "depth: floor((n + 2p - f) / s) + 1 = floor((4 + 0 + 0 - 2) / 1) + 1 = 3",
        ),
        (
            "input 8x8x4, dwconv 3",
            "multiply-accumulates: cells x c x m x f x f = 6 x 6 x 4 cells x 3 x 3 = 1,296",
        ),
    ],
)
def test_each_rule_has_its_sentence(text: str, line: str) -> None:
    assert line in told(text)


def test_joins_are_explained() -> None:
    trace = parse_notation("input 8x8x4, concat(conv 3 1 | ), scale(gap, dense 7 sigmoid)").trace()
    assert "channels: c1 + c2 = 3 + 4 = 7" in explain(trace, "concat1.concat1")
    assert any("factor of 7" in line for line in explain(trace, "scale1.scale1"))


@pytest.mark.parametrize("name", preset_names())
def test_every_step_of_every_preset_can_be_explained(name: str) -> None:
    trace = network(name).trace()
    for step in trace.steps:
        lines = explain(trace, step.index)
        assert lines[0].startswith(f"layer {step.index} {step.name}: ")
        if step.params:
            assert any(line.endswith(f" = {step.params:,}") for line in lines)


def test_an_unknown_layer_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean conv1"):
        explain(network("mnist").trace(), "convv1")


SHAPES = {"lstm": "16x12", "gru": "16x12", "attention": "16x24", "classtoken": "16x24"}


def value(text: str, letters: dict[str, int]) -> float:
    plain = text.replace("n-cells", "ncells").replace(" x ", " * ")
    names = {name.replace("-", ""): number for name, number in letters.items()}
    return float(eval(plain, names))  # noqa: S307  (formulas of ours)


@pytest.mark.parametrize(
    "words",
    [
        *(row.example for row in WORDS.values()),
        "conv 12 5 s2 p2 g2 nobias", "conv 8 3 d2 relu", "dwconv 3 m2 nobias", "sepconv 6 5 m2",
        "upconv 6 4x2 s2 p1 g2", "conv 4 3x5", "dense 7 nobias", "lstm 5 seq bi", "gru 5 bi",
        "attention 3 nobias",
    ],
)  # fmt: skip
def test_every_formula_gives_the_figure(words: str) -> None:
    shape = SHAPES.get(words.split(maxsplit=1)[0], "8x8x16" if words[:7] != "shuffle" else "8x8x6")
    shape = "16x49" if words[:7] == "reshape" else shape
    step = parse_notation(f"input {shape}, {words}").trace().steps[0]
    figures = {"params": step.params, "macs": step.macs, "channels": step.output_shape[-1]}
    for name, figure in figures.items():
        text = formula(step, name)
        assert name == "channels" or bool(text) == bool(figure), name
        if text:
            assert value(text, symbols(step)) == figure, text


def number(text: str) -> float:
    """The value of a line's part: the last of `1 to 2, by position`, sums of `8 conv + 2 bias`."""
    last = text.replace(",", "").removesuffix(" by position").rpartition(" to ")[2]
    return value(re.sub(r"\b(window|n)-cells\b|(?<=\d) [a-z]{2,}", "", last), {})


@pytest.mark.parametrize("before", ["", "conv 12 3 s2 p1, "])
@pytest.mark.parametrize("row", WORDS.values(), ids=WORDS)
def test_the_numbers_that_are_put_in_give_what_stands_behind_them(row: Word, before: str) -> None:
    shape = SHAPES.get(row.text, "16x16x12")
    if row.text in {*SHAPES, "reshape", "layerscale"} and before:
        pytest.skip("not on a picture, or said above")
    words = {"reshape": "reshape 64x48", "gn": "gn 4", "slice": "slice 2:7"}.get(row.text)
    _, *lines = told(
        f"input {shape}, {before}{words or row.example}", 1 + bool(before)
    ).splitlines()
    for line in lines:
        kind = line.strip().partition(",")[0].partition(":")[0]
        if kind in {"step", "padding", "receptive field", "channels", "floating-point operations",
                    "multiply-accumulates"} and line.count(" = ") > 1:  # fmt: skip
            _, *parts = line.split(": ", 1)[1].split(" = ")
            parts = [part.replace(" cells x", " x") for part in parts]
            assert len({round(number(part), 5) for part in parts}) == 1, line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("input 5x7x4, permute 2x0x1", "Output axis k is the input's axis named in place k"),
        ("input 7x7x4, permute 1x0x2", "Output axis k is the input's axis named in place k"),
        ("input 8x8x4, pixelshuffle 2", "channels: c / u / u = 4 / 2 / 2 = 1"),
        ("input 8x8x4, slice 1:3", "channels: b - a = 3 - 1 = 2"),
        ("input 8x8x4, maxpool 3", "(f x f - 1) x outputs = (3 x 3 - 1) x 16 = 128 pooling"),
        ("input 16x9, gru 5", "2 x MACs + 6 x t x k + 9 x t x k + 6 x t x k = 2 x 3,360 + 6 x 16"),
        ("input 16x8, attention 2", "+ 5 x h x t x t + 1 x h x t x t = 2 x 8,192 + 4 x 128 + 5 x"),
        ("input 8x8x4, conv 4 3 s2 p1", "padding, width: P + p * j = 0 + 1 * 1 = 1"),
        ("input 8x8x4, upconv 4 2 s2", "step, height: j / s = 1 / 2 = 0.5"),
        (
            "input 8x8x4, upconv 4 3 s2",
            "r + (m - 1) * j = 1 + (1 - 1) * 1 to 1 + (2 - 1) * 1 = 1 to 2, by position",
        ),
        ("input 13x13x8, adaptmax 7", "step, width: j * n / out = 1 * 13 / 7 = 1.85714"),
    ],
)
def test_what_moves_and_what_works_is_told_in_letters_and_numbers(text: str, line: str) -> None:
    assert line in told(text)
