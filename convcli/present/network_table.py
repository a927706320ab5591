"""The figures of a traced network as a `Report`: rows, totals, notes and the JSON document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convcli.errors import UsageError, did_you_mean
from convcli.layers.base import Layer, elements
from convcli.net import Step, Trace, network, preset_names
from convcli.net.conventions import Counted
from convcli.net.lookup import preset_about
from convcli.net.memory import Memory, Roof, largest_batch, memory, memory_advice, moved_bytes
from convcli.net.words import layer_text
from convcli.report import Column, Report, tabulate
from convcli.report.numbers import as_bytes, with_prefix
from convcli.report.value import as_text

if TYPE_CHECKING:
    from convcli.learn.timing import Timing

DEFAULT_COLUMNS = ("name", "layer", "output", "params", "macs", "receptive_field")
DEPTH_COLUMNS = ("name", "layer", "output", "params", "params_share", "macs", "macs_share")
"""What stands in the table of blocks."""

MANY_ROWS = 60
"""From here on a table does not say at a glance what a network is."""

TIMED_COLUMNS = ("name", "layer", "output", "macs")
"""What stands beside measured times, which take two columns more."""


def _figure(value: Any) -> str:
    """Return a count with thousands marks; nothing to count is a dash."""
    return f"{value:,}" if value else "-"


def _effective(cells: Any) -> str:
    """Return sizes per axis with one decimal, once where all axes agree."""
    if cells is None:
        return "all"
    parts = [f"{one:.1f}" for one in cells]
    return parts[0] if len(set(parts)) == 1 else "x".join(parts)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(share: Any) -> str:
    return f"{share:.1%}" if share else "-"


def _three_figures(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _rounded(value: Any) -> str:
    return with_prefix(value) if value else "-"


def sizes_text(value: Any) -> str:
    """Return sizes per axis, once where all axes agree."""
    if not isinstance(value, tuple):
        return str(value)
    parts = ["?" if part is None else f"{part:,}" for part in value]
    return parts[0] if len(set(parts)) == 1 else "x".join(parts)


def _sizes_or_none(value: Any) -> str:
    return "-" if value is None else sizes_text(value)


def layer_words(step: Step) -> str:
    """Return a step's layer in the notation, without its name."""
    layer = step.layer
    return layer_text(replace(layer, name=None) if layer.name else layer)


def _field(step: Step) -> tuple[int, ...] | str:
    return step.receptive_field if step.stride is not None else "all"


@dataclass(frozen=True, slots=True)
class _Cells:
    """A column, its cell for a step, and its cell in the totals row."""

    column: Column
    of_step: Callable[[Step, Trace], Any]
    of_trace: Callable[[Trace], Any] = lambda trace: None


def _cells(
    key: str,
    header: str,
    text: Callable[[Any], str] | None = None,
    of_step: Callable[[Step, Trace], Any] | None = None,
    of_trace: Callable[[Trace], Any] = lambda trace: None,
    *,
    summed: bool = False,
) -> _Cells:
    """Return a column; its cell is the step's field of that name, unless `of_step` tells another.

    Figures, which have a `text`, stand right. Where it is `summed`, the totals have that field too.
    """
    return _Cells(
        Column(key, header, "right" if text else "left", text or as_text),
        of_step or (lambda step, trace: getattr(step, key)),
        (lambda trace: getattr(trace.totals, key)) if summed else of_trace,
    )


