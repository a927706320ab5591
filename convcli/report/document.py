"""A document of tables, figures and words as one self-contained HTML page without scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from convcli.report.value import Report

GENERATOR = "convcli report"
"""Noted in each page, so that a page of ours is told from a file of the user's."""

STYLE = """
:root { color-scheme: light dark; --ground: #fbfaf8; --ink: #1d1d22; --soft: #6a6a74;
  --line: #d9d7d0; --card: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --ground: #16171b; --ink: #ececf0; --soft: #a0a0ac;
  --line: #34353d; --card: #1f2026; }
  .chart polyline, .chart circle, .chart text[style*=fill] { filter: brightness(1.5); } }
@media (max-width: 600px) { th, td { white-space: normal !important; } }
@page { margin: 14mm 12mm; }
@media print { :root { color-scheme: light; --ground: #fff; --ink: #000; --soft: #444;
  --line: #bbb; --card: #fff; } nav { display: none; } body { max-width: none; padding: 0;
  font-size: 10pt; } .scroll { overflow: visible; } h2, caption { break-after: avoid; }
  figure, tr, p.note { break-inside: avoid; } th, td { white-space: normal; }
  .chart * { filter: none !important; } }
body { margin: 0 auto; max-width: 1060px; padding: 1.5rem; background: var(--ground);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
p.lead { color: var(--soft); margin: 0; } nav a { margin-right: 1rem; } a { color: inherit; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; white-space: nowrap; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; } th.right, td.right { text-align: right; } tfoot td { font-weight: 700; }
figure { margin: 1rem 1.5rem 1rem 0; display: inline-block; vertical-align: top; max-width: 100%; }
figure img, figure svg { max-width: 100%; height: auto; image-rendering: pixelated; }
figcaption { color: var(--soft); font-size: .85rem; max-width: 40rem; }
p.note { color: var(--soft); font-size: .9rem; margin: .3rem 0; max-width: 60rem; }
nav { margin-top: .8rem; line-height: 1.9; } main p { max-width: 60rem; }
.gallery { margin: .6rem 0 1.1rem; } .gallery > p { margin: 0 0 .4rem; font-weight: 600; }
.cells { display: flex; flex-wrap: wrap; gap: .7rem .8rem; }
.cells figure { margin: 0; display: block; max-width: 100%; }
.cells img { display: block; background: var(--card); border: 1px solid var(--line); }
.cells figcaption { margin-top: .15rem; line-height: 1.25;
  font-size: .8rem; white-space: pre-line; }
"""


CELL_STYLE = """
.convcli table { border-collapse: collapse; } .convcli caption { text-align: left;
  font-weight: 600; white-space: nowrap; } .convcli tfoot td { font-weight: 700; }
.convcli th, .convcli td { text-align: left; padding: .15rem .7rem .15rem 0; }
.convcli th.right, .convcli td.right { text-align: right; } .convcli figure { margin: .5rem 0; }
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its caption; `content` is SVG text or the bytes of a PNG file."""

    caption: str
    content: str | bytes
    alternative: str = ""
    """What it shows, for readers who do not see it; the caption when left out."""


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


Block = Report | Figure | Gallery | str


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it: paragraphs, tables, figures."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A titled page of sections."""

    title: str
    lead: str
    sections: tuple[Section, ...]

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
    ids = [f"part-{number}" for number in range(1, len(document.sections) + 1)]
    links = "".join(
        f'<a href="#{place}">{escape(section.heading)}</a>'
        for place, section in zip(ids, document.sections, strict=True)
    )
    sections = "".join(
        f'<section id="{place}"><h2>{escape(section.heading)}</h2>'
        f"{render_blocks(section.blocks)}</section>\n"
        for place, section in zip(ids, document.sections, strict=True)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="generator" content="{GENERATOR}">\n'
        f"<title>{escape(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(document.title)}</h1><p class="lead">{escape(document.lead)}</p>'
        f"</header>\n<nav>{links}</nav>\n<main>\n{sections}</main>\n</body>\n</html>\n"
    )


def render_blocks(blocks: Sequence[Block]) -> str:
    """Return paragraphs, tables and figures as HTML, without a page around them."""
    return "".join(_block(block) for block in blocks)


def in_cell(html: str) -> str:
    """Return tables and figures for a notebook's cell, with a style that reaches nothing else."""
    return f'<div class="convcli"><style>{CELL_STYLE}</style>{html}</div>'


def _block(block: Block) -> str:
    if isinstance(block, str):
        return f"<p>{escape(block)}</p>"
    if isinstance(block, Figure):
        return _figure(block)
    if isinstance(block, Gallery):
        return _gallery(block)
    return render_table(block)


def _figure(figure: Figure) -> str:
    if isinstance(figure.content, bytes):
        content = _image(figure.content, figure.alternative or figure.caption)
    else:
        content = figure.content
    return f"<figure>{content}<figcaption>{escape(figure.caption)}</figcaption></figure>"


def _gallery(gallery: Gallery) -> str:
    cells = "".join(
        f"<figure>{_image(one.png, one.alternative or one.caption, one.width)}"
        f'<figcaption style="max-width:{max(one.width, 96)}px">{escape(one.caption)}</figcaption>'
        "</figure>"
        for one in gallery.pictures
    )
    heading = escape(gallery.heading)
    return (
        f'<div class="gallery" role="group" aria-label="{heading}"><p>{heading}</p>'
        f'<div class="cells">{cells}</div></div>'
    )


def _image(png: bytes, alternative: str, width: int | None = None) -> str:
    data = base64.b64encode(png).decode("ascii")
    wide = "" if width is None else f' style="width:{width}px"'
    words = escape(" ".join(alternative.split()))
    return f'<img alt="{words}"{wide} src="data:image/png;base64,{data}">'


def render_table(report: Report) -> str:
    """Return a `Report` and its parts as HTML tables with their notes.

    >>> from convcli.report.value import Column
    >>> from convcli.report.value import Report
    >>> report = Report("Sizes", (Column("n", "N"),), ((1000,),))
    >>> "<td>1,000</td>" in render_table(report)
    True
    """
    out = []
    if report.columns:
        title = f"<caption>{escape(report.title)}</caption>" if report.title else ""
        head = "".join(
            f'<th scope="col"{_align(column.align)}>{escape(column.header)}</th>'
            for column in report.columns
        )
        body = "".join(f"<tr>{_cells(report, row)}</tr>" for row in report.rows)
        foot = f"<tfoot><tr>{_cells(report, report.totals)}</tr></tfoot>" if report.totals else ""
        out.append(
            f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody>{foot}</table></div>"
        )
    elif report.title:
        out.append(f"<p><strong>{escape(report.title)}</strong></p>")
    out += [f'<p class="note">{escape(note)}</p>' for note in report.notes]
    out += [render_table(part) for part in report.parts]
    return "".join(out)


def _align(align: str) -> str:
    return ' class="right"' if align == "right" else ""


def _cells(report: Report, row: tuple[object, ...]) -> str:
    is_totals = row is report.totals
    return "".join(
        f"<td{_align(column.align)}>"
        f"{'' if is_totals and cell is None else escape(column.text(cell))}</td>"
        for column, cell in zip(report.columns, row, strict=True)
    )
