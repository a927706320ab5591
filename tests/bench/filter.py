"""Filters against OpenCV, scipy, scikit-image and PyTorch, as ratios of paired runs.

    python -m tests.bench filter                        # all of it
    python -m tests.bench filter --threads 1 --dtype uint8 --jobs box,sobel
    python -m tests.bench filter --process              # whole processes instead

Every row runs ours and one peer in turn, on the same picture, the border included, both into arrays
that exist already. Times are medians, the ratio is the median of the pairs' ratios, because both of
a pair meet the same disturbance; over 1 means that ours is faster. A transform's products are
counted as if every tap were added.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from convcli.engine.filter import apply
from convcli.report import FORMATS, Column, Report, render
from tests.bench._machine import THREADS, clock, machine

SIDE = 4096
SIZES = (2, 3, 4, 5, 7, 9, 11, 13, 15, 21, 31, 41, 51)
DTYPES = ("uint8", "uint16", "float32")
SOBEL = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
LAPLACE = np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
SLOW_PEERS = 9
"""scipy and PyTorch run dense kernels up to this size only: beyond it takes minutes."""

PAUSE = 0.004
"""Seconds before each run: OpenCV's threads go on spinning for a while after their work."""


class Job(NamedTuple):
    """One line of the table: what is filtered, our call, the peer's name and call."""

    name: str
    dtype: str
    ours: Callable[[], Any]
    peer: str
    theirs: Callable[[], Any]


def has(package: str) -> bool:
    """Return whether a peer is installed; say so when it is not."""
    present = importlib.util.find_spec(package) is not None
    if not present:
        print(f"{package} is not installed: its rows are left out.", file=sys.stderr)
    return present


def picture(dtype: str, channels: int = 1) -> np.ndarray:
    shape = (SIDE, SIDE, channels) if channels > 1 else (SIDE, SIDE)
    values = np.random.default_rng(1).random(shape, dtype=np.float32)
    return (values * {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]).astype(dtype)


def opencv_jobs(dtype: str, sizes: Sequence[int], threads: int) -> Iterator[Job]:
    """Yield the comparisons with OpenCV, kind by kind."""
    import cv2

    cv2.setNumThreads(threads)
    image, border = picture(dtype), cv2.BORDER_REFLECT_101
    out, output = np.empty_like(image), np.empty_like(image)
    deep = cv2.CV_16S if dtype == "uint8" else cv2.CV_32F
    draw = np.random.default_rng(2)

    def ours(kernel: Any, **settings: Any) -> Callable[[], Any]:
        return lambda: apply(
            image, kernel, border="mirror", threads=threads, out=out, engine="numba", **settings
        )

    def job(name: str, call: Callable[[], Any], theirs: Callable[..., Any], **options: Any) -> Job:
        return Job(name, dtype, call, "OpenCV", lambda: theirs(**options))

    for size in sizes:
        kernel = draw.normal(size=(size, size)).astype(np.float32)
        yield job(
            f"dense {size}", ours(kernel), cv2.filter2D,
            src=image, ddepth=-1, kernel=kernel, dst=output, borderType=border,
        )  # fmt: skip
    for size in (size for size in sizes if size % 2):
        sigma = {7: 1.5}.get(size, size / 6)
        column = cv2.getGaussianKernel(size, sigma)
        yield job(
            f"gaussian {size}", ours(column @ column.T), cv2.GaussianBlur,
            src=image, ksize=(size, size), sigmaX=sigma, dst=output, borderType=border,
        )  # fmt: skip
        yield job(
            f"separable {size}", ours(column @ column.T), cv2.sepFilter2D,
            src=image, ddepth=-1, kernelX=column, kernelY=column, dst=output, borderType=border,
        )  # fmt: skip
    for size in sizes:
        yield job(
            f"box {size}", ours(np.ones((size, size)), divisor=size * size), cv2.blur,
            src=image, ksize=(size, size), dst=output, borderType=border,
        )  # fmt: skip
    yield job("sobel-x", ours(SOBEL, mapping="abs"), cv2.Sobel, src=image, ddepth=deep, dx=1, dy=0)
    yield job("laplacian", ours(LAPLACE, mapping="abs"), cv2.Laplacian, src=image, ddepth=deep)
    yield job(
        "sobel magnitude",
        ours((SOBEL, SOBEL.T), norm="l2"),
        lambda: cv2.convertScaleAbs(
            cv2.magnitude(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1))
        ),
    )
    if dtype == "uint8":
        colors = picture(dtype, 3)
        kernel = draw.normal(size=(3, 3)).astype(np.float32)
        yield job(
            "RGB dense 3",
            lambda: apply(colors, kernel, border="mirror", threads=threads, engine="numba"),
            cv2.filter2D, src=colors, ddepth=-1, kernel=kernel, borderType=border,
        )  # fmt: skip


