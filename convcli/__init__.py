"""Convolution from the command line and from Python.

The public names load on first use (PEP 562), so that `import convcli` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what editors and type checkers see of the names that load on first use
    from convcli.data import load_dataset as load_dataset
    from convcli.engine.correlation import convolve as convolve, correlate as correlate
    from convcli.exchange.export import export_model as export_model
    from convcli.exchange.features import features as features
    from convcli.exchange.importing import import_model as import_model
    from convcli.imaging.apply import filter_image as filter_image, filter_result as filter_result
    from convcli.learn.fit import fit as fit
    from convcli.learn.modelfile import load as load
    from convcli.net.lookup import network as network
    from convcli.present.comparison import comparison_document as comparison_document
    from convcli.present.run_page import (
        run_document as run_document,
        write_run_page as write_run_page,
    )

__version__ = "0.1.0"

_HOME: dict[str, str] = {
    "convolve": "convcli.engine.correlation",
    "correlate": "convcli.engine.correlation",
    "load_dataset": "convcli.data",
    "fit": "convcli.learn.fit",
    "load": "convcli.learn.modelfile",
    "export_model": "convcli.exchange.export",
    "import_model": "convcli.exchange.importing",
    "features": "convcli.exchange.features",
    "filter_image": "convcli.imaging.apply",
    "filter_result": "convcli.imaging.apply",
    "run_document": "convcli.present.run_page",
    "write_run_page": "convcli.present.run_page",
    "comparison_document": "convcli.present.comparison",
    "network": "convcli.net.lookup",
}
"""Public name -> module that defines it."""

__all__ = ["__version__", *_HOME]  # noqa: PLE0604  (names come from the table above)


if not TYPE_CHECKING:  # checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'convcli' has no attribute {name!r}")
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
