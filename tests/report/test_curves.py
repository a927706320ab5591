"""Charts in a terminal: places, odd values, colors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest

from convcli.report.chart import Chart, Line
from convcli.report.curves import draw_chart


def chart(title: str, **lines: Iterable[float]) -> Chart:
    """Return lines over 1, 2, 3, ..."""
    drawn = [(name, tuple(map(float, values))) for name, values in lines.items()]
    return Chart(
        title, tuple(Line(name, tuple(range(1, len(y) + 1)), y) for name, y in drawn), "x", "y"
    )


def log(title: str, **lines: Iterable[float]) -> Chart:
    plain = chart(title, **lines)
    return Chart(title, plain.lines, "x", "y", log_y=True)


def test_the_ends_stand_at_the_edges() -> None:
    lines = draw_chart(chart("t", a=[1, 2, 4]), width=40, height=5).splitlines()
    assert lines[0] == "t  o a"
    assert lines[1].lstrip().startswith("4 │")
    assert lines[1].endswith("o")
    assert lines[5].lstrip().startswith("1 │o")
    assert all(len(line) <= 40 for line in lines)


def test_no_line_is_wider_than_asked() -> None:
    for count in (1, 2, 3, 50, 500):
        text = draw_chart(chart("", a=range(count), b=range(count, 0, -1)), width=79)
        assert max(map(len, text.splitlines())) <= 79


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_no_number_has_no_place(odd: float) -> None:
    lines = draw_chart(chart("", a=[1, odd, 3]), width=30, height=3).splitlines()
    assert sum(line.count("o") for line in lines[1:]) == 2


def test_nothing_to_draw() -> None:
    assert "no finite values" in draw_chart(chart("t", a=[math.nan]))
    assert "no finite values" in draw_chart(chart("t"))
    assert "no finite values" in draw_chart(log("t", a=[0.0]))


def test_equal_ratios_are_equally_far_apart() -> None:
    lines = draw_chart(log("", a=[100, 10, 1]), width=20, height=5).splitlines()
    rows = [number for number, line in enumerate(lines[1:6]) if "o" in line.partition("│")[2]]
    assert rows == [0, 2, 4]
    assert lines[3].startswith(" 10 │")


def test_a_constant_is_a_line_in_the_middle() -> None:
    lines = draw_chart(chart("", a=[2, 2]), width=20, height=5).splitlines()
    assert "o" in lines[3]


@pytest.mark.parametrize("place", [1e-5, 1e-2])
def test_a_marked_place_stands_under_its_column(place: float) -> None:
    line = Line("loss", (1e-6, 1e-3, 1.0), (3.0, 2.0, 1.0))
    tried = Chart("t", (line,), "lr", "loss", mark=(place, "here"), log_x=True)
    *_, ends, marked = draw_chart(tried, width=67, height=3).splitlines()
    assert ends.split() == ["1e-06", "lr", "(logarithmic)", "1"]
    first, last = ends.index("1e-06"), len(ends) - 1
    share = (math.log10(place) + 6) / 6
    assert marked.index("^") == pytest.approx(first + share * (last - first), abs=1)
    assert "here" in marked


def test_colors_tell_curves_apart_where_they_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    curves: dict[str, Any] = {"training": [1, 2], "validation": [2, 1]}
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    heading, *rows = draw_chart(chart("Loss", **curves), width=30).splitlines()
    assert heading.count("\x1b[") == 4
    assert "o" not in "".join(rows)
    assert any("\x1b[34m" in row and "\x1b[31m" in row for row in rows)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b" not in draw_chart(chart("Loss", **curves), width=30)


def test_a_name_does_not_steer_the_terminal() -> None:
    assert "\x1b" not in draw_chart(chart("t\x1b[2J", **{"a\x1b[2J": [1, 2]}))


def test_the_axes_are_named_and_say_when_they_are_logarithmic() -> None:
    lines = draw_chart(log("Loss", a=[100, 10, 1]), width=40, height=5).splitlines()
    assert lines[0] == "Loss (logarithmic)  o a"
    assert lines[-1].split() == ["1", "x", "3"]
    assert len(lines[-1]) <= 40
    both = Chart("Losses", (Line("a", (1.0, 10.0), (1.0, 2.0)),), "lr", "loss", log_x=True)
    assert "lr (logarithmic)" in draw_chart(both, width=40).splitlines()[-1]
