"""Pictures filtered on other machines: a file's bytes go there, the result's come back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from convcli.errors import ConvcliError
from convcli.files import new_file
from convcli.imaging.batch import Batch, FileReport, attempt, filter_work, transform_file
from convcli.imaging.chain import Chain
from convcli.imaging.options import FilterOptions

Filtered = tuple[FileReport, bytes]


@dataclass(frozen=True, slots=True)
class FilterTask:
    """All that another machine needs to filter one file.

    Attributes:
        content: of the file.
        source: its name, `-` for stdin; the ending tells pictures from matrices.
        output: name of the result; the ending chooses the format.
        steps: the kernels.
        options: how to filter, and how the result is written.
    """

    content: bytes
    source: str
    output: str
    steps: Chain
    options: FilterOptions


def filter_task(task: FilterTask) -> Filtered | ConvcliError:
    """Filter one file by the way that files on this machine go; a failure is a value."""
    with tempfile.TemporaryDirectory(prefix="convcli-") as folder:
        source = Path(folder) / "input" / Path(task.source).name
        output = Path(folder) / Path(task.output).name

        def named(text: str) -> str:
            return text.replace(str(source), task.source).replace(str(output), task.output)

        def filtered() -> Filtered:
            source.parent.mkdir()
            source.write_bytes(task.content)
            content = task.content if task.source == "-" else source
            work = filter_work(task.steps, task.options)
            report = transform_file(content, output, work, task.options)
            notes = tuple(named(note) for note in report.notes)
            report = replace(report, source=task.source, output=task.output, notes=notes)
            return report, output.read_bytes()

        result = attempt(filtered)
        if isinstance(result, ConvcliError):
            return type(result)(named(str(result)))
        return result


Spread = Callable[
    [Callable[[FilterTask], Filtered | ConvcliError], Sequence[FilterTask]],
    Iterator[tuple[int, Any]],
]


def run_on_cluster(
    batch: Batch,
    steps: Chain,
    options: FilterOptions,
    spread: Spread,
    on_done: Callable[[], None],
) -> list[FileReport | ConvcliError]:
    """Filter a batch elsewhere, each result written when it is back; one failed stops no other.

    Args:
        batch: read and written on this machine.
        steps: the kernels.
        options: how to filter.
        spread: sends tasks to the workers: of a function and its tasks, the place and the result
            of each as it comes back.
        on_done: called after each.
    """
    found: dict[int, FileReport | ConvcliError] = {}
    for place, (source, _) in enumerate(batch.jobs):
        if source.path is not None:
            problem = attempt(partial(_check_readable, source.path))
            if problem is not None:
                found[place] = type(problem)(f"Cannot read {source.path}: {problem}")
                on_done()
    waiting = [place for place in range(len(batch.jobs)) if place not in found]
    tasks = _Tasks(batch, waiting, steps, replace(options, threads=1, on_compile=None))
    for number, result in spread(filter_task, tasks):
        place = waiting[number]
        found[place] = attempt(partial(_written, batch, place, result))
        on_done()
    return [found[place] for place in range(len(batch.jobs))]


def _check_readable(path: Path) -> None:
    path.open("rb").close()


def _written(batch: Batch, place: int, result: Filtered | ConvcliError) -> FileReport:
    """Write a result, whole or not at all."""
    if isinstance(result, ConvcliError):
        raise result
    target = batch.jobs[place][1]
    assert target is not None  # noqa: S101  (what is printed stays on this machine)
    with new_file(target, force=batch.options.force, inputs=batch.inputs) as temporary:
        temporary.write_bytes(result[1])
    return result[0]


class _Tasks(Sequence[FilterTask]):
    """Tasks made when they are sent, so that few pictures are in memory at a time."""

    def __init__(
        self, batch: Batch, places: Sequence[int], steps: Chain, options: FilterOptions
    ) -> None:
        self._batch, self._places, self._steps, self._options = batch, places, steps, options

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> FilterTask:  # type: ignore[override]  # never sliced
        source, target = self._batch.jobs[self._places[number]]
        content = self._batch.stdin() if source.path is None else source.path.read_bytes()
        return FilterTask(content, source.name, str(target), self._steps, self._options)
