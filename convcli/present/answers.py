"""What a model tells beside the truth, where that is no class: masks, values, forecasts, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcli.data.dataset import IGNORED
from convcli.learn.evaluation import Labeled, check_same
from convcli.learn.metrics import centered
from convcli.learn.model import predict_split
from convcli.learn.modelfile import TrainedModel
from convcli.present.data import goes_on, mask_key, sample_panel
from convcli.present.panels import Panel
from convcli.report import Report, tabulate

OFF = {
    "mask": "share of its cells that are wrong",
    "values": "mean absolute error, in deviations of the values",
    "labels": "share of its labels that are wrong",
}
"""What says how far an answer is off, by task."""


def worst_answers(
    model: TrainedModel, chosen: Labeled, limit: int, threads: int = 0
) -> tuple[Report, list[Panel], str]:
    """Return the samples that are told worst, drawn beside the truth, as a report and panels.

    A mask lies over its picture twice; a forecast goes on from its series beside what came.

    Raises:
        InputError: the data do not fit the model.
    """
    check_same(model, chosen.data)
    split, task = chosen.samples, chosen.data.task
    told = model.finished(predict_split(model.model, model.preprocessing, split, threads))
    truth = split.labels
    if task == "mask":
        told = told.argmax(axis=-1).astype(np.uint8)
        truth = centered(truth, told.shape[1:])
    off = _off(task, told, truth)
    worst = np.argsort(-off, kind="stable")[:limit]
    panels: list[Panel] = []
    for at in worst.tolist():
        panels += _beside(chosen, at, told[at], truth[at], off[at])
    if task == "mask":
        panels += mask_key(chosen.data.class_names)
    rows = [
        {"file": split.files[at] if split.files else f"sample {at}", "index": at, "off": off[at]}
        for at in worst.tolist()
    ]
    report = tabulate(
        rows,
        {"file": "Sample", "off": "Off by|.4g"},
        title=f"The worst {len(rows)} of {len(split):,} {chosen.name} samples",
        notes=[f"Off by: {OFF[task]}."],
    )
    return report, panels, f"{chosen.title}: the worst {len(rows)} of {len(split):,}"


def _off(task: str, told: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far each answer is off."""
    axes = tuple(range(1, truth.ndim))
    if task == "mask":
        known = truth != IGNORED
        wrong = ((told != truth) & known).sum(axis=axes)
        return np.asarray(wrong / np.maximum(known.sum(axis=axes), 1))
    if task == "labels":
        return np.asarray(((told > 1 / 2) != (truth > 1 / 2)).mean(axis=axes))
    spread = truth.std(axis=0)
    spread[spread == 0] = 1.0
    return np.asarray((np.abs(told - truth) / spread).mean(axis=axes))


def _beside(
    chosen: Labeled, at: int, told: NDArray[Any], truth: NDArray[Any], off: float
) -> list[Panel]:
    """Return one sample with the truth, and with what is told."""
    data, sample = chosen.data, chosen.samples.some([at])[0]
    if data.task == "mask":
        return [
            sample_panel(data, sample, truth, f"sample {at}: truth"),
            sample_panel(data, sample, told, f"{off:.1%} of the cells wrong"),
        ]
    if data.task == "values" and goes_on(data):
        lines = [np.r_[sample[:, 0], one.reshape(-1, sample.shape[1])[:, 0]]
                 for one in (truth, told)]  # fmt: skip
        caption = f"sample {at}, from row {len(sample)} on"
        return [Panel(caption, np.stack(lines, axis=1), form="lines", names=("truth", "forecast"))]
    ours, theirs = (_words(data.class_names, one, data.task) for one in (told, truth))
    return [sample_panel(data, sample, np.zeros(0), f"{ours}\nnot {theirs}")]


def _words(names: tuple[str, ...], values: NDArray[Any], task: str) -> str:
    if task == "labels":
        known = [name for name, value in zip(names, values, strict=True) if value > 1 / 2]
        return ", ".join(known) or "nothing"
    return " ".join(f"{value:.3g}" for value in values.ravel()[:4].tolist())
