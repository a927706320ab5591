"""Sweeps without a command line: bits, what is kept, what fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.data import Dataset, make_dataset
from convcli.data.dataset import Split
from convcli.errors import InputError, OutputExistsError, UsageError
from convcli.learn.recipes import Recipe
from convcli.learn.split import SplitSpec, split_data
from convcli.sweep.engines import LocalEngine
from convcli.sweep.search import make_search
from convcli.sweep.space import Listed, Trial, parse_axes
from convcli.sweep.store import SweepDirectory, create_sweep_directory
from convcli.sweep.sweep import Finished, Sweep, configure
from convcli.sweep.trial import Job, Outcome, train_job
from tests.cli.learning import quadrants

NETWORK = "let n = 4, input 8x8x1, conv {n} 3 relu, flatten, dense 4 softmax"
RECIPE = Recipe(network=NETWORK, epochs=2, batch=16, lr=0.01)
AXES = (Listed("n", (1, 3)), Listed("lr", (0.003, 0.01)))


@pytest.fixture(scope="module")
def data() -> Dataset:
    whole = make_dataset(
        "quadrants", {"train": Split(*quadrants(120)), "test": Split(*quadrants(8))}
    )
    return split_data(whole, RECIPE.val, SplitSpec())


def make(data: Dataset, place: Path | None, processes: int = 1, **figures: object) -> Sweep:
    kind = str(figures.get("kind", "grid"))
    search = make_search(kind, AXES, trials=None, epochs=2, factor=2, seed=0)
    directory = None
    if place is not None:
        directory = SweepDirectory(place) if place.exists() else create_sweep_directory(place)
    return Sweep(RECIPE, data, search, range(2), LocalEngine(processes), directory)


def finished(sweep: Sweep) -> dict[str, Outcome]:
    return {e.job.name: e.outcome for e in sweep.events() if isinstance(e, Finished)}


def bits(sweep: Sweep) -> dict[str, str]:
    return {name: outcome.weights for name, outcome in finished(sweep).items()}


def test_a_trial_is_the_training_that_fit_makes(data: Dataset) -> None:
    job = Job(1, "input 8x8x1, conv 3 3 relu, flatten, dense 4 softmax", RECIPE, seed=1)
    got = train_job(job, data, threads=1).outcome
    training = convcli.fit(job.network, data, seed=1, epochs=2, batch=16, lr=0.01, val=0.1)
    epochs = list(training)
    best = max(epochs, key=lambda epoch: (epoch.val_accuracy, -(epoch.val_loss or 0)))
    assert (got.val_accuracy, got.val_loss) == (best.val_accuracy, best.val_loss)
    assert (got.epochs, got.best_epoch) == (2, best.number)
    answers = training.best_model().predict(data.train.samples)
    assert got.train_accuracy == (answers.argmax(axis=1) == data.train.labels).mean()
    truth = answers[np.arange(len(data.train)), data.train.labels].astype(np.float64)
    assert got.train_loss == pytest.approx(-np.log(truth).mean(), rel=1e-6)


@pytest.mark.slow
def test_processes_and_threads_change_no_bit(data: Dataset) -> None:
    ref, got = bits(make(data, None, processes=1)), bits(make(data, None, processes=2))
    assert len(ref) == 8
    assert len(set(ref.values())) == 8
    assert ref == got


def test_what_is_kept_is_not_trained_again(data: Dataset, tmp_path: Path) -> None:
    ref = finished(make(data, tmp_path / "s"))
    files = sorted((tmp_path / "s" / "trainings").glob("*.json"))
    assert [path.stem for path in files] == sorted(ref)
    before = {path: path.stat().st_mtime_ns for path in files}
    files[0].write_text("{ damaged")
    record = json.loads(files[1].read_text())
    record["job"]["recipe"]["batch"] = 99
    files[1].write_text(json.dumps(record))
    again = make(data, tmp_path / "s")
    events = [event for event in again.events() if isinstance(event, Finished)]
    assert {event.job.name for event in events if not event.kept} == {files[0].stem, files[1].stem}
    assert {event.job.name: event.outcome.weights for event in events} == {
        name: outcome.weights for name, outcome in ref.items()
    }
    assert all(path.stat().st_mtime_ns == before[path] for path in files[2:])


def test_other_data_are_trained_anew(data: Dataset, tmp_path: Path) -> None:
    finished(make(data, tmp_path / "s"))
    other = split_data(
        make_dataset("other", {"train": Split(*quadrants(120, seed=5))}), RECIPE.val, SplitSpec()
    )
    assert not any(e.kept for e in make(other, tmp_path / "s").events() if isinstance(e, Finished))


def test_summaries_and_the_best(data: Dataset) -> None:
    sweep = make(data, None)
    outcomes = finished(sweep)
    assert sorted(sweep.summaries) == [1, 2, 3, 4]
    first = sweep.summaries[1]
    assert first.params == (9 + 1) + (36 + 1) * 4
    accuracies = [outcomes[f"trial0001-seed{seed}-epochs2"].val_accuracy for seed in (0, 1)]
    assert first.spread("val_accuracy").mean == np.mean(accuracies)
    best = sweep.best()
    assert best is not None
    means = [s.spread("val_accuracy").mean for s in sweep.summaries.values()]
    assert best.spread("val_accuracy").mean == max(means)


def test_halving_trains_the_better_half_longer(data: Dataset) -> None:
    sweep = make(data, None, kind="halving")
    names = set(finished(sweep))
    assert [(len(r.trials), r.epochs) for r in sweep.rounds] == [(4, 1), (2, 2)]
    assert len(names) == 4 * 2 + 2 * 2
    best = sweep.best()
    assert best is not None
    assert best.epochs == 2


def test_the_test_samples_never_reach_a_training(data: Dataset) -> None:
    assert data.test is not None
    assert make(data, None).data.test is None


def test_a_diverging_trial_is_an_outcome(data: Dataset) -> None:
    recipe = RECIPE.changed(optimizer="sgd", lr=1e38)
    search = make_search("grid", [Listed("n", (1,))], trials=None, epochs=2, factor=3, seed=0)
    sweep = Sweep(recipe, data, search, [0], LocalEngine(1))
    (got,) = finished(sweep).values()
    assert got.problem is not None
    assert "The loss is no longer a number" in got.problem
    assert got.val_accuracy is None
    assert sweep.best() is None


def test_a_sweep_needs_validation_samples(data: Dataset) -> None:
    bare = make_dataset("bare", {"train": Split(*quadrants(40))})
    with pytest.raises(UsageError, match="leave --val 0 out"):
        make(bare, None)


def test_a_trial_that_cannot_be_is_named(data: Dataset) -> None:
    (axis,) = parse_axes(["n=0"], {"n": 4})
    with pytest.raises((InputError, UsageError), match=r"Trial 7 \(n=0\)"):
        configure(RECIPE, Trial(7, ((axis.name, 0),)), data)
    with pytest.raises(UsageError, match=r"Trial 1 \(optimizer=adem\).*Did you mean"):
        configure(RECIPE, Trial(1, (("optimizer", "adem"),)), data)


def test_a_directory_in_use_is_kept(tmp_path: Path) -> None:
    create_sweep_directory(tmp_path / "s")
    (tmp_path / "s" / "trainings" / "trial0001-seed0-epochs2.json").write_text("{}")
    with pytest.raises(OutputExistsError, match="--resume"):
        create_sweep_directory(tmp_path / "s")
    assert create_sweep_directory(tmp_path / "s", force=True).count() == 0
