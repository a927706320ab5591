"""What is seen of a training under way: a table of epochs, a bar, a line now and then, a log."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from convcli.cli import train as command
from convcli.cli.main import run
from tests.cli.learning import NETWORK, write_quadrants
from tests.cli.test_console import Terminal


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quadrants(tmp_path_factory.mktemp("data"))


def words(data: Path, out: Path, *more: str) -> list[str]:
    return ["train", NETWORK, "--data", str(data), "-o", str(out), "--batch", "16", *more]


def test_epochs_are_rows_under_a_header_with_the_best_marked(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(words(data, tmp_path / "run", "--epochs", "12", "--log", str(tmp_path / "l"))) == 0
    lines = capfd.readouterr().err.splitlines()
    place = next(n for n, line in enumerate(lines) if line.split()[:1] == ["Epoch"])
    assert lines[place - 1] == "* marks the best epoch so far, by validation accuracy."
    rows = lines[place + 1 : place + 13]
    best = {e["number"] for e in events(tmp_path / "l") if e["event"] == "epoch" and e["best"]}
    for number, row in enumerate(rows, start=1):
        assert row.split()[0] == f"{number}/12"
        assert ("*" in row) is (number in best)
        assert len(row) <= 80
    ends = [match.end() for match in re.finditer(r"\S+(?: \S+)*", lines[place])]
    for row in rows:  # the figures stand under their names
        assert row[: ends[0]].split() == [row.split()[0]]
        assert row[ends[0] : ends[1]].strip() == row.split()[1]


def test_without_validation_nothing_is_marked(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(words(data, tmp_path / "run", "--epochs", "2", "--val", "0")) == 0
    said = capfd.readouterr().err
    assert "*" not in said
    assert "Val accuracy" not in said


def test_a_long_epoch_in_a_pipe_says_now_and_then_how_it_goes(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LINE_SECONDS", 0.0)
    assert run(words(data, tmp_path / "run", "--epochs", "2")) == 0
    said = capfd.readouterr().err
    line = r" *2/2  step 3 of 9: loss [\d.]+, accuracy [\d.]+%, [\d,]+ samples/s, about .* left"
    assert re.search(line, said)
    assert len(re.findall(r"step \d of 9", said)) == 18


def events(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_log_has_what_history_and_result_have(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place, log = tmp_path / "run", tmp_path / "log.jsonl"
    asked = words(data, place, "--epochs", "2", "--log", str(log), "--quiet", "--format", "json")
    assert run(asked) == 0
    result = json.loads(capfd.readouterr().out)
    begun, first, second, done = events(log)
    assert begun == {
        "event": "start", "run": str(place), "network": NETWORK, "data": "quadrants",
        "params": result["params"], "epochs": 2, "epochs_done": 0, "seed": 0,
    }  # fmt: skip
    assert [first["number"], second["number"]] == [1, 2]
    assert first["samples_per_second"] == pytest.approx(first["samples"] / first["seconds"])
    assert {"event": "result", "run": str(place), **result} == done
    assert run([*asked[:-3], "--force"]) == 0
    assert len(events(log)) == 4, "a forced log begins anew"
    again = ["train", "--resume", str(place), "--epochs", "3", "--log", str(log), "--quiet"]
    assert run(again) == 0
    assert [e["event"] for e in events(log)[4:]] == ["start", "epoch", "result"]
    assert events(log)[4]["epochs_done"] == 2


def test_an_existing_log_is_refused_and_folds_share_one(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("mine\n")
    asked = words(data, tmp_path / "folds", "--epochs", "1", "--folds", "2", "--log", str(log))
    assert run(asked) == 4
    assert log.read_text() == "mine\n"
    assert not (tmp_path / "folds").exists()
    log.unlink()
    assert run(asked) == 0
    runs = [Path(str(e["run"])).name for e in events(log) if e["event"] == "result"]
    assert runs == ["fold1", "fold2"]


def test_a_terminal_sees_one_bar_for_all_epochs(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convcli", *words(data, tmp_path / "run", "--epochs", "3")]
    environment = {**os.environ, "TERM": "xterm"}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        environment.pop(name, None)
    with Terminal(columns=90) as terminal:
        subprocess.run(
            command, stderr=terminal.writer, stdout=subprocess.DEVNULL, env=environment, check=True
        )
        seen = terminal.read()
    assert "/27" in seen, "the bar counts the steps of the whole run"
    assert re.search(r"\x1b\[1m *Epoch", seen)
    assert len(re.findall(r" \d/3 ", seen)) >= 3


@pytest.mark.parametrize("columns", [50, 60])
def test_a_narrow_terminal_sees_whole_rows_and_the_time_left(
    columns: int, data: Path, tmp_path: Path
) -> None:
    """Columns go one after the other; nothing is folded or cut short with dots."""
    command = [sys.executable, "-m", "convcli", *words(data, tmp_path / "run", "--epochs", "3")]
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    for name in ("FORCE_COLOR", "COLUMNS"):
        environment.pop(name, None)
    with Terminal(columns=columns) as terminal:
        subprocess.run(
            command, stderr=terminal.writer, stdout=subprocess.DEVNULL, env=environment, check=True
        )
        seen = terminal.read()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    rows = [line for line in re.split(r"[\r\n]+", plain) if re.match(r" *(?:Epoch|\d/3) ", line)]
    assert len(rows) == 4
    assert max(map(len, rows)) <= columns
    assert "Val accuracy" in rows[0]
    assert "…" not in plain
