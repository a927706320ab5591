"""Steps of a chain beside kernels, and results laid on originals, against other programs."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.cli.main import run
from convcli.errors import UsageError

RNG = np.random.default_rng(3)
GRAY = RNG.integers(0, 256, (40, 50)).astype(np.uint8)
COLOR = RNG.integers(0, 256, (30, 20, 3)).astype(np.uint8)


def chain(pixels: np.ndarray, *steps: str, **settings: Any) -> np.ndarray:
    return convcli.filter_image(pixels, list(steps), **settings)


def test_points_do_what_their_names_say() -> None:
    assert np.array_equal(np.where(GRAY > 100, 255, 0), chain(GRAY, "threshold:100"))
    assert np.array_equal(np.where(GRAY > 127.5, 255, 0), chain(GRAY, "threshold:50%"))
    assert np.array_equal(255 - GRAY, chain(GRAY, "invert"))
    assert np.array_equal(np.rint(255 * (COLOR / 255) ** (1 / 2.2)), chain(COLOR, "gamma:2.2"))
    wide = GRAY * 2.0 + 10
    assert np.array_equal(wide.clip(0, 255), chain(GRAY, "scale:factor=2,add=10"))
    assert np.array_equal((GRAY - 25.5).round().clip(0, 255), chain(GRAY, "add:-10%"))
    edges = convcli.filter_image(GRAY, "sobel-x", value_range="raw")
    assert np.array_equal(edges.clip(0), chain(GRAY, "sobel-x", "relu", value_range="raw"))
    assert np.array_equal(abs(edges), chain(GRAY, "sobel-x", "abs", value_range="raw"))


def test_a_chain_keeps_values_unrounded_and_uncut_between_its_steps() -> None:
    raw = convcli.filter_image(GRAY, "sobel", value_range="raw")
    assert raw.max() > 300
    assert np.array_equal(np.where(raw > 300, 255, 0), chain(GRAY, "sobel", "threshold:300"))
    blurred = convcli.filter_image(GRAY, "gaussian:2", value_range="raw")
    ref = convcli.filter_image(np.float32(255) - blurred, "sobel-x", value_range="raw")
    got = chain(GRAY, "gaussian:2", "invert", "sobel-x", value_range="raw")
    np.testing.assert_allclose(ref, got, atol=1e-3)


def test_signed_steps_keep_the_range_of_edges_and_others_end_it() -> None:
    for steps, ref in ((["sobel-x", "scale:2"], "abs"), (["sobel-x", "abs"], "clip")):
        assert convcli.filter_result(GRAY, steps).value_range == ref
    assert convcli.filter_result(GRAY, ["invert"]).value_range == "clip"


def test_levels_are_percentiles_of_all_channels() -> None:
    low, high = np.percentile(COLOR, (5, 90))
    ref = ((COLOR - low) * 255 / (high - low)).clip(0, 255)
    assert abs(chain(COLOR, "levels:5,90") - ref).max() <= 0.5 + 1e-3
    assert "spread from black to white" in convcli.filter_result(COLOR, "levels:5,90").notes[0]


def test_depths_scale_what_is_said_in_8_bit_levels() -> None:
    deep = GRAY.astype(np.uint16) * 257
    for step in ("threshold:100", "invert", "gamma:0.5", "levels", "add:20", "canny"):
        np.testing.assert_allclose(chain(deep, step) / 257, chain(GRAY, step), atol=0.6)
        share = (GRAY / np.float32(255)).astype(np.float32)
        cut = (chain(share, step) * 255).clip(0, 255)
        np.testing.assert_allclose(cut, chain(GRAY, step).astype(float), atol=0.6)


@pytest.mark.parametrize("name", ["camera", "coins", "page"])
def test_otsu_and_canny_are_skimages(name: str) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image is the peer of this test")
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is the peer")
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is the peer")
    pixels = getattr(data, name)()
    otsu = filters.threshold_otsu(pixels)
    assert np.array_equal(pixels > otsu, chain(pixels, "threshold:otsu") == 255)
    soft = convcli.filter_image(pixels, "gaussian:1.5", value_range="raw")
    ref = soft > filters.threshold_otsu(soft)
    assert np.array_equal(ref, chain(pixels, "gaussian:1.5", "threshold:otsu") == 255)
    for sigma, low, high in ((1, 25, 50), (2, 10, 60)):
        ref = feature.canny(pixels, sigma, low, high)
        got = chain(pixels, f"canny:low={low},high={high},sigma={sigma}")
        inner = (slice(4 * sigma + 4, -4 * sigma - 4),) * 2
        assert ref[inner].mean() > 0.01
        assert (ref[inner] != (got[inner] == 255)).mean() < 0.001
    ref = feature.canny(pixels)
    assert (ref != (chain(pixels, "canny") == 255))[8:-8, 8:-8].mean() < 0.001


def test_canny_of_colors_looks_at_the_brightness() -> None:
    done = convcli.filter_result(COLOR, "canny")
    assert done.pixels.shape == COLOR.shape[:2]
    assert done.notes == ("Canny's edges are those of the brightness (Rec. 601).",)
    with pytest.raises(UsageError, match=r"canny: low=90 is above high=50"):
        chain(GRAY, "canny:low=90,high=50")


@pytest.mark.parametrize("size", ["0.5", "50%", "25x20"])
@pytest.mark.parametrize("method", ["bicubic", "box", "nearest", "lanczos"])
def test_resize_is_pillows(size: str, method: str) -> None:
    how = Image.Resampling[method.upper()]
    soft = convcli.filter_image(GRAY, "box-3")  # noise overshoots between Pillow's two passes
    ref = np.asarray(Image.fromarray(soft).resize((25, 20), how))
    got = chain(soft, f"resize:{size},method={method}")
    assert abs(ref.astype(int) - got).max() <= 1
    assert chain(COLOR, "gaussian:2", "resize:2").shape == (60, 40, 3)


def test_transparency_lends_no_color_when_a_picture_shrinks() -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = 255, 0, 0, 255
    pixels[:, 4:] = 0, 255, 0, 0  # green that nobody sees
    got = chain(pixels, "box-3", "resize:50%")
    assert got.shape == (4, 4, 4)
    seen = got[got[..., 3] > 0]
    assert (seen[:, 0] == 255).all()
    assert not seen[:, 1].any()
    kept = chain(pixels, "sobel", "resize:4x4,method=nearest")
    assert kept[..., 3].tolist() == [[255, 255, 0, 0]] * 4


def test_strength_and_blend_lay_the_result_on_the_original() -> None:
    blurred = convcli.filter_image(GRAY, "gaussian:2", value_range="raw").astype(np.float64)
    base = GRAY.astype(np.float64)

    def laid(**settings: Any) -> np.ndarray:
        return convcli.filter_image(GRAY, "gaussian:2", **settings).astype(np.float64)

    def near(ref: np.ndarray, got: np.ndarray) -> None:
        np.testing.assert_allclose(ref.clip(0, 255), got, atol=0.51)

    near((base + blurred) / 2, laid(strength=0.5))
    near(base + 1.5 * (base - blurred), laid(strength=-1.5))
    unsharp = convcli.filter_image(GRAY, "unsharp:sigma=2,amount=1.5")
    near(unsharp.astype(np.float64), laid(strength=-1.5))
    near(abs(base - blurred), laid(blend="difference"))
    near(base * blurred / 255, laid(blend="multiply"))
    near(255 - (255 - base) * (255 - blurred) / 255, laid(blend="screen"))
    near(base + 0.25 * (np.minimum(base, blurred) - base), laid(blend="darken", strength=0.25))
    edges = convcli.filter_image(GRAY, "sobel").astype(np.float64)
    got = convcli.filter_image(GRAY, "sobel", strength=0.5).astype(np.float64)
    inside = convcli.filter_image(GRAY, "sobel", value_range="raw") <= 255
    np.testing.assert_allclose(((base + edges) / 2)[inside], got[inside], atol=0.51)
    lines = chain(COLOR, "canny")[..., None]
    got = convcli.filter_image(COLOR, "canny", blend="lighten")
    assert np.array_equal(np.maximum(COLOR, lines), got)
    with pytest.raises(UsageError, match=r"the result is 19 x 24 and the original 40 x 50"):
        convcli.filter_image(GRAY, "box", stride=2, padding="valid", blend="add")


def test_a_checkerboard_of_light_blurs_to_188() -> None:
    board = (np.indices((48, 48)).sum(0) % 2 * 255).astype(np.uint8)
    middle = (slice(16, 32),) * 2
    assert set(chain(board, "gaussian:5", linear=True)[middle].ravel()) <= {187, 188}
    assert set(chain(board, "gaussian:5")[middle].ravel()) <= {127, 128}
    deep = chain(board.astype(np.uint16) * 257, "gaussian:5", linear=True)[middle]
    assert abs(deep / 257 - 187.5).max() < 0.5
    clear = np.dstack([board, board, board, np.full_like(board, 200)])
    got = chain(clear, "gaussian:5", linear=True)[middle]
    assert abs(got[..., :3].astype(int) - 188).max() <= 1
    assert (got[..., 3] == 200).all()
    untouched = chain(COLOR, "identity", linear=True)
    assert np.array_equal(COLOR, untouched)
    done = convcli.filter_result(board / np.float32(255), "gaussian:5", linear=True)
    assert done.notes == ("Numbers and float pictures are linear already: --linear is idle.",)


def test_a_region_is_the_whole_filtered_there_whatever_the_steps() -> None:
    steps = ["gaussian:1", "canny:low=20,high=60", "invert"]
    whole = chain(GRAY, *steps)
    part = chain(GRAY, *steps, region=(10, 5, 30, 25))
    assert np.array_equal(whole[5:30, 10:40], part[5:30, 10:40])
    assert np.array_equal(GRAY[30:], part[30:])
    with pytest.raises(UsageError, match=r"keep the size; leave out resize:size=2"):
        chain(GRAY, "resize:2", region=(0, 0, 9, 9))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("median", "sorts the cells of a window: scipy.ndimage.median_filter"),
        ("erode", "scipy.ndimage.grey_erosion, cv2.erode"),
        ("erosion:3", "erosion is no convolution"),
        ("bilateral", "cv2.bilateralFilter"),
        ("gray", "write --gray"),
        ("thresold", r"no kernel called 'thresold'\. Did you mean threshold"),
        ("threshold:otso", r"threshold: level=otso is not a number or one of otsu"),
        ("resize:0", "outside 0.001 to 64"),
        ("resize:0x9", "a side has 1 to 65,536"),
        ("resize:65536x65536", "= 4,294,967,296 pixels, more than 200,000,000"),
        ("levels:50,20", "low=50 must be below high=20"),
    ],
)
def test_other_words_are_answered(word: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        chain(GRAY, word)


def test_options_of_kernels_need_one() -> None:
    for settings in ({"divisor": 2}, {"offset": 3}, {"normalize": True}):
        with pytest.raises(UsageError, match="are for kernels; invert is none"):
            chain(GRAY, "invert", **settings)
    with pytest.raises(UsageError, match="invert has no two components"):
        chain(GRAY, "sobel", "invert", gradient="direction")
    half = chain(GRAY, "box", "scale:0.5", "invert")
    assert np.array_equal(half, chain(GRAY, "box", "invert", divisor=18))
    with pytest.raises(UsageError, match="threshold is a step of a chain"):
        convcli.kernel("threshold")


def test_the_command_names_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(GRAY).save(path)
    words = ["filter", str(path), "-k", "gaussian:2", "-k", "threshold:50%", "--format", "json"]
    assert run([*words, "--strength", "0.5", "--blend", "lighten", "--linear"]) == 0
    (got,) = json.loads(capsys.readouterr().out)
    assert got["output"] == str(tmp_path / "photo_gaussian-sigma2_threshold-level50pc.png")
    assert got["kernel"] == "gaussian:sigma=2 threshold:level=50%"
    assert run(["filter", str(tmp_path / "*.png"), "-k", "invert", "-o", f"{tmp_path}/out/"]) == 0
    assert "Results of earlier runs left out: 1" in capsys.readouterr().err
    assert run(["filter", str(path), "-k", "box", "--linear", "--explain", "1,1"]) == 2


def test_a_chain_travels_to_other_machines() -> None:
    from convcli.imaging.chain import make_steps
    from convcli.imaging.filtering import filter_frame
    from convcli.imaging.options import FilterOptions
    from convcli.imaging.picture import Frame

    options = FilterOptions(blend="screen")
    steps = make_steps(["gaussian:2", "canny", "invert"], options)
    near, far = (
        filter_frame(Frame(GRAY), one, options).frame.pixels
        for one in (steps, pickle.loads(pickle.dumps(steps)))  # noqa: S301  (our own)
    )
    assert np.array_equal(near, far)


def test_every_frame_of_an_animation_goes_through_the_chain(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((9, 12), level, np.uint8)) for level in (10, 200)]
    path = tmp_path / "two.png"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    words = ["filter", str(path), "-k", "invert", "--compare", "side", "-o"]
    assert run([*words, str(tmp_path / "out.png"), "--quiet"]) == 0
    with Image.open(tmp_path / "out.png") as image:
        for number, (before, after) in enumerate(((10, 245), (200, 55))):
            image.seek(number)
            pixels = np.asarray(image.convert("L"))
            assert (pixels[0, 0], pixels[0, -1]) == (before, after)


def test_kernels_lists_the_steps_and_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["kernels", "--format", "csv", "--table", "operations"]) == 0
    assert "canny" in capsys.readouterr().out
    assert run(["kernels", "threshold"]) == 0
    assert "8-bit levels, or of white with a %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("-k gaussian:2 -k levels", "4.8 MB of it for levels"),
        ("-k gaussian:2 -k sobel", "4.8 MB of it for sobel"),
        ("-k canny", "6.4 MB of it for canny"),
        ("-k resize:2", "38.4 MB of it for resize:size=2"),
        ("-k gaussian:2 --linear", "4.8 MB of it for --linear"),
        ("-k sobel --range stretch", "4.8 MB of it for --range stretch"),
        ("-k sobel --stats", "11.2 MB of it for --stats"),
        ("-k sobel --compare side", "2.4 MB of it for --compare"),
        ("-k sobel --gradient direction", "14.4 MB of it for --gradient direction"),
    ],
)
def test_whole_pictures_between_steps_count_as_memory(
    words: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.zeros((500, 800, 3), np.uint8)).save(path)
    command = ["filter", str(path), "-o", str(tmp_path / "out.png"), "--force", "--memory-limit"]
    fits = "4MB"
    for free in ("-k gaussian:2 -k invert -k threshold:100 --strength 0.5", "-k levels"):
        assert run([*command, fits, *free.split()]) == 0
    assert run([*command, fits, *words.split()]) == 3
    assert said in capsys.readouterr().err
    enough = float(said.split(maxsplit=1)[0]) + 4
    assert run([*command, f"{enough}MB", *words.split()]) == 0
