"""Where compiled code lies between runs: in the user's cache, checked, and apart by its sources.

Numba's own cache lies beside the sources, takes whatever bytes it finds for code, and watches only
the file of the cached function: one that was inlined from another file would keep its old code.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import pickle
import shutil
import tempfile
import zlib
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numba.core import caching, ccallback, dispatcher

PACKAGE = Path(__file__).parent.parent
VARIABLES = "CONVCLI_CACHE", "NUMBA_CACHE_DIR"
"""Environment variables that name another folder than the user's cache; the first one counts."""
SOURCE_NOTE = "compiled-from"
"""Beside the code of one installation: where its sources are."""
CHECKSUM_BYTES = 4


def cache_root() -> Path:
    """Return the folder that is meant to hold the compiled code of every installation."""
    for variable in VARIABLES:
        if os.environ.get(variable):
            return Path(os.environ[variable]).absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("convcli", appauthor=False)) / "compiled"


def sources_stamp(*folders: Path) -> str:
    """Return a digest of the compiler, and of name, time and size of every source below."""
    parts = [f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy")]
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            facts = path.stat()
            parts.append(f"{path.relative_to(folder)} {facts.st_mtime_ns} {facts.st_size}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@cache
def cache_folder() -> Path:
    """Return the folder of the code that these sources give.

    Where it cannot be made, a private one that goes at exit: code that other users could have
    put there is never loaded.
    """
    installation = hashlib.sha256(os.fsencode(PACKAGE)).hexdigest()[:16]
    folder = cache_root() / installation / sources_stamp(PACKAGE / "engine", PACKAGE / "ops")
    if folder.is_dir():
        return folder
    try:
        folder.mkdir(parents=True)
        (folder.parent / SOURCE_NOTE).write_bytes(os.fsencode(PACKAGE))
    except OSError:
        private = Path(tempfile.mkdtemp(prefix="convcli-compiled-"))
        atexit.register(shutil.rmtree, private, ignore_errors=True)
        return private
    return folder


@cache
def _remove_outdated() -> None:
    """Remove the code of this installation's older sources, and of installations that are gone.

    Once in a process that compiles: to import the package removes nothing.
    """
    folder = cache_folder()
    if not folder.is_relative_to(cache_root()):
        return
    with suppress(OSError):
        for other in folder.parent.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other, ignore_errors=True)
        for note in folder.parent.parent.glob(f"*/{SOURCE_NOTE}"):
            if not Path(os.fsdecode(note.read_bytes())).exists():
                shutil.rmtree(note.parent, ignore_errors=True)


def _sealed(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "big") + content


def _opened(content: bytes) -> bytes | None:
    """Return what was sealed, or None if a byte of it is not as it was."""
    body = content[CHECKSUM_BYTES:]
    return body if content == _sealed(body) else None


def damaged_files(folder: Path) -> list[Path]:
    """Return the files of compiled code that are not as they were written."""
    files = (path for pattern in ("*.nbi", "*.nbc") for path in folder.rglob(pattern))
    return [path for path in files if path.is_file() and _opened(path.read_bytes()) is None]


@cache
def _tell_damaged(folder: Path) -> None:
    logging.getLogger("convcli").warning(
        "Compiled code in %s was damaged; it is compiled again.", folder
    )


class _Locator(
    caching._SourceFileBackedLocatorMixin,  # type: ignore[misc]  # Numba carries no types
    caching._CacheLocator,  # type: ignore[misc]  # as above
):
    """Tells Numba that the code of every function is in the one folder."""

    def __init__(self, function: Any, file: str) -> None:
        self._py_file, self._lineno = file, function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        """Return the locator of a function."""
        return cls(py_func, py_file)

    def get_cache_path(self) -> str:
        """Return the folder, one for each folder of sources."""
        inner = Path(self._py_file).parent.relative_to(PACKAGE)
        return str(cache_folder() / "-".join(inner.parts))

    def ensure_cache_path(self) -> None:
        """Make the folder."""
        Path(self.get_cache_path()).mkdir(parents=True, exist_ok=True)


class _Files(caching.IndexDataCacheFile):  # type: ignore[misc]  # as above
    """Numba's index and code files behind a checksum: a damaged one is dropped, and a miss."""

    def _load_index(self) -> dict[Any, str]:
        content = self._content(self._index_path)
        stamp, overloads = pickle.loads(content) if content else (None, {})  # noqa: S301  (our own file)
        return overloads if stamp == self._source_stamp else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        with self._open_for_write(self._index_path) as file:
            file.write(_sealed(self._dump((self._source_stamp, overloads))))

    def _load_data(self, name: str) -> Any:
        content = self._content(self._data_path(name))
        return None if content is None else pickle.loads(content)  # noqa: S301  (our own file)

    def _save_data(self, name: str, data: Any) -> None:
        with self._open_for_write(self._data_path(name)) as file:
            file.write(_sealed(self._dump(data)))

    def _content(self, place: str) -> bytes | None:
        path = Path(place)
        try:
            content = _opened(path.read_bytes())
        except FileNotFoundError:
            return None
        if content is None:
            _tell_damaged(path.parent)
            path.unlink()
        return content


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]  # as above
    _locator_classes = (_Locator,)


class EngineCache(caching.FunctionCache):  # type: ignore[misc]  # as above
    """The cache of one compiled function; whatever is wrong with it, the function compiles."""

    _impl_class = _Implementation

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        source = self._impl.locator.get_source_stamp()
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, source)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code of one signature, or None where there is none that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # pickles fail in any way, folders too; compiling does what they cannot
            _tell_damaged(Path(self._cache_path))
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code, where the folder can be written and the disk is not full."""
        with suppress(OSError):
            super().save_overload(sig, data)
        _remove_outdated()


def is_kept(function: Any) -> bool:
    """Return whether there is code of a function, for this kind of processor or another."""
    return Path(EngineCache(function)._cache_file._index_path).exists()


def _cache_of(function: Any) -> Any:
    """Return the cache of a function: ours for the engine's, Numba's for everyone else's."""
    ours = Path(function.__code__.co_filename).is_relative_to(PACKAGE)
    return EngineCache(function) if ours else caching.FunctionCache(function)


def install() -> None:
    """Make Numba ask `_cache_of` wherever it caches a compiled function."""
    for module in (dispatcher, ccallback):
        vars(module)["FunctionCache"] = _cache_of
