"""Files appear whole or not at all: written beside their place, then renamed.

Standard library only, so that every room that writes may use it.
"""

from __future__ import annotations

import atexit
import glob
import os
import platform
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from convcli.errors import InputError, OutputExistsError, UsageError

_UMASK = threading.Lock()
"""The mask is read by setting it, for the whole process: one thread at a time."""

_unfinished: set[Path] = set()
"""Temporary files that threads are still writing."""


@atexit.register
def _remove_unfinished() -> None:
    """Remove what threads did not finish when a second Ctrl-C ends the process."""
    for temporary in list(_unfinished):
        with suppress(OSError):
            temporary.unlink()


def check_target(path: Path, *, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output place that would lose something, before any work is done.

    Args:
        path: where the output should go.
        force: an existing file may be replaced.
        inputs: files being read; none of them is ever replaced, forced or not.

    Raises:
        UsageError: `path` is one of the inputs.
        OutputExistsError: `path` exists and `force` is off.
        InputError: `path` is a directory, or its folder is missing or not writable.
    """
    for source in inputs:
        if _same_file(path, source):
            raise UsageError(f"{path} is an input; name another output with -o.")
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file in it.")
    if os.path.lexists(path) and not force:
        raise OutputExistsError(
            f"{path} exists. Use --force to replace it, or another name with -o."
        )
    folder = path.parent
    if not folder.is_dir():
        raise InputError(f"The folder {folder} does not exist. Make it first: mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise InputError(f"The folder {folder} is not writable. Choose another place with -o.")


@contextmanager
def new_file(path: Path, *, force: bool = False, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there when the block ends well.

    When the block fails or is interrupted the temporary file is removed and `path` is untouched.
    Without `force` the last step is an exclusive link, so a file that appeared meanwhile is kept.

    Raises:
        UsageError, OutputExistsError, InputError: as `check_target`; InputError also for a
            full disk and the like.
    """
    check_target(path, force=force, inputs=inputs)
    _remove_left_behind(path)
    try:
        descriptor, name = tempfile.mkstemp(
            prefix=f".{path.stem}.{_writer()}.", suffix=path.suffix, dir=path.parent
        )
        os.close(descriptor)
    except OSError as problem:
        raise InputError(f"Cannot write {path}: {problem.strerror}.") from problem
    temporary = Path(name)
    _unfinished.add(temporary)
    try:
        yield temporary
        _publish(temporary, path, force=force)
    except OSError as problem:
        if isinstance(problem, BrokenPipeError):
            raise
        raise InputError(f"Cannot write {path}: {problem.strerror or problem}.") from problem
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
        _unfinished.discard(temporary)


def _writer() -> str:
    """Return the part of a temporary name that says who writes it."""
    return f"{platform.node()}-{os.getpid()}"


def _remove_left_behind(path: Path) -> None:
    """Remove what killed processes of this machine left beside `path`."""
    if os.name != "posix":  # elsewhere signal 0 would end a process instead of asking for it
        return
    start = f".{path.stem}.{platform.node()}-"
    for left in path.parent.glob(f"{glob.escape(start)}*{glob.escape(path.suffix)}"):
        process, _, rest = left.name.removeprefix(start).partition(".")
        if not process.isdigit() or "." in rest.removesuffix(path.suffix):
            continue
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            with suppress(OSError):
                left.unlink()
        except (OSError, OverflowError):
            continue


def write_text(path: Path, text: str, *, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    r"""Write `text` to `path` as UTF-8, whole or not at all; errors as `new_file`.

    Bytes of file names that are no UTF-8 are spelled `\udcNN`, as JSON does.
    """
    with new_file(path, force=force, inputs=inputs) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _publish(temporary: Path, path: Path, *, force: bool) -> None:
    """Give the finished file its name and the permissions that a plain `open` would have given."""
    with _UMASK:
        mask = os.umask(0)
        os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    if force:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError as clash:
        raise OutputExistsError(_appeared(path)) from clash
    except (AttributeError, OSError):  # systems and file systems without hard links
        if os.path.lexists(path):
            raise OutputExistsError(_appeared(path)) from None
        temporary.replace(path)


def _appeared(path: Path) -> str:
    return f"{path} appeared while it was being made; it was kept."


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one.absolute() == other.absolute()
