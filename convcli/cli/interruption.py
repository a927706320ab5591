"""Ctrl-C, a polite kill and a terminal that has gone: a command ends in its own time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
"""What asks a program to end; not every system has all of them."""


@contextmanager
def handling(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    """Let `handler` have these signals for a while; only the main thread may, others do without.

    A signal that is ignored stays so: a job in the background keeps running at Ctrl-C, one under
    nohup when its terminal goes.
    """
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@dataclass(slots=True)
class Interruption:
    """Notes that the program is to end, so that a step is finished first; a second time obeys."""

    wanted: bool = False
    _context: Any = field(default=None, repr=False)

    def __enter__(self) -> Interruption:
        """Take the signals over."""
        self._context = handling(self._note)
        self._context.__enter__()
        return self

    def __exit__(self, *problem: Any) -> None:
        """Give the signals back."""
        self._context.__exit__(*problem)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
