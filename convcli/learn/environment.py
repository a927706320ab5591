"""On what a training ran: versions, processor, threads."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from convcli.environment import thread_count


def environment(threads: int = 0) -> dict[str, Any]:
    """Return versions, system, processor and threads as plain values, for a run's record.

    Args:
        threads: as asked for; 0 for all there are.

    >>> environment(threads=2)["threads"]
    2
    """
    return {**_unchanging(), "threads": thread_count(threads)}


@cache
def _unchanging() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "numba": version("numba"),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor_name(),
    }


def processor_name() -> str:
    """Return the processor's name as its maker writes it, or its kind where that is not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):  # not on Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
