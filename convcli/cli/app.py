"""The command `convcli`: registers the commands and is the only door through which errors leave."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from convcli import __version__
from convcli.errors import ConvcliError, ExitCode

app = typer.Typer(
    name="convcli",
    help="Filter pictures with kernels, calculate convolutional layers, train and explain CNNs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"convcli {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with one of `ExitCode`.

    Args:
        arguments: words after the program's name; those of this process when left out.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; only a bug leaves as an exception."""
    try:
        outcome = app(args=arguments, prog_name="convcli", standalone_mode=False)
        sys.stdout.flush()
    except ConvcliError as problem:
        return _fail(str(problem), problem.exit_code)
    except typer.TyperException as problem:
        return _fail(_usage_text(problem), ExitCode.USAGE)
    except typer.Abort:
        return _fail("Stopped.", ExitCode.INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("Interrupted.", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        _leave_closed_pipe()
        return ExitCode.DONE
    except MemoryError:
        return _fail("Not enough memory for this; use a smaller input.", ExitCode.INPUT)
    code = outcome if isinstance(outcome, int) else ExitCode.DONE
    if code == ExitCode.INTERRUPTED:
        return _fail("Interrupted.", ExitCode.INTERRUPTED)
    return code


def _usage_text(problem: typer.TyperException) -> str:
    """Return the parser's own sentence with the help that belongs to it."""
    context = getattr(problem, "ctx", None)
    text: str = problem.format_message() if hasattr(problem, "format_message") else str(problem)
    if context is None:
        return text
    return f"{text}\nSee: {context.command_path} --help"


def _fail(text: str, code: ExitCode) -> ExitCode:
    try:
        sys.stderr.write(f"convcli: {text}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        _leave_closed_pipe()
    return code


def _leave_closed_pipe() -> None:
    """Point stdout at nothing, so that the interpreter's last flush stays silent."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
