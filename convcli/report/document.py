"""A document of tables, figures and words as one self-contained HTML page without scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcli.report.chart import Chart, line_chart
from convcli.report.value import Report

if TYPE_CHECKING:
    from jinja2 import Environment

GENERATOR = "convcli report"
"""Noted in each page, so that a page of ours is told from a file of the user's."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its caption; `content` is SVG text or the bytes of a PNG file."""

    caption: str
    content: str | bytes
    alternative: str = ""
    """What it shows, for readers who do not see it; the caption when left out."""
    linear: str = ""
    """The same chart on a linear scale, where `content` has a logarithmic one: a switch chooses."""


def chart_figure(chart: Chart, caption: str, width: int = 620) -> Figure:
    """Return a chart with its caption; one with a logarithmic scale takes a linear one too."""
    linear = line_chart(replace(chart, log_y=False), width) if chart.log_y else ""
    return Figure(caption, line_chart(chart, width), linear=linear)


@dataclass(frozen=True, slots=True)
class Picture:
    """One small picture of a gallery.

    Attributes:
        png: the bytes of a PNG file.
        caption: under it; line breaks are kept.
        width: on the page, in pixels; single cells stay sharp when enlarged.
        alternative: what it shows, for readers who do not see it; the caption when left out.
    """

    png: bytes
    caption: str
    width: int
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class Gallery:
    """Small pictures in rows under one heading."""

    heading: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines in letters of one width: what was typed or is in a file, and what came of it."""

    head: str
    body: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question whose answer is shown on demand."""

    text: str
    answer: str


Block = Report | Figure | Gallery | Listing | Question | str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it: paragraphs, tables, figures."""

    heading: str
    blocks: tuple[Block, ...]
    half: bool = False
    """Whether half of a wide window is enough for it, beside a neighbor of its kind."""


@dataclass(frozen=True, slots=True)
class Document:
    """A titled page of sections."""

    title: str
    lead: str
    sections: tuple[Section, ...]
    cards: tuple[tuple[str, str], ...] = ()
    """Key figures, each with what it is, large at the head of the page."""

    def _repr_html_(self) -> str:
        """Return the page in a frame, so that its style and a notebook's stay apart."""
        page = escape(render_document(self))
        return (
            f'<iframe srcdoc="{page}" title="{escape(self.title)}" sandbox '
            'style="width:100%;height:40rem;border:0"></iframe>'
        )


def render_document(document: Document) -> str:
    """Return the whole page as HTML; it needs no network, no script and no other file.

    >>> page = render_document(Document("Run 1", "", (Section("Loss", ("It <fell>.",)),)))
    >>> "<p>It &lt;fell&gt;.</p>" in page, "<script" in page
    (True, False)
    """
    return render_template("page.html", document=document, generator=GENERATOR)


def render_template(name: str, **values: Any) -> str:
    """Return a template of `templates/` with its values in place, whatever they are escaped."""
    return _templates().get_template(name).render(**values)


def render_blocks(blocks: Sequence[Block]) -> str:
    """Return paragraphs, tables and figures as HTML, without a page around them."""
    return str(_macros().blocks(blocks))


def render_table(report: Report) -> str:
    """Return a `Report` and its parts as HTML tables with their notes.

    >>> from convcli.report.value import Column
    >>> from convcli.report.value import Report
    >>> report = Report("Sizes", (Column("n", "N"),), ((1000,),))
    >>> "<td>1,000</td>" in render_table(report)
    True
    """
    return str(_macros().table(report))


def in_cell(html: str) -> str:
    """Return tables and figures for a notebook's cell, with a style that reaches nothing else."""
    style = render_template("cell.css")
    return f'<div class="convcli"><style>{style}</style>{html}</div>'


def _marked(text: str) -> str:
    """Return text as HTML, words between backticks as code.

    >>> _marked("use `a < b`")
    'use <code>a &lt; b</code>'
    """
    parts = (escape(part) for part in text.split("`"))
    return "".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(parts))


def _macros() -> Any:
    return _templates().get_template("blocks.html").module


@cache
def _templates() -> Environment:
    """Return the templates beside this file; whatever they are given is escaped."""
    from jinja2 import Environment, FileSystemLoader

    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    found.tests |= {
        "figure": lambda block: isinstance(block, Figure),
        "gallery": lambda block: isinstance(block, Gallery),
        "listing": lambda block: isinstance(block, Listing),
        "question": lambda block: isinstance(block, Question),
    }
    found.filters["marked"] = _marked
    found.filters["base64"] = lambda png: base64.b64encode(png).decode("ascii")
    return found
