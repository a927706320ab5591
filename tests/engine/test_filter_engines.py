"""The compiled engine and its NumPy twin agree: the same integers, the same figures."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.engine.filter import apply
from convcli.engine.filter_plan import compiled_code_runs, plan_filter

SOBEL_X = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
RNG = np.random.default_rng(3)

pytestmark = pytest.mark.skipif(
    not compiled_code_runs(), reason="with NUMBA_DISABLE_JIT=1 there is only one engine"
)


def integers(height: int, width: int, largest: int = 9) -> np.ndarray:
    return RNG.integers(-largest, largest + 1, (height, width)).astype(float)


def picture(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return RNG.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    values = RNG.integers(limits.min, limits.max + 1, shape)
    values[: shape[0] // 2] = values[: shape[0] // 2] * 2.0 / 3  # other extremes in each half
    return values.astype(dtype)


def both(image: np.ndarray, kernel: object, **settings: object) -> None:
    ref = apply(image, kernel, engine="numpy", **settings)
    for threads in (1, 2, 3):
        got = apply(image, kernel, engine="numba", threads=threads, **settings)
        assert got.plan.engine == "numba"
        np.testing.assert_array_equal(got.values, ref.values)
        assert got.statistics.below == ref.statistics.below
        assert got.statistics.above == ref.statistics.above
        np.testing.assert_allclose(
            [got.statistics.minimum, got.statistics.maximum],
            [ref.statistics.minimum, ref.statistics.maximum],
            rtol=1e-6,
        )


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("uint8", (1, 1)),
        ("uint8", (2, 2)),
        ("uint8", (4, 5)),
        ("uint8", (13, 11)),
        ("uint16", (3, 3)),
        ("uint16", (1, 29)),
        ("uint16", (6, 7)),
    ],
)
def test_integer_kernels_give_the_same_integers(dtype, size) -> None:
    for border in ("reflect", "constant", "wrap"):
        for shape in ((40, 150), (7, 5), (35, 90, 3)):
            both(picture(dtype, shape), integers(*size), border=border, cval=7, divisor=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mapping", "dtype", "output"),
    [("abs", "uint8", None), ("clip", "uint16", None), ("raw", "uint8", "float32")],
)
def test_mappings(mapping, dtype, output) -> None:
    image = picture(dtype, (50, 200))
    wide = np.outer(np.ones(9), np.arange(9.0) - 4)
    for kernel, divisor, offset in ((SOBEL_X, 1, 128), (SOBEL_X, -3, 5), (wide, 4, 0)):
        both(image, kernel, mapping=mapping, divisor=divisor, offset=offset, output_dtype=output)


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "dtype"), [("l2", "uint8"), ("l1", "uint8"), ("max", "uint16")])
def test_gradient_norms(norm, dtype) -> None:
    image = picture(dtype, (60, 170))
    both(image, (SOBEL_X, SOBEL_X.T), norm=norm)
    both(image, (SOBEL_X, SOBEL_X.T), norm=norm, divisor=4)
    if norm != "l1":
        both(image, (SOBEL_X, SOBEL_X.T, np.rot90(SOBEL_X)), norm=norm)
        both(image, (integers(7, 7), integers(7, 7)), norm=norm)


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool", "float16"])
def test_rarer_numbers(dtype) -> None:
    image = RNG.integers(0, 2, (40, 90)).astype(dtype)
    both(image, integers(3, 3), output_dtype="int16")
    both(image, integers(3, 3), output_dtype="float64")


@pytest.mark.slow
def test_geometry_settings() -> None:
    image = picture("uint8", (61, 83))
    for settings in (
        {"dilation": 2},
        {"dilation": (3, 1), "border": "constant"},
        {"stride": 2},
        {"stride": (2, 3), "dilation": 2},
        {"padding": "valid"},
        {"padding": "full", "border": "constant"},
        {"origin": (1, -1)},
        {"convolve": True, "origin": -1},
    ):
        for size in ((3, 3), (8, 9)):
            both(image, integers(*size), **settings)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(3, 3), (21, 21)])
def test_real_weights_stay_close(size) -> None:
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-13)):
        image = picture(dtype, (70, 150))
        one = np.outer(RNG.normal(size=size[0]), RNG.normal(size=size[1]))
        two = one + np.outer(RNG.normal(size=size[0]), RNG.normal(size=size[1]))
        for kernel in (one, two) if dtype == "float32" else (two,):
            ref = apply(image, kernel, engine="numpy")
            got = apply(image, kernel, engine="numba", threads=2)
            assert got.plan.path == ref.plan.path
            scale = np.abs(kernel).sum() * np.abs(image).max()
            np.testing.assert_allclose(got.values, ref.values, atol=tolerance * scale, rtol=0)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_any_number_of_threads_gives_the_same_bits(threads) -> None:
    image = picture("float32", (150, 100))
    for kernel in (RNG.normal(size=(3, 3)), RNG.normal(size=(9, 9)), np.ones((7, 7)) / 3):
        ref = apply(image, kernel, engine="numba", threads=1)
        got = apply(image, kernel, engine="numba", threads=threads)
        np.testing.assert_array_equal(got.values, ref.values)
        assert got.statistics == ref.statistics


@pytest.mark.parametrize(
    ("dtype", "weight", "divisor", "accumulator"),
    [
        ("uint8", 65793 - 1, 1, "float32"),  # 65793 * 255 = 2**24 - 1
        ("uint8", 65793, 1, "float32"),
        ("uint8", 65794, 1, "float64"),
        ("uint16", 256, 1, "float32"),  # 256 * 65535 = 2**24 - 256
        ("uint16", 257, 1, "float64"),
        ("uint8", 32896, 3, "float32"),  # 32896 * 255 = 2**23 - 128
        ("uint8", 32897, 3, "float64"),
        ("uint8", 128, 1, "int16"),  # 128 * 255 = 2**15 - 128
        ("uint8", 129, 1, "float32"),
    ],
)
def test_the_accumulator_is_wide_enough_and_no_wider(dtype, weight, divisor, accumulator) -> None:
    image = np.full((9, 130), np.iinfo(dtype).max, dtype)
    image[::7, ::5] -= 1
    kernel = np.zeros((3, 3))
    kernel[0, 0], kernel[1, 2], kernel[2, 1] = weight // 2, weight - weight // 2 - 1, 1
    plan = plan_filter(image.shape, dtype, kernel, divisor=divisor)
    assert plan.accumulator == accumulator
    assert plan.exact
    both(image, kernel, divisor=divisor, output_dtype="float32" if divisor == 1 else dtype)


@pytest.mark.parametrize(
    ("kernel", "divisor"),
    [
        (np.outer([1.0, 2, 1], [1, 2, 1]), 16),
        (np.ones((3, 3)), 9),
        (np.ones((7, 7)), 49),
        (np.outer([1.0, 2, 1], [1, 0, -1]), 6),
        (np.outer([1.0, 0, -1], [3, 10, 3]), 1),
        (np.array([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]), 1),
        (np.array([[1.0, 2, 1], [-3, 0, 2], [1, 0, 1]]), 10),
        (np.array([[1.0, 7, 1], [-3, 0, 2], [1, 0, 1]]), 32),
        (np.zeros((3, 3)), 1),
    ],
)
def test_sixteen_bits_are_divided_and_rounded_exactly(kernel, divisor) -> None:
    """Every sum of these kernels occurs, and half of the even divisors' lie half-way."""
    image = picture("uint8", (50, 210))
    image[:30] = np.arange(30 * 210).reshape(30, 210) // 7 % 256
    for mapping, offset, shape in (("clip", 0, (50, 210)), ("abs", 3, (50, 70, 3))):
        settings = {"divisor": divisor, "mapping": mapping, "offset": offset}
        plan = plan_filter(shape, "uint8", kernel, **settings)
        assert (plan.path, plan.accumulator) == ("small", "int16")
        both(image.reshape(shape), kernel, **settings)
    both(image[:, :20], kernel, divisor=divisor, border="constant", cval=200)