COLUMNS: dict[str, _Cells] = {cells.column.key: cells for cells in (
    _cells("index", "#", as_text),
    _cells("name", "Name", of_trace=lambda trace: "total"),
    _cells("layer", "Layer", None, lambda step, trace: layer_words(step),
           lambda trace: f"{len(trace.steps)} row{'s' * (len(trace.steps) != 1)}"),
    _cells("op", "Op"),
    _cells("activation", "Activation"),
    _cells("input", "Input", None, lambda step, trace: step.input_shapes[0]),
    _cells("output", "Output", None, lambda step, trace: step.output_shape,
           lambda trace: trace.output_shape),
    _cells("params", "Params", _figure, summed=True),
    _cells("trainable", "Trainable", _figure, summed=True),
    _cells("buffers", "Buffers", _figure, summed=True),
    _cells("macs", "MACs", _rounded, summed=True),
    _cells("flops", "FLOPs", _rounded, summed=True),
    _cells("receptive_field", "Field", sizes_text, lambda step, trace: _field(step), summed=True),
    _cells("receptive_field_min", "Smallest field", sizes_text, summed=True),
    _cells("effective_field", "Effective", _effective,
           lambda step, trace: trace.effective_fields[step.index - 1]),
    _cells("stride", "Stride", _sizes_or_none),
    _cells("padding", "Padding", _sizes_or_none),
    _cells("activation_bytes", "Memory", as_bytes, summed=True),
    _cells("moved_bytes", "Moved", as_bytes, lambda step, trace: moved_bytes(trace, step),
           lambda trace: sum(moved_bytes(trace, step) for step in trace.steps)),
    _cells("intensity", "FLOPs/byte", _three_figures,
           lambda step, trace: _share(step.flops * trace.batch, moved_bytes(trace, step))),
    _cells("params_share", "Params %", _percent,
           lambda step, trace: _share(step.params, trace.totals.params)),
    _cells("macs_share", "MACs %", _percent,
           lambda step, trace: _share(step.macs, trace.totals.macs)),
)}  # fmt: skip
"""What can stand in a column, by the name that `--columns` and the CSV header use."""


def chosen_columns(text: str | None, default: tuple[str, ...] = DEFAULT_COLUMNS) -> tuple[str, ...]:
    """Return the names in a comma-separated list; `all` is every one.

    >>> chosen_columns("name, params")
    ('name', 'params')

    Raises:
        UsageError: there is no such column; names the nearest.
    """
    if text is None:
        return default
    if text == "all":
        return tuple(COLUMNS)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in COLUMNS:
            hint = did_you_mean(name, COLUMNS) or f" There are: {', '.join(COLUMNS)}."
            raise UsageError(f"There is no column {name!r}.{hint}")
    if not names:
        raise UsageError(f"--columns names none. There are: {', '.join(COLUMNS)}.")
    return names


def shape_report(
    trace: Trace,
    columns: Sequence[str] = DEFAULT_COLUMNS,
    *,
    notes: Sequence[str] = (),
    counted: Counted | None = None,
    limit: int | None = None,
    count: int | None = None,
    timing: Timing | None = None,
    roof: Roof | None = None,
    depth: int | None = None,
    sort: str | None = None,
) -> Report:
    """Return the layers of a network as a table with totals, and the agreed JSON document.

    Args:
        trace: the network on paper.
        columns: keys of `COLUMNS`.
        notes: sentences to stand under the ones that every table has.
        counted: another tool's figures, to stand where the MACs do.
        limit: bytes that training may take; advice follows where it needs more.
        count: samples of a data set, whose bytes are told.
        timing: measured times, to stand behind the other columns.
        roof: what a machine does at most, for the least time of each layer.
        depth: blocks that lie deeper become one row each.
        sort: a column's key; the largest figures come first.
    """
    cells = [COLUMNS[name] for name in columns]
    if counted is not None:
        cells = [_as_counted(counted) if cell is COLUMNS["macs"] else cell for cell in cells]
    if roof is not None:
        cells += _roof_columns(roof)
    if timing is not None:
        cells += _timed_columns(timing)
    steps = trace.steps if depth is None else folded(trace, depth)
    if sort is not None:
        steps = _sorted(steps, COLUMNS[sort], trace)
    need = memory(trace)
    size = "x".join(map(str, trace.network.input_shape))
    batch = f", batch {trace.batch}" if trace.batch > 1 else ""
    told = [*_summary(trace), *memory_notes(need, trace, limit)]
    if depth is None and len(steps) > MANY_ROWS and any("." in step.name for step in steps):
        told.append(f"These are {len(steps)} rows; --depth 1 gives every block one.")
    if count is not None:
        told.append(_data_note(elements(trace.network.input_shape), count))
    if counted is not None:
        told.append(convention_note(counted))
    if roof is not None:
        told.append(_roof_note(roof))
    if timing is not None:
        told += _timing_notes(timing)
    return Report(
        title=f"{trace.network.name} on {size}{batch}",
        columns=tuple(cell.column for cell in cells),
        rows=tuple(tuple(cell.of_step(step, trace) for cell in cells) for step in steps),
        totals=tuple(cell.of_trace(trace) for cell in cells),
        notes=(*told, *trace.notes, *notes),
        document=_document(trace, need, counted, timing, (*trace.notes, *notes))
        | ({} if limit is None else {"largest_batch": largest_batch(trace, limit)})
        | ({} if roof is None else {"roofline": _roof_document(roof, trace)})
        | ({} if count is None else {"data_bytes": count * elements(trace.network.input_shape)})
        | ({} if steps is trace.steps else {"rows": [_layer_document(step) for step in steps]}),
        sections=_block_starts(steps) if depth is None and sort is None else frozenset(),
    )


