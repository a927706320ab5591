"""Searches as generators: what they ask for, given what they are told."""

from __future__ import annotations

from itertools import pairwise

import pytest

from convcli.errors import UsageError
from convcli.sweep.search import Round, Search, make_search, rungs
from convcli.sweep.space import Listed, Range, Trial
from convcli.sweep.trial import Outcome, Spread, Summary, ranked

N_AXIS = Listed("n", (1, 2, 3, 4, 5, 6, 7, 8, 9))


def outcome(accuracy: float | None, loss: float | None = 1.0) -> Outcome:
    return Outcome(0.5, 0.5, loss, accuracy, 1, 1, 0.1, "", monitored=accuracy)


def summary(trial: Trial, *outcomes: Outcome, params: int = 10) -> Summary:
    return Summary(trial, 1, params, outcomes)


def rounds(search: Search) -> list[Round]:
    """Answer each round with accuracies that rise with n."""
    found = [next(search)]
    try:
        while True:
            told = [
                summary(trial, outcome(float(dict(trial.values)["n"]) / 10))
                for trial in found[-1].trials
            ]
            found.append(search.send(told))
    except StopIteration:
        return found


def make(kind: str, **figures: int | None) -> Search:
    choices = {"trials": None, "epochs": 9, "factor": 3, "seed": 0} | figures
    return make_search(kind, [N_AXIS], **choices)  # type: ignore[arg-type]


def test_a_grid_is_one_round() -> None:
    (only,) = rounds(make("grid"))
    assert [dict(trial.values)["n"] for trial in only.trials] == list(range(1, 10))
    assert only.epochs is None
    with pytest.raises(UsageError, match="--trials belongs to"):
        make("grid", trials=3)


def test_chance_is_one_round_too() -> None:
    (only,) = rounds(make("random", trials=4))
    assert len({trial.values for trial in only.trials}) == 4


def test_halving_keeps_the_best_third_for_three_times_the_epochs() -> None:
    got = rounds(make("halving", trials=9))
    assert [(len(r.trials), r.epochs) for r in got] == [(9, 1), (3, 3), (1, 9)]
    kept = [sorted(dict(trial.values)["n"] for trial in r.trials) for r in got[1:]]
    assert kept == [[7, 8, 9], [9]]


@pytest.mark.parametrize("trials", [1, 2, 5, 27, 100])
@pytest.mark.parametrize("epochs", [1, 3, 10, 81])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_rungs_end_with_all_epochs_and_grow_by_the_factor(
    trials: int, epochs: int, factor: int
) -> None:
    got = rungs(trials, epochs, factor)
    assert got[0][0] == trials
    assert got[-1][1] == epochs
    for (many, few_epochs), (few, more_epochs) in pairwise(got):
        assert 1 <= few <= many // factor
        assert more_epochs >= factor * few_epochs


def test_epochs_cannot_be_an_axis_of_a_halving() -> None:
    with pytest.raises(UsageError, match="chooses the epochs itself"):
        make_search("halving", [Listed("epochs", (1, 2))], trials=None, epochs=9, factor=3, seed=0)


def test_the_best_has_accuracy_then_loss_then_fewer_parameters() -> None:
    trials = [Trial(number, ()) for number in range(1, 6)]
    one = summary(trials[0], outcome(0.9, 0.3))
    two = summary(trials[1], outcome(0.8, 0.1))
    three = summary(trials[2], outcome(0.9, 0.2), params=20)
    four = summary(trials[3], outcome(0.9, 0.2), params=10)
    failed = summary(trials[4], outcome(0.99), outcome(None, None))
    got = [s.trial.number for s in ranked([failed, one, two, three, four])]
    assert got == [4, 3, 1, 2, 5]


def test_a_spread_is_mean_and_sample_deviation() -> None:
    assert Spread.of([0.2, 0.4, 0.6]) == Spread(pytest.approx(0.4), pytest.approx(0.2))
    assert Spread.of([0.2]) == Spread(0.2, None)
    assert Spread.of([]) == Spread(None, None)
    assert Spread.of([float("inf"), 1.0]) == Spread(None, None)


def test_optuna_asks_for_what_does_better() -> None:
    pytest.importorskip("optuna", reason="needs the extra optuna: pip install 'convcli[optuna]'")
    axes = [Range("n", 0, 100, whole=True), Range("lr", 1e-4, 1, True), Listed("batch", (8, 16))]

    def play() -> list[Trial]:
        search = make_search("optuna", axes, trials=40, epochs=1, factor=3, seed=3)
        found, asked = next(search), []
        while True:
            asked += found.trials
            told = [
                summary(t, outcome(1 - abs(float(dict(t.values)["n"]) - 70) / 100))
                for t in found.trials
            ]
            try:
                found = search.send(told)
            except StopIteration:
                return asked

    got = play()
    assert [trial.number for trial in got] == list(range(1, 41))
    misses = [abs(float(dict(trial.values)["n"]) - 70) for trial in got]
    assert sum(misses[20:]) < sum(misses[:20])
    assert all(1e-4 <= float(dict(trial.values)["lr"]) <= 1 for trial in got)
    assert {dict(trial.values)["batch"] for trial in got} == {8, 16}
    assert play() == got
