"""What a bench ran on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from convcli.engine.llvm import host

THREADS = int(os.environ.get("BENCH_THREADS", "2"))
"""Of both sides, unless a bench is told otherwise."""


def clock(threads: int) -> Callable[[], float]:
    """Return what tells seconds: with one thread its own, undisturbed by others."""
    return time.thread_time if threads == 1 else time.perf_counter


CLASSES = {16: "AVX-512", 8: "AVX2", 4: "SSE2 or NEON"}


def machine() -> str:
    """Return the processor's name, the class of what runs on it, and how many may be used."""
    name = platform.processor() or platform.machine()
    known = Path("/proc/cpuinfo")
    if known.exists():
        for line in known.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    lanes, load = host().lanes, os.getloadavg()[0]
    target = os.environ.get("NUMBA_CPU_NAME", "this processor")
    return (
        f"{name}, {os.cpu_count()} processors, load {load:.1f}; "
        f"{THREADS} of them asked for; "
        f"class {CLASSES[lanes]} ({lanes} floats a vector), compiled for {target}"
    )
