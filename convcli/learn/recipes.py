"""What a training is asked for: its recipe, and which network learns which samples.

Each field that may be told on a command line is its option; `convcli.learn.training` does it.
Standard library only: the command line and a sweep read its fields before anything is loaded.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convcli.data.source import Source
from convcli.errors import ConvcliError, UsageError, did_you_mean
from convcli.learn.optimizers import Optimizer, read_optimizer
from convcli.learn.schedules import Schedule, read_schedule
from convcli.net.lookup import model_path, preset_data
from convcli.option import option
from convcli.records import from_record

LOSSES = ("cross-entropy", "focal", "hinge", "dice", "bce", "mse", "mae", "huber")
CLASS_WEIGHTS = ("none", "balanced")
SAMPLERS = ("shuffle", "balanced")
MOST_EPOCHS = 10**9


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that tells how good a model is.

    Attributes:
        tasks: that have it.
        higher: whether more is better.
    """

    tasks: tuple[str, ...]
    higher: bool = True


METRICS = {
    "loss": Metric(("classes", "labels", "values", "mask"), higher=False),
    "accuracy": Metric(("classes", "labels", "mask")),
    "top3": Metric(("classes",)),
    "f1": Metric(("classes", "labels")),
    "weighted_f1": Metric(("classes",)),
    "balanced_accuracy": Metric(("classes",)),
    "kappa": Metric(("classes",)),
    "auc": Metric(("classes", "labels")),
    "average_precision": Metric(("classes", "labels")),
    "iou": Metric(("mask",)),
    "dice": Metric(("mask",)),
    "mae": Metric(("values",), higher=False),
    "rmse": Metric(("values",), higher=False),
    "r2": Metric(("values",)),
}
"""The figures by name, as `--monitor` takes them."""


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"--{option} {value}: use at least {least}.")


def _above_zero(option: str, value: float | None) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise UsageError(f"--{option} {value:g}: use a number above 0.")


