"""Files in, files out: which inputs a user means, what the outputs are called, one job for each."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from convcli.errors import ConvcliError, InputProblem, UsageMistake
from convcli.imaging.reading import READABLE_SUFFIXES

STANDARD_STREAM = "-"

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Source:
    """One input: a file and the folder (below `-o DIR`) that its result belongs in; or stdin."""

    path: Path | None
    below: Path = Path()

    @property
    def name(self) -> str:
        """What messages call it."""
        return STANDARD_STREAM if self.path is None else str(self.path)


def find_sources(inputs: Sequence[str], *, recursive: bool = False) -> list[Source]:
    """Return the files that the words of a command line mean, in order, each once.

    A word is a file, `-` for stdin, a pattern such as `photos/*.png`, or with `recursive` a
    directory, which is searched for pictures.

    Raises:
        InputProblem: a pattern or directory without pictures; a directory without `recursive`.
    """
    found: dict[str, Source] = {}
    for word in inputs:
        for source in _meant_by(word, recursive):
            found.setdefault(os.path.abspath(source.name) if source.path else "-", source)  # noqa: PTH100  (resolve() would follow a symlink loop)
    return list(found.values())


def _meant_by(word: str, recursive: bool) -> Iterator[Source]:
    if word == STANDARD_STREAM:
        yield Source(None)
        return
    if not word:
        raise InputProblem("The name of an input is empty.")
    path = Path(word)
    if path.is_dir():
        if not recursive:
            raise InputProblem(f"{word} is a directory; add --recursive to filter what is in it.")
        yield from _pictures_in(path)
        return
    if os.path.lexists(path) or not glob.has_magic(word):
        yield Source(path)
        return
    matches = sorted(glob.glob(word, recursive=recursive))  # noqa: PTH207  (patterns may be absolute)
    files = [Path(match) for match in matches if not Path(match).is_dir()]
    if not files:
        raise InputProblem(f"No file matches {word}.")
    yield from map(Source, files)


def _pictures_in(folder: Path) -> Iterator[Source]:
    count = 0
    for here, folders, names in os.walk(folder):  # does not follow links to directories
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix.lower() in READABLE_SUFFIXES and not name.startswith("."):
                count += 1
                yield Source(path, path.parent.relative_to(folder))
    if not count:
        raise InputProblem(f"{folder} holds no pictures ({' '.join(sorted(READABLE_SUFFIXES))}).")


def name_outputs(
    sources: Sequence[Source], output: Path | None, label: str, suffix_of: Callable[[Path], str]
) -> list[Path | None]:
    """Return where each result goes; None is stdout.

    Args:
        sources: the inputs.
        output: what `-o` named: a file, a directory (then each result is `NAME_LABEL.EXT` in it),
            `-`, or nothing: beside each input.
        label: the kernels' part of a default name.
        suffix_of: the ending of the default output of an input.

    Raises:
        UsageMistake: two results would have one name, or stdin has none.
        InputProblem: several inputs and no directory of that name.
    """
    if output == Path(STANDARD_STREAM):
        if len(sources) > 1:
            raise UsageMistake(f"{len(sources)} pictures do not fit into one stdout; use -o DIR.")
        return [None]
    if output is not None and not output.is_dir() and len(sources) > 1:
        folder = output.with_suffix("")
        way = f"Name another: -o {folder}" if output.exists() else f"Make it: mkdir -p {folder}"
        raise InputProblem(
            f"{len(sources)} inputs need a directory for -o; {output} is none. {way}"
        )
    named: dict[Path, Source] = {}
    outputs: list[Path | None] = []
    for source in sources:
        target = _output_of(source, output, label, suffix_of)
        if target is not None:
            if target in named:
                raise UsageMistake(
                    f"{named[target].name} and {source.name} would both become {target}. "
                    "Filter them one after the other into different directories."
                )
            named[target] = source
        outputs.append(target)
    return outputs


def _output_of(
    source: Source, output: Path | None, label: str, suffix_of: Callable[[Path], str]
) -> Path | None:
    if output is not None and not output.is_dir():
        return output
    if source.path is None:
        return None if output is None else output / f"stdin_{label}.png"
    folder = source.path.parent if output is None else output / source.below
    return folder / f"{source.path.stem}_{label}{suffix_of(source.path)}"


def run_all(
    jobs: Sequence[Job],
    work: Callable[[Job], Result],
    *,
    threads: int,
    on_done: Callable[[], None],
) -> list[Result | ConvcliError]:
    """Run `work` on several jobs at a time; a failed one does not stop the others.

    On Ctrl-C what has not begun is dropped; what is being written comes out whole.

    Returns:
        results in the order of `jobs`, a `ConvcliError` in place of a failed one.
    """

    def guarded(job: Job) -> Result | ConvcliError:
        try:
            return work(job)
        except ConvcliError as problem:
            return problem
        except MemoryError:
            return InputProblem("not enough memory for this picture.")
        except OSError as problem:
            return InputProblem(f"{problem.strerror or problem}.")

    pool = ThreadPoolExecutor(max(1, threads))
    try:
        futures = [pool.submit(guarded, job) for job in jobs]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for _ in done:
                on_done()
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
