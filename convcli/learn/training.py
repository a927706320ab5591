"""A request for a training carried out: its data, its network, and its runs one after the other."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from convcli.data import Dataset, ProgressCallback
from convcli.data.sources import read_source
from convcli.errors import CheckError, InputError, UsageError, listed
from convcli.layers.base import shape_text
from convcli.learn.checkpoint import read_spec
from convcli.learn.fit import Training
from convcli.learn.modelfile import load
from convcli.learn.recipes import DEFAULT_SOURCE, Assignment, Recipe, TrainRequest
from convcli.learn.run import Run, RunResult, checkpoint_of, resume, start
from convcli.learn.run_directory import RunDirectory, create_run_directory
from convcli.learn.runspec import RunSpec
from convcli.learn.split import SplitSpec, folds, split_data
from convcli.learn.task import adapted, last_layer, with_new_head, with_softmax
from convcli.learn.timing import Estimate, estimate
from convcli.net import Network, network as find_network, preset_data, to_notation

DIGIT_SOURCES = {"mnist", "digits"}
"""Sets of white digits on black, whose models find the digit in a photo first."""
OVERFIT_EPOCHS = 200

Say = Callable[[str], None]
"""What takes a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Series:
    """The runs of one request, each made when it is its turn.

    Attributes:
        what: `fold` or `seed`; empty for a single run.
        numbers: of the runs.
        begin: makes the run of a number, about to take its first step.
        place: holds the runs of a series.
        key: the figure of a `RunResult` whose mean counts.
        overfit: so many samples are to be overfit.
    """

    what: str
    numbers: Sequence[int]
    begin: Callable[[int], Run]
    place: RunDirectory | None = None
    key: str = "val_accuracy"
    overfit: int | None = None

    def accuracies(self, results: Sequence[RunResult]) -> list[float]:
        """Return the figure that counts of each run that has it."""
        found = (getattr(result, self.key) for result in results)
        return [accuracy for accuracy in found if accuracy is not None]

    def measured(self, results: Sequence[RunResult]) -> float | None:
        """Return the figure that counts: of the run, or the mean over the series."""
        known = self.accuracies(results)
        return statistics.fmean(known) if known else None


def load_data(assignment: Assignment, say: Say, progress: ProgressCallback | None) -> Dataset:
    """Return the data, without a validation split unless they bring one.

    The network is read first, so that a mistake in it is told before a download.

    Raises:
        UsageError: no data are named, and the network is not for those that are meant then.
        InputError: the data are not to be had, or cannot be used.
    """
    recipe = assignment.full_recipe()
    network = find_network(recipe.network)
    if assignment.source.name is None and assignment.data_source != DEFAULT_SOURCE:
        say(f"The data are {assignment.data_source}, made on the spot; --data names others.")
    elif assignment.source.name is None and not is_notation(assignment.network_words):
        check_default_source(recipe.network, network)
    source = dataclasses.replace(assignment.source, name=assignment.data_source)
    return _said(read_source(source, seed=assignment.seed, progress=progress), say)


def _said(data: Dataset, say: Say) -> Dataset:
    for note in data.notes:
        say(note)
    return data


def network_for(assignment: Assignment, data: Dataset, say: Say) -> Network:
    """Return the network; one that the user did not spell out is made to fit the data.

    Raises:
        InputError: it cannot be made to fit.
    """
    recipe = assignment.full_recipe()
    network, head = find_network(recipe.network), getattr(assignment, "head", None)
    if is_notation(assignment.words) and head is None:
        return network
    try:
        network, change = adapted(network if head is None else with_new_head(network, head), data)
    except InputError as problem:
        raise _misfit(assignment, network, data, problem) from None
    if head not in {None, network.trace().output_shape[-1]}:
        raise UsageError(f"--head {head}: {data.name} has {data.classes} classes.")
    if change:
        say(change)
    return network if is_notation(assignment.words) else with_softmax(network, data, recipe)


