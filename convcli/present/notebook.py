"""How values show themselves: in a notebook as HTML, printed as text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcli.errors import ConvcliError
from convcli.report import Column, Report, render, tabulate
from convcli.report.document import Block, in_cell, render_blocks

if TYPE_CHECKING:
    from convcli.data import Dataset
    from convcli.kernels import AnyKernel, Kernel
    from convcli.learn.evaluation import Evaluation
    from convcli.learn.fit import Epoch, Training
    from convcli.learn.lr_find import LrTest
    from convcli.learn.modelfile import TrainedModel
    from convcli.net import Network, Trace
    from convcli.sweep.sweep import Sweep

LARGEST_MATRIX = 15
"""Cells across and down of a kernel that is shown in full."""

PAUSE = 0.25
"""Seconds between two drawings of a value that changes."""


def html_of(value: object) -> str | None:
    """Return a value as HTML, or None where there is no rendering for it or it cannot be made.

    >>> from convcli.net import parse_notation
    >>> "<td>dense 2</td>" in html_of(parse_notation("input 4, dense 2"))
    True
    >>> html_of(3) is None
    True
    """
    blocks = _blocks(value)
    return None if blocks is None else in_cell(render_blocks(blocks))


def text_of(value: object) -> str:
    """Return a value as text: its words and tables, or its repr where there are none.

    >>> from convcli.kernels import find
    >>> print(text_of(find("sobel-x")))
    sobel-x: 3x3, divisor 1, offset 0, sum 0
     0  1  2
    -1  0  1
    -2  0  2
    -1  0  1
    """
    blocks = _blocks(value) or ()
    parts = [
        render(block, "plain") if isinstance(block, Report) else f"{block}\n"
        for block in blocks
        if isinstance(block, Report | str)
    ]
    return "\n".join(parts).rstrip("\n") or repr(value)


@contextmanager
def live(value: object) -> Iterator[Callable[[], None]]:
    """Show a value in the cell that runs, and draw it anew where it stands, now and in the end."""
    from IPython import display, get_ipython

    if getattr(get_ipython(), "kernel", None) is None:  # a terminal, where nothing can be redrawn
        yield lambda: None
        return
    show: Any = display.display
    cell = show(value, display_id=True)
    drawn = time.monotonic()

    def redraw() -> None:
        nonlocal drawn
        if time.monotonic() - drawn >= PAUSE:
            cell.update(value)
            drawn = time.monotonic()

    try:
        yield redraw
    finally:
        cell.update(value)


def _blocks(value: object) -> Sequence[Block] | None:
    card = CARDS.get(type(value).__name__)
    if card is None:
        return None
    try:
        return card(value)
    except ConvcliError:  # such as layers that do not fit; the repr still says what it is
        return None


def _network(network: Network) -> Sequence[Block]:
    return _trace(network.trace())


def _trace(trace: Trace) -> Sequence[Block]:
    from convcli.present.network_table import shape_report

    return (shape_report(trace),)


def _kernel(kernel: AnyKernel) -> Sequence[Block]:
    """Return a kernel's numbers, or both components of a magnitude."""
    from convcli.kernels import Kernel

    components = (kernel,) if isinstance(kernel, Kernel) else kernel.components
    return tuple(map(_matrix, components))


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


def _epoch(epoch: Epoch) -> Sequence[Block]:
    from convcli.present.curves import epochs_report

    return (epochs_report([asdict(epoch)]),)


def _training(training: Training) -> Sequence[Block]:
    from convcli.learn.run_directory import RunDirectory
    from convcli.present.facts import RunFacts
    from convcli.present.run_page import curve_blocks

    history = [asdict(epoch) for epoch in training.history]
    stands = f"{len(history)} of {training.recipe.epochs} epochs."
    now = training.progress
    if now.step_in_epoch:
        stands += (
            f" Epoch {len(history) + 1}: step {now.step_in_epoch} of {training.steps_per_epoch}, "
            f"loss {now.loss_sum / now.seen:.4f}."
        )
    facts = RunFacts(RunDirectory(Path()), "", {}, history)
    return (stands, *(curve_blocks(facts) if history else ()))


def _model(model: TrainedModel) -> Sequence[Block]:
    rows = [{"figure": key.replace("_", " "), "value": one} for key, one in model.metrics.items()]
    figures = tabulate(rows, {"figure": "Figure", "value": "Value"})
    what = {"values": "values", "labels": "labels"}.get(model.outputs, "classes")
    words = f"{len(model.class_names)} {what}: {', '.join(model.class_names[:10])}" + (
        ", ..." if len(model.class_names) > 10 else ""
    )
    return (words, figures, *_network(model.network))


def _evaluation(found: Evaluation) -> Sequence[Block]:
    from convcli.present.evaluation import evaluation_report

    return (evaluation_report(found),)


def _dataset(data: Dataset) -> Sequence[Block]:
    from convcli.present.data import description

    return (description(data, None),)


def _lr_test(test: LrTest) -> Sequence[Block]:
    from convcli.present.training import lr_report

    return (lr_report(test.points, test.suggestion),)


def _sweep(sweep: Sweep) -> Sequence[Block]:
    """Return the trials, the best one marked, as means over the seeds."""
    from convcli.sweep.trial import ranked

    rows = [
        {
            "best": one is sweep.best(),
            "trial": one.trial.number,
            **{name: str(value) for name, value in one.trial.values},
            "params": one.params,
            **{name: one.spread(name).mean for name in ("val_loss", "val_accuracy")},
            "seconds": one.seconds,
        }
        for one in ranked(list(sweep.summaries.values()))
    ]
    swept = [name for one in list(sweep.summaries.values())[:1] for name, _ in one.trial.values]
    columns: dict[str, str | Column] = {
        "best": Column("best", "", text=lambda best: "*" if best else ""),
        "trial": "Trial",
        **{name: name for name in swept},
        "params": "Params",
        "val_loss": "Val loss|.4f",
        "val_accuracy": "Val accuracy|%",
        "seconds": "Time|s",
    }
    return (tabulate(rows, columns, title=f"{len(rows)} trials, the best first"),)


CARDS: dict[str, Callable[[Any], Sequence[Block]]] = {
    "Network": _network,
    "Trace": _trace,
    "Kernel": _kernel,
    "Magnitude": _kernel,
    "Epoch": _epoch,
    "Training": _training,
    "TrainedModel": _model,
    "Evaluation": _evaluation,
    "Dataset": _dataset,
    "LrTest": _lr_test,
    "Sweep": _sweep,
    "Report": lambda report: (report,),
}
"""Class name -> rendering; by name, so that showing a kernel does not load the engine."""
