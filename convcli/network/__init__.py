"""A network is a value: read from words, followed step by step, written back."""

from __future__ import annotations

import sys
from types import ModuleType

from convcli.layers.base import Shape
from convcli.network.lookup import (
    network,
    network_variables,
    preset_data,
    preset_names,
    preset_text,
)
from convcli.network.notation import parse_notation
from convcli.network.trace import Step, Totals, Trace, trace
from convcli.network.value import Network
from convcli.network.writing import to_notation

__all__ = [
    "Network",
    "Step",
    "Totals",
    "Trace",
    "network",
    "network_variables",
    "parse_notation",
    "preset_data",
    "preset_names",
    "preset_text",
    "to_notation",
    "trace",
]


class _CallableRoom(ModuleType):
    """Lets `convcli.network(...)` be the function of that name although it names this package."""

    def __call__(self, source: str, *, input_shape: Shape | None = None) -> Network:
        return network(source, input_shape=input_shape)


sys.modules[__name__].__class__ = _CallableRoom
