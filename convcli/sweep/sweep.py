"""A sweep under way: rounds of trials become trainings, trainings become summaries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from convcli.data import Dataset, ProgressCallback
from convcli.errors import ConvcliError, InputError, UsageError
from convcli.learn.recipes import Recipe
from convcli.learn.runspec import fingerprint
from convcli.learn.split import SplitSpec, split_data
from convcli.learn.task import adapted
from convcli.learn.training import Say, check_default_source, is_notation, load_data
from convcli.net import (
    Network,
    network as find_network,
    network_variables,
    preset_data,
    to_notation,
)
from convcli.sweep.engines import ClusterEngine, Engine, LocalEngine
from convcli.sweep.search import Round, Search, make_search
from convcli.sweep.space import Trial, setting_field
from convcli.sweep.spec import SweepPlace, SweepSpec
from convcli.sweep.store import SweepDirectory, create_sweep_directory
from convcli.sweep.trial import Job, Outcome, Summary, job_name, ranked
from convcli.values import NotebookRepr


@dataclass(frozen=True, slots=True)
class Finished:
    """One training of a sweep is done.

    Attributes:
        job: which.
        outcome: what came of it.
        kept: it had been done before the sweep was interrupted.
    """

    job: Job
    outcome: Outcome
    kept: bool


@dataclass(slots=True, repr=False)
class Sweep(NotebookRepr):
    """Iterate over `events()`; afterwards `summaries` has one entry for each trial.

    The first round is looked at when the sweep is made, so that a value that cannot be used is told
    before anything is trained or written.

    Attributes:
        recipe: figures of what is not swept.
        data: with a validation split; its test samples are never read.
        search: yields the trials.
        seeds: each trial is trained with each.
        engine: where trainings run.
        directory: keeps each finished training; None for nothing kept.
        summaries: of the finished trials; of a trial on several rungs, that of the last.
        rounds: those begun.
        has_test: the data brought test samples, which were put aside.
        histories: the epochs of each training, as rows, by its job's name.
    """

    recipe: Recipe
    data: Dataset
    search: Search
    seeds: Sequence[int]
    engine: Engine
    directory: SweepDirectory | None = None
    summaries: dict[int, Summary] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    has_test: bool = False
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _next: tuple[Round, list[list[Job]]] | None = None

    def __post_init__(self) -> None:
        if self.data.validation is None:
            raise UsageError("A sweep compares by validation samples; leave --val 0 out.")
        self.has_test = self.data.test is not None
        self.data = dataclasses.replace(self.data, test=None)
        self._next = self._prepare(next(self.search))

    def __repr__(self) -> str:
        return f"Sweep({self.recipe.network!r} on {self.data.name!r}, {len(self.summaries)} trials)"

    def events(self) -> Iterator[Round | Finished]:
        """Train all trials; yield each round when it begins and each training when it is done.

        Raises:
            UsageError, InputError: a trial of a later round cannot be trained.
        """
        prints = fingerprint(self.data)
        while self._next is not None:
            found, jobs = self._next
            self.rounds.append(found)
            yield found
            outcomes: dict[str, Outcome] = {}
            every = [job for group in jobs for job in group]
            for job, outcome, kept in self._outcomes(every, prints):
                outcomes[job.name] = outcome
                yield Finished(job, outcome, kept)
            summaries = [
                self._summary(trial, group, outcomes)
                for trial, group in zip(found.trials, jobs, strict=True)
            ]
            self.summaries |= {summary.trial.number: summary for summary in summaries}
            try:
                self._next = self._prepare(self.search.send(summaries))
            except StopIteration:
                self._next = None

    @property
    def kept(self) -> SweepDirectory:
        """The directory of a sweep that has one."""
        if self.directory is None:
            raise ValueError("this sweep keeps nothing")
        return self.directory

    def histories_of(self, summary: Summary) -> list[list[dict[str, Any]]]:
        """Return the epochs of a trial's trainings, those of its last rung, one list a seed."""
        names = (job_name(summary.trial.number, seed, summary.epochs) for seed in self.seeds)
        return [self.histories.get(name, []) for name in names]

    def trial(self, job: Job) -> Trial:
        """Return the trial that a job of the round under way belongs to."""
        return next(trial for trial in self.rounds[-1].trials if trial.number == job.trial)

    def best(self) -> Summary | None:
        """Return the best trial, of a halving the best of its last rung; None if all failed."""
        found = list(self.summaries.values())
        if self.rounds and self.rounds[-1].epochs is not None:
            found = [self.summaries[trial.number] for trial in self.rounds[-1].trials]
        first = next(iter(ranked(found)), None)
        return None if first is None or first.spread("val_loss").mean is None else first

    def _prepare(self, found: Round) -> tuple[Round, list[list[Job]]]:
        """Return a round with the jobs of each of its trials."""
        jobs = []
        for trial in found.trials:
            recipe, network = configure(self.recipe, trial, self.data)
            if found.epochs is not None:
                recipe = recipe.changed(epochs=found.epochs)
            text = to_notation(network)
            jobs.append([Job(trial.number, text, recipe, seed) for seed in self.seeds])
        return found, jobs

    def _outcomes(self, jobs: list[Job], prints: str) -> Iterator[tuple[Job, Outcome, bool]]:
        """Yield what is known already, then what is trained now; each is kept at once."""
        waiting = []
        for job in jobs:
            known = self.directory.find(job, prints) if self.directory else None
            if known is None:
                waiting.append(job)
            else:
                self.histories[job.name] = self.directory.history(job) if self.directory else []
                yield job, known, True
        if not waiting:
            return
        for job, trained in self.engine.run(waiting, self.data):
            self.histories[job.name] = [dataclasses.asdict(one) for one in trained.history]
            if self.directory:
                self.directory.save(job, trained, prints, dict(self.trial(job).values))
            yield job, trained.outcome, False

    def _summary(self, trial: Trial, jobs: list[Job], outcomes: dict[str, Outcome]) -> Summary:
        params = find_network(jobs[0].network).trace().totals.params
        found = tuple(outcomes[job.name] for job in jobs)
        return Summary(trial, jobs[0].recipe.epochs, params, found)


