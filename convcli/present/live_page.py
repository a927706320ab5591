"""The live page of a model: its network, colors, and samples to begin with."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from convcli.data.dataset import TASKS
from convcli.errors import InputError
from convcli.inspect.live import page_network
from convcli.learn.model import Model
from convcli.learn.modelfile import TrainedModel
from convcli.learn.prepare import BYTE, Preprocessing, preprocessing_for
from convcli.learn.task import adapted
from convcli.report.chart import PALETTE, STOPS
from convcli.report.lanes import place
from convcli.report.live import build_page

if TYPE_CHECKING:
    from convcli.data.dataset import Dataset
    from convcli.learn.evaluation import Labeled
    from convcli.net import Network

SAMPLES, SAMPLE_BYTES = 200, 400_000
"""Samples that travel with the page, to choose from and to learn from, and all their bytes
together: fewer where each is large."""


def live_page(trained: TrainedModel, title: str | None, chosen: Labeled | None = None) -> str:
    """Return the page as HTML.

    Args:
        trained: the model.
        title: of the page; the network's name when left out.
        chosen: labeled samples, of which some are put on the page.

    Raises:
        InputError: the page cannot run the network.
    """
    if trained.outputs not in {"classes", "values"} or trained.target_scaling is not None:
        raise InputError(
            f"The page shows the classes of a picture; this model gives "
            f"{TASKS[trained.outputs]}. "
            "convcli predict and convcli evaluate tell them."
        )
    accuracy = trained.metrics.get("test_accuracy")
    measured = f", test accuracy {accuracy:.2%}" if isinstance(accuracy, float) else ""
    params = trained.network.trace().totals.params
    summary = f"{len(trained.class_names)} classes, {params:,} parameters{measured}."
    network = page_network(trained) | {
        "colors": STOPS,
        "palette": PALETTE,
        "samples": _samples(trained, chosen),
        "names": list(chosen.data.channel_names) if chosen else [],
        "graph": _graph(trained),
    }
    return build_page(title or f"{trained.network.name}, live", summary, network)


def untrained(network: Network, data: Dataset | None) -> TrainedModel:
    """Return a network with first weights, fitted to the data that it is to learn from.

    Raises:
        InputError: the network does not fit the data.
    """
    if data is None:
        shape = network.input_shape
        classes = max(2, network.trace().output_shape[-1])
        names = tuple(f"class {number}" for number in range(classes))
        rule = Preprocessing(shape, (1 / BYTE if len(shape) == 3 else 1.0,), (0.0,))
    else:
        network, _ = adapted(network, data)
        names, rule = data.class_names, preprocessing_for(data.train)
    return TrainedModel(Model.initialize(network, seed=0), names, rule)


def _graph(trained: TrainedModel) -> dict[str, Any]:
    """Return where the input and the rows of the network stand when they are drawn as a graph."""
    steps = trained.network.trace().steps
    layout = place([(), *(step.sources for step in steps)])
    edges = [[edge.source, edge.target, edge.lane] for edge in layout.edges]
    return {"row": layout.row, "lane": layout.lane, "edges": edges}


def _samples(trained: TrainedModel, chosen: Labeled | None) -> dict[str, Any]:
    """Return the first sample of each class, then the second.

    Pictures are bytes from 0 to 255, series and plain numbers little-endian float32.
    """
    if chosen is None:
        return {"labels": [], "levels": ""}
    split = chosen.samples
    turn = np.zeros(len(split.labels), int)  # which sample of its class each is
    for label in np.unique(split.labels):
        of_class = np.flatnonzero(split.labels == label)
        turn[of_class] = np.arange(len(of_class))
    shape = trained.network.input_shape
    is_picture = len(shape) == 3
    count = min(SAMPLES, max(1, SAMPLE_BYTES // (int(np.prod(shape)) * (1 if is_picture else 4))))
    picked = np.lexsort((split.labels, turn))[:count]
    rule = trained.preprocessing
    levels = rule.stack(split.some(picked)) * (255 / rule.white)
    stored = np.rint(np.clip(levels, 0, 255)).astype(np.uint8) if is_picture else levels
    content = stored.astype(np.uint8 if is_picture else "<f4").tobytes()
    return {
        "labels": split.labels[picked].tolist(),
        "levels": base64.b64encode(content).decode("ascii"),
    }
