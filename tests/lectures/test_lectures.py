"""Every row of the lectures' table, through the command line."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from convcli.cli.main import run
from tests.lectures.rows import FILES, NOT_HERE, PICTURES, SEEING, SHAPES, TRAINING, Row

PHOTO = Path(__file__).parents[2] / "samples" / "photo.png"
ROWS = (*PICTURES, *SHAPES, *TRAINING, *SEEING)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the lectures' matrices, a picture of a digit and a small model."""
    folder = tmp_path_factory.mktemp("lectures")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    from convcli import load_dataset

    Image.fromarray(load_dataset("digits", samples=60).test.samples[0, ..., 0]).save(
        folder / "digit.png"
    )
    words = ["--data", "digits", "--samples", "200", "--epochs", "1", "--quiet"]
    model, sliding = str(folder / "model"), str(folder / "sliding.safetensors")
    assert run(["train", "mnist", *words, "-o", model]) == 0
    assert run(["convolutionalize", model, "-o", sliding, "--quiet"]) == 0
    return folder


def at(document: Any, path: str) -> Any:
    """Return the value at `layers.0.params` of a JSON document."""
    for word in path.split("."):
        document = document[int(word)] if isinstance(document, list) else document[word]
    return document


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_row(
    row: Row, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if "--tensorboard" in row.command:
        pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    monkeypatch.chdir(home)
    monkeypatch.setenv("COLUMNS", "200")

    def told(command: str, *more: str) -> str:
        named = {"MODEL": "model", "DIGIT": "digit.png", "PHOTO": str(PHOTO)}
        words = [named.get(word, word) for word in shlex.split(command)]
        code = run([*words, *more])
        said = capfd.readouterr()
        assert code == row.code, said.err
        return said.out if more else said.out + said.err

    def document(command: str) -> Any:
        return json.loads(told(command, "--format", "json"))

    if row.gives:
        found = document(row.command)
        for path, value in row.gives.items():
            assert_allclose(at(found, path), value, rtol=2e-3, err_msg=path)
    elif row.same_as:
        assert np.allclose(document(row.command)["values"], document(row.same_as)["values"])
    if row.prints:
        shown = " ".join(re.sub(r"[^\S ]|\s+", " ", told(row.command)).split())
        for text in row.prints:
            assert text in shown
    elif not (row.gives or row.same_as):
        told(row.command)
    if row.writes:
        assert list(home.glob(row.writes))


def test_all_103_things_are_told_once_and_those_not_here_say_why() -> None:
    assert len(ROWS) + len(NOT_HERE) >= 103
    assert all(len(reason) > 30 for reason in NOT_HERE.values())
    assert len({row.says for row in ROWS}) == len(ROWS)
    assert all(row.prints or row.gives or row.same_as or row.writes for row in ROWS)
