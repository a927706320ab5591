"""This checkout against another one, as ratios of paired runs: what became slower?

    python -m tests.bench regress HEAD~5                        # or the folder of a checkout
    python -m tests.bench regress main --jobs gaussian,mean --threads 2
    python -m tests.bench regress main --first                  # first uses: everything compiles

Every job runs in turn in two processes, one for each checkout. A ratio over 1 means that this one
is faster. There are two, of the least times and the median of the pairs', because other work on the
machine spoils one or the other; a job counts as slower when both say so, and then the bench fails.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from convcli.report import FORMATS, Column, Report, render
from tests.bench._machine import machine
from tests.bench._regress_worker import JOBS

HERE = Path(__file__).parent
WORKER = HERE / "_regress_worker.py"
SLOWER = 0.95
FIRST_USES = "dense 3 uint8", "sobel-x uint8", "gaussian 7 uint8", "dense 15 uint8", "train mnist"

COLUMNS = (
    Column("job", "job"),
    Column("before_ms", "before, ms", "right"),
    Column("after_ms", "after, ms", "right"),
    Column("ratio", "ratio of least", "right"),
    Column("median_ratio", "median ratio", "right"),
)


@contextmanager
def checkout(other: str) -> Iterator[Path]:
    """Yield the folder of another checkout, or of a revision, which is unpacked for the moment."""
    if Path(other, "convcli").is_dir():
        yield Path(other).absolute()
        return
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder, "revision.tar")
        subprocess.run(["git", "archive", "-o", packed, other], cwd=HERE, check=True)
        subprocess.run(["tar", "-x", "-f", packed, "-C", folder], check=True)
        yield Path(folder)


def start(folder: Path, threads: int, *jobs: str, **settings: str | Path) -> subprocess.Popen[str]:
    """Start the worker on a checkout."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    environment |= {name: str(value) for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, WORKER, str(threads), *jobs],
        env=environment, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def pairs_of(job: str, workers: Sequence[subprocess.Popen[str]], seconds: float) -> list[Pair]:
    """Return seconds of both for about `seconds`, at least seven times; the first do not count."""
    pairs: list[Pair] = []
    began = time.monotonic()
    while len(pairs) < 8 or time.monotonic() - began < seconds:
        pair = {}
        for worker in workers[:: (-1) ** len(pairs)]:  # who comes first changes
            print(job, file=worker.stdin, flush=True)
            pair[worker] = answer(worker, job)
        pairs.append((pair[workers[0]], pair[workers[1]]))
    return pairs[1:]


def first_uses(job: str, folders: Sequence[Path], threads: int) -> list[Pair]:
    """Return the processor's seconds of the first use, cache empty, import and all, four times."""
    pairs: list[Pair] = []
    for turn in range(4):
        pair = {}
        for folder in folders[:: (-1) ** turn]:
            with tempfile.TemporaryDirectory() as cache:
                pair[folder] = answer(start(folder, threads, job, CONVCLI_CACHE=cache), job)
        pairs.append((pair[folders[0]], pair[folders[1]]))
    return pairs


Pair = tuple[float, float]


def answer(worker: subprocess.Popen[str], job: str) -> float:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"a checkout cannot run {job!r}")
    return float(line)


def row_of(job: str, pairs: Sequence[Pair]) -> tuple[str, float, float, float, float]:
    before, after = (min(side) * 1e3 for side in zip(*pairs, strict=True))
    middle = median(one / other for one, other in pairs)
    print(f"{job}: {before / after:.2f} {middle:.2f}", file=sys.stderr)
    return job, before, after, before / after, middle


def main(arguments: Sequence[str]) -> None:
    """Print the table that the options ask for; exit 5 if something became slower."""
    parser = argparse.ArgumentParser("python -m tests.bench regress", description=__doc__)
    parser.add_argument("other", nargs="?", default="HEAD", help="a folder or a revision")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", default="", help="words of their names, comma between several")
    parser.add_argument("--seconds", type=float, default=1.0, help="about that long for each job")
    parser.add_argument("--first", action="store_true", help="first uses, compilation included")
    parser.add_argument("--format", default="plain", choices=[*sorted(FORMATS)])
    chosen = parser.parse_args(arguments)
    words, known = chosen.jobs.split(","), FIRST_USES if chosen.first else JOBS
    jobs = [job for job in known if any(word in job for word in words)]
    with checkout(chosen.other) as other:
        folders = (other, HERE.parent.parent)
        if chosen.first:
            rows = [row_of(job, first_uses(job, folders, chosen.threads)) for job in jobs]
        else:
            workers = [start(folder, chosen.threads) for folder in folders]
            rows = [row_of(job, pairs_of(job, workers, chosen.seconds)) for job in jobs]
            for worker in workers:
                worker.communicate()
    slower = [job for job, *_, ratio, middle in rows if max(ratio, middle) < SLOWER]
    title = f"{chosen.other} before, this after, {chosen.threads} thread(s)"
    notes = (machine(), f"slower: {', '.join(slower) or 'none'}")
    print(render(Report(title, COLUMNS, tuple(rows), notes=notes), chosen.format))
    if slower:
        raise SystemExit(5)
