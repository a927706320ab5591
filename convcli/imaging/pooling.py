"""Max and average pooling of pictures and matrices: no padding, incomplete windows left out."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convcli.engine.points import Statistics, total_statistics
from convcli.errors import InputError, UsageError, did_you_mean
from convcli.imaging.apply import FilteredPicture
from convcli.imaging.batch import Work
from convcli.imaging.picture import Frame, Picture

PoolName = Literal["max", "avg"]
BLOCK_ROWS_BYTES = 1 << 22


def pool(
    pixels: NDArray[Any],
    how: PoolName,
    window_hw: tuple[int, int],
    stride_hw: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """Return the largest value, or the mean, of each window.

    Args:
        pixels: H x W or H x W x C; each channel is pooled on its own.
        how: max or avg.
        window_hw: rows and columns of a window.
        stride_hw: steps between windows; the window's size when left out.

    Transparency is a channel like the others here; `pool_picture` weights colors by it.

    Returns:
        floor((H - window) / stride) + 1 rows, columns alike; the dtype of `pixels`, means of
        integers rounded half to even.

    >>> slide = np.array([[2.0, 3, 1, 9], [4, 7, 3, 5], [8, 2, 2, 2], [1, 3, 4, 5]])
    >>> pool(slide, "max", (2, 2))
    array([[7., 9.],
           [8., 5.]])
    >>> pool(slide, "avg", (2, 2))  # (2+3+4+7)/4 = 4, ...
    array([[4.  , 4.5 ],
           [3.5 , 3.25]])

    Raises:
        UsageError: `how` is neither max nor avg.
        InputError: the window does not fit.
    """
    if how not in _RULES:
        raise UsageError(
            f"there is no pooling {how!r}; use {' or '.join(_RULES)}.{did_you_mean(how, _RULES)}"
        )
    (window_h, window_w), (stride_h, stride_w) = window_hw, stride_hw or window_hw
    height, width = pixels.shape[:2]
    if window_h > height or window_w > width:
        raise InputError(
            f"a window of {window_h}x{window_w} does not fit into {height}x{width} (no padding). "
            f"Use a window of at most {min(height, width)}."
        )
    out_h, out_w = (height - window_h) // stride_h + 1, (width - window_w) // stride_w + 1
    out = np.empty((out_h, out_w, *pixels.shape[2:]), pixels.dtype)
    rows = max(1, BLOCK_ROWS_BYTES // (8 * out[0].size))
    for top in range(0, out_h, rows):
        bottom = min(top + rows, out_h)
        block = pixels[top * stride_h : (bottom - 1) * stride_h + window_h]
        shifted = (
            block[down::stride_h][: bottom - top, across::stride_w][:, :out_w]
            for down, across in product(range(window_h), range(window_w))
        )
        out[top:bottom] = _RULES[how](shifted, out.dtype)
    return out


def _largest(shifted: Any, dtype: Any) -> Any:
    best = next(shifted).astype(dtype)
    for values in shifted:
        np.maximum(best, values, out=best)
    return best


def _mean(shifted: Any, dtype: Any) -> Any:
    total, count = next(shifted).astype(np.float64), 1
    for values in shifted:
        total += values
        count += 1
    means = total / count
    return np.rint(means) if dtype.kind in "iu" else means


_RULES = {"max": _largest, "avg": _mean}


def pool_picture(
    picture: Picture,
    how: PoolName,
    window_hw: tuple[int, int],
    stride_hw: tuple[int, int] | None = None,
) -> FilteredPicture:
    """Pool every frame of a picture; what is transparent lends no color to its window."""

    def pooled_frame(frame: Frame) -> Frame:
        pixels = pool(frame.pixels, how, window_hw, stride_hw)
        if frame.has_alpha:
            alpha = frame.pixels[..., -1:].astype(np.float32)
            weights = alpha if how == "avg" else (alpha > 0).astype(np.float32)
            seen = pool(frame.pixels[..., :-1] * weights, how, window_hw, stride_hw)
            total = pool(weights, how, window_hw, stride_hw)
            colors = seen / np.where(total > 0, total, 1)
            if pixels.dtype.kind == "u":
                colors = np.rint(colors)
            np.copyto(pixels[..., :-1], colors, casting="unsafe", where=total > 0)
        return replace(frame, pixels=pixels)

    frames = tuple(map(pooled_frame, picture.frames))
    ends = ((float(one.pixels.min()), float(one.pixels.max())) for one in frames)
    statistics = total_statistics(Statistics(*both, 0, 0) for both in ends)
    pooled = replace(picture, frames=frames, notes=())
    return FilteredPicture(
        picture=pooled,
        statistics=statistics,
        value_range="raw",
        engine="numpy",
        notes=picture.notes,
    )


def pool_work(how: PoolName, window: str, stride: str | None = None) -> Work:
    """Return the work of pooling files, for sizes as they are typed."""
    transform = partial(
        pool_picture,
        how=how,
        window_hw=parse_size(window, f"--{how}"),
        stride_hw=None if stride is None else parse_size(stride, "--stride"),
    )
    label = f"{how}pool{window}" + (f"-s{stride}" if stride is not None else "")
    return Work(label, label, transform)


def parse_size(text: str, what: str) -> tuple[int, int]:
    """Return height and width of `K` or `HxW`.

    >>> parse_size("2", "window"), parse_size("2x3", "window")
    ((2, 2), (2, 3))

    Raises:
        UsageError: anything else, or a size of 0.
    """
    match = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text.strip().lower())
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if min(size) < 1:
        raise UsageError(f"{what} {text!r} is no size; write K or HEIGHTxWIDTH, from 1 on.")
    return size
