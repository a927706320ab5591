"""What a user asked for, with the recipe's figures, the data and the network that it means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convcli.cli.console import Messages
from convcli.cli.learn_options import load_source
from convcli.data import Dataset
from convcli.learn.adapt import adapted
from convcli.learn.recipes import Recipe, find_recipe
from convcli.network import Network
from convcli.network import network as find_network

DEFAULT_SOURCE = "mnist"


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked `convcli train` for; empty and None mean the recipe's."""

    words: str
    source: str | None
    shaping: dict[str, Any]
    recipe_name: str | None
    figures: dict[str, Any]
    messages: Messages
    seed: int = 0
    threads: int = 0
    init: Path | None = None
    out: Path | None = None
    time_limit: float | None = None
    fail_under: float | None = None
    style: str | None = None
    force: bool = False
    tensorboard: bool = False

    @property
    def recipe(self) -> Recipe:
        """The named recipe with the figures of the command line."""
        base = find_recipe(self.recipe_name or "default")
        network = {"network": self.words} if self.words else {}
        return base.changed(**self.figures, **network)

    @property
    def data_source(self) -> str:
        """The words after `--data`, or the default."""
        return self.source or DEFAULT_SOURCE

    def load(self) -> Dataset:
        """Return the data, without a validation split unless they bring one.

        The network is read first, so that a mistake in it is told before a download.
        """
        find_network(self.recipe.network)
        return load_source(self.data_source, self.messages, seed=self.seed, **self.shaping)

    def network_for(self, data: Dataset) -> Network:
        """Return the network; one that the user did not spell out is made to fit the data."""
        network = find_network(self.recipe.network)
        if is_notation(self.words):
            return network
        network, change = adapted(network, data)
        if change:
            self.messages.say(change)
        return network


def is_notation(text: str) -> bool:
    """Tell whether the user spelled the network out, so that it is taken as it stands."""
    return text.lstrip().startswith(("input", "let"))
