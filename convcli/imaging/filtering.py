"""Chains laid on frames: channels, transparency, parts, and how values become pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Thread
from typing import Any

import numpy as np

from convcli.engine import filter as engine
from convcli.engine.borders import correlation_axis
from convcli.engine.factors import over_common_denominator
from convcli.engine.filter_numpy import extended
from convcli.engine.points import Code, Point, Points, Statistics, strips
from convcli.engine.values import run_points
from convcli.errors import InputError, UsageError
from convcli.imaging.chain import GRAY_LEVELS, Chain, Step, chain_gain
from convcli.imaging.operations import (
    Surroundings,
    done_on_all,
    laid_on_original,
    point_of,
    resized,
    to_light,
)
from convcli.imaging.options import FilterOptions, parse_border
from convcli.imaging.parts import channel_numbers, rectangle, rest, surroundings
from convcli.imaging.picture import CHANNEL_NAMES, Frame, preview_png, to_gray, white_level
from convcli.imaging.ranges import (
    as_depth,
    colored,
    middle_gray,
    offset_scale,
    range_points,
    to_range,
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


@dataclass(frozen=True, eq=False)
class Stage:
    """A chain on its way: values so far, and what is still to be done to them.

    Attributes:
        values: H x W [x C], pixels or unrounded values.
        kernel: to be laid on them, if any.
        done: steps behind it, each with the points that it comes to.
        before: the stage that `values` are what it came to, if only points are left of a step.
        maker: the step that made `values` otherwise.
    """

    values: Any
    kernel: Step | None = None
    done: tuple[tuple[str, tuple[Point, ...]], ...] = ()
    before: Stage | None = None
    maker: str = ""

    @property
    def points(self) -> tuple[Point, ...]:
        """What is still to be done to each value."""
        return tuple(point for _, points in self.done for point in points)


def staged(planes: Any, steps: Chain, options: FilterOptions) -> Stage:
    """Return what a chain comes to before its last kernel, and what is still to be done.

    The last step lays the result on the original, where that is asked for.
    """
    work = _Filtering(steps, options, planes.dtype)
    stage = work.staged(planes)
    if not work.is_mixed:
        return stage
    ends = options.stretch_from
    if work.value_range == "stretch" and ends is None:
        values, _ = work._values(stage)
        ends = float(values.min()), float(values.max())
    output = np.dtype(np.uint8) if planes.dtype == np.float64 else planes.dtype
    ranged = range_points(work.value_range, output, ends)
    over = laid_on_original(options.blend, options.strength, work.white)
    laid = f"{options.blend}, strength {options.strength:g}", over
    return replace(stage, done=(*stage.done, (f"range {work.value_range}", ranged), laid))


class _Filtering:
    """A chain at work on pixels of one depth, whose levels its values keep to the end."""

    def __init__(self, steps: Chain, options: FilterOptions, dtype: Any) -> None:
        self.steps, self.options, self.dtype = steps, options, dtype
        self.kernels = [step for step in steps if isinstance(step, Step)]
        self.last = self.kernels[-1] if self.kernels else None
        behind = 1 + steps.index(self.last) if self.last else 0
        self.tail = [step for step in steps[behind:] if isinstance(step, Operation)]
        self.white = GRAY_LEVELS * offset_scale(dtype)
        self.gain = chain_gain(self.kernels)
        self.is_gradient = any(step.is_gradient for step in self.kernels)
        self.is_linear = all(isinstance(one, Step) or one.is_linear for one in steps)
        self.in_light = options.linear and dtype.kind == "u"
        self.is_mixed = (options.strength, options.blend) != (1.0, "normal")
        self.notes = [step.note for step in self.kernels if step.note]
        self.border, self.outside = parse_border(options.border)
        self.value_range = options.value_range or self._usual_range()
        self.depth = np.dtype(np.float64 if dtype == np.float64 else np.float32)
        self.run: dict[str, Any] = {
            "engine": options.engine,
            "threads": options.threads,
            "on_compile": options.on_compile,
        }

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
        alpha = as_depth(self._moved(pixels[..., -1]), self.white, values.dtype)
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
            **told,
        }

    def _laid_on(self, planes: Any, step: Step, kernel: Any = None, **told: Any) -> engine.Filtered:
        kernel = _weights(step) if kernel is None else kernel
        return engine.apply(planes, kernel, **self.run, **self.settings(step, **told))

    def planes(self, planes: Any, value_range: str) -> tuple[Any, Statistics, str]:
        """Run the chain on H x W [x C] planes and convert the last step's values."""
        stage, options, dtype = self.staged(planes), self.options, self.dtype
        if options.gradient != "magnitude":
            return self._gradient_picture(stage.values, value_range)
        last, output = stage.kernel, np.dtype(np.uint8) if dtype == np.float64 else dtype
        if value_range == "raw":
            output = self.depth
        needs_points = stage.points or value_range == "stretch" or self.is_mixed or self.in_light
        if last is None or last.channels is not None or needs_points:
            return self._finished(stage, planes, value_range, output)
        white = white_level(output)
        shift = middle_gray(output) if value_range == "offset" else 0.0
        done = self._laid_on(
            stage.values,
            last,
            offset=last.offset * offset_scale(dtype) + shift,
            mapping="clip" if value_range == "offset" else value_range,
            value_range=(0.0, white),
            output_dtype=output,
        )
        low, high, *cut = done.statistics
        return done.values, Statistics(low - shift, high - shift, *cut), done.plan.engine

    def staged(self, planes: Any) -> Stage:
        """Run the chain up to its last kernel, or the last step that looks at a whole picture."""
        around = Surroundings(self.white, self.run, self.notes)
        stage = Stage(_as_integers(planes))
        for step in self.steps:
            if isinstance(step, Step):
                stage = Stage(self._values(stage)[0], step)
                continue
            points: tuple[Point, ...]
            if step.needs_all:
                seen, _ = self._values(stage)
                values, points = done_on_all(step, seen, around)
                is_same = values is seen
                stage = Stage(
                    values, before=stage if is_same else None, maker="" if is_same else step.name
                )
            else:
                points = (point_of(step, self.white),)
            stage = replace(stage, done=(*stage.done, (step.name, points)))
        return stage

    def _values(self, stage: Stage) -> tuple[Any, str]:
        """Return what a stage comes to, unrounded, and by which engine."""
        if stage.kernel is None and not stage.points:
            return stage.values, "numpy"
        values, _, used = self._through(
            stage, Points(first=stage.points, dtype=self.depth, depth=self.depth)
        )
        return values, used

    def _through(
        self, stage: Stage, points: Points, base: Any = None
    ) -> tuple[Any, Statistics, str]:
        """Return what points make of a stage's kernel or values, by which engine."""
        kernel = stage.kernel
        if kernel is None or kernel.channels is not None:
            values = stage.values if kernel is None else self._over_channels(stage.values, kernel)
            return *run_points(points, values, base, **self.run), "numpy"
        if points.are_idle:
            done = self._laid_on(stage.values, kernel, mapping="raw", output_dtype=self.depth)
        else:
            done = self._laid_on(
                stage.values,
                kernel,
                mapping="raw",
                output_dtype=self.depth,
                points=points,
                base=base,
            )
        return done.values, done.statistics, done.plan.engine

    def _finished(
        self, stage: Stage, original: Any, value_range: str, output: Any
    ) -> tuple[Any, Statistics, str]:
        """Convert what a stage comes to, laid on what it was made of."""
        options, used, ends = self.options, "", self.options.stretch_from
        if value_range == "stretch" and ends is None:
            values, used = self._values(stage)
            stage, ends = Stage(values), (float(values.min()), float(values.max()))
        then = range_points(value_range, output, ends)
        base = None
        if self.is_mixed:
            stage, base = self._as_large(stage, original), original
            then = (*then, *laid_on_original(options.blend, options.strength, self.white))
        is_cut = value_range != "raw"
        if self.in_light and is_cut:
            then = (*then, Point(Code.ENCODE, self.white))
        white = white_level(output) if is_cut else np.inf
        points = Points(first=stage.points, then=then, dtype=output, depth=self.depth, white=white)
        pixels, statistics, by = self._through(stage, points, base)
        if value_range == "stretch":
            statistics = statistics._replace(below=0, above=0)
        return pixels, statistics, used or by

    def _as_large(self, stage: Stage, original: Any) -> Stage:
        """Return a stage whose result is as large as the original; gray is laid on every color."""
        kernel, options = stage.kernel, self.options
        if kernel is not None and (kernel.channels, options.padding, options.stride) != (
            None,
            "same",
            1,
        ):
            stage = Stage(self._values(stage)[0])
        if stage.values.shape == original.shape[:2] != original.shape:
            gray = stage.values[..., None]
            stage = replace(stage, values=np.repeat(gray, original.shape[2], axis=2))
        if stage.values.shape != original.shape:
            sizes = (" x ".join(map(str, one.shape)) for one in (stage.values, original))
            raise UsageError(
                f"--strength and --blend lay the result on the original, and the result is "
                f"{' and the original '.join(sizes)}: use --padding same, --stride 1, no resize"
                " and no kernel with channels."
            )
        return stage

    def _over_channels(self, planes: Any, step: Step) -> Any:
        """Return the values of a kernel with channels, which adds them up in double precision."""
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
        return total / divisor + offset

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
        values, statistics, _ = self._finished(Stage(colors), original, self.value_range, depth)
        through = as_depth(opacity.clip(0, 1), 1.0, depth)
        pixels = np.concatenate([values, through], axis=2)
        note = "Colors weighted by their opacity (--alpha premultiply)."
        return self._done(pixels, frame, statistics, used, note)

    def _moved(self, planes: Any) -> Any:
        """Return the unfiltered values where the result's pixels have their center."""
        dilation, padding = self.options.dilation, self.options.padding
        for step in self.steps:
            if isinstance(step, Operation):
                if step.changes_size:
                    planes = resized(planes, step.values)
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
        (x_right, x_down), (y_right, y_down) = last.directions_xy
        sign = -1 if self.options.convolve else 1
        strength, degrees = np.empty(x.shape[:2], np.float32), np.empty(x.shape[:2], np.float32)
        for rows in strips(x):
            sizes = _NORMS[self.options.magnitude](x[rows], y[rows])
            best = sizes.argmax(axis=2)[..., None]
            across, along, strength[rows] = (
                np.take_along_axis(plane, best, 2)[..., 0] for plane in (x[rows], y[rows], sizes)
            )
            right = sign * (across * x_right + along * y_right)
            down = sign * (across * x_down + along * y_down)
            degrees[rows] = np.degrees(np.arctan2(-down, right)) % 360
        statistics = Statistics(float(strength.min()), float(strength.max()), 0, 0)
        used, is_both = parts[0].plan.engine, self.options.gradient == "both"
        if value_range == "raw":
            return np.dstack([strength, degrees]) if is_both else degrees, statistics, used
        output = np.dtype(np.uint8) if self.dtype == np.float64 else self.dtype
        bright = None
        if is_both:
            bright, statistics = to_range(strength, value_range, output, self.options.stretch_from)
        pixels = np.empty((*degrees.shape, 3), output)
        for rows in strips(degrees):
            full = np.where(strength[rows] > 0, white_level(output), 0)
            shown = full if bright is None else bright[rows]
            pixels[rows] = colored(degrees[rows], shown, output)
        return pixels, statistics, used


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
    rows, columns = rectangle(options.region, stack.shape)
    chosen = slice(None) if options.channels is None else channel_numbers(options.channels, frame)
    near, inner = surroundings((rows, columns), stack.shape, steps, options)
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
    out = rest(stack, frame.has_alpha, done.value_range, dtype)
    filtered = done.frame.pixels[inner]
    out[rows, columns, chosen] = filtered if filtered.ndim == 3 else filtered[..., None]
    pixels = out if frame.pixels.ndim == 3 else out[..., 0]
    return replace(done, frame=replace(frame, pixels=pixels), statistics=statistics)
