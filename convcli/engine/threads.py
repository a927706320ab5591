"""Threads: a pool that the whole process shares, and pools that start within microseconds.

`each_part` is for work of some milliseconds. Waking a sleeping thread takes longer than many a
training batch's share of work allows: a member of a `ThreadPool` therefore looks out for work for a
moment before it sleeps, outside the interpreter's lock; the caller looks out for the others' end in
the same way.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from convcli.engine.compilation import njit

Part = TypeVar("Part")
Result = TypeVar("Result")

_pools: dict[int, ThreadPoolExecutor] = {}


def each_part(
    work: Callable[[Iterable[Part]], Result], parts: Iterable[Part], threads: int
) -> list[Result]:
    """Run `work` in `threads` threads, this one among them; each takes parts until none is left.

    >>> sum(each_part(sum, [1, 2, 3, 4], threads=2))
    10
    """
    waiting = iter(list(parts))
    if threads == 1:
        return [work(waiting)]
    others = [_pool(threads - 1).submit(work, waiting) for _ in range(threads - 1)]
    own = work(waiting)
    return [own, *(other.result() for other in others)]


def _pool(size: int) -> ThreadPoolExecutor:
    if size not in _pools:
        _pools[size] = ThreadPoolExecutor(size, thread_name_prefix="convcli")
    return _pools[size]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork


LOOKS = 300_000
"""Looks before sleeping: about a tenth of a millisecond."""
COMMANDED, DONE = 0, 16
"""Places of the two counters, on cache lines of their own."""


@intrinsic
def _look(typingctx, address):
    signature = types.int64(types.int64)

    def emit(context, builder, signature, arguments):
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "acquire", 8)

    return signature, emit


@njit(cache=True, nogil=True)
def _reached(counters, which, target, looks):
    """Look until a counter has reached `target`; False when it has not within `looks`."""
    address = counters.ctypes.data + 8 * which
    for _ in range(looks):  # noqa: SIM110  (compiled as written)
        if _look(address) >= target:
            return True
    return False


class _Member:
    """One thread: works when commanded, looks out, then sleeps."""

    def __init__(self) -> None:
        self.counters = np.zeros(32, np.int64)
        self.work: Callable[[], None] | None = None
        self.problem: BaseException | None = None
        self.asleep = self.caller_asleep = False
        self.wake, self.finished = threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        turn = 0
        while True:
            turn += 1
            if not _reached(self.counters, COMMANDED, turn, LOOKS):
                self.asleep = True
                while self.counters[COMMANDED] < turn:  # checked after saying that it sleeps
                    self.wake.wait()
                    self.wake.clear()
                self.asleep = False
            if self.work is None:
                return
            try:
                self.work()
            except BaseException as problem:
                self.problem = problem
            self.work = None
            self.counters[DONE] = turn
            if self.caller_asleep:
                self.finished.set()

    def begin(self, work: Callable[[], None] | None) -> None:
        self.work = work
        self.counters[COMMANDED] += 1
        if self.asleep:
            self.wake.set()

    def join(self) -> None:
        turn = self.counters[COMMANDED]
        if not _reached(self.counters, DONE, turn, LOOKS):
            self.caller_asleep = True
            while self.counters[DONE] < turn:
                self.finished.wait()
                self.finished.clear()
            self.caller_asleep = False
        if self.problem is not None:
            problem, self.problem = self.problem, None
            raise problem


class ThreadPool:
    """`size` threads, the caller among them.

    >>> pool, found = ThreadPool(2), []
    >>> pool.run(found.append)
    >>> sorted(found)
    [0, 1]
    """

    def __init__(self, size: int) -> None:
        self._members = [_Member() for _ in range(size - 1)]
        self._end = weakref.finalize(self, _dismiss, self._members)

    def run(self, work: Callable[[int], None], parts: int | None = None) -> None:
        """Call `work(0)` here and `work(1)`, ... in the other threads; return when all are done.

        With fewer `parts` than threads the last threads sleep on.
        """
        members = self._members if parts is None else self._members[: max(parts - 1, 0)]
        for number, member in enumerate(members, 1):
            member.begin(lambda number=number: work(number))  # type: ignore[misc]  # bound now
        try:
            work(0)
        finally:
            for member in members:
                member.join()


def _dismiss(members: list[_Member]) -> None:
    for member in members:
        member.begin(None)
