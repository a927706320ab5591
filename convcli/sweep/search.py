"""Which trials are trained, and for how long: grid, chance, successive halving, Optuna.

A search is a generator: it yields rounds and is sent what came of each. Nothing but the seed and
those results decides what it yields, so an interrupted one goes on by being asked again.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from convcli.errors import UsageError, missing_extra
from convcli.sweep.space import Axis, Listed, Trial, draw, grid
from convcli.sweep.trial import Summary, ranked

TRIALS = 20
"""Of a search by chance, unless said otherwise."""
OPTUNA_ROUND = 4
"""Trials asked of Optuna at a time; fixed, so that the number of processes does not change them."""


@dataclass(frozen=True, slots=True)
class Round:
    """Trials that may be trained at the same time.

    Attributes:
        trials: in order.
        epochs: of each, None for the recipe's or the trial's own.
    """

    trials: tuple[Trial, ...]
    epochs: int | None = None


Search = Generator[Round, Sequence[Summary], None]


def make_search(
    kind: str, axes: Sequence[Axis], *, trials: int | None, epochs: int, factor: int, seed: int
) -> Search:
    """Return the search of that kind.

    Args:
        kind: grid, random, halving or optuna.
        axes: the space.
        trials: to draw; None for the whole grid, or `TRIALS`.
        epochs: of the last rung of a halving.
        factor: of a halving.
        seed: of what is drawn.

    Raises:
        UsageError: figures that do not suit the kind.
    """
    if kind == "grid" and trials is not None:
        raise UsageError("--trials belongs to --search random, halving or optuna.")
    if kind == "optuna":
        return optuna_search(axes, trials or TRIALS, seed)
    drawn = grid(axes) if kind == "grid" else draw(axes, trials or TRIALS, seed)
    if kind != "halving":
        return _once(drawn)
    if any(axis.name == "epochs" for axis in axes):
        raise UsageError("Halving chooses the epochs itself; leave epochs= out.")
    return halving(drawn, rungs(len(drawn), epochs, factor))


def _once(trials: list[Trial]) -> Search:
    yield Round(tuple(trials))


def rungs(trials: int, epochs: int, factor: int) -> list[tuple[int, int]]:
    """Return (trials, epochs) of each rung of successive halving.

    Each rung keeps one in `factor` trials and gives it `factor` times the epochs; there are as many
    rungs as both figures allow. Source: Jamieson and Talwalkar 2016, Non-stochastic Best Arm
    Identification and Hyperparameter Optimization.

    >>> rungs(9, 9, 3), rungs(20, 10, 3), rungs(4, 1, 2)
    ([(9, 1), (3, 3), (1, 9)], [(20, 1), (6, 3), (2, 10)], [(4, 1)])
    """
    steps = 0
    while trials >= factor ** (steps + 1) and epochs >= factor ** (steps + 1):
        steps += 1
    return [
        (trials // factor**step, max(1, epochs // factor ** (steps - step)))
        for step in range(steps + 1)
    ]


def halving(trials: Sequence[Trial], plan: Sequence[tuple[int, int]]) -> Search:
    """Train many trials a little and the best of them longer, anew from the start."""
    going_on = list(trials)
    for count, epochs in plan:
        summaries = yield Round(tuple(going_on[:count]), epochs)
        going_on = [summary.trial for summary in ranked(summaries)]


def optuna_search(axes: Sequence[Axis], trials: int, seed: int) -> Search:
    """Return a search by Optuna's tree-structured Parzen estimator, without a database.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization.

    Raises:
        InputError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise missing_extra("optuna", "optuna", "Searches by Optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    return _rounds(study, axes, trials)


def _rounds(study: Any, axes: Sequence[Axis], trials: int) -> Search:
    import optuna

    spaces = {axis.name: _distribution(axis) for axis in axes}
    for first in range(0, trials, OPTUNA_ROUND):
        asked = [study.ask(spaces) for _ in range(min(OPTUNA_ROUND, trials - first))]
        drawn = tuple(
            Trial(number, tuple((axis.name, _value(axis, one.params[axis.name])) for axis in axes))
            for number, one in enumerate(asked, start=first + 1)
        )
        summaries = yield Round(drawn)
        told = {summary.trial.number: summary for summary in summaries}
        for trial, one in zip(drawn, asked, strict=True):
            merit = told[trial.number].merit
            failed = optuna.trial.TrialState.FAIL if merit is None else None
            study.tell(one, merit, state=failed)


def _distribution(axis: Axis) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(axis, Listed):
        return CategoricalDistribution(axis.values)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.logarithmic)
    return FloatDistribution(axis.low, axis.high, log=axis.logarithmic)


def _value(axis: Axis, drawn: Any) -> Any:
    """Return what was drawn, to four figures as `Range` does it."""
    return (
        float(f"{drawn:.4g}")
        if isinstance(drawn, float) and not isinstance(axis, Listed)
        else drawn
    )
