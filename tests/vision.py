"""torchvision beside the CPU build of torch, which lacks the operators that its import asks for."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

_LIBRARIES: list[Any] = []
"""A library's operators live as long as it does."""


def prepare() -> None:
    """Define the missing operators, so that whoever imports torchvision can."""
    torch = pytest.importorskip("torch", reason="the peer")
    if not _LIBRARIES and find_spec("torchvision") and not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)


def models() -> Any:
    """Return torchvision's models."""
    prepare()
    return pytest.importorskip("torchvision", reason="the peer").models
