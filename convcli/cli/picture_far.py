"""Pictures filtered on other machines: read and written here, the work done there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from convcli.cli.console import Messages, standard_input
from convcli.errors import ConvcliError, InputError
from convcli.files import new_file
from convcli.imaging.jobs import Source
from convcli.imaging.options import FilterOptions
from convcli.imaging.steps import Step

if TYPE_CHECKING:
    from convcli.cli.picture_run import PictureRun
    from convcli.imaging.apply import FileReport
    from convcli.imaging.remote import PictureOrder, PictureResult

Job = tuple[Source, Path | None]


@dataclass(frozen=True, slots=True)
class FarRun:
    """What the workers of a scheduler have to know.

    Attributes:
        address: of the Dask scheduler.
        steps: the kernels.
        options: how to filter.
    """

    address: str
    steps: tuple[Step, ...]
    options: FilterOptions

    def outcomes(
        self, run: PictureRun, jobs: Sequence[Job], inputs: Sequence[Path]
    ) -> list[FileReport | ConvcliError]:
        """Filter all pictures; write each when it is back. A failed one does not stop the others.

        Raises:
            InputError: the scheduler or its workers are not to be had, or are lost for good.
        """
        from convcli.imaging.remote import filter_order
        from convcli.sweep.cluster import map_on_cluster

        found: dict[int, FileReport | ConvcliError] = {}
        waiting = []
        for place, (source, _) in enumerate(jobs):
            problem = _unreadable(source)
            if problem is None:
                waiting.append(place)
            else:
                found[place] = problem
        orders = _Orders(self, run, [jobs[place] for place in waiting])
        with Messages(quiet=run.quiet).progress() as progress:
            task = progress.add_task("pictures", total=len(jobs), completed=len(found))
            for number, result in map_on_cluster(self.address, filter_order, orders):
                place = waiting[number]
                found[place] = _written(result, jobs[place][1], run, inputs)
                progress.advance(task)
        return [found[place] for place in range(len(jobs))]


class _Orders(Sequence["PictureOrder"]):
    """Orders made when they are sent, so that few pictures are in memory at a time."""

    def __init__(self, far: FarRun, run: PictureRun, jobs: Sequence[Job]) -> None:
        self._far, self._run, self._jobs = far, run, jobs

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[PictureOrder]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, place: int) -> PictureOrder:  # type: ignore[override]  # never sliced
        from convcli.imaging.remote import PictureOrder

        source, target = self._jobs[place]
        return PictureOrder(
            content=standard_input() if source.path is None else source.path.read_bytes(),
            source=source.name,
            output=str(target),
            steps=self._far.steps,
            options=replace(self._far.options, threads=1),
            how=replace(self._run.how, threads=1),
            limits=self._run.limits,
        )


def _unreadable(source: Source) -> InputError | None:
    """Return why a file cannot be read, before anything is sent."""
    if source.path is None:
        return None
    try:
        source.path.open("rb").close()
    except OSError as problem:
        return InputError(f"Cannot read {source.path}: {problem.strerror}.")
    return None


def _written(
    result: PictureResult | ConvcliError,
    target: Path | None,
    run: PictureRun,
    inputs: Sequence[Path],
) -> FileReport | ConvcliError:
    """Write a result, whole or not at all."""
    if isinstance(result, ConvcliError):
        return result
    assert target is not None  # noqa: S101  (only a single job here writes to stdout)
    try:
        with new_file(target, force=run.force, inputs=inputs) as temporary:
            temporary.write_bytes(result.content)
    except ConvcliError as problem:
        return problem
    return result.whole_report()
