"""Series models on recordings as they came; windows in seconds; masks laid over pictures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convcli.cli.main import run

Captured = pytest.CaptureFixture[str]
RATE = 0.02


def write_walks(path: Path, rows: int = 600, *, labeled: bool = True, dates: bool = False) -> Path:
    """Write two channels that are quick or slow for a hundred rows each."""
    random = np.random.default_rng(0)
    lines = ["time,u,v" + (",kind" if labeled else "")]
    for row in range(rows):
        kind = "quick" if row // 100 % 2 else "slow"
        speed = 1.3 if kind == "quick" else 0.2
        u, v = np.sin(speed * row), np.cos(speed * row) + 0.05 * random.normal()
        time = f"2024-01-01T00:{row // 60:02}:{row % 60:02}" if dates else f"{row * RATE:.2f}"
        lines.append(f"{time},{u:.4f},{v:.4f}" + (f",{kind}" if labeled else ""))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walks")
    data = write_walks(folder / "walks.csv", 2000)
    network = "input 20x2, conv 8 5 relu, gmp, dense 2 softmax"
    words = ["--window", "0.4s", "--overlap", "0.5", "--epochs", "15", "--lr", "0.02"]
    train = ["train", network, "--data", str(data), *words, "--quiet", "-o", str(folder / "run")]
    assert run(train) == 0
    return folder / "run"


def test_a_recording_gets_a_line_for_each_window(
    walker: Path, tmp_path: Path, capfd: Captured
) -> None:
    new = write_walks(tmp_path / "new.csv", 205, labeled=False)
    assert run(["predict", str(walker), str(new), "--format", "json", "--quiet"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert [one["file"] for one in told[:2]] == [f"{new}[0:20]", f"{new}[10:30]"]
    assert told[-1]["file"] == f"{new}[185:205]"  # the end is told, too
    assert len(told) == 20
    labels = [one["label"] for one in told]
    assert labels[:7] == ["slow"] * 7
    assert labels[10:18] == ["quick"] * 8


def test_the_table_gets_a_column_more(walker: Path, tmp_path: Path, capfd: Captured) -> None:
    new, out = write_walks(tmp_path / "new.csv", 205), tmp_path / "told.csv"
    assert run(["predict", str(walker), str(new), "-o", str(out), "--quiet"]) == 0
    with new.open() as old, out.open() as file:
        before, after = list(csv.reader(old)), list(csv.DictReader(file))
    assert [list(row.values())[:-1] for row in after] == before[1:]
    right = np.mean([row["predicted"] == row["kind"] for row in after])
    assert right > 0.9
    assert run(["predict", str(walker), str(new), "-o", str(out)]) == 4
    two = write_walks(tmp_path / "two.csv", 50)
    assert run(["predict", str(walker), str(new), str(two), "-o", str(out), "--force"]) == 2
    capfd.readouterr()


def test_a_forecast_stands_in_the_row_that_it_begins_at(tmp_path: Path, capfd: Captured) -> None:
    data = write_walks(tmp_path / "walks.csv", 400, labeled=False)
    network = "input 10x2, flatten, dense 4"
    words = ["--window", "10", "--forecast", "2", "--epochs", "2", "--quiet"]
    place = str(tmp_path / "run")
    assert run(["train", network, "--data", str(data), *words, "-o", place]) == 0
    out = tmp_path / "told.csv"
    assert run(["predict", place, str(data), "-o", str(out), "--format", "json", "--quiet"]) == 0
    told = json.loads(capfd.readouterr().out)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[9]["u+1"]) == pytest.approx(told[0]["values"][0], rel=1e-5)
    assert float(rows[14]["v+2"]) == pytest.approx(told[1]["values"][3], rel=1e-5)
    assert rows[10]["u+1"] == ""


def test_what_does_not_fit_is_told(walker: Path, tmp_path: Path, capfd: Captured) -> None:
    short = write_walks(tmp_path / "short.csv", 12)
    wide = tmp_path / "wide.csv"
    wide.write_text("time,a,b,c\n" + "0,1,2,3\n" * 30)
    broken = tmp_path / "broken.csv"
    broken.write_text("time,u,v\n" + "0,1,2\n" * 30 + "0,?,2\n")
    for path, sentence in (
        (short, "has 12 rows; a window of the model takes 20"),
        (wide, "takes 2 channels (u, v), and these columns may be some: a, b, c"),
        (broken, "row 31 has no numbers in u, v: 0, ?, 2"),
    ):
        assert run(["predict", str(walker), str(path)]) == 3
        assert sentence in " ".join(capfd.readouterr().err.split())


def test_a_window_in_seconds_is_that_of_the_column_of_time(tmp_path: Path, capfd: Captured) -> None:
    data = write_walks(tmp_path / "walks.csv")
    words = ["data", str(data), "--overlap", "0.5", "--format", "json"]
    assert run([*words, "--window", "0.4s"]) == 0
    in_seconds = json.loads(capfd.readouterr().out)
    assert in_seconds["sample_shape"] == [20, 2]
    assert run([*words, "--window", "20"]) == 0
    in_rows = json.loads(capfd.readouterr().out)
    assert in_rows == in_seconds
    dated = write_walks(tmp_path / "dated.csv", dates=True)
    assert run(["data", str(dated), "--window", "16s", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["sample_shape"] == [16, 2]
    (tmp_path / "timeless.csv").write_text(data.read_text().replace("time", "moment", 1))
    for source, window, sentence in (
        (data, "2m", "write rows, such as 128, or seconds, such as 2.56s"),
        (data, "0.001s", "a row of"),
        (tmp_path / "timeless.csv", "2s", "has no column of time that rises"),
    ):
        assert run(["data", str(source), "--window", window]) == 2
        assert sentence in " ".join(capfd.readouterr().err.split())


def test_a_mask_is_drawn_over_its_picture(tmp_path: Path, capfd: Captured) -> None:
    network = "input 32x32x1, conv 4 3 same relu, conv 3 1 softmax"
    place, picture = str(tmp_path / "run"), tmp_path / "in.png"
    assert run(["train", network, "--data", "shapes", "--samples", "40", "--epochs", "3",
                "--quiet", "-o", place]) == 0  # fmt: skip
    pixels = np.full((32, 32), 70, np.uint8)
    pixels[8:20, 8:20] = 170
    Image.fromarray(pixels).save(picture)
    out = tmp_path / "out.png"
    words = ["predict", place, str(picture), "-o", str(out), "--format", "json", "--quiet"]
    assert run(words) == 0
    mask = np.array(json.loads(capfd.readouterr().out)[0]["mask"])
    drawn = np.asarray(Image.open(out).convert("RGB"))
    gray = (drawn[..., 0] == drawn[..., 1]) & (drawn[..., 1] == drawn[..., 2])
    np.testing.assert_array_equal(gray, mask == 0)
    assert run(["predict", place, str(picture), "-o", str(tmp_path / "x.csv")]) == 2
    assert "written as .png" in capfd.readouterr().err
