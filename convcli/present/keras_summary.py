"""What Keras prints of a network, where it is no report of ours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from convcli.exchange.keras_files import KerasModel
from convcli.exchange.keras_read import KerasGraph
from convcli.exchange.source import keras_on_paper
from convcli.layers.base import Shape
from convcli.net import Trace
from convcli.report.table import ruled

STACK = 88, {"Layer (type)": 0.45, "Output Shape": 0.8, "Param #": 1.0}
GRAPH = 108, {"Layer (type)": 0.3, "Output Shape": 0.56, "Param #": 0.74, "Connected to": 1.0}
"""Columns of the terminal, and where those of the table end as shares of them."""


def keras_summary(trace: Trace) -> str:
    """Return what `model.summary()` of Keras 3 prints for a network; a stack is a Sequential.

    Raises:
        InputError: a layer that Keras does not have.
    """
    model = keras_on_paper(trace)
    stack = all(len(entry.sources) < 2 for entry in model.entries)
    width, ends = STACK if stack else GRAPH
    sides = pairwise((0, *(int(end * width) for end in ends.values())))
    columns = {head: end - begin for head, (begin, end) in zip(ends, sides, strict=True)}
    shapes, rows = dict(_shapes(model)), []
    for entry in model.entries[stack:]:
        shape = ", ".join(["None", *map(str, shapes.get(entry.name, trace.network.input_shape))])
        reads = ", ".join(f"{source}[0][0]" for source in entry.sources) or "-"
        count = f"{sum(array.size for array in entry.arrays):,}"
        rows.append([f"{entry.name} ({entry.kind})", f"({shape})", count, reads][: len(columns)])
    total = sum(array.size for entry in model.entries for array in entry.arrays)
    fixed = trace.totals.non_trainable
    counts = {"Total": total, "Trainable": total - fixed, "Non-trainable": fixed}
    feet = [f" {head} params: {n:,} ({_memory(4 * n)})\n" for head, n in counts.items()]
    return f'Model: "{model.name}"\n' + ruled(columns, rows, width, {"Param #"}) + "".join(feet)


def _shapes(model: KerasModel) -> Iterator[tuple[str, Shape]]:
    """Yield what each layer of a model gives, the input left out."""
    content, leaves = KerasGraph(model.config()).content(None, model.name)
    for step, leaf in zip(content.network.trace().steps, leaves, strict=True):
        yield leaf.name, step.output_shape


def _memory(count: int) -> str:
    """Return bytes as Keras writes them.

    >>> _memory(123048), _memory(0)
    ('120.16 KB', '0.00 B')
    """
    power = 0 if not count else min((count.bit_length() - 1) // 10, 4)
    return f"{count / 1024**power:.2f} {('B', 'KB', 'MB', 'GB', 'TB')[power]}"
