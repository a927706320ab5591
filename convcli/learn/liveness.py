"""Whether the process that a run's record names is still there."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """Return what tells this process from every other, for a run's record."""
    return {"host": platform.node(), "pid": os.getpid(), "began": _began(os.getpid())}


def has_ended(process: object) -> bool:
    """Tell whether the process that a record names is known to have ended.

    One of another machine, or of a system that does not tell, may still be there.

    >>> has_ended(this_process()), has_ended(this_process() | {"began": "another"})
    (False, True)
    """
    if not isinstance(process, dict) or process.get("host") != platform.node():
        return False
    pid, began = process.get("pid"), process.get("began")
    return began is not None and isinstance(pid, int) and _began(pid) != began


def _began(pid: int) -> str | None:
    """Return when a process began, in the system's own ticks; None without such a process.

    The number alone would not do: it is given anew to a later process.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
