"""The rules backwards, each answer put through the rules forwards."""

from __future__ import annotations

import contextlib

import pytest

from convcli.errors import InputError, UsageError
from convcli.net import network, parse_notation
from convcli.net.solving import dropped, in_features, lossless_inputs, smallest_input, solve
from tests.effort import at_most_calls


@pytest.mark.parametrize(
    "question",
    ["28 -> 14, kernel 3", "32->14, kernel 6", "224 -> 55, kernel 11", "10 -> 10", "7 -> 1",
     "100 -> 47, kernel 5, stride 2, dilation 3", "30 -> 7"],
)  # fmt: skip
def test_every_answer_does_what_was_asked(question: str) -> None:
    size, out = (int(part) for part in question.split(",", maxsplit=1)[0].split("->"))
    for setting in solve(question):
        trace = parse_notation(f"input {size}x1, conv 1 {setting.words}").trace()
        assert trace.output_shape[0] == out, setting
        assert dropped(trace.steps[0]) == (setting.dropped,)


@pytest.mark.parametrize("question", ["14 -> 28", "14 -> 28, kernel 3", "7 -> 20, stride 3"])
def test_a_larger_output_asks_for_a_transposed_window(question: str) -> None:
    size, out = (int(part) for part in question.split(",", maxsplit=1)[0].split("->"))
    for setting in solve(question):
        assert setting.transposed
        trace = parse_notation(f"input {size}x1, upconv 1 {setting.words}").trace()
        assert trace.output_shape[0] == out, setting


def test_the_answer_of_the_lecture_is_among_them() -> None:
    """32x32 with 6x6 filters and stride 2 gives 14."""
    assert "6 s2" in [setting.words for setting in solve("32 -> 14, kernel 6")]


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("5 -> 4, kernel 3, stride 3", r"No window turns 5 into 4 .*3 s3 p1 -> 2.*Use one"),
        ("9 -> 9, kernel 2, padding 3", "No window turns 9 into 9"),
    ],
)
def test_no_answer_says_what_is_near(question: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        solve(question)


@pytest.mark.parametrize(
    "question", ["", "28", "28 -> x", "0 -> 1", "28 -> 14, kernl 3", "28 -> 14, kernel",
                 "-3 -> 4", "28 -> 14, kernel 99999999999"],
)  # fmt: skip
def test_an_unreadable_question_is_a_usage_mistake(question: str) -> None:
    with pytest.raises(UsageError):
        solve(question)


def test_the_nearest_word_is_named() -> None:
    with pytest.raises(UsageError, match="Did you mean kernel"):
        solve("28 -> 14, kernl 3")


@pytest.mark.parametrize(
    "question",
    ["1000000000 -> 1", "1 -> 1000000000", "1000000000 -> 3, kernel 500000000",
     "5 -> 7, stride 1000000000", "9 -> 9, dilation 1000000000"],
)  # fmt: skip
def test_absurd_sizes_end_quickly(question: str) -> None:
    with at_most_calls(100_000), contextlib.suppress(InputError):
        solve(question)


def test_sizes_without_loss_lose_nothing() -> None:
    net = parse_notation("input 20x20x3, conv 4 3 s2, maxpool 2, conv 4 3 s2 p1")
    got = lossless_inputs(net)
    for size in range(10, 41):
        steps = net.with_input((size, size, 3)).trace().steps
        assert (size in got) == (not any(any(dropped(step)) for step in steps))


def test_the_smallest_input_of_a_series_changes_its_length_alone() -> None:
    assert smallest_input(network("har")) == (6, 9)  # two valid windows of 3, a pool of 2
    assert smallest_input(network("occupancy")) == (6, 5)


def test_axes_of_different_length_are_tried_one_by_one() -> None:
    net = parse_notation("input 20x30x1, conv 4 3x5, maxpool 2x3")
    assert smallest_input(net) == (4, 7, 1)


def test_features_after_flatten() -> None:
    assert in_features(network("alexnet").trace()) == (("flatten1", 9216, "6 x 6 x 256"),)
    assert in_features(network("resnet18").trace()) == ()
