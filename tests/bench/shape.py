"""ResNet-50 on paper, whole processes: convcli against torchinfo and Keras.

torchinfo reads the PyTorch module that convcli writes for the same network, so that both count the
same layers; Keras builds its own ResNet50 without weights.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

RUNS = 7

CONVCLI = {
    "python, nothing else": ["-c", "pass"],
    "python with typer": ["-c", "import typer"],
    "convcli --version": ["-m", "convcli", "--version"],
    "convcli shape resnet50, json": ["-m", "convcli", "shape", "resnet50", "--format", "json"],
    "convcli shape resnet50, table": ["-m", "convcli", "shape", "resnet50", "--format", "table"],
    "convcli shape resnet152, json": ["-m", "convcli", "shape", "resnet152", "--format", "json"],
    "convcli presets": ["-m", "convcli", "presets"],
}
REFERENCE = "convcli shape resnet50, table"

TORCHINFO = """
import sys
sys.path.insert(0, {folder!r})
from resnet50 import Network
from torchinfo import summary
print(summary(Network(), (1, 3, 224, 224)))
"""

KERAS = """
import keras
keras.applications.ResNet50(weights=None).summary()
"""


def main(arguments: Sequence[str]) -> None:
    """Print the medians of whole processes, each in seconds and as a multiple of ours."""
    commands = dict(CONVCLI)
    with tempfile.TemporaryDirectory() as folder:
        if _has("torch", "torchinfo", "numpy"):
            _write_module(Path(folder))
            commands["torchinfo"] = ["-c", TORCHINFO.format(folder=folder)]
        if _has("keras", "torch"):
            commands["Keras (PyTorch back end)"] = ["-c", KERAS]
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for run in range(RUNS):
            for name, command in commands.items():
                if name in CONVCLI or run < 3:
                    seconds[name].append(_timed(command))
    ours = median(seconds[REFERENCE])
    for name, times in seconds.items():
        ratio = median(times) / ours
        print(f"{name:32} {median(times):8.3f} s   {ratio:7.2f} x   ({len(times)} runs)")


def _has(*packages: str) -> bool:
    """Tell whether all packages are there; say which one is not."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        print(f"Skipped: a peer needs {' and '.join(missing)}; pip install 'convcli[bench]'.")
    return not missing


def _write_module(folder: Path) -> None:
    """Write ResNet-50 as a PyTorch module into `folder`."""
    import numpy as np

    from convcli.exchange.torch_write import torch_module
    from convcli.net import network

    trace = network("resnet50").trace()
    arrays = {
        f"{step.name}.{name}": np.zeros(shape, np.float32)
        for step in trace.steps
        for name, shape in (*step.weights.items(), *step.buffer_shapes.items())
    }
    (folder / "resnet50.py").write_text(torch_module(trace, arrays).source, encoding="utf-8")


def _timed(words: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main(sys.argv[1:])