@dataclass(slots=True, eq=False, repr=False)
class _Folded(Layer):
    """Stands for the layers of a block in its one row."""

    layers: int

    op = "block"

    @property
    def row_op(self) -> str:
        return f"{self.layers} layers" if self.layers > 1 else "1 layer"


def block_path(step: Step, depth: int) -> tuple[str, ...]:
    """Return the names of the blocks that hold a step, `depth` of them; else longer, its own."""
    path = step.name.split(".")
    return tuple(path[:depth]) if len(path) > depth else (*path[:depth], *[""] * depth, step.name)


def folded(trace: Trace, depth: int) -> tuple[Step, ...]:
    """Return the steps with each block at `depth` in one row: its sums, and its last output."""
    groups: dict[tuple[str, ...], list[Step]] = {}
    for step in trace.steps:
        groups.setdefault(block_path(step, depth), []).append(step)
    return tuple(
        steps[-1]
        if len(path) > depth
        else replace(
            steps[-1],
            name=".".join(path),
            layer=_Folded(len(steps)),
            op="block",
            activation=None,
            input_shapes=steps[0].input_shapes,
            **{name: sum(getattr(step, name) for step in steps) for name in SUMMED},
        )
        for path, steps in groups.items()
    )


SUMMED = ("params", "trainable", "buffers", "macs", "flops", "activation_bytes")


def _sorted(steps: Sequence[Step], by: _Cells, trace: Trace) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: _comparable(by.of_step(step, trace))))


def _comparable(cell: Any) -> tuple[int, tuple[float, ...], str]:
    """Return what a cell is sorted by: figures from the largest on, then texts, then nothing."""
    figures = cell if isinstance(cell, tuple) else (cell,)
    if all(isinstance(one, int | float) for one in figures):
        return 0, tuple(-one for one in figures), ""
    return (2, (), "") if cell is None else (1, (), str(cell))


def presets_report() -> Report:
    """Return all presets with the totals that their traces give."""
    rows = []
    for name in preset_names():
        found = network(name)
        totals = found.trace().totals
        rows.append(
            {
                "name": name,
                "input": found.input_shape,
                "params": totals.params,
                "macs": totals.macs,
                "receptive_field": totals.receptive_field,
                "about": preset_about(name),
            }
        )
    return tabulate(
        rows,
        {
            "name": "Preset",
            "input": Column("input", "Input"),
            "params": "Params",
            "macs": "MACs|k",
            "receptive_field": Column("receptive_field", "Receptive field", "right", sizes_text),
            "about": "About",
        },
        notes=[
            "convcli shape NAME gives every layer, convcli presets NAME the text. Its `let` lines "
            "are settings: shape resnet50 classes=10 depth=101."
        ],
    )


def _as_counted(counted: Counted) -> _Cells:
    """Return the column of another tool's work."""
    header = f"{counted.convention.name} {counted.convention.unit}"
    return _Cells(
        Column(counted.convention.name, header, "right", _rounded),
        lambda step, trace: counted.by_step[step.index - 1],
        lambda trace: counted.work,
    )


def _block_starts(steps: Sequence[Step]) -> frozenset[int]:
    """Return the row numbers at which a block begins."""
    blocks = [step.name.partition(".")[0] if "." in step.name else "" for step in steps]
    return frozenset(
        row for row in range(1, len(blocks)) if blocks[row] not in {"", blocks[row - 1]}
    )


FLOPS_NOTE = " What a lecture calls flops are these MACs."


