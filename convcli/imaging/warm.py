"""Compile ahead what filtering compiles at its first use: one call of each kind of work."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from convcli.engine.row_filters import unfilter_rows
from convcli.imaging.apply import filter_image

KERNELS = (
    "sobel",
    "sobel-x",
    "sharpen",
    "gaussian-5",
    "gaussian:sigma=4",
    "box-7",
    "motion-blur-9",
)
"""One for each way: magnitudes, small ones, dense ones, two passes, running sums."""


def warm_filters() -> Iterator[str]:
    """Filter a small picture of each kind by each way; yields what comes next."""
    yield "rows of a PNG"
    unfilter_rows(np.zeros(8, np.uint8), 2, 3, 3)
    for dtype in (np.uint8, np.uint16, np.float32):
        for channels, colors in ((1, "gray"), (3, "color")):
            picture = np.ones((64, 64, channels)[: 2 if channels == 1 else 3], dtype)
            for kernel in KERNELS:
                yield f"{kernel}, {colors} {np.dtype(dtype).name}"
                filter_image(picture, kernel, engine="numba")
