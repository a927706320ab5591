"""A network is a value: read from words, followed step by step, written back."""

from __future__ import annotations

from convcli.net.lookup import network, network_variables, preset_data, preset_names, preset_text
from convcli.net.notation import parse_notation
from convcli.net.trace import Step, Totals, Trace
from convcli.net.value import Network
from convcli.net.words import to_notation

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
]
