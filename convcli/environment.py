"""What convcli runs on: versions, processor, caches; facts for `doctor`, reports and benches."""

from __future__ import annotations

import math
import os
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from convcli import __version__
from convcli.errors import UsageError

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Made = TypeVar("Made")

NEEDED = (
    *("typer", "rich", "numpy", "numba", "pillow", "safetensors", "platformdirs", "isal"),
    *("joblib", "jinja2", "plotille"),
)
"""Packages of the base install."""

OPTIONAL = {
    "onnx": "ONNX files: pip install 'convcli[onnx]'",
    "h5py": "Keras weights: pip install 'convcli[keras]'",
    "tifffile": "deep TIFF pictures: pip install 'convcli[tiff]'",
    "tensorboard": "TensorBoard event files: pip install 'convcli[tensorboard]'",
    "distributed": "several machines: pip install 'convcli[cluster]'",
    "optuna": "Optuna's search: pip install 'convcli[optuna]'",
}
"""Packages of the extras, and what each is for."""


def package_version(name: str) -> str | None:
    """Return the installed version of a package, or None.

    >>> package_version("no-such-package") is None
    True
    """
    from importlib import metadata  # 10 ms, which a count of threads does not need

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def processor_name() -> str:
    """Return the processor's name as its maker gives it, or the architecture."""
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def thread_count(wanted: int | None = None) -> int:
    """Return `wanted`, or for None and 0 NUMBA_NUM_THREADS, or the processors left to this process.

    Those are what its affinity and its control group (a container's share of time) leave it.

    >>> thread_count(3)
    3
    >>> thread_count() == thread_count(0) >= 1
    True

    Raises:
        UsageError: less than no thread.
    """
    if wanted:
        if wanted < 0:
            raise UsageError(f"{wanted} threads cannot do anything; use 1 or more.")
        return wanted
    told = os.environ.get("NUMBA_NUM_THREADS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(usable, _processor_quota() or usable)


def _processor_quota(groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the processors' worth of time that the control group grants, rounded up, or None."""
    try:
        quota, period = (groups / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):  # another system, an older kernel, or no limit of its own
        return None
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return max(1, math.ceil(int(quota) / int(period)))


def made_ahead(
    make: Callable[[Item], Made], items: Iterable[Item], *, threads: int, waiting: int
) -> Iterator[tuple[Item, Made]]:
    """Yield each item with what `make` makes of it, in order; threads work ahead of the taker.

    >>> list(made_ahead(abs, [1, -2, -3], threads=2, waiting=2))
    [(1, 1), (-2, 2), (-3, 3)]

    Args:
        make: called in the threads.
        items: taken as they are needed.
        threads: that work.
        waiting: items under way, and made but not yet taken.
    """
    from concurrent.futures import ThreadPoolExecutor

    ahead: deque[tuple[Item, Future[Made]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="convcli-ahead")
    try:
        for item in items:
            ahead.append((item, pool.submit(make, item)))
            if len(ahead) > waiting:
                first, made = ahead.popleft()
                yield first, made.result()
        while ahead:
            first, made = ahead.popleft()
            yield first, made.result()
    finally:
        pool.shutdown(cancel_futures=True)


def environment() -> dict[str, str | int]:
    """Return versions, system and processor by name; what a report of a run should hold.

    >>> environment()["convcli"] == __version__
    True
    """
    versions = {name: package_version(name) or "missing" for name in NEEDED}
    return {
        "convcli": __version__,
        "python": platform.python_version(),
        **versions,
        "system": platform.platform(),
        "processor": processor_name(),
        "processors": thread_count(),
    }
