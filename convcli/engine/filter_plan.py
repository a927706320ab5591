"""How a picture will be filtered, decided from sizes and numbers before any pixel is read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convcli.engine.borders import Axis, correlation_axis
from convcli.engine.factors import (
    FLOAT32_EXACT,
    integer_factors,
    integer_kernel,
    low_rank,
    over_common_denominator,
    reach,
)
from convcli.errors import InputError, UsageError, did_you_mean

MAPPINGS = ("clip", "abs", "raw")
NORMS = ("none", "l2", "l1", "max")
ENGINES = ("auto", "numba", "numpy")

WORTH_COMPILED_CODE = 150e6
"""Operations that NumPy does in the time it takes to load compiled code, about 0.3 s."""

OPERATIONS_TO_CONVERT = 12
"""What reading, converting and counting one value costs, in multiply-adds."""

CODELET_TAPS = 25
"""Kernels of at most that many taps run straight from pixels to pixels when they can."""

BOX_TAPS = 100
"""Means of more taps than that are faster by running sums, on one thread and on two."""

TRANSFORM_SIZES = (64, 256, 1024, 4096)
"""Powers of four."""

ROUNDED_BACK = 2.0**36
"""Integer sums below that are the nearest integers to transformed ones in double precision."""

COMPILED_INPUTS = ("uint8", "uint16", "float32", "float64")
COMPILED_OUTPUTS = ("uint8", "uint16", "float32", "float64")


@dataclass(frozen=True, eq=False)
class FilterPlan:
    """One way to filter one kind of picture.

    Attributes:
        shape_hwc: height, width and channels of the picture.
        dtype: its numbers.
        kernels: one 2-D kernel, or several whose norm is wanted; weights in double precision.
        terms: per kernel its (column, row) factors, or None where it runs whole.
        rows: the vertical axis; columns: the horizontal one.
        cval: the value behind a constant border.
        divisor, offset: value = sum / divisor + offset.
        norm: "none", or how several kernels' sums become one value.
        mapping: "clip" cuts to `value_range`, "abs" takes magnitudes first, "raw" leaves values.
        value_range: lowest and highest value of the output.
        output_dtype: numbers of the output.
        engine: "numba" or "numpy".
        path: "codelet", "separable", "low-rank", "box", "transform" or "dense".
        accumulator: numbers in which sums are added; finish: in which norm and division are done.
        exact: whether the integers that come out are proven to be the exact sums, rounded once.
        reason: why this path, accumulator and engine.
    """

    shape_hwc: tuple[int, int, int]
    dtype: Any
    kernels: tuple[Any, ...]
    terms: tuple[tuple[tuple[Any, Any], ...] | None, ...]
    rows: Axis
    columns: Axis
    cval: float
    divisor: float
    offset: float
    norm: str
    mapping: str
    value_range: tuple[float, float]
    output_dtype: Any
    engine: str
    path: str
    accumulator: str
    finish: str
    exact: bool
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
    def bounds(self) -> tuple[float, float]:
        """The lowest and highest value that weights and pixels allow, before conversion."""
        if self.dtype.kind == "f":
            return -math.inf, math.inf
        limits = (
            (0, 1)
            if self.dtype.kind == "b"
            else (np.iinfo(self.dtype).min, np.iinfo(self.dtype).max)
        )
        low, high = min(limits[0], self.cval), max(limits[1], self.cval)
        positive = max(float(kernel.clip(0).sum()) for kernel in self.kernels)
        negative = min(float(kernel.clip(max=0).sum()) for kernel in self.kernels)
        ends = (positive * low + negative * high, positive * high + negative * low)
        if self.norm != "none":
            ends = (0.0, max(map(abs, ends)) * len(self.kernels))
        first, second = (end / self.divisor + self.offset for end in ends)
        return min(first, second), max(first, second)

    @property
    def whole_sums(self) -> bool:
        """Whether all sums are integers."""
        return _sums_are_whole(self.dtype, self.kernels, self.cval)

    @property
    def may_saturate(self) -> bool:
        """Whether any value can fall outside the output's range."""
        low, high = self.bounds
        if self.mapping == "abs":
            low, high = 0.0, max(abs(low), abs(high))
        half = 0.49 if self.output_dtype.kind in "iu" else 0.0
        return low < self.value_range[0] - half or high > self.value_range[1] + half

    def __str__(self) -> str:
        sizes = " + ".join("x".join(map(str, kernel.shape)) for kernel in self.kernels)
        return f"{sizes} {self.path} in {self.accumulator}, {self.engine}: {self.reason}"


