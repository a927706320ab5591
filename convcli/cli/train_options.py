"""The options of `convcli train`; what is left out is the recipe's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NetworkWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NETWORK]...",
        help="A preset, a file, or a network in words; the recipe's when left out.",
        show_default=False,
    ),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe", help="All figures at once: lecture, fast, tiny, accurate.", show_default=False
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", help="Passes over the samples.", show_default=False)
]
BatchOption = Annotated[
    int | None, typer.Option("--batch", help="Samples of one step.", show_default=False)
]
RateOption = Annotated[
    float | None,
    typer.Option("--lr", help="Learning rate; find one with lr-find.", show_default=False),
]
OptimizerOption = Annotated[
    str | None,
    typer.Option(
        "--optimizer",
        help="adam, adamw, sgd, nesterov, rmsprop; with figures: adam:beta2=0.99.",
        show_default=False,
    ),
]
MomentumOption = Annotated[
    float | None, typer.Option("--momentum", help="Of the optimizer.", show_default=False)
]
DecayOption = Annotated[
    float | None,
    typer.Option("--weight-decay", help="Pull of the kernels to zero.", show_default=False),
]
ScheduleOption = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        help="one-cycle, cosine, step, plateau, constant; with figures: step:every=3,by=0.5.",
        show_default=False,
    ),
]
AugmentOption = Annotated[
    str | None,
    typer.Option(
        "--augment",
        help="Changes by chance, such as shift=2,rotate=10,scale=0.1,elastic=1; or none.",
        show_default=False,
    ),
]
LossOption = Annotated[
    str | None, typer.Option("--loss", help="cross-entropy or mse.", show_default=False)
]
SmoothingOption = Annotated[
    float | None,
    typer.Option(
        "--label-smoothing", help="Share of each label spread over all.", show_default=False
    ),
]
ClassWeightsOption = Annotated[
    str | None,
    typer.Option(
        "--class-weights", help="balanced: rare classes count as much.", show_default=False
    ),
]
ClipOption = Annotated[
    float | None,
    typer.Option("--clip", help="Longest gradient that is followed.", show_default=False),
]
EmaOption = Annotated[
    float | None,
    typer.Option("--ema", help="Keep an average of the weights, such as 0.99.", show_default=False),
]
ValOption = Annotated[
    float | None,
    typer.Option("--val", help="Share held out to choose the epoch; 0: none.", show_default=False),
]
PatienceOption = Annotated[
    int | None,
    typer.Option(
        "--patience", help="Stop after so many epochs without a better one.", show_default=False
    ),
]
FreezeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--freeze",
        metavar="PATTERN",
        help="Layers that keep their weights, such as 'conv*'; may be given again.",
        show_default=False,
    ),
]
LayerRateOption = Annotated[
    list[str] | None,
    typer.Option(
        "--layer-rate",
        metavar="PATTERN=FACTOR",
        help="Layers that learn slower or faster, such as 'conv*=0.1'; may be given again.",
        show_default=False,
    ),
]
InitOption = Annotated[
    Path | None,
    typer.Option(
        "--init", metavar="MODEL", help="Begin with this model's weights.", show_default=False
    ),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(
        "--resume", metavar="RUN", help="Go on with a run, to the same bits.", show_default=False
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", metavar="DIR", help="Run directory.", show_default="runs/DATE-NAME"
    ),
]
LimitOption = Annotated[
    float | None,
    typer.Option(
        "--time-limit", help="Stop after so many seconds of training.", show_default=False
    ),
]
FailUnderOption = Annotated[
    float | None,
    typer.Option(
        "--fail-under", help="Exit with 5 under this test accuracy (0..1).", show_default=False
    ),
]
FoldsOption = Annotated[
    int | None,
    typer.Option("--folds", help="Cross-validation: train so many times.", show_default=False),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        "--seeds", min=2, help="Train with so many seeds: mean, deviation.", show_default=False
    ),
]
OverfitOption = Annotated[
    int | None,
    typer.Option(
        "--overfit", min=2, help="Sanity: learn this few samples by heart.", show_default=False
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Figures, memory and estimated time; no training.")
]
TensorBoardOption = Annotated[
    bool,
    typer.Option("--tensorboard", help="Write event files into the run, too: curves, weights."),
]
