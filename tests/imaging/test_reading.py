"""Every kind of picture file comes in at its full depth, and what was changed is said."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convcli.errors import InputError
from convcli.imaging.formats import read_picture

RNG = np.random.default_rng(3)


def png_bytes(
    pixels: NDArray[np.uint16], color_type: int, clear: NDArray[np.uint16] | None = None
) -> bytes:
    """A 16-bit PNG after the specification, all rows with filter 0; `clear` becomes tRNS."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    parts = chunk(b"IHDR", header)
    if clear is not None:
        parts += chunk(b"tRNS", clear.astype(">u2").tobytes())
    parts += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize(("channels", "color_type"), [(1, 0), (3, 2)])
def test_the_clear_color_of_a_sixteen_bit_png_becomes_transparency(
    channels: int, color_type: int
) -> None:
    ref = RNG.integers(0, 65536, (5, 6, channels)).astype(np.uint16)
    ref[2, 3] = ref[0, 0]
    ref[1, 1] = ref[0, 0] ^ 1  # only the low byte differs
    (frame,) = read_picture(png_bytes(ref, color_type, clear=ref[0, 0])).frames
    assert frame.has_alpha
    assert np.array_equal(ref, frame.pixels[..., :-1])
    clear = np.argwhere(frame.pixels[..., -1] == 0).tolist()
    assert clear == [[0, 0], [2, 3]]
    assert set(np.unique(frame.pixels[..., -1])) == {0, 65535}


@pytest.mark.parametrize(("channels", "color_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_sixteen_bit_png_keeps_every_bit(channels: int, color_type: int) -> None:
    ref = RNG.integers(0, 65536, (7, 9, channels)).astype(np.uint16)
    (frame,) = read_picture(png_bytes(ref, color_type)).frames
    assert frame.pixels.dtype == np.uint16
    assert np.array_equal(ref if channels > 1 else ref[..., 0], frame.pixels)
    assert frame.has_alpha == (channels in {2, 4})


@pytest.mark.parametrize("compression", [1, 5, 8])
def test_sixteen_bit_color_tiff_keeps_every_bit(tmp_path: Path, compression: int) -> None:
    cv2 = pytest.importorskip("cv2", reason="writes 16-bit color TIFF")
    ref = RNG.integers(0, 65536, (31, 17, 3)).astype(np.uint16)
    path = tmp_path / "deep.tif"
    cv2.imwrite(str(path), ref[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert np.array_equal(ref, read_picture(path).frames[0].pixels)


def test_sixteen_bit_ppm_keeps_every_bit_and_other_depths_are_spread() -> None:
    data = b"P6 2 1 65535\n" + np.arange(6, dtype=">u2").tobytes()
    assert read_picture(data).frames[0].pixels.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    got = read_picture(b"P5 2 1 # 12 bits\n4095\n" + np.array([1, 4095], ">u2").tobytes())
    assert got.frames[0].pixels.tolist() == [[16, 65535]]
    assert got.notes == ("Values of 0 to 4095 spread over 16 bits (0 to 65535).",)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_one_bit_becomes_gray_and_a_palette_colors() -> None:
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    got = read_picture(saved(bits, "PNG"))
    assert got.frames[0].pixels.tolist() == [[0, 255], [255, 0]]
    assert "1-bit" in got.notes[0]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    got = read_picture(saved(palette, "PNG"))
    assert got.frames[0].pixels.tolist() == [[[10, 20, 30], [40, 50, 60]]]
    assert "Palette" in got.notes[0]


def test_a_transparent_palette_gets_an_alpha_channel() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    frame = read_picture(saved(palette, "PNG", transparency=1)).frames[0]
    assert frame.has_alpha
    assert frame.pixels[..., 3].tolist() == [[255, 0]]


def test_cmyk_is_converted_and_said() -> None:
    got = read_picture(saved(Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "TIFF"))
    assert got.frames[0].pixels.shape == (2, 3, 3)
    assert got.frames[0].pixels[0, 0].tolist() == [255, 0, 0]
    assert "CMYK" in got.notes[0]


def test_float_tiff_stays_float() -> None:
    ref = RNG.normal(0, 3, (5, 4)).astype(np.float32)
    frame = read_picture(saved(Image.fromarray(ref), "TIFF")).frames[0]
    assert frame.pixels.dtype == np.float32
    assert np.array_equal(ref, frame.pixels)


# What the EXIF specification says each orientation's first row and column show.
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_the_tag_reset(orientation: int) -> None:
    pixels = RNG.integers(0, 256, (4, 6, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    data = saved(Image.fromarray(pixels), "PNG", exif=exif)
    from PIL import ImageOps

    ref = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    got = read_picture(data)
    assert np.array_equal(ref, got.frames[0].pixels)
    kept = Image.Exif()
    kept.load(got.metadata.exif or b"")
    assert (kept[0x0112], kept[0x010F]) == (1, "Maker")


def test_every_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (4, 3), (60 * i, 0, 0)) for i in range(3)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=70, loop=0)
    got = read_picture(data)
    assert [frame.pixels[0, 0, 0] for frame in got.frames] == [0, 60, 120]
    assert [frame.seconds for frame in got.frames] == [0.07] * 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_every_frame_of_an_animated_png_or_webp_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (4, 3), (60 * i, 0, 0)) for i in range(3)]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    rest = {"save_all": True, "append_images": frames[1:], "duration": 70}
    got = read_picture(saved(frames[0], kind, **rest, **lossless))
    assert [frame.pixels[0, 0, 0] for frame in got.frames] == [0, 60, 120]
    assert [frame.seconds for frame in got.frames] == [0.07] * 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "PPM", "WEBP"])
def test_a_cut_off_file_is_named_and_never_read_in_part(kind: str, tmp_path: Path) -> None:
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8))
    data = saved(noise, kind)
    path = tmp_path / f"cut.{kind.lower()}"
    for size in (1, 20, len(data) // 3, len(data) // 2):
        path.write_bytes(data[:size])
        with pytest.raises(InputError, match=r"cut\."):
            read_picture(path)


def test_too_many_pixels_are_refused_before_they_are_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header
    data += struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(InputError, match=r"3,600,000,000 pixels.*--max-pixels 3600000000"):
        read_picture(data)
