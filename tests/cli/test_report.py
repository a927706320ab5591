"""`convcli report` through the door: one run, several, folders, formats and mistakes."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from convcli.cli.main import run
from tests.cli.learning import write_quadrants
from tests.present.pages import check_page

SIZES = (1, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that differ in filters and epochs."""
    place = tmp_path_factory.mktemp("report")
    data = str(write_quadrants(place))
    for filters in SIZES:
        network = f"input 8x8x1, conv {filters} 3 relu, gap, dense 4 softmax"
        words = ["train", network, "--data", data, "--epochs", str(filters + 1), "--quiet"]
        assert run([*words, "--format", "json", "-o", str(place / "runs" / f"n{filters}")]) == 0
    return place


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads((folder / "runs" / f"n{n}" / "run.json").read_text()) for n in SIZES]


def test_one_run_gets_its_page_anew(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = folder / "runs" / "n1" / "report.html"
    page.unlink()
    assert run(["report", str(folder / "runs" / "n1")]) == 0
    first = page.read_bytes()
    assert run(["report", str(folder / "runs" / "n1"), "--threads", "1"]) == 0
    assert page.read_bytes() == first, "the same run, the same page"
    said = capfd.readouterr()
    assert said.out == ""
    assert "open it in a browser" in said.err
    assert run(["report", str(folder / "runs" / "n1"), "--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_a_file_that_is_no_page_of_ours_is_kept(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(folder / "runs" / "n1", tmp_path / "n1")
    page = tmp_path / "n1" / "report.html"
    page.write_text("my own notes")
    assert run(["report", str(tmp_path / "n1")]) == 4
    assert page.read_text() == "my own notes"
    assert "--force" in capfd.readouterr().err
    assert run(["report", str(tmp_path / "n1"), "--force"]) == 0
    check_page(page.read_text(encoding="utf-8"))


def test_a_page_is_not_replaced_by_a_poorer_one(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, place = write_quadrants(tmp_path), tmp_path / "run"
    words = ["train", "input 8x8x1, gap, dense 4 softmax", "--data", str(data), "--epochs", "1"]
    assert run([*words, "--quiet", "-o", str(place)]) == 0
    before = (place / "report.html").read_bytes()
    data.unlink()
    assert run(["report", str(place)]) == 4
    assert "cannot be had now, so it was kept" in capfd.readouterr().err
    assert (place / "report.html").read_bytes() == before
    assert run(["report", str(place), "--force"]) == 0
    assert "Without the samples: There is no data set or file" in capfd.readouterr().err
    page = check_page((place / "report.html").read_text(encoding="utf-8"))
    assert "Confusion" not in page.headings
    assert run(["report", str(place)]) == 0, "there is nothing more to lose"


def test_several_runs_are_compared(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "both.html"
    assert run(["report", str(folder / "runs"), "-o", str(target)]) == 0
    page = check_page(target.read_text(encoding="utf-8"))
    assert page.headings == [
        "Figures",
        "Settings that differ",
        "Learning curves",
        "Over the number of parameters",
    ]
    by_name = {row[0]: row for row in page.cells if row[0].startswith("n")}
    assert list(by_name)[:2] == ["n1", "n8"]
    for filters, record in zip(SIZES, records(folder), strict=True):
        result = record["result"]
        row = next(row for row in page.cells if row[0] == f"n{filters}")
        assert row[1] == str(9 * filters + filters + 4 * filters + 4)
        assert row[6] == f"{result['test_accuracy']:.2%}"
    settings = next(row for row in page.cells if "Network" in row)
    assert settings == ["Run", "Network", "Epochs"], "what is the same is left out"
    assert len(page.charts) == 5  # the loss has a linear scale too
    assert any("over the number of parameters" in (c["aria-label"] or "") for c in page.charts)


def test_the_comparison_is_never_written_over_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["report", *(str(folder / "runs" / f"n{n}") for n in SIZES)]
    assert run(words) == 0
    before = (tmp_path / "comparison.html").read_bytes()
    assert run(words) == 4
    assert run([*words, "--output", "other.pdf"]) == 2
    assert "other.html" in capfd.readouterr().err
    assert run([*words, "--force"]) == 0
    assert (tmp_path / "comparison.html").read_bytes() == before


def test_other_formats_print_the_figures(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert run(["report", str(folder / "runs"), "--format", "json"]) == 0
    got = json.loads(capfd.readouterr().out)
    for one, record in zip(got, records(folder), strict=True):
        result = record["result"]
        for key in ("params", "epochs", "best_epoch", "val_accuracy", "test_accuracy", "test_loss"):
            assert one[key] == result[key]
        assert one["settings"]["recipe.epochs"] == record["recipe"]["epochs"]
    assert set(got[0]["settings"]) == {"recipe.network", "recipe.epochs"}
    assert run(["report", str(folder / "runs"), "--format", "markdown"]) == 0
    assert "| n8 |" in capfd.readouterr().out
    assert run(["report", str(folder / "runs" / "n8"), "--format", "csv"]) == 0
    assert capfd.readouterr().out.count("\n") == 2
    assert not list(Path.cwd().glob("comparison.html"))


def test_a_format_and_a_page_together(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    target = tmp_path / "page.html"
    words = ["report", str(folder / "runs" / "n1"), "--format", "json", "-o", str(target)]
    assert run(words) == 0
    assert json.loads(capfd.readouterr().out)[0]["run"] == "n1"
    check_page(target.read_text(encoding="utf-8"))


def test_what_is_no_run(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(tmp_path)]) == 3
    assert "there is no run in" in capfd.readouterr().err
    (tmp_path / "sweep.json").write_text("{}")
    assert run(["report", str(tmp_path)]) == 3
    assert f"convcli sweep --resume {tmp_path}" in capfd.readouterr().err
    (tmp_path / "sweep.json").unlink()
    assert run(["report", str(tmp_path / "nowhere")]) == 3
    (tmp_path / "run.json").write_text("{")
    assert run(["report", str(tmp_path), str(folder / "runs")]) == 3
    assert "is no JSON" in capfd.readouterr().err
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "history.csv").write_text("number,val_loss\none,two\n")
    assert run(["report", str(tmp_path)]) == 3
    assert "is no history of epochs" in capfd.readouterr().err


def test_a_sweep_leaves_its_page(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place, network = tmp_path / "sweep", "input 8x8x1, conv {n} 3 relu, gap, dense 4 softmax"
    words = ["sweep", f"let n = 1, {network}", "n=1,2,8", "lr=0.01", "--epochs", "2"]
    words += ["--data", str(folder / "quadrants.npz"), "--out", str(place), "--format", "json"]
    assert run(words) == 0
    best = next(one for one in json.loads(capfd.readouterr().out)["trials"] if one["best"])
    page = check_page((place / "report.html").read_text(encoding="utf-8"))
    text = " ".join(page.words)
    assert f"{best['val_accuracy']['mean']:.2%}" in text
    assert f"n={best['values']['n']} lr=0.01" in text
    for chart in ("Accuracy over n", "Loss over n", "Loss over the number of", "Loss by epoch"):
        assert chart in text
    compared = tmp_path / "compared.html"
    assert run(["report", str(place), "-o", str(compared), "--quiet"]) == 0
    cells = check_page(compared.read_text(encoding="utf-8")).cells
    assert ["Run", "N"] in cells  # what was tried is a setting that differs
    assert ["n=8 lr=0.01", "8"] in cells


def test_folds_have_their_mean_and_deviation(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "input 8x8x1, conv 2 3 relu, gap, dense 4 softmax", "--folds", "3"]
    words += ["--data", str(folder / "quadrants.npz"), "--epochs", "1", "--quiet"]
    assert run([*words, "-o", str(tmp_path / "folds")]) == 0
    capfd.readouterr()
    page = tmp_path / "page.html"
    assert run(["report", str(tmp_path / "folds"), "-o", str(page), "--format", "json"]) == 0
    accuracies = [one["val_accuracy"] for one in json.loads(capfd.readouterr().out)]
    mean, deviation = statistics.fmean(accuracies), 100 * statistics.stdev(accuracies)
    text = page.read_text(encoding="utf-8")
    assert f"{mean:.2%} ± {deviation:.2f}" in text
    assert run(["report", str(folder / "runs"), "-o", str(tmp_path / "two.html")]) == 0
    assert "±" not in (tmp_path / "two.html").read_text(encoding="utf-8")  # two networks


def test_runs_without_anything_to_draw(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    target = tmp_path / "page.html"
    assert run(["report", str(tmp_path / "a"), str(tmp_path / "b"), "-o", str(target)]) == 0
    text = " ".join(check_page(target.read_text(encoding="utf-8")).words)
    assert "all settings are the same" in text
    assert "No run has finished an epoch" in text
    assert "there is nothing to draw" in text
    assert run(["report", str(tmp_path / "a"), "-o", str(tmp_path / "one.html")]) == 0


def test_runs_on_two_data_sets_are_not_ranked_against_each_other(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One best run for each data set, and no line from one data set to another."""
    (tmp_path / "other").mkdir()
    data = str(write_quadrants(tmp_path / "other", count=120))
    words = ["train", "input 8x8x1, conv 4 3 relu, gap, dense 4 softmax", "--data", data]
    assert run([*words, "--epochs", "1", "--quiet", "-o", str(tmp_path / "n4")]) == 0
    capfd.readouterr()
    page = tmp_path / "two.html"
    runs = [str(folder / "runs" / "n1"), str(folder / "runs" / "n8"), str(tmp_path / "n4")]
    assert run(["report", *runs, "-o", str(page), "--format", "json"]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("Best on validation samples of ") == 2
    for name in ("training", "validation"):
        assert f"{name}, {data}" in text
    assert text.count(f"<figcaption>Accuracy by epoch on {data}: ") == 1
    assert len(re.findall(r"<figcaption>Accuracy by epoch on ", text)) == 2
    got = json.loads(capfd.readouterr().out)
    assert [one["data"] for one in got] == [one["data"] for one in records(folder)] + [data]
