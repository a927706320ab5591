"""Parametric kernels against the programs and matrices they are named after."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convcli.errors import UsageError
from convcli.kernels import FAMILIES, Kernel, Magnitude, find


def weights(spec: str) -> np.ndarray:
    kernel = find(spec)
    assert isinstance(kernel, Kernel)
    return np.array(kernel.weights)


def impulse(side: int) -> np.ndarray:
    field = np.zeros((side, side))
    field[side // 2, side // 2] = 1
    return field


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.8, 1, 1.5, 2, 3.2])
def test_gaussian_is_scipys(sigma: float) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is the peer of this test")
    got = weights(f"gaussian:sigma={sigma}")
    assert got.shape == (2 * int(4 * sigma + 0.5) + 1,) * 2
    ref = ndimage.gaussian_filter(impulse(len(got)), sigma, mode="constant")
    np.testing.assert_allclose(ref, got, rtol=0, atol=1e-15)


def test_gaussian_of_a_radius_is_opencvs() -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the peer of this test")
    taps = cv2.getGaussianKernel(11, 2.5)
    got = weights("gaussian:sigma=2.5,radius=5")
    np.testing.assert_allclose(taps @ taps.T, got, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [3, 5, 7, 9, 15, 31])
def test_sobel_of_any_size_is_opencvs(size: int) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the peer of this test")
    row, column = cv2.getDerivKernels(1, 0, size, ktype=cv2.CV_64F)
    ref = column @ row.T
    got = find(f"sobel:size={size}")
    assert isinstance(got, Magnitude)
    assert got.x.name == f"sobel-x:size={size}"
    np.testing.assert_array_equal(ref, np.array(got.x.rows))
    np.testing.assert_array_equal(ref.T, np.array(got.y.rows))
    np.testing.assert_array_equal(ref, weights(f"sobel-x:size={size}"))
    np.testing.assert_array_equal(ref.T, weights(f"sobel-y:size={size}"))


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_box_is_a_mean(size: int) -> None:
    np.testing.assert_allclose(np.full((size, size), 1 / size**2), weights(f"box:size={size}"))


def test_log_is_scipys_laplacian_of_a_gaussian_turned_over_and_sums_to_zero() -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is the peer of this test")
    got = weights("log:sigma=2")
    ref = -ndimage.gaussian_laplace(impulse(41), 2.0, mode="constant", truncate=8)[12:29, 12:29]
    np.testing.assert_allclose(ref, got, atol=1e-4 * ref.max())
    assert got[8, 8] == got.max() > 0
    assert got.sum() == pytest.approx(0, abs=1e-15)
    classic, mathematical = weights("log:sigma=1.4,radius=4"), weights("log-9x9-sampled-1.4")
    np.testing.assert_array_equal(classic, -mathematical)


def test_dog_is_skimages_difference() -> None:
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is the peer of this test")
    got = weights("dog:sigma=2,ratio=1.6")
    ref = filters.difference_of_gaussians(impulse(101), 2.0, 3.2, mode="constant", truncate=30)[
        50 - 13 : 50 + 14, 50 - 13 : 50 + 14
    ]
    np.testing.assert_allclose(ref, got, atol=1e-4 * ref.max())
    assert got.sum() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(("angle", "phase"), [(0, 0), (30, 0), (90, 40), (-135, 90)])
def test_gabor_is_opencvs_without_its_mean(angle: float, phase: float) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the peer of this test")
    got = weights(f"gabor:sigma=2,angle={angle},wavelength=5,aspect=1,phase={phase}")
    side = len(got)
    theta = math.radians(-angle)  # OpenCV counts clockwise, y pointing down
    wave = cv2.getGaborKernel((side, side), 2, theta, 5, 1, math.radians(phase))[::-1, ::-1]
    bell = cv2.getGaborKernel((side, side), 2, theta, 1e12, 1, 0)
    ref = wave - wave.sum() / bell.sum() * bell
    np.testing.assert_allclose(ref / np.abs(ref).sum() * 2, got, atol=1e-9)


def test_motion_is_fspecials_along_the_axes_and_a_line_between() -> None:
    np.testing.assert_allclose(np.full((1, 9), 1 / 9), weights("motion"))
    np.testing.assert_allclose(np.full((9, 1), 1 / 9), weights("motion:angle=90"), atol=1e-12)
    np.testing.assert_allclose([[0.125, 0.25, 0.25, 0.25, 0.125]], weights("motion:length=4"))
    rising = weights("motion:length=9,angle=45")
    assert rising[0, -1] > 0 == rising[0, 0]
    np.testing.assert_allclose(rising[:, ::-1], weights("motion:length=9,angle=135"), atol=1e-12)
    np.testing.assert_allclose(rising, rising.T[::-1, ::-1], atol=1e-12)
    np.testing.assert_array_equal([[1.0]], weights("motion:length=1,angle=77"))


def test_unsharp_is_the_picture_plus_what_a_gaussian_takes_away() -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is the peer of this test")
    field = impulse(17)
    ref = field + 1.5 * (field - ndimage.gaussian_filter(field, 2, mode="constant"))
    np.testing.assert_allclose(ref, weights("unsharp:sigma=2,amount=1.5"), atol=1e-15)
    assert weights("unsharp:radius=1").shape == (3, 3)


@pytest.mark.parametrize("angle", [0, 30, 90, 160])
def test_an_anisotropic_gaussian_is_scipys_along_the_axes_and_turned_between(angle: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is the peer of this test")
    got = weights(f"anisotropic:along=3,across=1,angle={angle}")
    assert got.sum() == pytest.approx(1, abs=1e-12)
    if angle % 90 == 0:
        sigma = (1, 3) if angle == 0 else (3, 1)
        field = np.zeros(got.shape)
        field[got.shape[0] // 2, got.shape[1] // 2] = 1
        ref = ndimage.gaussian_filter(field, sigma, mode="constant")
        np.testing.assert_allclose(ref, got, atol=1e-15)
    y, x = np.mgrid[: got.shape[0], : got.shape[1]] - np.array(got.shape)[:, None, None] // 2
    u = x * math.cos(math.radians(angle)) - y * math.sin(math.radians(angle))
    assert (got * u * u).sum() == pytest.approx(9, rel=0.01)


@pytest.mark.parametrize("orders", [(1, 0), (0, 1), (2, 0), (1, 1), (0, 3)])
@pytest.mark.parametrize("sigma", [0.7, 2])
def test_gaussian_derivatives_are_scipys(sigma: float, orders: tuple[int, int]) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is the peer of this test")
    picture = np.random.default_rng(5).random((40, 40))
    x, y = orders
    ref = ndimage.gaussian_filter(picture, sigma, order=(y, x))
    kernel = weights(f"derivative:{sigma},{x},{y}")
    np.testing.assert_allclose(ref, ndimage.correlate(picture, kernel), atol=1e-12)


def test_the_gaussian_gradient_is_scipys() -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is the peer of this test")
    picture = np.random.default_rng(5).random((30, 30))
    got = find("gradient:sigma=1.5")
    assert isinstance(got, Magnitude)
    parts = [ndimage.correlate(picture, np.array(part.weights)) for part in got.components]
    ref = ndimage.gaussian_gradient_magnitude(picture, 1.5)
    np.testing.assert_allclose(ref, np.hypot(*parts), atol=1e-12)
    assert got.x.direction_xy == (1, 0)


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_a_disk_is_skimages_as_a_mean(radius: int) -> None:
    morphology = pytest.importorskip("skimage.morphology", reason="scikit-image is the peer")
    ref = morphology.disk(radius)
    np.testing.assert_allclose(ref / ref.sum(), weights(f"disk:{radius}"), atol=1e-15)


def test_a_laplacian_takes_fspecials_alpha_and_sharpen_a_strength() -> None:
    np.testing.assert_allclose(weights("laplacian-isotropic"), weights("laplacian:0.2"), atol=1e-15)
    np.testing.assert_array_equal(weights("laplacian-4"), weights("laplacian:alpha=0"))
    np.testing.assert_array_equal(weights("sharpen"), weights("sharpen:amount=1"))
    np.testing.assert_array_equal(
        [[0, -0.5, 0], [-0.5, 3, -0.5], [0, -0.5, 0]], weights("sharpen:0.5")
    )


def test_values_without_names_are_those_of_the_first_parameters() -> None:
    assert find("gaussian:2").name == "gaussian:sigma=2"
    assert find("gabor:2,30,wavelength=5").name == "gabor:sigma=2,angle=30,wavelength=5"
    for wrong in ("gaussian:1,2,0.5,30,9", "gaussian:radius=2,1", "gaussian:2,sigma=1"):
        with pytest.raises(UsageError):
            find(wrong)


def test_emboss_turns_with_the_light() -> None:
    classic = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    np.testing.assert_array_equal(classic, weights("emboss"))
    np.testing.assert_array_equal(classic, weights("emboss:angle=135"))
    np.testing.assert_array_equal(classic[:, ::-1], weights("emboss:angle=45"))
    np.testing.assert_array_equal(classic[::-1], weights("emboss:angle=-135"))
    np.testing.assert_array_equal([[-1, -2, -1], [0, 1, 0], [1, 2, 1]], weights("emboss:angle=90"))
    assert weights("emboss:angle=100").sum() == pytest.approx(1)


@pytest.mark.parametrize("operator", ["kirsch", "robinson"])
def test_compass_directions_answer_to_the_named_side(operator: str) -> None:
    y, x = np.mgrid[1:-2:-1, -1:2]  # y up
    sides = {"n": y, "ne": x + y, "e": x, "se": x - y, "s": -y, "sw": -x - y, "w": -x, "nw": y - x}
    for direction, brighter in sides.items():
        answers = {
            name: (weights(f"{operator}:direction={name}") * brighter).sum() for name in sides
        }
        assert max(answers, key=answers.__getitem__) == direction
        np.testing.assert_array_equal(
            weights(f"{operator}-{direction}"), weights(f"{operator}:direction={direction}")
        )


@pytest.mark.parametrize("angle", [0, 45, 90, 135, -45, 180])
def test_a_line_detector_answers_most_to_its_own_angle(angle: int) -> None:
    y, x = np.mgrid[1:-2:-1, -1:2]
    radians = math.radians(angle)
    line = np.abs(x * math.sin(radians) - y * math.cos(radians)) < 0.1
    answers = {other: (weights(f"line:angle={other}") * line).sum() for other in (0, 45, 90, 135)}
    assert max(answers, key=answers.__getitem__) == angle % 180


def test_the_frei_chen_masks_are_an_orthonormal_basis() -> None:
    masks = np.stack([weights(f"freichen-{number}").ravel() for number in range(1, 10)])
    np.testing.assert_allclose(np.eye(9), masks @ masks.T, atol=1e-15)


def test_farids_pair_is_skimages() -> None:
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is the peer of this test")
    picture = np.random.default_rng(3).random((20, 20))
    windows = np.lib.stride_tricks.sliding_window_view(picture, (5, 5))
    for axis, spec in (("h", "farid-y"), ("v", "farid-x")):
        ref = getattr(filters, f"farid_{axis}")(picture)
        got = np.einsum("yxij,ij->yx", windows, weights(spec))
        np.testing.assert_allclose(ref[2:-2, 2:-2], got, atol=1e-12)


@given(
    st.sampled_from(sorted(FAMILIES)),
    st.text(alphabet="abcdegilmnoprstuvwxyz=,.-+0123456789eE", max_size=30),
)
@settings(deadline=None, max_examples=150)
def test_any_parameters_are_a_kernel_or_a_sentence(name: str, written: str) -> None:
    try:
        got = find(f"{name}:{written}")
    except UsageError as mistake:
        told = str(mistake)
    else:
        told = got.name
    assert told


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_changes_the_kernel(name: str) -> None:
    plain = FAMILIES[name].build()
    for parameter, rule in FAMILIES[name].parameters.items():
        values = [*rule.words[1:2], 45, 5, 2, 0.7, 1.5]
        changed = [made for value in values if (made := _built(name, f"{parameter}={value}"))]
        assert any(_rows(made) != _rows(plain) for made in changed), parameter


def _rows(kernel: Kernel | Magnitude) -> object:
    return kernel.x.rows if isinstance(kernel, Magnitude) else kernel.rows


def _built(name: str, written: str) -> Kernel | Magnitude | None:
    try:
        return FAMILIES[name].build(written)
    except UsageError:
        return None
