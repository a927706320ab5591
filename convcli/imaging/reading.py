"""Picture files into `Picture` values: every depth kept, every conversion said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from convcli.errors import ConvcliError, InputError, MissingFileError
from convcli.imaging.content import Content, Limits, format_of
from convcli.imaging.jpeg2000 import read_deep_jpeg2000
from convcli.imaging.netpbm import read_deep_pnm, read_pfm
from convcli.imaging.picture import Picture
from convcli.imaging.pillow import OnSize, read_with_pillow
from convcli.imaging.tiff import read_tiff

READABLE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".gif", ".bmp", ".ppm", ".pgm", ".pbm"}
    | {".pnm", ".pfm", ".webp", ".jp2", ".j2k", ".tga", ".avif"}
)
"""What a directory is searched for."""

READERS: dict[str, Callable[[Content], Picture | None]] = {
    "TIFF": read_tiff,
    "PPM": read_deep_pnm,
    "PFM": read_pfm,
    "JPEG2000": read_deep_jpeg2000,
}
"""What Pillow does not read in full; None from one of them leaves the file to Pillow."""


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

    Raises:
        InputError: missing, empty, truncated, too large or no picture that can be read in full.
    """
    name = name or (str(source) if isinstance(source, Path) else "the input")
    content = Content(source, name, limits)
    try:
        head = content.head()
        if not head:
            raise InputError(f"{name}: the file is empty.")
        reader = READERS.get(format_of(head))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes and tags; what matters is checked here
            picture = reader(content) if reader else None
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
