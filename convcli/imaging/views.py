"""What values look like before they become pixels, and pictures before and after, side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convcli.errors import UsageError
from convcli.imaging.picture import CHANNEL_NAMES, Frame, channels_of, white_level

PERCENTILES = (1, 25, 50, 75, 99)
BINS = 32


@dataclass(frozen=True)
class ChannelFigures:
    """How the values of one channel are spread.

    Attributes:
        channel: its name, or its number.
        mean, deviation, low, high: of its values; the deviation is of the whole, not of a sample.
        percentiles: the values at `PERCENTILES`.
        counts: values in `BINS` equal bins from `low` to `high`.
    """

    channel: str
    mean: float
    deviation: float
    low: float
    high: float
    percentiles: tuple[float, ...]
    counts: tuple[int, ...]


def channel_name(channel: int, count: int) -> str:
    """Return what a channel is called, its number where it has no name.

    >>> channel_name(2, 3), channel_name(4, 7)
    ('blue', 'channel 4')
    """
    names = CHANNEL_NAMES.get(count, ())
    return names[channel] if channel < len(names) else f"channel {channel}"


def channel_figures(frame: Frame) -> tuple[ChannelFigures, ...]:
    """Return how the values of each channel are spread, transparency left out.

    >>> channel_figures(Frame(np.array([[0.0, 1, 2, 9]])))[0].percentiles[2]
    1.5
    """
    colors = frame.pixels if frame.pixels.ndim == 3 else frame.pixels[..., None]
    count = channels_of(colors) - frame.has_alpha
    found = []
    for channel in range(count):
        values = colors[..., channel].astype(np.float64)
        low, high = float(values.min()), float(values.max())
        counts, _ = np.histogram(values, BINS, (low, high if high > low else low + 1))
        found.append(
            ChannelFigures(
                channel_name(channel, count),
                float(values.mean()),
                float(values.std()),
                low,
                high,
                tuple(float(one) for one in np.percentile(values, PERCENTILES)),
                tuple(counts.tolist()),
            )
        )
    return tuple(found)


def before_after(before: Frame, after: Frame, how: str) -> Frame:
    """Return a frame with the original and the result, in the depth of the result.

    Args:
        before: the original.
        after: pixels.
        how: `side` by side, the smaller one on white; or `wipe`: the original's left half beside
            the result's right half.
    """
    if after.pixels.dtype.kind != "u":
        raise UsageError(
            "--compare shows pixels, and the result is numbers: add --range clip, abs, offset or "
            "stretch."
        )
    white = white_level(after.pixels.dtype)
    count = max(channels_of(one.pixels) - one.has_alpha for one in (before, after))
    has_alpha = before.has_alpha or after.has_alpha
    pair = [_like(one, count, has_alpha, after.pixels.dtype) for one in (before, after)]
    height = max(len(one) for one in pair)
    line = max(2, height // 128)
    if how == "wipe":
        if pair[0].shape != pair[1].shape:
            sizes = " and ".join(f"{one.shape[1]} x {one.shape[0]}" for one in pair)
            raise UsageError(f"--compare wipe needs two pictures of one size, not {sizes}.")
        middle = pair[0].shape[1] // 2
        pixels = np.concatenate([pair[0][:, :middle], pair[1][:, middle:]], axis=1)
        pixels[:, max(0, middle - line // 2) : middle + (line + 1) // 2] = int(white)
    else:
        gap = 4 * line
        width = pair[0].shape[1] + gap + pair[1].shape[1]
        pixels = np.full((height, width, pair[0].shape[2]), int(white), after.pixels.dtype)
        pixels[: len(pair[0]), : pair[0].shape[1]] = pair[0]
        pixels[: len(pair[1]), pair[0].shape[1] + gap :] = pair[1]
        pixels = pixels if pixels.shape[2] > 1 else pixels[..., 0]
    return replace(after, pixels=pixels, has_alpha=has_alpha)


def _like(frame: Frame, colors: int, has_alpha: bool, dtype: Any) -> Any:
    """Return the pixels with as many colors, with or without transparency, in a depth."""
    top = white_level(dtype)
    pixels = frame.pixels if frame.pixels.ndim == 3 else frame.pixels[..., None]
    if pixels.dtype != dtype:
        scale = 1.0 if pixels.dtype == np.float64 else top / white_level(pixels.dtype)
        pixels = np.rint(pixels * scale).clip(0, top).astype(dtype)
    own = channels_of(pixels) - frame.has_alpha
    planes = np.repeat(pixels[..., :own], colors, axis=2) if own < colors else pixels[..., :own]
    if not has_alpha:
        return planes
    alpha = pixels[..., -1:] if frame.has_alpha else np.full_like(pixels[..., :1], int(top))
    return np.concatenate([planes, alpha], axis=2)
