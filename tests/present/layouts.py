"""Whether everything that is written in a figure can be read: inside it, nothing over anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

TOUCHING = 2.0
"""Pixels by which the boxes of two texts may share room: letters do not fill theirs."""


@dataclass
class Written:
    """Texts as they were drawn into pictures of pixels, with their boxes."""

    width: float = 0.0
    height: float = 0.0
    boxes: list[tuple[str, Any]] = field(default_factory=list)

    def unreadable(self) -> list[str]:
        """Return what is wrong with them: cut at the edge, or over another."""
        problems = [
            f"cut: {text!r} at {box.extents.round().tolist()} of {self.width} x {self.height}"
            for text, box in self.boxes
            if min(box.x0, box.y0) < -1 or box.x1 > self.width + 1 or box.y1 > self.height + 1
        ]
        for (one, a), (other, b) in combinations(self.boxes, 2):
            across = min(a.x1, b.x1) - max(a.x0, b.x0)
            if min(across, min(a.y1, b.y1) - max(a.y0, b.y0)) > TOUCHING:
                problems.append(f"over each other: {one!r} and {other!r}")
        return problems


@contextmanager
def written() -> Iterator[Written]:
    """Yield what takes the texts of the figure of matplotlib that is drawn inside."""
    found = Written()
    real, whole = Text.draw, Figure.draw

    def begin(figure: Figure, renderer: Any) -> None:
        found.boxes.clear()  # a layout is found by drawing before
        whole(figure, renderer)

    def note(text: Text, renderer: Any) -> None:
        real(text, renderer)
        figure = text.get_figure(root=True)
        if figure is not None and text.get_visible() and text.get_text().strip("\u200e "):
            found.width, found.height = figure.bbox.width, figure.bbox.height
            found.boxes.append((text.get_text(), text.get_window_extent(renderer)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", note)
        patch.setattr(Figure, "draw", begin)
        yield found
