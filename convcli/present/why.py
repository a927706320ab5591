"""What a shift and a permutation do to networks, as tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from convcli.inspect.why import Learner, Translation
from convcli.present.panels import Panel, Scale
from convcli.report import Report, tabulate


def translation_report(found: Translation) -> Report:
    """Return how much of each stage a shift changes, before and after it is undone."""
    stages = [
        {
            "stage": stage.name,
            "shape": stage.plain.shape,
            "changed": stage.changed,
            "moved_back": stage.moved_back if any(stage.shift) else None,
        }
        for stage in found.stages
    ]
    picture, convolved, pooled, _ = found.stages
    cells = picture.plain.size
    weights = found.kernel_size[0] * found.kernel_size[1]
    return tabulate(
        stages,
        {
            "stage": "Stage",
            "shape": "Shape",
            "changed": "Changed by the shift|%",
            "moved_back": "Shifted back|%",
        },
        title="A picture shifted by {},{} (rows, columns)".format(*found.shift),
        notes=(
            "Shift in, shift out: shifted back, the map is the same to the last bit.",
            f"The maximum of {found.pool}x{found.pool} cells changes {pooled.changed:.0%} where "
            f"the map changed {convolved.changed:.0%}; the maximum of all does not change.",
            f"The convolution has {weights} weights, wherever a thing lies. A dense layer from "
            f"this picture to such a map has {cells:,} x {cells:,} = {cells**2:,}, and must learn "
            "the thing anew for every place.",
            "Changed: the mean change of a cell, as a share of the mean cell. Borders wrap.",
        ),
        document={
            "shift": found.shift,
            "stages": stages,
            "weights": weights,
            "dense_weights": cells**2,
        },
    )


def translation_panels(found: Translation) -> list[Panel]:
    """Return the stages of the picture, and of the shifted one below."""
    panels = []
    picture, *maps, _ = found.stages  # one number makes no picture
    scale = Scale.of(maps[0].plain, f"answer of {maps[0].name}")
    for side, heading in (("plain", "The picture"), ("shifted", "The same, shifted")):
        panels.append(Panel(picture.name, getattr(picture, side).astype(np.uint8), heading))
        panels += [Panel(stage.name, getattr(stage, side), scale=scale) for stage in maps]
    return panels


def permutation_report(found: Sequence[Learner], samples: int) -> Report:
    """Return what each network learned of plain and of permuted pictures."""
    return tabulate(
        [{**asdict(one), "lost": one.plain - one.permuted} for one in found],
        {
            "name": "Network",
            "params": "Parameters|,",
            "plain": "Digits|%",
            "permuted": "Permuted|%",
            "lost": "Lost|%",
        },
        title="Accuracy on digits, and on digits whose pixels all changed places alike",
        notes=(
            f"Each was trained on {samples:,} digits, or on the same ones permuted.",
            "To an MLP no pixel is nearer than another: it learns both alike. A CNN looks for "
            "what neighbors have in common, and permuted they have nothing.",
        ),
    )


def permutation_panels(found: Sequence[Learner], pictures: Sequence[Any]) -> list[Panel]:
    """Return a digit, the same permuted, and the accuracies as bars."""
    names = [f"{one.name}, {words}" for one in found for words in ("digits", "permuted")]
    values = np.array([share for one in found for share in (one.plain, one.permuted)])
    digit, other = pictures
    return [
        Panel("a digit", digit),
        Panel("its pixels permuted", other),
        Panel("accuracy", values, form="bars", names=tuple(names), text="{:.1%}"),
    ]
