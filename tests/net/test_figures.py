"""Counts by other tools, memory, dialects, freezing and assertions."""

from __future__ import annotations

import pytest

from convcli.errors import InputError, UsageError
from convcli.net import network, parse_notation
from convcli.net.conventions import CONVENTIONS, count
from convcli.net.dialects import compare_dialects
from convcli.net.expression import check
from convcli.net.memory import assertion_values, memory, memory_advice

# Thousand millions, as the tools print them for torchvision's ResNet-50 at 224x224.
RESNET50 = {
    "paper": 4.089,
    "torchinfo": 4.089,
    "fvcore": 4.112,
    "ptflops": 4.132,
    "keras": 8.178,
    "deepspeed": 8.211,
    "calflops": 8.211,
}


@pytest.mark.parametrize(("name", "ref"), RESNET50.items())
def test_what_other_tools_print_for_resnet50(name: str, ref: float) -> None:
    assert round(count(network("resnet50").trace(), name).work / 1e9, 3) == ref


def test_the_sample_of_torchinfos_documentation() -> None:
    """Mult-adds 149,760, 321,280, 16,050 and 510 stand in torchinfo's README."""
    trace = parse_notation(
        "input 28x28x1, conv 10 5, maxpool 2, relu, conv 20 5, dropout2d 0.5, maxpool 2, relu, "
        "flatten, dense 50 relu, dense 10"
    ).trace()
    got = count(trace, "torchinfo")
    assert [work for work in got.by_step if work] == [149_760, 321_280, 16_050, 510]


def test_keras_counts_statistics_as_parameters() -> None:
    """Keras prints 25,636,712 for its ResNet-50, which has biases; torchvision's form has none."""
    trace = network("resnet50").trace()
    assert count(trace, "keras").params == 25_557_032 + 53_120


def test_what_a_convention_leaves_out_is_said() -> None:
    trace = network("resnet50").trace()
    assert count(trace, "paper").uncounted == ("add", "bn", "gap", "maxpool", "relu")
    assert "relu" in count(trace, "fvcore").uncounted
    assert count(trace, "ptflops").uncounted == ("add",)


def test_an_unknown_convention_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean fvcore"):
        count(network("mnist").trace(), "fvcor")


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_count_every_layer_there_is(name: str) -> None:
    trace = parse_notation(
        "input 16x16x4, conv 8 3 same g2 relu, dwconv 3 softmax, sepconv 8 3, upconv 8 2 s2 relu, "
        "avgpool 2, prelu, ln, gn 4, lrn 5, upsample 2 bilinear, adaptavg 4, "
        "residual(bn), scale(gap, dense 8 sigmoid), reshape 16x8, lstm 4, dense 2"
    ).trace()
    got = count(trace, name)
    assert got.work == sum(got.by_step)
    assert min(got.by_step) >= 0


def test_flops_of_the_agreed_table_by_hand() -> None:
    trace = parse_notation(
        "input 4x4x1, conv 2 3 relu, bn, maxpool 2, upsample 2, avgpool 2, residual( ), dense 3"
    ).trace()
    cells = 2 * 2 * 2
    assert [step.flops for step in trace.steps] == [
        2 * cells * 9 + cells + cells,  # multiply-adds, bias, ReLU
        2 * cells,
        2 * 3,
        0,
        2 * 4,
        2,
        2 * 2 * 3 + 3,
    ]


def test_peak_memory_counts_what_is_alive() -> None:
    """The shortcut stays alive while the body is computed."""
    figures = memory(parse_notation("input 4x4x2, residual(conv 8 1, conv 2 1), relu").trace())
    cells, number = 16, 4
    assert figures.peak_bytes == (2 + 8 + 2) * cells * number
    assert figures.peak_name == "residual1.conv2"
    assert figures.kept_bytes == (2 + 8 + 2) * cells * number  # input, conv1, relu
    assert figures.weight_bytes == (2 * 8 + 8 + 8 * 2 + 2) * number


def test_only_activations_grow_with_the_batch_and_dtype_halves_all() -> None:
    one = memory(network("mnist").trace())
    many = memory(network("mnist").trace(batch=64))
    half = memory(network("mnist").trace(dtype="float16"))
    assert many.kept_bytes == 64 * one.kept_bytes
    assert many.weight_bytes == one.weight_bytes == 2 * half.weight_bytes
    assert many.optimizer_bytes == one.optimizer_bytes == 2 * 30_762 * 4


def test_the_advised_batch_fits_and_one_more_does_not() -> None:
    limit = 20_000_000
    (_, advice, worst, _) = memory_advice(network("mnist").trace(batch=1000), limit)
    batch = int(advice.removeprefix("A batch of ").split()[0])
    assert memory(network("mnist").trace(batch=batch)).training_bytes <= limit
    assert memory(network("mnist").trace(batch=batch + 1)).training_bytes > limit
    assert "conv1" in worst


def test_weights_that_are_too_much_alone() -> None:
    advice = memory_advice(network("vgg16").trace(), 10**9)
    assert "No batch fits" in advice[1]


def test_frozen_layers_are_not_trained() -> None:
    trace = network("resnet18").trace(freeze=("residual[12].*", "conv1"))
    frozen = [step for step in trace.steps if step.params and not step.trainable]
    assert {step.name.split(".")[0] for step in frozen} == {"conv1", "residual1", "residual2"}
    totals = trace.totals
    assert totals.params == totals.trainable + sum(step.params for step in frozen)
    assert totals.non_trainable == sum(step.params for step in frozen) + totals.buffers


