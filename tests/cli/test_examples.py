"""Every example of every `--help` runs as it stands, where its files are at hand."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from convcli.cli.main import program, run
from samples.series import activity_rows, write_table

EXAMPLE = re.compile(r"^ *(?:Example: )?((?:convcli|cat) .*)$", re.MULTILINE)
NEEDS = {".onnx": "onnx", ".keras": "h5py"}
"""What reads files whose names end so; not everybody has it."""


def examples() -> list[str]:
    """Return the lines of all epilogs that a reader would copy."""
    found: dict[str, None] = {}

    def walk(command: Any) -> None:
        found.update(dict.fromkeys(EXAMPLE.findall(command.epilog or "")))
        for child in getattr(command, "commands", {}).values():
            walk(child)

    walk(typer.main.get_command(program()))
    return list(found)


def blobs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 28x28 pictures of one bright square each, and which of ten places it is at."""
    random = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.uint8) % 10
    pictures = random.integers(0, 40, (count, 28, 28), dtype=np.uint8)
    for picture, label in zip(pictures, labels, strict=True):
        row, column = divmod(int(label), 4)
        picture[9 * row : 9 * row + 9, 7 * column : 7 * column + 7] += 200
    return pictures, labels


def write_idx(folder: Path) -> None:
    folder.mkdir(parents=True)
    for part, count in (("train", 200), ("t10k", 50)):
        pictures, labels = blobs(count)
        sizes = struct.pack(">3I", *pictures.shape)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            b"\0\0\x08\x03" + sizes + pictures.tobytes()
        )
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + sizes[:4] + labels.tobytes()
        )


def write_pictures(folder: Path) -> None:
    random = np.random.default_rng(1)
    for channel, name in enumerate(("bird", "cat", "dog")):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(8):
            picture = random.integers(0, 80, (32, 32, 3), dtype=np.uint8)
            picture[..., channel] += 120
            Image.fromarray(picture).save(folder / "photos" / name / f"{number}.png")
    photo = Image.fromarray(random.integers(0, 255, (160, 240, 3), dtype=np.uint8))
    photo.save(folder / "photo.jpg")
    photo.save(folder / "photo.png")
    digit = Image.fromarray(blobs(1)[0][0])
    digit.save(folder / "digit.png")
    digit.save(folder / "digit.jpg")
    digit.resize((120, 90)).save(folder / "page.png")


def write_texts(folder: Path) -> None:
    (folder / "matrix.csv").write_text("1,2,3,4\n5,6,7,8\n9,8,7,6\n5,4,3,2\n")
    (folder / "before.net").write_text("input 28x28x1\nconv 8 3 relu\nflatten\ndense 10 softmax\n")
    (folder / "after.net").write_text("input 28x28x1\nconv 8 5 relu\nflatten\ndense 10 softmax\n")
    write_table(folder / "activity.csv", activity_rows(people=3, seconds=6))
    shutil.copy(folder / "activity.csv", folder / "walks.csv")


def made(*words: str) -> None:
    assert run([*words, "--quiet"]) == 0, words


def write_runs() -> None:
    """Train in the working directory what the examples name."""
    made("train", "mnist", "--data", "mnist", "--epochs", "15", "-o", "runs/mnist", "--val", "0.1")
    made("train", "mnist", "--data", "fashion", "--epochs", "1", "-o", "runs/fashion")
    for name in ("digits", "first", "second"):
        shutil.copytree("runs/mnist", f"runs/{name}")
    made("train", "rps:n=2", "--data", "photos", "--epochs", "1", "-o", "runs/photos")
    made("train", "har", "--data", "walks.csv", "--epochs", "1", "-o", "runs/walks")
    made("sweep", "mnist", "lr=0.01,0.001", "--data", "mnist", "--epochs", "1", "-o", "runs/sweep")
    shutil.copy("runs/mnist/model.safetensors", "model.safetensors")
    made("convolutionalize", "runs/mnist", "-o", "fcn.safetensors")
    made("train", "lenet5-keras", "--data", "mnist", "--epochs", "1", "-o", "lenet")
    made("export", "lenet", "-o", "weights.npz")
    made("train", "input 28x28x1, gap, dense 2 softmax", "--data", "two.npz", "-o", "two")
    if importlib.util.find_spec("onnx"):
        made("export", "two", "-o", "net.onnx")
    if importlib.util.find_spec("h5py"):
        made("export", "two", "-o", "net.keras")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds every file which an example names."""
    folder = tmp_path_factory.mktemp("examples")
    write_idx(folder / "data" / "mnist")
    shutil.copytree(folder / "data" / "mnist", folder / "data" / "fashion")
    write_pictures(folder)
    write_texts(folder)
    pictures, labels = blobs(40)
    np.savez(folder / "two.npz", x=pictures, y=labels % 2)
    (folder / "bin").mkdir()
    door = folder / "bin" / "convcli"
    door.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convcli "$@"\n')
    door.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CONVCLI_DATA", str(folder / "data"))
        write_runs()
    return folder


@pytest.mark.parametrize("line", examples())
def test_an_example_runs_as_it_stands(line: str, workplace: Path, tmp_path: Path) -> None:
    for suffix, library in NEEDS.items():
        if suffix in line:
            pytest.importorskip(library, reason=f"{suffix} files need {library}")
    here = tmp_path / "here"
    shutil.copytree(workplace, here)
    for written in re.findall(r"-o (\S+)", line):
        (here / written).unlink(missing_ok=True)  # which another example reads
    environment = os.environ | {
        "PATH": f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.fspath(Path(__file__).parents[2]),
        "CONVCLI_DATA": str(here / "data"),
    }
    got = subprocess.run(
        ["sh", "-c", line], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    assert got.returncode == 0, got.stdout + got.stderr
