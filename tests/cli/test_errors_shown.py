"""How an error looks: lower case behind `error:`, wrapped, names bold, the caret kept."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from convcli.cli.console import error_text
from convcli.cli.main import run
from tests.cli.test_console import Terminal


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("There is no preset 'x'.", "error: there is no preset 'x'."),
        ("Keras files need h5py.", "error: Keras files need h5py."),
        ("Interrupted.", "error: interrupted."),
        ("PyTorch has none.", "error: PyTorch has none."),
        ("ONNX files need onnx.", "error: ONNX files need onnx."),
        ("Photos/a.png exists.", "error: Photos/a.png exists."),
        ("A.png: damaged.", "error: A.png: damaged."),
        ("--val 2: use a share.", "error: --val 2: use a share."),
    ],
)
def test_a_sentence_begins_in_lower_case_and_a_name_keeps_its_own(text: str, ref: str) -> None:
    assert error_text(text) == ref


def test_lines_are_wrapped_and_those_with_a_caret_are_not() -> None:
    drawn = "  input 28x28x1, conv 16 3 rellu, maxpool 2, flatten, dense 10\n" + " " * 27 + "^^^^^"
    text = "Conv does not know 'rellu', and this is a long sentence about it.\n" + drawn
    lines = error_text(text, width=40).splitlines()
    assert max(map(len, lines[:-2])) <= 40
    assert lines[1].startswith("  ")
    assert "\n".join(lines[-2:]) == drawn


def test_names_are_bold_and_error_is_red() -> None:
    told = error_text("No 'sobl'; see --kernel.", color=True)
    assert told == "\x1b[1;31merror:\x1b[0m no \x1b[1m'sobl'\x1b[22m; see \x1b[1m--kernel\x1b[22m."


def test_a_pipe_gets_one_plain_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["kernels", "sobl" * 5]) == 2
    told = capfd.readouterr().err
    assert told.startswith("error: there is no kernel")
    assert told.count("\n") == 1
    assert "\x1b" not in told


@pytest.mark.parametrize(
    ("settings", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["color", "NO_COLOR", "dumb"],
)
def test_a_terminal_gets_color_unless_it_is_not_wanted(
    settings: dict[str, str], colored: bool
) -> None:
    with Terminal(columns=50) as terminal:
        command = [sys.executable, "-m", "convcli", "kernels", "sobl"]
        environment = {**os.environ, "TERM": "xterm"}
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            environment.pop(name, None)
        subprocess.run(command, stderr=terminal.writer, env=environment | settings, check=False)
        seen = terminal.read()
    assert ("\x1b[1;31merror:" in seen) is colored
    assert "error:" in seen
    assert max(map(len, seen.replace("\x1b[1m", "").splitlines())) < 80
