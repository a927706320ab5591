"""`convcli shape`: every figure of a network, on paper."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from convcli.cli import shape_options as options
from convcli.cli.console import Messages, emit
from convcli.cli.options import (
    ForceOption,
    FormatOption,
    QuietOption,
    ThreadsOption,
    refuse_without_effect,
)
from convcli.errors import CheckError, UsageError

if TYPE_CHECKING:
    from convcli.learn.timing import Timing
    from convcli.net import Trace
    from convcli.net.expression import Verdict
    from convcli.net.lookup import OpenedNetwork
    from convcli.report import Report

HELP = """Calculate a network on paper: output sizes, parameters, MACs, FLOPs, memory
and receptive field of every layer, without a framework.

NETWORK is a preset (see convcli presets), a .net, Keras or model file, or
words: input HxWxC, then layers with commas between. Quote brackets and #.
"""

EXAMPLES = """Examples:

  convcli shape resnet50

  convcli shape input 28x28x1, conv 16 3 relu, maxpool 2, flatten, dense 10

  convcli shape mnist --explain conv2

  convcli shape unet --trace 0,0 --at conv3

  convcli shape mnist --time --batch 128

  convcli shape resnet50 --batch 64 --memory-limit 8GiB

  convcli shape mnist --assert "params < 1e5 and receptive_field >= 10"

  convcli shape --solve "28 -> 14, kernel 3"

  convcli shape --flops-table

  convcli shape --layers conv
"""


class ShapeCommand(TyperCommand):
    """Lets `--explain` stand alone: it takes the next word only behind a network."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a bare `--explain` an empty value, which means all layers."""
        return super().parse_args(ctx, with_explain_filled(args))


def with_explain_filled(words: list[str]) -> list[str]:
    """Return the words with `--explain` and its layer, or nothing, in one.

    >>> with_explain_filled(["mnist", "--explain", "conv1"])
    ['mnist', '--explain=conv1']
    >>> with_explain_filled(["--explain", "mnist"])
    ['--explain=', 'mnist']
    """
    if "--explain" not in words:
        return words
    place = words.index("--explain")
    rest = words[place + 1 :]
    if place and rest and not rest[0].startswith("-"):
        return [*words[:place], f"--explain={rest[0]}", *rest[1:]]
    return [*words[:place], "--explain=", *rest]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("shape", cls=ShapeCommand, help=HELP, epilog=EXAMPLES)(shape)