def other_jobs(dtype: str, sizes: Sequence[int], threads: int) -> Iterator[Job]:
    """Yield a few comparisons with scipy, scikit-image and PyTorch."""
    image = picture(dtype)

    def ours(kernel: Any, **settings: Any) -> Callable[[], Any]:
        return lambda: apply(image, kernel, threads=threads, engine="numba", **settings)

    for size in (size for size in sizes if size in {3, SLOW_PEERS}):
        kernel = np.random.default_rng(3).normal(size=(size, size)).astype(np.float32)
        if has("scipy"):
            from scipy import ndimage

            yield Job(
                f"dense {size}", dtype, ours(kernel), "scipy",
                lambda kernel=kernel: ndimage.correlate(image, kernel),
            )  # fmt: skip
        if dtype == "float32" and has("torch"):
            import torch

            torch.set_num_threads(threads)
            planes, weights = torch.from_numpy(image)[None, None], torch.from_numpy(kernel)
            yield Job(
                f"dense {size}", dtype, ours(kernel, border="constant"), "PyTorch",
                lambda planes=planes, weights=weights, size=size: torch.nn.functional.conv2d(
                    planes, weights[None, None], padding=size // 2
                ),
            )  # fmt: skip
    if has("skimage"):
        from skimage import filters

        yield Job(
            "sobel magnitude", dtype, ours((SOBEL, SOBEL.T), norm="l2"), "scikit-image",
            lambda: filters.sobel(image),
        )  # fmt: skip


def timed(call: Callable[[], Any], now: Callable[[], float]) -> float:
    time.sleep(PAUSE)
    start = now()
    call()
    return now() - start


def measured(job: Job, seconds: float, threads: int) -> tuple[Any, ...]:
    """Return the row of one job: pairs of runs for about `seconds`, at least three."""
    plan = job.ours().plan
    job.theirs()
    now = clock(threads)
    pairs = [(timed(job.ours, now), timed(job.theirs, now))]
    while len(pairs) < 3 or (sum(map(sum, pairs)) < seconds and len(pairs) < 15):
        pairs.append((timed(job.ours, now), timed(job.theirs, now)))
    ours, theirs = (median(side) * 1e3 for side in zip(*pairs, strict=True))
    ratio = median(their / our for our, their in pairs)
    speed = plan.multiply_adds / ours / 1e6
    return job.name, job.dtype, plan.path, ours, job.peer, theirs, ratio, speed


COLUMNS = (
    Column("job", "job"),
    Column("dtype", "numbers"),
    Column("path", "path"),
    Column("ours_ms", "ours, ms", "right"),
    Column("peer", "peer"),
    Column("peer_ms", "peer, ms", "right"),
    Column("ratio", "ratio", "right"),
    Column("speed", "G taps/s", "right"),
)


def in_process(arguments: Any) -> Report:
    rows = []
    for dtype in arguments.dtype.split(","):
        jobs: list[Iterator[Job]] = []
        if has("cv2"):
            jobs.append(opencv_jobs(dtype, arguments.sizes, arguments.threads))
        if not arguments.opencv_only:
            jobs.append(other_jobs(dtype, arguments.sizes, arguments.threads))
        for job in (job for kind in jobs for job in kind):
            if not arguments.jobs or any(word in job.name for word in arguments.jobs.split(",")):
                rows.append(measured(job, arguments.seconds, arguments.threads))
                print(f"{job.name} {job.dtype}: {rows[-1][-2]:.2f}", file=sys.stderr)
    lost = [f"{row[0]} {row[1]} ({row[6]:.2f} of {row[4]})" for row in rows if row[6] < 1]
    return Report(
        f"{SIDE} x {SIDE} pixels, {arguments.threads} thread(s), medians of paired runs",
        COLUMNS,
        tuple(rows),
        notes=(machine(), f"slower than a peer: {', '.join(lost) or 'none'}"),
    )


