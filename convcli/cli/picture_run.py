"""What `filter` and `pool` share: from the words of a command line to files and one report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convcli.cli.console import Messages, emit_summary, standard_input
from convcli.cli.picture_far import FarRun
from convcli.cli.picture_reports import files_report, matrices_text
from convcli.errors import ConvcliError, ExitCode, InputError, UsageError
from convcli.files import check_target
from convcli.imaging.apply import (
    FileReport,
    FilteredPicture,
    bytes_are_matrix,
    encode_result,
    read_any,
    transform_file,
)
from convcli.imaging.content import Limits
from convcli.imaging.jobs import (
    Source,
    check_last_word,
    find_sources,
    name_outputs,
    run_all,
    without_own_results,
)
from convcli.imaging.matrices import is_matrix_name
from convcli.imaging.picture import Picture
from convcli.imaging.pillow import OnSize
from convcli.imaging.steps import is_default_label
from convcli.imaging.writing import KINDS, Written, kind_of
from convcli.report import render

Job = tuple[Source, Path | None]


@dataclass(frozen=True, slots=True)
class PictureRun:
    """One call of a command that changes pictures.

    Attributes:
        transform: what happens to each picture.
        label: part of default output names.
        kernel: the field `kernel` of reports.
        raw: values are not made pixels, so that default outputs are NPY files.
        output: what `-o` named.
        how: how results are written.
        limits: what an input may become in memory.
        on_size: told the size of a single picture before it is unpacked.
        in_place, skip_existing, force, quiet, style, show: the options of that name.
        far: where the work is done, if not on this machine.
    """

    transform: Callable[[Picture, bool], FilteredPicture]
    label: str
    kernel: str
    raw: bool
    output: str | None
    in_place: bool
    skip_existing: bool
    force: bool
    how: Written
    limits: Limits
    quiet: bool
    style: str | None
    show: bool
    on_size: OnSize | None = None
    far: FarRun | None = None

    def all(self, inputs: list[str], *, recursive: bool) -> int:
        """Do all inputs and report; return the exit code."""
        self._check_options()
        found = find_sources(inputs, recursive=recursive)
        sources, own = without_own_results(found, self.label, is_default_label)
        if self.output is None and not self.in_place:
            check_last_word(sources)
        messages = Messages(quiet=self.quiet)
        if own:
            messages.say(f"{own} results of earlier runs were left out.")
        numeric = sum(map(_is_matrix, sources))
        printed = self.output is None and not self.in_place and numeric > 0
        if self.far is not None and (self.show or self.output == "-" or printed):
            raise UsageError("--cluster writes files: name a place with -o, and no --show.")
        if printed:
            if numeric < len(sources):
                raise UsageError(
                    "Matrices are printed and pictures written: name one kind, or -o DIR for both."
                )
            return self._print_matrices(sources)
        jobs = self._jobs(sources)
        if [target for _, target in jobs] == [None]:
            return self._to_stdout(sources[0])
        if self.skip_existing:
            wanted = [job for job in jobs if job[1] is None or not os.path.lexists(job[1])]
            if len(wanted) < len(jobs):
                messages.say(f"{len(jobs) - len(wanted)} results exist already and were skipped.")
            jobs = wanted
        self._check_targets(jobs)
        outcomes = self._outcomes(jobs)
        return self._tell([source for source, _ in jobs], outcomes)

    def _check_options(self) -> None:
        if self.in_place and self.output is not None:
            raise UsageError("--in-place writes over the inputs: leave out -o.")
        if self.in_place and not self.force:
            raise UsageError("--in-place loses the inputs: add --force to say that it may.")
        if self.skip_existing and (self.force or self.output == "-"):
            raise UsageError("--skip-existing keeps what --force replaces, and needs files.")

    def _jobs(self, sources: list[Source]) -> list[Job]:
        if not self.in_place:
            outputs = name_outputs(sources, self.output, self.label, self._suffix)
            return list(zip(sources, outputs, strict=True))
        if any(source.path is None for source in sources):
            raise UsageError("--in-place needs files; stdin is none.")
        return [(source, source.path) for source in sources]

    def _suffix(self, path: Path) -> str:
        if self.raw:
            return ".npy"
        suffix = path.suffix.lower()
        return path.suffix if suffix in KINDS or is_matrix_name(path) else ".png"

    def _check_targets(self, jobs: list[Job]) -> None:
        """Refuse before the first picture is read whatever would lose or fail at the end."""
        inputs = self._kept_inputs(jobs)
        for _, target in jobs:
            assert target is not None  # noqa: S101  (only a single job writes to stdout)
            if not is_matrix_name(target):
                kind_of(target)
        makes_folders = self.output is not None and (
            "{" in self.output or Path(self.output) not in {target for _, target in jobs}
        )
        for _, target in jobs:
            assert target is not None  # noqa: S101  (as above)
            if makes_folders:
                _make_folder(target.parent)
            check_target(target, force=self.force, inputs=inputs)

    def _kept_inputs(self, jobs: list[Job]) -> list[Path]:
        """Return the files that no result may replace."""
        if self.in_place:
            return []
        return [source.path for source, _ in jobs if source.path is not None]

    def _outcomes(self, jobs: list[Job]) -> list[FileReport | ConvcliError]:
        inputs = self._kept_inputs(jobs)
        if self.far is not None:
            return self.far.outcomes(self, jobs, inputs)

        def work(job: Job) -> FileReport:
            source, target = job
            assert target is not None  # noqa: S101  (as above)
            return transform_file(
                _content(source),
                target,
                self.transform,
                force=self.force,
                inputs=inputs,
                how=self.how if len(jobs) == 1 else replace(self.how, threads=1),
                limits=self.limits,
                on_size=self.on_size if len(jobs) == 1 else None,
            )

        if len(jobs) == 1:
            with Messages(quiet=self.quiet).waiting(jobs[0][0].name):
                return [work(jobs[0])]
        with Messages(quiet=self.quiet).progress() as progress:
            task = progress.add_task("pictures", total=len(jobs))
            return run_all(
                jobs, work, threads=self.how.threads, on_done=lambda: progress.advance(task)
            )

    def _tell(self, sources: list[Source], outcomes: list[FileReport | ConvcliError]) -> int:
        done = [outcome for outcome in outcomes if isinstance(outcome, FileReport)]
        emit_summary(
            files_report(done, self.kernel, self.style), self.style, Messages(quiet=self.quiet)
        )
        self._draw([report.result for report in done])
        return _tell_failed(sources, outcomes)

    def _draw(self, results: list[FilteredPicture]) -> None:
        """Draw the results in the terminal where `--show` asks for it."""
        if not self.show:
            return
        if not sys.stdout.isatty():
            Messages(quiet=self.quiet).say("--show draws on a terminal only; stdout is none.")
            return
        from shutil import get_terminal_size

        from convcli.imaging.half_blocks import half_blocks

        size = get_terminal_size()
        for result in results:
            sys.stdout.write(
                half_blocks(result.picture.frames[0], size.columns, 2 * size.lines - 6)
            )

    def _print_matrices(self, sources: list[Source]) -> int:
        """Print the results of matrices; one that fails does not stop the others."""
        outcomes: list[FilteredPicture | ConvcliError] = []
        for source in sources:
            try:
                outcomes.append(self.transform(*read_any(_content(source), limits=self.limits)))
            except ConvcliError as problem:
                if len(sources) == 1:
                    raise
                outcomes.append(problem)
        results = [outcome for outcome in outcomes if isinstance(outcome, FilteredPicture)]
        pixels = [result.pixels for result in results]
        sys.stdout.write(matrices_text(pixels, self.style, several=len(sources) > 1))
        messages = Messages(quiet=self.quiet)
        for note in dict.fromkeys(note for result in results for note in result.notes):
            messages.say(note)
        self._draw(results)
        return _tell_failed(sources, outcomes)

    def _to_stdout(self, source: Source) -> int:
        """Write one result to stdout; its report goes to stderr."""
        if self.output is None and sys.stdout.isatty():
            raise UsageError("the result of stdin needs a place: -o FILE, or -o - for a pipe.")
        if self.show:
            raise UsageError("--show draws on stdout, where the result goes; leave out one.")
        start = time.perf_counter()
        messages = Messages(quiet=self.quiet)
        with messages.waiting(source.name):
            result = self.transform(*read_any(_content(source), limits=self.limits))
            data = encode_result(result, self.how)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        seconds = time.perf_counter() - start
        report = FileReport(source.name, "-", result, result.notes, seconds)
        messages.say(
            render(files_report([report], self.kernel, self.style), self.style or "plain").rstrip()
        )
        return ExitCode.DONE


def _tell_failed(sources: list[Source], outcomes: Sequence[object]) -> int:
    """Say which inputs failed and why; return the exit code."""
    failed = [
        (source, outcome)
        for source, outcome in zip(sources, outcomes, strict=True)
        if isinstance(outcome, ConvcliError)
    ]
    for source, problem in failed:
        text = str(problem)
        named = text if text.startswith(source.name) else f"{source.name}: {text}"
        sys.stderr.write(f"convcli: {named}\n")
    if failed:
        sys.stderr.write(f"convcli: {len(failed)} of {len(sources)} inputs failed.\n")
        return ExitCode.INPUT
    return ExitCode.DONE


def _content(source: Source) -> Path | bytes:
    return standard_input() if source.path is None else source.path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise InputError(f"Cannot make the folder {folder}: {problem.strerror}.") from problem


def _is_matrix(source: Source) -> bool:
    if source.path is None:
        return bytes_are_matrix(standard_input())
    return is_matrix_name(source.path)
