"""Files in, files out: which inputs a user means, what becomes of each, where it goes."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

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
from convcli.imaging.chain import Chain, is_default_label, later_bytes
from convcli.imaging.filtering import Outcome, make_ready
from convcli.imaging.formats import KINDS, READABLE_SUFFIXES, kind_of
from convcli.imaging.matrices import is_matrix_name
from convcli.imaging.options import FileOptions, FilterOptions, Later, Shape
from convcli.imaging.picture import OnSize, Picture

STANDARD_STREAM = "-"

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class Source:
    """One input: a file and the folder (below `-o DIR`) that its result belongs in; or stdin.

    Attributes:
        path: of the file, None for stdin.
        below: the folder below the one that was searched.
        is_found: it was not named, but found in a folder or by a pattern.
    """

    path: Path | None
    below: Path = Path()
    is_found: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return STANDARD_STREAM if self.path is None else str(self.path)


def find_sources(inputs: Sequence[str], *, recursive: bool = False) -> list[Source]:
    """Return the files that the words of a command line mean, in order, each once.

    A word is a file, `-` for stdin, a pattern such as `photos/*.png`, or with `recursive` a
    directory, which is searched for pictures.
    """
    found: dict[str, Source] = {}
    for word in inputs:
        for source in _meant_by(word, recursive):
            found.setdefault(os.path.abspath(source.name) if source.path else "-", source)  # noqa: PTH100  (resolve() would follow a symlink loop)
    return list(found.values())


def check_last_word(sources: Sequence[Source]) -> None:
    """Refuse a last input that is not there beside others that are: it was meant for a result."""
    *others, last = sources
    if others and not _exists(last) and all(map(_exists, others)):
        raise UsageError(
            f"{last.name}: there is no such file. If the result belongs there: -o {last.name}"
        )


def _exists(source: Source) -> bool:
    return source.path is None or os.path.lexists(source.path)


def without_own_results(
    sources: Sequence[Source], label: str, is_label: Callable[[str], bool]
) -> tuple[list[Source], int]:
    """Leave out what earlier runs made of others among the inputs; say how many.

    A result that is named without the picture it was made of is a picture like any other.

    Args:
        sources: the inputs.
        label: of the kernels of this run.
        is_label: whether the part behind a name's `_` is one that default outputs have.
    """
    stems = {(one.path.parent, one.path.stem) for one in sources if one.path}

    def is_result(source: Source) -> bool:
        if source.path is None:
            return False
        folder, name = source.path.parent, source.path.stem
        ends = (at for at, sign in enumerate(name) if sign == "_")
        return any(
            (folder, name[:at]) in stems and (name[at + 1 :] == label or is_label(name[at + 1 :]))
            for at in ends
        )

    kept = [source for source in sources if not is_result(source)]
    return kept, len(sources) - len(kept)


def _meant_by(word: str, recursive: bool) -> Iterator[Source]:
    if word == STANDARD_STREAM:
        yield Source(None)
        return
    if not word:
        raise InputError("The name of an input is empty.")
    path = Path(word)
    if path.is_dir():
        if not recursive:
            raise InputError(f"{word} is a directory; add --recursive to filter what is in it.")
        yield from _pictures_in(path)
        return
    if os.path.lexists(path) or not glob.has_magic(word):
        yield Source(path)
        return
    matches = sorted(glob.glob(word, recursive=recursive))  # noqa: PTH207  (patterns may be absolute)
    files = [Path(match) for match in matches if not Path(match).is_dir()]
    if not files:
        raise InputError(f"No file matches {word}.")
    yield from (Source(file, is_found=True) for file in files)


def _pictures_in(folder: Path) -> Iterator[Source]:
    count = 0
    for here, folders, names in os.walk(folder):  # does not follow links to directories
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix.lower() in READABLE_SUFFIXES and not name.startswith("."):
                count += 1
                yield Source(path, path.parent.relative_to(folder), is_found=True)
    if not count:
        raise InputError(f"{folder} holds no pictures ({' '.join(sorted(READABLE_SUFFIXES))}).")


def name_outputs(
    sources: Sequence[Source], output: str | None, label: str, suffix_of: Callable[[Path], str]
) -> list[Path | None]:
    """Return where each result goes; None is stdout.

    Args:
        sources: the inputs.
        output: what `-o` named: a file; a directory, existing or with a `/` behind it (then each
            result is `NAME_LABEL.EXT` in it); a pattern with `{stem}`, `{kernel}`, `{ext}` and
            `{folder}`; `-`; or nothing: beside each input. Folders are not made here.
        label: the kernels' part of a default name.
        suffix_of: the ending of the default output of an input.
    """
    if output == STANDARD_STREAM:
        if len(sources) > 1:
            raise UsageError(f"{len(sources)} pictures do not fit into one stdout; use -o DIR.")
        return [None]
    several = len(sources) > 1 or any(source.is_found for source in sources)
    if output is not None and several and not _is_folder(output, several) and "{" not in output:
        raise InputError(
            f"{len(sources)} inputs need a directory for -o; {output} is none. Name another: "
            f"-o {Path(output).with_suffix('')}/"
        )
    named: dict[Path, Source] = {}
    outputs: list[Path | None] = []
    for source in sources:
        target = _output_of(source, output, label, suffix_of, several)
        if target is not None:
            if target in named:
                raise UsageError(
                    f"{named[target].name} and {source.name} would both become {target}. "
                    "Filter them into different directories, or name them: "
                    "-o '{folder}/{stem}-{kernel}.{ext}'"
                )
            named[target] = source
        outputs.append(target)
    return outputs


def _is_folder(output: str, several: bool) -> bool:
    path = Path(output)
    is_new = not path.exists() and (output.endswith(("/", os.sep)) or (several and not path.suffix))
    return path.is_dir() or is_new


def _output_of(
    source: Source, output: str | None, label: str, suffix_of: Callable[[Path], str], several: bool
) -> Path | None:
    path = source.path or Path("stdin.png")
    if output is not None and "{" in output:
        words = {
            "stem": path.stem,
            "kernel": label,
            "ext": suffix_of(path).removeprefix("."),
            "folder": str(path.parent),
        }
        try:
            return Path(output.format(**words))
        except (KeyError, IndexError, ValueError) as problem:
            raise UsageError(
                f"-o {output}: {problem} is no part of a name; there are "
                f"{', '.join(f'{{{word}}}' for word in words)}."
            ) from None
    if output is not None and not _is_folder(output, several):
        return Path(output)
    if source.path is None and output is None:
        return None
    folder = path.parent if output is None else Path(output) / source.below
    return folder / f"{path.stem}_{label}{suffix_of(path)}"


Job = tuple[Source, Path | None]
"""An input and where its result goes; None: nowhere, it is kept."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FileReport(Outcome):
    """What was done to one file.

    Attributes:
        source: the input's name, `-` for stdin.
        output: the output's name, `-` where the result is no file.
        shape, dtype: of the first frame's pixels.
        size: values of all frames.
        seconds: from opening the input to the finished output.
        result: the pixels, where they are to be printed or drawn.
    """

    source: str
    output: str
    shape: tuple[int, ...]
    dtype: str
    size: int
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
        later: what it needs in memory beside what is read and written.
        on_size: told the size of a single picture before it is unpacked.
    """

    label: str
    kernel: str
    transform: Callable[[Picture], FilteredPicture]
    raw: bool = False
    later: Callable[[Shape], Later] = lambda _: (0, ())
    on_size: OnSize | None = None


def filter_work(steps: Chain, options: FilterOptions) -> Work:
    """Return the work of filtering with a chain of kernels."""
    compared = "" if options.compare is None else f"-{options.compare}"
    return Work(
        "_".join(step.slug for step in steps) + compared,
        " ".join(step.name for step in steps),
        partial(filter_picture, steps=steps, options=options),
        options.value_range == "raw",
        partial(later_bytes, steps, options),
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

        On Ctrl-C what has not begun is dropped; what is being written comes out whole.

        Args:
            on_done: called after each.
            keep: reports hold the pixels.

        Returns:
            reports in the order of the jobs, a `ConvcliError` in place of a failed one.
        """

        def do(job: Job, options: FileOptions, on_size: OnSize | None = None) -> FileReport:
            source, target = job
            return transform_file(
                self.stdin() if source.path is None else source.path,
                target,
                self.work,
                options,
                inputs=self.inputs,
                on_size=on_size,
                keep=keep or target is None,
            )

        if len(self.jobs) == 1:
            return [do(self.jobs[0], self.options, self.work.on_size)]
        single = replace(self.options, threads=1)
        pool = ThreadPoolExecutor(max(1, thread_count(self.options.threads)))
        try:
            futures = [pool.submit(attempt, partial(do, job, single)) for job in self.jobs]
            waiting = set(futures)
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for _ in done:
                    on_done()
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def attempt(work: Callable[[], Done]) -> Done | ConvcliError:
    """Return what `work` returns, or why one picture of several failed."""
    try:
        return work()
    except ConvcliError as problem:
        return problem
    except MemoryError:
        return InputError("not enough memory for this picture.")
    except OSError as problem:
        return InputError(f"{problem.strerror or problem}.")


