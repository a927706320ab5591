"""From what a user writes to a kernel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from convcli.errors import UsageError, did_you_mean
from convcli.kernels.families import FAMILIES
from convcli.kernels.operations import OPERATIONS, Operation, refuse_elsewhere
from convcli.kernels.parse import parse_rows
from convcli.kernels.table import KERNELS, MAGNITUDES
from convcli.kernels.value import Kernel, Magnitude, convolved

AnyKernel = Kernel | Magnitude

MOST_COMBINED = 129
"""Cells along a side of a chain's one kernel."""

ROWS = re.compile(r"[;\n\[\]]|^\s*[-+.\d\N{MINUS SIGN}]")
"""What only rows of numbers contain or begin with; no name does."""


def find(spec: str) -> AnyKernel:
    """Return the kernel that a user wrote.

    Args:
        spec: a name or alias (`sobel-x`, `blur`), a family with parameters (`gaussian:sigma=2`), or
            rows (`"1 0 -1; 1 0 -1; 1 0 -1"`). Names are not case-sensitive and may have `_` for
            `-`. A name of the table wins over a family's defaults, so that a bare `log` is the
            classic matrix; bare gradient operators are magnitudes.

    Raises:
        UsageError: unknown name (with the nearest), wrong parameters, malformed rows.

    >>> find("sobel-x").rows
    ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))
    >>> find("Emboss_GIMP").name
    'emboss'
    >>> find("sobel").components[1].name
    'sobel-y'
    >>> len(find("gaussian:sigma=2").column)
    17
    """
    found = find_step(spec)
    if isinstance(found, Operation):
        raise UsageError(f"{found.name} is a step of a chain (filter -k), and no kernel.")
    return found


def find_step(spec: str) -> AnyKernel | Operation:
    """Return the step of a chain that a user wrote: what `find` takes, or an operation.

    >>> find_step("threshold:50%").values
    {'level': '50%'}
    """
    if not spec.strip():
        raise UsageError("No kernel was given. List them: convcli kernels")
    if ROWS.search(spec):
        return parse_rows(spec)
    word, _, written = spec.strip().partition(":")
    name = re.sub(r"[\s_]+", "-", word.strip().lower())
    if name in by_name() and not written.strip():
        return by_name()[name]
    if name in FAMILIES:
        return FAMILIES[name].build(written)
    if name in OPERATIONS:
        return OPERATIONS[name].build(written)
    if name in by_name():
        raise UsageError(f"The kernel {name} has no parameters; these have: {', '.join(FAMILIES)}.")
    refuse_elsewhere(name)
    shown = name if len(name) <= 40 else name[:40] + "..."
    raise UsageError(
        f"There is no kernel called {shown!r}.{did_you_mean(name, (*names(), *OPERATIONS))} "
        "List them: convcli kernels"
    )


def combine(kernels: Sequence[AnyKernel]) -> Kernel:
    """Return the one kernel that a chain of linear kernels equals, away from the borders.

    Convolution is associative: (picture * a) * b = picture * (a * b).

    >>> combine([find("1 1"), find("1 -1")]).rows
    ((1, 0, -1, 0),)

    A chain of two kernels of even size reaches further to one side than a kernel of that size
    would, which a row or column of zeros makes good.

    Raises:
        UsageError: a magnitude is not linear, an offset no part of a kernel, or it is too large.
    """
    for kernel in kernels:
        if isinstance(kernel, Magnitude) or kernel.offset:
            what = "a magnitude" if isinstance(kernel, Magnitude) else "a kernel with an offset"
            raise UsageError(f"{kernel.name} is {what}: such a chain is no one kernel.")
    first, *others = (kernel for kernel in kernels if isinstance(kernel, Kernel))
    rows, divisor, center = first.rows, first.divisor, first.center
    for kernel in others:
        if max(len(rows), len(rows[0])) + max(kernel.size_hw) > MOST_COMBINED:
            raise UsageError(f"The one kernel would have more than {MOST_COMBINED} cells a side.")
        rows, divisor = convolved(rows, kernel.rows), divisor * kernel.divisor
        center = center[0] + kernel.center[0], center[1] + kernel.center[1]
    width = len(rows[0]) + (center[1] != len(rows[0]) // 2)
    rows = tuple((*line, *(0,) * (width - len(line))) for line in rows)
    rows = (*rows, *((0,) * width,) * (center[0] != len(rows) // 2))
    name = " then ".join(kernel.name for kernel in kernels)
    return Kernel(name, rows, divisor=divisor, source="the kernels of the chain, convolved")


def all_kernels() -> tuple[AnyKernel, ...]:
    """Return every named kernel, magnitudes before the components of their group."""
    gradient = next(i for i, kernel in enumerate(KERNELS) if kernel.group == "gradient")
    return (*KERNELS[:gradient], *MAGNITUDES, *KERNELS[gradient:])


def choose(*, group: str | None = None, search: str | None = None) -> tuple[AnyKernel, ...]:
    """Return the kernels of a group that have a word in name, aliases, source or notes.

    >>> [kernel.name for kernel in choose(group="sharpen", search="unsharp")]
    ['unsharp-5', 'unsharp-3', 'unsharp-matlab-0.2']
    """
    kernels = all_kernels()
    groups = tuple(dict.fromkeys(kernel.group for kernel in kernels))
    if group is not None and group not in groups:
        raise UsageError(
            f"There is no group {group!r}; there are {', '.join(groups)}."
            f"{did_you_mean(group, groups)}"
        )
    word = (search or "").lower()
    chosen = tuple(
        kernel
        for kernel in kernels
        if group in {None, kernel.group}
        and word in " ".join((kernel.name, *kernel.aliases, kernel.source, kernel.notes)).lower()
    )
    if not chosen:
        raise UsageError(f"No kernel mentions {search!r}. List all: convcli kernels")
    return chosen


def names() -> tuple[str, ...]:
    return tuple(dict.fromkeys((*by_name(), *FAMILIES)))


@cache
def by_name() -> dict[str, AnyKernel]:
    """Return the table by name and alias."""
    found: dict[str, AnyKernel] = {}
    for kernel in all_kernels():
        for name in (kernel.name, *kernel.aliases):
            if name in found:
                raise ValueError(
                    f"two kernels are called {name}: {found[name].name}, {kernel.name}"
                )
            found[name] = kernel
    return found
