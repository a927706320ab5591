"""Every rendering of one small report."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console

from convcli.report import FORMATS, Column, Report, render
from convcli.report.table import print_table

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
    console = Console(width=width, file=io.StringIO(), color_system=None)
    print_table(REPORT, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert any("1,234,567" in line for line in lines)


@pytest.mark.parametrize("style", FORMATS)
def test_parts_follow_their_report(style: str) -> None:
    part = Report("Second", (Column("x", "X"),), ((7,),))
    whole = Report("First", (Column("y", "Y"),), ((8,),), document=[7, 8], parts=(part,))
    assert "7" in render(whole, style)


def test_a_row_of_the_wrong_width_is_a_bug() -> None:
    with pytest.raises(ValueError, match="1 cells in a report of 2 columns"):
        Report("", (Column("a", "A"), Column("b", "B")), ((1,),))
