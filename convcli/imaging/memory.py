"""What a chain needs in memory beside pixels read and written, known before they are unpacked."""

from __future__ import annotations

from convcli.imaging.chain import Chain, Step
from convcli.imaging.operations import size_of
from convcli.imaging.options import FilterOptions, Later, Shape

CANNY_BYTES = 16
"""A pixel: the smoothed picture in double precision, brightness, edges and those that wait."""

RESIZED_PLANES = 2
"""Floating-point pictures beside each other while one is made smaller or larger."""

FIGURES_BYTES = 16
"""A pixel: the values of one channel in double precision, and a copy in their order."""


def later_bytes(steps: Chain, options: FilterOptions, shape: Shape) -> Later:
    """Return the bytes of the floating-point pictures that are alive together, and what needs them.

    Kernels and steps of single values behind them go through memory once. What a kernel, or a step
    that looks at a whole picture, is laid on has to be there as a whole.

    Args:
        steps: of the chain.
        options: how to filter.
        shape: height, width, channels and bytes of a number of one frame.
    """
    height, width, channels, number = shape
    pixels = height * width
    each = float(pixels * channels * (8 if number == 8 else 4))
    alive = peak = each if options.linear and number < 4 else 0.0
    waits, names = False, ["--linear"] if alive else []
    for step in steps:
        if not isinstance(step, Step) and not step.needs_all:
            waits = True
            continue
        if waits:
            peak, alive = max(peak, alive + each), each
            names.append(step.name)
        waits = True
        if isinstance(step, Step):
            continue
        if step.changes_size:
            tall, wide = size_of(step.values["size"], height, width)
            after = each / pixels * tall * wide
            peak = max(peak, alive + RESIZED_PLANES * after)
            each = alive = after
            waits = False
        elif step.word == "canny":
            peak = max(peak, alive + CANNY_BYTES * pixels)
        else:
            continue
        names.append(step.name)
    if waits and options.value_range == "stretch":
        peak, names = max(peak, alive + each), [*names, "--range stretch"]
    if options.gradient != "magnitude":
        peak, names = peak + 3 * each, [*names, f"--gradient {options.gradient}"]
    if options.stats:
        peak, names = peak + each + FIGURES_BYTES * pixels, [*names, "--stats"]
    if options.compare is not None:
        peak, names = peak + 2 * pixels * channels * number, [*names, "--compare"]
    return int(peak), tuple(dict.fromkeys(names))
