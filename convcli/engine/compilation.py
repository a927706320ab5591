"""Decides once how everything in the engine is compiled, and whether it has been already."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numba
from numba.core import codegen, event
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock

from convcli.engine.numba_cache import cache_folder, cache_root, damaged_files, install

install()
cfunc, njit = numba.cfunc, numba.njit  # cached functions come through here, behind install()

OPTIONS = {
    "cache": True,  # compiled once for each machine and release
    "nogil": True,  # strips of one picture run in threads
    "error_model": "numpy",  # no branch before each division
}

compiled = njit(**OPTIONS)
"""The decorator of compiled loops that Python calls."""

compiled_band = njit(**OPTIONS, _nrt=False)
"""The decorator of compiled loops over records of arrays that allocate nothing.

Without it every access to an array of a record would count a reference, in the innermost loops too.
"""

compiled_part = njit(**{**OPTIONS, "cache": False, "inline": "always"})
"""The decorator of functions that compiled loops call: they are cached with their callers.

Inlined before types are known, so that they are optimized once, with their callers: the first use
of a filter takes a quarter to a third less time.
"""


class _OnceOptimized(codegen.JITCodeLibrary):  # type: ignore[misc]  # numba carries no types
    """Code that LLVM optimizes once.

    Numba does it function by function, then twice as a whole, so that counts of references that
    meet can go; where nothing is allocated there are none.
    """

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class OperationCompiler(Compiler):  # type: ignore[misc]  # numba carries no types
    """Compiles what allocates nothing, in less time."""

    def __init__(
        self, typing: Any, target: Any, library: Any, args: Any, result: Any, flags: Any, names: Any
    ) -> None:
        super().__init__(typing, target, library, args, result, flags, names)
        if hasattr(codegen.JITCPUCodegen, "_module_pass_manager"):  # not in older ones of Numba
            self.state.library = _OnceOptimized(target.codegen(), "operation")
            self.state.library.enable_object_caching()


MOST_TASKS = 256


def compile_together(tasks: Sequence[Callable[[], object]], processes: int) -> None:
    """Run tasks that leave compiled code in the cache, in this process and copies of it.

    Numba compiles one function at a time, however many threads ask for one. Each process takes the
    next task from a pipe that holds their numbers. Where a process cannot be copied, or nothing is
    gained, this one runs them all.
    """
    processes = min(processes, len(tasks))
    if processes < 2 or len(tasks) > MOST_TASKS or sys.platform != "linux":
        for task in tasks:
            task()
        return
    numbers, writing = os.pipe()
    os.write(writing, bytes(range(len(tasks))))
    os.close(writing)

    def work() -> None:
        while number := os.read(numbers, 1):
            tasks[number[0]]()

    children = []
    with global_compiler_lock, warnings.catch_warnings():  # no copy waits for another's lock
        warnings.simplefilter("ignore", DeprecationWarning)  # the copies call no other threads
        for _ in range(processes - 1):
            child = os.fork()
            if child == 0:
                global_compiler_lock.release()
                with suppress(BaseException):  # whatever went wrong goes wrong again in this one
                    work()
                os._exit(0)
            children.append(child)
    try:
        work()
    finally:
        while os.read(numbers, MOST_TASKS):
            pass
        os.close(numbers)
        for child in children:
            os.waitpid(child, 0)


class _Announcer(event.Listener):  # type: ignore[misc]  # numba carries no types
    """Calls back once, when the first compilation begins."""

    def __init__(self, callback: Callable[[], None]):
        self.callback, self.told = callback, False

    def on_start(self, event: Any) -> None:
        """Tell it, the first time."""
        if not self.told:
            self.told = True
            self.callback()

    def on_end(self, event: Any) -> None:
        """Say nothing more."""


@contextmanager
def announced(callback: Callable[[], None] | None) -> Iterator[None]:
    """Call `callback` when something has to be compiled inside, not when the cache has it.

    >>> from numba import njit
    >>> with announced(lambda: print("compiling")):
    ...     _ = njit(lambda number: number + 1)(1)
    compiling
    """
    if callback is None:
        yield
        return
    with event.install_listener("numba:compile", _Announcer(callback)):
        yield


@dataclass(frozen=True)
class CompiledCode:
    """Where compiled code lies between runs, and how much of it there is.

    Attributes:
        folder: where it is looked for.
        files: of one compiled signature each.
        size_bytes: of all of them.
        mended: damaged files that were removed; they are compiled again at their next use.
        problem: a sentence where the code cannot be kept, else None.
    """

    folder: str
    files: int
    size_bytes: int
    mended: int
    problem: str | None


def compiled_code() -> CompiledCode:
    """Return what there is of the engine's compiled code, and remove what is damaged."""
    folder = cache_folder()
    damaged, mended, problem = damaged_files(folder), 0, None
    for path in damaged:
        with suppress(OSError):
            path.unlink()
            mended += 1
    if not folder.is_relative_to(cache_root()):
        problem = f"{cache_root()} cannot be made: everything is compiled anew in every process"
    elif not os.access(folder, os.W_OK):
        problem = f"{folder} cannot be written: what is not in it is compiled in every process"
    files = [path for path in folder.rglob("*.nbc") if path.is_file()]
    size_bytes = sum(path.stat().st_size for path in files)
    return CompiledCode(str(folder), len(files), size_bytes, mended, problem)
