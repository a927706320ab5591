"""The options of `convcli shape`; `compare` shares some."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Dtype = Literal["float64", "float32", "float16", "bfloat16", "int8"]
Dialect = Literal["torch", "keras", "onnx"]
Convention = Literal["paper", "torchinfo", "fvcore", "ptflops", "keras", "deepspeed", "calflops"]

NETWORK, QUESTIONS, TABLE = "The network", "Other questions", "The table"
"""Under which headings the help lists the options."""

NetworkWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NETWORK...",
        help="A preset, a file, or a network in words; several words are joined.",
        show_default=False,
    ),
]
InputOption = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="HxWxC",
        help="Another input shape.",
        show_default=False,
        rich_help_panel=NETWORK,
    ),
]
BatchOption = Annotated[
    int,
    typer.Option(
        "--batch",
        min=1,
        help="Samples at a time; only memory grows with it.",
        rich_help_panel=NETWORK,
    ),
]
DtypeOption = Annotated[
    Dtype, typer.Option("--dtype", help="Type of weights and activations.", rich_help_panel=NETWORK)
]
DialectOption = Annotated[
    Dialect | None,
    typer.Option(
        "--dialect",
        help="Shapes as this framework builds them.",
        show_default=False,
        rich_help_panel=NETWORK,
    ),
]
CompareDialectsOption = Annotated[
    bool,
    typer.Option(
        "--compare-dialects",
        help="The layers on which frameworks differ.",
        rich_help_panel=QUESTIONS,
    ),
]
FreezeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--freeze",
        metavar="PATTERN",
        help="Layers that are not trained, such as 'conv*'; may be given again.",
        show_default=False,
        rich_help_panel=NETWORK,
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        "--columns",
        help="Columns by name, with commas between, or all.",
        show_default=False,
        rich_help_panel=TABLE,
    ),
]
ExplainOption = Annotated[
    str | None,
    typer.Option(
        "--explain",
        metavar="[LAYER]",
        help="Each figure with its formula and the numbers put in, of one layer or of all.",
        show_default=False,
        rich_help_panel=QUESTIONS,
    ),
]
SolveOption = Annotated[
    str | None,
    typer.Option(
        "--solve",
        metavar="QUESTION",
        help="The settings that do this, such as '28 -> 14, kernel 3'; needs no network.",
        show_default=False,
        rich_help_panel=QUESTIONS,
    ),
]
SizesOption = Annotated[
    bool,
    typer.Option(
        "--sizes",
        help="The smallest input, those that lose no cell, and in_features.",
        rich_help_panel=QUESTIONS,
    ),
]
TraceOption = Annotated[
    str | None,
    typer.Option(
        "--trace",
        metavar="[LAYER:]ROW,COL",
        help="The part of the input that this output cell sees.",
        show_default=False,
        rich_help_panel=QUESTIONS,
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="LAYER",
        help="The layer for --trace, by name or number; else the last map.",
        show_default=False,
        rich_help_panel=QUESTIONS,
    ),
]
ConventionOption = Annotated[
    Convention | None,
    typer.Option(
        "--convention",
        help="Count the work as this tool does.",
        show_default=False,
        rich_help_panel=TABLE,
    ),
]
MemoryLimitOption = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Say what to do where training needs more, such as 8GiB.",
        show_default=False,
        rich_help_panel=TABLE,
    ),
]
AssertOption = Annotated[
    str | None,
    typer.Option(
        "--assert",
        metavar="EXPRESSION",
        help="Exit with 5 unless this holds for the totals.",
        show_default=False,
        rich_help_panel=TABLE,
    ),
]
DiagramOption = Annotated[
    Path | None,
    typer.Option(
        "--diagram",
        metavar="SVG",
        help="Draw the graph and the growing field into this file.",
        show_default=False,
        rich_help_panel=TABLE,
    ),
]
SelftestOption = Annotated[
    bool,
    typer.Option(
        "--selftest",
        help="Check what ships against figures that others computed; needs no network.",
        rich_help_panel=QUESTIONS,
    ),
]
TimeOption = Annotated[
    bool,
    typer.Option(
        "--time",
        help="Run the layers on the engine: milliseconds and GFLOP/s beside the MACs.",
        rich_help_panel=TABLE,
    ),
]
LayersOption = Annotated[
    bool,
    typer.Option(
        "--layers",
        help="The words of the notation; behind it WORD for one in full.",
        rich_help_panel=QUESTIONS,
    ),
]
FlopsTableOption = Annotated[
    bool,
    typer.Option(
        "--flops-table",
        help="What counts as how many floating-point operations; needs no network.",
        rich_help_panel=QUESTIONS,
    ),
]
