"""`convcli filter --explain ROW,COL`: the products behind one output pixel as a table."""

from __future__ import annotations

from collections.abc import Sequence

from convcli.cli.console import emit, standard_input
from convcli.errors import UsageError
from convcli.imaging.apply import read_any
from convcli.imaging.content import Limits
from convcli.imaging.explanation import explain_frame
from convcli.imaging.jobs import find_sources
from convcli.imaging.options import FilterOptions
from convcli.imaging.steps import Step
from convcli.option import parse_place
from convcli.present.pixel import explanation_report


def explain_pixel(
    inputs: Sequence[str],
    place: str,
    steps: Sequence[Step],
    options: FilterOptions,
    *,
    limits: Limits,
    style: str | None,
) -> None:
    """Print the explanation of one output pixel of one input.

    Raises:
        UsageError: several inputs, or a place that is not ROW,COL of the output.
    """
    sources = find_sources(inputs)
    if len(sources) != 1:
        raise UsageError(f"--explain takes one input, not {len(sources)}.")
    _, (row, column) = parse_place(place, "--explain", layers=False)
    path = sources[0].path
    picture, _ = read_any(path or standard_input(), limits=limits)
    emit(explanation_report(explain_frame(picture.frames[0], steps, options, row, column)), style)
