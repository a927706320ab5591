"""correlate and convolve give scipy.ndimage's numbers."""

from __future__ import annotations

import itertools
from inspect import signature

import numpy as np
import pytest

import convcli
from convcli.engine.filter_plan import plan_filter
from convcli.errors import InputError, UsageError

ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is the oracle of the filters")

MODES = ["reflect", "mirror", "nearest", "wrap", "constant"]
GRID_MODES = ["grid-mirror", "grid-wrap", "grid-constant"]
SHAPES = [((7, 9), (3, 3)), ((7, 9), (2, 4)), ((1, 8), (3, 5)), ((6, 1), (5, 2)), ((3, 4), (9, 7))]
SHAPES += [((9,), (4,)), ((1,), (3,)), ((4, 5, 6), (3, 2, 3)), ((5, 6, 3), (3, 3, 1))]
BOTH = ["correlate", "convolve"]


def some_array(shape: tuple[int, ...], dtype: str, seed: int = 1) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 200, shape)
    return values.astype(dtype) if np.dtype(dtype).kind != "f" else (values / 7).astype(dtype)


def some_kernel(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(2).integers(-9, 10, shape).astype(float)


@pytest.mark.parametrize("operation", BOTH)
@pytest.mark.parametrize("mode", MODES + GRID_MODES)
@pytest.mark.parametrize(("shape", "kernel_shape"), SHAPES)
def test_all_borders_and_sizes(operation, mode, shape, kernel_shape) -> None:
    image, kernel = some_array(shape, "float64"), some_kernel(kernel_shape)
    ref = getattr(ndimage, operation)(image, kernel, mode=mode, cval=3.5)
    got = getattr(convcli, operation)(image, kernel, None, mode, 3.5)
    np.testing.assert_allclose(got, ref, rtol=1e-12, atol=1e-9)
    assert got.dtype == np.float64


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float16"]
)
def test_integers_become_doubles_and_stay_exact(dtype) -> None:
    image, kernel = some_array((8, 9), dtype), some_kernel((3, 4))
    ref = ndimage.correlate(image.astype(np.float64), kernel)
    got = convcli.correlate(image, kernel)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, ref)


def test_float32_stays_float32() -> None:
    image, kernel = some_array((8, 9), "float32"), some_kernel((3, 4)) / 7
    ref = ndimage.correlate(image, kernel)
    got = convcli.correlate(image, kernel)
    assert got.dtype == ref.dtype == np.float32
    np.testing.assert_allclose(got, ref, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("operation", BOTH)
@pytest.mark.parametrize("origin", [-1, 0, 1, (1, -1)])
@pytest.mark.parametrize("size", [3, 4])
def test_origin(operation, origin, size) -> None:
    image, kernel = some_array((7, 8), "float64"), some_kernel((size, size))
    ref = getattr(ndimage, operation)(image, kernel, origin=origin)
    got = getattr(convcli, operation)(image, kernel, origin=origin)
    np.testing.assert_allclose(got, ref, rtol=1e-12)


@pytest.mark.parametrize("operation", BOTH)
@pytest.mark.parametrize("dilation", [2, (1, 3)])
@pytest.mark.parametrize("stride", [1, 2, (3, 2)])
@pytest.mark.parametrize("size", [(3, 3), (2, 4)])
def test_dilation_is_zeros_between_taps_and_stride_takes_every_nth(
    operation, dilation, stride, size
) -> None:
    image, kernel = some_array((9, 11), "int16"), some_kernel(size)
    gaps = (dilation, dilation) if isinstance(dilation, int) else dilation
    steps = (stride, stride) if isinstance(stride, int) else stride
    spread = np.zeros([(taps - 1) * gap + 1 for taps, gap in zip(size, gaps, strict=True)])
    spread[:: gaps[0], :: gaps[1]] = kernel
    whole = getattr(ndimage, operation)(image.astype(float), spread, mode="wrap")
    ref = whole[:: steps[0], :: steps[1]]
    got = getattr(convcli, operation)(image, kernel, mode="wrap", dilation=dilation, stride=stride)
    np.testing.assert_array_equal(got, ref)


@pytest.mark.parametrize("operation", BOTH)
def test_padding_valid_and_full(operation) -> None:
    signal = pytest.importorskip("scipy.signal", reason="scipy is the oracle of the paddings")
    image, kernel = some_array((7, 8), "float64"), some_kernel((3, 4))
    call = {"correlate": signal.correlate2d, "convolve": signal.convolve2d}[operation]
    for padding in ("valid", "full"):
        ref = call(image, kernel, padding)
        got = getattr(convcli, operation)(image, kernel, mode="constant", padding=padding)
        np.testing.assert_allclose(got, ref, rtol=1e-12, atol=1e-9)


def test_integer_output_rounds_half_to_even_and_saturates() -> None:
    image = np.array([1, 3, 5, 2, 200, 250], dtype=np.uint8)
    for dtype in ("uint8", "int8", "int16", "uint16", "int64"):
        limits = np.iinfo(dtype)
        for weights in ([0.5], [-0.5], [2.0]):
            exact = image * np.float64(weights[0])
            ref = np.rint(exact).clip(float(limits.min), float(limits.max)).astype(dtype)
            got = convcli.correlate(image, weights, output=dtype)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, ref)


