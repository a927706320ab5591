"""The command `convcli`: registers the commands and is the only door through which errors leave."""

from __future__ import annotations

import atexit
import inspect
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, NoReturn

import typer

from convcli import __version__
from convcli.cli.console import prepare_streams, tell_error, write_whole
from convcli.cli.help import Command, Group
from convcli.errors import ConvcliError, ExitCode

PANELS: dict[str, dict[str, str]] = {
    "Pictures": {"filter": "pictures", "pool": "pictures", "kernels": "pictures"},
    "Networks on paper": {"shape": "shape", "compare": "shape", "presets": "shape"},
    "Training": {
        "train": "train",
        "evaluate": "models",
        "predict": "models",
        "runs": "runs",
        "sweep": "sweep",
        "lr-find": "train",
        "data": "data",
        "gradcheck": "train",
    },
    "Seeing": {
        "show": "show",
        "explain": "explain",
        "lesson": "explain",
        "report": "runs",
        "page": "runs",
    },
    "Exchange": {
        "export": "models",
        "import": "models",
        "features": "models",
        "convolutionalize": "models",
    },
    "Housekeeping": {"doctor": "doctor"},
}
"""The panels of `convcli --help`: each command and the module that registers it."""

CALLS = {
    "filter": "filter_image filter_result correlate convolve",
    "pool": "pool",
    "kernels": "kernel list_kernels",
    "shape": "network solve",
    "compare": "compare",
    "presets": "list_presets network",
    "train": "fit",
    "evaluate": "evaluate",
    "predict": "predict load",
    "runs": "list_runs",
    "sweep": "run_sweep",
    "lr-find": "lr_find",
    "data": "load_dataset",
    "gradcheck": "gradcheck",
    "lesson": "lesson",
    "report": "write_report",
    "page": "write_page",
    "export": "export_model",
    "import": "import_model",
    "features": "features",
    "convolutionalize": "convolutionalize",
    "doctor": "installation_report",
}
"""Command -> the public Python names for it; those of `show` begin with `show_`, and so on."""


class _Program(Group):
    """The commands in the order of their panels."""

    def list_commands(self, ctx: object) -> list[str]:
        """Return the names."""
        return [name for panel in PANELS.values() for name in panel if name in self.commands]


def program(command: str | None = None) -> typer.Typer:
    """Return the program with one of its commands, or with all.

    A command's module is imported only where it is asked for: all of them take 0.1 s.

    Args:
        command: the word after `convcli`; an unknown one gives the whole program, which knows the
            nearest names.
    """
    app = typer.Typer(
        name="convcli",
        cls=_Program,
        help="Filter pictures with kernels, calculate convolutional layers, train and explain "
        "CNNs.",
        epilog="`convcli help COMMAND` says more, with examples; `convcli help json [WORD]` says "
        "what the fields of --format json mean.",
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_program)
    panels = {name: panel for panel, modules in PANELS.items() for name in modules}
    modules = {name: module for part in PANELS.values() for name, module in part.items()}
    for module in dict.fromkeys([modules[command]] if command in modules else modules.values()):
        import_module(f"convcli.cli.{module}").register(app)
    _describe(app, panels)
    return app


def _describe(app: typer.Typer, panels: dict[str, str]) -> None:
    """Put the commands into their panels, with the first sentences of their helps.

    Lines of a paragraph join.
    """
    for command in app.registered_commands:
        if command.cls is None or not issubclass(command.cls, Command):
            command.cls = Command
        text = command.help or inspect.getdoc(command.callback) or ""
        command.help = re.sub(r"(?<=\S)\n(?=\S)", " ", text.strip())
        command.short_help = _first_sentence(command.help)
        command.epilog = _with_calls(command.epilog, CALLS[str(command.name)].split())
        command.rich_help_panel = panels[str(command.name)]
    for group in app.registered_groups:
        if group.typer_instance is not None:
            group.typer_instance.info.cls = Group
            group.short_help = _first_sentence(str(group.typer_instance.info.help))
            for command in group.typer_instance.registered_commands:
                command.cls = Command
                command.epilog = _with_calls(command.epilog, [f"{group.name}_{command.name}"])
            group.rich_help_panel = panels[str(group.name)]


def _with_calls(epilog: str | None, names: list[str]) -> str:
    """Return a help's last lines with what does the same in Python."""
    return f"{epilog or ''}\n\nIn Python: {', '.join(f'convcli.{name}' for name in names)}"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"convcli {__version__}")
        raise typer.Exit


def _program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "-V",
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and stop.",
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


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


class _NoLinearAlgebra:
    """Keeps Numba from loading SciPy's linear algebra, which takes 0.14 s.

    Numba's array functions ask for it only to learn whether it is there, and nothing that a command
    compiles calls it. Whoever else imports it gets it.
    """

    ASKS = "numba.np.arraymath"

    @classmethod
    def find_spec(cls, name: str, *_: object) -> None:
        """Refuse SciPy's linear algebra to Numba's array functions while they are being loaded."""
        spec = getattr(sys.modules.get(cls.ASKS), "__spec__", None)
        if name == "scipy.linalg" and getattr(spec, "_initializing", False):
            raise ModuleNotFoundError(f"{cls.ASKS} does without {name}", name=name)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; only a bug leaves as an exception."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    prepare_streams()
    if _NoLinearAlgebra not in sys.meta_path:
        sys.meta_path.insert(0, _NoLinearAlgebra)
    try:
        if words[:2] == ["help", "json"]:
            return _explain_fields(words[2:])
        if words[:1] == ["help"]:
            words = [*words[1:], "--help"]
        called = program(words[0] if words and not words[0].startswith("-") else None)
        outcome = called(args=words, prog_name="convcli", standalone_mode=False)
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


def _explain_fields(words: Sequence[str]) -> int:
    """Print what the fields of `--format json` mean: all, or those that mention a word."""
    from convcli.cli.options import Output
    from convcli.present.json_fields import fields_report

    Output().emit(fields_report(" ".join(words) or None))
    return ExitCode.DONE


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
    tell_error(text)
    return code


def _pipe_was_closed(problem: BaseException) -> bool:
    """Tell whether the reader of stdout has gone; the parser reports that as SystemExit."""
    cause = problem.__context__ if isinstance(problem, SystemExit) else problem
    return isinstance(cause, BrokenPipeError)


def _leave_closed_pipe() -> ExitCode:
    """Point stdout at nothing, so that the interpreter's last flush stays silent."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # whatever stands in sys.stdout by now writes there in the end
    return ExitCode.DONE
