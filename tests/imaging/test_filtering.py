"""The rules of filtering, held against SciPy and against sums written out here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.errors import InputError, UsageError
from convcli.imaging.chain import make_steps
from convcli.imaging.filtering import filter_frame
from convcli.imaging.options import FilterOptions
from convcli.imaging.picture import Frame

ndimage = pytest.importorskip("scipy.ndimage", reason="the oracle for filters")
RNG = np.random.default_rng(11)
GRAY = RNG.integers(0, 256, (23, 19)).astype(np.uint8)
COLOR = RNG.integers(0, 256, (12, 14, 3)).astype(np.uint8)
SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float)
ROWS_X = "-1 0 1; -2 0 2; -1 0 1"


def exact(pixels: np.ndarray, kernel: np.ndarray, mode: str = "reflect") -> np.ndarray:
    return ndimage.correlate(pixels.astype(float), kernel, mode=mode)


def to_uint8(values: np.ndarray) -> np.ndarray:
    return np.rint(values).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("value_range", "mapped"),
    [
        ("clip", to_uint8),
        ("abs", lambda v: to_uint8(abs(v))),
        ("offset", lambda v: to_uint8(v + 128)),
        ("stretch", lambda v: to_uint8((v - v.min()) * 255 / (v.max() - v.min()))),
        ("raw", lambda v: v.astype(np.float32)),
    ],
)
def test_ranges(value_range: str, mapped: Any) -> None:
    values = exact(GRAY, SOBEL_X)
    options = FilterOptions(value_range=value_range)
    got = filter_frame(Frame(GRAY), make_steps(ROWS_X, options), options)
    assert np.array_equal(mapped(values), got.frame.pixels)
    assert (got.statistics.minimum, got.statistics.maximum) == (values.min(), values.max())
    cut = {"clip": values, "abs": abs(values), "offset": values + 128}.get(value_range)
    if cut is None:
        assert (got.statistics.below, got.statistics.above) == (0, 0)
    else:
        assert got.statistics.below == int((cut < 0).sum())
        assert got.statistics.above == int((cut > 255).sum())


@pytest.mark.parametrize(
    ("kernel", "dtype", "ref"),
    [
        ("box", np.uint8, "clip"),
        ("sobel-x", np.uint8, "abs"),
        ("sobel", np.uint16, "abs"),
        ("emboss-pillow", np.uint8, "clip"),
        ("1 1; 1 -9", np.uint8, "abs"),
        ("box", np.float32, "raw"),
        ("sobel", np.float64, "raw"),
    ],
)
def test_default_ranges(kernel: str, dtype: type, ref: str) -> None:
    options = FilterOptions()
    got = filter_frame(Frame(GRAY.astype(dtype)), make_steps(kernel, options), options)
    assert got.value_range == ref
    assert got.frame.pixels.dtype == dtype


def test_an_offset_is_in_8_bit_levels_and_scaled_to_the_depth() -> None:
    deep = GRAY.astype(np.uint16) * 257
    shallow = convcli.filter_image(GRAY, "0 0 0; 0 0 0; 0 0 0.5", offset=10)
    got = convcli.filter_image(deep, "0 0 0; 0 0 0; 0 0 0.5", offset=10)
    assert np.array_equal(np.rint(got / 257), np.rint(got / 257).clip(0, 255))
    assert abs(got / 257 - shallow).max() <= 0.5


@pytest.mark.parametrize(
    ("kernel", "divisor", "offset"),
    [("1 2; 3 4", 10, 0), ("-1 -2; -3 4", 2, 255), ("1 -1; 1 -1", 1, 128)],
)
def test_normalize_follows_gimps_three_rules(kernel: str, divisor: int, offset: int) -> None:
    weights = np.array([[float(n) for n in row.split()] for row in kernel.split(";")])
    ref = to_uint8(exact(GRAY, weights) / divisor + offset)
    assert np.array_equal(ref, convcli.filter_image(GRAY, kernel, normalize=True))


def test_a_chain_stays_unrounded_between_its_kernels() -> None:
    third = np.full((3, 3), 1 / 9)
    ref = exact(exact(GRAY, third), third)
    got = convcli.filter_image(GRAY, ["box", "box"], value_range="raw")
    np.testing.assert_allclose(got, ref, rtol=1e-5)


@pytest.mark.parametrize(
    ("how", "join"),
    [
        ("l2", np.hypot),
        ("l1", lambda a, b: abs(a) + abs(b)),
        ("max", lambda a, b: np.maximum(abs(a), abs(b))),
    ],
)
def test_magnitudes(how: str, join: Any) -> None:
    ref = join(exact(GRAY, SOBEL_X), exact(GRAY, SOBEL_X.T))
    got = convcli.filter_image(GRAY, "sobel", magnitude=how, value_range="raw")
    np.testing.assert_allclose(got, ref, rtol=1e-6)


@pytest.mark.parametrize(("turns", "degrees"), [(0, 0), (1, 90), (2, 180), (3, 270)])
@pytest.mark.parametrize("kernel", ["sobel", "prewitt", "roberts", "scharr"])
def test_the_direction_points_where_it_gets_brighter(kernel: str, turns: int, degrees: int) -> None:
    ramp = np.rot90(np.tile(np.arange(9.0), (9, 1)), turns)  # counter-clockwise turns
    got = convcli.filter_image(ramp, kernel, gradient="direction", padding="valid")
    assert got == pytest.approx(degrees, abs=1e-9)


def test_direction_is_a_color_wheel_and_both_adds_the_strength() -> None:
    ramp = np.tile((np.arange(8) * 4).astype(np.uint8), (8, 1))
    wheel = convcli.filter_image(ramp, "sobel", gradient="direction", padding="valid")
    assert (wheel == [255, 0, 0]).all()
    both = convcli.filter_image(ramp, "sobel", gradient="both", padding="valid")
    assert (both == [32, 0, 0]).all()  # (1 + 2 + 1) x 8 levels


def test_gray_is_rec_601() -> None:
    red, green, blue = (COLOR[..., i].astype(float) for i in range(3))
    ref = np.rint(0.299 * red + 0.587 * green + 0.114 * blue)
    assert abs(convcli.filter_image(COLOR, "identity", gray=True) - ref).max() <= 0.5


def with_alpha(alpha: np.ndarray) -> np.ndarray:
    return np.dstack([COLOR, alpha]).astype(np.uint8)


def test_transparent_pixels_lend_no_color() -> None:
    alpha = np.full(COLOR.shape[:2], 255)
    alpha[:, 7:] = 0
    picture = with_alpha(alpha)
    picture[:, 7:, :3] = 255  # white, but invisible
    share = alpha / 255
    box = np.full((3, 3), 1 / 9)
    through = exact(share, box)
    got = convcli.filter_image(picture, "box")
    for channel in range(3):
        ref = exact(picture[..., channel] * share, box)[:, :8] / through[:, :8]
        assert abs(got[:, :8, channel] - ref).max() <= 0.51
    assert abs(got[..., 3] - 255 * through).max() <= 0.51


def test_opaque_pictures_are_filtered_as_if_they_had_no_alpha() -> None:
    picture = with_alpha(np.full(COLOR.shape[:2], 255))
    got = convcli.filter_image(picture, "gaussian:sigma=1")
    assert np.array_equal(convcli.filter_image(COLOR, "gaussian:sigma=1"), got[..., :3])
    assert (got[..., 3] == 255).all()


@pytest.mark.parametrize("padding", ["same", "valid", "full"])
@pytest.mark.parametrize("convolve", [False, True])
@pytest.mark.parametrize(
    ("kernel", "dilation", "stride"), [("1 -1", 1, 1), ("1 0 0 -1; 0 0 0 0", 2, 2)]
)
def test_kept_alpha_follows_the_geometry(
    padding: str, convolve: bool, kernel: str, dilation: int, stride: int
) -> None:
    alpha = RNG.integers(1, 256, COLOR.shape[:2])
    choices = {"padding": padding, "convolve": convolve, "dilation": dilation, "stride": stride}
    got = convcli.filter_image(with_alpha(alpha), kernel, **choices)
    rows, columns = (
        (len(kernel.split(";")) - 1) * dilation + 1,
        (len(kernel.split(";", maxsplit=1)[0].split()) - 1) * dilation + 1,
    )
    places = []
    for size, taps in zip(alpha.shape, (rows, columns), strict=True):
        center = (taps - 1) // 2 if convolve else taps // 2
        first, count = {
            "same": (0, size),
            "valid": (center, size - taps + 1),
            "full": (center - taps + 1, size + taps - 1),
        }[padding]
        places.append([first + i for i in range(0, count, stride)])
    framed = np.zeros((60, 60), int)
    framed[20 : 20 + alpha.shape[0], 20 : 20 + alpha.shape[1]] = alpha
    ref = [[framed[20 + y, 20 + x] for x in places[1]] for y in places[0]]
    assert got[..., 3].tolist() == ref


def test_alpha_filter_treats_it_like_a_color() -> None:
    alpha = RNG.integers(0, 256, COLOR.shape[:2])
    got = convcli.filter_image(with_alpha(alpha), "box", alpha="filter")
    assert np.array_equal(to_uint8(exact(alpha, np.full((3, 3), 1 / 9))), got[..., 3])


def test_premultiply_needs_a_positive_sum() -> None:
    picture = with_alpha(RNG.integers(0, 256, COLOR.shape[:2]))
    with pytest.raises(UsageError, match="positive sum; sobel-x has none"):
        convcli.filter_image(picture, "sobel-x", alpha="premultiply")


@pytest.mark.parametrize("convolve", [False, True])
def test_a_kernel_with_channels_adds_them_up(convolve: bool) -> None:
    weights = RNG.integers(-3, 4, (3, 3, 3)).astype(float)
    laid = weights[::-1, ::-1, ::-1] if convolve else weights
    ref = sum(exact(COLOR[..., c], laid[..., c]) for c in range(3))
    got = convcli.filter_image(COLOR, weights, value_range="raw", convolve=convolve)
    assert np.array_equal(ref, got)


def test_a_kernel_needs_as_many_channels_as_its_input() -> None:
    with pytest.raises(InputError, match=r"2 channels, and the input has 3 \(red, green, blue\)"):
        convcli.filter_image(COLOR, np.ones((3, 3, 2)))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"value_range": "cilp"}, "Did you mean clip"),
        ({"border": "reflex"}, "Did you mean reflect"),
        ({"border": "nearest:3"}, "only constant takes a value"),
        ({"stride": 0}, "1 or more"),
        ({"normalize": True, "offset": 3}, "--normalize chooses"),
        ({"divisor": 0}, "not divided by 0"),
    ],
)
def test_choices_that_mean_nothing(choice: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        convcli.filter_image(GRAY, "box", **choice)


def test_engines_agree() -> None:
    one, two = (convcli.filter_image(COLOR, "sobel", engine=name) for name in ("numpy", "numba"))
    assert np.array_equal(one, two)


def test_identity_keeps_the_colors_under_full_transparency() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (9, 8, 4)).astype(np.uint8)
    pixels[2:5, 3:6, 3] = 0
    assert np.array_equal(pixels, convcli.filter_image(pixels, "identity"))
    halved = convcli.filter_image(pixels, "identity", stride=2)
    assert np.array_equal(pixels[::2, ::2], halved)


def test_all_frames_are_stretched_alike(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((6, 5), 40 * i, np.uint8)) for i in range(1, 4)]
    frames[0].putpixel((2, 2), 0)
    path = tmp_path / "a.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    out = tmp_path / "b.tif"
    convcli.filter_image(path, "identity", value_range="stretch", output=out)
    with Image.open(out) as image:
        levels = []
        for page in range(3):
            image.seek(page)
            levels.append(image.getpixel((0, 0)))
    assert levels == [85, 170, 255]