def _summary(trace: Trace) -> list[str]:
    """Return what the totals mean, in sentences."""
    totals = trace.totals
    kept = f" and {totals.buffers:,} running statistics" if totals.buffers else ""
    frozen = totals.params - totals.trainable
    still = f"; {frozen:,} of them frozen" if frozen else ""
    work = ", ".join(
        f"{kind} {with_prefix(flops)}" for kind, flops in totals.flops_breakdown.items() if flops
    )
    sentences = [
        f"Parameters: {totals.params:,}{kept}{still}; weights take "
        f"{as_bytes(totals.weight_bytes)} as {trace.dtype}.",
        f"One sample: {with_prefix(totals.macs)} MACs; {with_prefix(totals.flops)} FLOPs"
        f"{f' ({work})' * bool(work)}.{FLOPS_NOTE * bool(totals.macs)}",
    ]
    if totals.receptive_field_min != totals.receptive_field:
        smallest, largest = map(sizes_text, (totals.receptive_field_min, totals.receptive_field))
        sentences.append(
            f"Behind an enlargement cells see unequal parts: fields from {smallest} to {largest}."
        )
    return sentences


def gflops(macs: int, seconds: float | None, batch: int) -> float | None:
    """Return 10^9 floating-point operations a second, two for each multiply-accumulate.

    >>> gflops(500_000, 0.001, batch=10)
    10.0
    """
    return 2 * macs * batch / seconds / 1e9 if seconds and macs else None


def _measured(macs: int, seconds: float | None, batch: int) -> dict[str, float | None]:
    return {
        "milliseconds": None if seconds is None else seconds * 1000,
        "gflops": gflops(macs, seconds, batch),
    }


def _timed_columns(timing: Timing) -> list[_Cells]:
    """Return the columns of measured times; the totals are those of one pass through all."""

    def cells(key: str, header: str) -> _Cells:
        return _Cells(
            Column(key, header, "right", _three_figures),
            lambda step, trace: _measured(step.macs, timing.layers[step.index - 1], timing.batch)[
                key
            ],
            lambda trace: _measured(trace.totals.macs, timing.network, timing.batch)[key],
        )

    return [cells("milliseconds", "ms"), cells("gflops", "GFLOP/s")]


def _roof_columns(roof: Roof) -> list[_Cells]:
    """Return the columns of the least times; the totals add them up."""

    def least(step: Step, trace: Trace) -> float:
        work = step.flops * trace.batch, moved_bytes(trace, step)
        return 1000 * roof.seconds(*work)

    def bound(step: Step, trace: Trace) -> str | None:
        return roof.bound(step.flops * trace.batch, moved_bytes(trace, step))

    total = Column("least_milliseconds", "At least, ms", "right", _three_figures)
    return [
        COLUMNS["intensity"],
        _Cells(total, least, lambda trace: sum(least(step, trace) for step in trace.steps)),
        _Cells(Column("bound", "Bound by", text=lambda cell: cell or "-"), bound),
    ]


def _roof_note(roof: Roof) -> str:
    balance = roof.flops / roof.bandwidth
    return (
        f"This machine: {roof.flops / 1e9:.3g} GFLOP/s in the engine's products, "
        f"{roof.bandwidth / 1e9:.3g} GB/s from memory. A layer of less than {balance:.3g} FLOPs "
        f"for each byte waits for memory. A layer whose input lies in a cache, or a 3x3 "
        f"convolution in fewer products (Winograd), can be faster."
    )


def _roof_document(roof: Roof, trace: Trace) -> dict[str, Any]:
    columns = _roof_columns(roof)
    return {
        "flops_per_second": roof.flops,
        "bytes_per_second": roof.bandwidth,
        "by_layer": [
            {cell.column.key: cell.of_step(step, trace) for cell in columns} for step in trace.steps
        ],
        "least_milliseconds": columns[1].of_trace(trace),
    }


def _timing_notes(timing: Timing) -> list[str]:
    """Return what was measured."""
    samples = f"{timing.batch} samples" if timing.batch > 1 else "one sample"
    notes = [
        f"Times are for {samples}: each layer by itself, the total in one pass, where the engine "
        "joins layers and keeps maps in its caches."
    ]
    return [*notes, *([f"There is no total: {timing.reason}"] if timing.reason else [])]


