"""Fourteen everyday jobs with pictures, each one command, held against another program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run

ndimage = pytest.importorskip("scipy.ndimage", reason="the oracle of most jobs")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """A photo of smooth blobs and a sign in the working directory; its pixels."""
    random = np.random.default_rng(4)
    soft = ndimage.gaussian_filter(random.random((60, 80, 3)), (4, 4, 0))
    pixels = ((soft - soft.min()) * 255 / np.ptp(soft)).astype(np.uint8)
    pixels[20:40, 30:60] = 250, 20, 20
    monkeypatch.chdir(tmp_path)
    Image.fromarray(pixels).save("photo.png")
    return pixels


def result(name: str) -> np.ndarray:
    with Image.open(name) as image:
        return np.asarray(image)


def each(pixels: np.ndarray, function: Any) -> np.ndarray:
    return np.dstack([function(pixels[..., c].astype(float)) for c in range(pixels.shape[2])])


def near(ref: np.ndarray, got: np.ndarray, apart: float = 0.51) -> None:
    np.testing.assert_allclose(ref.clip(0, 255), got.astype(float), atol=apart)


def luma(pixels: np.ndarray) -> np.ndarray:
    return (pixels @ np.array([299, 587, 114]) + 500) // 1000 + 0.0


def test_1_a_gaussian_of_sigma_2(photo: np.ndarray) -> None:
    assert run(["filter", "photo.png", "-k", "gaussian:2", "-o", "out.png"]) == 0
    near(each(photo, lambda plane: ndimage.gaussian_filter(plane, 2)), result("out.png"))


def test_2_the_magnitude_of_sobel(photo: np.ndarray) -> None:
    assert run(["filter", "photo.png", "-k", "sobel", "-o", "out.png"]) == 0
    ref = each(photo, lambda p: np.hypot(ndimage.sobel(p, axis=0), ndimage.sobel(p, axis=1)))
    near(ref, result("out.png"))


def test_3_an_own_3x3(photo: np.ndarray) -> None:
    assert run(["filter", "photo.png", "-k", "0 -1 0; -1 5 -1; 0 -1 0", "-o", "out.png"]) == 0
    kernel = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    near(each(photo, lambda plane: ndimage.correlate(plane, kernel)), result("out.png"))


def test_4_an_unsharp_mask(photo: np.ndarray) -> None:
    assert run(["filter", "photo.png", "-k", "unsharp:2,1.5", "-o", "out.png"]) == 0
    ref = each(photo, lambda p: p + 1.5 * (p - ndimage.gaussian_filter(p, 2)))
    near(ref, result("out.png"))


def test_5_a_signed_derivative_on_gray(photo: np.ndarray) -> None:
    words = ["filter", "photo.png", "-k", "sobel-x", "--gray", "--range", "offset"]
    assert run([*words, "-o", "out.png"]) == 0
    near(ndimage.sobel(luma(photo), axis=1) + 128, result("out.png"))


def test_6_a_folder(photo: np.ndarray) -> None:
    Path("photos/more").mkdir(parents=True)
    for name in ("photos/a.png", "photos/more/b.png"):
        Image.fromarray(photo).save(name)
    assert run(["filter", "photos", "--recursive", "-k", "box", "-o", "out/"]) == 0
    ref = each(photo, lambda plane: ndimage.uniform_filter(plane, 3))
    for name in ("out/a_box-3.png", "out/more/b_box-3.png"):
        near(ref, result(name))


def test_7_blur_and_halve(photo: np.ndarray) -> None:
    assert run(["filter", "photo.png", "-k", "gaussian:1", "-k", "resize:50%", "-o", "o.png"]) == 0
    blurred = np.rint(each(photo, lambda plane: ndimage.gaussian_filter(plane, 1)))
    ref = Image.fromarray(blurred.astype(np.uint8)).resize((40, 30), Image.Resampling.BICUBIC)
    near(np.asarray(ref).astype(float), result("o.png"), 1.01)


def test_8_why_this_value(photo: np.ndarray, capsys: Capture) -> None:
    words = ["filter", "photo.png", "-k", "sobel-x", "--gray", "--explain", "21,30"]
    assert run([*words, "--format", "json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["sum"] == ndimage.sobel(luma(photo), axis=1)[21, 30]
    products = [term["product"] for term in got["components"][0]["terms"]]
    assert sum(products) == got["sum"]


def test_9_canny(photo: np.ndarray) -> None:
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is the peer of this job")
    words = ["filter", "photo.png", "--gray", "-k", "canny:low=20,high=60", "-o", "out.png"]
    assert run(words) == 0
    ref = feature.canny(luma(photo).astype(np.uint8), 1, 20, 60)
    assert ref.any()
    assert (ref != (result("out.png") > 0))[8:-8, 8:-8].mean() < 0.001


def test_10_a_region(photo: np.ndarray) -> None:
    words = ["filter", "photo.png", "-k", "gaussian:3", "--region", "20,10,30,25", "-o", "out.png"]
    assert run(words) == 0
    ref = photo.astype(float)
    blurred = each(photo, lambda plane: ndimage.gaussian_filter(plane, 3))
    ref[10:35, 20:50] = blurred[10:35, 20:50]
    near(ref, result("out.png"))


def test_11_half_mixed_with_the_original(photo: np.ndarray) -> None:
    assert run(["filter", "photo.png", "-k", "gaussian:2", "--strength", "0.5", "-o", "o.png"]) == 0
    near(each(photo, lambda p: (p + ndimage.gaussian_filter(p, 2)) / 2), result("o.png"))


def test_12_a_blur_of_light(photo: np.ndarray) -> None:
    def decoded(level: np.ndarray) -> np.ndarray:
        share = level / 255
        return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)

    def encoded(light: np.ndarray) -> np.ndarray:
        high = 1.055 * light ** (1 / 2.4) - 0.055
        return 255 * np.where(light <= 0.0031308, light * 12.92, high)

    assert run(["filter", "photo.png", "-k", "gaussian:2", "--linear", "-o", "out.png"]) == 0
    near(each(photo, lambda p: encoded(ndimage.gaussian_filter(decoded(p), 2))), result("out.png"))


def test_13_edges_and_a_threshold(photo: np.ndarray, capsys: Capture) -> None:
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is the peer of this job")
    words = ["filter", "photo.png", "--gray", "-k", "sobel", "-k", "threshold:otsu"]
    assert run([*words, "-o", "out.png", "--format", "json"]) == 0
    gray = luma(photo)
    edges = np.hypot(ndimage.sobel(gray, axis=0), ndimage.sobel(gray, axis=1)).astype(np.float32)
    limit = filters.threshold_otsu(edges)
    assert np.array_equal(edges > limit, result("out.png") == 255)
    (got,) = json.loads(capsys.readouterr().out)
    assert got["notes"] == [f"Otsu's threshold: {limit:.4g} of 255."]


def test_14_before_and_after(photo: np.ndarray) -> None:
    assert run(["filter", "photo.png", "-k", "box", "--compare", "side"]) == 0
    both = result("photo_box-3-side.png")
    assert np.array_equal(photo, both[:, :80])
    near(each(photo, lambda plane: ndimage.uniform_filter(plane, 3)), both[:, -80:])
