"""Deep pictures as other programs write them: every number exact, or refused with a sentence."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convcli
from convcli.errors import InputError
from convcli.imaging.formats import encoded, read_picture, write_picture
from convcli.imaging.picture import Frame, Metadata, Picture

tifffile = pytest.importorskip("tifffile", reason="writes TIFF files as other programs do")
imagecodecs = pytest.importorskip("imagecodecs", reason="packs TIFF and JPEG 2000")

RNG = np.random.default_rng(11)
CHANNELS = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "rgba": 4}


def tiff_bytes(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if dtype[0] == "f":
        return RNG.normal(0, 3, shape).astype(dtype)
    return RNG.integers(0, min(np.iinfo(dtype).max, 1 << 24), shape).astype(dtype)


PACKINGS: list[dict[str, Any]] = [
    {},
    {"compression": "lzw", "predictor": True},
    {"compression": "zstd", "tile": (16, 16)},
    {"compression": "zlib", "bigtiff": True},
    {"byteorder": ">"},
]
KINDS = [
    (dtype, color, planes, packing)
    for dtype in ("u1", "u2", "f2", "f4", "f8", "i2", "u4")
    for color, channels in CHANNELS.items()
    for planes in (("contig",) if channels == 1 else ("contig", "separate"))
    for packing in PACKINGS
    if not (dtype == "f2" and "predictor" in packing)  # tifffile has none for half precision
    and not (dtype == "u4" and color == "miniswhite")  # beyond 24 bits: refused, see below
]


@pytest.mark.parametrize(
    ("dtype", "color", "planes", "packing"),
    KINDS,
    ids=lambda one: one if isinstance(one, str) else "-".join(one) or "plain",
)
def test_every_kind_of_tiff_is_exact(
    dtype: str, color: str, planes: str, packing: dict[str, Any]
) -> None:
    channels = CHANNELS[color]
    ref = numbers(dtype, (33, 18) if channels == 1 else (33, 18, channels))
    stored = ref if planes == "contig" or channels == 1 else np.moveaxis(ref, 2, 0)
    options = {"planarconfig": planes, "extrasamples": ["unassalpha"] if channels == 4 else None}
    data = tiff_bytes(
        stored, photometric=color.replace("rgba", "rgb"), **(options if channels > 1 else {}),
        **packing,
    )  # fmt: skip
    picture = read_picture(data)
    (frame,) = picture.frames
    if color == "miniswhite":
        ref = 1 - ref if dtype[0] == "f" else ~ref
    if dtype in {"u1", "u2"}:
        assert frame.pixels.dtype == dtype
    else:
        ref = ref.astype(np.float32)
    assert np.array_equal(ref, frame.pixels)
    assert frame.has_alpha == (channels == 4)
    assert any("rounded to float32" in note for note in picture.notes) == (dtype == "f8")


def test_wide_integers_are_refused_where_they_would_lose_digits() -> None:
    data = tiff_bytes(np.full((4, 4), (1 << 24) + 1, np.uint32))
    with pytest.raises(InputError, match="32-bit integers above 16,777,216"):
        read_picture(data)


def test_twelve_bits_are_spread_and_said() -> None:
    ref = RNG.integers(0, 4096, (8, 9, 3)).astype(np.uint16)
    packed = {"photometric": "rgb", "bitspersample": 12}
    picture = read_picture(tiff_bytes(ref, **packed))
    assert np.array_equal(np.rint(ref * (65535 / 4095)), picture.frames[0].pixels)
    assert "0 to 4095 spread over 16 bits" in picture.notes[0]


def test_sixteen_bit_cmyk_keeps_its_depth() -> None:
    ink = RNG.integers(0, 65536, (5, 6, 4)).astype(np.uint16)
    picture = read_picture(tiff_bytes(ink, photometric="separated"))
    paper = 1 - ink / 65535
    assert np.array_equal(
        np.rint(paper[..., :3] * paper[..., 3:] * 65535), picture.frames[0].pixels
    )
    assert picture.frames[0].pixels.dtype == np.uint16
    assert "CMYK" in picture.notes[0]


def test_every_page_is_read_and_a_color_space_that_is_not_is_named() -> None:
    pages = numbers("u2", (3, 6, 5, 3))
    picture = read_picture(tiff_bytes(pages, photometric="rgb"))
    assert np.array_equal(pages, np.stack([frame.pixels for frame in picture.frames]))
    with pytest.raises(InputError, match="CIELAB colors at 16 bits"):
        read_picture(tiff_bytes(pages[0], photometric="cielab"))


def test_colors_under_their_transparency_are_made_straight() -> None:
    straight = np.array([[[60000, 30000, 0, 32768], [9, 9, 9, 0]]], np.uint16)
    stored = straight.copy()
    stored[..., :3] = np.rint(straight[..., :3] * (straight[..., 3:] / 65535))
    data = tiff_bytes(stored, photometric="rgb", extrasamples=["assocalpha"])
    (frame,) = read_picture(data).frames
    assert np.abs(frame.pixels[0, 0].astype(int) - straight[0, 0]).max() <= 1


WITHOUT_EXTRA = """
import sys
sys.modules["tifffile"] = sys.modules["imagecodecs"] = None
from convcli.cli.main import run
sys.exit(run(["filter", *sys.argv[1:], "-k", "box", "-o", "out/"]))
"""


@pytest.mark.parametrize(
    ("dtype", "planes", "said"),
    [
        ("u2", "contig", "16-bit TIFF of 3 channels"),
        ("u2", "separate", "planar 16-bit TIFF of 3 channels"),
        ("f4", "contig", "TIFF"),
        ("u1", "separate", "planar 8-bit TIFF of 3 channels"),
    ],
)
def test_without_the_extra_a_deep_or_planar_tiff_is_refused_by_name(
    dtype: str, planes: str, said: str, tmp_path: Path
) -> None:
    ref = numbers(dtype, (6, 5, 3))
    stored = ref if planes == "contig" else np.moveaxis(ref, 2, 0)
    (tmp_path / "deep.tif").write_bytes(
        tiff_bytes(np.ascontiguousarray(stored), photometric="rgb", planarconfig=planes)
    )
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, "deep.tif"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert said in done.stderr
    assert "pip install 'convcli[tiff]'" in done.stderr


def test_without_the_extra_plain_and_gray_tiffs_are_read(tmp_path: Path) -> None:
    for name, pixels in (
        ("color.tif", numbers("u1", (6, 5, 3))),
        ("gray.tif", numbers("u2", (6, 5))),
        ("float.tif", numbers("f4", (6, 5))),
    ):
        (tmp_path / name).write_bytes(tiff_bytes(pixels))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, "color.tif", "gray.tif", "float.tif"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("pages", [1, 2])
def test_written_tiffs_are_read_by_tifffile_as_they_were(
    dtype: str, channels: int, pages: int, tmp_path: Path
) -> None:
    has_alpha = channels in {2, 4}
    shape = (21, 13) if channels == 1 else (21, 13, channels)
    refs = [numbers(dtype, shape) for _ in range(pages)]
    frames = tuple(Frame(ref, has_alpha) for ref in refs)
    path = tmp_path / "out.tif"
    write_picture(path, Picture(frames, Metadata(text=(("Comment", "kept"),)), "TIFF"))
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == pages
        assert file.pages[0].description == "kept"
        for ref, page in zip(refs, file.pages, strict=True):
            assert np.array_equal(ref, page.asarray())
            assert [int(one) for one in page.extrasamples][-1:] == ([2] if has_alpha else []) or (
                channels == 5
            )
    again = read_picture(path)
    assert all(
        np.array_equal(ref, frame.pixels) for ref, frame in zip(refs, again.frames, strict=True)
    )
    assert again.frames[0].has_alpha == has_alpha


def test_the_default_output_of_a_deep_tiff_is_a_deep_tiff(tmp_path: Path) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="the oracle for filters")
    ref = numbers("u2", (30, 20, 3))
    path = tmp_path / "deep.tif"
    path.write_bytes(tiff_bytes(ref, photometric="rgb"))
    from convcli.cli.main import run

    assert run(["filter", str(path), "-k", "1 1 1; 1 1 1; 1 1 1", "--divisor", "9"]) == 0
    got = tifffile.imread(tmp_path / "deep_custom.tif")
    assert got.dtype == np.uint16
    blurred = np.dstack(
        [ndimage.correlate(ref[..., c].astype(float), np.full((3, 3), 1 / 9)) for c in range(3)]
    )
    assert np.abs(got - blurred).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_pfm_both_ways_and_as_opencv_reads_it(channels: int, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="reads and writes PFM")
    ref = numbers("f4", (7, 6) if channels == 1 else (7, 6, 3))
    ours, theirs = tmp_path / "ours.pfm", tmp_path / "theirs.pfm"
    write_picture(ours, Picture((Frame(ref),)))
    flipped = ref if channels == 1 else ref[..., ::-1]
    assert np.array_equal(flipped, cv2.imread(str(ours), cv2.IMREAD_UNCHANGED))
    cv2.imwrite(str(theirs), flipped)
    assert np.array_equal(ref, read_picture(theirs).frames[0].pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bit_pnm_as_opencv_reads_it(channels: int, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="reads 16-bit PPM")
    ref = numbers("u2", (7, 6) if channels == 1 else (7, 6, 3))
    path = tmp_path / "deep.ppm"
    write_picture(path, Picture((Frame(ref),)))
    got = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(ref if channels == 1 else ref[..., ::-1], got)
    assert np.array_equal(ref, read_picture(path).frames[0].pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_jpeg_2000_both_ways(channels: int) -> None:
    ref = numbers("u2", (40, 37) if channels == 1 else (40, 37, channels))
    theirs = imagecodecs.jpeg2k_encode(ref, level=0, reversible=True)
    assert np.array_equal(ref, read_picture(theirs).frames[0].pixels)
    ours, _ = encoded("JPEG2000", Picture((Frame(ref, channels == 4),)))
    assert np.array_equal(ref, imagecodecs.jpeg2k_decode(ours))


def test_arrays_of_any_byte_order_and_pillow_pictures_are_what_they_are() -> None:
    from PIL import Image

    deep = numbers("u2", (6, 7))
    got = convcli.filter_image(deep.astype(">u2"), "sharpen")
    assert got.dtype == np.uint16
    assert np.array_equal(convcli.filter_image(deep, "sharpen"), got)
    colors = Image.fromarray(numbers("u1", (9, 8, 3)) // 2)
    palette = colors.quantize(8)
    ref = convcli.filter_image(np.asarray(palette.convert("RGB")), "box")
    assert np.array_equal(ref, convcli.filter_image(palette, "box"))
    ink = colors.convert("CMYK")
    ref = convcli.filter_image(np.asarray(ink.convert("RGB")), "box")
    assert np.array_equal(ref, convcli.filter_image(ink, "box"))


def test_fractions_in_double_precision_are_brightness_when_pixels_are_asked_for() -> None:
    image = RNG.random((12, 9))
    got = convcli.filter_image(image, "identity", value_range="clip")
    assert got.dtype.kind == "f"
    assert np.abs(got - image).max() < 1e-6
    levels = convcli.filter_image(np.rint(image * 255), "identity", value_range="clip")
    assert levels.dtype == np.uint8


def test_fractions_from_a_file_fill_the_bytes_of_a_png(tmp_path: Path) -> None:
    from PIL import Image

    from convcli.cli.main import run

    image = RNG.random((12, 9))
    np.save(tmp_path / "m.npy", image)
    words = ["-k", "identity", "--range", "clip", "-o", str(tmp_path / "m.png"), "--quiet"]
    assert run(["filter", str(tmp_path / "m.npy"), *words]) == 0
    assert np.abs(np.asarray(Image.open(tmp_path / "m.png")) - image * 255).max() <= 0.51
