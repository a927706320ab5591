"""Curves in a terminal: places, gaps, odd values, colors."""

from __future__ import annotations

import math

import pytest

from convcli.report.curves import draw_curves


def test_the_ends_stand_at_the_edges() -> None:
    lines = draw_curves({"a": [1, 2, 4]}, title="t", width=40, height=5).splitlines()
    assert lines[0] == "t  o a"
    assert lines[1].lstrip().startswith("4 │")
    assert lines[1].endswith("o")
    assert lines[5].lstrip().startswith("1 │o")
    assert all(len(line) <= 40 for line in lines)


def test_no_line_is_wider_than_asked() -> None:
    for count in (1, 2, 3, 50, 500):
        text = draw_curves({"a": range(count), "b": range(count, 0, -1)}, title="", width=79)
        assert max(map(len, text.splitlines())) <= 79


@pytest.mark.parametrize("odd", [None, math.nan, math.inf])
def test_a_gap_is_left_for_what_is_no_number(odd: float | None) -> None:
    lines = draw_curves({"a": [1, odd, 3]}, title="", width=30, height=3).splitlines()
    assert sum(line.count("o") for line in lines[1:]) == 2


def test_nothing_to_draw() -> None:
    assert "no finite values" in draw_curves({"a": [None, math.nan]}, title="t")
    assert "no finite values" in draw_curves({}, title="t")
    assert "no finite values" in draw_curves({"a": [0.0]}, title="t", logarithmic=True)


def test_equal_ratios_are_equally_far_apart() -> None:
    lines = draw_curves(
        {"a": [100, 10, 1]}, title="", width=20, height=5, logarithmic=True
    ).splitlines()
    rows = [number for number, line in enumerate(lines[1:6]) if "o" in line.partition("│")[2]]
    assert rows == [0, 2, 4]
    assert lines[3].startswith(" 10 │")


def test_a_constant_is_a_line_in_the_middle() -> None:
    lines = draw_curves({"a": [2, 2]}, title="", width=20, height=5).splitlines()
    assert "o" in lines[3]


def test_other_words_under_the_ends() -> None:
    text = draw_curves({"a": [1, 2]}, title="", width=30, ends=("1e-6", "0.1"))
    assert text.splitlines()[-1].split() == ["1e-6", "0.1"]


def test_colors_tell_curves_apart_where_they_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = {"training": [1, 2], "validation": [2, 1]}
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    heading, *rows = draw_curves(curves, title="Loss", width=30).splitlines()
    assert heading.count("\x1b[") == 4
    assert "o" not in "".join(rows)
    assert any("\x1b[34m" in row and "\x1b[31m" in row for row in rows)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b" not in draw_curves(curves, title="Loss", width=30)


def test_a_name_does_not_steer_the_terminal() -> None:
    assert "\x1b" not in draw_curves({"a\x1b[2J": [1, 2]}, title="t\x1b[2J")