def _misfit(
    assignment: Assignment, network: Network, data: Dataset, problem: InputError
) -> InputError:
    """Return what to say of a network that the user did not spell out."""
    shape, reads = shape_text(data.sample_shape), shape_text(network.input_shape)
    name = f"The network {network.name}" if assignment.network_words else "The default network"
    if len(data.sample_shape) == len(network.input_shape):
        fact = f"{name} cannot be made to fit samples of {shape}: {problem}"
    else:
        fact = f"{name} reads {reads}, and the samples of {data.name} are {shape}."
    layers, end = "dense 32 relu", last_layer(data)
    if len(data.sample_shape) > 1:
        layers = "conv 16 3 same relu, gap" if end.startswith("dense") else "conv 16 3 same relu"
    return InputError(f"{fact} Name a network for them, such as: 'input {shape}, {layers}, {end}'")


def check_default_source(words: str, network: Network) -> None:
    """Refuse to take the default data for a network that was made for others.

    Raises:
        UsageError: it takes no gray pictures.
    """
    shape = network.input_shape
    if len(shape) == 3 and shape[-1] == 1:
        return
    wanted = preset_data(words) or "samples of that shape"
    raise UsageError(
        f"{network.name} takes {shape_text(shape)}, and {DEFAULT_SOURCE}'s digits are 28x28x1. "
        f"Name its data: --data SOURCE, with {wanted}."
    )


def is_notation(text: str) -> bool:
    """Tell whether the user spelled the network out, so that it is taken as it stands."""
    return text.lstrip().startswith(("input", "let"))


def plan_series(request: TrainRequest, say: Say, progress: ProgressCallback | None) -> Series:
    """Return the runs that a request means, after reading what they need.

    Raises:
        UsageError, InputError: something does not fit; nothing is written then.
    """
    request.check()
    if request.resume is not None:
        return _single(_resumed(request, request.resume, say, progress))
    data = load_data(request, say, progress)
    by_accuracy = {"--overfit": request.overfit, "--fail-under": request.fail_under}
    asked = [name for name, value in by_accuracy.items() if value is not None]
    if asked and data.task == "values":
        raise UsageError(f"{asked[0]} goes by accuracy, and values have none; leave it out.")
    if request.folds is not None:
        return _folds(request, request.folds, data, say)
    if request.seeds is not None:
        return _seeds(request, request.seeds, data, say)
    recipe = request.full_recipe()
    if request.overfit is not None:
        epochs = request.settings.get("epochs", OVERFIT_EPOCHS)
        recipe = recipe.changed(augment="none", epochs=epochs, schedule="constant")
    run = begin(
        request, recipe, data, request.out, SplitSpec(request.seed, overfit=request.overfit), say
    )
    return _single(run, None if request.overfit is None else len(run.training.data.train))


def _single(run: Run, overfit: int | None = None) -> Series:
    return Series("", (1,), lambda _: run, key=_key(run.training.data), overfit=overfit)


def _key(data: Dataset, split: str | None = None) -> str:
    """Return the figure that counts: accuracy, or the loss of values."""
    split = split or ("val" if data.test is None else "test")
    return f"{split}_loss" if data.task == "values" else f"{split}_accuracy"


def _folds(request: TrainRequest, count: int, data: Dataset, say: Say) -> Series:
    """Cross-validate: each sample validates once; the test samples are not read."""
    folds(data.train, count, request.seed)  # refuses too few samples before anything is written
    place, recipe = _parent(request, "folds"), request.full_recipe()

    def one(number: int) -> Run:
        fold = SplitSpec(request.seed, fold=number, folds=count)
        return begin(request, recipe, data, place.path / f"fold{number}", fold, say)

    return Series("fold", range(1, count + 1), one, place, _key(data, "val"))


def _seeds(request: TrainRequest, count: int, data: Dataset, say: Say) -> Series:
    """Train with several seeds, all else equal; the hold-out of the first seed serves all."""
    place, recipe = _parent(request, "seeds"), request.full_recipe()

    def one(seed: int) -> Run:
        seeded, where = dataclasses.replace(request, seed=seed), place.path / f"seed{seed}"
        return begin(seeded, recipe, data, where, SplitSpec(request.seed), say)

    seeds = range(request.seed, request.seed + count)
    return Series("seed", seeds, one, place, _key(data))


def _parent(request: TrainRequest, what: str) -> RunDirectory:
    name = f"{what}-{Path(request.data_source).stem}"
    return create_run_directory(request.out, name, force=request.force)


