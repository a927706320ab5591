"""What a file of another program holds, in our terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from convcli.exchange.layouts import Array
from convcli.net import Network
from convcli.net.lookup import OpenedNetwork


@dataclass(frozen=True, slots=True)
class Scaling:
    """Preprocessing inside a network: raw levels times scale plus offset, per channel."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """A network with its numbers, and what the file says besides.

    Attributes:
        network: the layers on paper.
        arrays: by `step.weight`.
        texts: our own notes by key, if the file was written here.
        scaling: what the network does to its input first, if anything.
        notes: sentences on what was read in another way.
        frozen: names of layers that the file marks as not trained.
        whence: the file's name of a layer -> ours, where a given network got its arrays.
    """

    network: Network
    arrays: Mapping[str, Array] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    scaling: Scaling | None = None
    notes: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    whence: Mapping[str, str] = field(default_factory=dict)

    def on_paper(self) -> OpenedNetwork:
        """Return the network without its numbers."""
        return OpenedNetwork(self.network, self.frozen, self.notes)
