"""How a picture will be filtered, decided from sizes and numbers before any pixel is read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from convcli.engine.borders import Axis, correlation_axis
from convcli.engine.factors import (
    FLOAT32_EXACT,
    integer_factors,
    integer_kernel,
    l1_norm,
    low_rank,
    over_common_denominator,
)
from convcli.errors import InputError, UsageError, did_you_mean

MAPPINGS = ("clip", "abs", "raw")
NORMS = ("none", "l2", "l1", "max")
ENGINES = ("auto", "numba", "numpy")

WORTH_COMPILED_CODE = 150e6
"""Operations that NumPy does in the time it takes to load compiled code, about 0.3 s."""

OPERATIONS_TO_CONVERT = 12
"""What reading, converting and counting one value costs, in multiply-adds."""

SMALL_TAPS = 25
"""Kernels of at most that many taps run straight from pixels to pixels when they can."""

SHORT_TAPS = 49
"""The same of integers of rank 1 whose sums fit 16 bits."""

BOX_TAPS, SMALL_BOX = 100, SHORT_TAPS
"""Means of more taps than that are faster by running sums; than the other one in 16 bits."""

REMEMBERED_TAPS = 2048
"""Plans for kernels of at most so many taps are kept for the next picture of a size."""

TRANSFORM_SIZES = (64, 256, 1024, 4096)
"""Powers of four."""

ROUNDED_BACK = 2.0**36
"""Integer sums below that are the nearest integers to transformed ones in double precision."""

COMPILED_INPUTS = ("uint8", "uint16", "float32", "float64")
COMPILED_OUTPUTS = ("uint8", "uint16", "float32", "float64")


Terms = tuple[tuple[Any, Any], ...] | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of a filter beside its kernels.

    Attributes:
        border: by scipy's names; cval: the value behind a constant one.
        divisor, offset: value = sum / divisor + offset.
        norm: "none", or how several kernels' sums become one value: "l2", "l1", "max".
        mapping: "clip" cuts to `value_range`, "abs" takes magnitudes first, "raw" leaves values.
        value_range: lowest and highest value of a floating-point output.
        output_dtype: numbers of the output; the picture's when left out.
        padding, stride, dilation, origin: as `correlation_axis`, one number or one for each axis.
        convolve: turn the kernels by 180 degrees.
        engine: "auto", "numba" or "numpy".
    """

    border: str = "reflect"
    cval: float = 0.0
    divisor: float = 1.0
    offset: float = 0.0
    norm: str = "none"
    mapping: str = "clip"
    value_range: Any = None
    output_dtype: Any = None
    padding: str = "same"
    stride: int | tuple[int, int] = 1
    dilation: int | tuple[int, int] = 1
    origin: int | tuple[int, int] = 0
    convolve: bool = False
    engine: str = "auto"

    def __post_init__(self) -> None:
        for word, known, what in (
            (self.norm, NORMS, "norm"),
            (self.mapping, MAPPINGS, "mapping"),
            (self.engine, ENGINES, "engine"),
        ):
            if word not in known:
                raise UsageError(
                    f"there is no {what} {word!r}; use {', '.join(known)}."
                    f"{did_you_mean(word, known)}"
                )
        if self.divisor == 0 or not (math.isfinite(self.divisor) and math.isfinite(self.offset)):
            raise UsageError(
                f"divisor {self.divisor:g} and offset {self.offset:g} must be finite, not 0 / x."
            )

    def axis(self, length: int, taps: int, place: int) -> Axis:
        """Return the axis number `place` of a picture `length` long, for `taps` taps."""
        return correlation_axis(
            length,
            taps,
            mode=self.border,
            padding=self.padding,
            stride=_of_axis(self.stride, place),
            dilation=_of_axis(self.dilation, place),
            origin=_of_axis(self.origin, place),
            turned=self.convolve,
        )


