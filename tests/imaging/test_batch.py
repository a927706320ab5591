"""Many files in one call: figures stay, pixels go."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convcli
from convcli.errors import InputError
from convcli.imaging.batch import FileReport, filter_work, plan_batch
from convcli.imaging.chain import make_steps
from convcli.imaging.options import FilterOptions


def test_reports_hold_figures_and_pixels_only_where_they_are_asked_for(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    for name in "abc":
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    options = FilterOptions(output=f"{tmp_path}/out/")
    steps = make_steps("sobel", options)
    inputs = [str(path) for path in sorted(tmp_path.glob("*.png"))]
    batch = plan_batch(inputs, filter_work(steps, options), options, lambda: b"")
    assert not batch.is_printed
    outcomes = batch.run(lambda: None, keep=False)
    failed = [one for one in outcomes if isinstance(one, InputError)]
    done = [one for one in outcomes if isinstance(one, FileReport)]
    assert (len(failed), len(done)) == (1, 3)
    ref = convcli.filter_result(pixels, "sobel")
    for one in done:
        assert one.result is None
        assert (one.shape, one.dtype, one.size) == ((20, 30, 3), "uint8", 1800)
        assert one.statistics == ref.statistics
        assert np.array_equal(np.asarray(Image.open(one.output)), ref.pixels)


def test_the_library_leaves_the_interpreter_s_turns_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((900, 1200, 3), np.uint8)).save(path)
    changed: list[float] = []
    monkeypatch.setattr(sys, "setswitchinterval", changed.append)
    convcli.filter_image(path, "gaussian:sigma=3", engine="numba")
    assert not changed