def test_a_pattern_without_a_layer_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"'dens1' matches no layer. Did you mean dense1"):
        network("mnist").trace(freeze=("conv*", "dens1"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dialect": "pytorch"}, "Dialect 'pytorch' is unknown"),
        ({"dtype": "float99"}, "dtype 'float99' is unknown"),
        ({"batch": 0}, "A batch of 0"),
    ],
)
def test_unknown_options_of_a_trace(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        network("mnist").trace(**options)  # type: ignore[arg-type]


def test_dialects_differ_where_the_frameworks_do() -> None:
    """PyTorch gives 11x11 for kernel 2, stride 3 on 4x4, Keras 12x12."""
    net = parse_notation("input 4x4x1, conv 4 1, upconv 2 2 s3, reshape 24x12")
    found = {difference.name: difference.said for difference in compare_dialects(net)}
    assert found.keys() == {"upconv1", "reshape1"}
    assert found["upconv1"]["torch"].startswith("11x11x2")
    assert found["upconv1"]["keras"].startswith("12x12x2")
    assert found["reshape1"]["torch"].startswith("reshape 24x12 holds 288 numbers")


def test_a_refusal_is_told_and_the_rest_goes_on_for_others() -> None:
    net = parse_notation("input 9x1, conv 4 3 s2 same, lstm 5")
    conv, lstm = compare_dialects(net)
    assert conv.said["torch"].startswith("PyTorch has no `same` with a stride")
    assert conv.said["keras"] == conv.said["onnx"] == "5x4, 16 params"
    assert lstm.said == {"keras": "5, 200 params", "onnx": "5, 220 params"}


@pytest.mark.parametrize(
    ("layer", "dialect", "sentence"),
    [
        ("maxpool 3 s2 ceil", "keras", "Keras has no `ceil`"),
        ("upconv 4 3 s2 p1", "keras", "Keras has `valid` and `same` here"),
        ("conv 4 3 p0:1", "torch", "PyTorch pads both ends alike"),
        ("maxpool 2 same", "torch", "PyTorch has no `same` here"),
        ("upconv 4 2 s2 same", "torch", "PyTorch has no `same` here"),
    ],
)
def test_what_a_framework_has_no_word_for(layer: str, dialect: str, sentence: str) -> None:
    net = parse_notation(f"input 9x9x2, {layer}")
    net.trace()
    with pytest.raises(InputError) as caught:
        net.trace(dialect=dialect)
    assert sentence in str(caught.value)
    assert f"`{layer}`" in str(caught.value)


def test_nothing_differs_on_plain_networks() -> None:
    assert compare_dialects(network("mnist")) == []


VALUES = {"params": 30_762, "macs": 680_832, "receptive_field": 10}


@pytest.mark.parametrize(
    ("expression", "ref"),
    [
        ("params < 5e6 and receptive_field >= 224", False),
        ("params < 5e6 or receptive_field >= 224", True),
        ("not params < 5e6", False),
        ("(params < 1 or macs > 1) and receptive_field == 10", True),
        ("params == 30762", True),
        ("params * 2 <= 61524 and macs / 2 == 340416", True),
        ("10 <= receptive_field < 11", True),
        ("10 < receptive_field < 11", False),
        ("(params + 1) * 2 > -5", True),
        ("((params)) != 1", True),
        ("params < 1e-3 + 30762", True),
    ],
)
def test_assertions(expression: str, ref: bool) -> None:
    got = check(expression, VALUES)
    assert got.holds is ref
    assert got.holds is eval(expression, {}, dict(VALUES))  # noqa: S307 (Python is the oracle)


@pytest.mark.parametrize(
    "expression",
    ["", "params", "params <", "params < 5 and", "parms < 5", "params < 5 5", "params = 5",
     "(params < 5", "params < __import__('os')", "params / 0 < 1", "params < 1_000", "(" * 500,
     "not " * 500 + "params < 1", "params < " + "9" * 500, "-" * 200 + "1 < 2", "params < 5)"],
)  # fmt: skip
def test_what_is_no_assertion_is_a_usage_mistake(expression: str) -> None:
    with pytest.raises(UsageError):
        check(expression, VALUES)


def test_a_failed_assertion_shows_its_numbers() -> None:
    got = check("params < 5e3 and receptive_field >= 5", VALUES)
    assert got.comparisons == (
        ("params 30762 < 5e3", False),
        ("receptive_field 10 >= 5", True),
    )


def test_assertions_see_the_smaller_axis() -> None:
    trace = parse_notation("input 20x30x1, conv 4 3x5").trace()
    assert assertion_values(trace)["receptive_field"] == 3


def test_a_network_without_spatial_axes() -> None:
    """A perceptron on a 32x32 picture: 262,400 parameters, against 2,560 of a convolution."""
    trace = parse_notation("input 1024, dense 256").trace()
    assert trace.totals.params == 262_400
    assert trace.totals.receptive_field == (1024,)
    assert parse_notation("input 32x32x1, conv 256 3").trace().totals.params == 2_560
    with pytest.raises(InputError, match="conv slides over a map, and its input is a vector"):
        parse_notation("input 1024, conv 4 3").trace()
