"""Files hold exactly the pixels they were given, or refuse them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as some
from PIL import Image

from convcli.errors import InputError, UsageError
from convcli.imaging.formats import encoded, read_picture, write_picture
from convcli.imaging.options import FileOptions
from convcli.imaging.picture import Frame, Metadata, Picture

RNG = np.random.default_rng(5)


def as_png(pixels: np.ndarray, **options: object) -> bytes:
    frame = Frame(pixels, has_alpha=pixels.ndim == 3 and pixels.shape[2] in {2, 4})
    return encoded("PNG", Picture((frame,)), FileOptions(**options))[0]


@settings(deadline=None, max_examples=40)
@given(
    height=some.integers(1, 9),
    width=some.integers(1, 9),
    channels=some.sampled_from([0, 2, 3, 4]),
    dtype=some.sampled_from([np.uint8, np.uint16]),
    compress=some.booleans(),
    seed=some.integers(0, 99),
)
def test_png_holds_every_depth_and_channel(
    height: int, width: int, channels: int, dtype: type, compress: bool, seed: int
) -> None:
    shape = (height, width, channels) if channels else (height, width)
    ref = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    got = read_picture(as_png(ref, compress=compress)).frames[0]
    assert got.pixels.dtype == dtype
    assert np.array_equal(ref, got.pixels)


def test_a_png_of_many_strips_is_the_same_on_any_number_of_threads() -> None:
    ref = RNG.integers(0, 256, (1500, 1300, 3)).astype(np.uint8)
    one, two = (as_png(ref, threads=threads) for threads in (1, 2))
    assert one == two
    assert one.count(b"IDAT") >= 3
    assert np.array_equal(ref, np.asarray(Image.open(io.BytesIO(one))))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compress_makes_a_smaller_file(dtype: type) -> None:
    ramp = np.add.outer(np.arange(300), np.arange(400)).astype(dtype)
    small, fast = (as_png(ramp, compress=compress) for compress in (True, False))
    assert len(small) < len(fast)
    assert np.array_equal(ramp, read_picture(small).frames[0].pixels)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_exif_profile_and_resolution_are_kept(tmp_path: Path, suffix: str) -> None:
    from PIL import ImageCms

    exif = Image.Exif()
    exif[0x010F] = "Maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    metadata = Metadata(exif.tobytes().removeprefix(b"Exif\0\0"), profile, (300.0, 150.0))
    pixels = RNG.integers(0, 256, (9, 8, 3)).astype(np.uint8)
    path = tmp_path / f"kept{suffix}"
    write_picture(path, Picture((Frame(pixels),), metadata))
    with Image.open(path) as got:
        assert got.getexif()[0x010F] == "Maker"
        assert got.info["icc_profile"] == profile
        if suffix != ".webp":  # the format has no resolution of its own
            assert [float(dots) for dots in got.info["dpi"]] == pytest.approx([300, 150], rel=1e-3)


@pytest.mark.parametrize(
    ("suffix", "pixels", "alpha", "said"),
    [
        (".jpg", np.zeros((2, 2, 4), np.uint8), True, "JPEG has no transparency"),
        (".jpg", np.zeros((2, 2), np.uint16), False, "JPEG files cannot hold this 16-bit"),
        (".webp", np.zeros((2, 2, 3), np.float32), False, "WEBP files cannot hold this floating"),
        (".png", np.zeros((2, 2, 5), np.uint8), False, "PNG files cannot hold this 8-bit picture"),
        (".png", np.zeros((2, 2), np.float32), False, "PNG files cannot hold this floating"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, suffix: str, pixels: np.ndarray, alpha: bool, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        write_picture(tmp_path / f"out{suffix}", Picture((Frame(pixels, alpha),)))
    assert not list(tmp_path.iterdir())


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'\.pgn'.*Did you mean .*Use one of"):
        write_picture(tmp_path / "out.pgn", Picture((Frame(np.zeros((2, 2), np.uint8)),)))


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp"])
def test_every_frame_is_written(tmp_path: Path, suffix: str) -> None:
    frames = tuple(Frame(np.full((4, 5, 3), 90 * i, np.uint8), seconds=0.05) for i in range(3))
    path = tmp_path / f"many{suffix}"
    write_picture(path, Picture(frames))
    got = read_picture(path)
    assert [int(frame.pixels[0, 0, 0]) for frame in got.frames] == [0, 90, 180]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    frames = tuple(Frame(np.zeros((4, 5, 3), np.uint8)) for _ in range(3))
    (said,) = write_picture(tmp_path / "one.bmp", Picture(frames))
    assert said == "BMP holds one picture: the first of 3 frames was written."


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("compress", [False, True])
def test_a_png_keeps_xmp_and_texts(tmp_path: Path, count: int, compress: bool) -> None:
    metadata = Metadata(xmp=b"<x:xmpmeta/>", text=(("Comment", "caf\u00e9"),))
    frames = tuple(Frame(np.full((4, 5), 9 * i, np.uint8)) for i in range(count))
    path = tmp_path / "kept.png"
    assert not write_picture(
        path, Picture(frames, metadata), options=FileOptions(compress=compress)
    )
    with Image.open(path) as got:
        got.load()
        assert got.text["XML:com.adobe.xmp"] == "<x:xmpmeta/>"
        assert got.text["Comment"] == "caf\u00e9"
