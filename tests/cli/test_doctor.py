"""`convcli doctor` tells what it runs on, and compiles everything when asked."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convcli import __version__
from convcli.cli.main import run


def test_versions_are_those_that_run(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--format", "json", "--quiet"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert got["convcli"] == __version__
    assert got["python"] == platform.python_version()
    assert got["numpy"] == np.__version__
    assert got["processors"] >= 1
    assert got["vector"].endswith("floats")


def test_missing_extras_say_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "convcli.present.installation.OPTIONAL", {"no-such-package": "nothing: get it"}
    )
    assert run(["doctor"]) == 0
    assert "no-such-package is not installed; nothing: get it" in capfd.readouterr().out


@pytest.mark.slow
def test_warm_leaves_nothing_to_compile_for_the_main_job(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    words = [sys.executable, "-m", "convcli"]
    make = "import numpy as np; from PIL import Image; import sys\n"
    make += "Image.fromarray(np.zeros((900, 900, 3), np.uint8)).save(sys.argv[1])"
    subprocess.run([sys.executable, "-c", make, str(picture)], check=True)
    said = subprocess.run([*words, "doctor", "--warm"], capture_output=True, text=True, check=True)
    assert "Compiling everything once" in said.stderr
    for chain in (["sobel"], ["gaussian:2", "levels", "gamma:2"]):
        kernels = [word for kernel in chain for word in ("-k", kernel)]
        command = [*words, "filter", str(picture), *kernels, "--engine", "numba"]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Compiling" not in said.stderr
