"""How `--help` looks: one sentence, what matters first, and each option on a line of its own.

The command line's library would break names and values to keep five columns; here an option stands
as it is typed, and its sentence beside or below it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from rich.console import Console

WIDEST = 100
"""Sentences are not wider, however wide the terminal is."""

NAMES_SHARE = 0.42
"""Names and values take no more of the width; the sentence of a longer one begins below it."""

LAST = "Output"
"""The panel of what all commands share."""

METAVARS = {"int": "N", "integer": "N", "float": "X", "path": "PATH"}
"""How the help names values that nobody named; others are TEXT."""

OPTION = r"(?P<option>(?<![\w'-])--?[a-zA-Z][\w-]*)"
CODE = r"`[^`]+`|convcli\.\w+"
EXAMPLE = r"^  (?:convcli|cat) .*$|^ {6}\S.*$"


class Command(TyperCommand):
    """A command that shows its help as it is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        show_help(self, ctx)


class Group(TyperGroup):
    """A group of commands that shows its help as it is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        show_help(self, ctx)


def show_help(command: Any, context: Any) -> None:
    """Print usage, sentences, commands or options in panels, and examples."""
    from rich.padding import Padding

    from convcli.report.table import terminal

    console = terminal()
    console.width = min(console.width, WIDEST)
    width = console.width - 2
    pieces = " ".join(command.collect_usage_pieces(context)).replace("{", "").replace("}", "")
    usage = f"Usage: {context.command_path} {pieces}"
    paragraphs = [_filled(usage, width, hanging=7)]
    paragraphs += [_filled(part, width) for part in (command.help or "").strip().split("\n\n")]
    told = _colored("\n\n".join(paragraphs) + "\n")
    told.stylize("bold", 0, told.plain.index("\n"))
    console.print(Padding(told, (0, 1)))
    longest = max(map(len, getattr(command, "commands", ())), default=0)
    for title, rows in _panels(command, context):
        _print_panel(console, title, rows, longest)
    if command.epilog:
        told = _colored("\n" + "\n".join(_examples(command.epilog, width)), f"{EXAMPLE}|{CODE}")
        console.print(Padding(told, (0, 1)))


def _panels(command: Any, context: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the panels from what matters most: commands, arguments, options, shared options."""
    commands: dict[str, list[tuple[str, str]]] = {}
    for name in command.list_commands(context) if isinstance(command, TyperGroup) else ():
        one = command.get_command(context, name)
        told = one.get_short_help_str(500)
        commands.setdefault(one.rich_help_panel or "Commands", []).append((name, told))
    arguments, panels = [], dict[str, list[tuple[str, str]]]()
    for parameter in command.get_params(context):
        if parameter.param_type_name == "argument":
            arguments.append((parameter.metavar or parameter.name, parameter.help or ""))
        elif not parameter.hidden:
            general = LAST if parameter.name == "help" and not commands else "Options"
            panel = panels.setdefault(parameter.rich_help_panel or general, [])
            panel.append((_spelled(parameter), _sentence(parameter)))
    yield from commands.items()
    yield "Arguments", arguments
    yield "Options", panels.pop("Options", [])
    shared = panels.pop(LAST, [])
    yield from panels.items()
    yield LAST, shared


def _spelled(parameter: Any) -> str:
    """Return an option as it is typed: `-o, --output PATH`."""
    short_first = sorted(parameter.opts, key=len)
    names = ", ".join(short_first)
    if parameter.secondary_opts:
        names += f" / {', '.join(parameter.secondary_opts)}"
    if parameter.is_flag or parameter.count:
        return names
    choices = getattr(parameter.type, "choices", None)
    plain = "|".join(map(str, choices or ())) or METAVARS.get(
        parameter.type.name.split()[0], "TEXT"
    )
    return f"{names} {parameter.metavar or plain}"


def _sentence(parameter: Any) -> str:
    """Return an option's sentence, with its default where the option does not say one itself."""
    said = parameter.help or ""
    told = parameter.default not in (None, False, (), []) and parameter.show_default
    if told and "Default:" not in said and "=" not in said:
        said += f" Default: {parameter.default}."
    return f"{said} Required." if parameter.required else said


def _print_panel(console: Console, title: str, rows: list[tuple[str, str]], longest: int) -> None:
    """Print names with their sentences; those of commands stand alike in all panels."""
    if not rows:
        return
    from rich.panel import Panel

    inside = console.width - 4
    most = int(inside * NAMES_SHARE)
    names = max([longest, *(len(name) for name, _ in rows if len(name) <= most)]) or most
    lines = []
    for name, sentence in rows:
        first, *rest = textwrap.wrap(sentence, inside - names - 2, break_on_hyphens=False) or [""]
        beside = len(name) <= names
        lines += [f"{name:{names}}  {first}"] if beside else [name, " " * (names + 2) + first]
        lines += [" " * (names + 2) + line for line in rest]
    text = _colored("\n".join(line.rstrip() for line in lines))
    for name, _ in rows:
        if not name.startswith("-"):
            text.highlight_regex(rf"(?m)^{re.escape(name)}(?=  |$)", "bold cyan")
    console.print(Panel(text, title=title, title_align="left", border_style="dim"))


def _examples(epilog: str, width: int) -> Iterator[str]:
    """Yield the lines of an epilog: commands one below the other, sentences apart."""
    for number, part in enumerate(filter(None, map(str.strip, re.split(r"\n\s*\n|\n", epilog)))):
        is_example = re.match(r"(?:convcli|cat) ", part) is not None
        if not is_example and number:
            yield ""
        yield _filled(part, width, indent=2 * is_example, hanging=6 if is_example else 0)


def _filled(text: str, width: int, *, indent: int = 0, hanging: int = 0) -> str:
    """Return a paragraph in lines of that width; words stay whole."""
    return textwrap.fill(
        " ".join(text.split()),
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _colored(text: str, code: str = CODE) -> Any:
    """Return a text with its options and its code standing out."""
    from rich.text import Text

    from convcli.report.printable import printable

    made = Text(printable(text))
    for match in re.finditer(f"(?m){code}|{OPTION}", text):
        style = "bold cyan" if match["option"] else "bold yellow"
        made.stylize(style, *match.span())
    return made
