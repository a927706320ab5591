"""Kernels applied to pictures: channels, transparency, chains, gradients, ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from threading import Thread
from typing import Any

import numpy as np

from convcli.engine import filter as engine
from convcli.engine.borders import correlation_axis
from convcli.engine.factors import over_common_denominator
from convcli.engine.filter import Statistics
from convcli.engine.filter_numpy import converted, extended
from convcli.errors import InputError, UsageError
from convcli.imaging.options import FilterOptions, parse_border, parse_region
from convcli.imaging.picture import CHANNEL_NAMES, Frame, preview_png, to_gray, white_level
from convcli.imaging.steps import GRAY_LEVELS, Step, make_step


@dataclass(frozen=True, eq=False)
class FilteredFrame:
    """A filtered frame and what happened to its values.

    Attributes:
        frame: the result.
        statistics: exact minimum and maximum before conversion; how many saturated.
        value_range: clip, abs, offset, stretch or raw.
        engine: numba or numpy, as used for the last kernel.
        notes: sentences on rules that were applied.
    """

    frame: Frame
    statistics: Statistics
    value_range: str
    engine: str
    notes: tuple[str, ...] = ()

    def _repr_png_(self) -> bytes:
        """Return a picture to look at, for a notebook."""
        return preview_png(self.frame)


def make_steps(kernels: Any, options: FilterOptions) -> tuple[Step, ...]:
    """Return the steps of a chain; divisor and offset are the last one's."""
    if not (isinstance(kernels, list | tuple) and kernels and isinstance(kernels[0], str | Step)):
        kernels = [kernels]
    *first, last = kernels
    steps = (
        *(make_step(kernel, normalize=options.normalize) for kernel in first),
        make_step(
            last, divisor=options.divisor, offset=options.offset, normalize=options.normalize
        ),
    )
    name = steps[-1].name
    if options.gradient != "magnitude" and not steps[-1].is_gradient:
        raise UsageError(
            f"--gradient {options.gradient} needs a gradient as the last kernel, such as sobel; "
            f"{name} has no two components."
        )
    if options.magnitude != "l2" and not any(step.is_gradient for step in steps):
        raise UsageError(
            f"--magnitude {options.magnitude} joins the two components of a gradient such as "
            f"sobel; {name} has none."
        )
    return steps


def default_range(steps: Sequence[Step], dtype: Any, options: FilterOptions) -> str:
    """Return the range that suits the chain: raw for float, clip for brightness, abs for edges.

    >>> sobel = make_steps("sobel-x", FilterOptions())
    >>> default_range(sobel, np.dtype(np.uint8), FilterOptions())
    'abs'
    """
    if options.value_range is not None:
        return options.value_range
    if dtype not in (np.uint8, np.uint16):
        return "raw"
    last = steps[-1]
    if last.is_gradient:
        return "abs"
    return "clip" if _gain(steps) > 0 or last.offset else "abs"


def _gain(steps: Sequence[Step]) -> float:
    """Return what the chain does to a flat picture; a magnitude starts anew, as brightness."""
    after = max((i + 1 for i, step in enumerate(steps) if step.is_gradient), default=0)
    return prod(step.gain for step in steps[after:])


def filter_frame(frame: Frame, steps: Sequence[Step], options: FilterOptions) -> FilteredFrame:
    """Filter the pixels of one frame with a chain of kernels.

    Between the kernels of a chain values stay unrounded; the last one's become pixels.
    """
    if options.gray:
        frame = to_gray(frame)
    if options.channels is None and options.region is None:
        return _filter_whole(frame, steps, options)
    return _filter_part(frame, steps, options)


