"""What `convcli sweep` is asked for, checked before anything heavy is loaded.

Standard library only.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from convcli.data.source import Source
from convcli.errors import InputError, UsageError
from convcli.learn.recipes import Assignment, find_recipe, read_recipe
from convcli.net import network as find_network, network_variables
from convcli.option import option
from convcli.records import from_record
from convcli.sweep.space import SETTINGS, Axis, Listed, is_axis, parse_axes, setting_field

DEFAULT_NETWORK = "mnist"


@dataclass(frozen=True)
class SweepSpec:
    """What is swept; plain values, so that they can be kept in the sweep's directory.

    Attributes:
        network: as the user named it.
        axes: as the user wrote them.
        source: of the samples; without a name the default.
        settings: fields of `Recipe` that all trials share.
    """

    network: str = DEFAULT_NETWORK
    axes: tuple[str, ...] = ()
    source: Source = field(default_factory=Source)
    settings: dict[str, Any] = field(default_factory=dict)
    search: Literal["grid", "random", "halving", "optuna"] = option(
        "grid: every combination; random: by chance; halving: many for a short time, the best for "
        "longer; optuna: by Optuna.",
        default="grid",
        metavar="KIND",
    )
    trials: int | None = option("How many, if not a grid; 20 when left out.", min=1)
    factor: int = option("Halving: one in so many goes on to a rung.", default=3, min=2)
    seeds: int = option("Train each trial with so many seeds.", default=1, min=1)
    seed: int = option("Same seed, same bits, on any number of threads.", default=0, min=0)
    recipe: str | None = option("All settings at once: default, lecture, fast, tiny, accurate.")

    def read_axes(self) -> tuple[Axis, ...]:
        """Return the axes as values.

        Raises:
            UsageError: an unknown name or malformed values.
        """
        return parse_axes(self.axes, _variables(self.network, self.axes))

    def check(self) -> None:
        """Refuse values that no command line could have given.

        Raises:
            UsageError: of the axes, or of the recipe and its settings.
            ValueError: of the others.
        """
        self.read_axes()
        find_recipe(self.recipe or "default")
        read_recipe(self.settings)
        least = {"trials": 1, "factor": 2, "seeds": 1, "seed": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise ValueError(f"{name} is {value:,}; it must be at least {lowest}")

    @property
    def assignment(self) -> Assignment:
        """What all trials share: samples, network (the first of several) and recipe."""
        several = [axis.points()[0] for axis in self.read_axes() if axis.name == "network"]
        network = str(several[0]) if several else self.network
        return Assignment(network, self.source, self.settings, self.recipe, self.seed)


@dataclass(frozen=True)
class SweepPlace:
    """Where a sweep is kept, and where it is trained."""

    out: Path | None = option(
        "Directory.", "-o", "--out", metavar="DIR", show_default="runs/DATE-sweep"
    )
    resume: Path | None = option("Go on with a sweep.", metavar="DIR")
    jobs: int = option("Processes; 0 means one on each core.", default=0, min=0)
    tensorboard: bool = option("Write an event file beside each model.", default=False)
    cluster: str | None = option(
        "Train on the workers of a Dask scheduler, such as tls://10.0.0.1:8786. It runs code for "
        "whoever reaches its port: tcp:// only in a network that you trust.",
        metavar="ADDRESS",
    )


def read_words(spec: SweepSpec, words: Sequence[str]) -> SweepSpec:
    """Return the spec with the network and the axes that the words of a command line name.

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
    network = networks[0] if networks else spec.network
    spec = dataclasses.replace(spec, axes=axes, network=network)
    _refuse_twice(spec)
    return spec


def read_spec(place: Path) -> SweepSpec:
    """Return the spec of an earlier sweep.

    Raises:
        InputError: there is none, or it is damaged.
    """
    path = place / "sweep.json"
    try:
        spec = from_record(SweepSpec, json.loads(path.read_text(encoding="utf-8")))
        spec.check()
    except OSError as problem:
        raise InputError(
            f"There is no sweep in {place}: {path}: {problem.strerror}. --resume takes the "
            "directory of a sweep."
        ) from None
    except (ValueError, RecursionError, UsageError) as problem:
        raise InputError(f"{path} is damaged: {problem}. Sweep anew.") from None
    return spec


def _variables(network: str, axes: Sequence[str]) -> dict[str, int]:
    """Return the variables that every network of the sweep has."""
    named = parse_axes([axis for axis in axes if axis.startswith("network=")], {})
    names = [str(v) for axis in named for v in axis.points()] or [network]
    for name in names:
        find_network(name)
    known = [network_variables(name) for name in names]
    return {name: known[0][name] for name in known[0] if all(name in one for one in known)}


def _refuse_twice(spec: SweepSpec) -> None:
    """Refuse a setting that is both an option and an axis."""
    for axis in spec.read_axes():
        if axis.name in SETTINGS and setting_field(axis.name) in spec.settings:
            raise UsageError(
                f"{axis.name}= and --{axis.name} both set one thing; leave one of them out."
            )
        if isinstance(axis, Listed) and axis.name == "epochs" and spec.search == "halving":
            raise UsageError("Halving chooses the epochs itself; leave epochs= out.")
