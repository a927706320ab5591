"""Charts and documents: well-formed, complete, readable without eyes and without a network."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from convcli.report import Column, Report
from convcli.report.chart import (
    Chart,
    Line,
    Matrix,
    bar_chart,
    ink_on,
    line_chart,
    matrix_chart,
    round_ticks,
)
from convcli.report.document import Document, Figure, Gallery, Picture, Section, render_document

SVG = "{http://www.w3.org/2000/svg}"


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314  (the project's own output)


def test_a_line_goes_through_its_points() -> None:
    chart = parse(line_chart(Chart("t", (Line("a", (0, 1, 2), (0, 10, 5)),), "x", "y")))
    line = chart.find(f".//{SVG}polyline")
    assert line is not None
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    xs, ys = zip(*points, strict=True)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert ys[1] < ys[2] < ys[0], "larger values stand higher, where y is smaller"
    assert ys[2] == pytest.approx((ys[0] + ys[1]) / 2, abs=0.2)


def test_what_is_not_finite_is_left_out_and_nothing_is_an_empty_chart() -> None:
    lines = [Line("a", (1, 2, 3), (1.0, math.nan, 2.0)), Line("b", (1,), (math.inf,))]
    chart = line_chart(Chart("t", tuple(lines), "x", "y"))
    assert "nan" not in chart
    assert "inf" not in chart
    assert chart.count("<polyline") == 1
    parse(line_chart(Chart("t", (), "x", "y")))
    parse(line_chart(Chart("t", (Line("one", (1,), (0.0,)),), "x", "y")))


def test_labels_of_lines_that_end_together_do_not_overlap() -> None:
    lines = [Line(f"run {n}", (1, 2), (0.5, 0.9)) for n in range(5)]
    chart = parse(line_chart(Chart("t", tuple(lines), "x", "y")))
    heights = [
        float(text.attrib["y"])
        for text in chart.iter(f"{SVG}text")
        if (text.text or "").startswith("run")
    ]
    gaps = [after - before for before, after in pairwise(heights)]
    assert min(gaps) >= 12


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (0.991, 0.9934), (1e-8, 2e-8), (5, 5)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = round_ticks(low, high)
    assert 1 <= len(ticks) <= 11
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in ticks)


def test_the_matrix_names_every_cell() -> None:
    chart = parse(matrix_chart(Matrix("Confusion", [[3, 1], [0, 4]], ["<cat>", "dog & co"])))
    titles = [title.text for title in chart.iter(f"{SVG}title")]
    assert "true <cat>, predicted dog & co: 1" in titles
    description = chart.find(f"{SVG}desc")
    assert description is not None
    assert description.text == "7 of 8 on the diagonal"


def luminance(color: str) -> float:
    """Return WCAG 2's relative luminance of #rrggbb."""
    levels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in levels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_stands_out_from_every_shade_and_one_mistake_of_1000_is_seen() -> None:
    counts = [[999 - wrong, wrong] for wrong in range(0, 999, 7)]
    matrix = Matrix("m", [row if row[1] else [999, 1] for row in counts], [""] * len(counts))
    assert min(contrast(cell.color, cell.ink) for cell in matrix.cells()) >= 4.5
    grays = [f"#{level:02x}{level:02x}{level:02x}" for level in range(256)]
    assert min(contrast(gray, ink_on(gray)) for gray in grays) >= 4.5
    cells = matrix.cells()
    assert (cells[1].count, cells[1].texts) == (1, ("1", "0.1%"))
    assert contrast(cells[1].color, "#ffffff") > 1.1
    mixed = Matrix("m", [[1, 0], [0, 1]], "ab").cells()
    assert contrast(mixed[1].color, "#ffffff") < 1.05


def test_hovering_tells_every_value() -> None:
    lines = (Line("training", (1, 2), (0.5, 0.25)),)
    chart = parse(line_chart(Chart("t", lines, "epoch", "accuracy", percent=True)))
    told = [title.text for title in chart.iter(f"{SVG}title")]
    assert told[1:] == ["training, epoch 1: 50.00%", "training, epoch 2: 25.00%"]


def test_a_document_needs_nothing_else() -> None:
    table = Report(
        "T", (Column("a", "A & B"), Column("n", "N", "right")), (("<x>", 1234),), ("", 1)
    )
    figures = (
        Figure("A dot.", b"\x89PNG"),
        Figure("A line.", line_chart(Chart("c", (), "", ""))),
    )
    sections = (Section("Tables", ("Words.", table)), Section("Figures", figures))
    page = render_document(Document("Title", "Lead", sections))
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "A &amp; B" in page
    assert "&lt;x&gt;" in page
    assert "1,234" in page
    assert page.count("<figure>") == page.count("<figcaption>") == 2
    assert page.count('alt="') + page.count("aria-label=") == 2
    for tag in ("section", "table", "figure", "svg"):
        assert page.count(f"<{tag}") == page.count(f"</{tag}>")


