"""Picture files into `Picture` values: every depth kept, every conversion said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convcli.errors import ConvcliError, InputError, MissingFileError
from convcli.imaging.content import Content, Limits
from convcli.imaging.jpeg2000 import read_deep_jpeg2000
from convcli.imaging.netpbm import read_deep_pnm, read_pfm
from convcli.imaging.picture import Picture
from convcli.imaging.pillow import OnSize, read_with_pillow
from convcli.imaging.tiff import read_tiff


@dataclass(frozen=True, slots=True)
class Reader:
    """A kind of file.

    Attributes:
        suffixes: that a directory is searched for.
        starts: first bytes of such a file, where Pillow does not read all of them in full.
        read: reads what Pillow would not; None from it leaves the file to Pillow.
    """

    suffixes: tuple[str, ...]
    starts: tuple[bytes, ...] = ()
    read: Callable[[Content], Picture | None] | None = None


READERS = (
    Reader((".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".webp", ".tga", ".avif")),
    Reader((".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), read_tiff),
    Reader((".ppm", ".pgm", ".pbm", ".pnm"), (b"P5", b"P6"), read_deep_pnm),
    Reader((".pfm",), (b"PF", b"Pf"), read_pfm),
    Reader((".jp2", ".j2k"), (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "), read_deep_jpeg2000),
)
"""Every kind of file that can be read."""

READABLE_SUFFIXES = frozenset(suffix for reader in READERS for suffix in reader.suffixes)


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
        read = next((one.read for one in READERS if head.startswith(one.starts)), None)
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
