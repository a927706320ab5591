"""`python -m tests.bench recipes [NAME...] [--seeds N]`: what recipes reach, for README's table.

The epoch is chosen on validation, the test samples are read once, and the figures are mean and
deviation over the seeds: test accuracy, seconds of training, parameters. Nothing is tuned here.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_HALF = (
    "input 28x28x1, repeat 2 (conv 12 3 nobias, bn, relu), maxpool 2, "
    "repeat 2 (conv 24 3 nobias, bn, relu), maxpool 2, conv 48 3 nobias, bn, relu, gap, "
    "dense 10 softmax"
)
"""The network of `accurate` at half its width, which made digits suffice for."""
RUNS = {
    "fast": ["--recipe", "fast", "--data", "mnist"],
    "default": ["--recipe", "default", "--data", "mnist"],
    "accurate": ["--recipe", "accurate", "--data", "mnist"],
    "tiny": ["--recipe", "tiny", "--data", "mnist"],
    "digits": [
        _HALF,
        *["--recipe", "accurate", "--epochs", "4", "--data", "digits", "--test-data", "mnist"],
    ],
    "fashion": ["--recipe", "accurate", "--data", "fashion"],
}
"""What is trained, by the name of its row."""


def main(arguments: list[str]) -> None:
    """Train each row with each seed in a process of its own, and print the table as Markdown."""
    seeds = 3
    if "--seeds" in arguments:
        at = arguments.index("--seeds")
        seeds = int(arguments[at + 1])
        arguments = arguments[:at] + arguments[at + 2 :]
    print("| Recipe | parameters | test accuracy | deviation | s of training | seeds |")
    print("|:---|---:|---:|---:|---:|---:|")
    for name in arguments or list(RUNS):
        found = [_trained(RUNS[name], seed) for seed in range(seeds)]
        reached = [100 * one["test_accuracy"] for one in found]
        spread = f"{statistics.stdev(reached):.2f}" if seeds > 1 else "-"
        seconds = statistics.fmean(one["train_seconds"] for one in found)
        row = [name, f"{found[0]['params']:,}", f"{statistics.fmean(reached):.2f} %", spread]
        print("|", " | ".join([*row, f"{seconds:.1f}", str(seeds)]), "|", flush=True)


def _trained(words: list[str], seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "convcli", "train", *words, "--seed", str(seed)]
        told = subprocess.run(
            [*command, "-o", str(Path(folder) / "run"), "--quiet", "--format", "json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, float] = json.loads(told.stdout)
        return found