def shape(
    words: options.NetworkWords = None,
    input_text: options.InputOption = None,
    batch: options.BatchOption = 1,
    dtype: options.DtypeOption = "float32",
    dialect: options.DialectOption = None,
    compare_dialects: options.CompareDialectsOption = False,
    freeze: options.FreezeOption = None,
    columns: options.ColumnsOption = None,
    explain: options.ExplainOption = None,
    solve: options.SolveOption = None,
    sizes: options.SizesOption = False,
    selftest: options.SelftestOption = False,
    flops_table: options.FlopsTableOption = False,
    layers: options.LayersOption = False,
    trace: options.TraceOption = None,
    at: options.AtOption = None,
    convention: options.ConventionOption = None,
    memory_limit: options.MemoryLimitOption = None,
    assertion: options.AssertOption = None,
    diagram: options.DiagramOption = None,
    time: options.TimeOption = False,
    threads: ThreadsOption = 0,
    style: FormatOption = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Print the figures of one network, or the answer to one question about it."""
    asked = _ask_one_thing(
        explain=explain is not None,
        solve=solve is not None,
        sizes=sizes,
        selftest=selftest,
        flops_table=flops_table,
        layers=layers,
        trace=trace is not None,
        compare_dialects=compare_dialects,
    )
    if at is not None and trace is None:
        raise UsageError("--at names the layer for --trace; give --trace ROW,COL too.")
    table_only = {"--columns": columns, "--convention": convention, "--time": time}
    figures_only = {"--assert": assertion, "--diagram": diagram, "--dialect": dialect}
    if asked:
        refuse_without_effect(
            {**table_only, "--memory-limit": memory_limit}, f"in the table, not with {asked}"
        )
    if layers:
        from convcli.present.word_table import words_report

        refuse_without_effect({"--input": input_text, **figures_only}, f"with {asked}")
        return emit(words_report(" ".join(words) if words else None), style)
    if solve is not None or selftest or flops_table:
        refuse_without_effect(
            {"NETWORK": words, "--input": input_text, **figures_only}, f"without {asked}"
        )
        return _answer_without_network(solve, style, flops_table=flops_table)
    opened = _opened(words or [], input_text)
    if compare_dialects or sizes:
        from convcli.cli.shape_questions import dialects_report, input_sizes

        refuse_without_effect(figures_only, f"without {asked}")
        return emit((input_sizes if sizes else dialects_report)(opened.network), style)
    frozen = (*opened.frozen, *(freeze or ()))
    traced = opened.network.trace(dialect=dialect, batch=batch, dtype=dtype, freeze=frozen)
    verdict = _verdict(assertion, traced) if assertion is not None else None
    messages = Messages(quiet=quiet)
    if trace is not None:
        from convcli.cli.shape_questions import rectangle_report

        report = rectangle_report(traced, trace, at)
    elif explain is not None:
        from convcli.cli.shape_questions import explained

        report = explained(traced, explain)
    else:
        measure = partial(_timed, traced, threads, messages) if time else None
        report = _table(traced, opened.notes, columns, convention, memory_limit, measure)
    if diagram is not None:
        _write_diagram(diagram, traced, words or [], force=force, messages=messages)
    emit(report, style)
    if verdict is not None:
        _tell(verdict, messages)
    return None


def _answer_without_network(solve: str | None, style: str | None, *, flops_table: bool) -> None:
    """Answer `--solve`, `--flops-table` or `--selftest`."""
    from convcli.cli.shape_questions import flops_report, solutions

    if solve is not None:
        emit(solutions(solve), style)
    elif flops_table:
        emit(flops_report(), style)
    else:
        _run_selftest(style)


def _run_selftest(style: str | None) -> None:
    """Print what was checked, and fail if anything does not hold."""
    from convcli.cli.shape_questions import selftest_report
    from convcli.net.selftest import selftest

    checks = selftest()
    emit(selftest_report(checks), style)
    failed = [check for check in checks if not check.holds]
    if failed:
        first = failed[0]
        raise CheckError(
            f"{len(failed)} of {len(checks)} figures do not hold. {first.name} {first.figure}: "
            f"{first.got} where {first.source} says {first.expected}."
        )


def _ask_one_thing(**asked: bool) -> str:
    """Return the option that asks for a report of its own, or nothing; refuse two."""
    wanted = [f"--{name.replace('_', '-')}" for name, is_asked in asked.items() if is_asked]
    if len(wanted) > 1:
        raise UsageError(f"Ask one thing at a time: {' or '.join(wanted)}.")
    return "".join(wanted)


def _opened(words: list[str], input_text: str | None) -> OpenedNetwork:
    """Return the network that the words name."""
    from convcli.net.lookup import open_network

    source = " ".join(words)
    if not source.strip():
        raise UsageError(
            "Which network? Give a preset, a file or words: "
            "convcli shape input 28x28x1, conv 16 3 relu"
        )
    return open_network(source, read_shape(input_text))


def read_shape(text: str | None) -> tuple[int, ...] | None:
    """Return the sizes in `28x28x1`, None for none.

    >>> read_shape("28x28x1")
    (28, 28, 1)

    Raises:
        UsageError: no sizes.
    """
    if text is None:
        return None
    from convcli.net.expression import ParseError
    from convcli.net.words import sizes

    try:
        return sizes(text.strip())
    except ParseError as problem:
        raise UsageError(f"--input {text[:40]!r}: {problem}. Write --input 28x28x1.") from problem


def _table(
    traced: Trace,
    notes: tuple[str, ...],
    columns: str | None,
    convention: str | None,
    memory_limit: str | None,
    measure: Callable[[], Timing] | None,
) -> Report:
    """Return the table of all layers with what was asked to stand beside it."""
    from convcli.option import byte_count
    from convcli.present.network_table import (
        DEFAULT_COLUMNS,
        TIMED_COLUMNS,
        chosen_columns,
        shape_report,
    )

    counted = None
    if convention is not None:
        from convcli.net.conventions import count

        counted = count(traced, convention)
    limit = None if memory_limit is None else byte_count(memory_limit)
    chosen = chosen_columns(columns, TIMED_COLUMNS if measure else DEFAULT_COLUMNS)
    timing = measure() if measure else None
    return shape_report(traced, chosen, notes=notes, counted=counted, limit=limit, timing=timing)


def _timed(traced: Trace, threads: int, messages: Messages) -> Timing:
    """Run the layers on the engine, with progress."""
    if traced.dtype != "float32":
        raise UsageError(f"The engine runs float32, not {traced.dtype}. Leave out --dtype.")
    from convcli.learn.timing import time_network

    messages.say("Timing layer by layer; the first use of a layer compiles it, uncounted.")
    with messages.progress() as progress:
        task = progress.add_task("layers", total=len(traced.steps))
        return time_network(traced, threads=threads, after_each=lambda: progress.advance(task))


def _write_diagram(
    path: Path, traced: Trace, words: list[str], *, force: bool, messages: Messages
) -> None:
    """Draw the network into a new file."""
    from convcli.cli.shape_diagram import diagram
    from convcli.files import write_text

    if path.suffix.lower() != ".svg":
        raise UsageError(f"The diagram is an SVG file; name it {path.with_suffix('.svg')}.")
    write_text(path, diagram(traced), force=force, inputs=[Path(" ".join(words))])
    messages.say(f"Wrote {path}")


def _verdict(expression: str, traced: Trace) -> Verdict:
    """Return whether the expression holds for the network's totals."""
    from convcli.net.expression import assertion_values, check

    return check(expression, assertion_values(traced))


def _tell(verdict: Verdict, messages: Messages) -> None:
    """Say what was compared, or fail with it."""
    told = "; ".join(f"{said}: {'yes' if fine else 'no'}" for said, fine in verdict.comparisons)
    if not verdict.holds:
        raise CheckError(f"The assertion does not hold. {told}")
    messages.say(f"The assertion holds. {told}")