def plan_filter(
    shape: Sequence[int],
    dtype: Any,
    kernels: Any,
    *,
    border: str = "reflect",
    cval: float = 0.0,
    divisor: float = 1.0,
    offset: float = 0.0,
    norm: str = "none",
    mapping: str = "clip",
    value_range: tuple[float, float] | None = None,
    output_dtype: Any = None,
    padding: str = "same",
    stride: int | tuple[int, int] = 1,
    dilation: int | tuple[int, int] = 1,
    origin: int | tuple[int, int] = 0,
    convolve: bool = False,
    engine: str = "auto",
) -> FilterPlan:
    """Decide how to filter H x W or H x W x C pictures of `dtype` with one or more kernels.

    >>> sobel_x = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    >>> print(plan_filter((512, 512), np.uint8, sobel_x))
    3x3 codelet in int16, numpy: 3x3 fits the registers; sums stay under 2040 < 2**24; ...
    >>> plan_filter((512, 512), np.uint8, sobel_x).multiply_adds == 512 * 512 * 9
    True

    Raises:
        UsageError: a word, kernel or number that means nothing.
        InputError: a picture that is no H x W or H x W x C array of real numbers.
    """
    for word, known, what in (
        (norm, NORMS, "norm"),
        (mapping, MAPPINGS, "mapping"),
        (engine, ENGINES, "engine"),
    ):
        if word not in known:
            raise UsageError(
                f"there is no {what} {word!r}; use {', '.join(known)}.{did_you_mean(word, known)}"
            )
    dtype = np.dtype(dtype)
    shape_hwc = _picture_shape(shape, dtype)
    matrices = _kernel_list(kernels)
    if norm == "none" and len(matrices) > 1:
        raise UsageError(f"{len(matrices)} kernels need a norm: l2, l1 or max.")
    if convolve:
        matrices = tuple(matrix[::-1, ::-1] for matrix in matrices)
    if divisor == 0 or not math.isfinite(divisor) or not math.isfinite(offset):
        raise UsageError(f"divisor {divisor:g} and offset {offset:g} must be finite, not 0 / x.")
    output_dtype = np.dtype(dtype if output_dtype is None else output_dtype)
    taps_h, taps_w = matrices[0].shape
    rows, columns = (
        correlation_axis(
            length,
            taps,
            mode=border,
            padding=padding,
            stride=_of_axis(stride, place),
            dilation=_of_axis(dilation, place),
            origin=_of_axis(origin, place),
            turned=convolve,
        )
        for place, (length, taps) in enumerate(zip(shape_hwc, (taps_h, taps_w), strict=False))
    )
    outside = cval if (rows.source < 0).any() or (columns.source < 0).any() else 0.0
    rest = (dtype, output_dtype, float(outside))
    proof = _Proof(matrices, *rest, float(divisor), float(offset), norm)
    if not proof.integers:
        fractions, shared = over_common_denominator(matrices)
        exact = _Proof(fractions, *rest, float(divisor) * shared, float(offset), norm)
        if exact.exact:
            matrices, divisor, proof = fractions, divisor * shared, exact
    small = proof.codelet and rows.stride == columns.stride == 1
    terms, path, why = _choose_path(matrices, proof, small, columns.dilation == 1)
    if path in {"dense", "separable", "low-rank"} and _transform_pays(rows, matrices, terms, proof):
        path, why = "transform", "cheapest by a transform down the columns"
    accumulator = "int16" if path == "codelet" and proof.short else proof.accumulator
    finish = proof.finish
    if path == "transform" and proof.integers:
        accumulator = finish = "float64"
    out_numbers = rows.size * columns.size * shape_hwc[2]
    operations = out_numbers * (_taps(matrices, terms) + OPERATIONS_TO_CONVERT * len(matrices))
    chosen, engine_why = choose_engine(engine, operations)
    return FilterPlan(
        shape_hwc, dtype, matrices, terms, rows, columns, float(cval), float(divisor),
        float(offset), norm, mapping, _value_range(value_range, mapping, output_dtype),
        output_dtype, chosen, path, accumulator, finish, proof.exact,
        f"{why}; {proof.reason}; {engine_why}",
    )  # fmt: skip


