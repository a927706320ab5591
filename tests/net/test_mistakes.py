"""Wrong notation, misfits, hostile text: each ends in a sentence, quickly."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from convcli.errors import ConvcliError, InputError, UsageError
from convcli.layers import Conv, Residual
from convcli.layers.join import BLOCKS
from convcli.layers.registry import WORDS
from convcli.net import Network, network, parse_notation, to_notation
from tests.effort import at_most_calls


def complaint(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse_notation(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "word", "sentence"),
    [
        ("input 28x28x1, cnv 16 3", "cnv", "there is no layer 'cnv'. Did you mean conv"),
        ("input 28x28x1, conv 16", "conv", "conv needs kernel. Example: conv 16 3 same relu"),
        ("input 28x28x1, conv", "conv", "conv needs filters and kernel"),
        ("input 28x28x1, conv 16 3 rellu", "rellu", "Did you mean relu"),
        ("input 28x28x1, conv 16 3 3", "3", "conv takes FILTERS KERNEL, and this is one more"),
        ("input 28x28x1, conv 0 3", "0", "0 is too small; use at least 1"),
        ("input 28x28x1, conv -4 3", "-4", "-4 is negative"),
        ("input 28x28x1, conv 16 3 s0", "s0", "0 is too small"),
        ("input 28x28x1, conv 16 3 sx", "sx", "conv does not know 'sx'"),
        ("input 28x28x1, conv 16 3 s2 stride=3", "stride=3", "conv has stride twice"),
        ("input 28x28x1, conv 16 3 strid=3", "strid=3", "Did you mean stride"),
        ("input 28x28x1, conv 16x2 3", "16x2", "filters is one whole number"),
        ("input 28x28x1, conv 99999999999 3", "99999999999", "absurdly large"),
        ("input 28x28x1, maxpool 2 relu", "relu", "Put a comma before it: maxpool ..., relu"),
        ("input 28x28x1 conv 16 3", "conv", "Put a comma before it: input 28x28x1, conv"),
        ("input 28x28x1, maxpool 2 g2", "g2", "maxpool does not know 'g2'"),
        ("input 28x28x1, maxpool 2 causal", "maxpool", "pooling has no causal padding"),
        ("input 28x28x1, dropout 1.5", "dropout", "rate 1.5 is not in 0 <= rate < 1"),
        ("input 28x28x1, dropout half", "half", "dropout does not know 'half'"),
        ("input 28x28x1, bn eps=-1", "bn", "eps is -1.0. Use a small positive number"),
        ("input 28x28x1, bn momentum=2", "bn", "Keras' 0.99 is 0.01 here"),
        ("input 28x28x1, reshape 1x2x2x2x98", "reshape", "reshape names 5 axes"),
        ("input 28x28x1, bn eps=nan", "eps=nan", "'nan' is no number"),
        ("input 28x28x1, conv 8 3 bias=1", "bias=1", "a bare word"),
        ("input 28x28x1, conv 8 3 activation=rel", "conv", "Did you mean relu"),
        ("input 28x28x1, residual conv 8 3", "residual", "residual needs brackets"),
        ("input 28x28x1, residual(conv 8 3", "(", "this bracket of residual is never closed"),
        ("input 28x28x1, conv 8 3)", ")", "this ) has no partner before it"),
        ("input 28x28x1 | conv 8 3", "|", "this | has no partner"),
        ("input 28x28x1, conv 8 3 (relu)", "conv", "conv takes no brackets"),
        ("input 28x28x1, Conv2D(16, 3)", "Conv2D", "conv takes no brackets: conv 16 3 same relu"),
        ("input 8x8x4, droppath 0.1", "droppath", "does nothing in prediction. Leave it out."),
        ("input 8x8x4, split 2", "split", "concat(slice :8, conv 8 1 | slice 8:)"),
        ("input 8x8x4, scale(bn | bn)", "scale", "The product of two is written mul(a | b)."),
        ("input 28x28x1, (relu)", "(", "a bracket belongs to a block"),
        ("input 28x28x1, residual(a | b | c)", "a", "there is no layer 'a'"),
        ("input 28x28x1, residual(bn | bn | bn)", "residual", "a body and one shortcut"),
        ("input 28x28x1, residual(bn) relu", "relu", "after the bracket comes a comma"),
        ("input 28x28x1, residual(bn) (bn)", "(", "a comma is missing"),
        ("input 28x28x1, repeat (bn)", "repeat", "repeat takes one number"),
        ("input 28x28x1, repeat -1 (bn)", "-1", "repeat takes one number"),
        ("input 28x28x1, repeat 3 ()", "repeat", "one branch that is not empty"),
        ("input 28x28x1, scale()", "scale", "scale has one branch"),
        ("input 28x28x1, scale 3 (bn)", "3", "takes nothing before its bracket"),
        ("input 28x28x1, conv 8 3 name=", "name=", "a name has letters"),
        ("input 28x28x1, conv 8 3 name=a*b", "name=a*b", "a name has letters"),
        ("input 28x28x1, input 3", "input", "input stands at the top"),
        ("input", "input", "input takes one shape"),
        ("input 28,28,1", "28", "there is no layer '28'"),
        ("input 28xx1", "28xx1", "is no whole number"),
        ("conv 16 3", "conv", "a network begins with its input"),
        (
            "input 28x28x1, conv {m} 3",
            "{m}",
            "variable 'm' is unknown (known: none; write `let n = 16` at the top).\n",
        ),
        ("let n = 4, input 28x28x1, conv {n+} 3", "{n+}", "a number or a variable is missing"),
        ("let n = 4, input 28x28x1, conv {n/3} 3", "{n/3}", "4 / 3 is no whole number"),
        ("let n = 4, input 28x28x1, conv {n/0} 3", "{n/0}", "division by zero"),
        ("let n = 4, input 28x28x1, conv {n 3", "{", "this { is not closed"),
        ("let n, input 28x28x1", "let", "a variable is written: let n = 16"),
        ("let n = (2+3)*2, input 28x28x1", "(", "put braces"),
    ],
)
def test_a_mistake_shows_the_word_the_reason_and_the_nearest(
    text: str, word: str, sentence: str
) -> None:
    message = complaint(text)
    assert sentence in message
    _, shown, carets = message.rsplit("\n", 2)
    column = carets.index("^")
    assert shown[column:].startswith(word[: carets.count("^")]), message


def test_a_mistake_in_a_file_names_its_line() -> None:
    message = complaint("input 28x28x1\nconv 16 3\nmxpool 2  # half\ngap")
    assert "(line 3)" in message
    assert "mxpool 2" in message


def test_a_long_line_is_cut_around_the_word() -> None:
    message = complaint("input 28x28x1, " + "bn, " * 100 + "mxpool 2, " + "bn, " * 100)
    assert max(map(len, message.splitlines())) < 90
    shown, carets = message.splitlines()[-2:]
    assert shown[carets.index("^") :].startswith("mxpool")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("input 5x5x1, maxpool 7",
         "layer 1 maxpool1 `maxpool 7`: window 7 does not fit input 5x5 (padding 0+0). "
         "Use a window of at most 5, or padding 1."),
        ("input 8x8x2, conv 2 3 d4",
         "window 9 (kernel 3, dilation 4) does not fit input 8x8 (padding 0+0). "
         "Use a window of at most 2, or padding 1."),
        ("input 8x8x6, conv 8 3 g4",
         "4 groups do not divide 6 input channels and 8 filters. Use g2."),
        ("input 8x8x6, flatten, conv 8 3",
         "layer 2 conv1 `conv 8 3`: conv slides over a map, and its input is a vector. "
         "Move it before `flatten`, or use `dense` here. Its input is 384."),
        ("input 8x8x6, residual(conv 8 3 s2 p1)",
         "body and shortcut differ: 4x4x8 and 8x8x6. "
         "A shortcut mends it: residual(... | conv 8 1 s2)."),
        ("input 8x8x4, residual(conv 4 5)", "cut the shortcut's border: residual(... | crop)."),
        ("input 8x8x4, residual(conv 8 5)", "border: residual(... | conv 8 1, crop)."),
        ("input 8x8x4, residual(conv 4 3 s2)",
         "Use `same` padding in the body: residual(... same | conv 4 1 s2)."),
        ("input 8x8x4, residual(conv 4 3 s3)", "residual(... same | conv 4 1 s3)."),
        ("input 7x7x4, residual(conv 8 3 s2 p1)", "mends it: residual(... | conv 8 1 s2)."),
        ("input 64, reshape 8x8x1, residual(conv 1 3 s2)",
         "Give the shortcut the body's strides: residual(... | conv 1 1 sN)."),
        ("input 8x8x4, residual(conv 4 1 | conv 4 8)",
         "residual(body | shortcut, upsample size=8x8)."),
        ("input 8x8x4, residual(upsample 2)", "The body's map is the larger one."),
        ("input 8x8x4, residual(gap, dense 4)", "in scale(gap, dense 4 sigmoid)."),
        ("input 8x8x4, residual(conv 8 8)", "No shortcut makes them equal."),
        ("input 9x8x6, residual(conv 8 3 s3x2 p1)", "residual(... | conv 8 1 s3x2)."),
        ("input 8x8x6, residual(conv 8 3 p1)", "residual(... | conv 8 1)."),
        ("input 8x8x6, residual(conv 6 3)", "Use `same` padding in the body"),
        ("input 8x8x6, residual(conv 8 3 s2 p1 | conv 8 1 s4)", "Give both the same strides"),
        ("input 8, residual(dense 4)", "residual(... | dense 4)."),
        ("input 8x8x6, residual(gap)", "Both need the same number of axes."),
        ("input 8x8x6, concat(conv 2 3 | conv 2 3 same)",
         "branches differ outside their channels: 6x6x2 and 8x8x2."),
        ("input 8x8x6, scale(gap, dense 4)",
         "the body of scale gives no factor for its input: 8x8x6 and 4. "
         "End it with `dense 6 sigmoid`"),
        ("input 8x8x6, reshape 7x7", "holds 49 numbers, its input 8x8x6 has 384"),
        ("input 8x8x6, gn 4", "4 groups do not divide 6 channels. Use gn 3."),
        ("input 8x8x6, shuffle 4", "4 groups do not divide 6 channels"),
        ("input 8x8x6, crop 4", "crop leaves nothing of input 8x8x6"),
        ("input 8x8x6, lstm 4", "lstm reads a series LxC, and its input is 8x8x6"),
        ("input 128x9, conv 8 3x3",
         "kernel 3x3 names 2 axes, and its input has 1. Write one number. Its input is 128x9."),
        ("input 8x8x6, maxpool 2 p2", "padding 2 is more than half of window 2"),
        ("input 8x8x6, upconv 2 3 s2 op2", "output padding 2 is not below stride 2"),
        ("input 8x8x6, upconv 2 3 p9", "leaves nothing of the output"),
        ("input 8x8x6, conv 2 3 name=a, conv 2 3 name=a", "the name a is taken"),
        ("input 8x8x6, upsample 1000000000", "absurdly large"),
        ("input 1000000x1000000x1000000x1, flatten", "absurdly large"),
    ],
)  # fmt: skip
def test_a_misfit_names_the_layer_the_shapes_and_the_edit(text: str, sentence: str) -> None:
    net = parse_notation(text)
    with pytest.raises(InputError) as caught:
        net.trace()
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("layer ")


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("input 5x5x1, maxpool 7", "input 5x5x1, maxpool 5"),
        ("input 8x8x2, conv 2 3 d4", "input 8x8x2, conv 2 3 d4 p1"),
        ("input 8x8x2, conv 2 3 d4", "input 8x8x2, conv 2 2 d4"),
        ("input 8x8x6, conv 8 3 g4", "input 8x8x6, conv 8 3 g2"),
        ("input 8x8x6, residual(conv 8 3 s2 p1)",
         "input 8x8x6, residual(conv 8 3 s2 p1 | conv 8 1 s2)"),
        ("input 8x8x4, residual(conv 4 3 s3)",
         "input 8x8x4, residual(conv 4 3 s3 same | conv 4 1 s3)"),
        ("input 7x7x4, residual(maxpool 2, conv 4 3)",
         "input 7x7x4, residual(maxpool 2 same, conv 4 3 same | conv 4 1 s2)"),
        ("input 8x8x4, residual(conv 4 1 | conv 4 8)",
         "input 8x8x4, residual(conv 4 1 | conv 4 8, upsample size=8x8)"),
        ("input 9x8x6, residual(conv 8 3 s3x2 p1)",
         "input 9x8x6, residual(conv 8 3 s3x2 p1 | conv 8 1 s3x2)"),
    ],
)  # fmt: skip
def test_the_edit_that_is_advised_helps(text: str, mended: str) -> None:
    with pytest.raises(InputError):
        parse_notation(text).trace()
    parse_notation(mended).trace()


@pytest.mark.parametrize(
    "text",
    [
        "input 0x3x1", "input 1x2x3x4x5", "input 99999999999x1", "input x", "input 3x",
        "input -1x2", "", "   ", ",,,", "#", "input 8x8x1, " + "residual(" * 5000 + ")" * 5000,
        "input 8x8x1, " + "(" * 100_000, "input 8x8x1, " + "repeat 1000 (" * 40 + "bn" + ")" * 40,
        "input 8x8x1, repeat 999999999 (bn)", "input 8x8x1, " + "upsample 9," * 50,
        "input 8x8x1, conv 16 3 " + "9" * 100_000, "x" * 300_000,
        "let n = " + "9*" * 5000 + "9, input 3", "let n = 999999999*999999999, input 3",
        "let n = 2, " + "let n = {n*n}, " * 60 + "input 3", "input 8x8x1, \x00bn",
        "input 8x8x1, conv ٣ 3", "input 8x8x1, conv ² 3", "input 8x8x1, bn eps=1_0",
        "let n = " + "-" * 190 + ", input {n}", "let n = {" + "(" * 190 + "1, input 3",
    ],
    ids=range(26),
)  # fmt: skip
def test_hostile_text_ends_in_a_sentence_quickly(text: str) -> None:
    with at_most_calls(2_000_000), pytest.raises(ConvcliError):
        parse_notation(text).trace()


def test_wide_windows_cost_nothing() -> None:
    for layer in ("adaptavg 999999937", "conv 1 999999999", "upconv 1 900000000 s7",
                  "maxpool 500000000 s1", "upsample 1000000 bilinear", "lrn 1000000000",
                  "conv 999999999 1 g3", "shuffle 999999999"):  # fmt: skip
        with at_most_calls(10_000), contextlib.suppress(ConvcliError):
            parse_notation(f"input 999999999x3, {layer}").trace()


WORDS_OF_NETWORKS = st.sampled_from(
    [*WORDS, *BLOCKS, "input", "let", "8x8x3", "3", "16", "s2", "p1", "p0:1", "same", "d2", "g2",
     "{n}", "{2*n}", "n", "=", "name=a", "eps=1", "0.5", ",", ",", "(", ")", "|", "\n", "#", "x"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS_OF_NETWORKS, max_size=25).map(" ".join))
def test_any_words_give_a_network_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ConvcliError):
        parse_notation(f"let n = 2, input 8x8x4, {text}").trace()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_gives_a_network_or_a_sentence(text: str) -> None:
    for whole in (text, f"input 8x8x4, {text}", f"let n = {text}"):
        with contextlib.suppress(ConvcliError):
            network(whole).trace()


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("resnet5", "Did you mean resnet50"),
        ("zzz", "Known: alexnet"),
        ("conv 16 3, relu", "A network begins with its input"),
        ("rps:m=3", "there is no variable 'm' (known: n)"),
        ("rps:n", "'n' is no setting. Write rps:n=16."),
        ("rps:n=-1", "is no setting"),
        ("mnist:n=3", "there is no variable 'n' (known: none)"),
        ("photo.png", "photo.png is no network file; convcli reads .net"),
    ],
)
def test_a_source_that_is_no_network(source: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        network(source)
    assert sentence in str(caught.value)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*missing.net"):
        network(str(tmp_path / "missing.net"))
    binary = tmp_path / "binary.net"
    binary.write_bytes(b"\x89PNG\xff")
    with pytest.raises(InputError, match=r"binary.net is not text \(byte 0"):
        network(str(binary))
    huge = tmp_path / "huge.net"
    huge.write_bytes(b"#" * 1_000_001)
    with pytest.raises(InputError, match=r"huge.net has more than 1,000,000 bytes"):
        network(str(huge))
    good = tmp_path / "small.net"
    good.write_text("# mine\ninput 8x8x1\nconv 4 3\n", encoding="utf-8-sig")
    assert network(str(good)).name == "small"


def test_python_values_are_checked_too() -> None:
    with pytest.raises(InputError, match=r"filters is 0. Use at least 1"):
        Conv(0, (3, 3))
    with pytest.raises(InputError, match="kernel is 3x0"):
        Conv(4, (3, 0))
    with pytest.raises(InputError, match=r"activation 'rulu' is unknown. Did you mean relu"):
        Conv(4, (3, 3), activation="rulu")
    with pytest.raises(InputError, match="padding is negative"):
        Conv(4, (3, 3), padding=((-1, 0), (0, 0)))
    block: Residual = Residual((Conv(4, (1, 1)),))
    for _ in range(60):
        block = Residual((block,))
    with pytest.raises(InputError, match="nested more than 50 deep"):
        Network((8, 8, 4), (block,))


def test_values_without_a_word_cannot_be_written() -> None:
    net = Network((8, 8, 4), (Conv(4, (3, 3), padding=((1, 1),), padding_mode="reflect"),))
    with pytest.raises(InputError, match="Conv has no word in the notation"):
        to_notation(net)


def test_a_mistake_in_a_file_names_file_and_line(tmp_path: Path) -> None:
    place = tmp_path / "own.net"
    place.write_text("input 28x28x1\nconv 16 3\nmaxpol 2\n")
    with pytest.raises(UsageError) as problem:
        network(str(place))
    first, *shown = str(problem.value).splitlines()
    assert first.startswith(f"{place}: there is no layer 'maxpol'")
    assert first.endswith("(line 3)")
    assert shown == ["  maxpol 2", "  ^^^^^^"]


@pytest.mark.parametrize("body", ["conv 4 5", "conv 8 5", "conv 8 3 s2 same", "dwconv 7 m2"])
def test_the_shortcut_that_is_advised_mends_the_sum(body: str) -> None:
    start = f"input 9x9x4, residual({body}"
    with pytest.raises(InputError) as problem:
        parse_notation(f"{start})").trace()
    advised = str(problem.value).partition("residual(... | ")[2].partition(").")[0]
    assert parse_notation(f"{start} | {advised})").trace().steps[-1].op == "add"
