"""`convcli shape`, `compare` and `presets`: networks on paper."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convcli.cli.help import Command
from convcli.cli.options import FileOutput, Output, refuse_without_effect, takes
from convcli.errors import CheckError, UsageError, did_you_mean
from convcli.option import byte_count, option
from convcli.report import Report, to_json
from convcli.report.formats import STYLES

if TYPE_CHECKING:
    from convcli.cli.console import Messages
    from convcli.learn.timing import Timing
    from convcli.net import Trace
    from convcli.net.expression import Verdict
    from convcli.net.lookup import OpenedNetwork
    from convcli.net.memory import Roof

Dtype = Literal["float64", "float32", "float16", "bfloat16", "int8"]
Dialect = Literal["torch", "keras", "onnx"]
Convention = Literal[
    "paper", "torchinfo", "fvcore", "ptflops", "keras", "deepspeed", "calflops", "alpha-flops"
]

QUESTION = "Other questions"
TABLE = "The table"


@dataclass(frozen=True)
class OnPaper:
    """How a network is followed on paper."""

    PANEL = "The network"

    input: str | None = option("Another input shape.", metavar="HxWxC")
    batch: int = option("Samples at a time; only memory grows with it.", min=1, default=1)
    dtype: Dtype = option("Type of weights and activations.", default="float32")
    dialect: Dialect | None = option("Shapes as this framework builds them.")
    freeze: tuple[str, ...] = option(
        "Layers that are not trained, such as 'conv*'; may be given again.",
        metavar="PATTERN",
        default=(),
    )

    def opened(self, source: str, variables: Mapping[str, int] | None = None) -> OpenedNetwork:
        """Return the network that a text names, on the input that was asked for."""
        from convcli.net.lookup import open_network

        return open_network(source, _read_shape(self.input), variables)

    def trace(self, opened: OpenedNetwork) -> Trace:
        """Return the network followed as was asked for."""
        return opened.network.trace(
            dialect=self.dialect,
            batch=self.batch,
            dtype=self.dtype,
            freeze=(*opened.frozen, *self.freeze),
        )


@dataclass(frozen=True)
class Question:
    """What else one may ask than the table of figures; one thing at a time."""

    PANEL = QUESTION

    explain: str | None = option(
        "Each figure with its formula and the numbers put in, of one layer or of all.",
        metavar="[LAYER]",
    )
    solve: str | None = option(
        "The settings that do this: '28 -> 14, kernel 3', 'same size, kernel 5', "
        "'? -> 7, kernel 3'; or with --vary a condition.",
        metavar="QUESTION",
    )
    sizes: bool = option(
        "The smallest input, those that lose no cell, and in_features.", default=False
    )
    selftest: bool = option(
        "Check what ships against figures that others computed; needs no network.", default=False
    )
    flops_table: bool = option(
        "What counts as how many floating-point operations; needs no network.", default=False
    )
    layers: bool = option(
        "The words of the notation; behind it WORD for one in full.", default=False
    )
    trace: str | None = option(
        "The part of the input that this output cell sees.", metavar="[LAYER:]ROW,COL"
    )
    compare_dialects: bool = option("The layers on which frameworks differ.", default=False)

    def check_variable(self, vary: str | None, words: list[str] | None) -> None:
        """Refuse a variable without its condition, and a condition without its variable."""
        if vary is not None and self.solve is None:
            raise UsageError("--vary needs a condition: --solve 'params < 1M' --vary n.")
        if self.solve and vary is None and words and "->" not in self.solve:
            raise UsageError(
                f"--solve {self.solve[:40]!r} is a condition on a variable of NETWORK: name it, "
                "--vary n. A question on sizes needs no network: --solve '28 -> 14, kernel 3'."
            )

    @property
    def asked(self) -> str:
        """The option that was given, or nothing.

        Raises:
            UsageError: more than one was given.
        """
        given = [one.name for one in fields(self) if getattr(self, one.name) not in {None, False}]
        wanted = [f"--{name.replace('_', '-')}" for name in given]
        if len(wanted) > 1:
            raise UsageError(f"Ask one thing at a time: {' or '.join(wanted)}.")
        return "".join(wanted)


@dataclass(frozen=True)
class Table:
    """What stands in the table of figures and beside it."""

    PANEL = TABLE

    columns: str | None = option("Columns by name, with commas between, or all.")
    convention: Convention | None = option("Count the work as this tool does.")
    count: int | None = option(
        "Samples of a data set: its size in bytes stands under the table.", min=1
    )
    memory_limit: str | None = option(
        "Say what to do where training needs more, such as 8GiB.", metavar="SIZE"
    )
    depth: int | None = option(
        "Blocks that lie deeper become one row each, with sums and shares.", min=1
    )
    sort: str | None = option("Order the rows by this column, the largest first.", metavar="COLUMN")
    roofline: bool = option(
        "Measure this machine: the least time of each layer, and what bounds it.", default=False
    )
    time: bool = option(
        "Run the layers on the engine: milliseconds and GFLOP/s beside the MACs.", default=False
    )


@dataclass(frozen=True)
class ShapeOutput(FileOutput):
    """Also what Keras prints."""

    format: str | None = option(
        "How to print: table (on a terminal), plain (piped), csv (one table), keras (as "
        "model.summary()).",
        metavar="FORMAT",
        choices=(*STYLES, "keras"),
    )


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("shape", cls=ShapeCommand, epilog=SHAPE_EXAMPLES)(shape)
    app.command("compare", epilog=COMPARE_EXAMPLES)(compare)
    app.command("presets", epilog=PRESETS_EXAMPLES)(presets)


class ShapeCommand(Command):
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


SHAPE_EXAMPLES = """Examples:

  convcli shape resnet50

  convcli shape input 28x28x1, conv 16 3 relu, maxpool 2, flatten, dense 10

  convcli shape mnist --explain conv2

  convcli shape mnist --format keras

  convcli shape unet --trace 0,0 --at conv3

  convcli shape mnist --time --roofline --batch 128

  convcli shape resnet50 --depth 1 --sort macs

  convcli shape resnet50 --batch 64 --memory-limit 8GiB

  convcli shape unet --diagram unet.svg

  convcli shape mnist --assert "params < 1e5 and receptive_field >= 10"

  convcli shape --solve "28 -> 14, kernel 3"

  convcli shape rps --solve "params < 1M" --vary n

  convcli shape --flops-table

  convcli shape --layers conv
