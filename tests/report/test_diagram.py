"""The diagram: nothing overlaps, every connection arrives, the field is drawn to scale."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given, settings, strategies as st

from convcli.report.diagram import BOX_H, BOX_W, PICTURE, Box, FieldMark, draw
from convcli.report.lanes import place

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def graphs(draws: st.DrawFn) -> list[tuple[int, ...]]:
    """Any graph whose nodes read earlier ones, the first alone reading nothing."""
    count = draws(st.integers(1, 25))
    graph: list[tuple[int, ...]] = [()]
    for node in range(1, count):
        reads = draws(st.sets(st.integers(max(0, node - 6), node - 1), min_size=1, max_size=4))
        graph.append(tuple(sorted(reads)))
    return graph


def boxes_for(graph: list[tuple[int, ...]]) -> list[Box]:
    return [Box(f"n{node}", ("conv",), "conv", reads) for node, reads in enumerate(graph)]


def rectangles(svg: str) -> list[tuple[float, float]]:
    """Return the corners of the boxes in the order of drawing."""
    found = ElementTree.fromstring(svg).iter(f"{SVG}rect")  # noqa: S314  (our own text)
    sized = (rect for rect in found if rect.get("width") == str(BOX_W))
    return [(float(rect.get("x", "")), float(rect.get("y", ""))) for rect in sized]


@given(graphs())
@settings(deadline=None, max_examples=60)
def test_sources_stand_above_their_readers_and_no_place_is_taken_twice(
    graph: list[tuple[int, ...]],
) -> None:
    layout = place(graph, rows_per_column=8)
    assert len(set(zip(layout.row, layout.lane, strict=True))) == len(graph)
    for node, reads in enumerate(graph):
        assert all(layout.row[source] < layout.row[node] for source in reads)
    assert len(layout.edges) == sum(map(len, graph))
    assert all(left < right for left, right in pairwise(layout.column_starts))


@given(graphs())
@settings(deadline=None, max_examples=60)
def test_boxes_never_overlap_and_lines_end_at_boxes(graph: list[tuple[int, ...]]) -> None:
    svg = draw("net", "", boxes_for(graph))
    corners = rectangles(svg)
    assert len(corners) == len(graph)
    for one, (x, y) in enumerate(corners):
        for u, v in corners[:one]:
            assert abs(x - u) >= BOX_W or abs(y - v) >= BOX_H
    tops = {(x + BOX_W // 2, y) for x, y in corners}
    bottoms = {(x + BOX_W // 2, y + BOX_H) for x, y in corners}
    for points in re.findall(r'<polyline points="([^"]+)"', svg):
        path = [tuple(map(float, point.split(","))) for point in points.split()]
        assert path[0] in bottoms
        assert path[-1] in tops


@given(graphs())
@settings(deadline=None, max_examples=60)
def test_no_line_runs_through_a_box(graph: list[tuple[int, ...]]) -> None:
    svg = draw("net", "", boxes_for(graph))
    corners = rectangles(svg)
    for points in re.findall(r'<polyline points="([^"]+)"', svg):
        path = [tuple(map(float, point.split(","))) for point in points.split()]
        for (x0, y0), (x1, y1) in pairwise(path):
            for x, y in corners:
                beside = max(x0, x1) <= x or min(x0, x1) >= x + BOX_W
                apart = max(y0, y1) <= y or min(y0, y1) >= y + BOX_H
                assert beside or apart


def test_a_long_chain_is_cut_into_columns() -> None:
    chain = [(), *((node,) for node in range(99))]
    layout = place(chain, rows_per_column=30)
    assert layout.column_starts == (0, 25, 50, 75)
    assert set(layout.lane) == {0}


def test_the_field_is_drawn_to_scale_and_never_past_the_input() -> None:
    boxes = [Box("input", (), "input"), Box("a", (), "conv", (0,), (0.5, 0.25))]
    boxes.append(Box("b", (), "conv", (1,), (3.0, 2.0)))
    svg = draw("net", "", boxes, [FieldMark("a 14x7", (0.5, 0.25))])
    assert f'width="{PICTURE / 4:.1f}" height="{PICTURE / 2:.1f}"' in svg
    filled = re.findall(r'width="([\d.]+)" height="([\d.]+)" fill="#\w+" fill-opacity="0.55"', svg)
    assert filled[-1] == (f"{PICTURE:.1f}", f"{PICTURE:.1f}")


def test_text_is_escaped_and_cut_to_its_box() -> None:
    title = "<script>" + "w" * 90
    svg = draw("a & b", "", [Box(title, ("x" * 200,), "other")])
    texts = [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314  (our own text)
    assert texts[0] == "a & b"
    assert texts[2].startswith("…www")
    assert max(map(len, texts)) < 50
