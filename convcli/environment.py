"""What convcli runs on: versions, processor, caches; facts for `doctor`, reports and benches."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from convcli import __version__

NEEDED = ("typer", "rich", "numpy", "numba", "pillow", "safetensors", "platformdirs", "isal")
"""Packages of the base install."""

OPTIONAL = {
    "onnx": "ONNX files: pip install 'convcli[onnx]'",
    "h5py": "Keras weights: pip install 'convcli[keras]'",
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


def usable_processors() -> int:
    """Return how many processors this process may use.

    >>> usable_processors() >= 1
    True
    """
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


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
        "processors": usable_processors(),
    }