def test_a_marked_place_stands_at_its_epoch() -> None:
    lines = [Line("a", (1, 2, 3), (3.0, 1.0, 2.0))]
    chart = parse(line_chart(Chart("t", tuple(lines), "x", "y", mark=(2, "best <2>"))))
    mark = next(e for e in chart.iter(f"{SVG}line") if e.attrib["class"] == "mark")
    points = chart.find(f".//{SVG}polyline").attrib["points"].split()
    assert mark.attrib["x1"] == points[1].split(",")[0]
    assert "best <2>" in [text.text for text in chart.iter(f"{SVG}text")]
    outside = line_chart(Chart("t", tuple(lines), "x", "y", mark=(9, "never")))
    assert "never" not in outside


def test_equal_ratios_are_equally_far_apart() -> None:
    lines = [Line("a", (100, 1000, 10_000), (0.0, 0.5, 1.0))]
    chart = parse(line_chart(Chart("t", tuple(lines), "x", "y", log_x=True)))
    places = [float(dot.attrib["cx"]) for dot in chart.iter(f"{SVG}circle")]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    assert {"100", "1 k", "10 k"} <= {text.text for text in chart.iter(f"{SVG}text")}


def test_dashes_and_lines_without_a_label() -> None:
    lines = [
        Line("behind", (1, 2), (0, 1), dashed=True, color=3, labeled=False),
        Line("before", (1, 2), (1, 0), color=3),
    ]
    chart = parse(line_chart(Chart("t", tuple(lines), "x", "y")))
    behind, before = chart.iter(f"{SVG}polyline")
    assert behind.attrib["stroke"] == before.attrib["stroke"]
    assert "stroke-dasharray" in behind.attrib
    assert "stroke-dasharray" not in before.attrib
    texts = [text.text for text in chart.iter(f"{SVG}text")]
    assert "before" in texts
    assert "behind" not in texts


def test_epochs_have_whole_numbers() -> None:
    chart = parse(line_chart(Chart("t", (Line("a", (1, 2, 3), (1, 2, 3)),), "epoch", "y")))
    low = max(float(text.attrib.get("y", 0)) for text in chart.iter(f"{SVG}text"))
    along = [t.text for t in chart.iter(f"{SVG}text") if float(t.attrib.get("y", 0)) == low - 18]
    assert along == ["1", "2", "3"]


def test_many_labels_stay_on_the_chart() -> None:
    lines = [Line(f"run {n}", (1, 2), (0.5, 0.1)) for n in range(40)]
    chart = parse(line_chart(Chart("t", tuple(lines), "x", "y")))
    heights = sorted(
        float(text.attrib["y"])
        for text in chart.iter(f"{SVG}text")
        if (text.text or "").startswith("run")
    )
    assert min(after - before for before, after in pairwise(heights)) >= 12
    assert heights[0] > 0
    assert heights[-1] < float(chart.attrib["height"])


def test_a_gallery_names_its_pictures() -> None:
    pictures = (
        Picture(b"\x89PNG", "1, said 7\n99% sure", 84),
        Picture(b"\x89PNG", "b", 56, 'a "b"'),
    )
    page = render_document(Document("T", "", (Section("S", (Gallery("Wrong & sure", pictures),)),)))
    assert 'aria-label="Wrong &amp; sure"' in page
    assert 'alt="1, said 7 99% sure"' in page
    assert 'alt="a &#34;b&#34;"' in page
    assert page.count("<figure>") == page.count("<img ") == 2


def test_a_chart_is_enlarged_without_a_script() -> None:
    chart = Chart("t", (Line("a", (0, 1, 2), (0, 10, 5)),), "x", "y")
    page = render_document(Document("A", "", (Section("B", (Figure("C", line_chart(chart)),)),)))
    assert '<label class="switch large"><input type="checkbox"> large</label>' in page
    assert "figure:has(.large :checked) svg { width: 100%; }" in page
    assert "nav, .switch { display: none; }" in page.partition("@media print")[2]


def test_bars_stand_on_both_sides_of_their_zero_line() -> None:
    drawn = bar_chart("Sums", ("plus", "minus"), (2.0, -1.0), ("2", "-1"))
    root = parse(drawn)
    zero = float(root.findall(f"{SVG}line")[0].attrib["x1"])
    bars = root.findall(f"{SVG}rect")
    plus, minus = ((float(bar.attrib["x"]), float(bar.attrib["width"])) for bar in bars)
    assert plus[0] == zero
    assert sum(minus) == pytest.approx(zero, abs=0.11)
    assert plus[1] == pytest.approx(2 * minus[1], abs=0.11)
    names = [text.text for text in root.iter(f"{SVG}text")]
    assert names == ["plus", "2", "minus", "-1"]
