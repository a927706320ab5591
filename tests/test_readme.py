"""README is run: its commands work, and the output pasted under them is what they print now.

`python -m tests.test_readme --write` pastes fresh output after a deliberate change.
"""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
VARYING = re.compile(
    r"\d+(?:\.\d+)? (?:ms|s|min)\b"  # times
    r"|\b20\d\d-\d\d-\d\d\S*"
    r'|(?<="seconds": )[\d.e-]+'
    r"|\d+\.\d+%"  # what a training reaches depends on the kind of processor
    r'|(?<="accuracy": )[\d.]+|(?<="loss": )[\d.]+'
)
"""What differs from run to run or from machine to machine; only its presence is compared."""


def split_block(block: str) -> list[tuple[str, str]]:
    """Return the (command, output) pairs of one console block."""
    pairs = []
    for chunk in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = chunk.splitlines(keepends=True)
        length = 1
        while lines[length - 1].endswith("\\\n"):
            length += 1
        pairs.append(("".join(lines[:length]), "".join(lines[length:])))
    return pairs


def run(command: str, folder: Path) -> str:
    """Run one README command in `folder` as a shell would, and return its stdout."""
    bin_folder = folder / "bin"
    if not bin_folder.exists():
        bin_folder.mkdir()
        program = bin_folder / "convcli"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convcli "$@"\n')
        program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "80",
    }
    got = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert got.returncode == 0, f"$ {command}{got.stdout}{got.stderr}"
    return got.stdout


def workplace(folder: Path) -> Path:
    """Fill `folder` with what a reader who cloned the project has at hand."""
    if (ROOT / "samples").exists():
        shutil.copytree(ROOT / "samples", folder / "samples")
    return folder


def comparable(text: str) -> str:
    """Return `text` without what varies, and without the widths of columns that it makes."""
    return re.sub(r"[ ]+", " ", VARYING.sub("<varies>", text)).strip()


def test_the_tour_runs_and_its_output_is_fresh(tmp_path: Path) -> None:
    folder = workplace(tmp_path)
    for block in CONSOLE.findall(README.read_text(encoding="utf-8")):
        for command, ref in split_block(block):
            got = run(command, folder)
            assert comparable(got) == comparable(ref), f"$ {command}"


def test_the_python_examples_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace(tmp_path))
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    got = doctest.testfile(str(README), module_relative=False, optionflags=options)
    assert got.failed == 0


def write(folder: Path) -> None:
    """Paste what the commands print now into README."""

    def renewed(match: re.Match[str]) -> str:
        out = ["```console\n"]
        for command, ref in split_block(match.group(1)):
            got = run(command, folder)
            same = comparable(got) == comparable(ref)
            out += ["$ ", command, ref if same else got]
        return "".join([*out, "```"])

    from tests.api.test_calls import TABLES

    text = CONSOLE.sub(renewed, README.read_text(encoding="utf-8"))
    for pattern, table in TABLES:
        made = table().replace("\\", "\\\\")
        text = pattern.sub(f"{made}\n", text)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__" and "--write" in sys.argv:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        write(workplace(Path(name)))
