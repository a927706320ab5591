"""`convcli sweep` through the door: options, pictures, formats, Ctrl-C, kill, resume, mistakes."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.dom.minidom import parseString

import numpy as np
import pytest

from convcli.cli.main import run
from tests.cli.learning import write_quadrants

NETWORK = "let n = 4, input 8x8x1, conv {n} 3 relu, flatten, dense 4 softmax"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_quadrants(tmp_path_factory.mktemp("data"), 120)


def sweep(data: Path, out: Path, *words: str) -> int:
    return run([
        "sweep", NETWORK, "--data", str(data), "-o", str(out), "--batch", "16", "--jobs", "1",
        "--epochs", "2", *words,
    ])  # fmt: skip


def document(capfd: Captured) -> dict[str, object]:
    found: dict[str, object] = json.loads(capfd.readouterr().out)
    return found


def test_people_see_a_table_the_best_and_what_to_do_next(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    out = tmp_path / "s"
    assert sweep(data, out, "n=1,2,4", "lr=0.001,0.01", "--seeds", "2") == 0
    said = capfd.readouterr()
    assert said.out.startswith("6 trials x 2 seeds\n")
    assert sum(line.startswith("*") for line in said.out.splitlines()) == 1
    assert said.out.count("±") == 6 * 4
    assert "the test samples were not read" in said.out
    assert said.err.count("\ntrial ") == 12
    command = next(line for line in said.out.splitlines() if line.startswith("  convcli train"))
    assert run([*shlex.split(command)[1:], "-o", str(tmp_path / "best")]) == 0
    trained = capfd.readouterr().out
    best = next(line for line in said.out.splitlines() if line.startswith("Best: trial"))
    number = int(best.split()[2].rstrip(","))
    record = json.loads((out / "trainings" / f"trial{number:04d}-seed0-epochs2.json").read_text())
    assert f"(validation accuracy {record['outcome']['val_accuracy']:.2%})" in trained


def test_the_pictures_show_training_and_validation(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    assert sweep(data, tmp_path / "s", "n=1,2,16", "--quiet") == 0
    capfd.readouterr()
    for name in ("accuracy", "loss"):
        root = parseString((tmp_path / "s" / f"{name}.svg").read_text()).documentElement  # noqa: S318
        texts = {one.firstChild.data: one for one in root.getElementsByTagName("text")}
        assert {f"{name.capitalize()} over n", "training", "validation", "n", name} <= texts.keys()
    one, two, ten = (float(texts[tick].getAttribute("x")) for tick in ("1", "2", "10"))
    assert (ten - one) / (two - one) == pytest.approx(np.log2(10), rel=0.01)


def test_words_without_order_are_drawn_over_the_epochs_alone(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    assert sweep(data, tmp_path / "s", "optimizer=adam,sgd", "--format", "json") == 0
    assert document(capfd)["pictures"] == [str(tmp_path / "s" / "epochs.svg")]


@pytest.mark.parametrize("style", ["table", "plain", "markdown", "latex"])
def test_each_format_for_people(style: str, data: Path, tmp_path: Path, capfd: Captured) -> None:
    words = ["n=1,2", "--seeds", "2", "--quiet", "--format", style]
    assert sweep(data, tmp_path / "s", *words) == 0
    said = capfd.readouterr()
    assert "validation" in said.out
    assert said.err == ""
    if style == "table":
        assert max(map(len, said.out.splitlines()[:10])) <= 80


def test_csv_and_json_have_numbers(data: Path, tmp_path: Path, capfd: Captured) -> None:
    words = ["n=1,2", "--seeds", "2", "--quiet", "--format"]
    assert sweep(data, tmp_path / "s", *words, "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert run(["sweep", "--resume", str(tmp_path / "s"), "--quiet", "--format", "json"]) == 0
    got = document(capfd)
    trials = got["trials"]
    assert isinstance(trials, list)
    assert [trial["values"] for trial in trials] == [{"n": 1}, {"n": 2}]
    for row, trial in zip(rows, trials, strict=True):
        assert float(row["val_accuracy"]) == pytest.approx(trial["val_accuracy"]["mean"])
        figures = [outcome["val_loss"] for outcome in trial["trainings"]]
        assert float(row["val_loss_deviation"]) == pytest.approx(
            abs(figures[0] - figures[1]) / 2**0.5
        )
    assert got["seeds"] == [0, 1]
    assert got["best"] in {1, 2}


def test_chance_and_halving(data: Path, tmp_path: Path, capfd: Captured) -> None:
    words = ["lr=1e-4..1e-1:log", "--quiet", "--format", "json"]
    drawn = [*words, "--search", "random", "--trials", "3"]
    assert sweep(data, tmp_path / "r", *drawn) == 0
    rates = [trial["values"]["lr"] for trial in document(capfd)["trials"]]  # type: ignore[attr-defined]
    assert len(set(rates)) == 3
    assert sweep(data, tmp_path / "q", *drawn, "--seed", "1") == 0
    others = [trial["values"]["lr"] for trial in document(capfd)["trials"]]  # type: ignore[attr-defined]
    assert set(rates).isdisjoint(others)
    words = [*words, "--search", "halving", "--trials", "4", "--factor", "2", "--epochs", "4"]
    assert sweep(data, tmp_path / "h", *words) == 0
    got = document(capfd)
    assert got["rounds"] == [
        {"trials": 4, "epochs": 1}, {"trials": 2, "epochs": 2}, {"trials": 1, "epochs": 4},
    ]  # fmt: skip
    assert [trial["epochs"] for trial in got["trials"]] == [4, 2, 1, 1]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_optuna_chooses(data: Path, tmp_path: Path, capfd: Captured) -> None:
    pytest.importorskip("optuna", reason="needs the extra optuna: pip install 'convcli[optuna]'")
    words = ["lr=1e-4..1e-1:log", "n=1,2", "--search", "optuna", "--trials", "6", "--quiet"]
    assert sweep(data, tmp_path / "a", *words, "--format", "json") == 0
    first = document(capfd)["trials"]
    assert sweep(data, tmp_path / "b", *words, "--format", "json") == 0
    again = document(capfd)["trials"]
    assert [t["values"] for t in first] == [t["values"] for t in again]  # type: ignore[attr-defined]
    assert len(first) == 6  # type: ignore[arg-type]


def test_each_option_reaches_the_trainings(data: Path, tmp_path: Path, capfd: Captured) -> None:
    words = [
        "n=1", "schedule=constant", "augment=shift=1;none", "--lr", "0.02", "--val", "0.2",
        "--patience", "1", "--recipe", "fast", "--samples", "100", "--seed", "3", "--quiet",
    ]  # fmt: skip
    assert sweep(data, tmp_path / "s", *words) == 0
    capfd.readouterr()
    files = sorted((tmp_path / "s" / "trainings").glob("*.json"))
    assert [path.stem for path in files] == ["trial0001-seed3-epochs2", "trial0002-seed3-epochs2"]
    recipe = json.loads(files[0].read_text())["job"]["recipe"]
    ref = {"lr": 0.02, "val": 0.2, "patience": 1, "batch": 16, "epochs": 2}
    assert ref.items() <= recipe.items()
    assert (recipe["schedule"], recipe["augment"]) == ("constant", "shift=1")
    plan = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert (plan["recipe"], plan["source"]["samples"]) == ("fast", 100)


def test_networks_are_compared(data: Path, tmp_path: Path, capfd: Captured) -> None:
    dense = "input 8x8x1, flatten, dense 4 softmax"
    words = ["sweep", f"network={NETWORK};{dense}", "--data", str(data), "--epochs", "1"]
    words += ["-o", str(tmp_path / "s"), "--jobs", "1", "--quiet", "--format", "json"]
    assert run(words) == 0
    trials = document(capfd)["trials"]
    ref = [4 * 9 + 4 + 4 * 36 * 4 + 4, 64 * 4 + 4]
    assert [trial["params"] for trial in trials] == ref  # type: ignore[attr-defined]


def test_a_directory_is_never_lost(data: Path, tmp_path: Path, capfd: Captured) -> None:
    out = tmp_path / "s"
    assert sweep(data, out, "n=1", "--quiet") == 0
    before = {path: path.stat().st_mtime_ns for path in (out / "trainings").iterdir()}
    assert sweep(data, out, "n=2") == 4
    assert f"--resume {out}" in capfd.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in (out / "trainings").iterdir()} == before
    assert sweep(data, out, "n=2", "--force", "--quiet") == 0
    assert json.loads((out / "sweep.json").read_text())["axes"] == ["n=2"]


def test_the_default_place_is_under_runs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["sweep", NETWORK, "n=1", "--data", str(data), "--epochs", "1", "--jobs", "1"]
    assert run([*words, "--quiet"]) == 0
    (place,) = (tmp_path / "runs").iterdir()
    assert place.name.endswith("-sweep")


MISTAKES = {
    "nothing": ([], "nothing to sweep"),
    "unknown": (["m=1"], "there is no setting 'm'"),
    "near": (["learning=1"], "there is no setting"),
    "two networks": (["mnist", "n=1"], "are two networks"),
    "network twice": (["network=mnist"], "network= names the networks"),
    "option and axis": (["batch=8,16"], "batch= and --batch both"),
    "trials of a grid": (["n=1,2", "--trials", "3"], "--trials belongs to"),
    "epochs of a halving": (["lr=1,2", "--search", "halving", "--trials", "0"], "--trials"),
    "a trial that cannot be": (["n=1,0"], "trial 2 (n=0)"),
    "size of no pictures": (["n=1", "--size", "9x9"], "takes no size"),
    "no validation": (["n=1", "--val", "0"], "leave --val 0 out"),
}


@pytest.mark.parametrize(("words", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_leaves_nothing_behind(
    words: list[str], told: str, data: Path, tmp_path: Path, capfd: Captured
) -> None:
    assert sweep(data, tmp_path / "s", *words) in {2, 3}
    assert told in capfd.readouterr().err
    assert not (tmp_path / "s").exists()


def test_resume_takes_nothing_but_the_directory(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    assert run(["sweep", "--resume", str(tmp_path)]) == 3
    assert "there is no sweep in" in capfd.readouterr().err
    (tmp_path / "sweep.json").write_text('{"axes": 3}')
    assert run(["sweep", "--resume", str(tmp_path)]) == 3
    assert "is damaged" in capfd.readouterr().err
    for words, told in {
        ("n=2",): "NETWORK",
        ("--factor", "4"): "--factor",
        ("--factor", "3"): "--factor",
        ("--seeds", "1"): "--seeds",
        ("--label", "x"): "--label",
        ("--search", "grid", "--force"): "--search, --force",
    }.items():
        assert run(["sweep", "--resume", str(tmp_path), *words]) == 2
        said = capfd.readouterr().err
        assert f"--resume takes everything from the sweep; leave out: {told}." in said


def results(place: Path) -> dict[str, str]:
    return {
        path.name: json.loads(path.read_text())["outcome"]["weights"]
        for path in (place / "trainings").glob("trial*.json")
    }


def test_a_polite_kill_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    words = ["n=1,2,3,4", "lr=0.001,0.01", "--data", str(data), "--epochs", "400", "--batch", "4"]
    with subprocess.Popen(
        [
            sys.executable, "-m", "convcli", "sweep", NETWORK, *words, "-o", str(tmp_path / "s"),
            "--jobs", "1",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("trial"))
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert f"Go on with: convcli sweep --resume {tmp_path / 's'}" in said


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_what_is_finished_is_kept(
    how: signal.Signals, data: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ["n=1,2,3,4", "lr=0.001,0.01", "--data", str(data), "--epochs", "40", "--batch", "4"]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "convcli", "sweep", NETWORK, *words, "-o", str(tmp_path / "s"),
            "--jobs", "2",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("trial"):
            break
    # a terminal sends Ctrl-C to the whole group, the workers included
    os.killpg(process.pid, how) if how == signal.SIGINT else process.kill()
    said = process.communicate(timeout=60)[1]
    early = results(tmp_path / "s")
    assert 1 <= len(early) < 8
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert said.splitlines() == [
            *(line for line in said.splitlines() if line.startswith("trial")),
            f"{len(early)} finished trainings are kept. "
            f"Go on with: convcli sweep --resume {tmp_path / 's'}",
            "error: interrupted.",
        ]
    deadline = time.monotonic() + 20
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _alive(process.pid), "the processes of the sweep outlived it"
    assert run(["sweep", "--resume", str(tmp_path / "s"), "--jobs", "1"]) == 0
    assert capfd.readouterr().err.count(", as found") == len(early)
    assert sweep(data, tmp_path / "ref", *words, "--quiet") == 0
    assert results(tmp_path / "ref") == results(tmp_path / "s")


def _alive(group: int) -> bool:
    """Tell whether a process of the group is left; one that nobody has asked after is not."""
    found = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True)
    rows = (line.split() for line in found.stdout.splitlines())
    return any(row[0] == str(group) and not row[1].startswith("Z") for row in rows)


def test_every_training_keeps_its_model_its_epochs_and_its_events(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    pytest.importorskip("tensorboard", reason="it writes the event files")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "s"
    assert sweep(data, out, "n=1,4", "--tensorboard", "--format", "json") == 0
    trials = document(capfd)["trials"]
    for trial in trials:
        folder = out / "trainings" / f"trial{trial['trial']:04d}-seed0-epochs2"
        assert run(["evaluate", str(folder / "model.safetensors"), "--data", str(data),
                    "--split", "train", "--format", "json", "--quiet"]) == 0  # fmt: skip
        assert document(capfd)["n"] == 120
        with (folder / "history.csv").open() as file:
            rows = list(csv.DictReader(file))
        best = max(float(row["val_accuracy"]) for row in rows)
        assert best == pytest.approx(trial["val_accuracy"]["mean"])
        events = EventAccumulator(str(folder)).Reload().Scalars("loss/train")
        assert [event.value for event in events] == pytest.approx(
            [float(row["train_loss"]) for row in rows]
        )


def test_the_page_shows_every_trial_over_the_epochs(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    out = tmp_path / "s"
    assert sweep(data, out, "n=1,2,4", "--quiet") == 0
    page = (out / "report.html").read_text()
    for chart in ("Accuracy", "Loss"):
        for part in ("training", "validation"):
            assert f"{chart} by epoch, {part}" in page
    charts = 2 + 2 * 2  # a loss is drawn on a linear scale, too
    assert all(page.count(f"n={n}</text>") == charts for n in (1, 2, 4))
    assert run(["sweep", "--resume", str(out), "--quiet"]) == 0  # the epochs are read again
    assert (out / "report.html").read_text().count("n=2</text>") == charts
    assert (out / "epochs.svg").is_file()


def test_trials_rank_by_the_figure_that_is_monitored(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ("n=1,2,4", "lr=0.001,0.02", "--monitor", "loss", "--format", "json")
    assert sweep(data, tmp_path / "s", *words) == 0
    told = document(capfd)
    losses = {trial["trial"]: trial["val_loss"]["mean"] for trial in told["trials"]}
    assert told["best"] == min(losses, key=losses.__getitem__)
    for trial in told["trials"]:
        [training] = trial["trainings"]
        assert training["monitor"] == "loss"
        assert training["monitored"] == training["val_loss"]
    assert sweep(data, tmp_path / "f", *words[:3], "f1") == 0
    assert "Ranked by validation f1 (trial 1: " in capfd.readouterr().out


def test_a_sweep_s_folder_is_drawn_and_reported(
    data: Path, tmp_path: Path, capfd: Captured
) -> None:
    place, page = tmp_path / "s", tmp_path / "page.html"
    assert sweep(data, place, "n=1,3", "--seeds", "2", "--quiet") == 0
    words = ["show", "curves", str(place), "-o", str(tmp_path / "c.svg"), "--quiet"]
    capfd.readouterr()
    assert run([*words, "--format", "json"]) == 0
    shown = document(capfd)
    assert [one["run"] for one in shown] == ["n=1", "n=1", "n=3", "n=3"]
    assert {one["epochs"] for one in shown} == {2}
    drawn = (tmp_path / "c.svg").read_text(encoding="utf-8")
    assert "Loss by epoch, validation" in drawn
    assert drawn.count("n=3") == 4
    assert run(["report", str(place), "-o", str(page), "--quiet"]) == 0
    assert "4 runs compared" in page.read_text(encoding="utf-8")
    (training, *_) = (place / "trainings").glob("trial*.json")
    training.write_text("{}", encoding="utf-8")
    assert run(["report", str(place), "-o", str(page), "--force"]) == 3
    assert "is no training of a sweep" in capfd.readouterr().err
