"""Sheets of samples and of what augmentation makes of them; training with samples mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from convcli.data import load_dataset
from convcli.learn.modelfile import load
from convcli.present.data import masked, sample_panel
from tests.cli.learning import NETWORK, write_quadrants

SHEETS = {
    "hands": "rotate=10,crop=0.3,hue=30,brightness=0.3,contrast=0.2,saturation=0.5",
    "activity": "warp=0.05,jitter=0.3,amplitude=0.2",
    "volumes": "shift=2,dflip=0.5",
    "shapes": "rotate=20,noise=0.1",
    "digits": "mixup=0.4,cutmix=1",
    "waves": "jitter=0.2",
}


@pytest.mark.parametrize("source", SHEETS)
def test_every_kind_of_samples_is_drawn_with_what_changes_it(
    source: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["data", source, "--samples", "20", "--quiet"]
    place = str(tmp_path / "sheet.png")
    assert run([*words, "--sheet", "-o", place]) == 0
    plain = np.asarray(Image.open(place))
    assert run([*words, "--augment", SHEETS[source], "-o", place, "--force"]) == 0
    changed = np.asarray(Image.open(place))
    assert len(np.unique(plain)) > 5
    assert plain.shape != changed.shape or (plain != changed).any()
    assert capfd.readouterr().err == ""


def test_a_sheet_says_what_it_cannot_do(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words, sentence in (
        (["--augment", "hue=5", "-o", "a.png"], "hue needs pictures in color"),
        (["--augment", "none", "-o", "a.png"], "changes nothing to be drawn"),
        (["--augment", "shift=1"], "need a place for the picture"),
    ):
        assert run(["data", "digits", "--samples", "20", *words]) == 2
        assert sentence in " ".join(capfd.readouterr().err.split())


def test_a_mistake_in_a_change_is_told_before_anything_is_loaded(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(["data", "nowhere.npz", "--augment", "rotte=3", "-o", "q.png"]) == 2
    said = capfd.readouterr()
    assert "Did you mean rotate?" in said.err
    assert not said.out


def test_a_mask_lies_over_its_picture_and_a_forecast_goes_on() -> None:
    picture = np.full((2, 3), 100, np.uint8)
    drawn = masked(picture, np.array([[0, 1, 255], [0, 0, 2]], np.uint8))
    assert drawn[0, 0].tolist() == [100, 100, 100]
    assert drawn[0, 1].tolist() == [round((100 + c) / 2) for c in (0x2F, 0x6F, 0xB0)]
    assert drawn[0, 2].tolist() == [178, 178, 178]
    waves = load_dataset("waves", samples=20)
    panel = sample_panel(waves, waves.train.samples[0], waves.train.labels[0])
    np.testing.assert_allclose(panel.values[32:, 0], waves.train.labels[0])


@pytest.mark.parametrize("words", ["mixup=0.3", "cutmix=1"])
def test_mixed_samples_train_to_the_same_bits_on_any_threads(words: str, tmp_path: Path) -> None:
    data = write_quadrants(tmp_path)
    train = ["train", NETWORK, "--data", str(data), "--augment", words, "--epochs", "8"]
    flats = []
    for threads in ("1", "2"):
        place = tmp_path / threads
        more = ["--batch", "32", "--lr", "0.02", "--threads", threads, "--quiet"]
        assert run([*train, *more, "-o", str(place)]) == 0
        flats.append(load(place).model.flat)
    np.testing.assert_array_equal(*flats)
    assert load(place).metrics["test_accuracy"] > 0.9


def test_shares_of_classes_need_a_loss_that_takes_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write_quadrants(tmp_path)
    words = ["train", NETWORK, "--data", str(data), "--augment", "mixup=0.2"]
    assert run([*words, "--loss", "focal", "-o", str(tmp_path / "run")]) == 2
    assert "not --loss focal" in capfd.readouterr().err
    words = ["train", "--data", "shapes", "--augment", "cutmix=1", "--samples", "20"]
    network = "input 32x32x1, conv 3 3 same softmax"
    assert run([words[0], network, *words[1:], "-o", str(tmp_path / "run")]) == 2
    assert "not for masks" in capfd.readouterr().err