def configure(recipe: Recipe, trial: Trial, data: Dataset) -> tuple[Recipe, Network]:
    """Return a trial's recipe and its network, made to fit the data.

    Raises:
        UsageError, InputError: a value cannot be used; the sentence begins with the trial.
    """
    values = dict(trial.values)
    try:
        network = str(values.get("network", recipe.network))
        variables = {
            name: int(values.pop(name)) for name in network_variables(network) if name in values
        }
        settings = {setting_field(name): value for name, value in values.items()}
        chosen = recipe.changed(**settings)
        return chosen, adapted(find_network(network, variables=variables), data)[0]
    except ConvcliError as problem:
        told = " ".join(f"{name}={value}" for name, value in trial.values)
        kind: Callable[[str], ConvcliError] = (
            UsageError if isinstance(problem, UsageError) else InputError
        )
        raise kind(f"Trial {trial.number} ({told}): {problem}") from None


def make_sweep(
    spec: SweepSpec, where: SweepPlace, say: Say, progress: ProgressCallback | None, *, force: bool
) -> Sweep:
    """Return the sweep that a spec means, with its directory; nothing is trained yet.

    Args:
        spec: what is swept.
        where: it is kept, and trained.
        say: takes the data's notes.
        progress: called while something takes long.
        force: an earlier sweep may be replaced.

    Raises:
        UsageError, InputError: something does not fit; nothing is written then.
        OutputExistsError: the directory has files in it and `force` is off.
    """
    recipe, axes = spec.assignment.full_recipe(), spec.read_axes()
    if spec.source.name is None:
        for axis in axes:
            for words in map(str, axis.points() if axis.name == "network" else ()):
                if not is_notation(words) and preset_data(words, made=True) is None:
                    check_default_source(words, find_network(words))
    search = make_search(
        spec.search,
        axes,
        trials=spec.trials,
        epochs=recipe.epochs,
        factor=spec.factor,
        seed=spec.seed,
    )
    data = load_data(spec.assignment, say, progress)
    data = split_data(data, recipe.val, SplitSpec(spec.seed))
    seeds = range(spec.seed, spec.seed + spec.seeds)
    engine = LocalEngine(where.jobs) if where.cluster is None else ClusterEngine(where.cluster)
    sweep = Sweep(recipe, data, search, seeds, engine)
    if where.resume is None:
        sweep.directory = create_sweep_directory(where.out, force=force)
        sweep.directory.write_plan(dataclasses.asdict(spec))
    else:
        sweep.directory = SweepDirectory(where.resume)
    sweep.directory.clean()
    return sweep
