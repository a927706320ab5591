"""The notation: what it means, that equal things are equal, and how it complains."""

from __future__ import annotations

import pytest

from convcli.errors import UsageError
from convcli.layers import Conv, Dense, Flatten, Repeat, Residual
from convcli.layers.join import BLOCKS
from convcli.layers.registry import WORDS
from convcli.net import Network, network, parse_notation, to_notation


def test_the_lecture_network_has_the_printed_parameters() -> None:
    text = (
        "input 28x28x1, conv 16 3 relu, maxpool 2, conv 32 3 relu, maxpool 2, "
        "flatten, dense 32 relu, dense 10 softmax"
    )
    got = [step.params for step in parse_notation(text).trace().steps]
    assert got == [160, 0, 4640, 0, 0, 25632, 330]


@pytest.mark.parametrize("name", ["mnist", "lenet5", "resnet18", "googlenet"])
def test_a_network_written_down_reads_the_same(name: str) -> None:
    ref = network(name)
    assert parse_notation(to_notation(ref)) == ref


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv 16 3x3", "conv 16 3"),
        ("conv 16 3 s2 p1", "conv 16 3 padding=1 stride=2"),
        ("conv 16 3 s2x2", "conv 16 3 s2"),
        ("conv 16 3 p0", "conv 16 3 valid"),
        ("conv 16 3 p1:1x1:1", "conv 16 3 p1"),
        ("conv filters=16 kernel=3", "conv 16 3"),
        ("conv 16 3 d2 g2", "conv 16 3 groups=2 dilation=2"),
        ("conv 16 3 activation=relu", "conv 16 3 relu"),
        ("dwconv 3 m2", "dwconv 3 multiplier=2"),
        ("upconv 4 3 s2 op1", "upconv 4 3 output_padding=1 stride=2"),
        ("maxpool 2", "maxpool 2 s2"),
        ("maxpool 2x3", "maxpool 2x3 s2x3"),
        ("bn eps=1e-5", "bn"),
        ("conv 4 1\nrelu  # a comment, with (brackets", "conv 4 1, relu"),
        (",, conv 4 1 ,\n\n , relu ,", "conv 4 1, relu"),
        ("residual( conv 4 1 )", "residual(conv 4 1 | )"),
        ("concat(conv 4 1 | )", "concat(\n  conv 4 1\n  |\n)"),
        ("repeat 2(conv 4 1,\nbn)", "repeat 2 (conv 4 1, bn)"),
    ],
)
def test_equivalent_notations_are_equal_values(one: str, other: str) -> None:
    first = parse_notation(f"input 16x16x4, {one}")
    second = parse_notation(f"input 16x16x4, {other}")
    assert first == second
    assert hash(first) == hash(second)
    assert to_notation(first) == to_notation(second)
    assert parse_notation(to_notation(first)) == first


def test_values_take_arguments_too() -> None:
    text = "let k = 3\nlet wide(c, n) = {max(8, c*k//n)}\nlet two(c) = {wide(c, 1) + wide(c, 9)}\n"
    net = parse_notation(text + "input 9x9x1\nconv {two(4)} {min(k, 5)}", variables={"k": 5})
    assert net == parse_notation("input 9x9x1, conv 28 5")
    with pytest.raises(UsageError, match="wide takes other arguments"):
        parse_notation(text + "input 9x9x1, conv {wide(4)} 3")
    with pytest.raises(UsageError, match="have a meaning here"):
        parse_notation(text + "input 9x9x1, conv {print(4)} 3")


def test_every_word_with_its_example_goes_there_and_back() -> None:
    shapes = {"lstm": "16x12", "gru": "16x12", "shuffle": "8x8x6", "reshape": "16x49"}
    shapes |= {"attention": "16x24", "classtoken": "16x24"}
    for word, row in WORDS.items():
        text = f"input {shapes.get(word, '8x8x16')}, {row.example}"
        net = parse_notation(text)
        assert parse_notation(to_notation(net)) == net
        assert to_notation(net) in {text, text.removesuffix(row.example) + word}
        assert net.trace().steps[-1].op == word
    for word, example in ((op, block.example) for op, block in BLOCKS.items()):
        text = f"input {shapes.get(word, '8x8x16')}, {example}"
        net = parse_notation(text)
        assert parse_notation(to_notation(net)) == net


def test_all_options_go_there_and_back() -> None:
    text = (
        "input 32x32x8, conv 16 3x5 s2x1 p0:1x1:2 d2 g2 nobias relu name=stem, "
        "upconv 8 3 s2 p1 op1 elu, avgpool 3 s2 p1 ceil countpad, bn noscale eps=0.001 "
        "momentum=0.01, lrn 5 alpha=0.001 beta=0.5 k=2, upsample 2x3 bilinear, "
        "residual(ln eps=0.01) name=block, crop 0:1x2, lstm 3"
    ).replace(", lstm 3", ", reshape 1x8, lstm 3 seq")
    net = parse_notation(text)
    assert parse_notation(to_notation(net)) == net
    assert to_notation(net) == text


