"""Convolution from the command line and from Python.

The public names load on first use (PEP 562), so that `import convcli` costs nothing.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

_HOME: dict[str, str] = {
    "convolve": "convcli.engine.correlation",
    "correlate": "convcli.engine.correlation",
    "load_dataset": "convcli.data",
    "fit": "convcli.learn.fit",
    "load": "convcli.learn.modelfile",
    "export_model": "convcli.exchange.export",
    "import_model": "convcli.exchange.importing",
    "filter_image": "convcli.imaging.apply",
    "network": "convcli.network",
}
"""Public name -> module that defines it."""

__all__ = ["__version__", *_HOME]  # noqa: PLE0604  (names come from the table above)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'convcli' has no attribute {name!r}")
    home = import_module(_HOME[name])
    return globals().get(name) or getattr(home, name)  # `network` is its own room, and callable


def __dir__() -> list[str]:
    return sorted(__all__)
