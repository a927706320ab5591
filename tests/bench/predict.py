"""Prediction against onnxruntime and PyTorch: float32, medians of turns.

`python -m tests.bench predict [SECONDS]`: milliseconds for one sample and for a batch, and how many
times as fast as the better of the two. Outputs are compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from convcli.learn.model import Model
from convcli.net import network
from tests.bench._machine import THREADS, machine
from tests.bench._peers import channels_first, in_onnxruntime, in_torch
from tests.bench.train import measure

ROWS = (
    ("mnist", 1), ("mnist", 128), ("resnet18", 1), ("resnet18", 8), ("mobilenet-v1", 1),
    ("mobilenet-v1", 8), ("mobilenet-v2", 1), ("mobilenet-v2", 8), ("squeezenet", 1),
    ("squeezenet", 8),
)  # fmt: skip
TOLERANCE = 1e-4


def runs_of(model: Model, samples: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """Return the same prediction here and by the peers that are installed."""
    runs: dict[str, Callable[[], np.ndarray]] = {
        "convcli": lambda: model.predict(samples, threads=THREADS)
    }
    try:
        session = in_onnxruntime(model, THREADS)
        runs["onnxruntime"] = lambda: session(samples)
    except ImportError:
        print("onnxruntime is not installed.")
    try:
        import torch

        torch.set_num_threads(THREADS)
        module, tensor = in_torch(model).eval(), channels_first(samples)

        def theirs() -> np.ndarray:
            with torch.inference_mode():
                return np.asarray(module(tensor).numpy())

        runs["PyTorch"] = theirs
    except ImportError:
        print("PyTorch is not installed.")
    return runs


def main(arguments: list[str]) -> None:
    """Run the comparison; the argument is seconds for each line."""
    seconds = float(arguments[0]) if arguments else 3.0
    print(machine())
    print(f"{'milliseconds':24}{'convcli':>12}{'onnxruntime':>13}{'PyTorch':>11}   times as fast")
    random = np.random.default_rng(0)
    for name, count in ROWS:
        model = Model.initialize(network(name), 0)
        samples = random.random((count, *model.network.input_shape), np.float32)
        runs = runs_of(model, samples)
        ours = runs["convcli"]()
        for peer, run in runs.items():
            np.testing.assert_allclose(run(), ours, atol=TOLERANCE, err_msg=f"{name}: {peer}")
        taken = measure(runs, seconds)
        peers = [taken.get(peer, float("nan")) for peer in ("onnxruntime", "PyTorch")]
        print(
            f"{f'{name}, {count}':24}{1e3 * taken['convcli']:12.3f}{1e3 * peers[0]:13.3f}"
            f"{1e3 * peers[1]:11.3f}{min(peers) / taken['convcli']:16.2f}",
            flush=True,
        )
