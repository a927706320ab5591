"""Pictures filtered on other machines: a file's bytes go there, the result's come back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convcli.errors import ConvcliError, InputError
from convcli.files import new_file
from convcli.imaging.batch import Batch, FileReport, Source, filter_work, transform_file
from convcli.imaging.options import FilterOptions
from convcli.imaging.steps import Step

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
    steps: tuple[Step, ...]
    options: FilterOptions


def filter_task(task: FilterTask) -> Filtered | ConvcliError:
    """Filter one file by the way that files on this machine go; a failure is a value."""
    with tempfile.TemporaryDirectory(prefix="convcli-") as folder:
        source = Path(folder) / "input" / Path(task.source).name
        output = Path(folder) / Path(task.output).name

        def named(text: str) -> str:
            return text.replace(str(source), task.source).replace(str(output), task.output)

        try:
            source.parent.mkdir()
            source.write_bytes(task.content)
            content = task.content if task.source == "-" else source
            transform = filter_work(task.steps, task.options).transform
            report = transform_file(content, output, transform, task.options)
            notes = tuple(named(note) for note in report.notes)
            report = replace(report, source=task.source, output=task.output, notes=notes)
            return report, output.read_bytes()
        except ConvcliError as problem:
            return type(problem)(named(str(problem)))
        except MemoryError:
            return InputError("not enough memory for this picture.")
        except OSError as problem:
            return InputError(f"{problem.strerror or problem}, on another machine.")


@dataclass(frozen=True, slots=True)
class ClusterRun:
    """A batch for the workers of a scheduler.

    Attributes:
        batch: read and written on this machine.
        steps: the kernels.
        options: how to filter.
        spread: sends tasks to the workers: of a function and its tasks, the place and the result
            of each as it comes back.
    """

    batch: Batch
    steps: tuple[Step, ...]
    options: FilterOptions
    spread: Callable[
        [Callable[[FilterTask], Filtered | ConvcliError], Sequence[FilterTask]],
        Iterator[tuple[int, Any]],
    ]

    def run(self, on_done: Callable[[], None]) -> list[FileReport | ConvcliError]:
        """Filter all pictures, each written when it is back; failed ones do not stop the others."""
        found: dict[int, FileReport | ConvcliError] = {}
        for place, (source, _) in enumerate(self.batch.jobs):
            problem = _unreadable(source)
            if problem is not None:
                found[place] = problem
                on_done()
        waiting = [place for place in range(len(self.batch.jobs)) if place not in found]
        for number, result in self.spread(filter_task, _Tasks(self, waiting)):
            found[waiting[number]] = self._written(result, self.batch.jobs[waiting[number]][1])
            on_done()
        return [found[place] for place in range(len(self.batch.jobs))]

    def _written(
        self, result: Filtered | ConvcliError, target: Path | None
    ) -> FileReport | ConvcliError:
        """Write a result, whole or not at all."""
        if isinstance(result, ConvcliError):
            return result
        assert target is not None  # noqa: S101  (what is printed stays on this machine)
        try:
            with new_file(target, force=self.options.force, inputs=self.batch.inputs) as temporary:
                temporary.write_bytes(result[1])
        except ConvcliError as problem:
            return problem
        return result[0]


class _Tasks(Sequence[FilterTask]):
    """Tasks made when they are sent, so that few pictures are in memory at a time."""

    def __init__(self, run: ClusterRun, places: Sequence[int]) -> None:
        self._run, self._places = run, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> FilterTask:  # type: ignore[override]  # never sliced
        run = self._run
        source, target = run.batch.jobs[self._places[number]]
        content = run.batch.stdin() if source.path is None else source.path.read_bytes()
        options = replace(run.options, threads=1, on_compile=None)
        return FilterTask(content, source.name, str(target), run.steps, options)


def _unreadable(source: Source) -> InputError | None:
    """Return why a file cannot be read, before anything is sent."""
    if source.path is None:
        return None
    try:
        source.path.open("rb").close()
    except OSError as problem:
        return InputError(f"Cannot read {source.path}: {problem.strerror}.")
    return None
