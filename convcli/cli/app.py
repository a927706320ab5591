"""The command `convcli`: registers the commands and is the only door through which errors leave."""

from __future__ import annotations

import atexit
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from typing import Annotated, NoReturn

import typer

from convcli import __version__
from convcli.cli.compare import register as register_compare
from convcli.cli.convolutionalize import register as register_convolutionalize
from convcli.cli.data import register as register_data
from convcli.cli.doctor import register as register_doctor
from convcli.cli.evaluate import register as register_evaluate
from convcli.cli.explain import explain
from convcli.cli.export import register as register_export
from convcli.cli.features import register as register_features
from convcli.cli.filter import register as register_filter
from convcli.cli.gradcheck import register as register_gradcheck
from convcli.cli.import_ import register as register_import
from convcli.cli.kernels import register as register_kernels
from convcli.cli.lr_find import register as register_lr_find
from convcli.cli.page import register as register_page
from convcli.cli.pool import register as register_pool
from convcli.cli.predict import register as register_predict
from convcli.cli.presets import register as register_presets
from convcli.cli.report import register as register_report
from convcli.cli.runs import register as register_runs
from convcli.cli.shape import register as register_shape
from convcli.cli.show import register as register_show
from convcli.cli.streams import prepare_streams, write_whole
from convcli.cli.sweep import register as register_sweep
from convcli.cli.train import register as register_train
from convcli.errors import ConvcliError, ExitCode
from convcli.report.printable import printable

app = typer.Typer(
    name="convcli",
    help="Filter pictures with kernels, calculate convolutional layers, train and explain CNNs.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"convcli {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.add_typer(explain, name="explain")
register_filter(app)
register_kernels(app)
register_train(app)
register_evaluate(app)
register_predict(app)
register_export(app)
register_import(app)
register_features(app)
register_runs(app)
register_report(app)
register_lr_find(app)
register_page(app)
register_doctor(app)
register_sweep(app)
register_shape(app)
register_compare(app)
register_presets(app)
register_data(app)
register_gradcheck(app)
register_pool(app)
register_show(app)
register_convolutionalize(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with one of `ExitCode`.

    Args:
        arguments: words after the program's name; those of this process when left out.
    """
    write_whole()
    code = run(arguments)
    if not {"joblib", "distributed"}.isdisjoint(sys.modules):
        sys.exit(code)  # their worker processes are dismissed on the slow way out
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)  # taking the interpreter and the engine apart would last another 0.1 s


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; only a bug leaves as an exception."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    prepare_streams()
    try:
        program = _called_alone(app, words)
        outcome = program(args=words, prog_name="convcli", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as problem:
        if isinstance(problem, typer.Abort) and isinstance(problem.__cause__, EOFError):
            raise problem.__cause__ from None  # a bug of ours, which the parser takes for Ctrl-D
        if _pipe_was_closed(problem):
            return _leave_closed_pipe()
        told = _sentence(problem)
        if told is None:
            raise
        return _fail(*told)
    code = outcome if isinstance(outcome, int) else ExitCode.DONE
    if code == ExitCode.INTERRUPTED:  # the parser turns Ctrl-C into an exit code of its own
        return _fail("Interrupted.", ExitCode.INTERRUPTED)
    return code


def _called_alone(program: typer.Typer, words: Sequence[str]) -> typer.Typer:
    """Return the program with the called command alone; without one, the whole.

    Typer builds all options of all commands before it looks for the one that is called, about
    1 ms for each command. An unknown word gets the whole program, which knows the nearest names.
    """
    if not words or words[0].startswith("-"):
        return program
    commands = [command for command in program.registered_commands if command.name == words[0]]
    groups = [group for group in program.registered_groups if group.name == words[0]]
    if not commands and not groups:
        return program
    alone = copy(program)
    alone.registered_commands, alone.registered_groups = commands, groups
    return alone


def _sentence(problem: BaseException) -> tuple[str, ExitCode] | None:
    """Return what to tell the user and the exit code, or None for a bug."""
    match problem:
        case ConvcliError():
            return str(problem), problem.exit_code
        case typer.TyperException():
            return _usage_text(problem), ExitCode.USAGE
        case KeyboardInterrupt() | typer.Abort():
            return "Interrupted.", ExitCode.INTERRUPTED
        case OSError():
            place = f" ({problem.filename})" if problem.filename else ""
            return f"{problem.strerror or problem}{place}.", ExitCode.INPUT
        case MemoryError():
            return "Not enough memory for this; use a smaller input.", ExitCode.INPUT
    return None


def _usage_text(problem: typer.TyperException) -> str:
    """Return the parser's own sentence with the help that belongs to it."""
    context = getattr(problem, "ctx", None)
    text: str = problem.format_message() if hasattr(problem, "format_message") else str(problem)
    if re.search(r"No such option: -[\d.]", text):
        text += " Put a space inside the quotes before numbers that begin with a minus."
    if context is None:
        return text
    return f"{text}\nSee: {context.command_path} --help"


def _fail(text: str, code: ExitCode) -> ExitCode:
    with suppress(BrokenPipeError):
        sys.stderr.write(f"convcli: {printable(text)}\n")
        sys.stderr.flush()
    return code


def _pipe_was_closed(problem: BaseException) -> bool:
    """Tell whether the reader of stdout has gone; the parser reports that as SystemExit."""
    cause = problem.__context__ if isinstance(problem, SystemExit) else problem
    return isinstance(cause, BrokenPipeError)


def _leave_closed_pipe() -> ExitCode:
    """Point stdout at nothing, so that the interpreter's last flush stays silent."""
    sys.stdout = sys.__stdout__ or sys.stdout
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return ExitCode.DONE