@pytest.mark.parametrize(
    ("size", "divisor"), [((8, 8), 64), ((9, 9), 81), ((15, 15), 226), ((16, 16), 200)]
)
def test_boxes_in_sixteen_bits_without_a_sign(size, divisor) -> None:
    for shape, settings in (
        ((60, 210), {"border": "constant", "cval": 255}),
        ((40, 70, 3), {"mapping": "abs"}),
        ((9, 5), {"padding": "full"}),
    ):
        image = picture("uint8", shape) | 0x80  # sums above 2**15
        plan = plan_filter(shape, "uint8", np.ones(size), divisor=divisor, **settings)
        assert (plan.path, plan.accumulator) == ("box", "uint16")
        both(image, np.ones(size), divisor=divisor, **settings)


def test_rows_that_a_border_folds_are_not_read_as_neighbors() -> None:
    """Behind the last of every second row lie others, as far from the first as neighbors are."""
    image, kernel = picture("uint8", (67, 203)), RNG.normal(size=(3, 3))
    one, two = (
        apply(image, kernel, dilation=2, engine="numba", threads=threads) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.values, two.values)
    assert one.statistics == two.statistics


def test_no_column_is_too_far_to_the_right_to_be_counted() -> None:
    image = np.full((12, 300_000), 255, np.uint8)
    got = apply(image, np.ones((5, 5)), padding="valid", engine="numba", threads=1)
    assert got.plan.accumulator == "int16"
    assert got.statistics.above == got.values.size == (got.values == 255).sum()


