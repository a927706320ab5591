"""What can go wrong, and the exit code that scripts see for it.

Every message is a fact with its numbers, the place, and a way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the command line; scripts rely on them."""

    DONE = 0
    BUG = 1
    USAGE = 2
    INPUT = 3
    OVERWRITE = 4
    CHECK = 5
    INTERRUPTED = 130


class ConvcliError(Exception):
    """Base of everything convcli raises on purpose; carries its exit code."""

    exit_code: ExitCode = ExitCode.INPUT


class UsageError(ConvcliError, ValueError):
    """The call is wrong: unknown option, kernel or preset, malformed kernel or notation (2)."""

    exit_code = ExitCode.USAGE


class WrongTypeError(UsageError, TypeError):
    """A Python value is of a type that means nothing here (2)."""


class InputError(ConvcliError, ValueError):
    """What was read cannot be used: file contents, unfitting network, missing data or extra (3)."""


class MissingFileError(InputError, FileNotFoundError):
    """A file that was named is not there (3)."""


class OutputExistsError(ConvcliError):
    """An existing file stands where the output should go (4)."""

    exit_code = ExitCode.OVERWRITE


class CheckError(ConvcliError):
    """Everything ran, and a check that was asked for did not hold (5)."""

    exit_code = ExitCode.CHECK


def cannot_read(place: object, problem: OSError) -> InputError:
    """Return the error for a file that could not be read, a `MissingFileError` where it is missing.

    >>> cannot_read("a.csv", PermissionError(13, "Permission denied"))
    InputError('Cannot read a.csv: Permission denied.')
    """
    kind = MissingFileError if isinstance(problem, FileNotFoundError) else InputError
    return kind(f"Cannot read {place}: {problem.strerror or problem}.")


def nearest_names(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` known names that look like `word`, best first.

    >>> nearest_names("sobl-x", ["sobel-x", "sobel-y", "emboss"])
    ['sobel-x', 'sobel-y']
    """
    return difflib.get_close_matches(word.lower(), list(known), n=count, cutoff=0.6)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean ...?` for the nearest known names, or an empty string.

    >>> did_you_mean("gausian", ["gaussian", "box"])
    ' Did you mean gaussian?'
    >>> did_you_mean("xyz", ["gaussian", "box"])
    ''
    """
    names = nearest_names(word, known)
    return f" Did you mean {' or '.join(names)}?" if names else ""


def listed(names: Sequence[str]) -> str:
    """Return names with commas between them, those in the middle of many left out.

    >>> listed([f"pixel{n}" for n in range(784)])
    'pixel0, pixel1, pixel2, pixel3, pixel4, ..., pixel783'
    """
    return ", ".join(names if len(names) <= 12 else [*names[:5], "...", names[-1]])


def missing_extra(package: str, extra: str, purpose: str) -> InputError:
    """Return the error for an optional package that is not installed, with the way to get it.

    >>> print(missing_extra("onnx", "onnx", "ONNX files"))
    ONNX files need the package onnx, which is not installed. Run: pip install 'convcli[onnx]'
    """
    return InputError(
        f"{purpose} need the package {package}, which is not installed. "
        f"Run: pip install 'convcli[{extra}]'"
    )
