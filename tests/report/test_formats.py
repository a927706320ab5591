"""Every rendering of one small report."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from convcli.report import FORMATS, Column, Report, render
from convcli.report.table import draw_table

REPORT = Report(
    title="Two layers",
    columns=(Column("name", "Layer"), Column("params", "Parameters", "right")),
    rows=(("conv_1", 1234567), ("a|b", None)),
    totals=("total", 1234567),
    notes=("100 % counted.",),
)


def test_plain_aligns_figures_to_the_right() -> None:
    assert render(REPORT, "plain").splitlines() == [
        "Two layers",
        "Layer   Parameters",
        "conv_1   1,234,567",
        "a|b              -",
        "total    1,234,567",
        "100 % counted.",
    ]


def test_json_holds_numbers_and_null() -> None:
    got = json.loads(render(REPORT, "json"))
    assert got == [{"name": "conv_1", "params": 1234567}, {"name": "a|b", "params": None}]


def test_json_prefers_the_document_and_has_no_nan() -> None:
    report = Report("", (), (), document={"loss": float("inf"), "values": (1, float("nan"))})
    assert json.loads(render(report, "json")) == {"loss": None, "values": [1, None]}


def test_csv_reads_back() -> None:
    rows = list(csv.reader(io.StringIO(render(REPORT, "csv"))))
    assert rows == [["name", "params"], ["conv_1", "1234567"], ["a|b", ""]]


def test_markdown_escapes_the_bar() -> None:
    assert r"| a\|b | - |" in render(REPORT, "markdown")


def test_latex_escapes_what_tex_would_read() -> None:
    got = render(REPORT, "latex")
    assert r"conv\_1 & 1,234,567 \\" in got
    assert got.count(r"\begin") == got.count(r"\end") == 2


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_table_fits_its_terminal(width: int) -> None:
    lines = draw_table(REPORT, width, colour=False).splitlines()
    assert max(map(len, lines)) <= width
    assert any("1,234,567" in line for line in lines)


@pytest.mark.parametrize("width", [12, 20, 30, 45])
def test_a_narrow_table_folds_words_before_it_folds_figures(width: int) -> None:
    columns = (Column("layer", "Layer"), Column("params", "Parameters", "right"))
    report = Report("", columns, (("conv 64 3 same relu", 36928), ("dense 1000", 4097000)))
    got = draw_table(report, width, colour=False)
    assert max(map(len, got.splitlines())) <= width
    assert "".join(got.split()).count("conv643samerelu" if width > 30 else "relu") == 1
    assert width < 20 or "4,097,000" in got


def test_colour_is_escape_codes_and_nothing_else() -> None:
    got = draw_table(REPORT, 60, colour=True)
    assert "\x1b[1mLayer" in got
    assert re.sub("\x1b\\[[0-9]m", "", got) == draw_table(REPORT, 60, colour=False)


def test_a_section_begins_with_a_thin_rule() -> None:
    report = Report("", REPORT.columns, REPORT.rows, sections=frozenset({0, 1}))
    lines = draw_table(report, 60, colour=False).splitlines()
    assert [line[0] for line in lines] == ["L", "─", "c", "┈", "a"]


def test_wide_letters_take_two_cells() -> None:
    report = Report("", REPORT.columns, (("卷积", 1), ("conv", 22)))
    _, _, wide, narrow = draw_table(report, 60, colour=False).splitlines()
    assert len(narrow) - len(wide) == 2


@pytest.mark.parametrize("style", FORMATS)
def test_parts_follow_their_report(style: str) -> None:
    part = Report("Second", (Column("x", "X"),), ((7,),))
    whole = Report("First", (Column("y", "Y"),), ((8,),), document=[7, 8], parts=(part,))
    assert "7" in render(whole, style)


@pytest.mark.parametrize("style", ["plain", "csv", "markdown", "latex"])
def test_words_without_a_table_are_said_in_every_format(style: str) -> None:
    said = render(Report("Sizes", (), (), notes=("5 x 5 = 25", "", "50 % dropped")), style)
    assert "Sizes" in said
    assert "5 x 5 = 25" in said
    assert r"\begin{tabular}" not in said


def test_latex_says_the_notes_under_its_table() -> None:
    assert r"100 \% counted." in render(REPORT, "latex")


def test_a_row_of_the_wrong_width_is_a_bug() -> None:
    with pytest.raises(ValueError, match="1 cells in a report of 2 columns"):
        Report("", (Column("a", "A"), Column("b", "B")), ((1,),))
