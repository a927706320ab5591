"""A page for the tests of the live page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convcli.cli.main import run
from tests.cli.pages import NETWORKS, trained


@pytest.fixture
def digits_page(tmp_path: Path) -> Path:
    """Return the page of a network on samples of three classes, of which it knows the data."""
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "data.npz",
        x=random.integers(0, 256, (30, 28, 28, 1), np.uint8),
        y=np.arange(30) % 10,
    )
    trained(NETWORKS["mnist"]).save(tmp_path / "model.safetensors")
    words = ["page", str(tmp_path / "model.safetensors"), "--title", "A <title>", "--quiet"]
    words += ["--data", str(tmp_path / "data.npz"), "--output", str(tmp_path / "p.html")]
    assert run(words) == 0
    return tmp_path / "p.html"
