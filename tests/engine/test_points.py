"""Points behind kernels and alone: compiled strips, NumPy and tables against plain arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcli.engine import filter as engine
from convcli.engine.points import Code, Point, Points
from convcli.engine.values import level_counts, percentiles, run_points, spread_counts

RNG = np.random.default_rng(7)
WHITE = 255.0
EVERY = [
    (Point(Code.LINE, -1.5, 300),),
    (Point(Code.CUT, 20, 200),),
    (Point(Code.ABS),),
    (Point(Code.STEP, 100, WHITE),),
    (Point(Code.POWER, 0.45, WHITE),),
    (Point(Code.ENCODE, WHITE),),
    *((Point(code, WHITE), Point(Code.MIX, 0.7)) for code in list(Code)[6:13]),
]
DTYPES = (np.uint8, np.uint16, np.float32)


def points(rows: tuple[Point, ...], dtype: Any, white: float = WHITE) -> Points:
    return Points(
        first=rows[:1],
        then=rows[1:],
        dtype=np.dtype(dtype),
        depth=np.dtype(np.float32),
        white=white,
    )


@pytest.mark.parametrize("rows", EVERY, ids=lambda rows: rows[0].code.name.lower())
@pytest.mark.parametrize("dtype", DTYPES)
def test_compiled_strips_do_what_numpy_does(rows: tuple[Point, ...], dtype: Any) -> None:
    values = (RNG.random((67, 131)) * 400 - 90).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    base = RNG.integers(0, 256, values.shape).astype(np.uint8)
    work = points(rows, dtype)
    got, seen = run_points(work, values, base, engine="numba", threads=2)
    ref, told = run_points(work, values, base, engine="numpy")
    assert np.allclose(ref, got, atol=1 if np.dtype(dtype).kind == "u" else 1e-3, equal_nan=True)
    if np.dtype(dtype).kind == "u":
        assert (ref != got).mean() < 1e-3
    np.testing.assert_allclose(told[:2], seen[:2], rtol=1e-6)
    assert abs(np.subtract(told[2:], seen[2:])).max() <= 1


def test_rounding_and_counting_are_exact_at_the_ends() -> None:
    values = np.array([[-0.51, -0.5, 0.5, 1.5, 254.5, 255.49, 255.5, 300]], np.float32)
    for kind in ("numba", "numpy"):
        pixels, seen = run_points(points((), np.uint8), values, engine=kind)
        assert pixels.tolist() == [[0, 0, 0, 2, 254, 255, 255, 255]]
        assert seen[2:] == (1, 2)


@pytest.mark.parametrize("engine_name", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_looked_up(dtype: Any, engine_name: str) -> None:
    pixels = RNG.integers(0, 200, (40, 30)).astype(dtype)
    rows = (Point(Code.LINE, 2, -10), Point(Code.POWER, 0.5, WHITE))
    got, seen = run_points(points(rows, dtype), pixels, engine=engine_name)
    first = pixels * 2.0 - 10
    ref = 255 * (first.clip(0) / 255) ** 0.5
    assert np.array_equal(np.rint(ref).clip(0, 255), got)
    assert seen == (first.min(), first.max(), 0, int((ref >= 255.5).sum()))


KERNELS = {
    "small": np.array([[1.0, 2, 1], [2, 4, 3], [1, 2, 1]]),
    "separable": np.outer(np.hanning(11)[1:-1], np.hanning(11)[1:-1]),
    "box": np.ones((13, 13)),
    "dense": np.arange(77.0).reshape(7, 11) % 5,
    "transform": RNG.random((41, 45)),
}


@pytest.mark.parametrize("path", KERNELS)
@pytest.mark.parametrize("dilation", [1, 2])
def test_points_run_on_the_strips_of_a_kernel(path: str, dilation: int) -> None:
    kernel = KERNELS[path]
    pixels = RNG.integers(0, 256, (150, 90, 3)).astype(np.uint8)
    settings: dict[str, Any] = {
        "divisor": float(kernel.sum()),
        "mapping": "raw",
        "output_dtype": np.float32,
        "engine": "numba",
        "dilation": dilation,
    }
    raw = engine.apply(pixels, kernel, **settings)
    work = points((Point(Code.LINE, 2, -100), Point(Code.MIX, 0.5)), np.uint8)
    ref, told = run_points(work, raw.values, pixels, engine="numpy")
    for threads in (1, 2):
        done = engine.apply(pixels, kernel, points=work, base=pixels, threads=threads, **settings)
        assert np.array_equal(ref, done.values)
        np.testing.assert_allclose(told, done.statistics, rtol=1e-5)
    strided = engine.apply(
        pixels, kernel, points=points((), np.uint8), **(settings | {"stride": 2})
    )
    assert np.array_equal(np.rint(raw.values[::2, ::2]), strided.values)


def test_rows_far_apart_that_a_border_folds_are_not_read_as_neighbors() -> None:
    """Rows 0, 0, 0, 2, 4, 6, 7, 7 end as far from the first as eight neighbors do."""
    pixels = RNG.integers(0, 256, (8, 300)).astype(np.uint8)
    kernel = np.array([[1.0, 2, 0], [0, 1, 0], [2, 0, 1], [1, 1, 3], [2, 0, 5]])
    ref, got = (
        engine.apply(
            pixels, kernel, points=points((), np.uint8), border="nearest", dilation=2,
            divisor=20, mapping="raw", output_dtype=np.float32, engine=name,
        ).values
        for name in ("numpy", "numba")
    )  # fmt: skip
    np.testing.assert_array_equal(got, ref)


@pytest.mark.parametrize("engine_name", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_percentiles_and_histograms_are_numpys(dtype: Any, engine_name: str) -> None:
    values = (RNG.normal(100, 40, (83, 77)).clip(0, 255)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values -= 50
    got = percentiles(values, (0, 1, 33.3, 50, 99, 100), engine=engine_name)
    np.testing.assert_allclose(np.percentile(values, (0, 1, 33.3, 50, 99, 100)), got, rtol=1e-6)
    counts, middles = spread_counts(values, 256, engine=engine_name)
    if dtype == np.uint8:
        assert np.array_equal(counts, level_counts(values)[int(middles[0]) : int(middles[-1]) + 1])
        return
    ref, edges = np.histogram(values, 256)
    assert np.array_equal(ref, counts)
    np.testing.assert_allclose((edges[1:] + edges[:-1]) / 2, middles, atol=1e-4)
