"""Parts of a picture: rectangles with what kernels read around them, channels, and the rest."""

from __future__ import annotations

from typing import Any

from convcli.errors import InputError, UsageError
from convcli.imaging.chain import Chain, Step
from convcli.imaging.options import FilterOptions, parse_border, parse_region
from convcli.imaging.picture import CHANNEL_NAMES, Frame, channels_of, white_level
from convcli.imaging.ranges import as_depth, to_range
from convcli.kernels import Operation


def rectangle(region: str | None, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of a region, all of them without one."""
    height, width = shape[:2]
    left, top, across, down = parse_region(region) if region else (0, 0, width, height)
    if left + across > width or top + down > height:
        raise InputError(
            f"--region {region} ends at {left + across},{top + down}, beyond the picture of "
            f"{width} x {height}. Write X,Y,WIDTH,HEIGHT in pixels from its upper left corner."
        )
    return slice(top, top + down), slice(left, left + across)


def surroundings(
    region: tuple[slice, slice],
    shape: tuple[int, ...],
    steps: Chain,
    options: FilterOptions,
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return what the kernels read around a region, and where the region lies in that."""
    near, inner = [], []
    wraps = parse_border(options.border)[0] == "wrap"  # reads at the other end
    if resizing := [one for one in steps if isinstance(one, Operation) and one.changes_size]:
        raise UsageError(f"--region and --channels keep the size; leave out {resizing[0].name}.")
    for axis, wanted in enumerate(region):
        reaches = (
            (one.weights[0].shape[axis] - 1) * options.dilation + 1
            if isinstance(one, Step)
            else int(one.reach)
            for one in steps
        )
        margin = shape[axis] if wraps else sum(reaches)
        first = max(0, wanted.start - margin)
        near.append(slice(first, min(shape[axis], wanted.stop + margin)))
        inner.append(slice(wanted.start - first, wanted.stop - first))
    return (near[0], near[1]), (inner[0], inner[1])


def channel_numbers(text: str, frame: Frame) -> list[int]:
    """Return the channels that are named, each once, in the order of the picture."""
    count = channels_of(frame.pixels)
    names = CHANNEL_NAMES.get(count, ()) if frame.has_alpha or count in {1, 3} else ()
    numbers = set()
    for word in (part.strip().lower() for part in text.split(",")):
        known = [number for number, name in enumerate(names) if word in {name, name[0]}]
        if word.isdecimal() and int(word) < count:
            known = [int(word)]
        if not known:
            there = ", ".join(names) or f"0 to {count - 1}"
            raise UsageError(f"--channels {text}: there is no channel {word!r}, only {there}.")
        numbers.update(known)
    return sorted(numbers)


def rest(stack: Any, has_alpha: bool, value_range: str, dtype: Any) -> Any:
    """Return a copy of what is not filtered, in the depth of the result."""
    if stack.dtype == dtype:
        return stack.copy()
    rest, _ = to_range(stack, "raw" if value_range == "raw" else "clip", dtype)
    if has_alpha:
        rest[..., -1] = as_depth(stack[..., -1], white_level(stack.dtype), dtype)
    return rest
