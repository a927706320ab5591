"""Large PNG files: the fast way gives Pillow's pixels, and hands everything unusual to Pillow."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from convcli.errors import InputError
from convcli.imaging import png
from convcli.imaging.formats import read_picture
from convcli.imaging.png import COLOR_TYPES, read_large_png, write_png

pytestmark = pytest.mark.skipif(
    not png.compiled_code_runs(), reason="rows are unfiltered by compiled code"
)


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "WORTH_PIXELS", 1)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_bytes(rows: np.ndarray, width: int, channels: int) -> bytes:
    """A PNG whose rows (filter byte first) are stored as given: any bytes are a valid picture."""
    kind = COLOR_TYPES[channels]
    header = struct.pack(">IIBBBBB", width, len(rows), 8, kind, 0, 0, 0)
    data = zlib.compress(rows.tobytes())
    parts = [chunk(b"IDAT", data[at : at + 50]) for at in range(0, len(data), 50)]
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_five_filters_give_pillows_pixels(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(channels)
    rows = rng.integers(0, 256, (60, 1 + 13 * channels)).astype(np.uint8)
    for first in range(5):  # each filter also on the first row
        rows[:, 0] = [first, *rng.integers(0, 5, 59)]
        path = tmp_path / f"{first}.png"
        path.write_bytes(png_of_bytes(rows, 13, channels))
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), read_large_png(path))


def test_what_it_cannot_read_is_left_to_pillow(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    plain = tmp_path / "plain.png"
    Image.fromarray(pixels).save(plain)
    assert np.array_equal(pixels, read_large_png(plain))
    unusual = {
        "deep": Image.fromarray(pixels[..., 0].astype(np.uint16)),
        "palette": Image.fromarray(pixels).quantize(),
    }
    for name, image in unusual.items():
        image.save(tmp_path / f"{name}.png")
        assert read_large_png(tmp_path / f"{name}.png") is None
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "after")
    Image.fromarray(pixels).save(tmp_path / "text.png", pnginfo=words)
    assert read_large_png(tmp_path / "text.png") is None
    assert np.array_equal(pixels, read_picture(tmp_path / "text.png").frames[0].pixels)


def test_damage_is_found_and_told_by_pillow(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (40, 91)).astype(np.uint8)
    rows[:, 0] = 0
    good = png_of_bytes(rows, 30, 3)
    rows[7, 0] = 9  # no such filter
    longer = np.concatenate([rows, rows])
    for data in (good[:400], good[:-60], png_of_bytes(rows, 30, 3)):
        path = tmp_path / "bad.png"
        path.write_bytes(data)
        assert read_large_png(path) is None
    path.write_bytes(good[:400])
    with pytest.raises(InputError, match="cut off"):
        read_picture(path)
    path.write_bytes(
        png_of_bytes(longer, 30, 3).replace(struct.pack(">II", 30, 80), struct.pack(">II", 30, 40))
    )
    assert read_large_png(path) is None


def test_resolution_and_profile_are_still_found(tmp_path: Path) -> None:
    from convcli.imaging.picture import Metadata

    path = tmp_path / "kept.png"
    pixels = np.zeros((5, 6, 3), np.uint8)
    with path.open("wb") as file:
        write_png(file, pixels, Metadata(icc=b"profile", dots_per_inch=(300, 300)))
    assert read_large_png(path) is not None
    got = read_picture(path).metadata
    assert got.icc == b"profile"
    assert got.dots_per_inch == pytest.approx((300, 300), rel=1e-3)