"""


@takes(paper=OnPaper, question=Question, table=Table, out=ShapeOutput)
def shape(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NETWORK...",
            help="A preset, a file, or a network in words; several words are joined.",
            show_default=False,
        ),
    ] = None,
    *,
    paper: OnPaper,
    question: Question,
    vary: str | None = option(
        "The variable of NETWORK for which --solve 'params < 1M' is answered.",
        metavar="NAME",
        rich_help_panel=QUESTION,
    ),
    at: str | None = option(
        "The layer for --trace, by name or number; else the last map.",
        metavar="LAYER",
        rich_help_panel=QUESTION,
    ),
    table: Table,
    assertion: str | None = option(
        "Exit with 5 unless this holds for the totals.",
        "--assert",
        metavar="EXPRESSION",
        rich_help_panel=TABLE,
    ),
    diagram: Path | None = option(
        "Draw the graph and the growing field: .svg .png .pdf .dot .mmd; past 150 boxes "
        "its blocks, unless --depth says else.",
        metavar="FILE",
        rich_help_panel=TABLE,
    ),
    threads: int = option(
        "Processor threads of --time; 0 means all there are.",
        min=0,
        default=0,
        rich_help_panel=TABLE,
    ),
    out: ShapeOutput,
) -> None:
    """Calculate a network on paper: sizes, parameters, work, memory, receptive fields.

    Of every layer: output, parameters, MACs, FLOPs, memory and receptive field, without a
    framework. NETWORK is a preset (see convcli presets), a .net, Keras or model file, or
    words: input HxWxC, then layers with commas between. Quote brackets and #.
    """
    asked = question.asked
    if at is not None and question.trace is None:
        raise UsageError("--at names the layer for --trace; give --trace ROW,COL too.")
    question.check_variable(vary, words)
    if asked:
        refuse_without_effect(_options(table), f"in the table, not with {asked}")
    figures_only = {"--assert": assertion, "--diagram": diagram, "--dialect": paper.dialect}
    if asked in {"--layers", "--solve", "--flops-table", "--selftest"} and vary is None:
        needless = {} if question.layers else {"NETWORK": words}
        refuse_without_effect(
            {**needless, "--input": paper.input, **figures_only}, f"without {asked}"
        )
        return _answer_without_network(question, words, out)
    source = " ".join(words or [])
    if not source.strip():
        raise UsageError(
            "Which network? Give a preset, a file or words: "
            "convcli shape input 28x28x1, conv 16 3 relu"
        )
    if vary is not None:
        refuse_without_effect(figures_only, f"without {asked}")
        return out.emit(_varied(source, str(question.solve), vary, paper))
    opened = paper.opened(source)
    if question.compare_dialects or question.sizes:
        from convcli.present.network_answers import dialects_report, input_sizes

        refuse_without_effect(figures_only, f"without {asked}")
        return out.emit((input_sizes if question.sizes else dialects_report)(opened.network))
    traced = paper.trace(opened)
    verdict = None
    if assertion is not None:
        from convcli.net.expression import check
        from convcli.net.memory import assertion_values

        verdict = check(assertion, assertion_values(traced))
    report = _answer(question, at, traced) if asked else None
    report = report or _figures(traced, opened.notes, table, threads, out.messages)
    if diagram is not None:
        from convcli.present.network_diagram import write_diagram

        write_diagram(traced, diagram, depth=table.depth, force=out.force, inputs=[Path(source)])
        out.messages.say(f"Wrote {diagram}")
    if out.format == "keras":
        from convcli.present.keras_summary import keras_summary

        sys.stdout.write(keras_summary(traced))
    else:
        out.emit(report)
    if verdict is not None:
        _tell(verdict, out.messages)
    return None


def _answer(question: Question, at: str | None, traced: Trace) -> Report:
    """Answer `--trace` or `--explain`."""
    from convcli.present.network_answers import explained, rectangle_report

    if question.trace is not None:
        return rectangle_report(traced, question.trace, at)
    return explained(traced, question.explain or "")


def _tell(verdict: Verdict, messages: Messages) -> None:
    """Say what was compared, or fail with it."""
    told = "; ".join(f"{said}: {'yes' if fine else 'no'}" for said, fine in verdict.comparisons)
    if not verdict.holds:
        raise CheckError(f"The assertion does not hold. {told}")
    messages.say(f"The assertion holds. {told}")


def _varied(source: str, condition: str, name: str, paper: OnPaper) -> Report:
    """Return the value of a variable at which a condition turns."""
    from convcli.net import network_variables
    from convcli.present.network_answers import varied

    known = network_variables(source)
    if name not in known:
        names = f"it has {', '.join(known)}" if known else "it has none"
        raise UsageError(
            f"{source[:40]} has no variable {name!r}; {names}.{did_you_mean(name, known)}"
        )
    return varied(
        source, condition, name, lambda value: paper.trace(paper.opened(source, {name: value}))
    )


def _options(group: object) -> dict[str, object]:
    """Return the options of a group with the values they have."""
    return {
        f"--{one.name.replace('_', '-')}": getattr(group, one.name)
        for one in fields(group)  # type: ignore[arg-type]  # a dataclass
    }


def _answer_without_network(question: Question, words: list[str] | None, out: Output) -> None:
    """Answer `--layers`, `--solve`, `--flops-table` or `--selftest`."""
    from convcli.present import network_answers as answers

    if question.layers:
        from convcli.present.word_table import words_report

        return out.emit(words_report(" ".join(words) if words else None))
    if question.solve is not None:
        return out.emit(answers.solutions(question.solve))
    if question.flops_table:
        return out.emit(answers.flops_report())
    from convcli.net.selftest import selftest

    checks = selftest()
    out.emit(answers.selftest_report(checks))
    failed = [check for check in checks if not check.holds]
    if failed:
        first = failed[0]
        raise CheckError(
            f"{len(failed)} of {len(checks)} figures do not hold. {first.name} {first.figure}: "
            f"{first.got} where {first.source} says {first.expected}."
        )
    return None


def _read_shape(text: str | None) -> tuple[int, ...] | None:
    """Return the sizes in `28x28x1`, None for none.

    Raises:
        UsageError: no sizes.
    """
    if text is None:
        return None
    from convcli.net.text import ParseError, sizes

    try:
        return sizes(text.strip())
    except ParseError as problem:
        raise UsageError(f"--input {text[:40]!r}: {problem}. Write --input 28x28x1.") from problem


def _figures(
    traced: Trace, notes: tuple[str, ...], table: Table, threads: int, messages: Messages
) -> Report:
    """Return the table of all layers with what was asked to stand beside it."""
    from convcli.present import network_table as present

    counted = None
    if table.convention is not None:
        from convcli.net.conventions import count

        counted = count(traced, table.convention)
    if table.depth is not None:
        given = {"--time": table.time, "--roofline": table.roofline,
                 "--convention": table.convention}  # fmt: skip
        refuse_without_effect(given, "for single layers, without --depth")
    measured = table.time or table.roofline
    default = present.DEFAULT_COLUMNS if table.depth is None else present.DEPTH_COLUMNS
    chosen = present.chosen_columns(table.columns, present.TIMED_COLUMNS if measured else default)
    return present.shape_report(
        traced,
        chosen,
        notes=notes,
        counted=counted,
        limit=None if table.memory_limit is None else byte_count(table.memory_limit),
        count=table.count,
        roof=_roof(threads) if table.roofline else None,
        timing=_timed(traced, threads, messages) if table.time else None,
        depth=table.depth,
        sort=None if table.sort is None else present.chosen_columns(table.sort)[0],
    )


def _roof(threads: int) -> Roof:
    """Measure what this machine does at most."""
    from convcli.learn.timing import measure_roof

    return measure_roof(threads=threads)


def _timed(traced: Trace, threads: int, messages: Messages) -> Timing:
    """Run the layers on the engine, with progress."""
    if traced.dtype != "float32":
        raise UsageError(f"The engine runs float32, not {traced.dtype}. Leave out --dtype.")
    from convcli.learn.timing import time_network

    messages.say("Timing layer by layer; the first use of a layer compiles it, uncounted.")
    with messages.progress() as progress:
        task = progress.add_task("layers", total=len(traced.steps))
        return time_network(traced, threads=threads, after_each=lambda: progress.advance(task))


COMPARE_EXAMPLES = """Examples:

  convcli compare resnet18 resnet34

  convcli compare resnet18 resnet34 resnet50 vgg16

  convcli compare "input 28x28x1, flatten, dense 40 relu, dense 10" mnist

  convcli compare before.net after.net --format markdown
