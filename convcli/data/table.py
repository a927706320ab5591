"""Text tables of measurements: which column is what, and the rows as numbers.

Read as they are: comma separated values with a header, those of the UCI occupancy data (rows with
one cell more than the header, a row number), and WISDM's accelerometer file (no header, lines that
end in a semicolon: user, activity, time, x, y, z).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcli.arrayfiles import MAX_BYTES, check_bytes
from convcli.data.dataset import ALLOW, Samples
from convcli.errors import InputError, UsageError, cannot_read, did_you_mean, listed

LABEL_NAMES = ("label", "class", "activity", "target", "occupancy", "y")
TIME_NAMES = ("time", "timestamp", "date", "datetime", "seconds", "t")
GROUP_NAMES = ("user", "subject", "person", "recording", "session", "group")
MOST_LABELS = 100
"""A column of whole numbers with more values than this is no label column unless named."""
MOST_BROKEN = 0.02
"""The share of rows that may be unreadable before the whole file is."""
BLOCK_ROWS, BLOCK_SIGNS = 2048, 2**21
"""Lines are read some thousand at a time, fewer where they are long."""
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
        labels: int32 per row, places in `label_names`; empty where values are learned.
        label_names: the texts of the labels, in the order in which they come.
        targets: float32, rows x values to be learned, or None.
        target_names: of its columns.
        starts: rows, the first among them, where time does not run on from the row before: another
            person or recording, or a row between them that could not be read.
        groups: int32 per row where the file says who or which recording, else empty.
        channel_names: of the columns of `values`.
        notes: what was assumed or passed over.
        timed: whether a column says when each row was measured.
        interval: seconds from row to row by that column; None where it does not tell.
    """

    values: Samples
    labels: NDArray[np.int32]
    label_names: tuple[str, ...]
    targets: NDArray[np.float32] | None
    target_names: tuple[str, ...]
    starts: NDArray[np.int64]
    groups: NDArray[np.int32]
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
    quoted, lines = _scanned(path)
    found = _Filling(roles, lines, max_bytes, pixels=pixels)
    broken: list[int] = []
    for numbered in _blocks(path, first, quoted=quoted):
        texts = [text for _, text in numbered]
        rows = _parsed(texts, roles, len(names), extra)
        if rows is None:  # a row at a time, to find those that cannot be read
            rows = _read_rows(texts, roles, len(names), extra)
        found.add(rows)
        broken += [line for (line, _), read in zip(numbered, rows.read, strict=True) if not read]
        check_bytes(
            f"{path}: its rows up to line {numbered[-1][0]} take",
            found.filled * found.bytes_a_row,
            max_bytes,
            ALLOW,
        )
    total = found.filled + len(broken)
    if len(broken) > MOST_BROKEN * total:
        raise InputError(
            f"{path}: {len(broken):,} of {total:,} rows cannot be read as {len(names)} cells "
            f"with numbers in {listed([names[i] for i in roles.channels])}; first line "
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
    kept = slice(found.filled)
    return Table(
        found.values[kept],
        found.labels[kept],
        tuple(found.label_codes),
        found.targets[kept] if roles.targets else None,
        tuple(names[at] for at in roles.targets),
        np.array(found.starts, np.int64),
        found.groups[kept],
        tuple(names[i] for i in roles.channels),
        tuple(notes),
        any(name.lower() in TIME_NAMES for name in names),
        _interval(names, probe),
    )


class _Filling:
    """Room for all rows of a file, taken beforehand, and what of it is filled."""

    def __init__(self, roles: _Roles, lines: int, max_bytes: int, *, pixels: bool) -> None:
        kind = np.dtype(np.uint8 if pixels else np.float32)
        texts = (roles.label is not None) + (roles.group is not None)
        self.bytes_a_row = kind.itemsize * len(roles.channels) + 4 * (len(roles.targets) + texts)
        rows = min(lines, max_bytes // self.bytes_a_row + BLOCK_ROWS)
        self.values: Samples = np.empty((rows, len(roles.channels)), kind)
        self.targets = np.empty((rows, len(roles.targets)), np.float32)
        self.labels = np.empty(0 if roles.label is None else rows, np.int32)
        self.groups = np.empty(0 if roles.group is None else rows, np.int32)
        self.label_codes: dict[str, int] = {}
        self._group_codes: dict[str, int] = {}
        self.starts: list[int] = []
        self.filled = 0
        self._gap = True

    def add(self, rows: _Rows) -> None:
        """Put rows behind the others."""
        count, first = len(rows.numbers), self.filled
        at = slice(first, first + count)
        channels = self.values.shape[1]
        numbers = rows.numbers[:, :channels]
        if self.values.dtype == np.uint8 and not _are_bytes(numbers):
            before, self.values = self.values, np.empty(self.values.shape, np.float32)
            self.values[:first] = before[:first]
            self.bytes_a_row += 3 * channels
        self.values[at] = numbers
        self.targets[at] = rows.numbers[:, channels:]
        for room, codes, texts in (
            (self.labels, self.label_codes, rows.labels),
            (self.groups, self._group_codes, rows.groups),
        ):
            if len(room):
                room[at] = [codes.setdefault(text, len(codes)) for text in texts]
        places = np.flatnonzero(rows.read)
        begins = np.diff(places, prepend=-1) > 1
        if count:
            begins[0] |= self._gap
            if len(self.groups):
                since = self.groups[max(first - 1, 0) : first + count]
                begins |= np.diff(since, prepend=since[:1])[-count:] != 0
        self.starts += (first + np.flatnonzero(begins)).tolist()
        self._gap = not rows.read[-1]
        self.filled += count


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
        f"{path}: which column holds the labels? Name it with --label. Columns: {listed(names)}."
    )


def named_column(path: Path, names: list[str], name: str) -> int:
    if name not in names:
        raise UsageError(
            f"{path} has no column {name!r}.{did_you_mean(name, names)} Columns: {listed(names)}."
        )
    return names.index(name)


class _Rows(NamedTuple):
    """Lines as rows: the numbers, label and group of each that can be read, and which can."""

    numbers: NDArray[np.float32]
    labels: list[str]
    groups: list[str]
    read: list[bool]


def _read_rows(lines: list[str], roles: _Roles, width: int, extra: int) -> _Rows:
    """Return rows that are read one by one."""
    numbers, plain, read = [], [], []
    for line in lines:
        cells = [cell.strip() for cell in next(csv.reader([line]), [])][extra:]
        row = [number_in(cells[at]) for at in roles.numbers] if len(cells) == width else [None]
        known = all(one is not None and math.isfinite(one) for one in row)
        read.append(known and (roles.label is None or bool(cells[roles.label])))
        if read[-1]:
            numbers.append(row)
            plain.append(cells)
    table = np.array(numbers, np.float32).reshape(len(numbers), len(roles.numbers))
    labels, groups = (
        [] if at is None else [cells[at] for cells in plain] for at in (roles.label, roles.group)
    )
    return _Rows(table, labels, groups, read)


def _parsed(lines: list[str], roles: _Roles, width: int, extra: int) -> _Rows | None:
    """Return plain rows, which is far faster; None where a row is not plain."""
    if any('"' in line or line.count(",") != width + extra - 1 for line in lines):
        return None
    labels, groups = (
        []
        if at is None
        else [line.split(",", extra + at + 1)[extra + at].strip() for line in lines]
        for at in (roles.label, roles.group)
    )
    if not all(labels):
        return None
    try:
        found = np.loadtxt(lines, np.float32, delimiter=",", comments=None, ndmin=2,
                           usecols=[extra + at for at in roles.numbers])  # fmt: skip
    except ValueError:
        return None
    plain = len(found) == len(lines) and np.isfinite(found).all()
    return _Rows(found, labels, groups, [True] * len(lines)) if plain else None


def _are_bytes(numbers: NDArray[np.float32]) -> bool:
    return bool(((numbers >= 0) & (numbers <= 255) & (numbers == np.rint(numbers))).all())


def _scanned(path: Path) -> tuple[bool, int]:
    """Return whether a file has quotes, and how many lines at most."""
    quoted, lines = False, 1
    try:
        with path.open("rb") as file:
            for part in iter(lambda: file.read(2**20), b""):
                quoted, lines = (
                    quoted or b'"' in part,
                    lines + part.count(b"\n") + part.count(b"\r"),
                )
    except OSError as problem:
        raise cannot_read(path, problem) from problem
    return quoted, lines


def _blocks(path: Path, first: int, *, quoted: bool) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines from number `first` on that are not blank, some thousand at a time.

    In a file with quotes a row may go on over lines, and is told as one.
    """
    rows = (
        (number, cells if isinstance(cells, str) else ",".join(map(_quoted, cells)))
        for number, cells in (_rows(path, 0) if quoted else _texts_of(path))
        if number >= first
    )
    while block := _block(rows):
        yield block


def _block(rows: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the next lines, up to `BLOCK_ROWS` or `BLOCK_SIGNS`."""
    block, signs = [], 0
    for row in islice(rows, BLOCK_ROWS):
        block.append(row)
        signs += len(row[1])
        if signs > BLOCK_SIGNS:
            break
    return block


def _texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line that is not blank as it stands."""
    try:
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
