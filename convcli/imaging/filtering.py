"""Chains laid on frames: channels, transparency, parts, and how values become pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any

import numpy as np

from convcli.engine import filter as engine
from convcli.engine.borders import correlation_axis
from convcli.engine.factors import over_common_denominator
from convcli.engine.filter import Statistics
from convcli.engine.filter_numpy import converted, extended
from convcli.errors import InputError, UsageError
from convcli.imaging.chain import GRAY_LEVELS, Chain, Step, chain_gain
from convcli.imaging.operations import BLENDS, STRIP_BYTES, run_operations, to_light, to_srgb
from convcli.imaging.options import FilterOptions, parse_border, parse_region
from convcli.imaging.picture import (
    CHANNEL_NAMES,
    Frame,
    channels_of,
    preview_png,
    to_gray,
    white_level,
)
from convcli.imaging.views import ChannelFigures, before_after, channel_figures
from convcli.kernels import Operation


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What happened to the values of a picture.

    Attributes:
        statistics: exact minimum and maximum before conversion; how many saturated.
        value_range: clip, abs, offset, stretch or raw.
        engine: numba or numpy, as used for the last kernel.
        figures: of each channel's values before conversion, where they were asked for.
        notes: sentences on what was changed, left out or decided.
    """

    statistics: Statistics
    value_range: str
    engine: str
    figures: tuple[ChannelFigures, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class FilteredFrame(Outcome):
    """A filtered frame and what happened to its values."""

    frame: Frame

    def _repr_png_(self) -> bytes:
        """Return a picture to look at, for a notebook."""
        return preview_png(self.frame)


def filter_frame(frame: Frame, steps: Chain, options: FilterOptions) -> FilteredFrame:
    """Filter the pixels of one frame with a chain of kernels.

    Between the kernels of a chain values stay unrounded; the last one's become pixels.
    """
    if options.gray:
        frame = to_gray(frame)
    if options.channels is None and options.region is None:
        done = _Filtering(steps, options, frame.pixels.dtype).whole(frame)
    else:
        done = _filter_part(frame, steps, options)
    if options.stats:
        raw = replace(options, stats=False, compare=None, value_range="raw")
        done = replace(done, figures=channel_figures(filter_frame(frame, steps, raw).frame))
    if options.compare is not None:
        done = replace(done, frame=before_after(frame, done.frame, options.compare))
    return done


def make_ready(shape: tuple[int, int, int], steps: Chain, options: FilterOptions) -> None:
    """Load the compiled code for 8-bit pictures of a shape in a thread, if they will need it.

    A few pixels are filtered the same way, so that the loading (0.4 s, mostly Numba's own) runs
    while the picture is being unpacked.
    """
    work = _Filtering(steps, options, np.dtype(np.uint8))
    if work.last is None or work.last.channels is not None:
        return
    plan = engine.plan_filter(shape, np.uint8, _weights(work.last), **work.settings(work.last))
    if plan.engine != "numba":
        return
    side = 8 + options.dilation * max(size for one in work.kernels for size in one.weights[0].shape)
    few = np.full((side, side, shape[2]), 255, np.uint8)
    frame = Frame(few if shape[2] > 1 else few[..., 0], shape[2] in {2, 4})
    like = replace(options, engine="numba", threads=1)
    Thread(target=filter_frame, args=(frame, steps, like), daemon=True).start()


def offset_scale(dtype: Any) -> float:
    """Return what one 8-bit level is in pixels of `dtype`; matrices have no levels.

    >>> offset_scale(np.dtype(np.uint16)), offset_scale(np.dtype(np.float64))
    (257.0, 1.0)
    """
    return 1.0 if dtype == np.float64 else white_level(dtype) / GRAY_LEVELS


def before_last(planes: Any, steps: Chain, options: FilterOptions) -> Any:
    """Return what the last kernel of a chain is laid on: the pixels, or unrounded values."""
    return _Filtering(steps, options, planes.dtype).before_last(planes)


class _Filtering:
    """A chain at work on pixels of one depth, whose levels its values keep to the end."""

    def __init__(self, steps: Chain, options: FilterOptions, dtype: Any) -> None:
        self.steps, self.options, self.dtype = steps, options, dtype
        self.kernels = [step for step in steps if isinstance(step, Step)]
        self.last = self.kernels[-1] if self.kernels else None
        behind = 1 + steps.index(self.last) if self.last else 0
        self.before = steps[: max(behind - 1, 0)]
        self.tail = [step for step in steps[behind:] if isinstance(step, Operation)]
        self.white = GRAY_LEVELS * offset_scale(dtype)
        self.gain = chain_gain(self.kernels)
        self.is_gradient = any(step.is_gradient for step in self.kernels)
        self.is_linear = all(isinstance(one, Step) or one.is_linear for one in steps)
        self.in_light = options.linear and dtype.kind == "u"
        self.is_mixed = self.in_light or (options.strength, options.blend) != (1.0, "normal")
        self.notes = [step.note for step in self.kernels if step.note]
        self.border, self.outside = parse_border(options.border)
        self.value_range = options.value_range or self._usual_range()
        self.depth = np.float64 if dtype == np.float64 else np.float32

    def _usual_range(self) -> str:
        """Return the range that suits the chain: clip for brightness, abs for edges."""
        if self.dtype not in (np.uint8, np.uint16):
            return "raw"
        if self.last is None or not all(one.keeps_signs for one in self.tail):
            return "clip"
        is_brightness = self.gain > 0 or self.last.offset
        return "clip" if is_brightness and not self.last.is_gradient else "abs"

    def whole(self, frame: Frame) -> FilteredFrame:
        """Filter a frame, its transparency by the policy that is asked for or suits the chain."""
        if self.in_light:
            frame = replace(frame, pixels=to_light(frame.pixels, has_alpha=frame.has_alpha))
        policy, pixels = self._alpha_policy(frame), frame.pixels
        if policy == "premultiply":
            return self._premultiplied(frame)
        if policy != "keep":
            values, statistics, used = self.planes(pixels, self.value_range)
            return self._done(values, frame, statistics, used)
        colors = pixels[..., 0] if pixels.shape[2] == 2 else np.ascontiguousarray(pixels[..., :-1])
        values, statistics, used = self.planes(colors, self.value_range)
        alpha = _as_depth(self._moved(pixels[..., -1]), self.white, values.dtype)
        return self._done(np.dstack([values, alpha]), frame, statistics, used)

    def _done(
        self, pixels: Any, frame: Frame, statistics: Statistics, used: str, *notes: str
    ) -> FilteredFrame:
        if self.options.gradient != "magnitude":
            notes = (
                *notes,
                "Direction as a color wheel: red where it gets brighter to the right, then "
                "counter-clockwise yellow-green up, cyan left, violet down.",
            )
        values = pixels.size if not frame.has_alpha else pixels[..., :-1].size
        cut, total = statistics.below + statistics.above, self.gain
        if 2 * cut > values and self.value_range == "clip" and total > 0 and abs(total - 1) > 1e-6:
            notes = (
                *notes,
                f"Most values saturate because the kernel's sum is {total:.6g}, not 1: --normalize "
                "divides by it.",
            )
        if self.options.linear and not self.in_light:
            notes = (*notes, "Numbers and float pictures are linear already: --linear is idle.")
        elif self.in_light and self.value_range == "raw":
            notes = (*notes, "Raw values are light, not sRGB levels (--linear).")
        return FilteredFrame(
            frame=replace(frame, pixels=pixels),
            statistics=statistics,
            value_range=self.value_range,
            engine=used,
            notes=(*self.notes, *notes),
        )

    def _alpha_policy(self, frame: Frame) -> str:
        """Return what to do with transparency; frames without it, and matrices, have none."""
        if not frame.has_alpha:
            return "none"
        if any(step.channels for step in self.kernels) and self.options.alpha is None:
            return "filter"
        is_smoothing = self.gain > 0 and not self.is_gradient and self.is_linear
        policy = self.options.alpha or ("premultiply" if is_smoothing else "keep")
        if policy == "premultiply" and not is_smoothing:
            raise UsageError(
                f"--alpha premultiply divides by the filtered transparency, which needs kernels "
                f"with a positive sum; {self.steps[-1].name} has none. Use --alpha keep or filter."
            )
        is_opaque = (frame.pixels[..., -1] == self.white).all()
        if policy == "premultiply" and is_opaque and not self._border_is_transparent():
            return "keep"  # the same values, without the detour
        return policy

    def _border_is_transparent(self) -> bool:
        return self.border == "constant" and self.options.padding != "valid"

    def settings(self, step: Step, **told: Any) -> dict[str, Any]:
        """Return the engine's settings for one step."""
        return {
            "border": self.border,
            "cval": self.outside,
            "divisor": step.divisor,
            "offset": step.offset * offset_scale(self.dtype),
            "norm": self.options.magnitude if step.is_gradient else "none",
            "padding": self.options.padding,
            "stride": self.options.stride if step is self.last else 1,
            "dilation": self.options.dilation,
            "convolve": self.options.convolve,
            "engine": self.options.engine,
            **told,
        }

    def _laid_on(self, planes: Any, step: Step, kernel: Any = None, **told: Any) -> engine.Filtered:
        options = self.options
        return engine.apply(
            planes,
            _weights(step) if kernel is None else kernel,
            threads=options.threads,
            on_compile=options.on_compile,
            **self.settings(step, **told),
        )

    def planes(self, planes: Any, value_range: str) -> tuple[Any, Statistics, str]:
        """Run the chain on H x W [x C] planes and convert the last step's values."""
        last, dtype, options = self.last, self.dtype, self.options
        current, used = self.before_last(planes), "numpy"
        if options.gradient != "magnitude":
            return self._gradient_picture(current, value_range)
        output = np.dtype(np.uint8) if dtype == np.float64 else dtype
        if value_range == "raw":
            output = np.dtype(self.depth)
        if last is None or self.tail or last.channels or value_range == "stretch" or self.is_mixed:
            if last is not None:
                current, used = self._raw_values(current, last)
            values = self._operated(current, self.tail)
            return *self._finished(values, planes, value_range, output), used
        white = white_level(output)
        shift = middle_gray(output) if value_range == "offset" else 0.0
        done = self._laid_on(
            current,
            last,
            offset=last.offset * offset_scale(dtype) + shift,
            mapping="clip" if value_range == "offset" else value_range,
            value_range=(0.0, white),
            output_dtype=output,
        )
        found = done.statistics
        statistics = replace(found, minimum=found.minimum - shift, maximum=found.maximum - shift)
        return done.values, statistics, done.plan.engine

    def _operated(self, planes: Any, operations: Sequence[Operation]) -> Any:
        if not operations:
            return planes
        planes = planes.astype(self.depth, copy=False)
        return run_operations(planes, operations, self.white, self.notes)

    def _finished(
        self, values: Any, original: Any, value_range: str, output: Any
    ) -> tuple[Any, Statistics]:
        """Convert values, laid on what they were made of."""
        options = self.options
        change = None
        if self.is_mixed and (options.strength, options.blend) != (1.0, "normal"):
            if values.shape == original.shape[:2] != original.shape:  # gray on colors
                values = np.repeat(values[..., None], original.shape[2], axis=2)
            if values.shape != original.shape:
                sizes = (" x ".join(map(str, one.shape)) for one in (values, original))
                raise UsageError(
                    f"--strength and --blend lay the result on the original, and the result is "
                    f"{' and the original '.join(sizes)}: use --padding same, --stride 1, no resize"
                    " and no kernel with channels."
                )
            blend = BLENDS[options.blend]

            def change(mapped: Any, rows: slice) -> Any:
                base = original[rows].astype(self.depth, copy=False)
                return base + options.strength * (blend(base, mapped, self.white) - base)

        encode = self.in_light and value_range != "raw"
        return to_range(values, value_range, output, options.stretch_from, change, encode=encode)

    def before_last(self, planes: Any) -> Any:
        """Return what the last kernel is laid on: the pixels, or unrounded values."""
        current = _as_integers(planes)
        for step in self.before:
            if isinstance(step, Step):
                current, _ = self._raw_values(current, step)
            else:
                current = self._operated(current, (step,))
        return current

    def _raw_values(self, planes: Any, step: Step) -> tuple[Any, str]:
        """Return one step's values before conversion, and by which engine.

        A kernel with channels adds them up, in double precision.
        """
        if step.channels is None:
            done = self._laid_on(planes, step, mapping="raw", output_dtype=self.depth)
            return done.values, done.plan.engine
        found = 1 if planes.ndim == 2 else planes.shape[2]
        (weights,), shared_divisor = over_common_denominator(step.weights)
        if found != step.channels:
            names = ", ".join(CHANNEL_NAMES.get(found, ()))
            raise InputError(
                f"Kernel {step.name} is {' x '.join(map(str, weights.shape))}, with "
                f"{step.channels} channels, and the input has {found}{f' ({names})' * bool(names)}."
                " A kernel needs as many channels as its input: give it "
                f"{found} planes, or one that is laid on each."
            )
        stack = planes.reshape(*planes.shape[:2], found)
        whole = {"divisor": 1.0, "offset": 0.0, "mapping": "raw", "output_dtype": np.float64}
        total: Any = 0.0
        for channel in range(found):
            turned = found - 1 - channel if self.options.convolve else channel
            plane = np.ascontiguousarray(stack[..., channel])
            total += self._laid_on(plane, step, kernel=weights[:, :, turned], **whole).values
        divisor, offset = step.divisor * shared_divisor, step.offset * offset_scale(self.dtype)
        return total / divisor + offset, "numpy"

    def _premultiplied(self, frame: Frame) -> FilteredFrame:
        """Filter colors weighted by their opacity, so that what is transparent lends no color.

        color = filtered(color x alpha) / filtered(alpha) x gain; alpha = filtered(alpha) / gain.
        Where the result is wholly transparent the color stays what it was.
        Source: Porter and Duff, Compositing Digital Images, SIGGRAPH 1984.
        """
        white = self.white
        alpha = frame.pixels[..., -1].astype(np.float32)
        planes = np.empty(frame.pixels.shape, np.float32)
        share = alpha[..., None] / np.float32(white)
        np.multiply(frame.pixels[..., :-1], share, out=planes[..., :-1])
        planes[..., -1] = alpha
        offset = self.last.offset * offset_scale(self.dtype) if self.last else 0.0
        bare = [replace(one, offset=0.0) if isinstance(one, Step) else one for one in self.steps]
        options = replace(self.options, strength=1.0, blend="normal", linear=False)
        if self._border_is_transparent():
            options = replace(options, border="constant")
        sums, _, used = _Filtering(tuple(bare), options, planes.dtype).planes(planes, "raw")
        opacity = sums[..., -1:] / (self.gain * white)
        visible = opacity > 1e-6
        colors = sums[..., :-1] / np.where(visible, opacity, 1) + offset
        if not visible.all():  # what cannot be seen keeps its color
            np.copyto(colors, self._moved(frame.pixels[..., :-1]), where=~visible)
        depth = np.dtype(np.float32) if self.value_range == "raw" else self.dtype
        original = frame.pixels[..., :-1]
        values, statistics = self._finished(colors, original, self.value_range, depth)
        through = _as_depth(opacity.clip(0, 1), 1.0, depth)
        pixels = np.concatenate([values, through], axis=2)
        note = "Colors weighted by their opacity (--alpha premultiply)."
        return self._done(pixels, frame, statistics, used, note)

    def _moved(self, planes: Any) -> Any:
        """Return the unfiltered values where the result's pixels have their center."""
        dilation, padding = self.options.dilation, self.options.padding
        for step in self.steps:
            if isinstance(step, Operation):
                if step.changes_size:
                    planes = run_operations(planes.astype(np.float32), [step], self.white, [])
                continue
            for axis in (0, 1):
                taps = step.weights[0].shape[axis]
                extent = (taps - 1) * dilation + 1
                center = (extent - 1) // 2 if self.options.convolve else extent // 2
                way = correlation_axis(
                    planes.shape[axis],
                    taps,
                    mode="constant",
                    padding=padding,
                    stride=self.options.stride if step is self.last else 1,
                    dilation=dilation,
                    turned=self.options.convolve,
                )
                if padding == "valid":
                    way = replace(way, source=np.arange(planes.shape[axis]))
                places = way.source[np.arange(way.size) * way.stride + center]
                planes = extended(planes, axis, places, 0)
        return planes

    def _gradient_picture(self, planes: Any, value_range: str) -> tuple[Any, Statistics, str]:
        """Return the gradient's direction as a hue, its strength as brightness if both are wanted.

        Of several channels each pixel takes the one with the largest magnitude. Values stay numbers
        for `raw`: degrees counter-clockwise from the right, stacked on the magnitude for both.
        """
        raw = {"norm": "none", "mapping": "raw", "output_dtype": np.float32}
        last = self.last
        assert last is not None  # noqa: S101  (make_steps has seen to it)
        parts = [self._laid_on(planes, last, kernel=one, **raw) for one in last.weights]
        x, y = (part.values if part.values.ndim == 3 else part.values[..., None] for part in parts)
        strength = _NORMS[self.options.magnitude](x, y)
        best = strength.argmax(axis=2)[..., None]
        x, y, strength = (np.take_along_axis(plane, best, 2)[..., 0] for plane in (x, y, strength))
        (x_right, x_down), (y_right, y_down) = last.directions_xy
        sign = -1 if self.options.convolve else 1
        right, down = sign * (x * x_right + y * y_right), sign * (x * x_down + y * y_down)
        degrees = np.degrees(np.arctan2(-down, right)) % 360
        statistics = Statistics(float(strength.min()), float(strength.max()), 0, 0)
        used, is_both = parts[0].plan.engine, self.options.gradient == "both"
        if value_range == "raw":
            return np.dstack([strength, degrees]) if is_both else degrees, statistics, used
        output = np.dtype(np.uint8) if self.dtype == np.float64 else self.dtype
        bright = np.where(strength > 0, white_level(output), 0)
        if is_both:
            bright, statistics = to_range(strength, value_range, output, self.options.stretch_from)
        return _colored(degrees, bright, output), statistics, used


def _weights(step: Step) -> Any:
    return step.weights if step.is_gradient else step.weights[0]


_NORMS: dict[str, Any] = {
    "l2": np.hypot,
    "l1": lambda x, y: abs(x) + abs(y),
    "max": lambda x, y: np.maximum(abs(x), abs(y)),
}


def _as_integers(planes: Any) -> Any:
    """Return a matrix of whole numbers as integers, for which the engine's sums are exact."""
    if planes.dtype != np.float64 or abs(planes).max() >= 2**31:
        return planes
    whole = planes.astype(np.int64)
    return whole.astype(np.int32) if np.array_equal(whole, planes) else planes


def _as_depth(alpha: Any, white: float, dtype: Any) -> Any:
    """Return alpha in the depth of the colors: 0..1 beside raw values."""
    if alpha.dtype == dtype:
        return alpha
    top = white_level(dtype)
    return converted(alpha / white * top, np.dtype(dtype), 0.0, top)


def _colored(degrees: Any, brightness: Any, dtype: Any) -> Any:
    """Return full colors of the given hue: red 0, green 120, blue 240 degrees (HSV)."""
    shift = np.array([5, 3, 1])
    place = (degrees[..., None] / 60 + shift) % 6
    share = 1 - np.clip(np.minimum(place, 4 - place), 0, 1)
    return converted(share * brightness[..., None], np.dtype(dtype), 0.0, white_level(dtype))


def middle_gray(dtype: Any) -> float:
    """Return what `offset` adds: 128 of 255.

    >>> middle_gray(np.dtype(np.uint8)), middle_gray(np.dtype(np.float32))
    (128.0, 0.5)
    """
    white = white_level(dtype)
    return (white + 1) // 2 if dtype.kind == "u" else white / 2


def to_range(
    values: Any,
    value_range: str,
    dtype: Any,
    stretch_from: tuple[float, float] | None = None,
    change: Callable[[Any, slice], Any] | None = None,
    *,
    encode: bool = False,
) -> tuple[Any, Statistics]:
    """Turn values into pixels and say what happened: the plain version of the engine's conversion.

    Args:
        values: floating point, any shape.
        value_range: clip, abs, offset, stretch (lowest to 0, highest to white) or raw.
        dtype: of the pixels.
        stretch_from: what `stretch` takes for lowest and highest, instead of this frame's own.
        change: what is done to some rows of what is about to be cut to black and white.
        encode: the values are light, which becomes levels of sRGB.

    >>> pixels, statistics = to_range(np.array([-10.0, 300.0]), "clip", np.dtype(np.uint8))
    >>> pixels, statistics
    (array([  0, 255], dtype=uint8), Statistics(minimum=-10.0, maximum=300.0, below=1, above=1))
    """
    dtype = np.dtype(dtype)
    white, shift, gain = white_level(dtype), 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if value_range == "offset":
        shift = middle_gray(dtype)
    elif value_range == "stretch":
        black, bright = stretch_from or (low, high)
        gain = white / (bright - black) if bright > black else 0.0
        shift = -black * gain
    out, below, above = np.empty(values.shape, dtype), 0, 0
    rows = max(1, STRIP_BYTES // max(1, values[0].nbytes))
    for top in range(0, len(values), rows):
        part = slice(top, top + rows)
        mapped = np.abs(values[part]) if value_range == "abs" else values[part]
        if value_range in {"offset", "stretch"}:
            mapped = mapped * gain + shift
        if change is not None:
            mapped = change(mapped, part)
        if value_range == "raw":
            out[part] = mapped
            continue
        if encode:
            mapped = to_srgb(mapped, white)
        whole = np.rint(mapped) if dtype.kind == "u" else mapped
        below += int((whole < 0).sum())
        above += int((whole > white).sum())
        out[part] = converted(mapped, dtype, 0.0, white)
    if value_range == "stretch":
        below = above = 0
    return out, Statistics(low, high, below, above)


def _filter_part(frame: Frame, steps: Chain, options: FilterOptions) -> FilteredFrame:
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
    pixels = crop if crop.shape[2] > 1 else crop[..., 0]
    part = replace(frame, pixels=pixels, has_alpha=frame.has_alpha and options.channels is None)
    whole = replace(options, channels=None, region=None, gray=False, stats=False, compare=None)
    raw = filter_frame(part, steps, replace(whole, value_range="raw")).frame.pixels[inner]
    values = raw[..., :-1] if part.has_alpha else raw
    if whole.value_range == "stretch" and whole.stretch_from is None:
        whole = replace(whole, stretch_from=(float(values.min()), float(values.max())))
    done = filter_frame(part, steps, whole)
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


def _channel_numbers(text: str, frame: Frame) -> list[int]:
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


def _rest(stack: Any, has_alpha: bool, value_range: str, dtype: Any) -> Any:
    """Return a copy of what is not filtered, in the depth of the result."""
    if stack.dtype == dtype:
        return stack.copy()
    rest, _ = to_range(stack, "raw" if value_range == "raw" else "clip", dtype)
    if has_alpha:
        rest[..., -1] = _as_depth(stack[..., -1], white_level(stack.dtype), dtype)
    return rest
