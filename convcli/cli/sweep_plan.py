"""What a user asked `convcli sweep` for, checked before anything heavy is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convcli.errors import InputError, UsageError
from convcli.records import from_record
from convcli.sweep.space import SETTINGS, Axis, Listed, is_axis, parse_axes

DEFAULT_NETWORK = "mnist"


@dataclass(frozen=True, slots=True)
class Plan:
    """The words of a sweep; plain values, so that they can be kept in its directory."""

    network: str
    axes: tuple[str, ...]
    search: str
    trials: int | None
    factor: int
    seeds: int
    seed: int
    source: str | None
    shaping: dict[str, Any]
    recipe: str | None
    figures: dict[str, Any]

    def read_axes(self) -> tuple[Axis, ...]:
        """Return the axes as values.

        Raises:
            UsageError: an unknown name or malformed values.
        """
        return parse_axes(self.axes, _variables(self.network, self.axes))

    def check(self) -> None:
        """Refuse values that no command line could have given.

        Raises:
            UsageError: of the axes, or of the recipe and its figures.
            ValueError: of the others.
        """
        from convcli.data.source import Shaping
        from convcli.learn.recipes import find_recipe, read_recipe

        self.read_axes()
        find_recipe(self.recipe or "default")
        read_recipe(self.figures)
        from_record(Shaping, self.shaping)
        least = {"trials": 1, "factor": 2, "seeds": 1, "seed": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(f"{name} is {value:,}; it must be at least {lowest}")

    def record(self) -> dict[str, Any]:
        """Return the plan for a file."""
        return dataclasses.asdict(self)


def make_plan(words: Sequence[str], *, figures: dict[str, Any], **choices: Any) -> Plan:
    """Return the plan that the words of a command line mean.

    Raises:
        UsageError: no axes, more than one network, or an axis that cannot be read.
        InputError: the network's file cannot be read.
    """
    axes = tuple(word for word in words if is_axis(word))
    networks = [word for word in words if not is_axis(word)]
    if len(networks) > 1:
        raise UsageError(
            f"{networks[0]!r} and {networks[1]!r} are two networks. Put a network in words into "
            "quotes: 'input 28x28x1, conv 8 3 relu, ...'; several go behind network=."
        )
    if not axes:
        raise UsageError("There is nothing to sweep; name an axis, such as lr=0.001,0.01.")
    if networks and any(axis.startswith("network=") for axis in axes):
        raise UsageError(f"network= names the networks; leave {networks[0]!r} out.")
    plan = Plan(
        network=networks[0] if networks else DEFAULT_NETWORK,
        axes=axes,
        figures=figures,
        **choices,
    )
    _refuse_twice(plan)
    return plan


def read_plan(place: Path) -> Plan:
    """Return the plan of an earlier sweep.

    Raises:
        InputError: there is none, or it is damaged.
    """
    import json

    path = place / "sweep.json"
    try:
        plan = from_record(Plan, json.loads(path.read_text(encoding="utf-8")))
        plan.check()
    except OSError as problem:
        raise InputError(
            f"There is no sweep in {place}: {path}: {problem.strerror}. --resume takes the "
            "directory of a sweep."
        ) from None
    except (ValueError, RecursionError, UsageError) as problem:
        raise InputError(f"{path} is damaged: {problem}. Sweep anew.") from None
    return plan


def _variables(network: str, axes: Sequence[str]) -> dict[str, int]:
    """Return the variables that every network of the sweep has."""
    from convcli.net import network as find_network
    from convcli.net import network_variables

    named = parse_axes([axis for axis in axes if axis.startswith("network=")], {})
    names = [str(v) for axis in named for v in axis.points()] or [network]
    for name in names:
        find_network(name)
    known = [network_variables(name) for name in names]
    return {name: known[0][name] for name in known[0] if all(name in one for one in known)}


def _refuse_twice(plan: Plan) -> None:
    """Refuse a setting that is both an option and an axis."""
    for axis in plan.read_axes():
        field = SETTINGS.get(axis.name, ("", str))[0]
        if field in plan.figures:
            raise UsageError(
                f"{axis.name}= and --{axis.name} both set one thing; leave one of them out."
            )
        if isinstance(axis, Listed) and axis.name == "epochs" and plan.search == "halving":
            raise UsageError("Halving chooses the epochs itself; leave epochs= out.")
