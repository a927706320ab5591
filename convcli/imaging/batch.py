"""Many files by one call: what is done to each, where it goes, and what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from convcli.engine.filter import Statistics
from convcli.environment import thread_count
from convcli.errors import ConvcliError, InputError, UsageError
from convcli.files import check_target
from convcli.imaging.apply import (
    FilteredPicture,
    bytes_are_matrix,
    filter_picture,
    read_any,
    write_result,
)
from convcli.imaging.filtering import make_ready
from convcli.imaging.jobs import (
    Source,
    check_last_word,
    find_sources,
    name_outputs,
    run_all,
    without_own_results,
)
from convcli.imaging.matrices import is_matrix_name
from convcli.imaging.options import FileOptions, FilterOptions
from convcli.imaging.picture import Picture
from convcli.imaging.pillow import OnSize
from convcli.imaging.steps import Step, is_default_label
from convcli.imaging.writing import KINDS, kind_of

Job = tuple[Source, Path | None]
"""An input and where its result goes; None: nowhere, it is kept."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was done to one file.

    Attributes:
        source: the input's name, `-` for stdin.
        output: the output's name, `-` where the result is no file.
        shape, dtype: of the first frame's pixels.
        size: values of all frames.
        statistics, value_range, engine: as `FilteredPicture`.
        notes: what was changed, left out or decided.
        seconds: from opening the input to the finished output.
        result: the pixels, where they are to be printed or drawn.
    """

    source: str
    output: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    statistics: Statistics
    value_range: str
    engine: str
    notes: tuple[str, ...]
    seconds: float
    result: FilteredPicture | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What happens to each picture.

    Attributes:
        label: part of default output names.
        kernel: what reports call it.
        transform: from what was read to the result.
        raw: values are not made pixels, so that default outputs are NPY files.
        on_size: told the size of a single picture before it is unpacked.
    """

    label: str
    kernel: str
    transform: Callable[[Picture], FilteredPicture]
    raw: bool = False
    on_size: OnSize | None = None


