"""A place for compiled code where neither the package nor the user's cache can be written.

Numba refuses to compile cached functions without one, in a container without a home for example.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path


def ensure_cache_place(folder: Path) -> Path | None:
    """Point Numba to a private temporary folder if it has no other place; return that, or None.

    The folder goes at exit: code that other users could have put there is never loaded.

    Args:
        folder: of the sources; Numba keeps their code in a folder below it, else below the home.
    """
    if os.environ.get("NUMBA_CACHE_DIR") or any(map(_is_writable, _places(folder))):
        return None
    place = Path(tempfile.mkdtemp(prefix="convcli-compiled-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    os.environ["NUMBA_CACHE_DIR"] = str(place)
    return place


def _places(folder: Path) -> Iterable[Path]:
    """Return the places that Numba tries."""
    yield folder / "__pycache__"
    yield Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111  (Path's raises without a home)


def _is_writable(place: Path) -> bool:
    """Tell whether a folder can be written, or made in the nearest one that exists."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return os.access(place, os.W_OK)
