"""Text tables of measurements: which column is what, and the rows as numbers.

Read as they are: comma separated values with a header, those of the UCI occupancy data (rows with
one cell more than the header, a row number), and WISDM's accelerometer file (no header, lines that
end in a semicolon: user, activity, time, x, y, z).
"""

from __future__ import annotations

import csv
import math
import re
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.arrayfiles import MAX_BYTES, check_bytes
from convcli.data.dataset import ALLOW, Samples
from convcli.errors import InputError, UsageError, cannot_read, did_you_mean

LABEL_NAMES = ("label", "class", "activity", "target", "occupancy", "y")
TIME_NAMES = ("time", "timestamp", "date", "datetime", "seconds", "t")
GROUP_NAMES = ("user", "subject", "person", "recording", "session", "group")
MOST_LABELS = 100
"""A column of whole numbers with more values than this is no label column unless named."""
MOST_BROKEN = 0.02
"""The share of rows that may be unreadable before the whole file is."""
BYTES_A_ROW = 24
"""Of a row's label, group and segment."""
BLOCK_ROWS = 2048
PIXEL = re.compile(r"pixel[_-]?\d+([_-]\d+)?")
"""A column of a picture in a row, as Kaggle and scikit-learn name them."""
_PROBED = 2000
"""So many rows decide what each column is."""
_WISDM = ("user", "activity", "timestamp", "x", "y", "z")


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of measurements in time.

    Attributes:
        values: float32, rows x channels; uint8 where they are pixels.
        labels: one text per row; empty where values are learned.
        targets: float32, rows x values to be learned, or None.
        target_names: of its columns.
        segments: int64 per row; it changes where time does not run on: another person or
            recording, or a row that could not be read.
        groups: one text per row where the file says who or which recording, else empty.
        channel_names: of the columns of `values`.
        notes: what was assumed or passed over.
        timed: whether a column says when each row was measured.
        interval: seconds from row to row by that column; None where it does not tell.
    """

    values: Samples
    labels: tuple[str, ...]
    targets: NDArray[np.float32] | None
    target_names: tuple[str, ...]
    segments: NDArray[np.int64]
    groups: tuple[str, ...]
    channel_names: tuple[str, ...]
    notes: tuple[str, ...]
    timed: bool
    interval: float | None = None


class _Roles(NamedTuple):
    label: int | None
    targets: tuple[int, ...]
    group: int | None
    channels: tuple[int, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Columns that every row needs a number in."""
        return (*self.channels, *self.targets)


