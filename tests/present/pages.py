"""A page as a reader without eyes or scripts meets it."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "input"}
"""Elements without an end tag in these pages; those of SVG are closed in place."""


@dataclass
class Page(HTMLParser):
    """Headings, tables and pictures of an HTML page; complains about tags that do not match."""

    text: str
    headings: list[str] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)
    pictures: list[dict[str, str | None]] = field(default_factory=list)
    charts: list[dict[str, str | None]] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(self.text)
        assert not self.open, f"never closed: {self.open}"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.notice(tag, dict(attrs))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.notice(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def notice(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tags.add(tag)
        self.ids.add(attributes.get("id") or "")
        self.links += [attributes[key] or "" for key in ("src", "href") if key in attributes]
        if tag == "img":
            self.pictures.append(attributes)
        if tag == "svg":
            self.charts.append(attributes)
        if tag == "h2":
            self.headings.append("")
        if tag == "tr":
            self.cells.append([])
        if tag in {"td", "th"}:
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings[-1] += data
        if self.open and self.open[-1] in {"td", "th"}:
            self.cells[-1][-1] += data
        self.words.append(data)

    @property
    def facts(self) -> dict[str, str]:
        """Tables of two columns, as names and values."""
        return {row[0]: row[1] for row in self.cells if len(row) == 2}

    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of the pictures, from their files."""
        found = []
        for picture in self.pictures:
            kind, _, data = (picture["src"] or "").partition(",")
            assert kind == "data:image/png;base64"
            content = base64.b64decode(data, validate=True)
            assert content[:8] == b"\x89PNG\r\n\x1a\n"
            found.append(struct.unpack(">II", content[16:24]))
        return found


def check_page(text: str) -> Page:
    """Return the parsed page, refused if it needs anything else or hides anything."""
    page = Page(text)
    assert not page.tags & {"script", "iframe", "link", "object", "embed", "base"}
    for link in page.links:
        assert link.startswith(("data:image/png;base64,", "#")), link[:60]
        assert not link.startswith("#") or link[1:] in page.ids
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    assert all(picture["alt"] for picture in page.pictures)
    assert all(chart.get("role") == "img" and chart["aria-label"] for chart in page.charts)
    return page
