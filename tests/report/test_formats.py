"""Every rendering of one small report."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from convcli.report import FORMATS, STYLES, Column, Report, render, tabulate
from convcli.report.table import print_table, terminal

REPORT = Report(
    title="Two layers",
    columns=(Column("name", "Layer"), Column("params", "Parameters", "right")),
    rows=(("conv_1", 1234567), ("a|b", None)),
    totals=("total", 1234567),
    notes=("100 % counted.",),
)


def draw_table(report: Report, width: int, *, color: bool = False) -> str:
    """Return what stands on a terminal of `width` letters."""
    out = io.StringIO()
    style = "standard" if color else None
    print_table(report, terminal(out, width=width, force_terminal=color, color_system=style))
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


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


def test_a_long_latex_table_breaks_over_pages() -> None:
    rows = tuple((f"conv{k}", k) for k in range(100))
    got = render(Report("Many", REPORT.columns, rows), "latex")
    assert got.count(r"\begin{longtable}{lr}") == got.count(r"\end{longtable}") == 1
    assert got.index(r"\midrule") < got.index(r"\endhead") < got.index("conv0")
    assert "tabular" not in got


WIDE = Report(
    "network on 32x32x3",
    (
        Column("name", "Name"),
        Column("layer", "Layer"),
        Column("output", "Output"),
        *(Column(key, key.upper(), "right") for key in ("params", "macs", "flops", "memory")),
    ),
    (
        ("residual1.conv1", "conv 64 3 same relu", (56, 56, 64), 36928, 115_605_504, 5, None),
        ("relu1", "relu", (56, 56, 64), None, None, 7, 1),
    ),
    ("total", "2 rows", None, 36928, 115_605_504, 12, 1),
    ("A note.",),
    sections=frozenset({1}),
)


def words_of(text: str) -> set[str]:
    return set(text.split())


@pytest.mark.parametrize("report", [REPORT, WIDE], ids=["small", "wide"])
@pytest.mark.parametrize("width", [12, 20, 30, 45, 60, 80, 120, 200])
def test_the_table_fits_its_terminal(report: Report, width: int) -> None:
    lines = draw_table(report, width).splitlines()
    assert max(map(len, lines)) <= width


def test_words_are_folded_and_figures_are_not() -> None:
    columns = (Column("layer", "Layer"), Column("params", "Parameters", "right"))
    report = Report("", columns, (("conv 64 3 same relu nobias", 36928), ("dense 10", 4097000)))
    got = draw_table(report, 36)
    assert words_of(got) >= {"conv", "nobias", "36,928", "4,097,000"}
    assert len(got.splitlines()) == len(draw_table(report, 80).splitlines()) + 1


def test_columns_that_find_no_room_leave_from_the_right_and_are_named() -> None:
    got = draw_table(WIDE, 64)
    assert "Too narrow for: FLOPS, MEMORY (--format plain has them)." in got
    assert words_of(got) >= {"Name", "PARAMS", "MACS", "115,605,504"}
    assert "Too narrow" not in draw_table(WIDE, 120)


def test_a_table_far_too_wide_turns_on_its_side_and_loses_nothing() -> None:
    got = draw_table(WIDE, 50)
    assert words_of(render(WIDE, "plain")) <= words_of(got)
    assert [line.split()[0] for line in got.splitlines() if "PARAMS" in line] == ["PARAMS"] * 2


def test_color_is_escape_codes_and_nothing_else() -> None:
    got = draw_table(REPORT, 60, color=True)
    assert "\x1b[36mconv_1" in got  # names
    assert "\x1b[32m 1,234,567" in got  # numbers
    plain = re.sub("\x1b\\[[0-9;]*m", "", got)
    assert words_of(plain) == words_of(draw_table(REPORT, 60))


def test_text_that_looks_like_markup_is_printed_as_it_is() -> None:
    report = Report("[bold]x[/]", REPORT.columns, (("[red]conv :smile:", 1),), notes=("[dim]n",))
    assert words_of(draw_table(report, 60)) >= {"[bold]x[/]", "[red]conv", ":smile:", "[dim]n"}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_letter_is_printed_that_the_terminal_lacks(encoding: str) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, write_through=True) as out:
        print_table(WIDE, terminal(out, width=60))
        got = raw.getvalue().decode(encoding)
    assert ("─" in got) == (encoding == "utf-8")
    assert "36,928" in got


@pytest.mark.parametrize(
    ("variables", "colored"),
    [({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False), ({"FORCE_COLOR": "1"}, True), ({}, False)],
)
def test_the_environment_decides_on_color(
    variables: dict[str, str], colored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    print_table(REPORT, terminal(out, width=60))
    assert ("\x1b[36m" in out.getvalue()) == colored


def test_a_section_begins_with_a_rule() -> None:
    report = Report("", REPORT.columns, REPORT.rows, sections=frozenset({1}))
    lines = [line.split()[0][0] for line in draw_table(report, 60).splitlines()]
    assert lines == ["─", "L", "─", "c", "─", "a", "─"]


def test_wide_letters_take_two_cells() -> None:
    report = Report("", REPORT.columns, (("卷积", 1), ("conv", 22)))
    wide, narrow = draw_table(report, 60).splitlines()[3:5]
    assert len(narrow) - len(wide) == 2


@pytest.mark.parametrize("style", FORMATS)
def test_parts_follow_their_report(style: str) -> None:
    part = Report("Second", (Column("x", "X"),), ((7,),))
    whole = Report("First", (Column("y", "Y"),), ((8,),), document=[7, 8], parts=(part,))
    assert ("7" in render(whole, style)) == (style != "csv")  # which is one table


@pytest.mark.parametrize("style", [one for one in FORMATS if one != "json"])
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


WILD = "a\x1b[2J\x9b1m\u202e\udcffb"


@pytest.mark.parametrize("style", STYLES)
def test_no_name_steers_the_terminal(style: str) -> None:
    report = Report(WILD, (Column("name", WILD),), ((WILD,),), (WILD,), notes=(WILD,))
    text = draw_table(report, 200) if style == "table" else render(report, style)
    assert ("textbackslash{}u001b[2J" if style == "latex" else "\\u001b[2J") in text
    assert not set(WILD) - set("ab[2J1m") & set(text)
    if style == "json":
        assert json.loads(text) == [{"name": WILD}]


def test_records_become_a_table_with_figures_to_the_right() -> None:
    records = [
        {"name": "a", "share": 0.5, "size": (2, 3), "hidden": [1]},
        {"name": "b", "share": None, "size": None, "hidden": []},
    ]
    columns = {"name": "Name", "share": "Share|%", "size": "Size"}
    got = tabulate(records, columns, totals={"share": 1.0}, name="shares")
    assert render(got, "plain").splitlines() == [
        "Name    Share  Size",
        "a      50.00%   2x3",
        "b           -     -",
        "      100.00%",
    ]
    assert json.loads(render(got, "json"))[0]["hidden"] == [1]
    assert [column.align for column in got.columns] == ["left", "right", "right"]