@dataclass(frozen=True, eq=False)
class FilterPlan:
    """One way to filter one kind of picture.

    Attributes:
        shape_hwc: height, width and channels of the picture.
        dtype: its numbers.
        kernels: one 2-D kernel, or several whose norm is wanted; weights in double precision.
        terms: per kernel its (column, row) factors, or None where it runs whole.
        rows: the vertical axis; columns: the horizontal one.
        settings: what was asked; divisor, range and numbers of the output as they came out.
        engine: "numba" or "numpy".
        path: one of `PATHS`.
        numbers: in which sums are added and values made, and whether they are exact.
        reason: why this path, accumulator and engine.
    """

    shape_hwc: tuple[int, int, int]
    dtype: Any
    kernels: tuple[Any, ...]
    terms: tuple[Terms, ...]
    rows: Axis
    columns: Axis
    settings: Settings
    engine: str
    path: str
    numbers: Numbers
    reason: str

    @property
    def out_hwc(self) -> tuple[int, int, int]:
        """Height, width and channels of the result."""
        return self.rows.size, self.columns.size, self.shape_hwc[2]

    @property
    def multiply_adds(self) -> int:
        """Products that are added up over the whole picture, unless by a transform."""
        return math.prod(self.out_hwc) * _taps(self.kernels, self.terms)

    @property
    def accumulator(self) -> str:
        """Numbers in which sums are added."""
        return self.numbers.accumulator

    @property
    def exact(self) -> bool:
        """Whether the integers that come out are proven to be the exact sums, rounded once."""
        return self.numbers.exact

    @property
    def divisor(self) -> float:
        """What sums are divided by; a norm's sign is its own."""
        divisor = self.settings.divisor
        return divisor if self.settings.norm == "none" else abs(divisor)

    @property
    def reads_outside(self) -> bool:
        """Whether the value behind a constant border is read."""
        return reads_outside(self.rows, self.columns)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and highest value that weights and pixels allow, before conversion."""
        if self.dtype.kind == "f":
            return -math.inf, math.inf
        limits = (0, 1) if self.dtype.kind == "b" else _limits(self.dtype)
        cval = self.settings.cval
        if not math.isfinite(cval):
            return -math.inf, math.inf
        low, high = min(limits[0], cval), max(limits[1], cval)
        positive = max(float(kernel.clip(0).sum()) for kernel in self.kernels)
        negative = min(float(kernel.clip(max=0).sum()) for kernel in self.kernels)
        ends = (positive * low + negative * high, positive * high + negative * low)
        if self.settings.norm != "none":
            ends = (0.0, max(map(abs, ends)) * len(self.kernels))
        first, second = (end / self.settings.divisor + self.settings.offset for end in ends)
        return min(first, second), max(first, second)

    @property
    def may_saturate(self) -> bool:
        """Whether any value can fall outside the output's range."""
        low, high = self.bounds
        if self.settings.mapping == "abs":
            low, high = 0.0, max(abs(low), abs(high))
        half = 0.49 if self.settings.output_dtype.kind in "iu" else 0.0
        lowest, highest = self.settings.value_range
        return bool(low < lowest - half or high > highest + half)

    def values_only(self) -> FilterPlan:
        """Return the plan that makes every sum, unconverted, also those between strides."""
        settings = replace(
            self.settings,
            divisor=1.0,
            offset=0.0,
            mapping="raw",
            value_range=(-math.inf, math.inf),
            output_dtype=np.dtype(self.numbers.finish),
        )
        rows, columns = self.rows.without_stride(), self.columns.without_stride()
        return replace(self, rows=rows, columns=columns, settings=settings)

    def __str__(self) -> str:
        sizes = " + ".join("x".join(map(str, kernel.shape)) for kernel in self.kernels)
        return f"{sizes} {self.path} in {self.accumulator}, {self.engine}: {self.reason}"


