"""scipy's own tests of correlate and convolve, passed by ours."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("scipy.ndimage", reason="scipy is the oracle of the filters")
if find_spec("scipy.ndimage.tests") is None:
    pytest.skip("this scipy came without its tests", allow_module_level=True)

CHOSEN = "(correlate or convolve) and not 1d and not complex and not Thread"


def test_scipys_tests_pass(tmp_path: Path) -> None:
    words = ["-q", "-p", "no:cacheprovider", "-p", "tests.engine.scipy_shim", "-W", "ignore"]
    words += ["--pyargs", "scipy.ndimage.tests.test_filters", "-k", CHOSEN]
    got = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert got.returncode == 0, got.stdout[-3000:]
    passed = re.search(r"(\d+) passed", got.stdout)
    assert passed is not None
    assert int(passed[1]) >= 285, "scipy's tests have other names now"