def test_output_array_is_filled_and_returned() -> None:
    image, kernel = some_array((5, 6), "uint8"), some_kernel((3, 3))
    output = np.zeros((5, 6), np.float32)
    got = convcli.correlate(image, kernel, output=output)
    assert got is output
    np.testing.assert_array_equal(output, ndimage.correlate(image.astype(float), kernel))
    with pytest.raises(UsageError, match=r"shape \(5, 5\), the result \(5, 6\)"):
        convcli.correlate(image, kernel, output=np.zeros((5, 5)))


@pytest.mark.parametrize("shape", [(0, 5), (4, 0)])
def test_empty_arrays_stay_empty(shape) -> None:
    got = convcli.correlate(np.zeros(shape), np.ones((3, 3)))
    assert got.shape == ndimage.correlate(np.zeros(shape), np.ones((3, 3))).shape


def test_one_mode_for_each_axis() -> None:
    image, kernel = some_array((5, 6), "float64"), some_kernel((3, 3))
    for pair in itertools.product(["reflect", "wrap", "nearest"], repeat=2):
        widths = [(1, 1), (1, 1)]
        names = {"reflect": "symmetric", "wrap": "wrap", "nearest": "edge"}
        padded = image
        for axis, mode in enumerate(pair):
            width = [(0, 0), (0, 0)]
            width[axis] = widths[axis]
            padded = np.pad(padded, width, mode=names[mode])
        ref = ndimage.correlate(padded, kernel)[1:-1, 1:-1]
        np.testing.assert_allclose(convcli.correlate(image, kernel, mode=pair), ref, rtol=1e-12)


@pytest.mark.parametrize("operation", BOTH)
def test_names_and_order_of_the_arguments_are_scipys(operation) -> None:
    def told(function):
        return [(p.name, p.kind, p.default) for p in signature(function).parameters.values()]

    ref = told(getattr(ndimage, operation))
    assert told(getattr(convcli, operation))[: len(ref)] == ref


@pytest.mark.parametrize("operation", BOTH)
@pytest.mark.parametrize("mode", ["reflect", "constant"])
@pytest.mark.parametrize(
    ("axes", "size", "origin"),
    [
        (0, (3,), 0), ((1,), (4,), 1), ((-1,), (2,), (-1,)), ((0, 2), (3, 2), (1, 0)),
        ((2, 1), (2, 3), (0, -1)), ((0, 1), (3, 3), 0), ((1, -1), (3, 3), 1),
    ],
)  # fmt: skip
def test_weights_along_some_axes(operation, mode, axes, size, origin) -> None:
    image, kernel = some_array((4, 5, 6), "float64"), some_kernel(size)
    settings = {"mode": mode, "cval": 2.5, "origin": origin, "axes": axes}
    ref = getattr(ndimage, operation)(image, kernel, **settings)
    got = getattr(convcli, operation)(image, kernel, **settings)
    np.testing.assert_allclose(got, ref, rtol=1e-12, atol=1e-9)


