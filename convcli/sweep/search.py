"""Which trials are trained, and for how long: grid, chance, successive halving, Optuna.

A search is a generator: it yields rounds and is sent what came of each. Nothing but the seed and
those results decides what it yields, so an interrupted one goes on by being asked again.
"""

from __future__ import annotations

from collections.abc import Sequence

from convcli.errors import UsageError
from convcli.sweep.bayes import optuna_search
from convcli.sweep.space import Axis, Trial, draw, grid
from convcli.sweep.summary import Round, Search, ranked

TRIALS = 20
"""Of a search by chance, unless said otherwise."""


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
