"""Runs single jobs of one checkout on request; started by `tests.bench.regress`, once in each.

It uses only calls that older checkouts have, too. A line on stdin names a job, the answer is its
seconds: with one thread the processor's, which others on the machine disturb less. With a job as
argument it runs that once, and the answer is the processor's time for all that the process did.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

SIDE = 2048


def gaussian(size: int) -> Any:
    place = np.arange(size) - size // 2
    line = np.exp(-(place**2) / (2 * max(size / 6, 0.5) ** 2))
    return np.outer(line, line) / line.sum() ** 2


def dense(size: int) -> Any:
    return np.random.default_rng(2).normal(size=(size, size)) / size**2


SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
FILTERS: dict[str, tuple[Any, dict[str, Any]]] = {
    **{f"dense {size}": (dense(size), {}) for size in (3, 5, 7, 15, 31)},
    **{f"gaussian {size}": (gaussian(size), {}) for size in (3, 5, 7, 9, 25, 41)},
    **{f"mean {size}": (np.ones((size, size)), {"divisor": size**2}) for size in (3, 5, 7, 15, 51)},
    "binomial 3": (np.outer([1.0, 2, 1], [1, 2, 1]), {"divisor": 16}),
    "sobel-x": (SOBEL, {"mapping": "abs"}),
    "sobel magnitude": ((SOBEL, SOBEL.T), {"norm": "l2"}),
}
NETWORKS = {
    "mnist": "mnist",
    "norm": "input 28x28x1, conv 32 3 same relu, bn, conv 32 3 same relu, maxpool 2, flatten, "
    "dense 10 softmax",
}
DTYPES = "uint8", "uint16", "float32"
JOBS = (
    *(f"{kernel} {dtype}" for dtype in DTYPES for kernel in FILTERS),
    *(f"train {network}" for network in NETWORKS),
)


@cache
def call_of(job: str, threads: int) -> Callable[[], Any]:
    if job.startswith("train"):
        return training(NETWORKS[job.removeprefix("train ")], threads)
    from convcli.engine.filter import apply

    name, dtype = job.rsplit(" ", 1)
    kernel, settings = FILTERS[name]
    values = np.random.default_rng(1).random((SIDE, SIDE), dtype=np.float32)
    image = (values * {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]).astype(dtype)
    out = np.empty_like(image)
    return lambda: apply(image, kernel, threads=threads, out=out, engine="numba", **settings)


def training(network: str, threads: int) -> Callable[[], Any]:
    from convcli import fit
    from convcli.data import load_dataset

    data = load_dataset("digits", samples=3000)
    return lambda: list(fit(network, data, epochs=1, threads=threads))


def main() -> None:
    threads = int(sys.argv[1])
    for job in sys.argv[2:]:
        call_of(job, threads)()
        print(time.process_time(), flush=True)
        return
    clock = time.thread_time if threads == 1 else time.perf_counter
    for line in sys.stdin:
        call = call_of(line.strip(), threads)
        start = clock()
        call()
        print(clock() - start, flush=True)


if __name__ == "__main__":
    main()