def test_variables_are_whole_number_arithmetic() -> None:
    net = parse_notation(
        "let n = 3, let m = {2*(n + 1)}, let k=n\ninput {m}x{m}x1\nconv {m*n} {k} p{k//2}"
    )
    assert net == parse_notation("input 8x8x1, conv 24 3 p1")


def test_a_preset_takes_values_for_its_variables() -> None:
    assert network("rps:n=1").layers[0] == Conv(1, (3, 3), padding="same", activation="relu")
    assert network("rps") == network("rps:n=16")


def test_the_input_can_be_replaced_even_by_another_rank() -> None:
    net = network("input 28x28x1, conv 4 3, gap", input_shape=(100, 3))
    assert net.trace().steps[0].output_shape == (98, 4)


def test_python_values_and_notation_agree() -> None:
    built = Network(
        (28, 28, 1),
        (
            Conv(16, (3, 3), activation="relu"),
            Repeat(2, (Residual((Conv(16, (3,), padding=((1, 1),)),)),)),
            Flatten(),
            Dense(10),
        ),
    )
    read = parse_notation(
        "input 28x28x1, conv 16 3 relu, repeat 2 (residual(conv 16 3 p1)), flatten, dense 10"
    )
    assert built == read


def test_names_carry_the_path_of_their_blocks() -> None:
    trace = parse_notation(
        "input 8x8x4, conv 4 1, residual(conv 4 1, residual(bn) | conv 4 1), "
        "repeat 2 (relu), concat(conv 4 1 name=left | gn 2) name=both, conv 4 1"
    ).trace()
    assert [step.name for step in trace.steps] == [
        "conv1",
        "residual1.conv1",
        "residual1.residual1.bn1",
        "residual1.residual1.add1",
        "residual1.conv2",
        "residual1.add1",
        "relu1",
        "relu2",
        "left",
        "both.gn1",
        "both.concat1",
        "conv2",
    ]
    assert [step.sources for step in trace.steps[1:6]] == [(1,), (2,), (3, 2), (1,), (4, 5)]
    assert [step.index for step in trace.steps] == list(range(1, 13))


def test_a_bare_gray_picture_gets_a_hint() -> None:
    notes = parse_notation("input 28x28, conv 4 3").trace().notes
    assert "a gray picture is 28x28x1" in notes[0]


def test_dense_on_a_map_gets_a_warning() -> None:
    trace = parse_notation("input 5x5x16, dense 10").trace()
    assert "works on the channels of each cell" in trace.notes[0]
    assert trace.totals.params == 170
    assert trace.totals.macs == 25 * 160


def test_the_public_call_is_that_function() -> None:
    import convcli

    assert convcli.network("mnist") == network("mnist")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("upconv 4 3 s2 output_size=17", "upconv 4 3 s2 size=17"),
        ("maxpool pool_size=3 strides=2", "maxpool 3 s2"),
        ("conv 8 kernel_size=3 dilation_rate=2", "conv 8 3 d2"),
        ("Upsample scale_factor=2", "upsample 2"),
        ("add(conv 4 1 | bn)", "residual(conv 4 1 | bn)"),
        ("leakyrelu negative_slope=0.2", "leakyrelu 0.2"),
    ],
)
def test_names_of_settings_elsewhere_are_read(theirs: str, ours: str) -> None:
    assert parse_notation(f"input 8x8x4, {theirs}") == parse_notation(f"input 8x8x4, {ours}")


def test_blocks_take_words_and_families_tables() -> None:
    text = """let k = 2
        let inner(c, act) = (conv {c} 3, {act})
        let outer(act, c) = (inner(c, act), conv {pick(k, 1, 7, 2, 9)} 3 {act}, inner(4, relu))
        input 16x16x3
        outer(silu, 5), repeat {2 - k} (bn)"""
    plain = "input 16x16x3, conv 5 3, silu, conv 9 3 silu, conv 4 3, relu"
    assert parse_notation(text) == parse_notation(plain)
    assert parse_notation(text, variables={"k": 1}).layers[2].filters == 7  # type: ignore[union-attr]
    with pytest.raises(UsageError, match=r"3 is none of 1, 2\."):
        parse_notation(text, variables={"k": 3})
    with pytest.raises(UsageError, match="pick takes other arguments"):
        parse_notation("let n = {pick(1, 2, 3, 4)}, input 4")
