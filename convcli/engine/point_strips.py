"""Points in compiled strips: values are read once, go through all points in the cache, and are cut.

Loops over a few thousand values at a time, one for each point, so that LLVM makes vectors of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from convcli.engine import filter_vectors
from convcli.engine.compilation import OPTIONS, compiled, njit
from convcli.engine.elementary import exponential, logarithm
from convcli.engine.filter_records import Flags, Tallies
from convcli.engine.filter_vectors import PARAMETERS, convert_row, widen_row
from convcli.engine.llvm import lanes_of, pointer
from convcli.engine.points import Code, Points, Statistics, total_statistics
from convcli.engine.threads import each_part
from convcli.environment import thread_count

CHUNK = 2048
"""Values that go through all points together: with the original's they fill half of an L1 cache."""

PARTS_PER_THREAD = 8
LINE, CUT, ABS, STEP, POWER, ENCODE = (int(code) for code in list(Code)[:6])
DIFFERENCE, ADD, SUBTRACT, MULTIPLY, SCREEN, DARKEN, LIGHTEN = (
    int(code) for code in list(Code)[6:13]
)
ZERO, LARGEST = np.float32(0), np.float32(3e38)
STRAIGHT, SLOPE, STRETCH, SHIFT, EXPONENT = (
    np.float32(number) for number in (0.0031308, 12.92, 1.055, 0.055, 1 / 2.4)
)
"""Of the curve of sRGB (IEC 61966-2-1)."""


class Conversion(NamedTuple):
    """How values become pixels, see `filter_vectors.Conversion`."""

    parameters: Any
    flags: Flags


@njit(**OPTIONS, fastmath={"contract"})
def _power(x, exponent, white):
    for i in range(x.size):
        share = x[i] / white
        value = white * exponential(exponent * logarithm(share))
        value = value if share < LARGEST else share  # infinity, or no number
        x[i] = ZERO if share <= ZERO else value


@njit(**OPTIONS, fastmath={"contract"})
def _encode(x, white):
    for i in range(x.size):
        share = x[i] / white
        curve = STRETCH * exponential(EXPONENT * logarithm(share)) - SHIFT
        curve = curve if share < LARGEST else share
        x[i] = white * (share * SLOPE if share <= STRAIGHT else curve)


@compiled
def _one_point(code, a, b, x, base):
    """Do one point of all values of `x`, in place."""
    if code == LINE:
        for i in range(x.size):
            x[i] = x[i] * a + b
    elif code == CUT:
        for i in range(x.size):
            low = a if x[i] < a else x[i]
            x[i] = b if low > b else low
    elif code == ABS:
        for i in range(x.size):
            x[i] = abs(x[i])
    elif code == STEP:
        for i in range(x.size):
            x[i] = b if x[i] > a else ZERO
    elif code == POWER:
        _power(x, a, b)
    elif code == ENCODE:
        _encode(x, a)
    elif code == DIFFERENCE:
        for i in range(x.size):
            x[i] = abs(x[i] - base[i])
    elif code == ADD:
        for i in range(x.size):
            x[i] = base[i] + x[i]
    elif code == SUBTRACT:
        for i in range(x.size):
            x[i] = base[i] - x[i]
    elif code == MULTIPLY:
        for i in range(x.size):
            x[i] = base[i] * x[i] / a
    elif code == SCREEN:
        for i in range(x.size):
            x[i] = a - (a - base[i]) * (a - x[i]) / a
    elif code == DARKEN:
        for i in range(x.size):
            x[i] = base[i] if base[i] < x[i] else x[i]
    elif code == LIGHTEN:
        for i in range(x.size):
            x[i] = base[i] if base[i] > x[i] else x[i]
    else:
        for i in range(x.size):
            x[i] = base[i] + a * (x[i] - base[i])


@compiled
def _run(values, base, out, codes, numbers, first, raw, pixels, seen, cut, x, under):
    """Turn `values` into pixels; `seen` keeps their extremes before the points from `first` on."""
    for begin in range(0, values.size, x.size):
        count = min(x.size, values.size - begin)
        widen_row(pointer(x, 0), pointer(values, begin), count)
        if base is not None:
            widen_row(pointer(under, 0), pointer(base, begin), count)
        for place in range(codes.size):
            if place == first:
                convert_row(pointer(x, 0), pointer(x, 0), count, raw, seen)
            code, a, b = codes[place], numbers[place, 0], numbers[place, 1]
            _one_point(code, a, b, x[:count], under[:count])
        convert_row(pointer(out, begin), pointer(x, 0), count, pixels, cut)


def _conversion(low: float, high: float, below: float, above: float) -> Conversion:
    values = np.zeros(PARAMETERS, np.float32)
    values[[filter_vectors.RECIPROCAL, filter_vectors.DIVISOR]] = 1
    values[filter_vectors.LOW], values[filter_vectors.HIGH] = low, high
    values[filter_vectors.BELOW], values[filter_vectors.ABOVE] = below, above
    return Conversion(values, Flags(counts=None if np.isinf(high) else True))


RAW = _conversion(-np.inf, np.inf, -np.inf, np.inf)


