"""`convcli lesson`: every command of every lesson runs, and a class can have it as a page."""

from __future__ import annotations

import io
import json
import re
import shlex
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from convcli.cli.main import run
from convcli.present.lesson import Lesson, Part, lessons, run_parts, tell_lesson
from convcli.report.table import terminal
from tests.present.pages import check_page

Capture = pytest.CaptureFixture[str]
LESSONS = lessons()


@cache
def told(topic: str) -> list[Part]:
    """Return the parts of a lesson, its commands run once."""
    return list(run_parts(LESSONS[topic]))


@pytest.mark.parametrize("topic", LESSONS)
def test_every_command_of_a_lesson_runs(topic: str) -> None:
    parts = told(topic)
    printed = {part.text: part.more for part in parts if part.kind == "command"}
    assert printed
    for command, output in printed.items():
        assert output, command
        assert "error:" not in output, command
        assert shlex.split(command)[0] == "convcli"
    for part in parts:  # what a command was asked to draw is there to be seen
        assert (
            part.picture[1:4]
            == b"PNG"[: 3 * bool(re.match("convcli (show|explain).* -o ", part.text))]
        )


@pytest.mark.parametrize("topic", LESSONS)
def test_every_step_asks_and_answers(topic: str) -> None:
    steps: list[list[str]] = []
    for part in LESSONS[topic].parts:
        if part.kind == "step":
            steps.append([])
        steps[-1].append(part.kind)
        assert part.kind != "question" or (part.text.endswith("?") and part.more)
    assert all("question" in kinds for kinds in steps), steps


def figures(topic: str, command: str) -> dict[str, list[float]]:
    """Return the numbers behind the first word of each line that a command of a lesson prints."""
    (text,) = (
        part.more
        for part in told(topic)
        if part.kind == "command" and part.text.startswith(f"convcli {command}")
    )
    rows = (line.split() for line in text.splitlines())
    return {
        first: [
            float(number.replace(",", ""))
            for number in re.findall(r"(?<!\S)[\d,.]*\d", " ".join(words))
        ]
        for first, *words in filter(None, rows)
    }


def test_what_lessons_say_of_trainings_comes_out() -> None:
    """Dropout: training lower, validation higher, test loss smaller; an MLP loses little."""
    rows = figures("dropout", "report without with")
    (*_, training, validation, _, loss, _), dropped = rows["without"], rows["with"]
    assert dropped[3] < training
    assert dropped[4] > validation
    assert dropped[6] < loss
    lost = figures("mlp", "explain permutation")
    assert lost["CNN"][-1] > 5 * lost["MLP"][-1]
    assert lost["CNN"][-1] > 10
    ends = (
        figures("transfer", "train --init")["all"][4],
        figures("transfer", "train mnist")["all"][4],
    )
    assert ends[0] > ends[1] + 20


def test_what_the_lectures_print_comes_out() -> None:
    """Of `material.md`: the worked examples and their numbers."""
    sums = {part.text: part.more for part in told("window")}
    (filtered,) = (more for text, more in sums.items() if text.startswith("convcli filter"))
    assert list(map(int, filtered.split())) == [
        *(-5, -4, 0, 8), *(-10, -2, 2, 3), *(0, -2, -4, -7), *(-3, -2, -3, -16),
    ]  # fmt: skip
    pools = [part.more.split() for part in told("pooling") if "pool four" in part.text]
    assert pools == [["7", "9", "8", "5"], ["4", "4.5", "3.5", "3.25"]]
    padded = {part.text: part.more for part in told("padding")}
    (sharp,) = (more for text, more in padded.items() if text.startswith("convcli filter"))
    assert sharp.split()[:7] == ["114", "328", "-26", "470", "158", "53", "266"]


def test_topics_are_listed(capfd: Capture) -> None:
    assert run(["lesson", "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert [one["topic"] for one in got] == list(LESSONS)
    assert run(["lesson"]) == 0
    assert "Padding and stride" in capfd.readouterr().out


def test_a_lesson_is_printed_as_words_and_as_json(capfd: Capture) -> None:
    assert run(["lesson", "convolution"]) == 0
    said = capfd.readouterr().out
    assert "$ convcli filter dot.txt" in said
    assert "0 0 9" in said
    assert "= No: it would learn the turned kernel." in said
    assert run(["lesson", "convolution", "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert got["topic"] == "convolution"
    assert {part["kind"] for part in got["parts"]} == {
        "step", "text", "file", "command", "question",
    }  # fmt: skip


def test_a_lesson_is_a_page(tmp_path: Path, capfd: Capture) -> None:
    page = tmp_path / "pooling.html"
    assert run(["lesson", "pooling", "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    check_page(text)
    (max_pool, *_) = re.findall(r"<pre><code>\$ (.*?)</code>\n(.*?)</pre>", text, re.DOTALL)
    assert unescape(max_pool[0]) == "convcli pool four.txt --max 2"
    assert max_pool[1].split() == ["7", "9", "8", "5"]
    assert text.count('<details class="question">') == 2
    assert run(["lesson", "pooling", "-o", str(page)]) == 4
    assert run(["lesson", "pooling", "-o", str(tmp_path / "p.pdf")]) == 2
    assert "written as .html" in capfd.readouterr().err


def test_what_is_no_topic_is_refused(capfd: Capture) -> None:
    assert run(["lesson", "pading"]) == 2
    assert "there is no lesson 'pading'. Did you mean padding" in capfd.readouterr().err


@pytest.mark.parametrize("lesson", [LESSONS["pooling"]], ids=["pooling"])
def test_on_a_terminal_answers_wait_for_enter(lesson: Lesson) -> None:
    screen, asked = io.StringIO(), []
    console: Any = terminal(screen, width=80)

    def wait(words: str) -> None:
        asked.append((words, len(screen.getvalue())))

    tell_lesson(lesson, console, wait)
    said = screen.getvalue()
    assert [words for words, _ in asked] == [
        "Enter: the answer",
        "Enter: go on",
        "Enter: the answer",
    ]
    before = said[: asked[0][1]]
    assert "Move the 9 one cell to the left" in before
    assert "still in the same window" not in before
    assert "still in the same window" in said
