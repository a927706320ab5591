"""A sweep from the command line: data, progress, Ctrl-C, the last words."""

from __future__ import annotations

import signal
from datetime import datetime
from pathlib import Path

from convcli.cli.console import Messages, emit_summary
from convcli.cli.interruption import handling
from convcli.cli.sweep_plan import Plan
from convcli.cli.sweep_view import finished_line, sweep_report, write_pictures
from convcli.cli.train_order import Order, check_default_source, is_notation
from convcli.data import Source
from convcli.learn.plan import with_validation
from convcli.net import network
from convcli.sweep.local import LocalEngine
from convcli.sweep.search import Round, make_search
from convcli.sweep.store import SweepDirectory, create_sweep_directory
from convcli.sweep.sweep import Engine, Sweep


def sweep_all(
    plan: Plan,
    *,
    resume: Path | None,
    out: Path | None,
    processes: int,
    cluster: str | None,
    messages: Messages,
    style: str | None,
    force: bool,
) -> None:
    """Train all trials and show what came of them.

    Raises:
        KeyboardInterrupt: after it was said how to go on.
    """
    order = Order(
        words=plan.network,
        source=Source.noted(plan.source, plan.shaping),
        recipe_name=plan.recipe,
        figures=plan.figures,
        seed=plan.seed,
        messages=messages,
    )
    recipe = order.recipe
    if plan.source is None:
        for axis in plan.read_axes():
            for words in map(str, axis.points() if axis.name == "network" else ()):
                if not is_notation(words):
                    check_default_source(words, network(words))
    search = make_search(
        plan.search,
        plan.read_axes(),
        trials=plan.trials,
        epochs=recipe.epochs,
        factor=plan.factor,
        seed=plan.seed,
    )
    data = with_validation(order.load(), recipe, plan.seed)
    engine = _engine(processes, cluster)
    sweep = Sweep(recipe, data, search, range(plan.seed, plan.seed + plan.seeds), engine)
    directory = SweepDirectory(resume) if resume else _new_directory(out, plan, force)
    directory.clean()
    sweep.directory = directory
    try:
        with handling(signal.default_int_handler):
            _run(sweep, messages)
    except KeyboardInterrupt:
        Messages().say(
            f"{directory.count()} finished trainings are kept. "
            f"Go on with: convcli sweep --resume {directory.path}"
        )
        raise
    pictures = write_pictures(sweep, plan.read_axes(), directory.path)
    emit_summary(sweep_report(sweep, plan, directory.path, pictures, style), style, messages)


def _engine(processes: int, cluster: str | None) -> Engine:
    if cluster is None:
        return LocalEngine(processes)
    from convcli.sweep.remote import ClusterEngine

    return ClusterEngine(cluster)


def _new_directory(out: Path | None, plan: Plan, force: bool) -> SweepDirectory:
    place, number = out, 2
    if place is None:
        wanted = Path("runs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-sweep"
        place = wanted
        while place.exists():
            place, number = wanted.with_name(f"{wanted.name}-{number}"), number + 1
    directory = create_sweep_directory(place, force=force)
    directory.write_plan(plan.record())
    return directory


def _run(sweep: Sweep, messages: Messages) -> None:
    """Train with one bar over all trainings of a round, and a line for each."""
    messages.say("Preparing the engine; on a new machine it compiles first, for some seconds.")
    with messages.progress() as progress:
        for event in sweep.events():
            if isinstance(event, Round):
                bar = progress.add_task("trainings", total=len(event.trials) * len(sweep.seeds))
                if event.epochs is not None:
                    messages.say(f"Rung: {len(event.trials)} trials, epochs {event.epochs}.")
                continue
            messages.say(finished_line(event, sweep.trial(event.job)))
            progress.advance(bar)
