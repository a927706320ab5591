"""A small test that touches everything, in seconds; it runs before all others."""

from __future__ import annotations

import subprocess
import sys

from convcli import __version__


def test_the_program_starts_and_knows_its_version() -> None:
    got = subprocess.run(
        [sys.executable, "-m", "convcli", "--version"], capture_output=True, text=True, check=True
    )
    assert got.stdout == f"convcli {__version__}\n"
