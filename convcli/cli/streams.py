"""Standard streams that take every text and every byte, whatever the process was started with."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

SPELLED = {"…": "...", "×": "x", "→": "->", "≥": ">=", "≤": "<=", "–": "-", "•": "*", "·": "."}
ERRORS = "convcli-spelled"


def prepare_streams() -> None:
    """Make stdout and stderr usable: open, and never at a loss for a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # started with `>&-`
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  (until exit)
            setattr(sys, name, nowhere)
            continue
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors=ERRORS)


def write_whole() -> None:
    """Buffer a stdout that PYTHONUNBUFFERED made raw: a raw file may take less than it is given."""
    stream: Any = sys.stdout
    if isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        encoding = stream.encoding
        buffered = io.BufferedWriter(stream.detach())
        sys.stdout = io.TextIOWrapper(buffered, encoding=encoding, line_buffering=True)


def spelled(problem: UnicodeError) -> tuple[str, int]:
    r"""Return what a stream's encoding has no character for as ASCII, in the way of JSON.

    >>> "\u2502 3×4…\u00e9".encode("ascii", ERRORS)
    b'| 3x4...\\u00e9'
    """
    if isinstance(problem, UnicodeDecodeError):
        return "\ufffd", problem.end  # a stream that is read as well, as a test's is
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    text = problem.object[problem.start : problem.end]
    return "".join(map(_character, text)), problem.end


def _character(character: str) -> str:
    if "\u2500" <= character <= "\u257f":  # what tables and help are drawn with
        return {"─": "-", "━": "-", "═": "-", "│": "|", "┃": "|", "║": "|"}.get(character, "+")
    if "\u2580" <= character <= "\u259f" or "\u2800" <= character <= "\u28ff":
        return "#"  # blocks and dots of charts
    if character in SPELLED:
        return SPELLED[character]
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


codecs.register_error(ERRORS, spelled)
