"""The one door through which errors leave: exit codes, sentences, closed pipes."""

from __future__ import annotations

import errno
import re
import subprocess
import sys

import pytest

from convcli import errors
from convcli.cli import main as door


def start(*words: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "convcli", *words], text=True, **options)


def test_no_words_print_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert door.run([]) == 0
    assert "Usage: convcli" in capfd.readouterr().out


def test_an_unknown_option_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert door.run(["--colour"]) == 2
    assert "--colour" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (errors.UsageError("wrong"), 2),
        (errors.InputError("bad"), 3),
        (errors.OutputExistsError("there"), 4),
        (errors.CheckError("no"), 5),
        (OSError(errno.ENOSPC, "No space left on device", "out.png"), 3),
        (MemoryError(), 3),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_error_has_its_exit_code(
    problem: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fails(**_: object) -> None:
        raise problem

    monkeypatch.setattr(door, "program", lambda _: fails)
    assert door.run([]) == code
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(door, "program", lambda _: fails)
    with pytest.raises(ZeroDivisionError):
        door.run([])


def test_a_closed_stdout_is_no_error() -> None:
    with start("--help", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_closed_from_the_start_are_no_error(closed: str) -> None:
    command = f"{sys.executable} -m convcli shape mnist {closed}"
    got = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (got.returncode, got.stderr) == (0, "")


@pytest.mark.parametrize("words", ["filter - -k box -o -", "pool - --max 2 -o -"])
def test_a_closed_stdin_is_bad_input(words: str) -> None:
    command = f"{sys.executable} -m convcli {words} <&-"
    got = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert got.returncode == 3
    assert got.stderr.startswith("error: stdin is closed")


def test_a_called_command_is_built_alone_and_an_unknown_one_finds_its_neighbors(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert door.run(["explain", "--help"]) == 0
    assert door.run(["shpae"]) == 2
    assert "shape" in capfd.readouterr().err
    (alone,) = door.program("doctor").registered_commands
    assert alone.name == "doctor"
    names = {command.name for command in door.program().registered_commands}
    assert {"shape", "kernels"} <= names


@pytest.mark.parametrize(
    ("words", "ref"),
    [
        (["help", "pool"], ["pool", "--help"]),
        (["help", "explain", "conv"], ["explain", "conv", "--help"]),
        (["help"], ["--help"]),
        (["-V"], ["--version"]),
    ],
    ids=" ".join,
)
def test_help_and_version_have_a_second_spelling(
    words: list[str], ref: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert door.run(ref) == 0
    wanted = capfd.readouterr().out
    assert door.run(words) == 0
    assert capfd.readouterr().out == wanted


def test_commands_stand_in_panels_with_a_sentence_each(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert door.run(["--help"]) == 0
    lines = capfd.readouterr().out.splitlines()
    for panel, commands in door.PANELS.items():
        (start,) = (number for number, line in enumerate(lines) if f" {panel} " in line)
        end = lines.index("╰" + "─" * 98 + "╯", start)
        rows = [re.match(r"│ ([a-z-]*) +(.*?) *│$", line) for line in lines[start + 1 : end]]
        assert [row[1] for row in rows if row and row[1]] == list(commands)
        assert all(row and row[2][-1] != " " for row in rows)


def test_an_unexpected_end_of_file_is_no_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise EOFError("Ran out of input")

    monkeypatch.setattr("convcli.present.network_table.presets_report", broken)
    with pytest.raises(EOFError, match="Ran out of input"):
        door.run(["presets"])
    assert "nterrupted" not in capfd.readouterr().err