def transform_file(
    source: Path | bytes,
    target: Path | None,
    work: Work,
    options: FileOptions,
    *,
    inputs: Sequence[Path] = (),
    on_size: OnSize | None = None,
    keep: bool = False,
) -> FileReport:
    """Read one file, change it and write the result, whole or not at all."""
    start = time.perf_counter()
    limits = replace(options.limits, later=work.later)
    result = work.transform(read_any(source, limits=limits, on_size=on_size))
    left_out = () if target is None else write_result(target, result, options, inputs)
    return FileReport(
        source=str(source) if isinstance(source, Path) else "-",
        output="-" if target is None else str(target),
        shape=tuple(result.pixels.shape),
        dtype=str(result.pixels.dtype),
        size=sum(frame.pixels.size for frame in result.picture.frames),
        statistics=result.statistics,
        value_range=result.value_range,
        engine=result.engine,
        figures=result.figures,
        notes=(*result.notes, *left_out),
        seconds=time.perf_counter() - start,
        result=result if keep else None,
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
    _check_format(options)
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
        wanted = [job for job in jobs if not (options.skip_existing and _is_there(job))]
        if len(wanted) < len(jobs):
            messages.append(f"Results that exist already, skipped: {len(jobs) - len(wanted)}.")
        jobs = wanted
    kept = () if options.in_place else tuple(one.path for one, _ in jobs if one.path is not None)
    _check_targets(jobs, options, kept)
    return Batch(work, options, tuple(jobs), is_matrices, kept, tuple(messages), stdin)


def _check_format(options: FileOptions) -> None:
    """Refuse a format that cannot be written, or one that the name of the result contradicts."""
    if options.format_out is None:
        return
    place = Path(f"result.{options.format_out}")
    if not is_matrix_name(place):
        kind_of(place)
    if options.in_place:
        raise UsageError("--in-place keeps the names of the inputs: leave out --format-out.")
    named = Path(options.output or "").suffix.lower()
    if "{" not in (options.output or "") and named and named != place.suffix.lower():
        raise UsageError(
            f"-o {options.output} is a {named} file: leave out --format-out {options.format_out}."
        )


def _is_there(job: Job) -> bool:
    return job[1] is not None and os.path.lexists(job[1])


def _targets(sources: list[Source], work: Work, options: FileOptions) -> list[Path | None]:
    if options.in_place:
        if any(source.path is None for source in sources):
            raise UsageError("--in-place needs files; stdin is none.")
        return [source.path for source in sources]

    def suffix_of(path: Path) -> str:
        known = path.suffix.lower() in KINDS or is_matrix_name(path)
        if options.format_out is not None:
            return f".{options.format_out}"
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
