"""Where samples come from: idx and npz files, published sets, folders, series, made digits.

The names load on first use (PEP 562): a `Source` is described without NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convcli.data.augmentation import (
        Augmentation as Augmentation,
        read_augmentation as read_augmentation,
    )
    from convcli.data.dataset import (
        Dataset as Dataset,
        ProgressCallback as ProgressCallback,
        Split as Split,
        make_dataset as make_dataset,
    )
    from convcli.data.source import Source as Source
    from convcli.data.sources import load_dataset as load_dataset

_HOME = {
    "Augmentation": "augmentation",
    "Dataset": "dataset",
    "ProgressCallback": "dataset",
    "Source": "source",
    "Split": "dataset",
    "load_dataset": "sources",
    "make_dataset": "dataset",
    "read_augmentation": "augmentation",
}

__all__ = [*_HOME]  # noqa: PLE0604  (names come from the table above)


if not TYPE_CHECKING:  # checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'convcli.data' has no attribute {name!r}")
        return getattr(import_module(f"convcli.data.{_HOME[name]}"), name)
