"""`convcli lesson`: convolution in short lessons, with real results and questions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from convcli.cli.options import FileOutput, takes
from convcli.option import option

EXAMPLES = """Examples:

  convcli lesson

  convcli lesson window

  convcli lesson padding -o padding.html
"""

SUFFIXES = (".html", ".htm")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("lesson", epilog=EXAMPLES)(lesson)


@takes(out=FileOutput)
def lesson(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC]", help="What it is about; all are listed without it."),
    ] = None,
    *,
    output: Path | None = option(
        "Write the lesson as a page instead; without TOPIC all of them.", "-o", "--output"
    ),
    out: FileOutput,
) -> None:
    """Learn what convolution does, step by step: every command runs here, questions have answers.

    On a terminal Enter goes on; with --format, or piped, a lesson is printed as a whole.
    """
    from convcli.present.lesson import (
        find_lesson,
        lesson_page,
        lesson_report,
        lessons,
        tell_lesson,
        topics_report,
    )

    chosen = None if topic is None else find_lesson(topic)
    if output is not None:
        from convcli.files import write_text
        from convcli.report.document import render_document

        out.place(output, "", "", suffixes=SUFFIXES)
        document = lesson_page(list(lessons().values()) if chosen is None else [chosen])
        write_text(output, render_document(document), force=out.force)
        out.tell_page(output)
    elif chosen is None:
        out.emit(topics_report())
    elif out.format is None and sys.stdout.isatty() and sys.stdin.isatty():
        from convcli.report.table import terminal

        tell_lesson(chosen, terminal(), _wait)
    else:
        out.emit(lesson_report(chosen))


def _wait(words: str) -> None:
    """Wait for Enter; the end of the input goes on too."""
    try:
        input(f"  [{words}] ")
    except EOFError:
        sys.stdout.write("\n")
