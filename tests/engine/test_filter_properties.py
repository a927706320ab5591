"""What the definition of convolution promises, for any picture and kernel; and the obvious loop."""

from __future__ import annotations

import numpy as np
import pytest

from convcli.engine.correlation import convolve, correlate
from convcli.engine.factors import integer_factors, low_rank
from convcli.engine.filter import apply
from convcli.engine.filter_plan import compiled_code_runs, plan_filter
from convcli.errors import InputError, UsageError
from tests import naive

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis draws the pictures")
given, settings = hypothesis.given, hypothesis.settings(max_examples=25, deadline=None)
arrays = pytest.importorskip("hypothesis.extra.numpy").arrays
strategies = hypothesis.strategies

WHOLE = strategies.integers(-50, 50).map(float)
PICTURES = arrays(np.float64, strategies.tuples(*[strategies.integers(1, 9)] * 2), elements=WHOLE)
KERNELS = arrays(np.float64, strategies.tuples(*[strategies.integers(1, 5)] * 2), elements=WHOLE)
SQUARES = arrays(np.float64, (3, 3), elements=WHOLE)
BIG = arrays(np.float64, (8, 9), elements=WHOLE)


@given(PICTURES, KERNELS)
@settings
def test_the_sum_of_products_is_that_of_the_obvious_loop(image, kernel) -> None:
    def read(place):
        inside = all(0 <= p < n for p, n in zip(place, image.shape, strict=True))
        return image[place] if inside else 7.0

    center = (kernel.shape[0] // 2, kernel.shape[1] // 2)
    ref = naive.correlation(image, kernel, read, center)
    got = correlate(image, kernel, None, "constant", 7.0)
    for place, value in ref.items():
        assert got[place] == value


@given(BIG, BIG, SQUARES)
@settings
def test_linear_in_the_picture(one, other, kernel) -> None:
    ref = 3 * convolve(one, kernel) - 2 * convolve(other, kernel)
    np.testing.assert_array_equal(convolve(3 * one - 2 * other, kernel), ref)


@given(BIG, SQUARES, SQUARES)
@settings
def test_distributive_over_kernels(image, one, other) -> None:
    ref = convolve(image, one) + convolve(image, other)
    np.testing.assert_array_equal(convolve(image, one + other), ref)


@given(BIG, SQUARES, strategies.integers(-9, 9))
@settings
def test_shifting_the_picture_shifts_the_result(image, kernel, steps) -> None:
    ref = np.roll(convolve(image, kernel, mode="wrap"), steps, axis=1)
    np.testing.assert_array_equal(convolve(np.roll(image, steps, axis=1), kernel, mode="wrap"), ref)


@given(BIG, SQUARES, SQUARES)
@settings
def test_two_convolutions_are_one_by_the_full_convolution_of_the_kernels(image, one, other) -> None:
    ref = convolve(convolve(image, one, mode="wrap"), other, mode="wrap")
    both = convolve(one, other, mode="constant", padding="full")
    np.testing.assert_array_equal(convolve(image, both, mode="wrap"), ref)


@given(BIG, SQUARES)
@settings
def test_convolution_is_correlation_with_the_kernel_turned(image, kernel) -> None:
    ref = correlate(image, kernel[::-1, ::-1])
    np.testing.assert_array_equal(convolve(image, kernel), ref)


@given(KERNELS)
@settings
def test_factors_multiply_back(kernel) -> None:
    pair = integer_factors(kernel)
    rank = np.linalg.matrix_rank(kernel)
    assert (pair is not None) == (rank == 1)
    if pair is not None:
        np.testing.assert_array_equal(np.outer(*pair), kernel)
    terms = low_rank(kernel / 7)
    assert terms is not None
    total = sum(np.outer(column, row) for column, row in terms)
    np.testing.assert_allclose(total, kernel / 7, atol=1e-7)


def test_a_pasted_kernel_of_rank_one_runs_as_two_passes() -> None:
    binomial = np.outer([1, 6, 15, 20, 15, 6, 1], [1, 6, 15, 20, 15, 6, 1])
    plan = plan_filter((100, 100), np.uint8, binomial, divisor=4096)
    assert plan.path == "separable"
    assert plan.multiply_adds == 100 * 100 * 14
    assert plan_filter((100, 100), np.uint8, binomial / 4096).path == "separable"
    other = binomial.copy()
    other[0, 0] = 2
    assert plan_filter((100, 100), np.uint8, other, divisor=4096).path == "dense"
    assert plan_filter((100, 100), np.uint8, other / 4096).path == "dense"  # integers over 4096
    assert plan_filter((100, 100), np.uint8, other / np.pi).path == "transform"


def test_auto_takes_numpy_for_small_and_compiled_code_for_big_pictures() -> None:
    small = plan_filter((512, 512), np.uint8, np.ones((3, 3)))
    big = plan_filter((4096, 4096), np.uint8, np.ones((3, 3)))
    assert small.engine == "numpy"
    if not compiled_code_runs():
        assert big.engine == "numpy"
        assert "compilation is switched off" in str(big)
        return
    assert "before compiled code is loaded" in str(small)
    assert big.engine == "numba"
    assert "worth compiled code" in str(big)


def test_statistics_are_those_of_the_values_before_conversion() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 60)).astype(np.uint8)
    kernel = np.array([[-1.0, 0, 3]])
    ref = correlate(image, kernel)
    for engine in ("numpy", "numba"):
        got = apply(image, kernel, engine=engine).statistics
        assert (got.minimum, got.maximum) == (ref.min(), ref.max())
        assert (got.below, got.above) == ((ref < 0).sum(), (ref > 255).sum())


def test_not_a_number_stays_where_its_taps_reach() -> None:
    image = np.ones((20, 140), np.float32)
    image[5, 70] = np.nan
    for engine in ("numpy", "numba"):
        got = apply(image, np.ones((3, 3)), engine=engine)
        assert np.isnan(got.values).sum() == 9
        assert (got.statistics.minimum, got.statistics.maximum) == (9, 9)


@pytest.mark.parametrize(
    ("shape", "options", "error", "text"),
    [
        ((4, 4), {"kernels": [1, 2]}, UsageError, "matrices of one size"),
        ((4, 4), {"mapping": "absolute"}, UsageError, "no mapping 'absolute'; use clip, abs"),
        ((4, 4), {"norm": "l3"}, UsageError, "no norm 'l3'"),
        ((4, 4), {"engine": "cuda"}, UsageError, "no engine 'cuda'"),
        ((4, 4), {"divisor": 0}, UsageError, "divisor 0"),
        ((4,), {}, InputError, r"not an array of shape \(4,\)"),
        ((4, 4), {"dtype": "complex64"}, InputError, "not complex64"),
        ((4, 4), {"kernels": (np.ones((3, 3)),) * 2}, UsageError, "2 kernels need a norm"),
    ],
)
def test_mistakes_are_told(shape, options, error, text) -> None:
    settings = {"dtype": "uint8", "kernels": np.ones((3, 3)), **options}
    with pytest.raises(error, match=text):
        plan_filter(shape, settings.pop("dtype"), settings.pop("kernels"), **settings)
