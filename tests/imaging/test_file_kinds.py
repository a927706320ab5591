"""The table of file kinds: made by other programs, each read exactly or refused with a sentence.

What is read is compared with the numbers that the file was made of, not with another reader's.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convcli.errors import InputError
from convcli.imaging.formats import read_picture

RNG = np.random.default_rng(3)
HEIGHT, WIDTH = 33, 41


def numbers(dtype: Any, channels: int, largest: int | None = None) -> np.ndarray:
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return RNG.uniform(-0.5, 1.5, shape).astype(np.float32).astype(kind)
    low = -100 if kind.kind == "i" else 0
    return RNG.integers(low, (largest or min(np.iinfo(kind).max, 60000)) + 1, shape).astype(kind)


def check(path: Path, ref: np.ndarray) -> None:
    got = read_picture(path).frames[0].pixels
    assert got.shape == ref.shape
    assert np.array_equal(got, ref), f"largest difference {abs(got - ref.astype(float)).max()}"


PILLOW = [
    *product(["png", "tif", "webp", "tga", "jp2"], ["L", "RGB", "RGBA"]),
    *product(["png", "tif", "tga", "jp2"], ["LA"]),
    *product(["bmp", "ppm", "gif"], ["L"]),
    *product(["bmp", "ppm"], ["RGB"]),
    *product(["png", "tif", "ppm", "bmp", "gif"], ["1"]),
    *product(["png", "tif", "bmp", "tga", "gif"], ["P"]),
    *product(["png", "tif", "jp2"], ["I;16"]),
    ("tif", "F"), ("tif", "CMYK"), ("tif", "YCbCr"), ("tif", "LAB"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "mode"), PILLOW)
def test_kinds_that_pillow_writes(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"x.{suffix}"
    if (suffix, mode) == ("jp2", "I;16"):
        pytest.importorskip("imagecodecs", reason="reads JPEG 2000 of 16 bits; extra [tiff]")
    if mode == "I;16":
        made = Image.fromarray(numbers(np.uint16, 1))
    elif mode == "F":
        made = Image.fromarray(numbers(np.float32, 1))
    elif mode in {"1", "P"}:
        made = Image.fromarray(numbers(np.uint8, 1)).convert(mode)
    else:
        made = Image.fromarray(numbers(np.uint8, len(Image.new(mode, (1, 1)).getbands())), mode)
    options: dict[str, Any] = {"webp": {"lossless": True, "exact": True}}.get(suffix, {})
    made.save(path, **options)
    if suffix in {"gif", "bmp", "png", "tif", "tga"} and mode == "P":
        made = made.convert("RGB")
    elif mode in {"CMYK", "YCbCr", "LAB"}:
        made = Image.open(path).convert("RGB")
    elif mode == "1":
        made = made.convert("L")
    elif suffix == "gif":
        made = made.convert("RGB")
    got = read_picture(path).frames[0].pixels
    ref = np.asarray(made)
    if got.ndim == 2 and ref.ndim == 3:  # gray where all three are alike
        ref = ref[..., 0]
    elif ref.ndim == 2 and got.ndim == 3:
        got = got[..., 0]
    assert np.array_equal(got, ref)


TIFF = [
    *product(["u1", "u2", "f4", "f2"], [1, 3, 4], [{}]),
    *product(["u2", "f4"], [1, 3], [
        {"compression": "lzw"}, {"compression": "zlib", "predictor": True},
        {"compression": "zstd"}, {"compression": "packbits"},
        {"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"}, {"rowsperstrip": 7},
    ]),
    *product(["u1", "u2", "f4"], [3], [{"planarconfig": "separate"}]),
    *product(["i2", "i1", "f8"], [1, 3], [{}]),
    ("u4", 1, {}), ("i4", 1, {}), ("u2", 1, {"photometric": "miniswhite"}),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "channels", "options"), TIFF, ids=str)
def test_kinds_of_tiff(tmp_path: Path, dtype: str, channels: int, options: dict[str, Any]) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes these TIFF files")
    pytest.importorskip("imagecodecs", reason="packs them")
    ref = numbers(dtype, channels)
    told = dict(options)
    photometric = told.pop("photometric", "rgb" if channels > 2 else "minisblack")
    outer = {key: told.pop(key) for key in ("bigtiff", "byteorder") if key in told}
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    path, stored = tmp_path / "x.tif", ref
    if told.get("planarconfig") == "separate":
        stored = np.moveaxis(ref, 2, 0)
    tifffile.imwrite(path, stored, photometric=photometric, **outer, **extra, **told)
    check(path, 65535 - ref if photometric == "miniswhite" else ref)


def test_whole_numbers_that_float_cannot_hold_are_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes these TIFF files")
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.full((4, 5), 1 << 30, np.uint32))
    with pytest.raises(InputError, match="would lose digits"):
        read_picture(path)


MAGICK = {
    "PNG of 1 bit": ("png", "-depth 1 -define png:color-type=0 -define png:bit-depth=1", 1, 1),
    "PNG of 2 bits": ("png", "-define png:color-type=0 -define png:bit-depth=2", 1, 3),
    "PNG of 4 bits": ("png", "-define png:color-type=0 -define png:bit-depth=4", 1, 15),
    "PNG of 8 bits": ("png", "-define png:color-type=0 -define png:bit-depth=8", 1, 255),
    "PNG of 16 bits": ("png", "-define png:color-type=0 -define png:bit-depth=16", 1, 65535),
    "PNG48": ("png", "-define png:format=png48", 3, 65535),
    "interlaced PNG": ("png", "-interlace PNG -define png:format=png24", 3, 255),
    "interlaced PNG48": ("png", "-interlace PNG -define png:format=png48", 3, 65535),
    "PNG64": ("png", "-define png:format=png64", 3, 65535),
    "PGM of 4 bits": ("pgm", "-depth 4", 1, 15),
    "PGM of 16 bits": ("pgm", "-depth 16", 1, 65535),
    "PGM in text": ("pgm", "-compress none -depth 8", 1, 255),
    "PPM in text": ("ppm", "-compress none -depth 8", 3, 255),
    "PPM of 16 bits": ("ppm", "-depth 16", 3, 65535),
    "PFM": ("pfm", "", 3, 65535),
    "BMP2": ("bmp2", "-depth 8 -type TrueColor", 3, 255),
    "BMP3": ("bmp3", "-depth 8 -type TrueColor", 3, 255),
    "TGA": ("tga", "-orient TopLeft -depth 8 -compress none", 3, 255),
    "TGA, runs": ("tga", "-orient TopLeft -depth 8 -compress RLE", 3, 255),
    "TIFF of 12 bits": ("tif", "-depth 12", 1, 4095),
    "TIFF of 12 bits, color": ("tif", "-depth 12", 3, 4095),
    "TIFF of 16 bits, zip": ("tif", "-depth 16 -compress zip", 3, 65535),
    "TIFF of 16 bits, planar": ("tif", "-depth 16 -interlace plane", 3, 65535),
    "TIFF, big end": ("tif", "-depth 16 -endian MSB", 3, 65535),
    "TIFF of 4 bits": ("tif", "-depth 4", 1, 15),
    "TIFF, Group 4": ("tif", "-compress Group4 -monochrome", 1, 1),
    "WebP": ("webp", "-depth 8 -define webp:lossless=true", 3, 255),
    "JPEG 2000": ("jp2", "-depth 8 -quality 0 -define jp2:rate=1", 3, 255),
}
REFUSED = ("miff", "psd", "pcx", "xpm", "dds", "ico", "pict", "palm", "sun", "sgi", "viff", "pdf")


@pytest.fixture
def magick() -> str:
    found = shutil.which("magick") or shutil.which("convert")
    if found is None:
        pytest.skip("ImageMagick makes these files, and is not installed")
    return found


@pytest.mark.parametrize("kind", MAGICK)
def test_kinds_that_imagemagick_writes(magick: str, tmp_path: Path, kind: str) -> None:
    suffix, options, channels, largest = MAGICK[kind]
    if suffix == "tif":
        pytest.importorskip("tifffile", reason="reads the deep ones")
    ref = numbers(np.uint16, channels, largest)
    wide = (ref * (65535 / largest)).round().astype(np.uint16)
    made = tmp_path / "made.pgm"
    magic = "P5" if channels == 1 else "P6"
    made.write_bytes(f"{magic} {WIDTH} {HEIGHT} 65535\n".encode() + wide.astype(">u2").tobytes())
    path = tmp_path / f"x.{suffix[:3] if suffix.startswith('bmp') else suffix}"
    words = [magick, str(made), "-set", "colorspace", "sRGB", *options.split()]
    target = f"{suffix}:{path}"
    done = subprocess.run([*words, target], capture_output=True, text=True, check=False)
    if done.returncode or not path.exists():
        pytest.skip(f"this ImageMagick does not write it: {done.stderr[-80:]}")
    picture = read_picture(path)
    got = picture.frames[0].pixels
    if picture.frames[0].has_alpha:
        assert (got[..., -1] == np.iinfo(got.dtype).max).all()
        got = got[..., :-1]
    if got.ndim == 3 and channels == 1:
        got = got[..., 0]
    white = 1.0 if got.dtype.kind == "f" else np.iinfo(got.dtype).max
    tolerance = {"jp2": 3, "pfm": 1e-6}.get(suffix, 0)
    if largest == 4095:
        tolerance = 33  # ImageMagick itself rounds to 12 bits two steps beside at the worst
    expected = wide / 65535 * white
    assert got.shape == expected.shape
    worst = np.abs(got - (expected if got.dtype.kind == "f" else expected.round())).max()
    assert worst <= tolerance


@pytest.mark.parametrize("suffix", REFUSED)
def test_other_kinds_are_refused_with_a_sentence(magick: str, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    words = [magick, "-size", "20x16", "gradient:", f"{suffix}:{path}"]
    if subprocess.run(words, capture_output=True, check=False).returncode or not path.exists():
        pytest.skip("this ImageMagick does not write it")
    with pytest.raises(InputError, match=r"x\.\w+: "):
        read_picture(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "tif", "png"])
def test_every_orientation_is_seen_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    exiftool = shutil.which("exiftool")
    if exiftool is None:
        pytest.skip("exiftool writes the orientation, and is not installed")
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(numbers(np.uint8, 3)).save(path)
    stored = np.asarray(Image.open(path))
    words = [exiftool, "-q", "-n", f"-Orientation={orientation}", "-overwrite_original", str(path)]
    subprocess.run(words, check=True, capture_output=True)
    turned = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(stored),
    }
    check(path, turned[orientation])


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_bits_of_an_avif_that_are_lost_are_said(tmp_path: Path, bits: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs", reason="writes AVIF of 10 and 12 bits")
    pixels = numbers(np.uint8 if bits == 8 else np.uint16, 3, (1 << bits) - 1)
    data = imagecodecs.avif_encode(pixels, level=100, bitspersample=bits, pixelformat="444")
    notes = read_picture(data).notes
    said = f"{bits}-bit AVIF read at 8 bits a channel: finer steps are lost."
    assert notes == (() if bits == 8 else (said,))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(("channels", "kind"), [(1, 0), (3, 2), (2, 4), (4, 6)])
def test_frames_of_a_deep_animated_png_are_read_or_their_loss_is_said(
    channels: int, kind: int
) -> None:
    frames = [numbers(np.uint16, channels) for _ in range(2)]
    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, kind, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">II", 2, 0))
    for number, frame in enumerate(frames):
        place = struct.pack(">IIIIIHHBB", number, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)
        rows = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in frame))
        data += chunk(b"fcTL", place)
        data += chunk(b"fdAT", struct.pack(">I", 2) + rows) if number else chunk(b"IDAT", rows)
    picture = read_picture(data + chunk(b"IEND", b""))
    said = ("Only the first frame of this 16-bit animated PNG is read.",)
    kept = 2 if channels == 1 else 1
    assert picture.notes == (() if kept == 2 else said)
    assert len(picture.frames) == kept
    for got, ref in zip(picture.frames, frames, strict=False):
        assert np.array_equal(got.pixels, ref)
