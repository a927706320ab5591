"""One self-contained page on which a network answers live to what is drawn."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from typing import Any

SCRIPTS = (
    *("layers", "engine", "picture", "table", "maps", "cell", "pad", "graph", "tour", "learn"),
    "view",
)
"""In the order in which they build on each other."""


def build_page(title: str, summary: str, network: dict[str, Any]) -> str:
    """Return the HTML of the page; it needs no network and no other file.

    Args:
        title: heading of the page.
        summary: one sentence under it.
        network: what the page reads: `input`, `classes`, `preprocessing`, `steps` with resolved
            windows, `weights` as base64 of little-endian float32, `colors` by kind as stops,
            `palette` of lines, `graph` (the `row` and `lane` of the input and each step, `edges`),
            and `samples` to choose from: `labels`, and `levels` as base64 of bytes or float32.
    """
    folder = files(__name__)

    def part(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    # "</script" ends the element and "<!--<script" keeps it from ending, even in a class name
    data = json.dumps(network, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    parts = {
        "title": html.escape(title),
        "summary": html.escape(summary),
        "style": part("page.css"),
        "network": data,
        "scripts": "".join(part(f"{name}.js") for name in SCRIPTS),
    }
    head, *rest = part("page.html").split("{{")
    filled = [head]
    for piece in rest:
        name, _, text = piece.partition("}}")
        filled += [parts[name], text]
    return "".join(filled)