@pytest.mark.parametrize("norm", ["l2", "l1", "max"])
def test_the_norm_of_one_kernel_has_no_sign(norm) -> None:
    smooth = np.outer(np.hanning(9)[1:-1], np.linspace(-1, 1, 7))
    large = RNG.normal(size=(31, 31))
    for kernel in (SOBEL_X, smooth, large):
        settings = {"norm": norm, "output_dtype": np.float32}
        image = picture("uint8", (150, 90))
        ref = apply(image, (kernel,), engine="numpy", **settings)
        got = apply(image, (kernel,), engine="numba", **settings)
        np.testing.assert_allclose(got.values, ref.values, rtol=1e-4, atol=1e-2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("cval", [np.nan, np.inf, -np.inf, 1e10])
def test_any_number_may_stand_behind_a_border(cval) -> None:
    smooth = np.outer(np.hanning(9)[1:-1], np.hanning(9)[1:-1])
    settings = {"border": "constant", "cval": cval, "divisor": float(smooth.sum())}
    image = picture("uint8", (20, 90))
    for output in ("uint8", "float32"):
        ref, got = (
            apply(image, smooth, engine=engine, output_dtype=output, **settings).values
            for engine in ("numpy", "numba")
        )
        np.testing.assert_allclose(got[3:-3, 3:-3], ref[3:-3, 3:-3], rtol=1e-5, atol=1)
        np.testing.assert_allclose(got, ref, rtol=1e-5, atol=1)


def test_a_border_between_two_pixel_values_is_kept_by_short_rows() -> None:
    kernel = np.outer([0.1, 0.45, 0.3, 0.15], [0.2, 0.5, 0.3])
    image = picture("uint8", (40, 90)) // 64
    settings = {"border": "constant", "cval": 100.5, "output_dtype": "float32"}
    ref = apply(image, kernel, engine="numpy", **settings).values
    got = apply(image, kernel, engine="numba", **settings)
    assert got.plan.path == "separable"
    np.testing.assert_allclose(got.values, ref, rtol=1e-5)


def test_integers_come_back_from_a_transform() -> None:
    for settings in ({}, {"border": "constant", "cval": 9}, {"dilation": (2, 1)}, {"divisor": 2.5}):
        image, kernel = picture("uint8", (300, 210)), integers(31, 25, 200)
        assert plan_filter(image.shape, "uint8", kernel, **settings).path == "transform"
        both(image, kernel, **settings)


def test_transforms_stay_close_and_do_not_spread_what_is_not_finite() -> None:
    image, kernel = picture("float32", (300, 500)), RNG.normal(size=(33, 31))
    image[150, 70:400:300] = np.nan, np.inf
    assert plan_filter(image.shape, "float32", kernel).path == "transform"
    ref = apply(image, kernel, engine="numpy").values
    got = [apply(image, kernel, engine="numba", threads=threads) for threads in (1, 2, 3)]
    np.testing.assert_allclose(got[0].values, ref, rtol=0, atol=1e-6 * np.abs(kernel).sum())
    for other in got[1:]:
        np.testing.assert_array_equal(got[0].values, other.values)
        assert got[0].statistics == other.statistics


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_boxes_by_running_sums(dtype) -> None:
    for shape in ((60, 90), (40, 50, 3)):
        for border in ("reflect", "constant"):
            image = picture(dtype, shape)
            both(image, np.ones((11, 13)), divisor=143, border=border, cval=200)
            both(image, np.ones((1, 110)), divisor=4, border=border)
    assert plan_filter((60, 90), dtype, np.ones((11, 13)) / 143).path == "box"
    ref = apply(image, np.full((11, 11), 1 / 121), engine="numpy", output_dtype="float32")
    got = apply(image, np.full((11, 11), 1 / 121), engine="numba", output_dtype="float32")
    np.testing.assert_allclose(got.values, ref.values, rtol=1e-6)
    np.testing.assert_allclose(got.statistics.maximum, ref.statistics.maximum, rtol=1e-6)


def test_compilation_is_announced_once_and_not_again() -> None:
    image, told = picture("uint8", (40, 90)), []
    kernel = RNG.normal(size=(3, 3))
    settings = {"engine": "numba", "mapping": "abs", "output_dtype": "uint16", "threads": 1}
    apply(image, kernel, on_compile=lambda: told.append("compiling"), **settings)
    assert len(told) <= 1  # the machine may know this filter from an earlier run
    apply(image, kernel, on_compile=lambda: told.append("again"), **settings)
    assert "again" not in told
