"""Rows of numbers, and the place of whatever is wrong with them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from convcli.errors import UsageError
from convcli.kernels import Kernel, find, parse_rows


@pytest.mark.parametrize(
    "text",
    [
        "1 0 -1; 2 0 -2",
        "1,0,-1\n2,0,-2\n",
        "1, 0, -1;\n2, 0, -2;\n",
        "[[1, 0, -1], [2, 0, -2]]",
        "# an edge\n1 0 -1 # top\n\n2 0 \N{MINUS SIGN}2\r\n",
        "\N{BYTE ORDER MARK}1\t0\t-1\n+2 0 -2",
    ],
)
def test_the_same_rows_in_different_hands(text: str) -> None:
    assert parse_rows(text).rows == ((1, 0, -1), (2, 0, -2))


def test_fractions_keep_whole_rows_under_a_divisor() -> None:
    got = find("1/9 1/9 1/9; 1/9 1/9 1/9; 1/9 1/9 1/9")
    assert isinstance(got, Kernel)
    assert (got.rows, got.divisor) == (((1, 1, 1),) * 3, 9)
    assert got.factors == ((1, 1, 1), (1, 1, 1))
    mixed = parse_rows("1/2 0.25")
    assert (mixed.rows, mixed.divisor) == (((0.5, 0.25),), 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no numbers"),
        ("1 0 -1; 1 0", "row 2 has 2 numbers, row 1 has 3"),
        ("1 0; 1", "row 2 has 1 number, row 1 has 2"),
        ("1 0; 1 x", "row 2, column 2: 'x' is not a number"),
        ("1 nan; 1 0", "row 1, column 2: nan is not finite"),
        ("1 0; -inf 0", "row 2, column 1: -inf is not finite"),
        ("1e999", "row 1, column 1: 1e999 is not finite"),
        ("1 1e31", "row 1, column 2: the number is over 1e\\+30"),
        ("1" * 100, "row 1, column 1: the number is over"),
        ("9" * 5000, "row 1, column 1: '9{20}\\.\\.\\.' is not a number"),
        ("1/0 1", "row 1, column 1: 1/0 divides by zero"),
        ("1,,2", "row 1, column 2: '' is not a number"),
        ("0 0; 0 0", "all zeros"),
        ("1 " * 1024, "1x1024; a side may have at most 1023"),
        ("1;0\n1;0", "not both"),
        ("__import__('os')", "row 1, column 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_rows(text)


def test_a_file_is_named_in_the_mistake() -> None:
    with pytest.raises(UsageError, match=r"Kernel mine\.csv, row 1, column 2"):
        parse_rows("1 b", name="mine.csv")


NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6), st.floats(-1e6, 1e6).map(lambda value: value or 1.0)
)


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=5
        )
    )
)
@settings(deadline=None, max_examples=60)
def test_written_rows_are_read_back(rows: list[list[float]]) -> None:
    if not any(any(line) for line in rows):
        rows[0][0] = 1
    text = "; ".join(" ".join(repr(cell) for cell in line) for line in rows)
    assert parse_rows(text).rows == tuple(tuple(line) for line in rows)


@given(st.text(alphabet="0123456789./-+;,e \n[]#xnaif", max_size=40))
@settings(deadline=None, max_examples=200)
def test_any_text_is_a_kernel_or_a_sentence(text: str) -> None:
    try:
        got = parse_rows(text)
    except UsageError:
        return
    assert len({len(cells) for cells in got.rows}) == 1
