"""Optuna chooses the trials; the trainings are ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convcli.errors import missing_extra
from convcli.sweep.space import Axis, Listed, Trial
from convcli.sweep.summary import Round, Search

ROUND = 4
"""Trials asked for at a time; fixed, so that the number of processes does not change them."""


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
    spaces = {axis.name: _distribution(axis) for axis in axes}
    for first in range(0, trials, ROUND):
        asked = [study.ask(spaces) for _ in range(min(ROUND, trials - first))]
        drawn = tuple(
            Trial(number, tuple((axis.name, _value(axis, one.params[axis.name])) for axis in axes))
            for number, one in enumerate(asked, start=first + 1)
        )
        summaries = yield Round(drawn)
        told = {summary.trial.number: summary for summary in summaries}
        for trial, one in zip(drawn, asked, strict=True):
            accuracy = told[trial.number].spread("val_accuracy").mean
            study.tell(one, 0.0 if accuracy is None else accuracy)


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