def test_stride_along_one_axis_leaves_the_others() -> None:
    image = some_array((4, 5, 6), "float64")
    got = convcli.correlate(image, [1.0], axes=1, stride=2)
    np.testing.assert_array_equal(got, image[:, ::2])


@pytest.mark.parametrize(
    ("axes", "says"),
    [
        (3, "axis 3 of axes is out of range; the input has 2 axes"),
        ((0, -2), "name each axis once"),
        ((), "at least one"),
        (1, r"weights.ndim \(2\) must match len\(axes\) \(1\)"),
    ],
)
def test_axes_that_there_are_not(axes, says) -> None:
    with pytest.raises(UsageError, match=says):
        convcli.correlate(np.ones((4, 4)), np.ones((3, 3)), axes=axes)
    with pytest.raises(TypeError, match=r"axes 1.5: .* cannot be interpreted as an integer"):
        convcli.correlate(np.ones((4, 4)), np.ones((3, 3)), axes=1.5)


def test_mistakes_are_told() -> None:
    image = np.ones((4, 4))
    with pytest.raises(UsageError, match=r"no border 'reflct'.*Did you mean reflect"):
        convcli.correlate(image, np.ones((3, 3)), mode="reflct")
    with pytest.raises(UsageError, match=r"weights of shape \(3,\), input of shape \(4, 4\)"):
        convcli.correlate(image, [1, 2, 3])
    with pytest.raises(UsageError, match="origin 2 lies outside a kernel of 3"):
        convcli.correlate(image, np.ones((3, 3)), origin=2)
    with pytest.raises(UsageError, match="stride 0"):
        convcli.correlate(image, np.ones((3, 3)), stride=0)
    with pytest.raises(UsageError, match="no padding 'sam'"):
        convcli.correlate(image, np.ones((3, 3)), padding="sam")
    with pytest.raises(InputError, match="kernel of 5 samples does not fit inside 4"):
        convcli.correlate(image, np.ones((5, 5)), padding="valid")
    with pytest.raises(InputError, match="not complex128"):
        convcli.correlate(image * 1j, np.ones((3, 3)))
    with pytest.raises(UsageError, match=r"origin \(1, 2, 3\)"):
        convcli.correlate(image, np.ones((3, 3)), origin=(1, 2, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data", [(0.2, 1.0), (0.0, 9000.0)], ids=["photo", "elevations"])
@pytest.mark.parametrize("nodata", [-3.4e38, -9999.0, np.inf])
def test_a_value_that_means_no_data_stays_inside_its_window(dtype, data, nodata) -> None:
    """Large kernels run by a transform, which spreads its rounding errors over whole columns."""
    draw = np.random.default_rng(5)
    image = draw.uniform(*data, (300, 500)).astype(dtype)
    kernel = draw.normal(size=(33, 31))
    plan = plan_filter(image.shape, dtype, kernel, output_dtype=dtype)
    assert plan.path == "transform"
    image[120:150, 70:75] = image[0, 499] = nodata
    near = ndimage.maximum_filter(image == nodata, size=kernel.shape)
    got = convcli.correlate(image, kernel, engine="numba")
    ref = ndimage.correlate(image.astype(np.float64), kernel)
    scale = np.abs(kernel).sum() * data[1]
    np.testing.assert_allclose(got[~near], ref[~near], rtol=0, atol=2e-6 * scale)
    image[...] = 0
    image[150, 250] = nodata
    rest = convcli.correlate(image, kernel, engine="numba")[:100]
    assert np.abs(rest).max() <= (1.0 if abs(nodata) < 1e4 else 0.0)
