"""What a training is asked for: each field that may be told on a command line is its option.

Standard library only; `convcli.learn.training` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convcli.data.source import Source
from convcli.errors import UsageError
from convcli.learn.recipes import Recipe, find_recipe
from convcli.net.lookup import model_path, preset_data
from convcli.option import option

DEFAULT_SOURCE = "mnist"


@dataclass(frozen=True)
class Assignment:
    """Which network learns which samples, and how.

    Attributes:
        words: the network as the user named it; empty for the recipe's.
        source: of the samples; without a name those of `DEFAULT_SOURCE`.
        settings: fields of `Recipe` that take the place of the named recipe's.
    """

    words: str = ""
    source: Source = field(default_factory=Source)
    settings: dict[str, Any] = field(default_factory=dict)
    recipe: str | None = option("All settings at once: default, lecture, fast, tiny, accurate.")
    seed: int = option("Same seed, same bits, on any number of threads.", default=0, min=0)
    threads: int = option("Processor threads; 0 means all there are.", default=0, min=0)

    @property
    def network_words(self) -> str:
        """The network as the user named it; may be empty."""
        return self.words

    @property
    def data_source(self) -> str:
        """The words after `--data`, or the made data that the preset is for, or the default."""
        return self.source.name or preset_data(self.network_words, made=True) or DEFAULT_SOURCE

    def full_recipe(self) -> Recipe:
        """Return the named recipe with the settings of this assignment."""
        network = {"network": self.network_words} if self.network_words else {}
        return find_recipe(self.recipe or "default").changed(**self.settings, **network)


@dataclass(frozen=True)
class TrainRequest(Assignment):
    """What `convcli train` may be told besides network, samples and settings.

    Attributes:
        force: a directory with an earlier run may be taken over.
    """

    force: bool = False
    init: Path | None = option("Begin with this model's weights.", metavar="MODEL")
    head: int | None = option(
        "With --init: a new last layer for so many classes; all others keep their weights.",
        metavar="CLASSES",
        min=1,
    )
    resume: Path | None = option(
        "Go on with a run, to the same bits; with --epochs N until that epoch.", metavar="RUN"
    )
    out: Path | None = option(
        "Run directory.", "-o", "--out", metavar="DIR", show_default="runs/DATE-NAME"
    )
    time_limit: float | None = option("Stop after so many seconds of training.")
    fail_under: float | None = option("Exit with 5 under this test accuracy (0..1).")
    folds: int | None = option("Cross-validation: train so many times.")
    seeds: int | None = option("Train with so many seeds: mean, deviation.", min=2)
    overfit: int | None = option("Sanity check: overfit this few samples.", min=2)
    dry_run: bool = option("Sizes, memory and estimated time; no training.", default=False)
    log: Path | None = option(
        "Write a line of JSON for each epoch, and the result, into this file; --resume adds to it.",
        metavar="FILE.jsonl",
    )
    tensorboard: bool = option(
        "Write event files into the run, too: curves, weights.", default=False
    )

    @property
    def network_words(self) -> str:
        """The network as the user named it, or that of the model to begin with; may be empty."""
        if self.words or self.init is None:
            return self.words
        return str(model_path(self.init).absolute())

    def check(self) -> None:
        """Refuse what cannot go together.

        Raises:
            UsageError: two ways to train, or a fold that is to be held out twice.
        """
        modes = ("folds", "seeds", "overfit", "dry_run", "resume")
        chosen = [
            f"--{mode.replace('_', '-')}"
            for mode in modes
            if getattr(self, mode) not in {None, False}
        ]
        if len(chosen) > 1:
            raise UsageError(f"{chosen[0]} and {chosen[1]} cannot go together; use one of them.")
        if self.folds is not None and "val" in self.settings:
            raise UsageError("--folds holds samples out by itself; leave --val out.")
        if self.head is not None and self.init is None:
            raise UsageError("--head replaces the last layer of a model: name it with --init.")
