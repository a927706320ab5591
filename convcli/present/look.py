"""What can be asked of every figure that goes into a file."""

from __future__ import annotations

from dataclasses import dataclass

from convcli.option import option

SUFFIXES = (".png", ".svg", ".pdf", ".webp", ".tif", ".tiff", ".bmp")
"""Files that figures are written to; the first one unless told."""


@dataclass(frozen=True)
class Look:
    """How a figure is drawn."""

    PANEL = "Figure"

    dpi: int = option(
        "Pixels an inch of the figure; 200 doubles its sides.", min=20, max=1200, default=100
    )
    zoom: float = option(
        "Draw panels and charts so much larger; letters stay.", "--zoom", "--scale",
        min=0.25, max=16, default=1.0,
    )  # fmt: skip
    title: str | None = option("Heading of the figure.", show_default="what it shows")