def filter_work(steps: Sequence[Step], options: FilterOptions) -> Work:
    """Return the work of filtering with a chain of kernels."""
    return Work(
        "_".join(step.slug for step in steps),
        " ".join(step.name for step in steps),
        partial(filter_picture, steps=steps, options=options),
        options.value_range == "raw",
        partial(make_ready, steps=steps, options=options),
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Files to work on, all checked before the first one is read.

    Attributes:
        work: what happens to each.
        options: where results go, and how.
        jobs: inputs and outputs.
        is_matrices: the results are matrices to print.
        inputs: files that no result may replace.
        messages: what was left out.
        stdin: reads it.
    """

    work: Work
    options: FileOptions
    jobs: tuple[Job, ...]
    is_matrices: bool
    inputs: tuple[Path, ...]
    messages: tuple[str, ...]
    stdin: Callable[[], bytes]

    @property
    def to_stdout(self) -> bool:
        """The one result is for a pipe, as the bytes of a file."""
        return not self.is_matrices and self.is_printed

    @property
    def is_printed(self) -> bool:
        """Results are kept in memory instead of written: matrices to print, or one for stdout."""
        return any(target is None for _, target in self.jobs)

    def run(self, on_done: Callable[[], None], *, keep: bool) -> list[FileReport | ConvcliError]:
        """Do all jobs; where there are several, a failed one does not stop the others.

        Args:
            on_done: called after each.
            keep: reports hold the pixels.
        """
        if len(self.jobs) == 1:
            return [self._do(self.jobs[0], self.options, self.work.on_size, keep)]
        single = replace(self.options, threads=1)
        threads = thread_count(self.options.threads)

        def work(job: Job) -> FileReport:
            return self._do(job, single, None, keep)

        return run_all(self.jobs, work, threads=threads, on_done=on_done)

    def _do(self, job: Job, options: FileOptions, on_size: OnSize | None, keep: bool) -> FileReport:
        source, target = job
        content = self.stdin() if source.path is None else source.path
        return transform_file(
            content,
            target,
            self.work.transform,
            options,
            inputs=self.inputs,
            on_size=on_size,
            keep=keep or target is None,
        )


def transform_file(
    source: Path | bytes,
    target: Path | None,
    transform: Callable[[Picture], FilteredPicture],
    options: FileOptions,
    *,
    inputs: Sequence[Path] = (),
    on_size: OnSize | None = None,
    keep: bool = False,
) -> FileReport:
    """Read one file, change it and write the result, whole or not at all."""
    start = time.perf_counter()
    result = transform(read_any(source, limits=options.limits, on_size=on_size))
    left_out = () if target is None else write_result(target, result, options, inputs)
    return FileReport(
        str(source) if isinstance(source, Path) else "-",
        "-" if target is None else str(target),
        tuple(result.pixels.shape),
        str(result.pixels.dtype),
        sum(frame.pixels.size for frame in result.picture.frames),
        result.statistics,
        result.value_range,
        result.engine,
        (*result.notes, *left_out),
        time.perf_counter() - start,
        result if keep else None,
    )


def plan_batch(
    inputs: Sequence[str], work: Work, options: FileOptions, stdin: Callable[[], bytes]
) -> Batch:
    """Find the inputs, name the outputs, refuse what would lose a file or fail at the end."""
    if options.in_place and options.output is not None:
        raise UsageError("--in-place writes over the inputs: leave out -o.")
    if options.in_place and not options.force:
        raise UsageError("--in-place loses the inputs: add --force to say that it may.")
    if options.skip_existing and (options.force or options.output == "-"):
        raise UsageError("--skip-existing keeps what --force replaces, and needs files.")
    found = find_sources(inputs, recursive=options.recursive)
    sources, own = without_own_results(found, work.label, is_default_label)
    messages = (
        [f"Results of earlier runs left out: {own}. Name them alone to work on them."]
        if own
        else []
    )
    beside = options.output is None and not options.in_place
    if beside:
        check_last_word(sources)
    matrices = sum(_is_matrix(source, stdin) for source in sources)
    is_matrices = beside and matrices > 0
    if is_matrices:
        if matrices < len(sources):
            raise UsageError(
                "Matrices are printed and pictures written: name one kind, or -o DIR for both."
            )
        jobs: list[Job] = [(source, None) for source in sources]
    else:
        jobs = list(zip(sources, _targets(sources, work, options), strict=True))
        wanted = [job for job in jobs if not (options.skip_existing and _exists(job))]
        if len(wanted) < len(jobs):
            messages.append(f"Results that exist already, skipped: {len(jobs) - len(wanted)}.")
        jobs = wanted
    kept = () if options.in_place else tuple(one.path for one, _ in jobs if one.path is not None)
    _check_targets(jobs, options, kept)
    return Batch(work, options, tuple(jobs), is_matrices, kept, tuple(messages), stdin)


def _exists(job: Job) -> bool:
    return job[1] is not None and os.path.lexists(job[1])


def _targets(sources: list[Source], work: Work, options: FileOptions) -> list[Path | None]:
    if options.in_place:
        if any(source.path is None for source in sources):
            raise UsageError("--in-place needs files; stdin is none.")
        return [source.path for source in sources]

    def suffix_of(path: Path) -> str:
        known = path.suffix.lower() in KINDS or is_matrix_name(path)
        return ".npy" if work.raw else path.suffix if known else ".png"

    return name_outputs(sources, options.output, work.label, suffix_of)


def _check_targets(jobs: list[Job], options: FileOptions, inputs: Sequence[Path]) -> None:
    targets = [target for _, target in jobs if target is not None]
    for target in targets:
        if not is_matrix_name(target):
            kind_of(target)
    output = options.output
    makes_folders = output is not None and ("{" in output or Path(output) not in targets)
    for target in targets:
        if makes_folders:
            _make_folder(target.parent)
        check_target(target, force=options.force, inputs=inputs)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"Cannot make the folder {folder}: {problem.strerror}.") from problem


def _is_matrix(source: Source, stdin: Callable[[], bytes]) -> bool:
    return bytes_are_matrix(stdin()) if source.path is None else is_matrix_name(source.path)
