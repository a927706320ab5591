"""Every picture format: how files of it are read, and what it holds when it is written."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from convcli.environment import thread_count
from convcli.errors import ConvcliError, InputError, MissingFileError, UsageError, did_you_mean
from convcli.files import new_file
from convcli.imaging.deep import (
    add_tags,
    read_deep_jpeg2000,
    read_deep_pnm,
    read_pfm,
    read_tiff,
    write_deep_jpeg2000,
    write_deep_tiff,
    write_pfm,
    write_pnm,
)
from convcli.imaging.metadata import jpeg_iptc, tiff_tags, without_orientation
from convcli.imaging.options import FileOptions, Limits
from convcli.imaging.picture import Content, OnSize, Picture, channels_of
from convcli.imaging.pillow import read_with_pillow
from convcli.imaging.png import write_png

DEFAULT_QUALITY = 95
LARGEST_CLASSIC_TIFF = (1 << 32) - (1 << 20)
"""Tags are added to files whose places fit into 32 bits."""

SAID = {
    "exif": "EXIF",
    "icc": "color profile",
    "dots_per_inch": "resolution",
    "xmp": "XMP",
    "iptc": "IPTC",
    "text": "comments",
}

Encoder = Callable[[BinaryIO, Picture, FileOptions], None]


@dataclass(frozen=True, slots=True)
class Format:
    """What a format is called, how it is read and written, and what it holds.

    Attributes:
        suffixes: of file names.
        encode: writes all frames of a picture that fits.
        depths: `u1`, `u2` and `f4`, as NumPy names numbers.
        alpha: it has transparency.
        frames: it holds several pictures.
        channels: the most colors, or planes, that it holds.
        metadata: what it keeps, fields of `Metadata`.
        starts: first bytes of such a file, where Pillow does not read all of them in full.
        read: reads what Pillow would not; None from it leaves the file to Pillow.
        only_read: further suffixes, of files that are not written.
        has_quality: it weighs size against looks.
    """

    suffixes: tuple[str, ...]
    encode: Encoder
    depths: str = "u1"
    alpha: bool = False
    frames: bool = False
    channels: int = 3
    metadata: frozenset[str] = frozenset()
    starts: tuple[bytes, ...] = ()
    read: Callable[[Content], Picture | None] | None = None
    only_read: tuple[str, ...] = ()
    has_quality: bool = False


def _save(file: BinaryIO, kind: str, picture: Picture, told: dict[str, Any]) -> None:
    """Save by Pillow; an animation with its times."""
    first, *others = (Image.fromarray(frame.pixels) for frame in picture.frames)
    if others:
        told |= {"save_all": True, "append_images": others}
        if kind != "TIFF":
            told["duration"] = [round(1000 * (one.seconds or 0.1)) for one in picture.frames]
            loop = picture.metadata.loop
            if kind != "GIF" or loop is not None:  # a GIF without a count plays once
                told["loop"] = 1 if loop is None else loop
    first.save(file, kind, **told)


def _by_pillow(kind: str, tell: Callable[[Picture, FileOptions], dict[str, Any]]) -> Encoder:
    """Return the encoder of a format that Pillow writes, told what `tell` returns."""
    return lambda file, picture, options: _save(file, kind, picture, tell(picture, options))


def _kept(picture: Picture, **names: str) -> dict[str, Any]:
    """Return what Pillow is told of the metadata: its option for each field that there is."""
    fields = {field: getattr(picture.metadata, field) for field in names}
    return {names[field]: value for field, value in fields.items() if value}


def _comment(picture: Picture) -> bytes:
    return "\n".join(text for _, text in picture.metadata.text).encode()


def _png(file: BinaryIO, picture: Picture, options: FileOptions) -> None:
    frame = picture.frames[0]
    optimized = options.compress and frame.pixels.dtype == np.uint8  # the depth that Pillow has
    if len(picture.frames) == 1 and not optimized:
        write_png(
            file,
            frame.pixels,
            picture.metadata,
            level=9 if options.compress else 1,
            threads=thread_count(options.threads),
        )
        return
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    if picture.metadata.xmp:
        told.add_itxt("XML:com.adobe.xmp", picture.metadata.xmp.decode("utf-8", "replace"))
    for key, text in picture.metadata.text:
        told.add_itxt(key, text)
    kept = _kept(picture, exif="exif", icc="icc_profile", dots_per_inch="dpi")
    _save(file, "PNG", picture, {**kept, "pnginfo": told, "optimize": options.compress})


def _jpeg(picture: Picture, options: FileOptions) -> dict[str, Any]:
    told = _kept(picture, icc="icc_profile", dots_per_inch="dpi", xmp="xmp")
    metadata = picture.metadata
    if metadata.exif:
        told["exif"] = b"Exif\x00\x00" + metadata.exif
    if metadata.iptc:
        told["extra"] = jpeg_iptc(metadata.iptc)
    if metadata.text:
        told["comment"] = _comment(picture)[:65000]
    quality = options.quality or DEFAULT_QUALITY
    sampling = {"subsampling": 0} if quality >= DEFAULT_QUALITY else {}
    return {**told, "quality": quality, "optimize": options.compress, **sampling}


def _webp(picture: Picture, options: FileOptions) -> dict[str, Any]:
    told = _kept(picture, exif="exif", icc="icc_profile", xmp="xmp")
    if options.quality:
        return {**told, "quality": options.quality}
    return {**told, "lossless": True, "quality": 100 if options.compress else 20, "exact": True}


def _avif(picture: Picture, options: FileOptions) -> dict[str, Any]:
    told = _kept(picture, icc="icc_profile", xmp="xmp")
    if picture.metadata.exif:
        told["exif"] = without_orientation(picture.metadata.exif)
    return {**told, "quality": options.quality or 100, "subsampling": "4:4:4"}


def _gif(picture: Picture, options: FileOptions) -> dict[str, Any]:
    told = {"disposal": 2} if len(picture.frames) > 1 else {}
    return {**told, "comment": _comment(picture)} if picture.metadata.text else told


def _tiff(file: BinaryIO, picture: Picture, options: FileOptions) -> None:
    frame, metadata = picture.frames[0], picture.metadata
    colors, is_plain = channels_of(frame.pixels) - frame.has_alpha, frame.pixels.dtype == np.uint8
    if (is_plain and colors in {1, 3}) or (colors == 1 and not frame.has_alpha):
        lzw = is_plain and not options.compress
        told = _kept(picture, icc="icc_profile", dots_per_inch="dpi")
        told["compression"] = "tiff_lzw" if lzw else "tiff_adobe_deflate"
        _save(file, "TIFF", picture, told)
    else:
        write_deep_tiff(file, picture.frames, metadata, compress=options.compress)
    file.seek(0)
    tags = tiff_tags(metadata, file.read(2))
    if tags is not None and file.seek(0, 2) < LARGEST_CLASSIC_TIFF:
        add_tags(file, tags)


def _jpeg2000(file: BinaryIO, picture: Picture, options: FileOptions) -> None:
    pixels = picture.frames[0].pixels
    if pixels.dtype == np.uint16:
        write_deep_jpeg2000(file, pixels)
    else:
        _save(file, "JPEG2000", picture, {"irreversible": False})


_ADOBE = frozenset({"exif", "icc", "xmp"})
_DPI, _TEXT = frozenset({"dots_per_inch"}), frozenset({"text"})
FORMATS = {
    "PNG": Format((".png", ".apng"), _png, "u1 u2", True, True, metadata=_ADOBE | _DPI | _TEXT),
    "JPEG": Format(
        (".jpg", ".jpeg"),
        _by_pillow("JPEG", _jpeg),
        metadata=frozenset(SAID),
        only_read=(".jpe",),
        has_quality=True,
    ),
    "TIFF": Format(
        (".tif", ".tiff"),
        _tiff,
        "u1 u2 f4",
        True,
        True,
        65535,
        frozenset(SAID),
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        read_tiff,
    ),
    "WEBP": Format(
        (".webp",),
        _by_pillow("WEBP", _webp),
        alpha=True,
        frames=True,
        metadata=_ADOBE,
        has_quality=True,
    ),
    "GIF": Format((".gif",), _by_pillow("GIF", _gif), "u1", True, True, metadata=_TEXT),
    "BMP": Format(
        (".bmp",),
        _by_pillow("BMP", lambda picture, _: _kept(picture, dots_per_inch="dpi")),
        metadata=_DPI,
    ),
    "PPM": Format(
        (".ppm", ".pgm", ".pnm"),
        lambda file, one, _: write_pnm(file, one.frames[0].pixels),
        "u1 u2",
        starts=(b"P5", b"P6"),
        read=read_deep_pnm,
        only_read=(".pbm",),
    ),
    "PFM": Format(
        (".pfm",),
        lambda file, one, _: write_pfm(file, one.frames[0].pixels),
        "f4",
        starts=(b"PF", b"Pf"),
        read=read_pfm,
    ),
    "JPEG2000": Format(
        (".jp2", ".j2k"),
        _jpeg2000,
        "u1 u2",
        True,
        starts=(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "),
        read=read_deep_jpeg2000,
    ),
    "AVIF": Format(
        (".avif",), _by_pillow("AVIF", _avif), alpha=True, metadata=_ADOBE, has_quality=True
    ),
    "TGA": Format(
        (".tga",),
        _by_pillow("TGA", lambda _, how: {"compression": "tga_rle"} if how.compress else {}),
        "u1",
        True,
    ),
}
"""Every format; what one lacks is refused (pixels) or said (the rest)."""

KINDS = {suffix: kind for kind, one in FORMATS.items() for suffix in one.suffixes}
"""What a file name's ending asks for."""

