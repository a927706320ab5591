"""Every command on a model of every task: it works, or says in a sentence why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run

random = np.random.default_rng(0)
PICTURES = random.integers(0, 255, (60, 8, 8, 1), dtype=np.uint8)
MAP = "input 8x8x1, conv 3 3 relu, flatten, "
TASKS = {
    "labels": (MAP + "dense 3 sigmoid", {"x": PICTURES, "y": random.integers(0, 2, (60, 3))}),
    "values": (MAP + "dense 2", {"x": PICTURES, "y": random.normal(size=(60, 2))}),
    "one output": (MAP + "dense 1 sigmoid", {"x": PICTURES, "y": np.arange(60) % 2}),
    "mask": (
        "input 8x8x1, conv 3 3 same relu, conv 3 1 softmax",
        {"x": PICTURES, "y": PICTURES[..., 0] // 86},
    ),
    "forecast": ("input 32x1, flatten, dense 4", "waves"),
    "volume": ("input 16x16x16x1, conv 2 3 relu, gap, dense 3 softmax", "volumes"),
}
COMMANDS = {
    "evaluate": "evaluate RUN",
    "predict": "predict RUN SAMPLE",
    "report": "report RUN",
    "page": "page RUN -o FILE.html",
    "onnx": "export RUN -o FILE.onnx",
    "torch": "export RUN -o FILE.py",
    "features": "features RUN DATA -o FILE.npz",
    "filters": "show filters RUN -o FILE.png",
    "activations": "show activations RUN SAMPLE -o FILE.png",
    "saliency": "show saliency RUN SAMPLE -o FILE.png",
    "maximize": "show maximize RUN --steps 2 -o FILE.png",
    "occlusion": "show occlusion RUN SAMPLE -o FILE.png",
    "cam": "show cam RUN SAMPLE -o FILE.png",
    "confusion": "show confusion RUN -o FILE.png",
    "errors": "show errors RUN --limit 3 -o FILE.png",
    "curves": "show curves RUN -o FILE.png",
}
NOT_FOR = {
    "labels": {"page", "confusion"},
    "values": {"page", "confusion"},
    "mask": {"page"},
    "forecast": {"page", "confusion", "occlusion", "cam"},
    "volume": {"page", "saliency", "occlusion", "cam"},
    "one output": set(),
}


@pytest.mark.parametrize("task", TASKS)
def test_every_command_knows_every_task(
    task: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network, data = TASKS[task]
    if not isinstance(data, str):
        np.savez(tmp_path / "data.npz", **data)
        sample, source = data["x"][0], str(tmp_path / "data.npz")
    else:
        shape = (32, 1) if data == "waves" else (16, 16, 16, 1)
        sample, source = random.integers(0, 255, shape, dtype=np.uint8), data
    np.save(tmp_path / "sample.npy", sample)
    words = ["--data", source, "--samples", "40", "--epochs", "1", "--quiet"]
    assert run(["train", network, *words, "-o", str(tmp_path / "run")]) == 0
    capfd.readouterr()
    refused = set()
    names = {"RUN": "run", "SAMPLE": "sample.npy", "DATA": source}
    for name, command in COMMANDS.items():
        told = [str(tmp_path / names.get(word, word.replace("FILE", name)))
                if word in names or word.startswith("FILE") else word
                for word in command.split()]  # fmt: skip
        if name == "features":
            told[2] = source
        code = run([*told, "--quiet"])
        said = capfd.readouterr().err
        if name == "onnx" and "the package onnx, which is not installed" in said:
            continue
        assert code in {0, 3}, (name, said)
        if code == 3:
            refused.add(name)
            assert said.startswith("error: ")
            assert said.rstrip().endswith((".", "RUN", str(tmp_path / "run")))
    assert refused <= NOT_FOR[task] | ({"saliency", "errors"} & NOT_FOR[task])
    assert refused == NOT_FOR[task] or task == "one output"


def test_a_mask_and_a_forecast_are_drawn_beside_the_truth(tmp_path: Path) -> None:
    for name, network, data in (
        ("mask", "input 32x32x1, conv 3 3 same softmax", "shapes"),
        ("forecast", "input 32x1, flatten, dense 4", "waves"),
    ):
        place, out = str(tmp_path / name), tmp_path / f"{name}.png"
        words = ["--data", data, "--samples", "20", "--epochs", "1", "--quiet", "-o", place]
        assert run(["train", network, *words]) == 0
        assert run(["show", "errors", place, "--limit", "2", "-o", str(out), "--quiet"]) == 0
        colors = {tuple(one) for one in np.asarray(Image.open(out).convert("RGB")).reshape(-1, 3)}
        assert len(colors) > 4
        assert any(max(one) - min(one) > 40 for one in colors)  # no mere grays


def test_a_network_is_proposed_that_the_task_can_use(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "unet", "--data", "shapes", "--samples", "20",
                "-o", str(tmp_path / "run")]) == 3  # fmt: skip
    said = " ".join(capfd.readouterr().err.split())
    assert "such as: 'input 32x32x1, conv 16 3 same relu, conv 3 1 softmax'" in said
    proposed = said.rpartition("such as: '")[2].rstrip("'")
    words = ["--data", "shapes", "--samples", "20", "--epochs", "1", "--quiet"]
    assert run(["train", proposed, *words, "-o", str(tmp_path / "run")]) == 0
