"""Make README's picture, `filters.jpg`, with convcli itself: `python -m samples.figure [FILE]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convcli.imaging.sheet import filtered
from convcli.kernels import find
from convcli.present.figures import save_panels
from convcli.present.panels import Panel

HERE = Path(__file__).parent
KERNELS = ("gaussian:sigma=3", "sharpen", "sobel", "emboss", "motion:length=15,angle=30")
PANEL_WIDTH = 280


def figure() -> NDArray[np.uint8]:
    """Return the sample photo and what five kernels make of it, three panels a row."""
    with Image.open(HERE / "photo.png") as opened:
        size = PANEL_WIDTH, PANEL_WIDTH * 3 // 4
        picture = np.asarray(opened.resize(size, Image.Resampling.BOX))
    panels = [Panel("photo.png", picture)]
    panels += [Panel(spec, filtered(picture, find(spec))) for spec in KERNELS]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "figure.png"
        save_panels(panels, target, panel_width=PANEL_WIDTH, columns=3)
        with Image.open(target) as drawn:
            return np.asarray(drawn.convert("RGB"))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "filters.jpg"
    Image.fromarray(figure()).save(target, quality=90, subsampling=0, optimize=True)
