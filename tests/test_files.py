"""Files appear whole or not at all, and nothing is replaced by accident."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from convcli.errors import InputError, OutputExistsError, UsageError
from convcli.files import new_file, write_text


def test_a_new_file_is_written_with_usual_permissions(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "whole\n")
    plain = tmp_path / "b.txt"
    plain.write_text("")
    assert (tmp_path / "a.txt").read_text() == "whole\n"
    assert (tmp_path / "a.txt").stat().st_mode == plain.stat().st_mode


def test_threads_that_finish_files_leave_the_mask_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_mask = os.umask

    def slowly(mask: int) -> int:
        before = set_mask(mask)
        time.sleep(0.002)  # another thread's turn, between the two calls that read the mask
        return before

    monkeypatch.setattr(os, "umask", slowly)
    mask = set_mask(0o027)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: write_text(tmp_path / str(n), ""), range(16)))
        assert set_mask(0o027) == 0o027
    finally:
        set_mask(mask)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_in_the_middle_leaves_the_old_file(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(failure), new_file(path, force=True) as temporary:
        temporary.write_text("half")
        raise failure
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


ENDS_WHILE_A_THREAD_WRITES = """
import sys, threading
from pathlib import Path
from convcli.cli.main import main
from convcli.files import new_file
begun = threading.Event()
def write():
    with new_file(Path(sys.argv[1])) as temporary:
        temporary.write_text("half")
        begun.set()
        threading.Event().wait()
threading.Thread(target=write, daemon=True).start()
begun.wait()
main(["--version"])
"""


def test_a_process_that_ends_leaves_nothing_of_its_threads(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDS_WHILE_A_THREAD_WRITES, str(tmp_path / "a.txt")]
    got = subprocess.run(command, capture_output=True, text=True, check=True)
    assert got.stdout.startswith("convcli ")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OutputExistsError, match="--force"):
        write_text(path, "new")
    write_text(path, "new", force=True)
    assert path.read_text() == "new"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(OutputExistsError, match="appeared"), new_file(path) as temporary:
        temporary.write_text("ours")
        path.write_text("theirs")
    assert path.read_text() == "theirs"


@pytest.mark.parametrize("refusal", [None, errno.EPERM, errno.EXDEV, errno.ENOTSUP])
def test_files_are_written_where_there_are_no_hard_links(
    refusal: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(refusal, "no hard links")

    if refusal is None:
        monkeypatch.delattr(os, "link")
    else:
        monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "out.txt"
    write_text(target, "mine")
    assert target.read_text() == "mine"
    with (
        pytest.raises(OutputExistsError, match="appeared while"),
        new_file(tmp_path / "late.txt") as temporary,
    ):
        temporary.write_text("mine")
        (tmp_path / "late.txt").write_text("another's")
    assert (tmp_path / "late.txt").read_text() == "another's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["late.txt", "out.txt"]


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("precious")
    alias = tmp_path / "alias.txt"
    alias.symlink_to(path)
    with pytest.raises(UsageError, match="is an input"):
        write_text(alias, "new", force=True, inputs=[path])
    assert path.read_text() == "precious"


def test_a_missing_folder_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mkdir -p"):
        write_text(tmp_path / "no" / "a.txt", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="not writable"):
        write_text(tmp_path / "a.txt", "x")


def test_a_symlink_loop_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop.txt"
    loop.symlink_to(loop)
    with pytest.raises(OutputExistsError):
        write_text(loop, "x")
