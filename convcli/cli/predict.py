"""`convcli predict`: what a trained model says about pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.filter import MemoryLimitOption
from convcli.cli.learn_options import ModelArgument
from convcli.cli.options import FormatOption, QuietOption
from convcli.errors import InputError

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.imaging.jobs import Source
    from convcli.learn.answers import Answer
    from convcli.learn.modelfile import TrainedModel
    from convcli.report import Report

HELP = """Ask a model about pictures: files, folders, patterns, - for stdin, or matrices.

A model of MNIST's digits takes a photo of a digit on paper: it finds the ink, turns it white on
black, and centers it as MNIST does. --show draws what the network was fed.
"""

EXAMPLES = """Examples:

  convcli predict model.safetensors digit.jpg --show

  convcli predict runs/fashion photos --top 5 --threshold 0.8

  convcli predict model.safetensors - --format json < digit.png
"""


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("predict", help=HELP, epilog=EXAMPLES)(predict)


def predict(
    model: ModelArgument,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Pictures, folders, patterns, matrices (.npy .csv .txt), -."
        ),
    ],
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes to name.")] = 3,
    threshold: Annotated[
        float,
        typer.Option("--threshold", help="Under this probability the answer is: don't know."),
    ] = 0.0,
    logits: Annotated[
        bool, typer.Option("--logits", help="Show the raw outputs too, before any softmax.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Draw what the network was fed (on stderr).")
    ] = False,
    memory_limit: MemoryLimitOption = "2GiB",
    style: FormatOption = None,
    quiet: QuietOption = False,
) -> None:
    """Parse, call, render."""
    from convcli.cli.console import Messages, emit
    from convcli.imaging.jobs import find_sources
    from convcli.learn.answers import answers
    from convcli.learn.modelfile import load
    from convcli.option import byte_count

    limit = byte_count(memory_limit)
    trained = load(model)
    sources = find_sources(inputs, recursive=True)
    messages = Messages(quiet=quiet)
    asked = partial(answers, trained, top=top, threshold=threshold, logits=logits)
    found, problems = ask_all(trained, sources, messages, asked, show=show, memory_limit=limit)
    if found or not problems:
        emit(answers_report(found), style)
    if problems:
        count = f"{len(problems)} of {len(sources)} inputs could not be used:\n  "
        raise InputError((count if len(sources) > 1 else "") + "\n  ".join(problems))


def ask_all(
    model: TrainedModel,
    sources: list[Source],
    messages: Messages,
    asked: Callable[[Any], list[Answer]],
    *,
    show: bool,
    memory_limit: int,
) -> tuple[list[tuple[str, Answer]], list[str]]:
    """Return the answers by name, and what was wrong with the inputs that could not be used."""
    import sys

    from convcli.learn.pictures import samples_from_source

    found: list[tuple[str, Answer]] = []
    problems = []
    draws = show and sys.stderr.isatty()
    if show and not draws:
        messages.say("--show draws on a terminal only; stderr is none.")
    with messages.progress() as progress:
        for source in progress.track(sources, description="pictures"):
            content = sys.stdin.buffer.read() if source.path is None else source.path
            try:
                samples = samples_from_source(
                    content, source.name, model.preprocessing, memory_limit=memory_limit
                )
            except InputError as problem:
                problems.append(str(problem))
                continue
            with messages.warned(source.name):
                told = asked(samples)
            for number, answer in enumerate(told):
                name = source.name if len(told) == 1 else f"{source.name}[{number}]"
                found.append((name, answer))
                if draws:
                    sys.stderr.write(f"{name}\n{drawn(samples[number])}")
    return found, problems


def drawn(sample: Any) -> str:
    """Return a sample as half blocks with colors, or a sentence where it is no picture."""
    from convcli.imaging.half_blocks import half_blocks
    from convcli.imaging.picture import Frame

    if sample.ndim != 3:
        return "(no picture: it is not drawn)\n"
    pixels = sample[..., 0] if sample.shape[-1] == 1 else sample
    return half_blocks(Frame(pixels), columns=sample.shape[1], rows=sample.shape[0])


def answers_report(found: list[tuple[str, Answer]]) -> Report:
    """Return one row for each sample."""
    from convcli.report import Column, Report
    from convcli.report.numbers import percent

    def others(top: tuple[tuple[str, float], ...]) -> str:
        return ", ".join(f"{label} {probability:.1%}" for label, probability in top[1:]) or "-"

    columns = [
        Column("file", "file"),
        Column("label", "answer", "left", lambda label: "don't know" if label is None else label),
        Column("probability", "probability", "right", percent),
        Column("top", "then"),
    ]
    rows: list[list[Any]] = [[name, a.label, a.probability, others(a.top)] for name, a in found]
    if any(answer.values is not None for _, answer in found):
        columns = [Column("file", "file"), Column("values", "values", "left", _figures)]
        rows = [[name, answer.values] for name, answer in found]
    elif any(answer.logits is not None for _, answer in found):
        columns.append(Column("logits", "logits", "left", _figures))
        rows = [[*row, answer.logits] for row, (_, answer) in zip(rows, found, strict=True)]
    return Report(
        title="",
        columns=tuple(columns),
        rows=tuple(map(tuple, rows)),
        document=[
            {
                "file": name,
                "label": answer.label,
                "probability": answer.probability,
                "top": [{"label": label, "probability": p} for label, p in answer.top],
            }
            | ({} if answer.values is None else {"values": answer.values})
            | ({} if answer.logits is None else {"logits": answer.logits})
            for name, answer in found
        ],
    )


def _figures(values: list[Any] | None) -> str:
    """Return numbers in a row; maps are told by their extent."""
    if values and isinstance(values[0], list):
        return f"a map of {len(values)} rows; --format json has them"
    return " ".join(f"{value:.6g}" for value in values or [])