def _filter_part(frame: Frame, steps: Sequence[Step], options: FilterOptions) -> FilteredFrame:
    """Filter some channels of a rectangle; what is not filtered stays where and what it was.

    Around the rectangle as much is read as the kernels reach, so that its pixels are those of the
    whole picture filtered; the figures are the rectangle's own.
    """
    if options.padding != "same" or options.stride != 1 or options.gradient != "magnitude":
        raise UsageError(
            "--region and --channels leave the rest of the picture as it is, which needs "
            "--padding same, --stride 1 and no --gradient."
        )
    stack = frame.pixels if frame.pixels.ndim == 3 else frame.pixels[..., None]
    rows, columns = _rectangle(options.region, stack.shape)
    chosen = slice(None) if options.channels is None else _channel_numbers(options.channels, frame)
    near, inner = _surroundings((rows, columns), stack.shape, steps, options)
    crop = np.ascontiguousarray(stack[near][..., chosen])
    part = Frame(
        crop if crop.shape[2] > 1 else crop[..., 0],
        frame.has_alpha and options.channels is None,
        frame.seconds,
    )
    whole = replace(options, channels=None, region=None, gray=False)
    raw = _filter_whole(part, steps, replace(whole, value_range="raw")).frame.pixels[inner]
    values = raw[..., :-1] if part.has_alpha else raw
    if whole.value_range == "stretch" and whole.stretch_from is None:
        whole = replace(whole, stretch_from=(float(values.min()), float(values.max())))
    done = _filter_whole(part, steps, whole)
    dtype = done.frame.pixels.dtype
    _, statistics = to_range(values, done.value_range, dtype, whole.stretch_from)
    out = _rest(stack, frame.has_alpha, done.value_range, dtype)
    filtered = done.frame.pixels[inner]
    out[rows, columns, chosen] = filtered if filtered.ndim == 3 else filtered[..., None]
    pixels = out if frame.pixels.ndim == 3 else out[..., 0]
    return replace(done, frame=replace(frame, pixels=pixels), statistics=statistics)


