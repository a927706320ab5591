"""Networks side by side: their totals with ratios, and their layers matched by what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from string import ascii_lowercase
from typing import Any

from convcli.layers.base import shape_text
from convcli.net import Step, Trace
from convcli.net.memory import memory
from convcli.present.network_table import document_of, layer_words, sizes_text
from convcli.report import Column, Report
from convcli.report.numbers import as_bytes, with_prefix


def comparison(traces: Sequence[Trace], *, as_numbers: bool = False) -> Report:
    """Return totals with their ratios to the first, and under them the layers of each pair.

    A column of totals holds counts, bytes and shapes, each shown in its own way unless
    `as_numbers` is on. The document calls the networks a, b, c and so on.
    """
    names = _names(traces)
    letters = ascii_lowercase[: len(traces)]
    ratios = ["ratio"] if len(traces) == 2 else [f"ratio_{letter}" for letter in letters[1:]]
    figures = [(key, label, [of(one) for one in traces], show) for key, label, of, show in TOTALS]
    rows = [
        (
            key if as_numbers else label,
            *(values if as_numbers else map(show, values)),
            *(_ratio(values[0], value) for value in values[1:]),
        )
        for key, label, values, show in figures
    ]
    columns = [Column("figure", "Figure")]
    columns += [Column(key, name, "right", str) for key, name in zip(letters, names, strict=True)]
    for key, letter in zip(ratios, letters[1:].upper(), strict=True):
        columns.append(Column(key, f"{letter} / A", "right", _ratio_text))
    pairs = [aligned(traces[0].steps, other.steps) for other in traces[1:]]
    document: dict[str, Any] = {
        letter: document_of(one) for letter, one in zip(letters, traces, strict=True)
    }
    document["totals"] = {
        key: dict(zip(letters, values, strict=True))
        | {ratio: _ratio(values[0], b) for ratio, b in zip(ratios, values[1:], strict=True)}
        for key, _, values, _ in figures
    }
    for number, found in enumerate(pairs):
        document["layers" if not number else f"layers_{letters[number + 1]}"] = [
            {"a": x and x.name, letters[number + 1]: y and y.name, "same": mark == "="}
            for mark, x, y in found
        ]
    return Report(
        title=f"{', '.join(names[:-1])} and {names[-1]}",
        columns=tuple(columns),
        rows=tuple(rows),
        document=document,
        parts=tuple(
            _layers(found, (names[0], name), "layers" if number == 1 else f"layers_{number}")
            for number, (found, name) in enumerate(zip(pairs, names[1:], strict=True), 1)
        ),
        name="totals",
    )


TOTALS: tuple[tuple[str, str, Callable[[Trace], Any], Callable[[Any], str]], ...] = (
    ("input", "Input", lambda one: one.network.input_shape, shape_text),
    ("output", "Output", lambda one: one.output_shape, shape_text),
    ("layers", "Rows", lambda one: len(one.steps), str),
    ("params", "Parameters", lambda one: one.totals.params, "{:,}".format),
    ("trainable", "Trainable", lambda one: one.totals.trainable, "{:,}".format),
    ("macs", "MACs", lambda one: one.totals.macs, with_prefix),
    ("flops", "FLOPs", lambda one: one.totals.flops, with_prefix),
    ("weight_bytes", "Weights", lambda one: one.totals.weight_bytes, as_bytes),
    ("peak_bytes", "Activations", lambda one: memory(one).peak_bytes, as_bytes),
    ("inference_bytes", "To run", lambda one: memory(one).inference_bytes, as_bytes),
    ("training_bytes", "To train", lambda one: memory(one).training_bytes, as_bytes),
    ("receptive_field", "Field", lambda one: one.totals.receptive_field, sizes_text),
)
"""Key, label, what it is of a network, and how it is shown."""


def _names(traces: Sequence[Trace]) -> list[str]:
    """Return headers that differ."""
    names = [one.network.name for one in traces]
    if len(set(names)) == len(names):
        return names
    return [
        f"{letter}: {name}" for letter, name in zip(ascii_lowercase.upper(), names, strict=False)
    ]


def _ratio(x: object, y: object) -> float | None:
    return y / x if isinstance(x, int) and isinstance(y, int) and x else None


def _ratio_text(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.3g}"


Pair = tuple[str, Step | None, Step | None]
"""A mark and the layers of both: `=` words and parameters, `~` changed, `-` gone, `+` new."""


def aligned(a: Sequence[Step], b: Sequence[Step]) -> list[Pair]:
    """Return the layers of both in pairs, in order.

    Runs of the same words are matched first, then the same ops between them; what is left
    between two matches is paired off.
    """
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


def _layers(pairs: list[Pair], names: tuple[str, str], key: str) -> Report:
    """Return the layers of both side by side."""

    def cells(step: Step | None) -> tuple[Any, ...]:
        return (None, None) if step is None else (layer_words(step), step.params)

    def words(cell: Any) -> str:
        return "" if cell is None else str(cell)

    def figure(cell: Any) -> str:
        return "" if cell is None else f"{cell:,}" if cell else "-"

    columns = [Column("mark", "")]
    for letter, name in zip("ab", names, strict=True):
        columns.append(Column(f"layer_{letter}", name, "left", words))
        columns.append(Column(f"params_{letter}", "Params", "right", figure))
    return Report(
        title="Layers",
        columns=tuple(columns),
        rows=tuple((mark, *cells(x), *cells(y)) for mark, x, y in pairs),
        notes=(
            "= the same words and parameters, ~ changed, - only in the first, "
            "+ only in the second.",
        ),
        name=key,
    )
