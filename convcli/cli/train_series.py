"""Several trainings in one order, and one that is only calculated."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from convcli.cli.console import emit, emit_summary
from convcli.cli.train_order import Order
from convcli.cli.train_run import begin, finish_check, run_to_end
from convcli.errors import UsageError
from convcli.learn.estimate import estimate
from convcli.learn.holdout import folds
from convcli.learn.plan import Parting, parted
from convcli.learn.run import RunResult
from convcli.learn.rundir import RunDirectory, create_run_directory
from convcli.report import Column, Report
from convcli.report.numbers import as_bytes, as_seconds, percent


def train_folds(order: Order, count: int) -> None:
    """Cross-validate: each sample validates once; the test samples are not read."""
    if "validation" in order.figures:
        raise UsageError("--folds holds samples out by itself; leave --val out.")
    data = order.load()
    folds(data.train, count, order.seed)  # refuses too few samples before anything is written
    results = []
    parent = _parent(order, "folds")
    with parent.dropped_if_empty():
        for number in range(1, count + 1):
            order.messages.say(f"Fold {number} of {count}:")
            parting = Parting(order.seed, fold=number, folds=count)
            run = begin(order, order.recipe, data, parent.path / f"fold{number}", parting)
            results.append(run_to_end(run, order))
    accuracies = [result.val_accuracy for result in results]
    _show(order, "fold", list(range(1, count + 1)), results, "val_accuracy", accuracies)


def train_seeds(order: Order, count: int) -> None:
    """Train with several seeds, all else equal; the hold-out of the first seed serves all."""
    data = order.load()
    results = []
    seeds = list(range(order.seed, order.seed + count))
    parent = _parent(order, "seeds")
    with parent.dropped_if_empty():
        for seed in seeds:
            order.messages.say(f"Seed {seed}:")
            one = dataclasses.replace(order, seed=seed)
            run = begin(one, order.recipe, data, parent.path / f"seed{seed}", Parting(order.seed))
            results.append(run_to_end(run, order))
    key = "val_accuracy" if data.test is None else "test_accuracy"
    _show(order, "seed", seeds, results, key, [getattr(result, key) for result in results])


def dry_run(order: Order) -> None:
    """Show figures, memory and the estimated time of a training, and write nothing."""
    data = parted(order.load(), order.recipe, Parting(order.seed))
    figures = estimate(
        order.network_for(data), data, order.recipe, seed=order.seed, threads=order.threads
    )
    rows = (
        ("parameters", f"{figures.params:,}"),
        ("multiply-accumulates of one sample", f"{figures.macs:,}"),
        ("training samples", f"{figures.samples:,}"),
        (
            "steps",
            f"{figures.steps:,} = {order.recipe.epochs} epochs x {figures.steps_per_epoch:,}",
        ),
        ("memory: samples", as_bytes(figures.sample_bytes)),
        ("memory: weights, gradients, optimizer", as_bytes(figures.weight_bytes)),
        ("memory: activations of one batch", as_bytes(figures.activation_bytes)),
        ("time of one step", as_seconds(figures.step_seconds)),
        ("time of training, estimated", as_seconds(figures.train_seconds)),
    )
    report = Report(
        title="Dry run: nothing is trained and nothing is written",
        columns=(Column("figure", "figure"), Column("value", "value", "right")),
        rows=rows,
        document=asdict(figures),
    )
    emit(report, order.style)


def _parent(order: Order, what: str) -> RunDirectory:
    name = f"{what}-{Path(order.data_source).stem}"
    return create_run_directory(order.out, name, force=order.force)


def _show(
    order: Order,
    what: str,
    names: list[int],
    results: list[RunResult],
    key: str,
    accuracies: list[float | None],
) -> None:
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    mean = statistics.fmean(known) if known else None
    deviation = statistics.stdev(known) if len(known) > 1 else None
    columns = (
        Column(what, what, "right"),
        Column("val_accuracy", "validation", "right", percent),
        Column("test_accuracy", "test", "right", percent),
        Column("best_epoch", "best epoch", "right"),
        Column("train_seconds", "trained", "right", as_seconds),
        Column("model", "model"),
    )
    rows: tuple[tuple[Any, ...], ...] = tuple(
        (name, r.val_accuracy, r.test_accuracy, r.best_epoch, r.train_seconds, r.model)
        for name, r in zip(names, results, strict=True)
    )
    spread = "" if deviation is None else f", standard deviation {deviation:.2%}"
    note = f"Mean of {key.replace('_', ' ')}: {percent(mean)}{spread} ({len(known)} trainings)"
    report = Report(
        title=f"{len(results)} {what}s",
        columns=columns,
        rows=rows,
        notes=(note,),
        document={
            f"{what}s": [{what: name, **asdict(r)} for name, r in zip(names, results, strict=True)],
            "mean": mean,
            "deviation": deviation,
            "of": key,
        },
    )
    emit_summary(report, order.style, order.messages)
    finish_check(order, mean)
