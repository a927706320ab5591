"""What a user asked for, with the recipe's figures, the data and the network that it means."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convcli.cli.console import Messages
from convcli.cli.learn_options import load_source
from convcli.data import Dataset, Source
from convcli.errors import InputError, UsageError
from convcli.layers.base import shape_text
from convcli.learn.adapt import adapted
from convcli.learn.recipes import Recipe, find_recipe
from convcli.net import Network, preset_data
from convcli.net import network as find_network
from convcli.net.lookup import model_path

DEFAULT_SOURCE = "mnist"


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked `convcli train` for; empty and None mean the recipe's."""

    words: str
    source: Source
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
        network = {"network": self.network_words} if self.network_words else {}
        return base.changed(**self.figures, **network)

    @property
    def network_words(self) -> str:
        """The network of the command line, or that of the model to begin with; may be empty."""
        if self.words or self.init is None:
            return self.words
        return str(model_path(self.init).absolute())

    @property
    def data_source(self) -> str:
        """The words after `--data`, or the default."""
        return self.source.name or DEFAULT_SOURCE

    def load(self) -> Dataset:
        """Return the data, without a validation split unless they bring one.

        The network is read first, so that a mistake in it is told before a download.

        Raises:
            UsageError: no data are named, and the network is not for those that are meant then.
        """
        network = find_network(self.recipe.network)
        if self.source.name is None and not is_notation(self.network_words):
            check_default_source(self.recipe.network, network)
        source = dataclasses.replace(self.source, name=self.data_source)
        return load_source(source, self.messages, seed=self.seed)

    def network_for(self, data: Dataset) -> Network:
        """Return the network; one that the user did not spell out is made to fit the data."""
        network = find_network(self.recipe.network)
        if is_notation(self.words):
            return network
        try:
            network, change = adapted(network, data)
        except InputError as problem:
            raise self._misfit(network, data, problem) from None
        if change:
            self.messages.say(change)
        return network

    def _misfit(self, network: Network, data: Dataset, problem: InputError) -> InputError:
        """Return what to say of a network that the user did not spell out."""
        shape = shape_text(data.sample_shape)
        reads = shape_text(network.input_shape)
        name = f"The network {network.name}" if self.network_words else "The default network"
        if len(data.sample_shape) == len(network.input_shape):
            fact = f"{name} cannot be made to fit samples of {shape}: {problem}"
        else:
            fact = f"{name} reads {reads}, and the samples of {data.name} are {shape}."
        layers = "conv 16 3 same relu, gap" if len(data.sample_shape) > 1 else "dense 32 relu"
        return InputError(
            f"{fact} Name a network for them, such as: "
            f"'input {shape}, {layers}, dense {data.classes} softmax'"
        )


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
