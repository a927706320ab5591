"""Files in, files out: which inputs a user means, what the outputs are called, one job for each."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from convcli.errors import ConvcliError, InputError, UsageError
from convcli.imaging.reading import READABLE_SUFFIXES

STANDARD_STREAM = "-"

Job = TypeVar("Job")
Result = TypeVar("Result")


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
            return InputError("not enough memory for this picture.")
        except OSError as problem:
            return InputError(f"{problem.strerror or problem}.")

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
