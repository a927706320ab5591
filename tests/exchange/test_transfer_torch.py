"""A network trained in PyTorch on five digits, moved to twenty pictures each of the other five."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convcli
from convcli.cli.main import run
from convcli.errors import ConvcliError

torch = pytest.importorskip("torch", reason="PyTorch is the other program; extra [bench]")
pytest.importorskip("onnx", reason="ONNX files; extra [onnx]")

nn = torch.nn


class Block(nn.Module):  # type: ignore[misc]  # PyTorch carries no types here
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs))
        self.down = nn.Conv2d(inputs, outputs, 1, 2)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.down(x))


def channels_first(pictures: Any) -> Any:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pictures, -1, 1))).float() / 255


def learned(module: Any, samples: Any, labels: Any, lr: float, epochs: int) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr)
    for _ in range(epochs):
        for part in torch.randperm(len(samples)).split(20):
            loss = nn.functional.cross_entropy(module(samples[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


@pytest.mark.slow
def test_a_frozen_body_serves_other_classes_as_well_as_in_torch(tmp_path: Path) -> None:
    try:
        data = convcli.load_dataset("mnist")
    except ConvcliError:
        pytest.skip("MNIST is not on this machine")
    pictures, labels = data.train.samples.reshape(-1, 28, 28, 1), data.train.labels.astype(int)
    low = np.concatenate([np.flatnonzero(labels == digit)[:200] for digit in range(5)])
    high = np.concatenate([np.flatnonzero(labels == digit)[:20] for digit in range(5, 10)])
    asked = np.flatnonzero(data.test.labels >= 5)[:1500]
    others, answers = data.test.samples.reshape(-1, 28, 28, 1)[asked], data.test.labels[asked] - 5
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(), Block(8, 16), Block(16, 32),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten())  # fmt: skip
    whole = nn.Sequential(body, nn.Linear(32, 5))
    learned(whole, channels_first(pictures[low]), torch.tensor(labels[low]), 3e-3, 3)
    whole.eval()
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the other program's own
        torch.onnx.export(whole, (torch.zeros(1, 1, 28, 28),), path, dynamo=False)
    few = tmp_path / "few.npz"
    np.savez(few, x_train=pictures[high], y_train=labels[high] - 5, x_test=others,
             y_test=answers.astype(int))  # fmt: skip
    with torch.no_grad():
        rows, far = body(channels_first(pictures[high])), body(channels_first(others))
    refs, got = [], []
    for seed in range(2):
        torch.manual_seed(seed)
        head = nn.Linear(32, 5)
        learned(head, rows, torch.tensor(labels[high] - 5), 1e-2, 60)
        refs.append((head(far).argmax(1).numpy() == answers).mean())
        words = ["train", "--init", str(path), "--head", "5", "--data", str(few), "--val", "0"]
        words += ["--freeze", "layer0*", "--epochs", "60", "--batch", "20"]
        words += ["--lr", "1e-2", "--optimizer", "adam", "--schedule", "constant", "--quiet"]
        out = tmp_path / f"run{seed}"
        assert run([*words, "--augment", "none", "--seed", str(seed), "-o", str(out)]) == 0
        got.append(convcli.load(out).metrics["test_accuracy"])
    assert abs(np.mean(got) - np.mean(refs)) < 0.01
    assert np.mean(refs) > 0.6, "the comparison tells nothing"
    assert run(["import", str(path), "--scale", "1/255", "-o", str(tmp_path / "m.safetensors"),
                "--quiet"]) == 0  # fmt: skip
    assert run(["features", str(tmp_path / "m.safetensors"), str(few), "-o",
                str(tmp_path / "f.npz"), "--quiet"]) == 0  # fmt: skip
    with np.load(tmp_path / "f.npz") as found:
        features = found["x_train"] if "x_train" in found else found["x"]
    np.testing.assert_allclose(np.sort(features, 0), np.sort(rows.numpy(), 0), atol=1e-4)
