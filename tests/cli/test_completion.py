"""Shells complete commands and options, once they are told how."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def convcli(*words: str, **environment: str) -> str:
    """Run the program with more environment and return its stdout."""
    got = subprocess.run(
        # typer looks for the shell that it was called from; a last command would replace that
        ["bash", "-c", '"$@"; exit $?', "bash", sys.executable, "-m", "convcli", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return got.stdout


@pytest.mark.parametrize(
    ("typed", "ref"), [("convcli fil", "filter"), ("convcli filter --bor", "--border")]
)
def test_bash_is_told_what_fits(typed: str, ref: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    assert convcli(_CONVCLI_COMPLETE="complete_bash", **words).split() == [ref]


def test_the_script_is_shown() -> None:
    assert "_CONVCLI_COMPLETE=complete_bash" in convcli("--show-completion")


def test_the_script_is_installed_in_the_home_folder(tmp_path: Path) -> None:
    said = convcli("--install-completion", HOME=str(tmp_path))
    assert "completion installed" in said
    script = tmp_path / ".bash_completions" / "convcli.sh"
    assert "_CONVCLI_COMPLETE=complete_bash" in script.read_text()