def _resumed(
    request: TrainRequest, place: Path, say: Say, progress: ProgressCallback | None
) -> Run:
    directory = checkpoint_of(place)
    spec = read_spec(directory.last)
    run = resume(
        directory,
        _said(spec.load_data(progress), say),
        epochs=request.settings.get("epochs"),
        threads=request.threads,
        time_limit=request.time_limit,
    )
    recipe = run.training.recipe
    if run.training.finished:
        say(f"The run has done its {recipe.epochs} epochs; --epochs N goes on with it.")
        return run
    if recipe.epochs != spec.recipe.epochs:
        say(
            f"The last epoch is {recipe.epochs} instead of {spec.recipe.epochs}; the schedule "
            f"{recipe.schedule} is stretched to it."
        )
    say(
        f"Going on in epoch {len(run.training.history) + 1}, "
        f"after step {run.training.progress.step:,}."
    )
    return run


def begin(
    request: TrainRequest,
    recipe: Recipe,
    data: Dataset,
    place: Path | None,
    split: SplitSpec,
    say: Say,
) -> Run:
    """Return a run whose directory exists, about to take its first step.

    Args:
        request: what the user asked for.
        recipe: with the settings that hold for this run.
        data: as they were loaded, not split yet.
        place: of the run directory, None for the default.
        split: which samples train and which validate.
        say: takes what is to be known of it.
    """
    data = split_data(data, recipe.val, split)
    network = network_for(request, data, say)
    source = dataclasses.replace(request.source, name=request.data_source)
    initial = None if request.init is None else load(request.init)
    name = f"{network.name}-{Path(request.data_source).stem}"
    run = start(
        RunSpec(
            network=to_notation(network),
            recipe=recipe,
            source=source,
            seed=request.seed,
            split=split,
            pictures="digit" if source.name in DIGIT_SOURCES else "resize",
            scaling=None if initial is None else initial.kept_scaling(data.sample_shape[-1]),
        ),
        network,
        data,
        lambda: create_run_directory(place, name, force=request.force),
        threads=request.threads,
        initial=None if initial is None else initial.model,
        time_limit=request.time_limit,
    )
    if note := run.training.preprocessing.note:
        say(note)
    if initial is not None:
        say(_taken(run.training, str(request.init)))
    return run


def _taken(training: Training, source: str) -> str:
    """Return which layers begin with another model's numbers, and which begin afresh."""
    layers = [step.name for step in training.model.trace.steps if step.weights]
    afresh = [name for name in layers if name not in training.taken]
    counts = "1 layer" if len(training.taken) == 1 else f"{len(training.taken)} layers"
    return f"{counts} from {source}: {listed(training.taken)}. Afresh: {listed(afresh) or 'none'}."


def check_results(request: TrainRequest, series: Series, results: Sequence[RunResult]) -> None:
    """Hold what was measured against `--overfit` and `--fail-under`.

    Raises:
        CheckError: it is less.
        UsageError: there is nothing to hold.
    """
    measured, least = series.measured(results), request.fail_under
    if least is not None and measured is None:
        raise UsageError("--fail-under needs test or validation samples, and there are none.")
    if least is not None and measured is not None and measured < least:
        raise CheckError(f"The accuracy is {measured:.4f}, under the {least:g} of --fail-under.")
    if series.overfit is not None and measured is not None and measured < 1:
        raise CheckError(
            f"The network overfits {measured:.1%} of {series.overfit} samples in "
            f"{results[0].epochs} epochs, not all. Use more --epochs, another --lr, or more "
            "filters; or two equal samples have different labels."
        )


def look_ahead(
    request: TrainRequest, say: Say, progress: ProgressCallback | None
) -> tuple[Estimate, Recipe]:
    """Return sizes, memory and the estimated time of a training, and write nothing."""
    request.check()
    recipe = request.full_recipe()
    data = load_data(request, say, progress)
    data = split_data(data, recipe.val, SplitSpec(request.seed))
    network = network_for(request, data, say)
    return estimate(network, data, recipe, seed=request.seed, threads=request.threads), recipe


def throwaway(assignment: Assignment, say: Say, progress: ProgressCallback | None) -> Training:
    """Return a training that leaves nothing behind, compiled and about to take its first step."""
    data = load_data(assignment, say, progress)
    training = Training(
        network_for(assignment, data, say),
        data,
        assignment.full_recipe(),
        seed=assignment.seed,
        threads=assignment.threads,
    )
    training.warm_up()
    return training
