"""One `Report` value and its renderings; cells stay numbers until a renderer touches them."""

from convcli.report.formats import FORMATS, STYLES, render, to_json
from convcli.report.value import Column, Report, tabulate

__all__ = ["FORMATS", "STYLES", "Column", "Report", "render", "tabulate", "to_json"]
