"""Kernels and pictures as surfaces, numbers and frequency responses, drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from convcli.imaging.picture import Frame, to_gray
from convcli.kernels import AnyKernel, Kernel
from convcli.present.figures import LOOK, Saved, color_map, save_drawing
from convcli.present.look import Look
from convcli.present.panels import Scale
from convcli.report.chart import ink_on

GRID = 129
"""Frequencies along each axis at which a response is calculated, zero in the middle."""
MOST_NUMBERS = 15
"""Cells along a side up to which a matrix shows its numbers."""
SURFACE_SIDE = 96
"""Cells along a side of a surface: finer ones are averaged."""
PANEL = 400


def response(kernel: Kernel) -> Any:
    """Return how much of a wave a kernel lets through, for -1/2 to 1/2 cycles a pixel.

    The magnitude of its Fourier transform, rows for waves down and columns for waves across.

    >>> from convcli.kernels import find
    >>> float(response(find("box-3"))[GRID // 2, GRID // 2].round(6))
    1.0
    """
    rows = np.array(kernel.weights)
    waves = np.linspace(-0.5, 0.5, GRID)
    down = np.exp(-2j * np.pi * np.outer(waves, np.arange(rows.shape[0])))
    across = np.exp(-2j * np.pi * np.outer(waves, np.arange(rows.shape[1])))
    return np.abs(down @ rows @ across.T)


def save_kernel(kernel: AnyKernel, path: Path, look: Look = LOOK, *, force: bool = False) -> Saved:
    """Write a kernel as a heat map, a surface and its frequency response, with axes.

    A magnitude has a row for each of its two components.
    """
    parts = kernel.components

    def draw(whole: Any) -> None:
        grid = whole.add_gridspec(len(parts), 4)
        for row, part in enumerate(parts):
            _draw_matrix(whole, whole.add_subplot(grid[row, 0]), part)
            rows = np.array(part.weights)
            _draw_surface(whole.add_subplot(grid[row, 1], projection="3d"), rows, "weight", 1)
            _draw_response(whole, whole.add_subplot(grid[row, 2]), part)
            _draw_cut(whole.add_subplot(grid[row, 3]), part)
        whole.suptitle(kernel.name if look.title is None else look.title, weight="bold")

    size = (round(4 * PANEL * look.zoom), round((len(parts) * PANEL + 40) * look.zoom))
    return save_drawing(draw, path, look, size=size, texts=[kernel.name], force=force)


def picture_surface(
    frame: Frame, title: str, path: Path, look: Look = LOOK, *, force: bool = False
) -> Saved:
    """Write a picture's values, of colors their brightness, as a surface over its pixels."""
    pixels = to_gray(frame).pixels
    plane = (pixels if pixels.ndim == 2 else pixels[..., 0]).astype(np.float64)

    def draw(whole: Any) -> None:
        axes = whole.add_subplot(projection="3d")
        step = max(1, -(-max(plane.shape) // SURFACE_SIDE))
        _draw_surface(axes, _averaged(plane, step), "value", step)
        whole.suptitle(title if look.title is None else look.title, weight="bold")

    side = round(2 * PANEL * look.zoom)
    return save_drawing(draw, path, look, size=(side, side), texts=[title], force=force)


def _averaged(plane: Any, step: int) -> Any:
    height, width = (size // step * step for size in plane.shape)
    blocks = plane[:height, :width].reshape(height // step, step, width // step, step)
    return blocks.mean(axis=(1, 3))


def _draw_matrix(whole: Any, axes: Any, kernel: Kernel) -> None:
    rows = np.array(kernel.rows, float)
    scale = Scale.of(rows, signed=True)
    colors = scale.colors(rows)
    shown = axes.imshow(rows, cmap=color_map(scale.kind), vmin=scale.low, vmax=scale.high)
    whole.colorbar(shown, ax=axes, shrink=0.7, label="weight")
    height, width = rows.shape
    if max(height, width) <= MOST_NUMBERS:
        size = min(11.0, 90 / max(height, width))
        for y, x in np.ndindex(height, width):
            ink = ink_on("#" + bytes(colors[y, x]).hex())
            axes.text(x, y, f"{rows[y, x]:.3g}", ha="center", va="center", color=ink, size=size)
    y, x = kernel.center
    axes.add_patch(_square(x, y))
    divided = "" if kernel.divisor == 1 else f", to be divided by {kernel.divisor:.6g}"
    axes.set_title(f"{kernel.name}{divided}", loc="left", size=9)
    axes.set_xlabel(f"column; {height}x{width}, the center framed")
    axes.set_ylabel("row")
    _whole_ticks(axes)


def _square(x: int, y: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, ec="#00a046", lw=1.6)


def _whole_ticks(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))


def _draw_surface(axes: Any, plane: Any, what: str, step: int) -> None:
    """Draw a matrix as a surface, row 0 at the back, as it lies when one looks at a picture."""
    rim = int(what == "weight" and max(plane.shape) <= MOST_NUMBERS)  # few cells stand on zeros
    plane, first = np.pad(plane, rim), -rim
    height, width = plane.shape
    x, y = np.meshgrid(first + np.arange(width) * step, first + np.arange(height) * step)
    largest = float(np.abs(plane).max()) or 1.0
    low = float(plane.min())
    kind, ends = ("signed", (-largest, largest)) if low < 0 else ("magnitude", (0.0, largest))
    axes.plot_surface(
        x, y, plane, cmap=color_map(kind), vmin=ends[0], vmax=ends[1], rstride=1, cstride=1,
        linewidth=0.2 if max(plane.shape) <= 25 else 0, edgecolor="#404040", antialiased=False,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.view_init(elev=35, azim=-65)
    axes.set_box_aspect(None, zoom=0.9)  # room for the labels
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    axes.set_title(f"{what} as a height", loc="left", size=9)
    if max(plane.shape) * step <= 31:
        _whole_ticks(axes)


def _draw_response(whole: Any, axes: Any, kernel: Kernel) -> None:
    shown = axes.imshow(
        response(kernel), extent=(-0.5, 0.5, 0.5, -0.5), cmap=color_map("magnitude"), vmin=0
    )
    whole.colorbar(shown, ax=axes, shrink=0.7, label="gain")
    axes.set_title("frequency response", loc="left", size=9)
    axes.set_xlabel("cycles a pixel, across")
    axes.set_ylabel("cycles a pixel, down")


def _draw_cut(axes: Any, kernel: Kernel) -> None:
    gains, middle = response(kernel), GRID // 2
    waves = np.linspace(0, 0.5, GRID - middle)
    axes.plot(waves, gains[middle, middle:], label="across", color="#2f6fb0")
    axes.plot(waves, gains[middle:, middle], label="down", color="#c2571a", ls="--")
    diagonal = np.diagonal(gains)[middle:]
    axes.plot(waves, diagonal, label="both (diagonal)", color="#3c8a3f", ls=":")
    axes.set_title("cuts through it", loc="left", size=9)
    axes.set_xlabel("cycles a pixel (0.5: the finest)")
    axes.set_ylabel("gain")
    axes.set_xlim(0, 0.5)
    axes.set_ylim(bottom=0)
    axes.grid(lw=0.4, color="#dddddd")
    axes.legend(frameon=False)
