"""Training against PyTorch (channels_last, fused Adam): batches in memory, medians.

`python -m tests.bench train [SECONDS]`: for each network and each layer alone, the time of one
batch (loss, gradient and, for networks, an Adam step) here and there, in turn, and their ratio.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import numpy as np

from convcli.engine.optimize import adam
from convcli.learn.model import Model
from convcli.learn.trainer import Loss, Trainer
from convcli.net import network, parse_notation
from tests.bench._machine import THREADS, clock, machine

BATCH = 128
ROUNDS = 3
RPS = (
    "input 32x32x3, conv 16 3 same relu, maxpool 2, conv 32 3 same relu, maxpool 2, "
    "conv 64 3 same relu, maxpool 2, avgpool 2, flatten, dense 128 relu, dropout 0.5, "
    "dense 3 softmax"
)
VGG = (
    "input 32x32x3, conv 64 3 same relu, conv 64 3 same relu, maxpool 2, conv 128 3 same relu, "
    "conv 128 3 same relu, maxpool 2, flatten, dense 10 softmax"
)
NORMED = "conv {0} 3 p1 nobias, bn, relu, "
VGG_NORM = (
    "input 32x32x3, " + NORMED.format(64) * 2 + "maxpool 2, " + NORMED.format(128) * 2
    + "maxpool 2, " + NORMED.format(256) * 2 + "gap, dense 10 softmax"
)  # fmt: skip
INNER = "conv {0} 3 p1 nobias, bn, relu, conv {0} 3 p1 nobias, bn"
SMALLER = "conv {0} 3 s2 p1 nobias, bn, relu, conv {0} 3 p1 nobias, bn | conv {0} 1 s2 nobias, bn"
RESNET = (
    f"input 32x32x3, {NORMED.format(32)}residual({INNER.format(32)}), relu, "
    f"residual({INNER.format(32)}), relu, residual({SMALLER.format(64)}), relu, "
    f"residual({INNER.format(64)}), relu, residual({SMALLER.format(128)}), relu, "
    f"residual({INNER.format(128)}), relu, gap, dense 10 softmax"
)
SEPARABLE = "dwconv 3 {1} p1 nobias, bn, relu6, conv {0} 1 nobias, bn, relu6, "
MOBILE = (
    "input 32x32x3, " + NORMED.format(32)
    + "".join(SEPARABLE.format(*each) for each in
              ((64, "s1"), (128, "s2"), (128, "s1"), (256, "s2"), (256, "s1")))
    + "gap, dense 10 softmax"
)  # fmt: skip
SERIES = (
    "input 128x9, conv 64 3 relu, conv 64 3 relu, dropout 0.5, maxpool 2, flatten, dense 100 relu, "
    "dense 6 softmax"
)
NETWORKS = {
    "mnist": network("mnist"),
    "lenet5": network("lenet5"),
    "rps n=16": parse_notation(RPS),
    "vgg-like 32x32x3": parse_notation(VGG),
    "vgg with bn 32x32x3": parse_notation(VGG_NORM),
    "resnet-14 32-64-128": parse_notation(RESNET),
    "mobilenet-like 32x32x3": parse_notation(MOBILE),
    "series 128x9": parse_notation(SERIES),
}
LAYERS = [
    "input 28x28x1, conv 16 3 relu", "input 13x13x16, conv 32 3 relu", "input 26x26x16, maxpool 2",
    "input 800, dense 32 relu", "input 32x32x1, conv 6 5 tanh", "input 28x28x6, avgpool 2",
    "input 14x14x6, conv 16 5 tanh", "input 5x5x16, conv 120 5 tanh",
    "input 32x32x3, conv 16 3 same relu", "input 16x16x16, conv 32 3 same relu",
    "input 32x32x64, conv 64 3 same relu", "input 16x16x64, conv 128 3 same relu",
    "input 16x16x128, conv 128 3 same relu", "input 32x32x64, maxpool 2",
    "input 128x9, conv 64 3 relu", "input 126x64, conv 64 3 relu", "input 124x64, maxpool 2",
    "input 4000, dense 100 relu", "input 16x16x32, bn", "input 16x16x32, dwconv 3 p1",
    "input 16x16x32, gap", "input 28x28x6, tanh", "input 1000, dropout 0.5", "input 128x9, lstm 64",
]  # fmt: skip


def measure(runs: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Return the median seconds of each run.

    They take turns in blocks: the peer's threads spin for a while after their work, which would
    slow whoever comes next, so each block begins with a pause and a run that does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    now = clock(THREADS)
    for name, run in list(runs.items()) * ROUNDS:
        time.sleep(0.25)
        run()
        end = time.perf_counter() + seconds / ROUNDS
        while True:
            start = now()
            run()
            times[name].append(now() - start)
            if time.perf_counter() > end:
                break
    return {name: median(taken) for name, taken in times.items()}


def ours(model: Model, loss: Loss, x: np.ndarray, target: np.ndarray, step: bool) -> Callable:
    trainer = Trainer(model, loss, batch=len(x), threads=THREADS, through_input=not step)
    mean, square = np.zeros_like(model.flat), np.zeros_like(model.flat)
    number = np.float32

    def run() -> None:
        _, _, gradient = trainer.gradients(x, target)
        if step:
            adam(
                model.flat, gradient, mean, square, number(1e-3), number(0.9), number(0.999),
                number(1e-8), 1, number(0), False, number(1),
            )  # fmt: skip

    return run


def theirs(model: Model, loss: Loss, x: np.ndarray, target: np.ndarray, step: bool) -> Callable:
    import torch

    from tests.bench._peers import channels_first, in_torch

    torch.set_num_threads(THREADS)
    peer = in_torch(model, logits=step).train()
    samples, wanted = channels_first(x), torch.from_numpy(target)
    if loss.name == "mse":
        wanted = channels_first(target) if target.ndim > 2 else wanted
    judge = torch.nn.CrossEntropyLoss() if step else torch.nn.MSELoss()
    optimizer = torch.optim.Adam(peer.parameters(), 1e-3, fused=True) if step else None
    samples.requires_grad_(not step)

    def run() -> None:
        peer.zero_grad()
        samples.grad = None
        judge(peer(samples), wanted).backward()
        if optimizer:
            optimizer.step()

    return run


SIDES = {"convcli": ours, "PyTorch": theirs}


def compare_networks(seconds: float) -> None:
    print(f"{'network':24}{'convcli':>12}{'PyTorch':>12}   ratio   (milliseconds a batch of 128)")
    random = np.random.default_rng(0)
    for name, value in NETWORKS.items():
        model = Model.initialize(value, 0)
        x = random.random((BATCH, *value.input_shape), np.float32)
        labels = random.integers(0, model.trace.output_shape[-1], BATCH)
        loss = Loss()
        _report(name, model, loss, x, labels, seconds, step=True)


def compare_layers(seconds: float) -> None:
    """One layer alone, forward and backward, the gradient of its input included on both sides."""
    print(f"\n{'layer alone':42}{'convcli':>12}{'PyTorch':>12}   ratio")
    random = np.random.default_rng(0)
    for notation in LAYERS:
        model = Model.initialize(parse_notation(notation), 0)
        x = random.random((BATCH, *model.network.input_shape), np.float32)
        target = random.random((BATCH, *model.trace.output_shape), np.float32)
        _report(notation, model, Loss("mse"), x, target, seconds, step=False)


def _report(
    name: str, model: Model, loss: Loss, x: np.ndarray, target: np.ndarray, seconds: float,
    *, step: bool,
) -> None:  # fmt: skip
    runs = {"ours": ours(model, loss, x, target, step)}
    try:
        runs["theirs"] = theirs(model, loss, x, target, step)
    except ImportError:
        print(f"{name}: PyTorch is not installed, no ratio.")
    taken = measure(runs, seconds)
    peer = taken.get("theirs", float("nan"))
    print(
        f"{name:42}{1e3 * taken['ours']:12.3f}{1e3 * peer:12.3f}{peer / taken['ours']:8.2f}",
        flush=True,
    )


def main(arguments: list[str]) -> None:
    """Run the comparison; the argument is seconds for each line."""
    seconds = float(arguments[0]) if arguments else 2.0
    print(machine())
    compare_tile()
    compare_networks(seconds)
    compare_layers(seconds / 2)
    compare_memory()


def compare_memory() -> None:
    """The most memory of a process that trains ResNet-18 on 32x32x3 with Adam."""
    for side in SIDES:
        words = [sys.executable, "-m", "tests.bench.train", "peak", side]
        peak = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        print(f"resnet18 32x32x3, megabytes of a process, {side}: {peak.strip() or 'no peer'}")


def print_peak(side: str) -> None:
    """Train two batches and print how many megabytes this process has held."""
    model = Model.initialize(replace(network("resnet18"), input_shape=(32, 32, 3)), 0)
    random = np.random.default_rng(0)
    x = random.random((BATCH, 32, 32, 3), np.float32)
    run = SIDES[side](model, Loss(), x, random.integers(0, 1000, BATCH), True)
    run()
    run()
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def compare_tile() -> None:
    """The tile on 13x13x16 -> 11x11x32, 3x3, against the multiply-adds that one core can start."""
    from tests.bench._peak import peak_gflops, tile_gflops

    tiles, peaks = [], []
    for _ in range(7):
        tiles.append(tile_gflops())
        peaks.append(peak_gflops())
    tile, peak = median(tiles), median(peaks)
    print(f"tile {tile:.0f} GFLOP/s of {peak:.0f} measured peak on one core: {tile / peak:.0%}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        print_peak(sys.argv[2])
    else:
        main(sys.argv[1:])
