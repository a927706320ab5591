"""Effort that no other work on the machine changes: function calls instead of seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def at_most_calls(limit: int) -> Iterator[None]:
    """Fail as soon as the block has made more than `limit` calls, built-in functions' included."""
    done = 0

    def count(_: object, event: str, __: Any) -> None:
        nonlocal done
        done += event.endswith("call")
        if done > limit:
            sys.setprofile(None)
            raise AssertionError(f"more than {limit:,} calls were made")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
