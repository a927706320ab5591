"""Compiled code that no longer belongs to the sources is removed before anyone loads it.

Numba's cache of a function watches the file of that function alone. A function that was inlined
from another file would keep its old code after an edit or an update there, and give old numbers.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

STAMP = "convcli-engine-sources"
"""Beside the compiled code: which sources it was made of."""


def sources_stamp(folder: Path) -> str:
    """Return a digest of name, time and size of every source below `folder`."""
    parts = []
    for path in sorted(folder.rglob("*.py")):
        facts = path.stat()
        parts.append(f"{path.relative_to(folder)} {facts.st_mtime_ns} {facts.st_size}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def remove_stale_code(folder: Path) -> int:
    """Remove compiled code below `folder` that other sources made; return how many files went.

    Nothing happens where the folder cannot be written: an installed package changes only as a
    whole, and then every file's own time changes too.
    """
    cache = folder / "__pycache__"
    note, stamp = cache / STAMP, sources_stamp(folder)
    removed = 0
    with suppress(OSError):
        if note.is_file() and note.read_text(encoding="ascii") == stamp:
            return 0
        cache.mkdir(exist_ok=True)
        for pattern in ("*.nbi", "*.nbc"):
            for path in folder.rglob(f"__pycache__/{pattern}"):
                path.unlink(missing_ok=True)
                removed += 1
        note.write_text(stamp, encoding="ascii")
    return removed
