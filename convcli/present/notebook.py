"""How values look in a notebook: small tables and charts, as HTML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcli.errors import ConvcliError
from convcli.report import Column, Report
from convcli.report.document import in_cell, render_blocks, render_table

if TYPE_CHECKING:
    from convcli.kernels import AnyKernel, Kernel
    from convcli.learn.evaluation import Evaluation
    from convcli.learn.fit import Epoch, Training
    from convcli.learn.modelfile import TrainedModel
    from convcli.net import Network, Trace

LARGEST_MATRIX = 15
"""Cells across and down of a kernel that is shown in full."""


def html_of(value: object) -> str | None:
    """Return a value as HTML, or None where there is no rendering for it or it cannot be made.

    >>> from convcli.net import parse_notation
    >>> "<td>dense 2</td>" in html_of(parse_notation("input 4, dense 2"))
    True
    >>> html_of(3) is None
    True
    """
    card = CARDS.get(type(value).__name__)
    if card is None:
        return None
    try:
        return in_cell(card(value))
    except ConvcliError:  # such as layers that do not fit; the repr still says what it is
        return None


def _network(network: Network) -> str:
    return _trace(network.trace())


def _trace(trace: Trace) -> str:
    from convcli.present.network_table import shape_report

    return render_table(shape_report(trace))


def _kernel(kernel: AnyKernel) -> str:
    """Return a kernel's numbers, or both components of a magnitude."""
    from convcli.kernels import Kernel

    components = (kernel,) if isinstance(kernel, Kernel) else kernel.components
    return "".join(render_table(_matrix(part)) for part in components)


def _matrix(kernel: Kernel) -> Report:
    height, width = kernel.size_hw
    title = (
        f"{kernel.name}: {height}x{width}, divisor {kernel.divisor:g}, offset {kernel.offset:g}, "
        f"sum {round(kernel.sum, 9) + 0.0:g}"
    )
    if max(height, width) > LARGEST_MATRIX:
        return Report(title, (), ())
    columns = tuple(Column(f"c{x}", f"{x}", "right", _number) for x in range(width))
    return Report(title, columns, tuple(kernel.rows))


def _number(value: float) -> str:
    return f"{value:g}"


def _epoch(epoch: Epoch) -> str:
    from convcli.present.curves import epochs_report

    return render_table(epochs_report([asdict(epoch)]))


def _training(training: Training) -> str:
    from convcli.learn.run_directory import RunDirectory
    from convcli.present.facts import RunFacts
    from convcli.present.run_page import curve_blocks

    history = [asdict(epoch) for epoch in training.history]
    stands = f"{len(history)} of {training.recipe.epochs} epochs."
    facts = RunFacts(RunDirectory(Path()), "", {}, history)
    return render_blocks((stands, *curve_blocks(facts)))


def _model(model: TrainedModel) -> str:
    rows = tuple((name.replace("_", " "), value) for name, value in model.metrics.items())
    figures = Report("", (Column("figure", "figure"), Column("value", "value", "right")), rows)
    what = {"values": "values", "labels": "labels"}.get(model.outputs, "classes")
    words = f"{len(model.class_names)} {what}: {', '.join(model.class_names[:10])}" + (
        ", ..." if len(model.class_names) > 10 else ""
    )
    return render_blocks((words, figures)) + _network(model.network)


def _evaluation(found: Evaluation) -> str:
    from convcli.present.evaluation import evaluation_report

    return render_table(evaluation_report(found))


CARDS: dict[str, Callable[[Any], str]] = {
    "Report": render_table,
    "Network": _network,
    "Trace": _trace,
    "Kernel": _kernel,
    "Magnitude": _kernel,
    "Epoch": _epoch,
    "Training": _training,
    "TrainedModel": _model,
    "Evaluation": _evaluation,
}
"""Class name -> rendering; by name, so that showing a kernel does not load the engine."""
