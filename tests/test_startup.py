"""Start-up is a feature: what a command does not need, it does not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "jinja2",
    "matplotlib",
    "numpy",
    "numba",
    "llvmlite",
    "PIL",
    "scipy",
    "torch",
    "safetensors",
    "pydantic",
}

BANNED: dict[tuple[str, ...], set[str]] = {
    ("show", "filters", "--help"): HEAVY,
    ("explain", "forward", "--help"): HEAVY,
    ("convolutionalize", "--help"): HEAVY,
    ("train", "--help"): HEAVY,
    ("lr-find", "--help"): HEAVY,
    ("sweep", "--help"): HEAVY,
    ("--version",): HEAVY | {"rich"},
    ("shape", "resnet50", "--format", "json"): HEAVY | {"rich"},
    ("shape", "resnet50", "--format", "plain"): HEAVY | {"rich"},
    ("shape", "resnet50", "--format", "table"): HEAVY,
    ("compare", "resnet18", "resnet34"): HEAVY | {"rich"},
    ("presets",): HEAVY | {"rich"},
    ("kernels",): HEAVY | {"rich"},
    ("lesson",): HEAVY | {"rich"},
    ("data",): {"matplotlib", "numba", "llvmlite", "PIL", "scipy", "torch", "rich"},
    ("kernels", "sobel-x"): HEAVY | {"rich"},
    ("export", "--help"): HEAVY | {"onnx", "h5py", "keras"},
    ("import", "--help"): HEAVY | {"onnx", "h5py", "keras"},
    ("features", "--help"): HEAVY,
}


def loaded_by(words: tuple[str, ...]) -> set[str]:
    """Run the command line in a fresh interpreter and return the packages it imported."""
    script = (
        "import sys\n"
        "from convcli.cli.main import run\n"
        f"code = run({list(words)!r})\n"
        "assert code == 0, code\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    got = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert got.returncode == 0, got.stderr
    return set(got.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", BANNED, ids=" ".join)
def test_a_command_imports_only_what_it_needs(words: tuple[str, ...]) -> None:
    assert loaded_by(words) & BANNED[words] == set()


def test_the_public_names_load_on_first_use() -> None:
    script = "import sys, convcli; dir(convcli); print('numpy' in sys.modules)"
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert got.stdout == "False\n"


def test_runs_are_compared_without_the_engine(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"network": "input 4, dense 2 softmax"}')
    got = loaded_by(("report", str(tmp_path), "--format", "json"))
    assert got & (HEAVY | {"rich"}) == set()


def test_a_mistake_in_a_sweep_is_told_before_anything_is_loaded() -> None:
    script = (
        "import sys\n"
        "from convcli.cli.main import run\n"
        "assert run(['sweep', 'rps', 'n=1,2', 'learning=0.1']) == 2\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    got = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "there is no setting 'learning'" in got.stderr
    assert set(got.stdout.split()) & (HEAVY | {"rich", "joblib", "distributed", "optuna"}) == set()


def test_a_training_draws_its_page_without_matplotlib(tmp_path: Path) -> None:
    words = ("train", "input 28x28x1, conv 2 3 relu, maxpool 4, flatten, dense 10 softmax")
    more = ("--data", "digits", "--samples", "60", "--epochs", "1", "-o", str(tmp_path / "run"))
    got = loaded_by((*words, *more, "--quiet"))
    assert "matplotlib" not in got
    assert (tmp_path / "run" / "report.html").is_file()
