"""Formats whose depth Pillow does not keep: TIFF, JPEG 2000, 16-bit PGM and PPM, PFM.

TIFF needs tifffile, JPEG 2000 imagecodecs (extra `tiff`). Netpbm: its manual pages pgm(5) and
ppm(5); PFM: Paul Debevec's, rows from the bottom.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import TiffImagePlugin

from convcli.errors import InputError, missing_extra
from convcli.imaging.metadata import tiff_metadata
from convcli.imaging.picture import (
    Content,
    Frame,
    Metadata,
    Picture,
    Pixels,
    channels_of,
    cmyk_to_rgb,
    to_sixteen_bits,
    upright,
    white_level,
)

GRAY, PALETTE, CMYK, RGB = (0, 1), 3, 5, 2
ASSOCIATED, UNASSOCIATED = 1, 2
BITS, PHOTOMETRIC, SAMPLES, PLANAR, SAMPLE_FORMAT = 258, 262, 277, 284, 339
LARGEST_EXACT = 1 << 24
"""Whole numbers up to this are exact as float32."""


def read_tiff(content: Content) -> Picture | None:
    """Return a TIFF with all pages at full depth; what Pillow reads exactly is left to it."""
    odd = _beyond_pillow(content)
    if odd is None:
        return None
    tifffile = _tifffile(f"{content.name}: files such as this {odd}")
    notes: dict[str, None] = {}
    with content.open() as file, tifffile.TiffFile(file) as opened:
        pages = [page for page in opened.pages if not page.is_reduced]
        _check_size(content, pages)
        frames = [_frame(page, content.name, notes) for page in pages]
    with content.open() as file:
        metadata, orientation = tiff_metadata(file)
    if len(frames) == 1:
        frames = [Frame(upright(frames[0].pixels, orientation), frames[0].has_alpha)]
    return Picture(tuple(frames), metadata, "TIFF", (*notes, *metadata.dropped))


def _tifffile(what: str) -> Any:
    try:
        import imagecodecs  # noqa: F401  (tifffile's decoders)
        import tifffile
    except ImportError as problem:
        raise missing_extra("tifffile", "tiff", what) from problem
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its doubts are not ours
    return tifffile


def _beyond_pillow(content: Content) -> str | None:
    """Return what kind of TIFF needs more than Pillow, or None."""
    try:
        with content.open() as file, TiffImagePlugin.TiffImageFile(file) as image:
            for page in range(getattr(image, "n_frames", 1)):
                image.seek(page)
                if not _is_exact(image):
                    return _kind_of_page(image.tag_v2)
    except Exception:  # Pillow answers what it does not know with any of these
        return "kind of TIFF"
    return None


def _is_exact(image: Any) -> bool:
    """Tell whether Pillow keeps every number of the page."""
    tags = image.tag_v2
    bits, samples = tags.get(BITS, (1,)), tags.get(SAMPLES, 1)
    numbers = set(tags.get(SAMPLE_FORMAT, (1,)))
    if samples == 1 and bits != (8,) and max(bits) > 8:
        return tags.get(PHOTOMETRIC) == 1 and (bits, numbers) in (((16,), {1}), ((32,), {3}))
    plain = numbers == {1} and max(bits) <= 8 and samples <= 4
    return plain and (samples == 1 or (tags.get(PLANAR, 1) == 1 and set(bits) == {8}))


def _kind_of_page(tags: Any) -> str:
    planar = "planar " if tags.get(PLANAR, 1) == 2 and tags.get(SAMPLES, 1) > 1 else ""
    kind = {2: "signed ", 3: "float "}.get(tags.get(SAMPLE_FORMAT, (1,))[0], "")
    return f"{planar}{max(tags.get(BITS, (1,)))}-bit {kind}TIFF of {tags.get(SAMPLES, 1)} channels"


def _check_size(content: Content, pages: list[Any]) -> None:
    if not pages:
        raise InputError(f"{content.name}: this TIFF holds no picture.")
    widest = max(page.imagewidth for page in pages)
    rows = -(-sum(page.imagelength * page.imagewidth for page in pages) // max(widest, 1))
    channels = max(page.samplesperpixel for page in pages)
    number = max(1, -(-max(page.bitspersample for page in pages) // 8))
    largest = -(-rows // len(pages))
    content.limits.check(content.name, (largest, widest, channels, number), len(pages))


def _frame(page: Any, name: str, notes: dict[str, None]) -> Frame:
    axes, values = page.axes, page.asarray()
    if "S" in axes:
        values = np.moveaxis(values, axes.index("S"), -1)
    if set(axes) - set("YXS") or values.ndim > 3 or not values.size:
        raise InputError(f"{name}: a TIFF of shape {page.shape} ({axes}) is no flat picture.")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    photometric = int(page.photometric)
    if photometric == PALETTE:
        values, photometric = page.colormap.T[values], RGB
        notes["Palette expanded to colors."] = None
        if not (values % 257).any():
            values = (values // 257).astype(np.uint8)
        return Frame(np.ascontiguousarray(values))
    if photometric == 0:  # white is zero
        values = 1 - values if values.dtype.kind == "f" else _inverted(values, page.bitspersample)
    pixels = _known_depth(values, page.bitspersample, name, notes)
    pixels, has_alpha = _known_channels(pixels, page, photometric, name, notes)
    return Frame(np.ascontiguousarray(pixels), has_alpha)


def _inverted(values: Any, bits: int) -> Any:
    """Return whole numbers counted from the other end; of fewer bits than their type has, too."""
    return ~values & values.dtype.type((1 << bits) - 1) if values.dtype.kind == "u" else ~values


def _known_depth(values: Any, bits: int, name: str, notes: dict[str, None]) -> Any:
    """Return numbers as uint8, uint16 or float32; what that rounds is said or refused."""
    kind = values.dtype.kind
    if kind == "b":
        return values * np.uint8(255)
    if values.dtype == np.uint8:
        return values if bits == 8 else (values * (255 / ((1 << bits) - 1))).round().astype("u1")
    if values.dtype == np.uint16:
        scaled, said = to_sixteen_bits(values, (1 << bits) - 1)
        notes |= dict.fromkeys(said)
        return scaled
    if kind == "f":
        single = values.astype(np.float32)
        if values.itemsize > 4 and not np.array_equal(single, values, equal_nan=True):
            notes["64-bit numbers rounded to float32."] = None
        return single
    if kind not in "iu":
        raise InputError(f"{name}: a TIFF of {values.dtype} numbers is no picture.")
    if max(abs(int(values.min())), abs(int(values.max()))) > LARGEST_EXACT:
        raise InputError(f"{name}: {bits}-bit integers above 16,777,216 would lose digits.")
    notes[f"{bits}-bit {'signed ' * (kind == 'i')}integers read as float32, exactly."] = None
    return values.astype(np.float32)


def _known_channels(
    pixels: Pixels, page: Any, photometric: int, name: str, notes: dict[str, None]
) -> tuple[Pixels, bool]:
    """Return gray or RGB, and whether the last channel is transparency."""
    colors = {0: 1, 1: 1, RGB: 3, CMYK: 4, 6: 3}.get(photometric)
    if colors is None or (photometric == 6 and int(page.compression) not in {6, 7}):
        raise InputError(
            f"{name}: a TIFF of {page.photometric.name} colors at {page.bitspersample} bits is not "
            "read; save it as RGB."
        )
    extra = [int(one) for one in page.extrasamples]
    found = channels_of(pixels)
    has_alpha = found == colors + 1 and extra[:1] in ([ASSOCIATED], [UNASSOCIATED])
    if photometric == CMYK:
        notes["CMYK converted to RGB; its color profile was dropped."] = None
        alpha = pixels[..., 4:5] if has_alpha else pixels[..., :0]
        pixels = np.concatenate([cmyk_to_rgb(pixels[..., :4]), alpha], axis=2)
    if has_alpha and extra[0] == ASSOCIATED:
        notes["Premultiplied colors divided by their transparency."] = None
        share = pixels[..., -1:] / np.float64(white_level(pixels.dtype))
        straight = pixels[..., :-1] / np.where(share > 0, share, 1)
        if pixels.dtype.kind == "u":
            straight = straight.round().clip(0, white_level(pixels.dtype))
        pixels = np.concatenate([straight.astype(pixels.dtype), pixels[..., -1:]], axis=2)
    return pixels, has_alpha


def write_deep_tiff(
    file: BinaryIO, frames: tuple[Frame, ...], metadata: Metadata, *, compress: bool
) -> None:
    """Write frames of any depth and number of channels, losslessly packed."""
    tifffile = _tifffile("TIFF files of deep colors")
    options: dict[str, Any] = {
        "compression": "zlib",
        "compressionargs": {"level": 9 if compress else 1},
        "predictor": True,
        "metadata": None,
        "planarconfig": "contig",
        "iccprofile": metadata.icc,
    }
    if metadata.dots_per_inch:
        options |= {"resolution": metadata.dots_per_inch, "resolutionunit": "INCH"}
    with tifffile.TiffWriter(file) as writer:
        for frame in frames:
            channels = channels_of(frame.pixels)
            is_rgb = channels - frame.has_alpha == 3
            writer.write(
                frame.pixels,
                photometric="rgb" if is_rgb else "minisblack",
                extrasamples=["unassalpha"] if frame.has_alpha else None,
                **options | ({} if channels > 1 else {"planarconfig": None}),
            )


def add_tags(file: BinaryIO, tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Add tags to the first page of a finished TIFF file, sub-directories with them.

    Encoders refuse some of these, or read them as a layout; behind the pixels they change none.
    """
    file.seek(0)
    header = file.read(8)
    order = "<" if header[:2] == b"II" else ">"
    (start,) = struct.unpack(order + "L", header[4:])
    entries = dict(_entries(file, start, order))
    file.seek(start + 2 + 12 * len(entries))
    following = file.read(4)
    end = file.seek(0, 2)
    end += file.write(b"\0" * (end % 2))
    file.write(tags.tobytes(end))
    entries |= dict(_entries(file, end, order))
    end = file.seek(0, 2)
    end += file.write(b"\0" * (end % 2))
    file.write(struct.pack(order + "H", len(entries)))
    file.write(b"".join(entry for _, entry in sorted(entries.items())) + following)
    file.seek(4)
    file.write(struct.pack(order + "L", end))


