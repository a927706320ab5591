"""What the person at the terminal sees while something takes time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from convcli.cli.console import Messages
from convcli.cli.main import run

PROGRAM = """
import time
from convcli.cli.console import Messages
with Messages(quiet={quiet}).waiting("photo.png", after_seconds={after}):
    time.sleep(0.3)
"""


class Terminal:
    """A pseudo-terminal of so many columns: what is written to `writer`, `read` returns."""

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns

    def __enter__(self) -> Terminal:
        pty = pytest.importorskip("pty", reason="pseudo-terminals are of POSIX systems")
        termios = pytest.importorskip("termios", reason="their sizes too")
        self.reader, self.writer = pty.openpty()
        termios.tcsetwinsize(self.writer, (24, self.columns))
        return self

    def __exit__(self, *problem: object) -> None:
        os.close(self.reader)
        os.close(self.writer)

    def read(self) -> str:
        os.write(self.writer, b".")  # so that there is something to read
        return os.read(self.reader, 1 << 16).decode()


def seen_on_a_terminal(quiet: bool, after: float, program: str = PROGRAM) -> str:
    with Terminal() as terminal:
        command = [sys.executable, "-c", program.format(quiet=quiet, after=after)]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        subprocess.run(command, stderr=terminal.writer, env=environment, check=True)
        return terminal.read()


def test_a_slow_file_shows_its_name_and_the_time_passed() -> None:
    seen = seen_on_a_terminal(quiet=False, after=0.01)
    assert "photo.png" in seen
    assert "0:00:00" in seen


@pytest.mark.parametrize(
    "drawn",
    [
        'waiting("NAME", after_seconds={after}):',
        "counted() as show:\n    show('NAME', 1, 2)",
        "progress() as bar:\n    bar.add_task('NAME')",
    ],
)
def test_names_in_progress_are_text(drawn: str) -> None:
    with_ = PROGRAM.partition("with ")[0] + f"with Messages(quiet={{quiet}}).{drawn}\n"
    program = with_.replace("NAME", r"a\x1b]0;title\x07 [red]b[/x]") + "    time.sleep(0.3)\n"
    seen = seen_on_a_terminal(quiet=False, after=0.01, program=program)
    assert r"a\u001b]0;title\u0007 [red]b[/x]" in seen


@pytest.mark.parametrize(("quiet", "after"), [(True, 0.01), (False, 60.0)])
def test_nothing_is_drawn_when_quiet_or_quick(quiet: bool, after: float) -> None:
    assert seen_on_a_terminal(quiet, after) == "."


def test_nothing_is_drawn_into_a_pipe() -> None:
    command = [sys.executable, "-c", PROGRAM.format(quiet=False, after=0.01)]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""


def test_messages_and_errors_hold_no_control_characters(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Messages().say("a \x1b[31mred\nb")
    assert capfd.readouterr().err == "a \\u001b[31mred\nb\n"
    assert run(["filter", str(tmp_path / "\x1b]0;title\x07.png"), "-k", "box"]) == 3
    assert "\\u001b]0;title\\u0007.png" in capfd.readouterr().err
