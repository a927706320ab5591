"""Values that show themselves in a notebook and know nothing of how.

A notebook asks a value for `_repr_html_`. The rooms below hold figures and import no renderer, so
this base looks the rendering up by name when it is asked for, and nothing is loaded before.
"""

from __future__ import annotations

from importlib import import_module

RENDERER = "convcli.present.notebook"
"""The module whose `html_of` renders a value."""


class Shown:
    """Base of values that a notebook shows as HTML; without a rendering it prints their repr.

    >>> from convcli.kernels import find
    >>> "<table>" in find("sobel-x")._repr_html_()
    True
    """

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        text: str | None = import_module(RENDERER).html_of(self)
        return text