def plan_filter(shape: Sequence[int], dtype: Any, kernels: Any, **settings: Any) -> FilterPlan:
    """Decide how to filter H x W or H x W x C pictures of `dtype` with one or more kernels.

    Args:
        shape: of the picture.
        dtype: its numbers.
        kernels: a matrix, or a tuple of matrices of one size.
        settings: fields of `Settings`.

    >>> sobel_x = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    >>> print(plan_filter((512, 512), np.uint8, sobel_x))
    3x3 small in int16, numpy: 3x3 fits the registers; sums stay under 2040 < 2**24; ...
    >>> plan_filter((512, 512), np.uint8, sobel_x).multiply_adds == 512 * 512 * 9
    True

    Raises:
        UsageError: a word, kernel or number that means nothing.
        InputError: a picture that is no H x W or H x W x C array of real numbers.
    """
    asked = Settings(**settings)
    matrices = _kernel_list(kernels)
    if sum(matrix.size for matrix in matrices) > REMEMBERED_TAPS:
        return _planned(tuple(shape), np.dtype(dtype), matrices, asked)
    written = tuple((matrix.shape, matrix.tobytes()) for matrix in matrices)
    return _remembered(tuple(shape), np.dtype(dtype), written, asked, compiled_code_runs())


@lru_cache(maxsize=64)
def _remembered(
    shape: tuple[int, ...],
    dtype: Any,
    written: tuple[tuple[tuple[int, ...], bytes], ...],
    asked: Settings,
    compiles: bool,
) -> FilterPlan:
    """Return the plan made for the same question before: frames, and the pictures of a folder."""
    matrices = tuple(np.frombuffer(data).reshape(size) for size, data in written)
    return _planned(shape, dtype, matrices, asked)


def _planned(
    shape: tuple[int, ...], dtype: Any, matrices: tuple[Any, ...], asked: Settings
) -> FilterPlan:
    shape_hwc = _picture_shape(shape, dtype)
    if asked.norm == "none" and len(matrices) > 1:
        raise UsageError(f"{len(matrices)} kernels need a norm: l2, l1 or max.")
    if asked.convolve:
        matrices = tuple(matrix[::-1, ::-1] for matrix in matrices)
    output = np.dtype(dtype if asked.output_dtype is None else asked.output_dtype)
    asked = replace(
        asked,
        output_dtype=output,
        value_range=_value_range(asked.value_range, asked.mapping, output),
        cval=float(asked.cval),
        divisor=float(asked.divisor),
        offset=float(asked.offset),
    )
    rows, columns = (asked.axis(shape_hwc[n], matrices[0].shape[n], n) for n in range(2))
    case = _exact_case(_Case(matrices, dtype, asked, rows, columns))
    path, why = next((name, why) for name, applies, why in PATHS if applies(case))
    numbers = case.numbers
    if path == "small" and numbers.short:
        numbers = replace(numbers, accumulator="int16")
    elif path == "box" and case.short_box:
        numbers = replace(numbers, accumulator="uint16")
    elif (path == "transform" and numbers.integers) or (path == "box" and case.wide_box):
        numbers = replace(numbers, accumulator="float64", finish="float64")
    terms = case.terms if path in {"separable", "low-rank"} else (None,) * len(matrices)
    out_numbers = rows.size * columns.size * shape_hwc[2]
    operations = out_numbers * (_taps(matrices, terms) + OPERATIONS_TO_CONVERT * len(matrices))
    engine, engine_why = choose_engine(asked.engine, operations)
    size = "x".join(map(str, matrices[0].shape))
    return FilterPlan(
        shape_hwc, dtype, case.kernels, terms, rows, columns, case.settings, engine, path, numbers,
        f"{why.format(size=size)}; {numbers.reason}; {engine_why}",
    )  # fmt: skip


@dataclass(frozen=True)
class Numbers:
    """Which accumulator keeps the sums exact, and why.

    All partial sums of integer weights times integer pixels are integers of at most
    `l1_norm * largest pixel`, whatever the order, and so are the factors' first sums. Below 2**24 a
    float32 holds each of them, below 2**53 a double.

    Attributes:
        accumulator: in which sums are added; finish: in which norm and division are done.
        exact: whether the integers that come out are the exact sums, rounded once.
        integers: whether all sums are integers.
        short: whether sums and what is added to them fit 16 bits.
        pixel: the largest magnitude of a pixel; bound: of a sum.
        reason: why this accumulator.
    """

    accumulator: str
    finish: str
    exact: bool
    integers: bool
    short: bool
    pixel: int
    bound: float
    reason: str