def read_table(
    path: Path,
    *,
    label: str | None = None,
    group: str | None = None,
    task: str | None = None,
    forecast: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Table:
    """Return the measurements in a text file.

    A column of labels is found by its name, or as the only column of texts, or as a last column of
    few whole numbers. Several columns, and one of numbers that are not whole or of many different
    ones, are values to be learned.

    Args:
        path: of the file.
        label: the column of labels, or several with commas between them.
        group: the column of a person or recording; found by its name when left out.
        task: what the labels are, see `convcli.data.dataset.TASKS`.
        forecast: the columns of labels are measurements, too; without any, all are to be learned.
        max_bytes: that the rows may take.
    """
    names, extra, first = _columns(path)
    probe = [cells[extra:] for _, cells in islice(_rows(path, first), _PROBED)]
    roles = _find_roles(path, names, probe, label, group, task, forecast=forecast)
    pixels = all(PIXEL.fullmatch(names[at].lower()) for at in roles.channels)
    values: array[Any] = array("B" if pixels and not roles.targets else "f")
    labels: list[str] = []
    groups: list[str] = []
    segments = array("q")
    broken: list[int] = []
    segment, last_group, gap = 0, "", False
    for lines in _blocks(path, first):
        block = _parsed([text for _, text in lines], roles, len(names), extra)
        if block is None:  # a row at a time, to find those that cannot be read
            rows = [(line, _read_row(text, roles, len(names), extra)) for line, text in lines]
        else:
            plain = _texts([text for _, text in lines], roles, extra)
            rows = list(zip((line for line, _ in lines), plain, strict=True))
        kept = [row for _, row in rows if row is not None]
        numbers = block if block is not None else np.array([row.numbers for row in kept], "f")
        if values.typecode == "B" and not _are_bytes(numbers):
            values = array("f", np.frombuffer(values, np.uint8).astype("f").tobytes())
        values.frombytes(numbers.astype(values.typecode).tobytes())
        for line, row in rows:
            if row is None:
                broken.append(line)
                gap = True
                continue
            segment += gap or row.group != last_group
            last_group, gap = row.group, False
            labels.append(row.label)
            groups.append(row.group)
            segments.append(segment)
        check_bytes(
            f"{path}: its rows up to line {lines[-1][0]} take",
            len(segments) * BYTES_A_ROW + values.itemsize * len(values),
            max_bytes,
            ALLOW,
        )
    total = len(segments) + len(broken)
    if len(broken) > MOST_BROKEN * total:
        raise InputError(
            f"{path}: {len(broken):,} of {total:,} rows cannot be read as {len(names)} cells "
            f"with numbers in {', '.join(names[i] for i in roles.channels)}; first line "
            f"{broken[0]}."
        )
    notes = []
    if roles.label is not None:
        notes.append(f"{path.name}: labels are in the column {names[roles.label]!r}.")
    elif not forecast:
        told = ", ".join(repr(names[at]) for at in roles.targets)
        notes.append(f"{path.name}: the values to learn are in {told}.")
    if broken:
        notes.append(
            f"{path.name}: {len(broken):,} of {total:,} rows could not be read and were "
            f"passed over, first line {broken[0]}; no window runs across them."
        )
    whole = np.frombuffer(values, values.typecode).reshape(len(segments), -1)
    return Table(
        np.ascontiguousarray(whole[:, : len(roles.channels)]),
        tuple(labels) if roles.label is not None else (),
        whole[:, len(roles.channels) :] if roles.targets else None,
        tuple(names[at] for at in roles.targets),
        np.array(segments, np.int64),
        tuple(groups) if roles.group is not None else (),
        tuple(names[i] for i in roles.channels),
        tuple(notes),
        any(name.lower() in TIME_NAMES for name in names),
        _interval(names, probe),
    )


def _interval(names: list[str], rows: list[list[str]]) -> float | None:
    """Return the usual time from row to row, in seconds: of numbers, or of dates."""
    place = next((at for at, name in enumerate(names) if name.lower() in TIME_NAMES), None)
    if place is None:
        return None
    times = []
    for cells in rows:
        cell = cells[place] if len(cells) == len(names) else ""
        try:
            number = number_in(cell)
            times.append(datetime.fromisoformat(cell).timestamp() if number is None else number)
        except ValueError:
            continue
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    return usual if 0 < usual < math.inf else None


def read_channels(
    path: Path, *, label: str | None, group: str | None, task: str | None, forecast: bool
) -> tuple[str, ...]:
    """Return the columns that `read_table` takes for channels."""
    names, extra, first = _columns(path)
    probe = [cells[extra:] for _, cells in islice(_rows(path, first), _PROBED)]
    roles = _find_roles(path, names, probe, label, group, task, forecast=forecast)
    return tuple(names[at] for at in roles.channels)


def read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names of a table's columns and its rows as cells; row numbers are left out."""
    names, extra, first = _columns(path)
    return names, [cells[extra:] for _, cells in _rows(path, first)]


def _columns(path: Path) -> tuple[list[str], int, int]:
    """Return the columns' names, how many row numbers stand before them, and the first line."""
    start = list(islice(_rows(path, 0), 2))
    header = None
    if start and all(number_in(cell) is None for cell in start[0][1]):
        header = start.pop(0)[1]
    if not start:
        raise InputError(f"{path}: there are no rows of measurements.")
    line, cells = start[0]
    if header is None:
        if (
            len(cells) == len(_WISDM)
            and number_in(cells[1]) is None
            and number_in(cells[0]) is not None
        ):
            return list(_WISDM), 0, line
        return [f"column{i + 1}" for i in range(len(cells))], 0, line
    if len(cells) not in {len(header), len(header) + 1}:
        raise InputError(
            f"{path}: the header names {len(header)} columns and line {line} has {len(cells)}."
        )
    return header, len(cells) - len(header), line


def _rows(path: Path, first: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines from number `first` on that are not blank, as cells."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, cells in enumerate(csv.reader(_lines(file)), 1):
                if number >= first and any(cells):
                    yield number, [cell.strip() for cell in cells]
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is no text: byte {problem.start} is not UTF-8.") from problem
    except csv.Error as problem:
        raise InputError(f"{path} is no table of comma separated values: {problem}.") from problem
    except OSError as problem:
        raise cannot_read(path, problem) from problem


def _lines(file: Iterator[str]) -> Iterator[str]:
    for line in file:
        yield line.rstrip("\r\n").rstrip(";,")


def _find_roles(
    path: Path,
    names: list[str],
    rows: list[list[str]],
    label: str | None,
    group_name: str | None,
    task: str | None,
    *,
    forecast: bool,
) -> _Roles:
    rows = [cells for cells in rows if len(cells) == len(names)]
    if not rows:
        raise InputError(f"{path}: no row has the {len(names)} cells of the first.")
    numeric = [_mostly_numbers([cells[i] for cells in rows]) for i in range(len(names))]
    low = [name.lower() for name in names]
    time = [i for i, name in enumerate(low) if name in TIME_NAMES]
    group = next((i for i, name in enumerate(low) if name in GROUP_NAMES), None)
    if group_name is not None:
        group = named_column(path, names, group_name)
    if label is None and forecast:
        places: list[int] = []
    elif label is not None and label not in names and "," in label:
        places = [named_column(path, names, name.strip()) for name in label.split(",")]
    else:
        places = [_label_column(path, names, rows, label, [*time, group], numeric)]
    beside = {group, *time} if forecast else {group, *time, *places}
    channels = tuple(i for i in range(len(names)) if numeric[i] and i not in beside)
    if not channels:
        told = ", ".join(names[place] for place in places)
        raise InputError(f"{path}: no column of numbers is left beside {told!r}.")
    if forecast:
        return _Roles(None, tuple(places) or channels, group, channels)
    values = task in {"values", "labels"} or len(places) > 1
    values = values or (task is None and _are_values([cells[places[0]] for cells in rows]))
    texts = [names[place] for place in places if not numeric[place]]
    if values and texts:
        raise InputError(f"{path}: values are learned from numbers, and {texts[0]!r} holds texts.")
    if values:
        return _Roles(None, tuple(places), group, channels)
    return _Roles(places[0], (), group, channels)


def _are_values(cells: list[str]) -> bool:
    """Tell whether a column of labels is one of values: fractions, or many different numbers."""
    numbers = [number for cell in cells if (number := number_in(cell)) is not None]
    if len(numbers) < len(cells) * (1 - MOST_BROKEN):
        return False
    fractions = any(math.isfinite(number) and number != int(number) for number in numbers)
    return fractions or len(set(numbers)) > MOST_LABELS


def _label_column(
    path: Path,
    names: list[str],
    rows: list[list[str]],
    label: str | None,
    others: list[int | None],
    numeric: list[bool],
) -> int:
    if label is not None:
        return named_column(path, names, label)
    low = [name.lower() for name in names]
    for name in LABEL_NAMES:
        if name in low:
            return low.index(name)
    texts = [i for i, numbers in enumerate(numeric) if not numbers and i not in others]
    if len(texts) == 1:
        return texts[0]
    last = {cells[-1] for cells in rows}
    if not texts and len(last) <= MOST_LABELS and all(_is_whole(cell) for cell in last):
        return len(names) - 1
    raise UsageError(
        f"{path}: which column holds the labels? Name it with --label. Columns: {', '.join(names)}."
    )


def named_column(path: Path, names: list[str], name: str) -> int:
    if name not in names:
        raise UsageError(
            f"{path} has no column {name!r}.{did_you_mean(name, names)} "
            f"Columns: {', '.join(names)}."
        )
    return names.index(name)


class _Row(NamedTuple):
    label: str
    group: str
    numbers: list[float]


def _read_row(text: str, roles: _Roles, width: int, extra: int) -> _Row | None:
    """Return one row, or None if it cannot be read."""
    cells = [cell.strip() for cell in next(csv.reader([text]), [])][extra:]
    if len(cells) != width or (roles.label is not None and not cells[roles.label]):
        return None
    numbers = []
    for place in roles.numbers:
        number = number_in(cells[place])
        if number is None or not math.isfinite(number):
            return None
        numbers.append(number)
    label, group = (
        "" if place is None else sys.intern(cells[place]) for place in (roles.label, roles.group)
    )
    return _Row(label, group, numbers)


def _parsed(lines: list[str], roles: _Roles, width: int, extra: int) -> NDArray[np.float32] | None:
    """Return the numbers of plain rows, which is far faster; None where a row is not plain."""
    if any('"' in line or line.count(",") != width + extra - 1 for line in lines):
        return None
    if roles.label is not None and not all(row.label for row in _texts(lines, roles, extra)):
        return None
    try:
        found = np.loadtxt(lines, np.float32, delimiter=",", comments=None, ndmin=2,
                           usecols=[extra + at for at in roles.numbers])  # fmt: skip
    except ValueError:
        return None
    return found if len(found) == len(lines) and np.isfinite(found).all() else None


def _texts(lines: list[str], roles: _Roles, extra: int) -> list[_Row]:
    """Return label and group of plain rows."""
    places = [extra + at for at in (roles.label, roles.group) if at is not None]
    if not places:
        return [_Row("", "", [])] * len(lines)
    last, found = max(places), []
    for line in lines:
        cells = line.split(",", last + 1)
        label, group = (
            "" if at is None else sys.intern(cells[extra + at].strip())
            for at in (roles.label, roles.group)
        )
        found.append(_Row(label, group, []))
    return found


def _are_bytes(numbers: NDArray[np.float32]) -> bool:
    return bool(((numbers >= 0) & (numbers <= 255) & (numbers == np.rint(numbers))).all())


def _blocks(path: Path, first: int) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines from number `first` on that are not blank, some thousand at a time.

    In a file with quotes a row may go on over lines, and is told as one.
    """
    rows = (
        (number, cells if isinstance(cells, str) else ",".join(map(_quoted, cells)))
        for number, cells in _texts_of(path)
        if number >= first
    )
    while block := list(islice(rows, BLOCK_ROWS)):
        yield block


def _texts_of(path: Path) -> Iterator[tuple[int, str | list[str]]]:
    """Yield each line that is not blank: as it stands, or as cells where the file has quotes."""
    try:
        with path.open("rb") as bytes_of:
            quoted = any(b'"' in part for part in iter(lambda: bytes_of.read(2**20), b""))
        if quoted:
            yield from _rows(path, 0)
            return
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(_lines(file), 1):
                if line.strip(", \t"):
                    yield number, line
    except UnicodeDecodeError as problem:
        raise InputError(f"{path} is no text: byte {problem.start} is not UTF-8.") from problem
    except OSError as problem:
        raise cannot_read(path, problem) from problem


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set('",\n') else cell


def _mostly_numbers(cells: list[str]) -> bool:
    return sum(number_in(cell) is not None for cell in cells) > len(cells) / 2


def _is_whole(cell: str) -> bool:
    number = number_in(cell)
    return number is not None and math.isfinite(number) and number == int(number)


def number_in(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
