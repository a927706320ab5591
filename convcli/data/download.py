"""Files from the network: mirrors in turn, resumed where they broke off, believed by checksum."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from convcli.data.dataset import ProgressCallback
from convcli.data.idx import DAMAGED, open_gzip
from convcli.errors import InputError

MOST_BYTES = 128 * 2**20
"""More than any file that is fetched here has, packed or not; a longer answer is cut short."""
_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a server may take.

    Attributes:
        seconds: for a connection, or between two blocks.
        slowest: bytes a second, averaged over `window`, under which a mirror is given up.
        window: seconds over which the speed is averaged.
        tries: at each mirror, the later ones going on where the former broke off.
    """

    seconds: float = 10.0
    slowest: float = 4096.0
    window: float = 20.0
    tries: int = 3


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file: its name without `.gz`, and the SHA-256 of either form, or of both.

    Attributes:
        name: without `.gz`.
        unpacked_sha256: of the file.
        packed_sha256: of the gzipped one.
        packed: whether it is sent gzipped.
    """

    name: str
    unpacked_sha256: str | None = None
    packed_sha256: str | None = None
    packed: bool = True

    @property
    def sent(self) -> str:
        """Its name at the mirrors."""
        return f"{self.name}.gz" if self.packed else self.name


class _Failure(Exception):
    """One try at one mirror did not bring the file."""


def fetch(
    file: RemoteFile,
    folder: Path,
    mirrors: Sequence[str],
    *,
    progress: ProgressCallback | None = None,
    timeouts: Timeouts | None = None,
) -> Path:
    """Return the unpacked file in `folder`, fetched from the first mirror that has it whole.

    What has arrived stays beside it as `NAME.gz.part`, or `NAME.part`, when all fails, and the next
    call goes on from there. The file takes its name only after its checksum held.
    """
    target = folder / file.name
    if target.exists():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _from_mirrors(file, target, mirrors, progress, timeouts or Timeouts())
    except OSError as problem:
        raise InputError(f"Cannot write to {folder}: {problem.strerror or problem}.") from problem


def _from_mirrors(
    file: RemoteFile,
    target: Path,
    mirrors: Sequence[str],
    progress: ProgressCallback | None,
    timeouts: Timeouts,
) -> Path:
    part = target.with_name(f"{file.sent}.part")
    told = []
    for mirror in mirrors:
        said: list[str] = []
        for _ in range(timeouts.tries):
            try:
                _receive_file(f"{mirror}{file.sent}", part, progress, timeouts)
                return _unpack(file, part, target)
            except _Failure as failure:
                if str(failure) not in said:
                    said.append(str(failure))
        told.append(f"{mirror} {' and '.join(said)}")
    raise InputError(f"{file.sent} could not be downloaded: {'; '.join(told)}.")


def _receive_file(
    url: str, part: Path, progress: ProgressCallback | None, timeouts: Timeouts
) -> None:
    """Bring `part` to its full length, going on from the bytes that are there."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url)  # noqa: S310  (addresses stand in this package)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeouts.seconds) as answer:  # noqa: S310  (as above)
            resumed = answer.status == http.client.PARTIAL_CONTENT
            if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink()
                raise _Failure("sent another part than was asked for")
            _receive(answer, part, have if resumed else 0, progress, timeouts)
    except urllib.error.HTTPError as problem:
        problem.close()
        if problem.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here already; the checksum decides
        raise _Failure(f"answered {problem.code} {problem.reason}") from problem
    except TimeoutError as problem:
        raise _Failure(f"was silent for {timeouts.seconds:g} s") from problem
    except urllib.error.URLError as problem:
        reason = problem.reason
        text = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
        if isinstance(reason, TimeoutError):
            text = f"silent for {timeouts.seconds:g} s"
        raise _Failure(f"cannot be reached ({text})") from problem
    except (http.client.HTTPException, ConnectionError) as problem:
        raise _Failure(f"broke off ({type(problem).__name__})") from problem


def _receive(
    answer: http.client.HTTPResponse,
    part: Path,
    start: int,
    progress: ProgressCallback | None,
    timeouts: Timeouts,
) -> None:
    length = answer.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() else None
    done, began, since = start, time.monotonic(), start
    with part.open("r+b" if start else "wb") as out:
        out.seek(start)
        out.truncate()
        while block := answer.read1(_BLOCK):
            out.write(block)
            done += len(block)
            if progress:
                progress(part.name.removesuffix(".part"), done, total)
            if done > MOST_BYTES:
                out.truncate(0)
                raise _Failure(f"sent more than {MOST_BYTES:,} bytes")
            elapsed = time.monotonic() - began
            if elapsed >= timeouts.window:
                if done - since < timeouts.slowest * elapsed:
                    speed = (done - since) / elapsed
                    raise _Failure(f"sent only {speed:,.0f} bytes a second")
                began, since = time.monotonic(), done
    if total is not None and done < total:
        raise _Failure(f"broke off after {done:,} of {total:,} bytes")


def _unpack(file: RemoteFile, part: Path, target: Path) -> Path:
    """Unpack `part` to `target` if it is the file that was asked for; drop it if it is not."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        came, unpacked = _copy_unpacked(part, temporary, packed=file.packed)
        for got, expected in (
            (came, file.packed_sha256),
            (unpacked, file.unpacked_sha256),
        ):
            if expected is not None and got != expected:
                part.unlink(missing_ok=True)
                raise _Failure(f"sent other bytes (SHA-256 {got[:12]}..., not {expected[:12]}...)")
        temporary.replace(target)
        part.unlink(missing_ok=True)
        return target
    except DAMAGED as problem:
        size = part.stat().st_size
        part.unlink(missing_ok=True)
        raise _Failure(f"sent {size:,} bytes that are no whole gzip file") from problem
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _copy_unpacked(part: Path, temporary: Path, *, packed: bool) -> tuple[str, str]:
    """Write the unpacked bytes; return the SHA-256 of those that came and of the unpacked ones."""
    unpacked, done = hashlib.sha256(), 0
    with part.open("rb") as raw, temporary.open("wb") as out:
        came = hashlib.file_digest(raw, "sha256").hexdigest()
        raw.seek(0)
        stream = open_gzip(raw) if packed else raw
        while block := stream.read(1 << 20):
            done += len(block)
            if done > MOST_BYTES:
                raise EOFError(f"more than {MOST_BYTES:,} bytes unpacked")
            unpacked.update(block)
            out.write(block)
    return came, unpacked.hexdigest()
