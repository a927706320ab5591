"""An edit of one source removes the compiled code of all, as inlined code crosses files."""

from __future__ import annotations

import os
from pathlib import Path

from convcli.engine.stale import remove_stale_code


def test_code_of_other_sources_goes_and_code_of_these_stays(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    inlined, caller = tmp_path / "inlined.py", tmp_path / "inner" / "caller.py"
    inlined.write_text("old")
    caller.write_text("uses inlined")
    code = tmp_path / "inner" / "__pycache__" / "caller.f-1.py311.nbi"
    code.parent.mkdir()

    code.write_bytes(b"of nobody knows what")
    assert remove_stale_code(tmp_path) == 1
    assert not code.exists()

    code.write_bytes(b"of these sources")
    assert remove_stale_code(tmp_path) == 0
    assert code.exists()

    inlined.write_text("new")
    os.utime(inlined, (1, 1))
    assert remove_stale_code(tmp_path) == 1
    assert not code.exists()
    assert remove_stale_code(tmp_path) == 0
