"""Where named data sets are looked for: `$CONVCLI_DATA/NAME`, then the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from convcli.errors import InputError

VARIABLE = "CONVCLI_DATA"


def own_folder(name: str) -> Path | None:
    """Return `$CONVCLI_DATA/name` if that folder exists."""
    root = os.environ.get(VARIABLE)
    if not root:
        return None
    if not Path(root).is_dir():
        raise InputError(f"{VARIABLE} is {root}, which is no folder. Unset it or make the folder.")
    folder = Path(root) / name
    return folder if folder.is_dir() else None


def cache_folder(name: str) -> Path:
    """Return the folder in the user's cache that keeps the data set `name`; it may not exist."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("convcli", appauthor=False)) / "data" / name