class _Proof:
    """Which accumulator keeps the sums exact, and why.

    All partial sums of integer weights times integer pixels are integers of at most
    `reach * largest pixel`, whatever the order, and so are the factors' first sums. Below 2**24 a
    float32 holds each of them, below 2**53 a double.
    """

    def __init__(
        self,
        kernels: Any,
        dtype: Any,
        output_dtype: Any,
        cval: float,
        divisor: float,
        offset: float,
        norm: str,
    ):
        bits = np.iinfo(dtype) if dtype.kind in "iu" else None
        pixel = max(abs(int(bits.min)), int(bits.max)) if bits else 1
        pixel = max(pixel, math.ceil(abs(cval)))
        self.integers = _sums_are_whole(dtype, kernels, cval)
        self.bound = pixel * max(map(reach, kernels))
        plain = offset == 0 and math.frexp(abs(divisor))[0] == 0.5
        numerator = self.bound + abs(offset * divisor)
        whole = divisor.is_integer() and (offset * divisor).is_integer()
        self.exact = self.integers and whole and numerator < 2**52
        self.accumulator, self.finish = "float32", "float32"
        if dtype == np.float64 or (dtype.itemsize > 2 and dtype.kind in "iu"):
            self.accumulator = self.finish = "float64"
            self.reason = f"{dtype} pictures are added in double precision"
        elif output_dtype == np.float64 and not (self.integers and plain):
            self.accumulator = self.finish = "float64"
            self.reason = "results in double precision are added in double precision"
        elif not self.integers:
            self.reason = "weights or pixels are no integers, float32 is as good as they are"
        elif self.bound >= FLOAT32_EXACT:
            self.accumulator = self.finish = "float64"
            self.reason = f"sums may reach {self.bound:.0f} >= 2**24, so they are doubles"
        elif not plain and numerator >= FLOAT32_EXACT / 2:
            self.accumulator = self.finish = "float64"
            self.reason = f"quotients of {numerator:.0f} >= 2**23 round safely only as doubles"
        else:
            self.reason = f"sums stay under {self.bound:.0f} < 2**24"
        self.short = self.exact and dtype.itemsize == 1 and numerator < 2**15
        if norm != "none" and self.integers:
            squares = len(kernels) * self.bound**2
            if norm == "l2" and (squares >= FLOAT32_EXACT or divisor != 1 or offset != 0):
                self.finish = "float64"
            if norm == "l1" and len(kernels) * self.bound >= FLOAT32_EXACT / 2:
                self.finish = "float64"
        weight = kernels[0].flat[0]
        self.box = (
            norm == "none"
            and dtype.name in {"uint8", "uint16"}
            and bool((kernels[0] == weight).all())
            and weight > 0
            and (weight == 1 or not whole or not self.integers)
            and BOX_TAPS < kernels[0].size < 2**31 / pixel
            and cval.is_integer()
        )
        if self.box and kernels[0].size * pixel >= FLOAT32_EXACT / 2:
            self.accumulator = self.finish = "float64"
        self.codelet = (
            max(kernel.size for kernel in kernels) <= CODELET_TAPS
            and len(kernels) <= 2
            and self.accumulator == self.finish == "float32"
            and dtype.name in COMPILED_INPUTS
            and output_dtype.name in {"uint8", "uint16", "float32"}
        )


def _choose_path(
    kernels: Any, proof: _Proof, small: bool, dense: bool
) -> tuple[tuple[Any, ...], str, str]:
    """Return factors per kernel (None: whole), the path's name and the reason."""
    height, width = kernels[0].shape
    if small and not _two_passes_pay(kernels):
        return (None,) * len(kernels), "codelet", f"{height}x{width} fits the registers"
    if proof.box and dense:
        return (None,) * len(kernels), "box", "equal weights, so that running sums do"
    if min(height, width) == 1:
        return (None,) * len(kernels), "dense", f"{height}x{width} is one pass already"
    if proof.integers:
        pairs = [integer_factors(kernel) for kernel in kernels]
        if all(pair is not None for pair in pairs):
            return tuple((pair,) for pair in pairs), "separable", "integers of rank 1"
        return (None,) * len(kernels), "dense", "integers of a higher rank, added one by one"
    limit = max(1, (height * width * 2 // 3) // (height + width))
    splits = [low_rank(kernel, limit) for kernel in kernels]
    if any(split is None for split in splits):
        return (None,) * len(kernels), "dense", f"no split into {limit} products or fewer"
    ranks = max(len(split) for split in splits if split is not None)
    name = "separable" if ranks == 1 else "low-rank"
    return tuple(splits), name, f"weights of rank {ranks}"


def _sums_are_whole(dtype: Any, kernels: Any, cval: float) -> bool:
    return dtype.kind in "iub" and cval.is_integer() and all(map(integer_kernel, kernels))


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


def _transform_pays(rows: Axis, kernels: Any, terms: Any, proof: _Proof) -> bool:
    """Return whether a transform down the columns is faster than adding up taps or two passes.

    The costs, in multiply-adds for each sum, were measured on 4096 x 4096 pixels. Integers are
    transformed in double precision, half as fast, and the sums rounded: Higham's bound of the error
    ("Accuracy and Stability of Numerical Algorithms", 2002, section 24.1), 1e-12 of the largest
    sum for these sizes, is then far below a half.
    """
    lines = -(-rows.size // rows.dilation)
    size = transform_size(lines, rows.taps)
    if len(kernels) > 1 or not size or (proof.integers and proof.bound >= ROUNDED_BACK):
        return False
    taps_w = kernels[0].shape[1]
    transformed = _transformed_rows(lines, rows.taps, size) / lines * (105 + 2.1 * taps_w)
    if proof.integers and proof.accumulator == "float32":
        transformed *= 2
    direct = 71.0 + _taps(kernels, terms)
    if terms[0] is not None:
        direct = 50 + 110 * (len(terms[0]) - 1) + 2.3 * _taps(kernels, terms)
    return bool(transformed < direct)


def _two_passes_pay(kernels: Any) -> bool:
    """Return whether a small kernel is faster as a row and a column: one of rank 1 from 5x4 on."""
    kernel = kernels[0]
    if len(kernels) > 1 or min(kernel.shape) < 4 or kernel.size <= 16:
        return False
    return low_rank(kernel, 1) is not None


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
