"""One pool of threads for the whole process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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
