"""The layers of which frameworks make something else, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from convcli.errors import ConvcliError
from convcli.layers.base import shape_text
from convcli.net.dialects import DIALECTS, in_dialect
from convcli.net.trace import partial_trace
from convcli.net.value import Network


@dataclass(frozen=True, slots=True)
class Difference:
    """One layer on which the frameworks do not agree: what each of them says."""

    index: int
    name: str
    said: dict[str, str]
    """Dialect to what it makes of the layer: a shape with its parameters, or a refusal."""


def compare_dialects(network: Network) -> list[Difference]:
    """Return the layers on which the frameworks differ, in order.

    A dialect that refuses a layer, or whose shapes no longer fit, says so at that layer and is
    silent about the rest.

    >>> from convcli.net import parse_notation
    >>> (found,) = compare_dialects(parse_notation("input 4x4x1, upconv 1 2 s3"))
    >>> found.said["torch"], found.said["keras"]
    ('11x11x1, 5 params', '12x12x1, 5 params')
    """
    columns = {dialect: _said(network, dialect) for dialect in DIALECTS}
    longest = max(columns.values(), key=len)
    differences = []
    for place, (name, _) in enumerate(longest):
        said = {dialect: rows[place][1] for dialect, rows in columns.items() if place < len(rows)}
        if len(set(said.values())) > 1:
            differences.append(Difference(place + 1, name, said))
    return differences


def _said(network: Network, dialect: str) -> list[tuple[str, str]]:
    """Return (name, statement) for each layer, up to the one that does not work."""
    steps, problem = partial_trace(in_dialect(network, dialect))
    rows = [
        (step.name, f"{shape_text(step.output_shape)}, {step.params:,} params") for step in steps
    ]
    return [*rows, _told(problem)] if problem else rows


def _told(problem: ConvcliError) -> tuple[str, str]:
    """Return name and reason from `layer 3 conv2 `conv 8 3 s2`: reason`."""
    head, _, reason = str(problem).partition("`: ")
    return head.split()[2], reason
