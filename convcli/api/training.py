"""Training and its results: `fit`, `evaluate`, `predict`, `lr_find`, `gradcheck`, `run_sweep`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack

from convcli.api.settings import RecipeSettings, settings_of
from convcli.data import Dataset, Split
from convcli.data.sources import as_dataset
from convcli.errors import InputError
from convcli.learn import evaluation, gradcheck as checker, lr_find as finder
from convcli.learn.fit import Training
from convcli.learn.modelfile import TrainedModel, model_of
from convcli.learn.recipes import Recipe, find_recipe
from convcli.learn.run_directory import find_runs
from convcli.learn.split import SplitSpec, split_data
from convcli.learn.task import adapted, with_new_head, with_softmax
from convcli.learn.training import DIGIT_SOURCES
from convcli.net import Network, network as find_network, network_variables, to_notation
from convcli.option import completes
from convcli.report import Report

if TYPE_CHECKING:
    from convcli.sweep.sweep import Sweep

Place: TypeAlias = str | os.PathLike[str]
Data: TypeAlias = Dataset | Place | tuple[Any, Any] | Any
"""A data set, the words that name one, `(samples, labels)`, or samples with labels beside them."""
SplitName = Literal["train", "validation", "test"]
SortName = Literal["started", "val_accuracy", "test_accuracy", "train_seconds", "params"]


@completes(Recipe, RecipeSettings)
def fit(
    network: Network | Place | None,
    data: Data,
    labels: Any = None,
    *,
    validation: Data | None = None,
    recipe: str | Recipe | None = None,
    init: TrainedModel | Place | None = None,
    head: int | None = None,
    seed: int = 0,
    threads: int = 0,
    **settings: Unpack[RecipeSettings],
) -> Training:
    """Return a training to iterate over; nothing is printed and nothing is written.

    Args:
        network: a value, notation, a preset or a file; input and last layer are made to fit. None
            for that of `init`, or of the recipe.
        data: a data set, the words that name one, such as `digits`, `(samples, labels)`, or samples
            with `labels` beside them: arrays of pictures N x H x W x C, series N x L x C or vectors
            N x D. Without validation samples of its own, a share of it is held out.
        labels: whole numbers from 0 or names of classes; rows of 0 and 1 for several labels;
            whole numbers for every cell for masks; other numbers for values.
        validation: samples with labels to choose the epoch by, as `data`.
        recipe: all settings at once, by name: lecture, fast, tiny, accurate; or a `Recipe`.
        init: a model, or its file, whose weights it begins with.
        head: with `init`, so many classes get a last layer of their own, which begins afresh.
        seed: of weights, order, dropout and augmentation.
        threads: 0 for all there are; they do not change the result.
        settings: the options of `convcli train`: epochs, batch, lr, optimizer, schedule, ...

    Raises:
        UsageError: an unknown or malformed setting, preset or notation.
        WrongTypeError: a setting that there is not, or of a type that means nothing.
        InputError: data that are not to be had, or a network that does not fit them.

    >>> from convcli import load_dataset
    >>> data = load_dataset("digits", samples=120)
    >>> training = fit("input 28x28x1, flatten, dense 10 softmax", data, epochs=2)
    >>> [epoch.number for epoch in training]
    [1, 2]
    >>> training.best_model().predict(training.data.test.samples).shape
    (20, 10)
    """
    chosen = _recipe(recipe, settings_of(Recipe, RecipeSettings, settings, "fit"))
    initial = None if init is None else model_of(init)
    if network is None and initial is not None:
        network = initial.network
    value = find_network(chosen.network if network is None else network)
    found = _dataset(data, labels, value, seed)
    if head is not None:
        value = with_new_head(value, head)
    value, _ = adapted(value, found)
    value = with_softmax(value, found, chosen) if init is not None else value
    if validation is not None:
        held = _dataset(validation, None, value, seed, found.class_names)
        found = replace(found, validation=held.train)
    pictures = "digit" if found.name in DIGIT_SOURCES else "resize"
    return Training(
        value,
        split_data(found, chosen.val, SplitSpec(seed)),
        chosen,
        seed=seed,
        threads=threads,
        pictures=pictures,
        scaling=None if initial is None else initial.kept_scaling(found.sample_shape[-1]),
        initial=None if initial is None else initial.model,
    )


def evaluate(
    model: TrainedModel | Place,
    data: Data | Split | None = None,
    labels: Any = None,
    *,
    split: SplitName | None = None,
    worst: int = 5,
    threads: int = 0,
) -> evaluation.Evaluation:
    """Return how a model does on labeled samples: accuracy, loss, confusion, calibration, mistakes.

    Args:
        model: a model, its file or its run's directory.
        data: as `fit`, or a `Split`; when left out those of its training.
        labels: of the samples: whole numbers, or names of the model's classes.
        split: train, validation or test; when left out the test samples, then those for
            validation, then all there are.
        worst: how many of the worst mistakes to list.
        threads: 0 for all there are.

    Raises:
        UsageError: nobody names the data, or they have no such split.
        InputError: the data are not to be had, or have other classes or another shape.

    >>> import numpy as np
    >>> samples, names = np.eye(4, dtype=np.float32), ["a", "b", "a", "b"]
    >>> model = fit("input 4, dense 2 softmax", samples, names, val=0).best_model()
    >>> evaluate(model, samples, names).confusion.shape
    (2, 2)
    """
    trained = model_of(model)
    return evaluation.judged(trained, data, labels, split=split, worst=worst, threads=threads)[0]


def predict(
    model: TrainedModel | Place,
    images: Any,
    *,
    top: int = 3,
    threshold: float = 0.0,
    logits: bool = False,
) -> list[evaluation.Prediction]:
    """Return what a model says about each sample, the likeliest classes first.

    Args:
        model: a model, its file or its run's directory.
        images: an array of samples or one sample, a picture's file, a Pillow picture, or a list of
            these; a model of digits finds the digit in a photo, as `convcli predict` does.
        top: how many classes to name.
        threshold: under this probability the label is None: don't know.
        logits: give the raw outputs of each sample too.

    Raises:
        UsageError: `top` or `threshold` is out of range.
        InputError: samples that do not fit the network, or files that cannot be read.

    >>> training = fit("input 2, dense 2 softmax", [[0.0, 1.0], [1.0, 0.0]], ["a", "b"], val=0)
    >>> predict(training.best_model(), [[0.0, 1.0]], top=1)[0].values is None
    True
    """
    trained = model_of(model)
    samples = trained.samples_of(images)
    return evaluation.predictions(trained, samples, top=top, threshold=threshold, logits=logits)


@completes(Recipe, RecipeSettings)
def lr_find(
    network: Network | Place | None,
    data: Data,
    labels: Any = None,
    *,
    steps: int = 100,
    lowest: float = 1e-6,
    highest: float = 1.0,
    recipe: str | Recipe | None = None,
    seed: int = 0,
    threads: int = 0,
    **settings: Unpack[RecipeSettings],
) -> finder.LrTest:
    """Return the loss at rising learning rates, and a tenth of that with the smallest loss.

    Args:
        network: as `fit`.
        data: as `fit`.
        labels: as `fit`.
        steps: of the test.
        lowest: first learning rate.
        highest: last learning rate.
        recipe: as `fit`.
        seed: as `fit`.
        threads: as `fit`.
        settings: as `fit`.

    Raises:
        UsageError, InputError: as `fit`; or the learning rates are no range.
    """
    tried = finder.LrRange(steps, lowest, highest)
    shared: dict[str, Any] = {"recipe": recipe, "seed": seed, "threads": threads, **settings}
    training = fit(network, data, labels, **shared | {"val": 0.0, "patience": None})
    points = tuple(finder.lr_find(training, tried))
    return finder.LrTest(points, finder.suggest_lr(points))


def gradcheck(
    network: Network | Place, *, samples: int = 2, seed: int = 0
) -> list[checker.Checked]:
    """Return every gradient's distance from finite differences, in float64.

    Args:
        network: a value, notation, a preset or a file.
        samples: in the random batch.
        seed: of weights, samples and places.

    >>> all(one.holds for one in gradcheck("input 4, dense 3 tanh, dense 2 softmax"))
    True

    Raises:
        UsageError, InputError: the network cannot be had.
    """
    return checker.gradcheck(find_network(network), seed=seed, samples=samples)


@completes(Recipe, RecipeSettings)
def run_sweep(
    network: Network | Place,
    axes: Mapping[str, Any] | Sequence[str],
    data: Data = "mnist",
    labels: Any = None,
    *,
    search: Literal["grid", "random", "halving", "optuna"] = "grid",
    trials: int | None = None,
    factor: int = 3,
    seeds: int = 1,
    seed: int = 0,
    recipe: str | Recipe | None = None,
    jobs: int = 0,
    **settings: Unpack[RecipeSettings],
) -> Sweep:
    """Train a network with many settings and return the sweep, done; it writes nothing.

    Args:
        network: as `fit`.
        axes: setting of the training or variable of the network -> values, or a range such as
            `"1e-3..1e-1:log"`; or a list of `NAME=VALUES` as the command takes them.
        data: as `fit`.
        labels: as `fit`.
        search: grid, random, halving or optuna.
        trials: how many, if not a grid.
        factor: of halving: one in so many goes on.
        seeds: each trial is trained with so many.
        seed: the first of them.
        recipe: as `fit`.
        jobs: processes; 0 for one on each core.
        settings: as `fit`, for all trials.

    Returns:
        the sweep; `best()` is the best trial, `summaries` has all.

    Raises:
        UsageError, InputError: as `fit`; or an axis cannot be read.
    """
    from convcli.sweep.engines import LocalEngine
    from convcli.sweep.search import make_search
    from convcli.sweep.space import parse_axes
    from convcli.sweep.sweep import Sweep

    words = to_notation(network) if isinstance(network, Network) else os.fspath(network)
    given = settings_of(Recipe, RecipeSettings, settings, "run_sweep") | {"network": words}
    chosen = _recipe(recipe, given)
    named = [*axes] if not isinstance(axes, Mapping) else [_axis(*one) for one in axes.items()]
    parsed = parse_axes(named, network_variables(words))
    plan = make_search(
        search, parsed, trials=trials, epochs=chosen.epochs, factor=factor, seed=seed
    )
    found = _dataset(data, labels, find_network(words), seed)
    whole = split_data(found, chosen.val, SplitSpec(seed))
    sweep = Sweep(chosen, whole, plan, range(seed, seed + seeds), LocalEngine(jobs))
    for _ in sweep.events():
        pass
    return sweep


def list_runs(
    folder: Place = "runs", sort: Literal["started", "val_accuracy", "test_accuracy"] = "started"
) -> Report:
    """Return the runs in a folder as a table that shows itself; `records()` gives its rows.

    Args:
        folder: that holds them.
        sort: which comes last.

    Raises:
        InputError: there are none.
    """
    from convcli.present.comparison import list_report

    found = [(directory, directory.read_record()) for directory in find_runs(Path(folder))]
    if not found:
        raise InputError(f"There are no runs in {folder}. Train first: convcli train")
    return list_report(found, sort)


def _recipe(recipe: str | Recipe | None, settings: dict[str, Any]) -> Recipe:
    known = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or "default")
    return known.changed(**settings)


def _dataset(
    data: Data, labels: Any, network: Network, seed: int, names: tuple[str, ...] | None = None
) -> Dataset:
    """Return labeled samples; arrays without a channel axis are what the network reads."""
    pictures = len(network.input_shape) == 3
    return as_dataset(data, labels, seed=seed, class_names=names, pictures=pictures)


def _axis(name: str, values: Any) -> str:
    """Return an axis as the command line takes it.

    >>> _axis("lr", [0.1, 0.01]), _axis("lr", "1e-3..1:log"), _axis("augment", ["none", "a=1,b=2"])
    ('lr=0.1,0.01', 'lr=1e-3..1:log', 'augment=none;a=1,b=2')
    """
    if isinstance(values, str):
        return f"{name}={values}"
    texts = list(map(str, values))
    return f"{name}={(';' if any(',' in text for text in texts) else ',').join(texts)}"