def prove(kernels: tuple[Any, ...], dtype: Any, asked: Settings, outside: float) -> Numbers:
    """Return the numbers that filter pixels of `dtype` as exactly as is worth while."""
    limits = _limits(dtype) if dtype.kind in "iu" else (0, 1)
    pixel = max(abs(limits[0]), limits[1])
    if math.isfinite(outside):
        pixel = max(pixel, math.ceil(abs(outside)))
    integers = dtype.kind in "iub" and outside.is_integer() and all(map(integer_kernel, kernels))
    bound = pixel * max(map(l1_norm, kernels))
    plain = asked.offset == 0 and is_power_of_two(asked.divisor)
    bias = asked.offset * asked.divisor
    numerator = bound + abs(bias)
    exact = integers and asked.divisor.is_integer() and bias.is_integer() and numerator < 2**52
    number = "float64"
    if dtype == np.float64 or (dtype.itemsize > 2 and dtype.kind in "iu"):
        reason = f"{dtype} pictures are added in double precision"
    elif asked.output_dtype == np.float64 and not (integers and plain):
        reason = "results in double precision are added in double precision"
    elif integers and bound >= FLOAT32_EXACT:
        reason = f"sums may reach {bound:.0f} >= 2**24, so they are doubles"
    elif integers and not plain and numerator >= FLOAT32_EXACT / 2:
        reason = f"quotients of {numerator:.0f} >= 2**23 round safely only as doubles"
    else:
        number = "float32"
        reason = "weights or pixels are no integers, float32 is as good as they are"
        if integers:
            reason = f"sums stay under {bound:.0f} < 2**24"
    finish = number
    if integers and (
        (asked.norm == "l1" and len(kernels) * bound >= FLOAT32_EXACT / 2)
        or (asked.norm == "l2" and not (plain and asked.divisor == 1))
        or (asked.norm == "l2" and len(kernels) * bound**2 >= FLOAT32_EXACT)
    ):
        finish = "float64"
    short = exact and dtype.itemsize == 1 and numerator < 2**15 - 1
    return Numbers(number, finish, exact, integers, short, pixel, bound, reason)


