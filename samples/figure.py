"""Make README's picture, `filters.jpg`, with convcli itself: `python -m samples.figure [FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from convcli.imaging.sheet import Cell, Pixels, contact_sheet, filtered
from convcli.kernels import find

HERE = Path(__file__).parent
KERNELS = ("gaussian:sigma=3", "sharpen", "sobel", "emboss", "motion:length=15,angle=30")
CELL_WIDTH = 280


def figure() -> Pixels:
    """Return the sample photo and what five kernels make of it, three cells a row."""
    with Image.open(HERE / "photo.png") as opened:
        picture = np.asarray(opened.resize((CELL_WIDTH, CELL_WIDTH * 3 // 4), Image.Resampling.BOX))
    cells = [Cell("photo.png", picture)]
    cells += [Cell(spec, filtered(picture, find(spec))) for spec in KERNELS]
    return contact_sheet(cells, columns=3, cell_width=CELL_WIDTH)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "filters.jpg"
    Image.fromarray(figure()).save(target, quality=90, subsampling=0, optimize=True)
