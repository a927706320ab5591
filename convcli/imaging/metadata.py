"""What files say beside their pixels: collected when they are read, kept when they are written."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from PIL import Image, TiffImagePlugin

from convcli.imaging.picture import Metadata

ORIENTATION, SUB_DIRECTORY, GPS, INTEROP = 0x0112, 0x8769, 0x8825, 0xA005
DESCRIPTION, XMP, IPTC, PHOTOSHOP, ICC = 270, 700, 33723, 34377, 34675
X_DPI, Y_DPI, DPI_UNIT = 282, 283, 296
CENTIMETRE = 3
DESCRIBING = frozenset({271, 272, 274, 305, 306, 315, 316, 33432, SUB_DIRECTORY, GPS}) | frozenset(
    range(40091, 40096)
)
"""The tags of a TIFF's main directory that say something of the picture, not of its strips."""

GEOGRAPHIC = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113})
PROGRAMS_OWN = ("ImageJ=", '{"shape"', "<?xml", "hyperstack=")
"""Descriptions that programs read their own stack's layout from."""


def tiff_metadata(file: BinaryIO) -> tuple[Metadata, int]:
    """Return what the first page of a TIFF says, and its orientation."""
    header = file.read(8)
    if header[2:4] in {b"+\0", b"\0+"}:
        header += file.read(8)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    stored = tags._tagdata  # as they stand in the file, before Pillow takes them for numbers
    exif = Image.Exif()
    for tag in DESCRIBING.intersection(tags):
        exif[tag] = tags[tag]
    for tag in (SUB_DIRECTORY, GPS):
        if tag in tags:
            exif[tag] = _sub_directory(file, header, tags[tag], tag)
    orientation = int(exif.get(ORIENTATION, 1))
    tells = set(exif) - {ORIENTATION}
    dpi = None
    if X_DPI in tags and Y_DPI in tags and tags.get(DPI_UNIT, 2) in {2, CENTIMETRE}:
        inch = 2.54 if tags.get(DPI_UNIT, 2) == CENTIMETRE else 1.0
        dpi = float(tags[X_DPI]) * inch, float(tags[Y_DPI]) * inch
    text = stored.get(DESCRIPTION, b"").rstrip(b"\0").decode("utf-8", "replace")
    converted = tags.get(262) in {5, 8}
    return Metadata(
        exif=exif_block(exif) if tells else None,
        icc=None if converted else stored.get(ICC),
        dots_per_inch=dpi if dpi and min(dpi) > 0 else None,
        xmp=stored.get(XMP),
        iptc=stored.get(IPTC),
        text=(("Description", text),) if text and not text.startswith(PROGRAMS_OWN) else (),
        dropped=("The georeference (GeoTIFF tags) was left out.",)
        if GEOGRAPHIC.intersection(tags)
        else (),
    ), orientation


def _sub_directory(file: BinaryIO, header: bytes, place: Any, group: int) -> dict[int, Any]:
    tags = TiffImagePlugin.ImageFileDirectory_v2(header, group=group)
    file.seek(int(place))
    tags.load(file)
    return {tag: value for tag, value in dict(tags).items() if tag != INTEROP}


def exif_block(exif: Image.Exif) -> bytes:
    """Return an EXIF block, upright, without the prefix that JPEG has."""
    exif[ORIENTATION] = 1
    for tag, value in dict(exif).items():
        exif[tag] = _exact(value)
    return exif.tobytes().removeprefix(b"Exif\x00\x00")


def without_orientation(block: bytes) -> bytes:
    """Return an EXIF block for formats that keep the orientation elsewhere."""
    exif = Image.Exif()
    exif.load(block)
    for tag, value in dict(exif).items():
        exif[tag] = _exact(value)
    exif.pop(ORIENTATION, None)
    return exif.tobytes().removeprefix(b"Exif\x00\x00")


def _exact(value: Any) -> Any:
    """Return text as the bytes it was read from; Pillow writes ASCII only."""
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


def _as_bytes(value: Any) -> bytes | None:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def picture_metadata(image: Any, count: int) -> tuple[Metadata, int]:
    """Return what a picture opened by Pillow says, and its orientation.

    Args:
        image: after its pixels were unpacked: some files tell only then.
        count: of frames.
    """
    info = image.info
    exif = Image.Exif()
    if image.format != "PNG" or "exif" in info:  # without one, a PNG is unpacked to look
        exif = image.getexif()
    orientation = int(exif.get(ORIENTATION, 1))
    dpi = info.get("dpi")
    converted = image.mode in {"CMYK", "LAB"}
    photoshop = info.get("photoshop")
    iptc = photoshop.get(0x0404) if isinstance(photoshop, dict) else None
    return Metadata(
        exif=exif_block(exif) if info.get("exif") else None,
        icc=None if converted else info.get("icc_profile"),
        dots_per_inch=(float(dpi[0]), float(dpi[1])) if dpi else None,
        loop=info.get("loop") if count > 1 else None,
        xmp=_as_bytes(info.get("xmp")),
        iptc=iptc,
        text=tuple(_texts(image)),
    ), orientation if count == 1 else 1


def _texts(image: Any) -> list[tuple[str, str]]:
    """Return comments and PNG's texts, but for XMP and the profiles that programs hide there."""
    texts = getattr(image, "text", {}) if image.format == "PNG" else {}
    found = [
        (str(key), str(value))
        for key, value in texts.items()
        if key != "XML:com.adobe.xmp" and not key.startswith("Raw profile type")
    ]
    comment = image.info.get("comment")
    if comment and image.format in {"GIF", "JPEG", "JPEG2000"}:
        known = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
        found.append(("Comment", known))
    return found


def jpeg_iptc(iptc: bytes) -> bytes:
    """Return the marker that carries IPTC in a JPEG file (Photoshop's image resource 0x0404)."""
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">L", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    content = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def tiff_tags(metadata: Metadata, order: bytes) -> TiffImagePlugin.ImageFileDirectory_v2 | None:
    """Return the tags that carry EXIF, XMP, IPTC and texts in a TIFF, or None.

    Args:
        metadata: of the picture.
        order: `II` or `MM`, the file's order of bytes.
    """
    header = b"II*\0\x08\0\0\0" if order == b"II" else b"MM\0*\0\0\0\x08"
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    if metadata.exif:
        exif = Image.Exif()
        exif.load(metadata.exif)
        for tag in DESCRIBING.intersection(exif):
            tags[tag] = _exact(exif[tag])
        for tag in (SUB_DIRECTORY, GPS):
            directory = {key: one for key, one in exif.get_ifd(tag).items() if key != INTEROP}
            if directory:
                tags.tagtype[tag] = 4
                tags[tag] = directory
            else:
                tags.pop(tag, None)
    if metadata.text:
        tags[DESCRIPTION] = "\n".join(text for _, text in metadata.text).encode()
    for tag, kind, raw in ((XMP, 1, metadata.xmp), (IPTC, 7, metadata.iptc)):
        if raw:
            tags.tagtype[tag] = kind
            tags[tag] = raw
    return tags if len(tags) else None
