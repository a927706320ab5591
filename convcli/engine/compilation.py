"""Decides once how everything in the engine is compiled, and whether it has been already."""

from __future__ import annotations

from numba import config, njit

OPTIONS = {
    "cache": True,  # compiled once for each machine and release
    "nogil": True,  # strips of one picture run in threads
    "error_model": "numpy",  # no branch before each division
}

compiled = njit(**OPTIONS)
"""The decorator of compiled loops that Python calls."""

compiled_part = njit(**{**OPTIONS, "cache": False})
"""The decorator of functions that compiled loops call: they are cached with their callers."""

JIT_RUNS = not config.DISABLE_JIT
"""False with NUMBA_DISABLE_JIT=1: vector code exists only compiled."""