PEER_SCRIPT = """
import cv2, sys
image = cv2.imread(sys.argv[1], cv2.IMREAD_UNCHANGED)
x, y = cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)
cv2.imwrite(sys.argv[2], cv2.convertScaleAbs(cv2.magnitude(x, y)))
"""


def whole_processes(_arguments: Any) -> Report:
    """Time `convcli filter` and the same in a bare OpenCV script, from start to written file."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side, channels in ((512, 1), (4096, 3)):
            source, target = Path(folder, f"{side}.png"), Path(folder, "out.png")
            # in a process of its own: a child's peak memory counts its parent's before it starts
            scene = f"write_scene(Path({str(source)!r}), {side}, {channels})"
            subprocess.run(
                [
                    sys.executable,
                    "-c",
                    f"from tests.bench.filter import Path, write_scene; {scene}",
                ],
                check=True,
            )
            ours = [
                sys.executable, "-m", "convcli", "filter", str(source), "--kernel", "sobel",
                "-o", str(target), "--force", "--quiet",
            ]  # fmt: skip
            calls = {"convcli": ours}
            if has("cv2"):
                calls["OpenCV"] = [sys.executable, "-c", PEER_SCRIPT, str(source), str(target)]
            seconds: dict[str, list[float]] = {name: [] for name in calls}
            megabytes, sizes = {}, {}
            for _ in range(6):
                for name, call in calls.items():
                    spent, megabytes[name] = run_process(call)
                    seconds[name].append(spent)
                    sizes[name] = target.stat().st_size
            rows.extend(
                (f"sobel, {side}x{side}x{channels} PNG", name, median(seconds[name][1:]),
                 megabytes[name], sizes[name])
                for name in calls
            )  # fmt: skip
    columns = (
        Column("job", "whole process"),
        Column("program", "program"),
        Column("seconds", "seconds", "right"),
        Column("megabytes", "memory, MB", "right"),
        Column("bytes", "bytes of the file", "right"),
    )
    return Report("From start to written file", columns, tuple(rows), notes=(machine(),))


def write_scene(path: Path, side: int, channels: int) -> None:
    """Write a smooth scene with some noise, which packs about as well as a photograph."""
    from PIL import Image

    rows, columns = np.mgrid[:side, :side] / side
    draw = np.random.default_rng(5)
    planes = [
        128
        + 90 * np.sin(9 * rows * (1 + c)) * np.cos(7 * columns)
        + draw.normal(0, 2, (side, side))
        for c in range(channels)
    ]
    pixels = np.stack(planes, axis=2).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path, compress_level=1)


def run_process(call: Sequence[str]) -> tuple[float, float]:
    """Return seconds and megabytes of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(call)} failed")
    return seconds, usage.ru_maxrss / 1024


def main(arguments: Sequence[str]) -> None:
    """Print the table that the options ask for."""
    parser = argparse.ArgumentParser("python -m tests.bench filter", description=__doc__)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--dtype", default=",".join(DTYPES), help="comma between several")
    parser.add_argument(
        "--sizes", default=SIZES, type=lambda text: [int(n) for n in text.split(",")]
    )
    parser.add_argument("--jobs", default="", help="words of their names, comma between several")
    parser.add_argument("--seconds", type=float, default=1.0, help="about that long for each row")
    parser.add_argument("--opencv-only", action="store_true")
    parser.add_argument("--process", action="store_true", help="whole processes instead")
    parser.add_argument("--format", default="plain", choices=[*sorted(FORMATS)])
    chosen = parser.parse_args(arguments)
    report = whole_processes(chosen) if chosen.process else in_process(chosen)
    print(render(report, chosen.format))
