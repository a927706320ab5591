"""What ships is checked where it runs: layers and presets against figures that others computed.

The figures stand in selftest.json, each with its source: PyTorch, Keras and ONNX for single layers,
PyTorch and the lectures for whole networks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from convcli.errors import ConvcliError
from convcli.net.dialects import in_dialect
from convcli.net.lookup import network
from convcli.net.trace import Totals, Trace

FACTS = Path(__file__).parent / "selftest.json"


class SelfCheck(NamedTuple):
    """One figure: what it is, what others say, what we say."""

    group: str
    """`layers` or `networks`."""
    name: str
    figure: str
    expected: object
    got: object
    source: str

    @property
    def holds(self) -> bool:
        """Whether both agree."""
        return self.expected == self.got


def selftest() -> tuple[SelfCheck, ...]:
    """Return every check with its outcome; the caller counts and shows.

    >>> checks = selftest()
    >>> all(check.holds for check in checks), len(checks) > 200
    (True, True)
    """
    facts = json.loads(FACTS.read_text(encoding="utf-8"))
    return tuple(check for group in facts for row in facts[group] for check in _checks(group, row))


def _checks(group: str, row: dict[str, Any]) -> Iterator[SelfCheck]:
    name, source = row["id"], row["source"]
    try:
        net = network(row["network"])
        if "dialect" in row:
            net = in_dialect(net, row["dialect"])
        trace = net.trace()
    except ConvcliError as problem:
        refused = row.get("refused", False)
        yield SelfCheck(group, name, "refused", refused, True, f"{source}; {problem}")
        return
    if row.get("refused"):
        yield SelfCheck(group, name, "refused", True, False, source)
        return
    for figure, expected in row.items():
        if figure not in {"id", "source", "dialect", "network"}:
            yield SelfCheck(group, name, figure, expected, _figure(trace, figure), source)


def _figure(trace: Trace, figure: str) -> object:
    """Return one figure of a trace as the facts write it: per-axis figures of the first axis."""
    if figure == "output":
        return list(trace.output_shape)
    totals: Totals = trace.totals
    value = getattr(totals, figure)
    return value[0] if isinstance(value, tuple) else value
