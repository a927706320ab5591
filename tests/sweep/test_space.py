"""Axes in words to values, grids and draws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings, strategies as st

from convcli.errors import UsageError
from convcli.sweep.space import Listed, Range, Trial, draw, grid, is_axis, parse_axes

N = {"n": 16}


def test_the_words_of_the_lecture_are_read() -> None:
    got = parse_axes(["n=1,2,4,8,16,32,48,64,96", "lr=1e-3..1e-1:log"], N)
    assert got == (
        Listed("n", (1, 2, 4, 8, 16, 32, 48, 64, 96)),
        Range("lr", 0.001, 0.1, logarithmic=True),
    )


@pytest.mark.parametrize(
    ("word", "ref"),
    [
        ("batch=32", Listed("batch", (32,))),
        ("lr=.5,1e-2", Listed("lr", (0.5, 0.01))),
        ("optimizer=adam,sgd:momentum=0.8", Listed("optimizer", ("adam", "sgd:momentum=0.8"))),
        (
            "augment=shift=2,rotate=5;none",
            Listed("augment", ("shift=2,rotate=5", "none")),
        ),
        ("n=1..96:log:3", Range("n", 1, 96, logarithmic=True, whole=True, count=3)),
        ("clip=-1..1", Range("clip", -1, 1)),
    ],
)
def test_values_have_the_type_of_their_setting(word: str, ref: object) -> None:
    assert parse_axes([word], N) == (ref,)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["m=1,2"], "There is no setting 'm'"),
        (["epoch=1,2"], "Did you mean epochs?"),
        (["optimizr=adam"], "Did you mean optimizer?"),
        (["n=1,2,x"], "'x' is not a whole number"),
        (["n=1.5"], "'1.5' is not a whole number"),
        (["lr="], "'' is not a number"),
        (["lr=1e-3,nan"], "no finite number"),
        (["lr=0.1..0.01"], "first number must be below"),
        (["lr=0..1:log"], "begins above 0"),
        (["n=0.5..3"], "takes whole numbers"),
        (["lr=1..2:log:1"], "at least 2 points"),
        (["lr=1..2:exp"], "a range is LOW..HIGH"),
        (["n=1,2,1"], "1 is there twice"),
        (["n=1", "n=2"], "given twice"),
        (["optimizer="], "is not a value"),
        (["what"], "no axis"),
    ],
)
def test_a_mistake_is_told_with_a_way_out(words: list[str], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_axes(words, N)
    assert told in str(caught.value)


def test_an_axis_is_told_from_a_network() -> None:
    networks = ["rps:n=16", "let n=2, input 8x8x1", "input 8x8x1, conv 8 3 name=a", "a/b=c.net"]
    assert not any(map(is_axis, networks))
    assert all(map(is_axis, ["n=1", "label-smoothing=0.1", "network=a/b=c.net"]))


def test_a_grid_has_every_combination_once() -> None:
    axes = parse_axes(["n=1,2,4", "lr=1e-3..1e-1:log:3", "optimizer=adam,sgd"], N)
    ref = [
        (("n", n), ("lr", rate), ("optimizer", name))
        for n in (1, 2, 4)
        for rate in (0.001, 0.01, 0.1)
        for name in ("adam", "sgd")
    ]
    got = grid(axes)
    assert [trial.values for trial in got] == ref
    assert [trial.number for trial in got] == list(range(1, 19))


def test_a_huge_grid_is_refused() -> None:
    axes = [Range(name, 0, 1, count=1000) for name in "ab"]
    with pytest.raises(UsageError, match="1,000,000 trials; 10,000 is the limit"):
        grid(axes)


def test_draws_without_ranges_never_repeat_and_end_with_the_grid() -> None:
    axes = parse_axes(["n=1,2,4", "batch=16,32"], N)
    got = draw(axes, 5, seed=0)
    assert len({trial.values for trial in got}) == 5
    assert {trial.values for trial in draw(axes, 99, seed=0)} == {t.values for t in grid(axes)}


def test_the_seed_decides_the_draw() -> None:
    axes = parse_axes(["lr=1e-4..1:log", "n=1..96"], N)
    assert draw(axes, 8, seed=1) == draw(axes, 8, seed=1)
    assert draw(axes, 8, seed=1) != draw(axes, 8, seed=2)
    assert draw(axes, 8, seed=1)[:3] == draw(axes, 3, seed=1)
    assert isinstance(draw(axes, 1, seed=1)[0], Trial)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 50), st.integers(1, 500), st.booleans(), st.booleans(), st.floats(0, 0.999999)
)
def test_a_range_keeps_to_its_ends(
    low: int, more: int, logarithmic: bool, whole: bool, share: float
) -> None:
    axis = Range("x", low, low + more, logarithmic, whole)
    value = axis.at(share)
    assert isinstance(value, int) == whole
    assert low <= float(value) <= low + more
    assert axis.points()[0] == low
    assert axis.points()[-1] == low + more


def test_whole_numbers_of_a_range_are_equally_likely() -> None:
    shares = [k / 1000 for k in range(1000)]
    got = [Range("n", 3, 6, whole=True).at(share) for share in shares]
    assert [got.count(n) for n in (3, 4, 5, 6)] == [250, 250, 250, 250]


def test_a_logarithmic_range_has_equal_ratios() -> None:
    axis = Range("lr", 1e-4, 1e-1, logarithmic=True)
    got = [float(axis.at(share)) for share in (0, 1 / 3, 2 / 3)]
    assert [round(math.log10(value), 3) for value in got] == [-4, -3, -2]