def _rectangle(region: str | None, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of a region, all of them without one."""
    height, width = shape[:2]
    left, top, across, down = parse_region(region) if region else (0, 0, width, height)
    if left + across > width or top + down > height:
        raise InputError(
            f"--region {region} ends at {left + across},{top + down}, beyond the picture of "
            f"{width} x {height}. Write X,Y,WIDTH,HEIGHT in pixels from its upper left corner."
        )
    return slice(top, top + down), slice(left, left + across)


def _surroundings(
    region: tuple[slice, slice],
    shape: tuple[int, ...],
    steps: Sequence[Step],
    options: FilterOptions,
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return what the kernels read around a region, and where the region lies in that."""
    near, inner = [], []
    for axis, wanted in enumerate(region):
        extents = ((step.weights[0].shape[axis] - 1) * options.dilation + 1 for step in steps)
        wraps = parse_border(options.border)[0] == "wrap"  # reads at the other end
        margin = shape[axis] if wraps else sum(extents)
        first = max(0, wanted.start - margin)
        near.append(slice(first, min(shape[axis], wanted.stop + margin)))
        inner.append(slice(wanted.start - first, wanted.stop - first))
    return (near[0], near[1]), (inner[0], inner[1])


def _channel_numbers(text: str, frame: Frame) -> list[int]:
    """Return the channels that are named, each once, in the order of the picture."""
    count = 1 if frame.pixels.ndim == 2 else frame.pixels.shape[2]
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


def _rest(stack: Any, has_alpha: bool, value_range: str, dtype: Any) -> Any:
    """Return a copy of what is not filtered, in the depth of the result."""
    if stack.dtype == dtype:
        return stack.copy()
    rest, _ = to_range(stack, "raw" if value_range == "raw" else "clip", dtype)
    if has_alpha:
        rest[..., -1] = _as_depth(stack[..., -1], dtype)
    return rest


def _filter_whole(frame: Frame, steps: Sequence[Step], options: FilterOptions) -> FilteredFrame:
    pixels = frame.pixels
    value_range = default_range(steps, pixels.dtype, options)
    policy = _alpha_policy(frame, steps, options)
    if policy == "premultiply":
        return _premultiplied(frame, steps, options, value_range)
    if policy != "keep":
        values, statistics, used = _filter_planes(pixels, steps, options, value_range)
        done = Frame(values, frame.has_alpha, frame.seconds)
        return FilteredFrame(done, statistics, value_range, used, _notes(steps, options))
    colors = pixels[..., 0] if pixels.shape[2] == 2 else np.ascontiguousarray(pixels[..., :-1])
    values, statistics, used = _filter_planes(colors, steps, options, value_range)
    alpha = _moved(pixels[..., -1], steps, options)
    done = Frame(np.dstack([values, _as_depth(alpha, values.dtype)]), True, frame.seconds)
    return FilteredFrame(done, statistics, value_range, used, _notes(steps, options))


def make_ready(shape: tuple[int, int, int], steps: Sequence[Step], options: FilterOptions) -> None:
    """Load the compiled code for 8-bit pictures of a shape in a thread, if they will need it.

    A few pixels are filtered the same way, so that the loading (0.4 s, mostly Numba's own) runs
    while the picture is being unpacked.
    """
    settings = _settings(steps[-1], options, np.dtype(np.uint8))
    if steps[-1].channels is not None:
        return
    plan = engine.plan_filter(shape, np.uint8, _weights(steps[-1]), **settings)
    if plan.engine != "numba":
        return
    side = 8 + options.dilation * max(size for step in steps for size in step.weights[0].shape)
    few = np.full((side, side, shape[2]), 255, np.uint8)
    frame = Frame(few if shape[2] > 1 else few[..., 0], shape[2] in {2, 4})
    like = replace(options, engine="numba", threads=1)
    Thread(target=filter_frame, args=(frame, steps, like), daemon=True).start()


def _notes(steps: Sequence[Step], options: FilterOptions) -> tuple[str, ...]:
    notes = [step.note for step in steps if step.note]
    if steps[-1].is_gradient and options.gradient != "magnitude":
        notes.append(
            "Direction as a color wheel: red where it gets brighter to the right, then "
            "counter-clockwise yellow-green up, cyan left, violet down."
        )
    return tuple(notes)


def _alpha_policy(frame: Frame, steps: Sequence[Step], options: FilterOptions) -> str:
    """Return what to do with transparency; frames without it, and matrices, are filtered whole."""
    if not frame.has_alpha:
        return "none"
    if any(step.channels for step in steps) and options.alpha is None:
        return "filter"
    smoothing = _gain(steps) > 0 and not any(step.is_gradient for step in steps)
    policy = options.alpha or ("premultiply" if smoothing else "keep")
    if policy == "premultiply" and not smoothing:
        raise UsageError(
            f"--alpha premultiply divides by the filtered transparency, which needs a kernel with "
            f"a positive sum; {steps[-1].name} has none. Use --alpha keep or filter."
        )
    if policy == "premultiply" and _is_opaque(frame) and not _border_is_transparent(options):
        return "keep"  # the same values, without the detour
    return policy


def _is_opaque(frame: Frame) -> bool:
    return bool((frame.pixels[..., -1] == white_level(frame.pixels.dtype)).all())


def _border_is_transparent(options: FilterOptions) -> bool:
    return parse_border(options.border)[0] == "constant" and options.padding != "valid"


def _settings(step: Step, options: FilterOptions, dtype: Any) -> dict[str, Any]:
    """Return the engine's settings for one step on pixels of `dtype`."""
    border, outside = parse_border(options.border)
    return {
        "border": border,
        "cval": outside,
        "divisor": step.divisor,
        "offset": step.offset * offset_scale(dtype),
        "norm": options.magnitude if step.is_gradient else "none",
        "padding": options.padding,
        "stride": options.stride,
        "dilation": options.dilation,
        "convolve": options.convolve,
        "engine": options.engine,
    }


def offset_scale(dtype: Any) -> float:
    """Return what one 8-bit level is in pixels of `dtype`; matrices have no levels.

    >>> offset_scale(np.dtype(np.uint16)), offset_scale(np.dtype(np.float64))
    (257.0, 1.0)
    """
    return 1.0 if dtype == np.float64 else white_level(dtype) / GRAY_LEVELS


def _laid_on(
    planes: Any, step: Step, options: FilterOptions, dtype: Any, **told: Any
) -> engine.Filtered:
    """Lay a step's kernel on planes whose levels are those of `dtype`."""
    settings = {"kernel": _weights(step)} | _settings(step, options, dtype) | told
    return engine.apply(planes, threads=options.threads, on_compile=options.on_compile, **settings)


def _filter_planes(
    planes: Any, steps: Sequence[Step], options: FilterOptions, value_range: str
) -> tuple[Any, Statistics, str]:
    """Run the chain on H x W [x C] planes and convert the last kernel's values."""
    dtype = planes.dtype
    current = before_last(planes, steps, options)
    last = steps[-1]
    if last.is_gradient and options.gradient != "magnitude":
        return _gradient_picture(current, last, options, value_range, dtype)
    output = dtype if value_range != "raw" or dtype.kind == "f" else np.dtype(raw_dtype(dtype))
    if value_range != "raw" and dtype == np.float64:
        output = np.dtype(np.uint8)
    if last.channels is not None or value_range == "stretch":
        depth = raw_dtype(dtype) if last.channels is None else np.float64
        values, used = _raw_values(current, last, options, dtype, depth)
        return *to_range(values, value_range, output, options.stretch_from), used
    white = white_level(output)
    shift = 0.0
    if value_range == "offset":
        shift = (white + 1) // 2 if output.kind == "u" else white / 2
    done = _laid_on(
        current,
        last,
        options,
        dtype,
        offset=last.offset * offset_scale(dtype) + shift,
        mapping="clip" if value_range == "offset" else value_range,
        value_range=(0.0, white),
        output_dtype=output,
    )
    found = done.statistics
    statistics = replace(found, minimum=found.minimum - shift, maximum=found.maximum - shift)
    return done.values, statistics, done.plan.engine


def raw_dtype(dtype: Any) -> Any:
    """Return the numbers of unconverted values: double precision for matrices, else single."""
    return np.float64 if dtype == np.float64 else np.float32


def before_last(planes: Any, steps: Sequence[Step], options: FilterOptions) -> Any:
    """Return what the last kernel of a chain is laid on: the pixels, or unrounded values."""
    current, dtype = _as_integers(planes), planes.dtype
    unstrided = replace(options, stride=1)
    for step in steps[:-1]:
        current, _ = _raw_values(current, step, unstrided, dtype, raw_dtype(dtype))
    return current


def _as_integers(planes: Any) -> Any:
    """Return a matrix of whole numbers as integers, for which the engine's sums are exact."""
    if planes.dtype != np.float64 or abs(planes).max() >= 2**31:
        return planes
    whole = planes.astype(np.int64)
    return whole.astype(np.int32) if np.array_equal(whole, planes) else planes


def _weights(step: Step) -> Any:
    return step.weights if step.is_gradient else step.weights[0]


def _raw_values(
    planes: Any, step: Step, options: FilterOptions, dtype: Any, depth: Any
) -> tuple[Any, str]:
    """Return one step's values before conversion, and by which engine.

    A kernel with channels adds them up.
    """
    if step.channels is None:
        done = _laid_on(planes, step, options, dtype, mapping="raw", output_dtype=depth)
        return done.values, done.plan.engine
    found = 1 if planes.ndim == 2 else planes.shape[2]
    (weights,), shared_divisor = over_common_denominator(step.weights)
    if found != step.channels:
        names = ", ".join(CHANNEL_NAMES.get(found, ()))
        raise InputError(
            f"Kernel {step.name} is {' x '.join(map(str, weights.shape))}, with {step.channels} "
            f"channels, and the input has {found}{f' ({names})' * bool(names)}. A kernel needs as "
            f"many channels as its input: give it {found} planes, or one that is laid on each."
        )
    total: Any = 0.0
    bare = replace(step, divisor=1.0, offset=0.0)
    stack = planes.reshape(*planes.shape[:2], found)
    for channel in range(found):
        kernel = weights[:, :, found - 1 - channel if options.convolve else channel]
        plane = np.ascontiguousarray(stack[..., channel])
        total = (
            total
            + _laid_on(
                plane, bare, options, dtype, kernel=kernel, mapping="raw", output_dtype=np.float64
            ).values
        )
    values = total / (step.divisor * shared_divisor) + step.offset * offset_scale(dtype)
    return values.astype(depth), "numpy"


def to_range(
    values: Any, value_range: str, dtype: Any, stretch_from: tuple[float, float] | None = None
) -> tuple[Any, Statistics]:
    """Turn values into pixels and say what happened: the plain version of the engine's conversion.

    Args:
        values: floating point, any shape.
        value_range: clip, abs, offset, stretch (lowest to 0, highest to white) or raw.
        dtype: of the pixels.
        stretch_from: what `stretch` takes for lowest and highest, instead of this frame's own.

    >>> pixels, statistics = to_range(np.array([-10.0, 300.0]), "clip", np.dtype(np.uint8))
    >>> pixels, statistics
    (array([  0, 255], dtype=uint8), Statistics(minimum=-10.0, maximum=300.0, below=1, above=1))
    """
    white = white_level(dtype)
    low, high = float(values.min()), float(values.max())
    if value_range == "raw":
        return values.astype(dtype), Statistics(low, high, 0, 0)
    mapped = values
    if value_range == "abs":
        mapped = np.abs(values)
    elif value_range == "offset":
        mapped = values + ((white + 1) // 2 if dtype.kind == "u" else white / 2)
    elif value_range == "stretch":
        black, bright = stretch_from or (low, high)
        mapped = (values - black) * (white / (bright - black) if bright > black else 0.0)
    whole = np.rint(mapped) if dtype.kind == "u" else mapped
    below, above = int((whole < 0).sum()), int((whole > white).sum())
    if value_range == "stretch":
        below = above = 0
    return converted(mapped, np.dtype(dtype), 0.0, white), Statistics(low, high, below, above)


def _premultiplied(
    frame: Frame, steps: Sequence[Step], options: FilterOptions, value_range: str
) -> FilteredFrame:
    """Filter colors weighted by their opacity, so that what is transparent lends no color.

    color = filtered(color x alpha) / filtered(alpha) x gain; alpha = filtered(alpha) / gain.
    Where the result is wholly transparent the color stays what it was.
    Source: Porter and Duff, Compositing Digital Images, SIGGRAPH 1984.
    """
    white, gain = white_level(frame.pixels.dtype), _gain(steps)
    alpha = frame.pixels[..., -1].astype(np.float32)
    planes = np.empty(frame.pixels.shape, np.float32)
    np.multiply(frame.pixels[..., :-1], alpha[..., None] / np.float32(white), out=planes[..., :-1])
    planes[..., -1] = alpha
    offset = steps[-1].offset * offset_scale(frame.pixels.dtype)
    bare = [replace(step, offset=0.0) for step in steps]
    clear = replace(options, border="constant") if _border_is_transparent(options) else options
    sums, _, used = _filter_planes(planes, bare, clear, "raw")
    opacity = sums[..., -1:] / (gain * white)
    visible = opacity > 1e-6
    colors = sums[..., :-1] / np.where(visible, opacity, 1) + offset
    if not visible.all():  # what cannot be seen keeps its color
        np.copyto(colors, _moved(frame.pixels[..., :-1], steps, options), where=~visible)
    values, statistics = to_range(
        colors, value_range, _depth(frame, value_range), options.stretch_from
    )
    through = converted(opacity.clip(0, 1) * white_level(values.dtype), values.dtype, 0, white)
    done = Frame(np.concatenate([values, through], axis=2), True, frame.seconds)
    notes = (*_notes(steps, options), "Colors weighted by their opacity (--alpha premultiply).")
    return FilteredFrame(done, statistics, value_range, used, notes)


def _depth(frame: Frame, value_range: str) -> Any:
    return np.dtype(np.float32) if value_range == "raw" else frame.pixels.dtype


def _moved(planes: Any, steps: Sequence[Step], options: FilterOptions) -> Any:
    """Return the unfiltered values where the result's pixels have their center."""
    for number, step in enumerate(steps, start=1):
        stride = options.stride if number == len(steps) else 1
        for axis in (0, 1):
            taps = step.weights[0].shape[axis]
            extent = (taps - 1) * options.dilation + 1
            center = (extent - 1) // 2 if options.convolve else extent // 2
            way = correlation_axis(
                planes.shape[axis],
                taps,
                mode="constant",
                padding=options.padding,
                stride=stride,
                dilation=options.dilation,
                turned=options.convolve,
            )
            if options.padding == "valid":
                way = replace(way, source=np.arange(planes.shape[axis]))
            places = way.source[np.arange(way.size) * stride + center]
            planes = extended(planes, axis, places, 0)
    return planes


def _as_depth(alpha: Any, dtype: Any) -> Any:
    """Return alpha in the depth of the colors: 0..1 beside raw values."""
    if alpha.dtype == dtype:
        return alpha
    return (alpha / white_level(alpha.dtype) * white_level(dtype)).astype(dtype)


def _gradient_picture(
    planes: Any, step: Step, options: FilterOptions, value_range: str, dtype: Any
) -> tuple[Any, Statistics, str]:
    """Return the gradient's direction as a hue, its strength as brightness if both are wanted.

    Of several channels each pixel takes the one with the largest magnitude. Values stay numbers
    for `raw`: degrees counter-clockwise from the right, stacked on the magnitude for both.
    """
    raw = {"norm": "none", "mapping": "raw", "output_dtype": np.float32}
    parts = [_laid_on(planes, step, options, dtype, kernel=one, **raw) for one in step.weights]
    x, y = (part.values if part.values.ndim == 3 else part.values[..., None] for part in parts)
    sizes: dict[str, Any] = {"l2": np.hypot, "l1": lambda a, b: abs(a) + abs(b), "max": _larger}
    strength = sizes[options.magnitude](x, y)
    best = strength.argmax(axis=2)[..., None]
    x, y, strength = (np.take_along_axis(plane, best, 2)[..., 0] for plane in (x, y, strength))
    (x_right, x_down), (y_right, y_down) = step.directions_xy
    sign = -1 if options.convolve else 1
    right, down = sign * (x * x_right + y * y_right), sign * (x * x_down + y * y_down)
    degrees = np.degrees(np.arctan2(-down, right)) % 360
    statistics = Statistics(float(strength.min()), float(strength.max()), 0, 0)
    if value_range == "raw":
        both = np.dstack([strength, degrees]) if options.gradient == "both" else degrees
        return both, statistics, parts[0].plan.engine
    output = np.dtype(np.uint8) if dtype == np.float64 else dtype
    white = white_level(output)
    bright = np.where(strength > 0, white, 0)
    if options.gradient == "both":
        bright, statistics = to_range(strength, value_range, output, options.stretch_from)
    return _colored(degrees, bright, output), statistics, parts[0].plan.engine


def _larger(one: Any, other: Any) -> Any:
    return np.maximum(abs(one), abs(other))


def _colored(degrees: Any, brightness: Any, dtype: Any) -> Any:
    """Return full colors of the given hue: red 0, green 120, blue 240 degrees (HSV)."""
    shift = np.array([5, 3, 1])
    place = (degrees[..., None] / 60 + shift) % 6
    share = 1 - np.clip(np.minimum(place, 4 - place), 0, 1)
    return converted(share * brightness[..., None], np.dtype(dtype), 0.0, white_level(dtype))
