"""Preprocessing that may travel inside an exported network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scaling:
    """The preprocessing to put into the graph: raw levels times scale plus offset, per channel."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]
