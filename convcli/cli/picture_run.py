"""What `filter` and `pool` share: from the words of a command line to files and one report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from convcli.cli.console import Messages, emit_summary
from convcli.cli.picture_far import FarRun
from convcli.cli.picture_reports import files_report, matrices_text
from convcli.environment import thread_count
from convcli.errors import ConvcliError, ExitCode, UsageMistake
from convcli.files import check_target
from convcli.imaging.apply import (
    FileReport,
    FilteredPicture,
    bytes_are_matrix,
    encode_result,
    read_any,
    transform_file,
)
from convcli.imaging.jobs import Source, find_sources, name_outputs, run_all
from convcli.imaging.matrices import is_matrix_name
from convcli.imaging.picture import Picture
from convcli.imaging.reading import OnSize
from convcli.imaging.writing import KINDS, kind_of
from convcli.report import render


@dataclass(frozen=True, slots=True)
class PictureRun:
    """One call of a command that changes pictures.

    Attributes:
        transform: what happens to each picture.
        label: part of default output names.
        kernel: the field `kernel` of reports.
        raw: values are not made pixels, so that default outputs are NPY files.
        output: what `-o` named.
        on_size: told the size of a single picture before it is unpacked.
        force, compress, max_pixels, threads, quiet, style, show: the options of that name.
        far: where the work is done, if not on this machine.
    """

    transform: Callable[[Picture, bool], FilteredPicture]
    label: str
    kernel: str
    raw: bool
    output: Path | None
    force: bool
    compress: bool
    max_pixels: int
    threads: int
    quiet: bool
    style: str | None
    show: bool
    on_size: OnSize | None = None
    far: FarRun | None = None

    def all(self, inputs: list[str], *, recursive: bool) -> int:
        """Do all inputs and report; return the exit code."""
        sources = find_sources(inputs, recursive=recursive)
        numeric = sum(map(_is_matrix, sources))
        stays = self.show or self.output == Path("-") or (self.output is None and numeric)
        if self.far is not None and stays:
            raise UsageMistake("--cluster writes files: name a place with -o, and no --show.")
        if self.output is None and numeric:
            if numeric < len(sources):
                raise UsageMistake(
                    "Matrices are printed and pictures written: name one kind, or -o DIR for both."
                )
            return self._print_matrices(sources)
        outputs = name_outputs(sources, self.output, self.label, self._suffix)
        if outputs == [None]:
            return self._to_stdout(sources[0])
        jobs = list(zip(sources, outputs, strict=True))
        self._check_targets(jobs)
        outcomes = self._outcomes(jobs)
        return self._tell(sources, outcomes)

    def _suffix(self, path: Path) -> str:
        if self.raw:
            return ".npy"
        suffix = path.suffix.lower()
        return path.suffix if suffix in KINDS or is_matrix_name(path) else ".png"

    def _check_targets(self, jobs: list[tuple[Source, Path | None]]) -> None:
        """Refuse before the first picture is read whatever would lose or fail at the end."""
        inputs = [source.path for source, _ in jobs if source.path is not None]
        for source, target in jobs:
            assert target is not None  # noqa: S101  (only a single job writes to stdout)
            if not is_matrix_name(target):
                kind_of(target)
            if self.output is not None and source.below != Path():
                target.parent.mkdir(parents=True, exist_ok=True)
            check_target(target, force=self.force, inputs=inputs)

    def _outcomes(self, jobs: list[tuple[Source, Path | None]]) -> list[FileReport | ConvcliError]:
        inputs = [source.path for source, _ in jobs if source.path is not None]
        if self.far is not None:
            return self.far.outcomes(self, jobs, inputs)
        total = thread_count(self.threads)

        def work(job: tuple[Source, Path | None]) -> FileReport:
            source, target = job
            assert target is not None  # noqa: S101  (as above)
            return transform_file(
                _content(source),
                target,
                self.transform,
                force=self.force,
                inputs=inputs,
                compress=self.compress,
                max_pixels=self.max_pixels,
                threads=total if len(jobs) == 1 else 1,
                on_size=self.on_size if len(jobs) == 1 else None,
            )

        if len(jobs) == 1:
            with Messages(quiet=self.quiet).waiting(jobs[0][0].name):
                return [work(jobs[0])]
        with Messages(quiet=self.quiet).progress() as progress:
            task = progress.add_task("pictures", total=len(jobs))
            return run_all(jobs, work, threads=total, on_done=lambda: progress.advance(task))

    def _tell(self, sources: list[Source], outcomes: list[FileReport | ConvcliError]) -> int:
        done = [outcome for outcome in outcomes if isinstance(outcome, FileReport)]
        emit_summary(files_report(done, self.kernel), self.style, Messages(quiet=self.quiet))
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
                outcomes.append(
                    self.transform(*read_any(_content(source), max_pixels=self.max_pixels))
                )
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
            raise UsageMistake("the result of stdin needs a place: -o FILE, or -o - for a pipe.")
        if self.show:
            raise UsageMistake("--show draws on stdout, where the result goes; leave out one.")
        start = time.perf_counter()
        messages = Messages(quiet=self.quiet)
        with messages.waiting(source.name):
            result = self.transform(*read_any(_content(source), max_pixels=self.max_pixels))
            data = encode_result(result, compress=self.compress)
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        seconds = time.perf_counter() - start
        report = FileReport(source.name, "-", result, result.notes, seconds)
        messages.say(render(files_report([report], self.kernel), self.style or "plain").rstrip())
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
    return _standard_input() if source.path is None else source.path


@cache
def _standard_input() -> bytes:
    """Return all of stdin, which can be read only once."""
    return sys.stdin.buffer.read()


def _is_matrix(source: Source) -> bool:
    if source.path is None:
        return bytes_are_matrix(_standard_input())
    return is_matrix_name(source.path)
