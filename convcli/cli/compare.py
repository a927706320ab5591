"""`convcli compare`: two networks side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convcli.cli.console import emit
from convcli.cli.options import FormatOption
from convcli.cli.shape_options import BatchOption, DialectOption, DtypeOption, InputOption
from convcli.report import Column, Report
from convcli.report.numbers import as_bytes, with_prefix

if TYPE_CHECKING:
    from convcli.net import Step, Trace

HELP = """Compare two networks: totals with their ratio, and the layers side by side.

Each of A and B is a preset, a file, or a network in words (in quotes).
"""

EXAMPLES = """Examples:

  convcli compare resnet18 resnet34

  convcli compare "input 28x28x1, flatten, dense 40 relu, dense 10" mnist

  convcli compare before.net after.net --format markdown
"""

FirstNetwork = Annotated[
    str, typer.Argument(metavar="A", help="A preset, a file, or a network in words (in quotes).")
]
SecondNetwork = Annotated[str, typer.Argument(metavar="B", help="The other network, as A.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("compare", help=HELP, epilog=EXAMPLES)(compare)


def compare(
    a: FirstNetwork,
    b: SecondNetwork,
    input_text: InputOption = None,
    batch: BatchOption = 1,
    dtype: DtypeOption = "float32",
    dialect: DialectOption = None,
    style: FormatOption = None,
) -> None:
    """Print the totals and the layers of two networks."""
    from convcli.cli.shape import read_shape
    from convcli.net.lookup import open_network

    traces = []
    for source in (a, b):
        opened = open_network(source, read_shape(input_text))
        traces.append(
            opened.network.trace(dialect=dialect, batch=batch, dtype=dtype, freeze=opened.frozen)
        )
    emit(comparison(*traces, as_numbers=style == "csv"), style)


def comparison(a: Trace, b: Trace, *, as_numbers: bool = False) -> Report:
    """Return totals with ratios, and under them the layers aligned by what they do.

    A column of totals holds counts, bytes and shapes, each shown in its own way unless
    `as_numbers` is on.
    """
    from convcli.present.network_table import document_of

    names = _names(a, b)
    rows = _totals(a, b)
    pairs = aligned(a.steps, b.steps)
    return Report(
        title=f"{names[0]} and {names[1]}",
        columns=(
            Column("figure", "Figure"),
            Column("a", names[0], "right", str),
            Column("b", names[1], "right", str),
            Column("ratio", "B / A", "right", _ratio_text),
        ),
        rows=tuple(
            (key, x, y, _ratio(x, y)) if as_numbers else (label, show(x), show(y), _ratio(x, y))
            for key, label, x, y, show in rows
        ),
        document={
            "a": document_of(a),
            "b": document_of(b),
            "totals": {key: {"a": x, "b": y, "ratio": _ratio(x, y)} for key, _, x, y, _ in rows},
            "layers": [
                {"a": x and x.name, "b": y and y.name, "same": mark == "="} for mark, x, y in pairs
            ],
        },
        parts=(_layers(pairs, names),),
    )


def _names(a: Trace, b: Trace) -> tuple[str, str]:
    """Return two headers that differ."""
    first, second = a.network.name, b.network.name
    return (first, second) if first != second else (f"A: {first}", f"B: {second}")


def _totals(a: Trace, b: Trace) -> list[tuple[str, str, Any, Any, Any]]:
    """Return (key, label, of A, of B, how to show it) for each figure."""
    from convcli.net.memory import memory
    from convcli.present.network_table import sizes_text

    needs = memory(a), memory(b)
    x, y = a.totals, b.totals
    return [
        ("input", "Input", a.network.input_shape, b.network.input_shape, _shape_text),
        ("output", "Output", a.output_shape, b.output_shape, _shape_text),
        ("layers", "Rows", len(a.steps), len(b.steps), str),
        ("params", "Parameters", x.params, y.params, "{:,}".format),
        ("trainable", "Trainable", x.trainable, y.trainable, "{:,}".format),
        ("macs", "MACs", x.macs, y.macs, with_prefix),
        ("flops", "FLOPs", x.flops, y.flops, with_prefix),
        ("weight_bytes", "Weights", x.weight_bytes, y.weight_bytes, as_bytes),
        ("peak_bytes", "Peak to run", needs[0].peak_bytes, needs[1].peak_bytes, as_bytes),
        ("training_bytes", "To train", needs[0].training_bytes, needs[1].training_bytes, as_bytes),
        ("receptive_field", "Field", x.receptive_field, y.receptive_field, sizes_text),
    ]


def _shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _ratio(x: object, y: object) -> float | None:
    return y / x if isinstance(x, int) and isinstance(y, int) and x else None


def _ratio_text(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.3g}"


Pair = tuple[str, "Step | None", "Step | None"]
"""A mark and the layers of both: `=` words and parameters, `~` changed, `-` gone, `+` new."""


def aligned(a: Sequence[Step], b: Sequence[Step]) -> list[Pair]:
    """Return the layers of both in pairs, in order.

    Runs of the same words are matched first, then the same ops between them; what is left
    between two matches is paired off.
    """
    from convcli.present.network_table import layer_words

    pairs: list[Pair] = []
    for same, xs, ys in _matched(a, b, layer_words):
        if same:
            pairs += [
                ("=" if x.params == y.params else "~", x, y) for x, y in zip(xs, ys, strict=True)
            ]
            continue
        for _, left, right in _matched(xs, ys, lambda step: step.op):
            for x, y in zip_longest(left, right):
                pairs.append(("+" if x is None else "-" if y is None else "~", x, y))
    return pairs


def _matched(
    a: Sequence[Step], b: Sequence[Step], key: Callable[[Step], str]
) -> Iterator[tuple[bool, Sequence[Step], Sequence[Step]]]:
    """Yield (whether their keys are equal, a run of A, a run of B) in order."""
    matcher = SequenceMatcher(None, [*map(key, a)], [*map(key, b)], autojunk=False)
    for kind, start_a, end_a, start_b, end_b in matcher.get_opcodes():
        yield kind == "equal", a[start_a:end_a], b[start_b:end_b]


def _layers(pairs: list[tuple[str, Step | None, Step | None]], names: tuple[str, str]) -> Report:
    """Return the layers of both side by side."""
    from convcli.present.network_table import layer_words

    def cells(step: Step | None) -> tuple[Any, ...]:
        return (None, None) if step is None else (layer_words(step), step.params)

    def words(cell: Any) -> str:
        return "" if cell is None else str(cell)

    def figure(cell: Any) -> str:
        return "" if cell is None else f"{cell:,}" if cell else "-"

    columns = [Column("mark", "")]
    for key, name in zip("ab", names, strict=True):
        columns.append(Column(f"layer_{key}", name, "left", words))
        columns.append(Column(f"params_{key}", "Params", "right", figure))
    return Report(
        title="Layers",
        columns=tuple(columns),
        rows=tuple((mark, *cells(x), *cells(y)) for mark, x, y in pairs),
        notes=(
            "= the same words and parameters, ~ changed, - only in the first, "
            "+ only in the second.",
        ),
    )
