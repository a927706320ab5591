"""`convcli train`: from one command to a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from convcli.cli import train_options as options
from convcli.cli.console import Messages
from convcli.cli.options import (
    ForceOption,
    FormatOption,
    QuietOption,
    SeedOption,
    ThreadsOption,
    refuse_beside_resume,
    takes,
)
from convcli.data.source import Source
from convcli.errors import UsageError

if TYPE_CHECKING:
    from convcli.cli.train_order import Order

HELP = """Train a network and write a model file; without any words: MNIST's digits.

A share of the training samples is held out to choose the best epoch; the test samples are read
once, at the end. Ctrl-C stops after a step and says how to go on.
"""

EXAMPLES = """Examples:

  convcli train

  convcli train --data digits --epochs 3

  convcli train --recipe fast --data fashion -o runs/fashion

  convcli train input 28x28x1, conv 8 3 relu, gap, dense 10 softmax --epochs 5

  convcli train rps:n=16 --data photos --val 0.2 --patience 5 --augment shift=2

  convcli train --resume runs/fashion
"""


BESIDE_RESUME = (
    "time_limit", "fail_under", "tensorboard", "threads", "style", "quiet", "force",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("train", help=HELP, epilog=EXAMPLES)(train)


@takes(source=Source)
def train(
    context: typer.Context,
    words: options.NetworkWords = None,
    *,
    source: Source,
    recipe: options.RecipeOption = None,
    epochs: options.EpochsOption = None,
    batch: options.BatchOption = None,
    rate: options.RateOption = None,
    optimizer: options.OptimizerOption = None,
    momentum: options.MomentumOption = None,
    weight_decay: options.DecayOption = None,
    schedule: options.ScheduleOption = None,
    augment: options.AugmentOption = None,
    loss: options.LossOption = None,
    label_smoothing: options.SmoothingOption = None,
    class_weights: options.ClassWeightsOption = None,
    clip: options.ClipOption = None,
    ema: options.EmaOption = None,
    val: options.ValOption = None,
    patience: options.PatienceOption = None,
    freeze: options.FreezeOption = None,
    layer_rate: options.LayerRateOption = None,
    init: options.InitOption = None,
    resume: options.ResumeOption = None,
    out: options.OutOption = None,
    time_limit: options.LimitOption = None,
    fail_under: options.FailUnderOption = None,
    folds: options.FoldsOption = None,
    seeds: options.SeedsOption = None,
    overfit: options.OverfitOption = None,
    dry_run: options.DryRunOption = False,
    tensorboard: options.TensorBoardOption = False,
    seed: SeedOption = 0,
    threads: ThreadsOption = 0,
    style: FormatOption = None,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Parse, call, render."""
    figures = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": rate,
        "optimizer": optimizer,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "augment": augment,
        "loss": loss,
        "label_smoothing": label_smoothing,
        "class_weights": class_weights,
        "clip": clip,
        "average": ema,
        "validation": val,
        "patience": patience,
        "freeze": tuple(freeze) if freeze else None,
        "layer_rates": tuple(map(_layer_rate, layer_rate)) if layer_rate else None,
    }
    modes = {"--folds": folds, "--seeds": seeds, "--overfit": overfit, "--dry-run": dry_run or None}
    _refuse_together(modes | {"--resume": resume})
    from convcli.cli.train_order import Order

    if tensorboard:
        from convcli.exchange.event_log import check_tensorboard

        check_tensorboard()
    order = Order(
        words=" ".join(words or ()),
        source=source,
        recipe_name=recipe,
        figures={name: value for name, value in figures.items() if value is not None},
        init=init,
        out=out,
        time_limit=time_limit,
        fail_under=fail_under,
        seed=seed,
        threads=threads,
        style=style,
        messages=Messages(quiet=quiet),
        force=force,
        tensorboard=tensorboard,
    )
    if resume is not None:
        # it takes everything from its checkpoint, or its bits would change
        refuse_beside_resume(context, BESIDE_RESUME, "run")
    _carry_out(order, modes | {"--resume": resume})


def _carry_out(order: Order, modes: dict[str, Any]) -> None:
    from convcli.cli import train_run, train_series

    match next((item for item in modes.items() if item[1] is not None), (None, None)):
        case ("--resume", place):
            train_run.resume_one(order, place)
        case ("--folds", count):
            train_series.train_folds(order, count)
        case ("--seeds", count):
            train_series.train_seeds(order, count)
        case ("--overfit", count):
            train_run.overfit(order, count)
        case ("--dry-run", _):
            train_series.dry_run(order)
        case _:
            train_run.train_one(order)


def _layer_rate(text: str) -> tuple[str, float]:
    """Return PATTERN=FACTOR as the two that it names."""
    pattern, _, factor = text.rpartition("=")
    try:
        return pattern, float(factor)
    except ValueError:
        raise UsageError(
            f"--layer-rate {text}: write PATTERN=FACTOR, as in --layer-rate 'conv*=0.1'."
        ) from None


def _refuse_together(modes: dict[str, Any]) -> None:
    chosen = [name for name, value in modes.items() if value is not None]
    if len(chosen) > 1:
        raise UsageError(f"{chosen[0]} and {chosen[1]} cannot go together; use one of them.")
