"""`convcli data` through the real door."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run
from convcli.data import load_dataset


@pytest.fixture
def npz(tmp_path: Path) -> str:
    x = np.arange(4 * 4, dtype=np.uint8).reshape(4, 2, 2)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=[0, 1, 0, 1], x_test=x[:2], y_test=[0, 1])
    return str(tmp_path / "x.npz")


def test_without_a_source_the_named_sets_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["data"]) == 0
    said = capfd.readouterr().out
    for name in ("mnist", "fashion", "digits", "CONVCLI_DATA"):
        assert name in said
    assert run(["data", "--check"]) == 2
    assert "name a data set" in capfd.readouterr().err


def test_a_data_set_is_described(npz: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["data", npz, "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert got["sample_shape"] == [2, 2, 1]
    assert got["dtype"] == "uint8"
    assert got["classes"] == [
        {"name": "0", "train": 2, "test": 1},
        {"name": "1", "train": 2, "test": 1},
    ]
    assert got["splits"]["train"] == {
        "n": 4,
        "mean": [7.5],
        "deviation": [pytest.approx(21.25**0.5)],
    }
    assert "checks" not in got


@pytest.mark.parametrize("style", ["plain", "table", "csv", "markdown", "latex"])
def test_every_format_names_the_classes(
    npz: str, style: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", npz, "--format", style]) == 0
    assert "train" in capfd.readouterr().out


def test_a_failed_check_is_exit_5_and_its_report_is_printed(
    npz: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", npz, "--check", "--format", "json"]) == 5
    said = capfd.readouterr()
    checks = {item["check"]: item for item in json.loads(said.out)["checks"]}
    assert checks["leakage"]["count"] == 2
    assert "2 samples of test are also in train" in said.err


def test_digits_are_made_kept_and_drawn(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept, sheet = tmp_path / "d.npz", tmp_path / "d.png"
    words = ["data", "digits", "--count", "60", "--seed", "3"]
    assert run([*words, "-o", str(kept)]) == 0
    assert run([*words, "--sheet", "-o", str(sheet), "--quiet"]) == 0
    assert "compiles once" in capfd.readouterr().err
    ref = load_dataset("digits", samples=60, seed=3).train.samples
    np.testing.assert_array_equal(ref, load_dataset(kept).train.samples)
    with Image.open(sheet) as picture:
        assert picture.width > 6 * 84
    wide = tmp_path / "wide.png"
    assert run([*words, "--sheet", "-o", str(wide), "--zoom", "2", "--quiet"]) == 0
    with Image.open(sheet) as picture, Image.open(wide) as larger:
        assert larger.width > 1.2 * picture.width
    assert run([*words, "--sheet", "-o", str(sheet)]) == 4
    assert run([*words, "--sheet", "-o", str(sheet), "--force"]) == 0
    assert run([*words, "--sheet"]) == 2
    assert "--sheet and --augment need a place" in capfd.readouterr().err


def test_another_suffix_is_refused_before_any_work(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "digits", "-o", "d.zip"]) == 3
    assert capfd.readouterr().err == (
        "error: d.zip: a data set is written as .npz; give the name that suffix.\n"
    )


def test_an_input_is_never_the_output(npz: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["data", npz, "-o", npz, "--force"]) == 2
    assert "is an input" in capfd.readouterr().err


def test_series_and_sizes_take_their_options(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "walks.csv"
    rows = [f"{n},{n % 7},{'ab'[n // 50]}" for n in range(100)]
    table.write_text("\n".join(["v,w,kind", *rows]))
    words = ["data", str(table), "--window", "10", "--overlap", "0.5", "--label", "kind"]
    assert run([*words, "--label-rule", "last", "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    assert got["sample_shape"] == [10, 2]
    assert got["channels"] == ["v", "w"]
    assert run([*words, "--sheet", "-o", str(tmp_path / "s.png"), "--quiet"]) == 0
    for name in ("a", "b"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        Image.new("L", (6, 4)).save(tmp_path / "tree" / name / "x.png")
    assert run(["data", str(tmp_path / "tree"), "--size", "2x3", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["sample_shape"] == [2, 3, 1]
    for wrong in ("0x3", "axb", "5000x1"):
        assert run(["data", str(tmp_path / "tree"), "--size", wrong]) == 2
        assert f"--size {wrong}: " in capfd.readouterr().err


def test_data_that_cannot_be_had_is_exit_3_and_names_digits(tmp_path: Path) -> None:
    """No network, an empty cache: a dead proxy stands for the network."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    got = subprocess.run(
        [sys.executable, "-m", "convcli", "data", "mnist"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )
    assert got.returncode == 3
    assert got.stdout == ""
    assert got.stderr.startswith("error: MNIST is not to be had.")
    assert "--data digits" in got.stderr