class Strips:
    """Points as compiled strips take them."""

    def __init__(self, points: Points) -> None:
        rows = (*points.first, *points.then)
        self.codes = np.array([int(point.code) for point in rows], np.int64)
        self.numbers = np.array([point[1:] for point in rows], np.float32).reshape(-1, 2)
        self.first = len(points.first)
        low, high = points.limits
        self.pixels = _conversion(0.0, points.white, low, high) if points.cuts else RAW

    def worker(self) -> Worker:
        """Return what one thread works with."""
        return Worker(self)

    def run(self, values: Any, base: Any, out: Any, threads: int | None) -> Statistics:
        """Write the pixels of all values."""
        flat = [None if one is None else one.reshape(-1) for one in (values, base, out)]
        count = thread_count(threads)
        size = max(CHUNK, -(-values.size // (PARTS_PER_THREAD * count)))

        def work(parts: Iterable[slice]) -> Statistics:
            worker = self.worker()
            for part in parts:
                worker.add(*(None if one is None else one[part] for one in flat))
            return worker.statistics()

        parts = [slice(at, at + size) for at in range(0, values.size, size)]
        return total_statistics(each_part(work, parts, count))


class Worker:
    """What one thread has seen, and its scratch memory."""

    def __init__(self, strips: Strips) -> None:
        lanes = lanes_of(4)
        self.strips, self.work = strips, np.zeros((2, CHUNK + lanes), np.float32)[:, :CHUNK]
        self.seen, self.cut = (Tallies.empty(np.dtype(np.float32), lanes) for _ in range(2))

    def add(self, values: Any, base: Any, out: Any) -> None:
        """Write the pixels of a flat strip of values."""
        strips = self.strips
        _run(
            values, base, out, strips.codes, strips.numbers, strips.first, RAW, strips.pixels,
            self.seen, self.cut, *self.work,
        )  # fmt: skip

    def statistics(self) -> Statistics:
        """Return the statistics so far."""
        cut = self.cut.statistics()
        if self.strips.first < len(self.strips.codes):
            cut = Statistics(*self.seen.statistics()[:2], *cut[2:])
        return cut


@compiled
def _count(pixels, counts):
    fours = pixels.size // 4 * 4
    for i in range(0, fours, 4):  # four tables: one level after the other waits for no store
        for lane in range(4):
            counts[lane, pixels[i + lane]] += 1
    for i in range(fours, pixels.size):
        counts[0, pixels[i]] += 1


@compiled
def _take(pixels, table, out):
    for i in range(pixels.size):
        out[i] = table[pixels[i]]


@compiled
def _bin(values, edges, counts):
    """Count values between neighboring edges; the last bin has its upper end."""
    low, last = edges[0], counts.size - 1
    norm = counts.size / (edges[-1] - low)
    for i in range(values.size):
        place = min(int((values[i] - low) * norm), last)
        if values[i] < edges[place]:
            place -= 1
        elif place < last and values[i] >= edges[place + 1]:
            place += 1
        counts[place] += 1


@compiled
def _halves(bits, upper, counts):
    """Count the upper halves of float32 in their order, or the lower ones below an upper half."""
    for i in range(bits.size):
        key = bits[i] ^ ((bits[i] >> 31) & 0x7FFFFFFF)
        if upper is None:
            counts[(key >> 16) + 32768] += 1
        elif (key >> 16) + 32768 == upper:
            counts[key & 0xFFFF] += 1


def _counted(values: Any, size: int, count: Any, threads: int | None) -> Any:
    """Return the sum of what `count(part, counts)` counts in parts of values."""
    flat, several = values.reshape(-1), thread_count(threads)
    step = -(-flat.size // (PARTS_PER_THREAD * several))

    def work(parts: Iterable[Any]) -> Any:
        counts = np.zeros(size, np.int64)
        for part in parts:
            count(part, counts)
        return counts

    parts = [flat[at : at + step] for at in range(0, flat.size, step)]
    return sum(each_part(work, parts, several))


def count_levels(pixels: Any, threads: int | None) -> Any:
    """Return how often each level of unsigned integers occurs."""
    size = np.iinfo(pixels.dtype).max + 1
    counts = _counted(
        pixels, 4 * size, lambda part, counts: _count(part, counts.reshape(4, -1)), threads
    )
    return counts.reshape(4, -1).sum(axis=0)


def bin_counts(values: Any, edges: Any, threads: int | None) -> Any:
    """Return how many float32 lie between neighboring edges, as `np.histogram`."""
    return _counted(values, len(edges) - 1, lambda part, counts: _bin(part, edges, counts), threads)


def ranked(values: Any, ranks: list[int], threads: int | None) -> Any:
    """Return the float32 that stand at some places of their order, by two passes over halves."""
    bits = values.reshape(-1).view(np.int32)

    def below(upper: Any) -> Any:
        count = _counted(bits, 1 << 16, lambda part, counts: _halves(part, upper, counts), threads)
        return np.cumsum(count)

    uppers = below(None)
    tops = np.searchsorted(uppers, ranks, side="right")
    lowers = {top: below(np.int64(top)) for top in set(tops.tolist())}
    found = []
    for rank, top in zip(ranks, tops.tolist(), strict=True):
        inside = rank - (uppers[top - 1] if top else 0)
        low = np.searchsorted(lowers[top], inside, side="right")
        found.append(((top - 32768) << 16) | int(low))
    keys = np.array(found, np.int64).astype(np.int32)
    return (keys ^ ((keys >> 31) & 0x7FFFFFFF)).view(np.float32).astype(np.float64)


def look_up(pixels: Any, table: Any, out: Any, threads: int | None) -> None:
    """Write the entry of each pixel."""
    flat, to = pixels.reshape(-1), out.reshape(-1)
    several = thread_count(threads)
    step = -(-flat.size // (PARTS_PER_THREAD * several))

    def work(parts: Iterable[slice]) -> None:
        for part in parts:
            _take(flat[part], table, to[part])

    each_part(work, [slice(at, at + step) for at in range(0, flat.size, step)], several)