READABLE_SUFFIXES = frozenset(KINDS).union(*(one.only_read for one in FORMATS.values()))
"""What a directory is searched for."""


def read_picture(
    source: Path | bytes,
    *,
    name: str | None = None,
    limits: Limits = Limits(),
    on_size: OnSize | None = None,
) -> Picture:
    """Read a picture file, or its bytes, with all frames, at its full depth.

    The EXIF orientation is applied. Palettes become colors, 1-bit pictures gray, CMYK and the
    like RGB, each with a note.

    Args:
        source: a path, or the content of a file.
        name: what to call it in messages; the path when left out.
        limits: refuse pictures that would become larger than this.
        on_size: told height, width and channels of an 8-bit picture before its pixels are
            unpacked, so that other things can be made ready meanwhile.
    """
    name = name or (str(source) if isinstance(source, Path) else "the input")
    content = Content(source, name, limits)
    try:
        head = content.head()
        if not head:
            raise InputError(f"{name}: the file is empty.")
        read = next((one.read for one in FORMATS.values() if head.startswith(one.starts)), None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes and tags; what matters is checked here
            picture = read(content) if read else None
            return picture or read_with_pillow(content, on_size)
    except ConvcliError:
        raise
    except MemoryError as problem:
        raise InputError(f"{name}: not enough memory for this picture.") from problem
    except FileNotFoundError as problem:
        raise MissingFileError(f"{name}: there is no such file.") from problem
    except OSError as problem:
        raise InputError(f"{name}: {_reason(problem)}") from problem
    except Exception as problem:  # the libraries answer broken files with anything
        raise InputError(f"{name}: damaged picture ({problem}).") from problem


def _reason(problem: OSError) -> str:
    if problem.errno is not None:
        return f"{problem.strerror}."
    text = str(problem)
    if "truncated" in text or "broken data stream" in text:
        return f"the file is damaged or cut off ({text})."
    return f"cannot be read as a picture ({text})."


def kind_of(path: Path) -> str:
    """Return the format that the file name asks for, in Pillow's word.

    >>> kind_of(Path("edges.TIF"))
    'TIFF'
    """
    suffix = path.suffix.lower()
    if suffix not in KINDS:
        said = f"the ending {suffix!r}" if suffix else "a name without an ending"
        raise UsageError(
            f"{path}: {said} is no picture format that can be written.{did_you_mean(suffix, KINDS)}"
            f" Use one of {' '.join(KINDS)}"
        )
    return KINDS[suffix]


def write_picture(
    path: Path,
    picture: Picture,
    *,
    force: bool = False,
    inputs: Iterable[Path] = (),
    options: FileOptions = FileOptions(),
) -> tuple[str, ...]:
    """Write a picture, whole or not at all; return sentences on what the format could not keep.

    JPEG is written with quality 95 and full color resolution, WebP without loss.

    Args:
        path: its ending chooses the format.
        picture: all frames where the format holds several.
        force: replace an existing file.
        inputs: files that are never replaced.
        options: `compress`, `quality`, `threads`.
    """
    kind = kind_of(path)
    check_fit(str(path), kind, picture)
    with new_file(path, force=force, inputs=inputs) as temporary, temporary.open("w+b") as file:
        return encode(file, kind, picture, options, str(path))


def check_fit(name: str, kind: str, picture: Picture) -> None:
    """Refuse pixels that the format would silently change."""
    form = FORMATS[kind]
    frame = picture.frames[0]
    dtype, channels = frame.pixels.dtype, channels_of(frame.pixels)
    if frame.has_alpha and not form.alpha:
        raise InputError(
            f"{name}: {kind} has no transparency and the picture has. Write a .png, .tif or .webp."
        )
    colors = channels - frame.has_alpha
    if dtype.str[1:] in form.depths.split() and (colors in {1, 3} or colors <= form.channels > 3):
        return
    what = {"u1": "8-bit", "u2": "16-bit"}.get(dtype.str[1:], "floating-point")
    way = ".png" if dtype == np.uint16 and colors in {1, 3} else ".tif or .npy"
    raise InputError(
        f"{name}: {kind} files cannot hold this {what} picture of {channels} "
        f"channel{'s' * (channels > 1)}. Write a {way} file."
    )


def encode(
    file: BinaryIO,
    kind: str,
    picture: Picture,
    options: FileOptions = FileOptions(),
    name: str = "the picture",
) -> tuple[str, ...]:
    """Write a picture in the format `kind` to an open file; return what was not kept."""
    form, notes = FORMATS[kind], []
    if len(picture.frames) > 1 and not _holds_frames(form, kind, picture):
        said = f"{kind} holds one picture: the first of {len(picture.frames)} frames was written."
        notes.append(said)
        picture = Picture(picture.frames[:1], picture.metadata, picture.kind)
    if options.quality is not None and not form.has_quality:
        notes.append(f"{kind} files have no quality to choose: --quality changes nothing.")
    if kind == "GIF" and channels_of(picture.frames[0].pixels) > 1:
        notes.append("GIF holds 256 colors a frame: colors were rounded to them.")
    try:
        form.encode(file, picture, options)
    except (ConvcliError, MemoryError):
        raise
    except OSError as problem:
        if problem.errno is not None:  # a full disk is the file's, not the encoder's
            raise
        raise InputError(f"{name}: cannot be written as {kind} ({problem}).") from problem
    except Exception as problem:  # encoders answer what they cannot do with anything
        raise InputError(f"{name}: cannot be written as {kind} ({problem}).") from problem
    lost = [
        SAID[field]
        for field in SAID
        if getattr(picture.metadata, field) and field not in form.metadata
    ]
    if lost:
        notes.append(f"{kind} holds no {', '.join(lost)}: left out.")
    return tuple(notes)


def _holds_frames(form: Format, kind: str, picture: Picture) -> bool:
    return form.frames and (kind != "PNG" or picture.frames[0].pixels.dtype == np.uint8)


def encoded(
    kind: str, picture: Picture, options: FileOptions = FileOptions()
) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of a picture file, and sentences on what was not kept."""
    file = io.BytesIO()
    notes = encode(file, kind, picture, options)
    return file.getvalue(), notes