"""


@takes(paper=OnPaper, out=Output)
def compare(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="A B...", help="Presets, files, or networks in words (each in quotes)."
        ),
    ],
    *,
    paper: OnPaper,
    out: Output,
) -> None:
    """Compare networks: totals with their ratios, and the layers side by side.

    The first is what the others are compared with.
    """
    from convcli.present.network_comparison import comparison

    if not 2 <= len(networks) <= 26:
        raise UsageError(f"compare takes 2 to 26 networks, not {len(networks)}.")
    traces = [paper.trace(paper.opened(source)) for source in networks]
    out.emit(comparison(traces, as_numbers=out.format == "csv"))


PRESETS_EXAMPLES = """Examples:

  convcli presets

  convcli presets unet

  convcli presets lenet5 > my.net

  convcli presets "mobilenet-v3-small width=75 classes=10"

  convcli presets lenet5 --as keras
"""


@takes(out=Output)
def presets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="Print this preset's text, with its settings.",
            show_default=False,
        ),
    ] = None,
    *,
    code: Literal["keras", "torch"] | None = option(
        "Print code that builds it in this framework.", "--as"
    ),
    out: Output,
) -> None:
    """List the networks that come with the program, with their totals, or print one as text.

    The text is a .net file: save it, change it, and give the file to any command.
    """
    refuse_without_effect({"--as": None if name else code}, "with the name of a preset")
    if name is None:
        from convcli.present.network_table import presets_report

        return out.emit(presets_report())
    from convcli.net import network, preset_text

    if code is None:
        text = preset_text(name)
    else:
        from convcli.exchange.source import source_of

        text = source_of(network(name), code)
    sys.stdout.write(to_json({"name": name, "text": text}) + "\n" if out.format == "json" else text)
    return None