def _share(option: str, value: float | None) -> None:
    if value is not None and not 0 <= value < 1:
        raise UsageError(f"--{option} {value:g}: use a share from 0 to below 1.")


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = did_you_mean(value, known)
        raise UsageError(f"--{option} {value}: use one of {', '.join(known)}.{hint}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides a training besides the data and the seed; each field is an option, too.

    `network` is notation, a preset or a file. None means the optimizer's usual value (`lr`,
    `momentum`, `weight_decay`), or not at all (`clip`, `ema`, `patience`).
    """

    PANEL = "Training"

    network: str = "mnist"
    epochs: int = option("Passes over the samples.", default=10)
    batch: int = option("Samples of one step.", default=128)
    lr: float | None = option("Learning rate; find one with lr-find.")
    optimizer: str = option(
        "adam, adamw, sgd, nesterov, rmsprop; with settings: adam:beta2=0.99.", default="adam"
    )
    momentum: float | None = option("Of the optimizer.")
    weight_decay: float | None = option("Weight decay (L2).")
    schedule: str = option(
        "one-cycle, cosine, restarts, polynomial, exponential, step, plateau, constant; with "
        "settings: step:every=3,by=0.5.",
        default="one-cycle",
    )
    augment: str = option(
        "Random augmentation, such as shift=2,rotate=10,scale=0.1,elastic=1,crop=0.2,hue=20,"
        "mixup=0.2; or none. `convcli data SOURCE --augment ... -o sheet.png` draws it.",
        default="",
    )
    loss: str | None = option(
        f"{', '.join(LOSSES[:-1])} or huber; what the task takes when left out.", metavar="NAME"
    )
    monitor: str | None = option(
        "The validation figure that chooses the epoch and --patience goes by: accuracy, loss, f1, "
        "auc, iou, mae, r2, ...; accuracy or the task's own when left out.",
        metavar="NAME",
    )
    label_smoothing: float = option("Share of each label spread over all classes.", default=0.0)
    class_weights: str = option(
        "balanced: rare classes count as much; or weights by name, such as cat=2,dog=0.5.",
        default="none",
        metavar="WEIGHTS",
    )
    sampler: str = option(
        "shuffle: every sample once in a pass; balanced: every class as often, so that samples of "
        "rare ones come again.",
        default="shuffle",
        metavar="NAME",
    )
    accumulate: int = option(
        "Compute each step in so many parts, which takes less memory.", default=1
    )
    clip: float | None = option("Clip the gradient's norm to this.")
    ema: float | None = option("Keep a moving average of the weights, such as 0.99, and save it.")
    val: float = option(
        "Share held out for validation, which chooses the epoch; 0: none.", default=0.1
    )
    steps_per_epoch: int | None = option(
        "Steps of an epoch, where it is not one pass over the samples; the next one goes on."
    )
    phases: str = option(
        "Train layers one part after another, each with the schedule anew, such as "
        "'head:5, all:5@0.1': the last layer for 5 epochs, then all for 5 at a tenth of the rate.",
        default="",
        metavar="LAYERS:EPOCHS[@FACTOR],...",
    )
    calibrate: bool = option(
        "Scale the last layer by the temperature at which the validation samples are most likely.",
        default=False,
    )
    patience: int | None = option("Stop after this many epochs without a better one.")
    freeze: tuple[str, ...] = option(
        "Layers that keep their weights, such as 'conv*'; may be given again.",
        metavar="PATTERN",
        default=(),
    )
    layer_rate: tuple[str, ...] = option(
        "Layers that learn slower or faster, such as 'conv*=0.1'; may be given again.",
        metavar="PATTERN=FACTOR",
        default=(),
    )

    def __post_init__(self) -> None:
        _at_least("epochs", self.epochs, 1)
        _at_least("batch", self.batch, 1)
        _above_zero("lr", self.lr)
        _above_zero("clip", self.clip)
        _share("label-smoothing", self.label_smoothing)
        _share("ema", self.ema)
        _share("val", self.val)
        if self.patience is not None:
            _at_least("patience", self.patience, 1)
            if self.val == 0:
                raise UsageError("--patience needs validation samples; leave --val 0 out.")
        if self.loss is not None:
            _one_of("loss", self.loss, LOSSES)
        if self.monitor is not None:
            _one_of("monitor", self.monitor, tuple(METRICS))
            if self.val == 0:
                raise UsageError("--monitor needs validation samples; leave --val 0 out.")
        _one_of("sampler", self.sampler, SAMPLERS)
        _at_least("accumulate", self.accumulate, 1)
        if self.steps_per_epoch is not None:
            _at_least("steps-per-epoch", self.steps_per_epoch, 1)
        if self.calibrate and self.val == 0:
            raise UsageError("--calibrate needs validation samples; leave --val 0 out.")
        if sum(phase.epochs for phase in self.read_phases()) > self.epochs:
            raise UsageError(
                f"--phases {self.phases}: that is more than --epochs {self.epochs}; leave --epochs "
                "out."
            )
        self.read_class_weights()
        self.read_optimizer()
        self.read_schedule()
        self.read_layer_rates()

    def read_optimizer(self) -> Optimizer:
        """Return the optimizer with its figures."""
        return read_optimizer(
            self.optimizer, momentum=self.momentum, weight_decay=self.weight_decay
        )

    def read_schedule(self) -> Schedule:
        """Return the schedule with its figures."""
        return read_schedule(self.schedule)

    def read_layer_rates(self) -> tuple[tuple[str, float], ...]:
        """Return each pattern of layer names, and what their learning rate is multiplied by."""
        return tuple(map(_layer_rate, self.layer_rate))

    def read_phases(self) -> tuple[Phase, ...]:
        """Return what is trained one after another; none where all is trained throughout.

        >>> Recipe().changed(phases="head:2, all:3@0.1").read_phases()[1]
        Phase(layers='all', epochs=3, factor=0.1)
        """
        return tuple(_phase(part.strip()) for part in self.phases.split(",") if part.strip())

    def read_class_weights(self) -> dict[str, float]:
        """Return the weights that are given by name; none for `none` and `balanced`.

        >>> Recipe(class_weights="cat=2, dog=0.5").read_class_weights()
        {'cat': 2.0, 'dog': 0.5}
        """
        if self.class_weights in CLASS_WEIGHTS:
            return {}
        if "=" not in self.class_weights:
            _one_of("class-weights", self.class_weights, CLASS_WEIGHTS)
        weights = {}
        for part in self.class_weights.split(","):
            name, _, word = (one.strip() for one in part.rpartition("="))
            try:
                weights[name] = float(word)
            except ValueError:
                weights[name] = math.nan
            if not name or not 0 < weights[name] < math.inf:
                raise UsageError(
                    f"--class-weights {part.strip()}: write NAME=WEIGHT with a weight above 0, as "
                    "in cat=2,dog=0.5."
                )
        return weights

    @property
    def full_lr(self) -> float:
        """The learning rate that the schedule takes shares of."""
        return self.lr or self.read_optimizer().default_lr

    def changed(self, **settings: Any) -> Recipe:
        """Return the recipe with the settings that are not None.

        Phases bring their epochs.

        >>> Recipe().changed(epochs=3, batch=None).epochs
        3
        """
        given = {name: value for name, value in settings.items() if value is not None}
        if given.get("phases") and "epochs" not in given:
            parts = dataclasses.replace(self, phases=given["phases"], epochs=MOST_EPOCHS)
            given["epochs"] = sum(phase.epochs for phase in parts.read_phases())
        return dataclasses.replace(self, **given)


@dataclass(frozen=True, slots=True)
class Phase:
    """Some epochs of a training in which some layers learn.

    Attributes:
        layers: a pattern of their names; `head` is the last one with weights, `all` are all.
        epochs: how many.
        factor: of the learning rate.
    """

    layers: str
    epochs: int
    factor: float = 1.0


def _phase(text: str) -> Phase:
    layers, _, rest = text.rpartition(":")
    epochs, at, factor = rest.partition("@")
    try:
        found = Phase(layers.strip(), int(epochs), float(factor) if at else 1.0)
    except ValueError:
        found = Phase("", 0)
    if not found.layers or found.epochs < 1 or not 0 < found.factor < math.inf:
        raise UsageError(
            f"--phases {text}: write LAYERS:EPOCHS, or LAYERS:EPOCHS@FACTOR with a factor above 0, "
            "as in 'head:5, all:5@0.1'."
        )
    return found


def _layer_rate(text: str) -> tuple[str, float]:
    """Return PATTERN=FACTOR as the two that it names."""
    pattern, _, word = text.rpartition("=")
    try:
        factor = float(word)
    except ValueError:
        factor = math.nan
    if not pattern or math.isnan(factor):
        raise UsageError(
            f"--layer-rate {text}: write PATTERN=FACTOR, as in --layer-rate 'conv*=0.1'."
        )
    if not 0 < factor < math.inf:
        raise UsageError(
            f"--layer-rate {text}: the factor must be above 0; to keep the weights use "
            f"--freeze {pattern!r}."
        )
    return pattern, factor


def _pairs(first: int, second: int, third: int) -> str:
    """Return a network of two pairs of convolutions and one more, normalized, for 28x28."""

    def conv(filters: int) -> str:
        return f"conv {filters} 3 nobias, bn, relu"

    body = [conv(first), conv(first), "maxpool 2", conv(second), conv(second), "maxpool 2"]
    return ", ".join(["input 28x28x1", *body, conv(third), "gap", "dense 10 softmax"])


RECIPES: dict[str, Recipe] = {
    "default": Recipe(lr=0.005),
    "lecture": Recipe(lr=0.001, schedule="constant", val=0.0),
    "fast": Recipe(epochs=5, batch=64, lr=0.006, ema=0.995),
    "tiny": Recipe(
        network=_pairs(9, 18, 26),
        epochs=80,
        lr=0.01,
        ema=0.998,
        val=0.05,
        augment="shift=2,rotate=10,scale=0.1",
    ),
    "accurate": Recipe(
        network=_pairs(24, 48, 96),
        epochs=20,
        lr=0.006,
        ema=0.998,
        val=0.05,
        augment="shift=2,rotate=12,scale=0.12,shear=8,elastic=0.7",
    ),
}
"""Whole recipes by name, tuned on MNIST's training samples with a validation split of them.

`lecture` is the run of the lecture that this program follows: Adam at 0.001, batches of 128, 10
epochs on all samples, nothing held out.
"""


BESIDE = {
    "lecture": "The lecture reports 99.48% on training and 98.92% on test data of MNIST; the mean "
    "of three seeds here is 99.36% and 98.71%."
}
"""What is known of a recipe from elsewhere, to be told beside a result."""


def find_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        hint = did_you_mean(name, RECIPES)
        raise UsageError(f"Unknown recipe {name!r}.{hint} There are: {', '.join(RECIPES)}.")
    return RECIPES[name]


def read_recipe(record: dict[str, Any]) -> Recipe:
    """Return the recipe that `dataclasses.asdict` made `record` from, checked anew.

    Raises:
        UsageError: a field is unknown or its value cannot be used.
    """
    try:
        return from_record(Recipe, record)
    except ConvcliError:  # has its own sentence
        raise
    except ValueError as problem:
        raise UsageError(f"A recipe cannot be read: {problem}.") from problem


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
