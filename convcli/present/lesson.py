"""Short lessons: text, files and commands with what they answer here, questions with answers.

They stand as `lessons/NUMBER-TOPIC.md`. A `#` line is the title and the next one says what it is
about, `##` begins a step; a fence with a name is a file, `$` a command, `?` and `=` a question.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from convcli.errors import UsageError, did_you_mean
from convcli.report import Report, tabulate
from convcli.report.document import Block, Document, Figure, Listing, Question, Section

Kind = Literal["step", "text", "file", "command", "question"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a lesson.

    Attributes:
        kind: what it is.
        text: heading, paragraph, file name, command line, or question.
        more: the file's content, what the command printed, or the answer.
        picture: the bytes of the PNG file that the command drew.
    """

    kind: Kind
    text: str
    more: str = ""
    picture: bytes = b""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A topic with its parts; commands have not run yet."""

    topic: str
    title: str
    about: str
    parts: tuple[Part, ...]


def lessons() -> dict[str, Lesson]:
    """Return all lessons by topic, in their order."""
    found = {}
    folder = files("convcli.present") / "lessons"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        topic = file.name.partition("-")[2].removesuffix(".md")
        found[topic] = read_lesson(topic, file.read_text(encoding="utf-8"))
    return found


def find_lesson(topic: str) -> Lesson:
    """Return the lesson on a topic.

    Raises:
        UsageError: there is none; names the nearest.
    """
    known = lessons()
    if topic not in known:
        hint = did_you_mean(topic, known) or f" Known: {', '.join(known)}."
        raise UsageError(f"There is no lesson {topic!r}.{hint}")
    return known[topic]


def read_lesson(topic: str, text: str) -> Lesson:
    """Return the lesson that a file holds.

    >>> text = ("# Sums", "About.", "## One", "Words.", "$ convcli x", "? Why", "= So")
    >>> lesson = read_lesson("sums", chr(10).join(text))
    >>> [(part.kind, part.text) for part in lesson.parts]
    [('step', 'One'), ('text', 'Words.'), ('command', 'convcli x'), ('question', 'Why')]
    """
    lines = iter(text.splitlines())
    title, about = next(lines).removeprefix("# "), next(lines)
    parts: list[Part] = []
    for line in lines:
        if line.startswith("```"):
            content = iter(lambda: next(lines), "```")
            parts.append(Part("file", line.removeprefix("```"), "\n".join(content) + "\n"))
        elif line.startswith("## "):
            parts.append(Part("step", line.removeprefix("## ")))
        elif line.startswith("$ "):
            parts.append(Part("command", line.removeprefix("$ ")))
        elif line.startswith("? "):
            answer = next(lines).removeprefix("= ")
            parts.append(Part("question", line.removeprefix("? "), answer))
        elif line:
            parts.append(Part("text", line))
    return Lesson(topic, title, about, tuple(parts))


def run_parts(lesson: Lesson, columns: int = 100, *, drawn: bool = False) -> Iterator[Part]:
    """Yield the parts, commands with what they print on this machine, in a folder of their own.

    Files of the lesson are made there, and all of it is removed at the end.

    Args:
        lesson: its commands run when their turn comes.
        columns: that they print into.
        drawn: pictures are printed too, in colors of a terminal.
    """
    with TemporaryDirectory(prefix="convcli-lesson-") as place:
        for part in lesson.parts:
            if part.kind == "file":
                (Path(place) / part.text).write_text(part.more, encoding="utf-8")
            if part.kind == "command":
                yield _run(part.text, Path(place), columns, drawn=drawn)
            else:
                yield part


def _run(command: str, place: Path, columns: int, *, drawn: bool) -> Part:
    """Return a command with what it prints, or says of a problem, and the picture it draws."""
    words = shlex.split(command)[1:]
    shown = words[0] in {"show", "explain"} and "-o" in words
    picture = place / words[words.index("-o") + 1] if shown else None
    colors = {"FORCE_COLOR": "1"} if drawn and picture else {"NO_COLOR": "1"}
    if picture and "--format" not in words:
        words += ["--format", "table" if drawn else "plain"]
    others = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    done = subprocess.run(  # noqa: S603  (our own program, the words are ours)
        [sys.executable, "-m", "convcli", *words],
        cwd=place,
        env=others | colors | {"COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    told = done.stdout if done.returncode == 0 else done.stdout + done.stderr
    png = picture.read_bytes() if picture is not None and picture.exists() else b""
    return Part("command", command, told.rstrip("\n"), png)


def topics_report() -> Report:
    """Return the lessons there are."""
    records = [
        {"topic": one.topic, "title": one.title, "about": one.about} for one in lessons().values()
    ]
    columns = {"topic": "Topic", "title": "Title", "about": "About"}
    note = "One of them: convcli lesson TOPIC; all on one page: convcli lesson -o lessons.html"
    return tabulate(records, columns, notes=["", note])


def lesson_report(lesson: Lesson) -> Report:
    """Return a lesson with its commands run, as words; the document has its parts."""
    parts = list(run_parts(lesson))
    lines = [lesson.about]
    for part in parts:
        lines += ["", *_lines(part)]
    told = [{"kind": part.kind, "text": part.text, "more": part.more} for part in parts]
    document: dict[str, Any] = asdict(lesson) | {"parts": told}
    return Report(lesson.title, (), (), notes=tuple(lines), document=document)


def _lines(part: Part) -> list[str]:
    heads = {
        "step": f"## {part.text}",
        "text": part.text,
        "file": f"{part.text}:",
        "command": f"$ {part.text}",
        "question": f"? {part.text}",
    }
    more = f"= {part.more}" if part.kind == "question" else part.more
    return [heads[part.kind], *more.splitlines()]


def tell_lesson(lesson: Lesson, console: Any, wait: Callable[[str], object]) -> None:
    """Tell a lesson on a terminal, step by step.

    Args:
        lesson: to be told; its commands run when their turn comes.
        console: Rich's.
        wait: asks for Enter, with the words it is given.
    """
    console.rule(lesson.title, style="report.title")
    console.print(lesson.about, style="report.note")
    drawn = console.color_system is not None
    for number, part in enumerate(run_parts(lesson, console.width, drawn=drawn)):
        if part.kind == "step":
            if number:
                wait("Enter: go on")
            console.print(f"\n{part.text}", style="report.title")
        elif part.kind == "question":
            console.print(f"\n{part.text}", style="report.name")
            wait("Enter: the answer")
            console.print(part.more, style="report.number")
        else:
            head, *more = _lines(part)
            console.print()
            console.print(head, style="report.header" if part.kind == "command" else "report.words")
            for line in more:
                console.print(line, style="report.shape", soft_wrap="\x1b" in line)


def lesson_page(chosen: list[Lesson]) -> Document:
    """Return lessons as one page, their commands run."""
    if len(chosen) == 1:
        return Document(chosen[0].title, chosen[0].about, (_section(chosen[0]),))
    found = [(lesson.about, _section(lesson)) for lesson in chosen]
    sections = [replace(one, blocks=(about, *one.blocks)) for about, one in found]
    lead = f"{len(chosen)} short lessons, with what each command answers on this machine."
    return Document("Convolution, step by step", lead, tuple(sections))


def _section(lesson: Lesson) -> Section:
    blocks: list[Block] = []
    for part in run_parts(lesson):
        if part.kind == "question":
            blocks.append(Question(part.text, part.more))
        elif part.kind in {"file", "command"}:
            head = f"$ {part.text}" if part.kind == "command" else part.text
            blocks.append(Listing(head, part.more))
            if part.picture:
                blocks.append(Figure("What this command draws.", part.picture))
        else:
            blocks.append(Report(part.text, (), ()) if part.kind == "step" else part.text)
    return Section(lesson.title, tuple(blocks))