def memory_notes(need: Memory, trace: Trace, limit: int | None) -> list[str]:
    """Return what the network needs, and advice where that is more than `limit` bytes."""
    samples = f"a batch of {trace.batch}" if trace.batch > 1 else "one sample"
    notes = [
        f"Memory for {samples}: {as_bytes(need.inference_bytes)} to run, with most activations "
        f"at {need.peak_name} ({as_bytes(need.peak_bytes)}); "
        f"{as_bytes(need.training_bytes)} to train with Adam."
    ]
    if limit is not None:
        most = largest_batch(trace, limit)
        batch = f" The largest batch that fits is {most:,}." if most else ""
        weights = as_bytes(need.weight_bytes + need.buffer_bytes)
        notes.append(
            f"To train, {as_bytes(need.kept_bytes)} are activations, {weights} weights and "
            f"statistics, {as_bytes(need.gradient_bytes)} gradients, "
            f"{as_bytes(need.optimizer_bytes)} Adam's own."
        )
        notes += memory_advice(trace, limit) or [f"That is within {as_bytes(limit)}.{batch}"]
    return notes


def _data_note(numbers: int, count: int) -> str:
    """Return what `count` samples take in memory, as pictures are stored and as floats."""
    stored, floats = as_bytes(numbers * count), as_bytes(4 * numbers * count)
    return f"{count:,} samples of {numbers:,} numbers: {stored} as uint8, {floats} as float32."


def convention_note(counted: Counted) -> str:
    """Return what a tool would print, how it counts, and what it leaves out."""
    convention = counted.convention
    left_out = f" It leaves out {', '.join(counted.uncounted)}." if counted.uncounted else ""
    return (
        f"{convention.name} counts {counted.work:,} {convention.unit} and {counted.params:,} "
        f"parameters ({convention.source}).{left_out}"
    )


def document_of(trace: Trace) -> dict[str, Any]:
    """Return the JSON document of a network; its field names are promised to scripts."""
    return _document(trace, memory(trace), None, None, trace.notes)


def _document(
    trace: Trace,
    need: Memory,
    counted: Counted | None,
    timing: Timing | None,
    notes: Sequence[str],
) -> dict[str, Any]:
    totals = trace.totals
    document: dict[str, Any] = {
        "name": trace.network.name,
        "input": trace.network.input_shape,
        "batch": trace.batch,
        "dtype": trace.dtype,
        "layers": [
            _layer_document(step) | {"effective_field": effective}
            for step, effective in zip(trace.steps, trace.effective_fields, strict=True)
        ],
        "totals": {
            "params": totals.params,
            "trainable": totals.trainable,
            "non_trainable": totals.non_trainable,
            "buffers": totals.buffers,
            "macs": totals.macs,
            "flops": totals.flops,
            "flops_breakdown": totals.flops_breakdown,
            "activation_bytes": totals.activation_bytes,
            "weight_bytes": totals.weight_bytes,
            "receptive_field": totals.receptive_field,
            "receptive_field_min": totals.receptive_field_min,
        },
        "memory": need._asdict(),
        "notes": notes,
    }
    if counted is not None:
        document["convention"] = {
            "name": counted.convention.name,
            "unit": counted.convention.unit,
            "work": counted.work,
            "params": counted.params,
            "by_layer": counted.by_step,
            "left_out": counted.uncounted,
        }
    if timing is not None:
        document["timing"] = {
            "batch": timing.batch,
            **_measured(trace.totals.macs, timing.network, timing.batch),
            "by_layer": [
                _measured(step.macs, seconds, timing.batch)
                for step, seconds in zip(trace.steps, timing.layers, strict=True)
            ],
        }
    return document


def _layer_document(step: Step) -> dict[str, Any]:
    return {
        "index": step.index,
        "name": step.name,
        "op": step.op,
        "layer": layer_words(step),
        "activation": step.activation,
        "sources": step.sources,
        "output": step.output_shape,
        "params": step.params,
        "trainable": step.trainable,
        "buffers": step.buffers,
        "macs": step.macs,
        "flops": step.flops,
        "flops_breakdown": step.flops_breakdown,
        "receptive_field": step.receptive_field,
        "receptive_field_min": step.receptive_field_min,
        "stride": step.stride,
        "padding": step.padding,
        "activation_bytes": step.activation_bytes,
    }
