"""Compiled code between runs: in the user's cache, and never a reason to fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convcli
from convcli.engine.filter_plan import compiled_code_runs

pytestmark = pytest.mark.skipif(
    not compiled_code_runs(), reason="with NUMBA_DISABLE_JIT=1 nothing is compiled"
)
FILTER = ["filter", "matrix.csv", "-k", "1 2 1", "--engine", "numba", "--format", "plain"]
PACKAGE = Path(convcli.__file__).parent


def command(words: list[str], folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, with its cache in `folder` unless said otherwise."""
    (folder / "matrix.csv").write_text("1,2,3\n4,5,6\n7,8,9\n")
    environment = os.environ | {"CONVCLI_CACHE": str(folder / "cache")} | settings
    environment = {name: value for name, value in environment.items() if value}
    return subprocess.run(
        [sys.executable, "-m", "convcli", *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def code_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.nb[ic]"))


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which a filter has run, and what it printed."""
    folder = tmp_path_factory.mktemp("warm")
    before = code_in(PACKAGE)
    said = command(FILTER, folder)
    assert said.returncode == 0, said.stderr
    assert len(code_in(folder / "cache")) >= 2
    assert code_in(PACKAGE) == before, "nothing is written beside the sources"
    return folder, said.stdout


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def scrambled(content: bytes) -> bytes:
    return np.random.default_rng(1).bytes(len(content))


def bit_flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = truncated, scrambled, bit_flipped, lambda _: b""


@pytest.mark.parametrize("turn", [0, 1], ids=["one half", "the other half"])
def test_damaged_code_is_compiled_again_and_said(turn: int, warm: tuple[Path, str]) -> None:
    folder, ref = warm
    for suffix in (".nbi", ".nbc"):
        files = [path for path in code_in(folder / "cache") if path.suffix == suffix]
        for number, path in enumerate(files):
            path.write_bytes(DAMAGES[(2 * turn + number) % 4](path.read_bytes()))
    said = command(FILTER, folder)
    assert (said.returncode, said.stdout) == (0, ref), said.stderr
    assert said.stderr.count("was damaged; it is compiled again.") == 1
    said = command(FILTER, folder)
    assert (said.returncode, said.stdout, said.stderr) == (0, ref, "")


def test_doctor_finds_and_mends_damaged_code(warm: tuple[Path, str]) -> None:
    folder, ref = warm
    first = code_in(folder / "cache")[0]
    first.write_bytes(b"nonsense")
    words = ["doctor", "--format", "json"]
    said = command(words, folder)
    assert said.returncode == 0, said.stderr
    got = json.loads(said.stdout)
    assert got["damaged and removed"] == 1
    assert not first.exists()
    assert first.is_relative_to(got["compiled code"])
    assert json.loads(command(words, folder).stdout)["damaged and removed"] == 0
    assert command(FILTER, folder).stdout == ref


def test_a_cache_that_cannot_be_made_costs_time_alone(
    tmp_path: Path, warm: tuple[Path, str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    settings = {"CONVCLI_CACHE": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}
    said = command(FILTER, tmp_path, **settings)
    assert (said.returncode, said.stdout) == (0, warm[1]), said.stderr
    said = command(["doctor", "--format", "plain"], tmp_path, **settings)
    assert said.returncode == 0, said.stderr
    assert f"{tmp_path / 'file'} cannot be made" in said.stdout
    left = [path.name for path in tmp_path.iterdir()]
    assert sorted(left) == ["file", "matrix.csv"], "the private folder goes at exit"


def test_places_are_asked_in_order(tmp_path: Path) -> None:
    script = "from convcli.engine.numba_cache import cache_folder; print(cache_folder())"
    settings = {
        "CONVCLI_CACHE": tmp_path / "a",
        "NUMBA_CACHE_DIR": tmp_path / "b",
        "XDG_CACHE_HOME": tmp_path / "c",
    }
    for variable, place in list(settings.items()):
        environment = {
            k: v for k, v in os.environ.items() if k not in {"CONVCLI_CACHE", "NUMBA_CACHE_DIR"}
        }
        environment |= {name: str(value) for name, value in settings.items()}
        got = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        if variable != "XDG_CACHE_HOME" or sys.platform == "linux":
            assert Path(got.stdout.strip()).is_relative_to(place)
        del settings[variable]


def test_code_of_other_sources_and_of_installations_that_are_gone_goes(tmp_path: Path) -> None:
    """When something is compiled; to import the package removes nothing."""
    doctor = command(["doctor", "--format", "json"], tmp_path)
    current = Path(json.loads(doctor.stdout)["compiled code"])
    older, gone = current.with_name("older"), tmp_path / "cache" / "gone"
    strange = tmp_path / "cache" / "not-ours"
    for other in (older, gone, strange):
        other.mkdir()
    (gone / "compiled-from").write_text(str(tmp_path / "removed" / "convcli"))
    subprocess.run(
        [sys.executable, "-c", "import convcli.engine.compilation, convcli.engine.filter_job"],
        env=os.environ | {"CONVCLI_CACHE": str(tmp_path / "cache")}, check=True,
    )  # fmt: skip
    assert older.exists()
    assert gone.exists()
    said = command(FILTER, tmp_path)
    assert said.returncode == 0, said.stderr
    assert current.exists()
    assert not older.exists()
    assert not gone.exists()
    assert strange.exists()


SCIPY_STAYS = """
import sys, threading
import numpy as np
from convcli.engine.filter import apply
before = dict(sys.modules), sys.getswitchinterval()
assert all(module is not None for module in before[0].values())
seen = []
sys.meta_path.insert(0, type("Watch", (), {"find_spec": staticmethod(
    lambda name, *_: seen.append(sys.modules.get("scipy.linalg", "absent")))}))
apply(np.zeros((64, 64), np.uint8), np.ones((3, 3)), engine="numba", threads=1)
assert None not in seen, "hidden for a moment"
assert sys.getswitchinterval() == before[1]
import scipy.linalg
assert scipy.linalg.det(np.eye(2)) == 1.0
"""


def test_the_library_leaves_the_state_of_others_alone() -> None:
    """Nothing is hidden from an import, not for a moment."""
    pytest.importorskip("scipy", reason="what was hidden is scipy.linalg")
    got = subprocess.run(
        [sys.executable, "-c", SCIPY_STAYS], capture_output=True, text=True, check=False
    )
    assert got.returncode == 0, got.stderr


def test_the_command_does_without_linear_algebra(tmp_path: Path) -> None:
    """SciPy takes 0.14 s to load, and Numba asks for it only to learn whether it is there."""
    pytest.importorskip("scipy", reason="what is not loaded is scipy.linalg")
    (tmp_path / "matrix.csv").write_text("1,2,3\n4,5,6\n7,8,9\n")
    script = (
        "import sys\n"
        "from convcli.cli.main import run\n"
        f"code = run({[*FILTER, '--quiet']!r})\n"
        "print('numba' in sys.modules, 'scipy.linalg' in sys.modules)\n"
        "import scipy.linalg\n"
    )
    got = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert got.stdout.splitlines()[-1:] == ["True False"], got.stdout + got.stderr
    assert got.returncode == 0, got.stderr


def test_other_packages_keep_numbas_own_cache(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "import convcli.engine.compilation\n"
        "from numba import njit\n"
        "@njit(cache=True)\n"
        "def twice(x):\n"
        "    return 2 * x\n"
        "print(twice(21))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    got = subprocess.run(
        [sys.executable, "-c", "import other"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert got.stdout == "42\n"
    assert len(code_in(tmp_path / "__pycache__")) == 2
