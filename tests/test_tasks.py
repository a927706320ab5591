"""Everyday tasks, fifteen of each third, typed as a new user types them; none needs a second look.

Each is one line of a shell or of Python in a folder that holds what people have: a photo, a matrix,
a folder of pictures, arrays, a table of series.
"""

# ruff: noqa: E501  (a line is what is typed)

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.learning import NETWORK, quadrants, write_quadrants

PICTURES = {
    "blur a photo": "convcli filter photo.png -k gaussian:sigma=2",
    "blur it more, into a file of a name": "convcli filter photo.png -k gaussian:sigma=5 -o soft.jpg",
    "find edges": "convcli filter photo.png -k sobel -o edges.png",
    "find edges of the blurred photo": "convcli filter photo.png -k gaussian -k laplacian-4",
    "sharpen a folder": "convcli filter photos --recursive -k sharpen -o sharp/",
    "try numbers of one's own": 'convcli filter photo.png -k "0 1 0; 1 -4 1; 0 1 0" -o own.png',
    "see where one pixel comes from": "convcli filter photo.png -k sobel-x --explain 10,20",
    "convolve a matrix on paper": 'convcli filter matrix.csv -k "1 0 -1; 1 0 -1; 1 0 -1" --padding valid',
    "see the numbers of a kernel": "convcli kernels sobel",
    "which kernels blur": "convcli kernels --group smooth",
    "halve a picture": "convcli pool photo.png --avg 2 -o half.png",
    "pool a matrix": "convcli pool matrix.csv --max 2",
    "filter in a pipe": "cat photo.png | convcli filter - -k emboss -o - > embossed.png",
    "filter an array": "import convcli; out = convcli.filter_image(np.load('photo.npy'), 'sobel')",
    "filter a Pillow picture": "import convcli; convcli.filter_image(Image.open('photo.png'), 'box')",
}

NETWORKS = {
    "how large is ResNet-50": "convcli shape resnet50",
    "my own layers": "convcli shape input 28x28x1, conv 16 3 relu, maxpool 2, flatten, dense 10",
    "in another framework's words": "convcli shape 'input 28x28x1, Conv2d 16 3, MaxPool2d 2, Flatten, Linear 10'",
    "another input": "convcli shape vgg16 --input 160x160x3",
    "why is it 26x26": "convcli shape mnist --explain conv1",
    "what does this cell see": "convcli shape mnist --trace 5,5 --at conv2",
    "which stride halves 28": "convcli shape --solve '28 -> 14, kernel 3'",
    "does it fit": "convcli shape mnist --batch 64 --memory-limit 4GiB",
    "is it small enough": "convcli shape mnist --assert 'params < 50000'",
    "which of two": "convcli compare lenet5 mnist",
    "which words are there": "convcli shape --layers",
    "how is a conv written": "convcli shape --layers conv",
    "begin with a preset": "convcli presets lenet5 > my.net && convcli shape my.net",
    "for a spreadsheet": "convcli shape mnist --format csv > mnist.csv",
    "in a notebook": "import convcli; print(convcli.network('mnist').trace())",
}

TRAINING = {
    "train on digits": "convcli train --data digits --samples 300 --epochs 1 -o runs/digits",
    "train on my pictures": "convcli train 'input 8x8x3, conv 4 3 relu, gap, dense 2 softmax' --data photos --size 8x8 --epochs 1 -o runs/photos",
    "train on my arrays": f"convcli train '{NETWORK}' --data quadrants.npz --epochs 2 -o runs/arrays",
    "go on with it": "convcli train --resume run --epochs 3",
    "how good is it": "convcli evaluate run",
    "what is on this picture": "convcli predict run a.png",
    "which learning rate": f"convcli lr-find '{NETWORK}' --data quadrants.npz --steps 20",
    "which settings": f"convcli sweep '{NETWORK}' lr=0.001,0.01 --data quadrants.npz --epochs 1 -o runs/lr",
    "what has been trained": "convcli runs .",
    "look at its filters": "convcli show filters run -o filters.png",
    "why did it say that": "convcli show cam run a.png -o cam.png",
    "take it elsewhere": "convcli export run -o model.py",
    "look at the data": "convcli data quadrants.npz",
    "train in Python": f"import convcli; X, y = np.load('X.npy'), np.load('y.npy'); t = convcli.fit('{NETWORK}', X, y, epochs=1); list(t); t.best_model().save('m.safetensors')",
    "cross-validate in Python": f"import convcli; X, y = np.load('X.npy'), np.load('y.npy'); print(convcli.ConvClassifier('{NETWORK}', epochs=2).fit(X, y).score(X, y))",
}
TASKS = PICTURES | NETWORKS | TRAINING


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what a new user has, and a door to the program."""
    folder = tmp_path_factory.mktemp("home")
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(photo).save(folder / "photo.png")
    np.save(folder / "photo.npy", photo)
    (folder / "matrix.csv").write_text("1,2,3,4\n5,6,7,8\n9,8,7,6\n5,4,3,2\n")
    for name, shade in (("cat", 60), ("dog", 180)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(photo[:32, :32] // 4 + shade).save(
                folder / "photos" / name / f"{number}.png"
            )
    write_quadrants(folder)
    samples, labels = quadrants(80)
    np.save(folder / "X.npy", samples)
    np.save(folder / "y.npy", labels)
    Image.fromarray(samples[0, ..., 0]).save(folder / "a.png")
    (folder / "bin").mkdir()
    door = folder / "bin" / "convcli"
    door.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convcli "$@"\n')
    door.chmod(0o755)
    words = f"train '{NETWORK}' --data quadrants.npz --epochs 2 -o run --quiet"
    assert typed(f"convcli {words}", folder).returncode == 0
    return folder


def typed(line: str, folder: Path) -> Any:
    """Return what a line comes to, as a shell or as Python would run it."""
    environment = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.fspath(Path(__file__).parents[1]),
    }
    words = ["sh", "-c", line]
    if line.startswith("import "):
        words = [sys.executable, "-c", f"import numpy as np; from PIL import Image; {line}"]
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_there_are_fifteen_of_each_third() -> None:
    assert [len(third) for third in (PICTURES, NETWORKS, TRAINING)] == [15, 15, 15]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_done_as_typed(task: str, home: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    shutil.copytree(home, here)
    got = typed(TASKS[task], here)
    assert got.returncode == 0, got.stdout + got.stderr
    assert "error" not in got.stderr.lower()
    assert "Traceback" not in got.stderr
