"""`convcli presets`: the list with totals, and the text of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convcli.cli import main as door


def test_the_list_has_every_preset_with_its_totals(capfd: pytest.CaptureFixture[str]) -> None:
    assert door.run(["presets", "--format", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert rows["mnist"]["params"] == 30762
    assert rows["lenet5"]["params"] == 61706
    assert rows["alexnet"]["params"] == 62378344
    assert rows["resnet50"]["input"] == [224, 224, 3]
    assert {"unet", "inception-v3", "densenet121", "har", "occupancy", "rps"} < rows.keys()
    assert all(row["macs"] > 0 for row in rows.values())
    assert rows["vgg16-bn"]["about"] == "VGG-16 with batch normalization."
    assert all(row["about"] and "parameters:" not in row["about"] for row in rows.values())


def test_a_preset_s_text_is_a_file_for_every_command(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert door.run(["presets", "lenet5"]) == 0
    text = capfd.readouterr().out
    (tmp_path / "my.net").write_text(text)
    assert door.run(["shape", str(tmp_path / "my.net"), "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["totals"]["params"] == 61706
    assert door.run(["presets", "lenet5", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"name": "lenet5", "text": text}


def test_an_unknown_preset_is_told_the_nearest(capfd: pytest.CaptureFixture[str]) -> None:
    assert door.run(["presets", "lenet6"]) == 2
    assert "Did you mean lenet5" in capfd.readouterr().err