def _entries(file: BinaryIO, start: int, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield number and record of each tag of a directory."""
    file.seek(start)
    (count,) = struct.unpack(order + "H", file.read(2))
    for record in [file.read(12) for _ in range(count)]:
        yield struct.unpack(order + "H", record[:2])[0], record


SIZE_MARKER = b"\xff\x4f\xff\x51"
"""Start of a codestream, then its sizes (ISO/IEC 15444-1, A.5.1)."""


def read_deep_jpeg2000(content: Content) -> Picture | None:
    """Return a picture of more than 8 bits a channel; the others are left to Pillow."""
    data = content.data()
    at = data.find(SIZE_MARKER)
    if at < 0 or len(data) < at + 43:
        return None
    right, lower, left, top = struct.unpack(">4L", data[at + 8 : at + 24])
    (channels,) = struct.unpack(">H", data[at + 40 : at + 42])
    bits = 1 + (data[at + 42] & 0x7F)
    if bits <= 8 or data[at + 42] & 0x80:
        return None
    content.limits.check(content.name, (lower - top, right - left, channels, 2))
    try:
        import imagecodecs
    except ImportError as problem:
        what = f"{content.name}: files such as this {bits}-bit JPEG 2000"
        raise missing_extra("imagecodecs", "tiff", what) from problem
    values = imagecodecs.jpeg2k_decode(data)
    pixels, notes = to_sixteen_bits(values.astype(np.uint16, copy=False), (1 << bits) - 1)
    has_alpha = pixels.ndim == 3 and pixels.shape[2] in {2, 4}
    return Picture((Frame(np.ascontiguousarray(pixels), has_alpha),), Metadata(), "JPEG2000", notes)


def write_deep_jpeg2000(file: BinaryIO, pixels: Pixels) -> None:
    """Write 16-bit pixels without loss."""
    try:
        import imagecodecs
    except ImportError as problem:
        raise missing_extra("imagecodecs", "tiff", "16-bit JPEG 2000 files") from problem
    file.write(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True))


_TOKEN = rb"(?:\s|#[^\n]*\n)+(-?[\d.]+(?:[eE][-+]?\d+)?)"
_HEADER = re.compile(rb"(P[56Ff])" + 3 * _TOKEN + rb"\s")
LONGEST_HEADER = 4096


def read_deep_pnm(content: Content) -> Picture | None:
    """Return a binary PGM or PPM of more than 8 bits; the others are left to Pillow."""
    data = content.data()
    found = _HEADER.match(data[:LONGEST_HEADER])
    if found is None or not found[4].isdigit() or not 255 < int(found[4]) < 65536:
        return None
    largest = int(found[4])
    pixels = _numbers(content, data, found, 3 if found[1] == b"P6" else 1, ">u2")
    values, notes = to_sixteen_bits(pixels.astype(np.uint16), largest)
    return Picture((Frame(values),), kind="PPM", notes=notes)


def read_pfm(content: Content) -> Picture:
    """Return a PFM, gray or color, as float32; its scale's sign is the order of bytes."""
    data = content.data()
    found = _HEADER.match(data[:LONGEST_HEADER])
    if found is None:
        raise InputError(f"{content.name}: the header of this PFM file is damaged.")
    order = "<f4" if float(found[4]) < 0 else ">f4"
    pixels = _numbers(content, data, found, 3 if found[1] == b"PF" else 1, order)
    return Picture((Frame(np.ascontiguousarray(pixels[::-1], np.float32)),), kind="PFM")


def _numbers(
    content: Content, data: bytes, found: re.Match[bytes], channels: int, dtype: str
) -> Pixels:
    width, height = int(found[2]), int(found[3])
    count, size = width * height * channels, np.dtype(dtype).itemsize
    content.limits.check(content.name, (height, width, channels, size))
    start = found.end()
    if not count or len(data) - start < count * size:
        raise InputError(
            f"{content.name}: the file is damaged or cut off ({len(data) - start:,} bytes behind "
            f"the header, {count * size:,} are needed)."
        )
    flat = np.frombuffer(data, dtype, count, start)
    return flat.reshape((height, width) if channels == 1 else (height, width, channels))


def write_pnm(file: BinaryIO, pixels: Pixels) -> None:
    """Write gray or RGB pixels, 8 or 16 bits, as a binary PGM or PPM."""
    height, width = pixels.shape[:2]
    magic, largest = "P5" if pixels.ndim == 2 else "P6", np.iinfo(pixels.dtype).max
    file.write(f"{magic}\n{width} {height}\n{largest}\n".encode())
    file.write(pixels.astype(f">u{pixels.dtype.itemsize}").tobytes())


def write_pfm(file: BinaryIO, pixels: Pixels) -> None:
    """Write gray or RGB float pixels as a PFM."""
    height, width = pixels.shape[:2]
    file.write(f"{'Pf' if pixels.ndim == 2 else 'PF'}\n{width} {height}\n-1.0\n".encode())
    file.write(pixels[::-1].astype("<f4").tobytes())
