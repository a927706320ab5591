"""Make the sample pictures and matrices: `python -m samples.make [FOLDER]`.

Needs NumPy and Pillow. The same files come out everywhere, up to the rounding of a last digit.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from samples.scene import render

HERE = Path(__file__).parent

MATRICES = {
    "picture-6x6.txt": (
        "# A picture of 6x6 gray levels. With the kernel edge-3x3.txt, --padding valid:\n"
        "# the first sum is 3+1+2 - (1+8+2) = -5.\n"
        "3 0 1 2 7 4\n1 5 8 9 3 1\n2 7 2 5 1 3\n0 1 3 1 7 8\n4 2 1 6 2 8\n2 4 5 2 3 9\n"
    ),
    "edge-3x3.txt": "# A kernel for vertical edges.\n1 0 -1\n1 0 -1\n1 0 -1\n",
    "binary-5x5.csv": "1,1,1,0,0\n0,1,1,1,0\n0,0,1,1,1\n0,0,1,1,0\n0,1,1,0,0\n",
    "cross-3x3.txt": "# With binary-5x5.csv the first sum is 4.\n1 0 1\n0 1 0\n1 0 1\n",
    "pooling-4x4.csv": "2,3,1,9\n4,7,3,5\n8,2,2,2\n1,3,4,5\n",
}


def photo() -> NDArray[np.uint8]:
    """Return the rendered scene, 480 x 640 x 3."""
    return np.rint(255 * render(640, 480)).astype(np.uint8)


def depth16() -> NDArray[np.uint16]:
    """Return the scene small and gray, 192 x 256, with 16 bits a pixel."""
    gray = render(256, 192) @ np.array([0.299, 0.587, 0.114])
    return np.rint(65535 * gray).astype(np.uint16)


def chart() -> NDArray[np.uint8]:
    """Return a test chart, 384 x 512 x 3.

    Above: a star of 36 spokes, a zone plate (rings ever finer), color patches; below: bars of
    8, 6, 4, 3, 2 and 1 pixels, a step wedge of 16 gray levels, a slanted edge and single dots.
    """
    height, width = 384, 512
    page = np.full((height, width, 3), 235, np.float64)
    page[16:240, 16:240] = _star(224)[:, :, None]
    page[16:240, 256:416] = _zone_plate(224, 160)[:, :, None]
    page[16:240, 432:496] = _patches(224, 64)
    page[256:304, 16:240] = _bars(48, 224)[:, :, None]
    page[312:368, 16:240] = np.repeat(np.linspace(0, 255, 16), 14)[None, :, None]
    page[256:368, 256:368] = _slanted_edge(112)[:, :, None]
    page[256:368, 384:496] = _dots(112)[:, :, None]
    return np.rint(page).astype(np.uint8)


def _centered(height: int, width: int, fine: int = 4) -> tuple[NDArray, NDArray]:
    """Return x and y from the middle, on a grid `fine` times as fine, in pixels."""
    y, x = np.mgrid[0 : height * fine, 0 : width * fine]
    return (x + 0.5) / fine - width / 2, (y + 0.5) / fine - height / 2


def _reduced(fine: NDArray, factor: int = 4) -> NDArray[np.float64]:
    """Average blocks of `factor` x `factor`: smooth edges."""
    height, width = fine.shape[0] // factor, fine.shape[1] // factor
    return np.asarray(fine.reshape(height, factor, width, factor).mean(axis=(1, 3)), np.float64)


def _star(side: int) -> NDArray[np.float64]:
    x, y = _centered(side, side)
    radius = np.hypot(x, y)
    spokes = np.where(np.sin(36 * np.arctan2(y, x)) > 0, 20.0, 245.0)
    return _reduced(np.where(radius < side * 0.47, spokes, 235.0))


def _zone_plate(height: int, width: int) -> NDArray[np.float64]:
    x, y = _centered(height, width)
    finest = 0.45 * np.pi / (height / 2)  # almost a full swing from pixel to pixel at the edge
    return _reduced(127.5 + 120 * np.cos(finest * (x * x + y * y)))


def _patches(height: int, width: int) -> NDArray[np.float64]:
    colors = np.array(
        [
            [200, 30, 30],
            [30, 160, 50],
            [30, 60, 190],
            [230, 200, 30],
            [180, 40, 160],
            [30, 180, 190],
        ]
    )
    rows = np.minimum(np.arange(height) * len(colors) // height, len(colors) - 1)
    return np.repeat(colors[rows][:, None, :], width, axis=1).astype(np.float64)


def _bars(height: int, width: int) -> NDArray[np.float64]:
    line: list[float] = []
    for period in (8, 6, 4, 3, 2, 1):
        line += ([20.0] * period + [245.0] * period) * max(1, 36 // (2 * period))
        line += [235.0] * 3
    line = (line + [235.0] * width)[:width]
    return np.tile(np.array(line), (height, 1))


def _slanted_edge(side: int) -> NDArray[np.float64]:
    x, y = _centered(side, side)
    return _reduced(np.where(x + 0.09 * y > 0, 220.0, 40.0))


def _dots(side: int) -> NDArray[np.float64]:
    """Return single pixels, whose picture under a kernel is the kernel itself, turned."""
    field = np.full((side, side), 128.0)
    field[14::28, 14::56] = 255
    field[14::28, 42::56] = 0
    return field


def glass() -> NDArray[np.uint8]:
    """Return colored glass, 192 x 256 x 4: soft alpha, and bright color hidden where it is 0.

    Blurring the channels without their alpha would drag the hidden color into the edges.
    """
    height, width = 192, 256
    y, x = np.mgrid[0:height, 0:width] + 0.5
    picture = np.zeros((height, width, 4))
    discs = (
        ((96, 88), (0.85, 0.25, 0.15)),
        ((160, 80), (0.15, 0.55, 0.85)),
        ((126, 124), (0.95, 0.8, 0.2)),
    )
    for (middle_x, middle_y), color in discs:
        radius = np.hypot(x - middle_x, y - middle_y)
        alpha = 0.75 * np.clip((62 - radius) / 10, 0, 1)
        shade = 1 - 0.35 * np.clip((radius - 20) / 42, 0, 1)
        under = picture[..., 3] * (1 - alpha)
        total = alpha + under
        mixed = alpha[..., None] * 255 * shade[..., None] * np.array(color)
        mixed += under[..., None] * picture[..., :3]
        seen = total > 0
        picture[seen, :3] = mixed[seen] / total[seen, None]
        picture[..., 3] = total
    picture[..., 3] = np.rint(255 * picture[..., 3])
    picture[picture[..., 3] == 0, :3] = (255, 0, 255)
    return np.rint(picture).astype(np.uint8)


def digit() -> NDArray[np.uint8]:
    """Return a seven as a pen writes it, 240 x 180, on paper that light falls on from one side."""
    page = Image.new("L", (4 * 180, 4 * 240), 0)
    pen = ImageDraw.Draw(page)
    pen.line([(200, 260), (330, 240), (520, 250), (420, 500), (360, 760)], 255, 44, "curve")
    pen.line([(330, 500), (500, 480)], 255, 36)
    ink = np.asarray(page.resize((180, 240), Image.Resampling.BOX)) / 255
    paper = np.linspace(235, 170, 180) + np.linspace(0, -20, 240)[:, np.newaxis]
    return np.rint(paper * (1 - 0.75 * ink)).astype(np.uint8)


PICTURES = {
    "photo.png": photo,
    "chart.png": chart,
    "depth16.png": depth16,
    "glass.png": glass,
    "digit.png": digit,
}
"""File name -> the function that makes its pixels."""


def main(folder: Path) -> None:
    """Write every sample into `folder`."""
    for name, pixels in PICTURES.items():
        Image.fromarray(pixels()).save(folder / name, optimize=True)
    for name, text in MATRICES.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