@dataclass(frozen=True, eq=False)
class _Case:
    """What the predicates of `PATHS` look at."""

    kernels: tuple[Any, ...]
    dtype: Any
    settings: Settings
    rows: Axis
    columns: Axis
    numbers: Numbers = field(init=False)

    def __post_init__(self) -> None:
        numbers = prove(self.kernels, self.dtype, self.settings, self.outside)
        object.__setattr__(self, "numbers", numbers)

    @property
    def outside(self) -> float:
        """The value behind the border, if it is read."""
        return self.settings.cval if reads_outside(self.rows, self.columns) else 0.0

    @property
    def outside_is_a_pixel(self) -> bool:
        """Whether the value behind the border is one that a picture can hold."""
        if self.dtype.kind == "f":
            return True
        low, high = _limits(self.dtype) if self.dtype.kind in "iu" else (0, 1)
        return self.outside.is_integer() and low <= self.outside <= high

    @property
    def small(self) -> bool:
        """Few taps, which stay in registers; not those of rank 1 from 5 x 4 on, unless in int16."""
        most = max(kernel.size for kernel in self.kernels)
        kernel = self.kernels[0]
        if self.numbers.short and most > 9 and small_factors(self.kernels) is not None:
            fits = most <= SHORT_TAPS
        else:
            long = not self.numbers.short and len(self.kernels) == 1 and min(kernel.shape) >= 3
            fits = most <= SMALL_TAPS and not (long and low_rank(kernel, 1) is not None)
        return (
            fits
            and len(self.kernels) == (1 if self.settings.norm == "none" else 2)
            and self.numbers.accumulator == self.numbers.finish == "float32"
            and self.dtype.name in COMPILED_INPUTS
            and self.settings.output_dtype.name in {"uint8", "uint16", "float32"}
            and self.outside_is_a_pixel
        )

    @property
    def box(self) -> bool:
        """Equal weights, so that running sums of integers do."""
        kernel = self.kernels[0]
        weight = float(kernel.flat[0])
        return (
            self.settings.norm == "none"
            and self.dtype.name in {"uint8", "uint16"}
            and bool((kernel == weight).all())
            and (weight == 1 or (weight > 0 and not self.numbers.exact))
            and (SMALL_BOX if self.short_box else BOX_TAPS) < kernel.size
            and kernel.size < 2**31 / self.numbers.pixel
            and self.outside_is_a_pixel
            and self.columns.dilation == 1
        )

    @property
    def short_box(self) -> bool:
        """Whether sums over a box, and half of the divisor, fit 16 bits without a sign."""
        settings, numbers = self.settings, self.numbers
        return (
            numbers.exact
            and self.dtype == settings.output_dtype == np.uint8
            and settings.offset == 0
            and settings.divisor >= 1
            and numbers.bound + settings.divisor / 2 < 2**16
        )

    @property
    def wide_box(self) -> bool:
        """Whether quotients of sums over a box round safely only as doubles."""
        return bool(self.kernels[0].size * self.numbers.pixel >= FLOAT32_EXACT / 2)

    @cached_property
    def terms(self) -> tuple[Terms, ...]:
        """Per kernel its (column, row) factors; None for all where one has none that pay."""
        height, width = self.kernels[0].shape
        none: tuple[Terms, ...] = (None,) * len(self.kernels)
        if min(height, width) == 1:
            return none
        if self.numbers.integers:
            pairs = [integer_factors(kernel) for kernel in self.kernels]
            return none if None in pairs else tuple((pair,) for pair in pairs if pair is not None)
        limit = max(1, (height * width * 2 // 3) // (height + width))
        splits = tuple(low_rank(kernel, limit) for kernel in self.kernels)
        return none if None in splits else splits

    @property
    def rank(self) -> int:
        """The most terms of a kernel, or 0."""
        return max(0 if terms is None else len(terms) for terms in self.terms)

    @property
    def transform(self) -> bool:
        """Whether a transform down the columns is faster than adding up taps or two passes.

        The costs, in multiply-adds for each sum, were measured on 4096 x 4096 pixels. Integers are
        transformed in double precision, half as fast, and the sums rounded: Higham's bound of the
        error ("Accuracy and Stability of Numerical Algorithms", 2002, section 24.1), 1e-12 of the
        largest sum for these sizes, is then far below a half.
        """
        numbers = self.numbers
        lines = -(-self.rows.size // self.rows.dilation)
        size = transform_size(lines, self.rows.taps)
        if (
            self.settings.norm != "none"
            or not size
            or (numbers.integers and numbers.bound >= ROUNDED_BACK)
        ):
            return False
        work = _transformed_rows(lines, self.rows.taps, size) / lines
        work *= 105 + 2.1 * self.columns.taps
        if numbers.integers and numbers.accumulator == "float32":
            work *= 2
        direct = 71.0 + self.kernels[0].size
        if self.rank:
            direct = 20 + 140 * (self.rank - 1) + 2.1 * _taps(self.kernels, self.terms)
        return bool(work < direct)


class PathRule(NamedTuple):
    """A way to filter, when it is taken, and why; the first that applies is."""

    name: str
    applies: Callable[[_Case], bool]
    reason: str


PATHS = (
    PathRule("box", lambda case: case.box, "equal weights, so that running sums do"),
    PathRule("small", lambda case: case.small, "{size} fits the registers"),
    PathRule("transform", lambda case: case.transform, "cheapest by a transform down the columns"),
    PathRule("separable", lambda case: case.rank == 1, "weights of rank 1"),
    PathRule("low-rank", lambda case: case.rank > 1, "weights of a low rank"),
    PathRule("dense", lambda _: True, "one pass over all taps"),
)


def small_factors(kernels: tuple[Any, ...]) -> list[Any] | None:
    """Return columns and rows, of integers if the kernels are, one pair after the other.

    None if a kernel has a rank above 1.

    >>> small_factors((np.array([[2.0, 4.0], [1.0, 2.0]]),))
    [array([2., 1.]), array([1., 2.])]
    """
    parts: list[Any] = []
    for kernel in kernels:
        pair = (
            integer_factors(kernel)
            if integer_kernel(kernel)
            else (low_rank(kernel, 1) or [None])[0]
        )
        if pair is None:
            return None
        parts += pair
    return parts


def reads_outside(*axes: Axis) -> bool:
    """Return whether the value behind a constant border is read."""
    return any(bool((axis.source < 0).any()) for axis in axes)


def _exact_case(case: _Case) -> _Case:
    """Return the case with fractions as integers, if that makes its sums exact."""
    if case.numbers.integers:
        return case
    kernels, shared = over_common_denominator(case.kernels)
    settings = replace(case.settings, divisor=case.settings.divisor * shared)
    exact = replace(case, kernels=kernels, settings=settings)
    return exact if exact.numbers.exact else case


def is_power_of_two(number: float) -> bool:
    """Return whether a division by `number` is exact.

    >>> is_power_of_two(-0.25), is_power_of_two(3.0)
    (True, False)
    """
    return math.frexp(abs(number))[0] == 0.5


def _limits(dtype: Any) -> tuple[int, int]:
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def transform_size(rows: int, taps_h: int) -> int:
    """Return how long the transforms of columns are that filter `rows` rows with least work.

    >>> transform_size(4096, 51), transform_size(20, 51)
    (256, 64)
    """
    sizes = [size for size in TRANSFORM_SIZES if size > taps_h]
    return min(sizes, key=lambda size: _transformed_rows(rows, taps_h, size), default=0)


def _transformed_rows(rows: int, taps_h: int, size: int) -> int:
    """Return the rows of all transforms: each filters two blocks of `size - taps_h + 1`."""
    return -(-rows // (2 * (size - taps_h + 1))) * 2 * size


def _taps(kernels: Any, terms: Any) -> int:
    total = 0
    for kernel, split in zip(kernels, terms, strict=True):
        total += kernel.size if split is None else sum(c.size + r.size for c, r in split)
    return total


def choose_engine(engine: str, operations: float) -> tuple[str, str]:
    """Return the engine that `auto` means for a job of that size, and why.

    >>> choose_engine("numpy", 5e9)
    ('numpy', 'asked for')
    """
    if engine == "numpy" or not compiled_code_runs():
        return "numpy", "asked for" if engine == "numpy" else "compilation is switched off"
    millions = f"{operations / 1e6:.1f} M operations"
    if engine == "numba":
        return "numba", "asked for"
    if operations < WORTH_COMPILED_CODE:
        return "numpy", f"{millions} are done before compiled code is loaded"
    return "numba", f"{millions} are worth compiled code"


def compiled_code_runs() -> bool:
    """Return whether vector code can be compiled here (not with NUMBA_DISABLE_JIT=1)."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in {"", "0"}


def _picture_shape(shape: Sequence[int], dtype: Any) -> tuple[int, int, int]:
    if dtype.kind not in "uifb":
        raise InputError(f"pictures are arrays of real numbers, not {dtype}.")
    if len(shape) not in {2, 3} or 0 in shape:
        raise InputError(
            f"a picture is height x width or height x width x channels, "
            f"not an array of shape {tuple(shape)}."
        )
    return int(shape[0]), int(shape[1]), int(shape[2]) if len(shape) == 3 else 1


def _kernel_list(kernels: Any) -> tuple[Any, ...]:
    one = isinstance(kernels, np.ndarray) or not all(
        isinstance(kernel, np.ndarray) for kernel in kernels
    )
    matrices = tuple(
        np.array(kernel, dtype=np.float64) for kernel in ([kernels] if one else kernels)
    )
    shapes = {matrix.shape for matrix in matrices}
    if len(shapes) != 1 or matrices[0].ndim != 2 or matrices[0].size == 0:
        raise UsageError(
            "kernels are matrices of one size, not "
            f"{' and '.join(str(shape) for shape in sorted(shapes)) or 'nothing'}."
        )
    return matrices


def _of_axis(value: int | tuple[int, int], place: int) -> int:
    return value if isinstance(value, int) else int(value[place])


def _value_range(
    wanted: tuple[float, float] | None, mapping: str, dtype: Any
) -> tuple[float, float]:
    if dtype.kind in "iu":
        return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    if dtype.kind == "b":
        return 0.0, 1.0
    if wanted is None or mapping == "raw":
        return -math.inf, math.inf
    return float(wanted[0]), float(wanted[1])
