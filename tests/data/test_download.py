"""Downloads against a server of our own that is slow, cut off, lying or dead."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from convcli.data import load_dataset, published
from convcli.data.download import RemoteFile, Timeouts, fetch
from convcli.data.published import MNIST, differing_files, load_published
from convcli.errors import InputError
from tests.data.test_idx import idx_bytes

CONTENT = np.random.default_rng(1).integers(0, 256, 300_000, np.uint8).tobytes()
PACKED = gzip.compress(CONTENT, 1)
QUICK = Timeouts(seconds=0.3, slowest=1e6, window=0.2, tries=3)


class Handler(BaseHTTPRequestHandler):
    """Serves one file in the manner that the first part of the path names."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        _, manner, name = self.path.split("/", 2)
        span = self.headers.get("Range", "")
        self.asked.append((manner, span))
        body = self.files.get(name, b"")
        getattr(self, manner)(body, int(span[6:-1]) if span else 0)

    def _head(self, status: int, length: int, start: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-")
        self.end_headers()

    def good(self, body: bytes, start: int) -> None:
        if start >= len(body):
            self._head(416, 0)
        elif start:
            self._head(206, len(body) - start, start)
        else:
            self._head(200, len(body))
        self.wfile.write(body[start:])

    def whole(self, body: bytes, start: int) -> None:
        """Knows nothing of ranges."""
        self._head(200, len(body))
        self.wfile.write(body)

    def cut(self, body: bytes, start: int) -> None:
        """Breaks off after 100,000 bytes, each time."""
        self._head(206 if start else 200, len(body) - start, start if start else None)
        self.wfile.write(body[start : start + 100_000])

    def elsewhere(self, body: bytes, start: int) -> None:
        """Answers another range than was asked for."""
        if not start:
            self.cut(body, 0)
            return
        self._head(206, 10, 7)
        self.wfile.write(body[7:17])

    def wrong(self, body: bytes, start: int) -> None:
        """A proper gzip file of other bytes."""
        other = gzip.compress(b"other" * 1000)
        self._head(200, len(other))
        self.wfile.write(other)

    def page(self, body: bytes, start: int) -> None:
        """What a hotel's network answers."""
        self._head(200, 13)
        self.wfile.write(b"<html></html>")

    def longer(self, body: bytes, start: int) -> None:
        """Promises more than it has."""
        self._head(200, len(body) + 999)
        self.wfile.write(body)

    def silent(self, body: bytes, start: int) -> None:
        time.sleep(1)

    def slow(self, body: bytes, start: int) -> None:
        self._head(200, len(body))
        for at in range(0, 400, 20):
            self.wfile.write(body[at : at + 20])
            time.sleep(0.05)

    def missing(self, body: bytes, start: int) -> None:
        self._head(404, 0)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of these tests."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Handler, "asked", [])
    monkeypatch.setattr(Handler, "files", {"data.gz": PACKED})
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


WANTED = RemoteFile("data", hashlib.sha256(CONTENT).hexdigest(), hashlib.sha256(PACKED).hexdigest())


def fetched(folder: Path, *mirrors: str, wanted: RemoteFile = WANTED) -> bytes:
    return fetch(wanted, folder, mirrors, timeouts=QUICK).read_bytes()


@pytest.mark.parametrize("manner", ["good", "whole"])
def test_a_good_server_is_enough(tmp_path: Path, address: str, manner: str) -> None:
    calls = []
    folder = tmp_path / "new" / "folder"
    path = fetch(WANTED, folder, [f"{address}{manner}/"], progress=lambda *call: calls.append(call))
    assert path.read_bytes() == CONTENT
    assert calls[-1] == ("data.gz", len(PACKED), len(PACKED))
    assert [item.name for item in folder.iterdir()] == ["data"]
    assert fetched(folder) == CONTENT  # no mirror is asked again


def test_a_file_cut_off_in_the_middle_is_resumed(tmp_path: Path, address: str) -> None:
    assert fetched(tmp_path, f"{address}cut/", f"{address}good/") == CONTENT
    spans = [span for _, span in Handler.asked]
    assert spans == ["", "bytes=100000-", "bytes=200000-", "bytes=300000-"][: len(spans)]
    assert len(spans) >= 3


def test_what_has_arrived_is_kept_for_the_next_call(tmp_path: Path, address: str) -> None:
    once = replace(QUICK, tries=1)
    with pytest.raises(InputError, match="broke off after 100,000 of 300,"):
        fetch(WANTED, tmp_path, [f"{address}cut/"], timeouts=once)
    assert (tmp_path / "data.gz.part").stat().st_size == 100_000
    assert fetched(tmp_path, f"{address}good/") == CONTENT
    assert Handler.asked[-1] == ("good", "bytes=100000-")


def test_a_server_without_ranges_begins_again(tmp_path: Path, address: str) -> None:
    (tmp_path / "data.gz.part").write_bytes(b"half of something")
    assert fetched(tmp_path, f"{address}whole/") == CONTENT


def test_a_wrong_part_is_thrown_away_after_the_checksum(tmp_path: Path, address: str) -> None:
    (tmp_path / "data.gz.part").write_bytes(b"\1" * 1000)
    assert fetched(tmp_path, f"{address}good/") == CONTENT
    (tmp_path / "data").unlink()
    (tmp_path / "data.gz.part").write_bytes(PACKED + b"more than all")
    assert fetched(tmp_path, f"{address}good/") == CONTENT


@pytest.mark.parametrize(
    ("manner", "sentence"),
    [
        ("wrong", r"sent other bytes \(SHA-256 [0-9a-f]{12}\.\.\., not"),
        ("page", "sent 13 bytes that are no whole gzip file"),
        ("longer", "broke off after .* of .* bytes"),
        ("silent", "silent for 0.3 s"),
        ("slow", "sent only [0-9]+ bytes a second"),
        ("missing", "answered 404 Not Found"),
        ("elsewhere", "sent another part than was asked for"),
    ],
)
def test_each_failure_is_named_and_the_next_mirror_tried(
    tmp_path: Path, address: str, manner: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        fetched(tmp_path, f"{address}{manner}/")
    assert not (tmp_path / "data").exists()
    assert fetched(tmp_path, f"{address}{manner}/", f"{address}good/") == CONTENT


def test_a_dead_address_is_named(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"cannot be reached \(Connection refused\)"):
        fetched(tmp_path, f"http://127.0.0.1:{port}/")


def test_a_gzip_that_swells_without_end_is_stopped(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convcli.data.download.MOST_BYTES", 400_000)
    Handler.files["data.gz"] = gzip.compress(bytes(3_000_000))
    with pytest.raises(InputError, match="no whole gzip file"):
        fetched(tmp_path, f"{address}good/", wanted=RemoteFile("data"))
    Handler.files["data.gz"] = bytes(500_000)
    with pytest.raises(InputError, match="sent more than 400,000 bytes"):
        fetched(tmp_path, f"{address}good/", wanted=RemoteFile("data"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write to"):
        fetched(tmp_path / "file" / "folder")


@pytest.fixture
def small(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> published.Published:
    """A published data set of two small pairs on our own server, and an empty cache."""
    monkeypatch.delenv("CONVCLI_DATA", raising=False)
    monkeypatch.setattr(published, "cache_folder", lambda name: tmp_path / "cache" / name)
    files = []
    for wanted in MNIST.files:
        count = 20 if wanted.name.startswith("train") else 10
        labels = (np.arange(count) % 10).astype(np.uint8)
        pictures = np.arange(count * 9, dtype=np.uint8).reshape(count, 3, 3)
        content = idx_bytes(pictures if "images" in wanted.name else labels)
        Handler.files[f"{wanted.name}.gz"] = gzip.compress(content)
        files.append(RemoteFile(wanted.name, hashlib.sha256(content).hexdigest()))
    what = replace(MNIST, mirrors=(f"{address}good/",), files=tuple(files))
    monkeypatch.setitem(published.PUBLISHED, "mnist", what)
    return what


def test_a_published_set_comes_from_network_then_cache_then_own_folder(
    small: published.Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_dataset("mnist")
    assert (len(first.train), first.class_names) == (20, tuple("0123456789"))
    assert len(Handler.asked) == 4
    again = load_dataset("mnist")
    assert len(Handler.asked) == 4
    assert "SHA-256 checked" in again.provenance
    own = tmp_path / "own" / "mnist"
    own.parent.mkdir()
    (tmp_path / "cache" / "mnist").rename(own)
    monkeypatch.setenv("CONVCLI_DATA", str(own.parent))
    assert str(own) in load_dataset("mnist").provenance
    assert differing_files(small, own) == []
    (own / small.files[0].name).write_bytes(b"other")
    assert differing_files(small, own) == [small.files[0].name]


def test_offline_is_a_sentence_that_names_digits_and_no_other_data(
    small: published.Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = replace(small, mirrors=("http://127.0.0.1:9/",))
    with pytest.raises(InputError, match=r"MNIST is not to be had.*--data digits\.$"):
        load_published(dead, timeouts=QUICK)


def test_a_system_package_is_read_before_the_network_and_named_where_it_is_missing(
    small: published.Published, tmp_path: Path
) -> None:
    load_published(small)
    (tmp_path / "cache" / "mnist").rename(tmp_path / "packaged")
    asked = len(Handler.asked)
    there = replace(small, package="dataset-small", packaged=str(tmp_path / "packaged"))
    assert str(tmp_path / "packaged") in load_published(there).provenance
    assert len(Handler.asked) == asked
    away = replace(there, packaged=str(tmp_path / "none"), mirrors=("http://127.0.0.1:9/",))
    with pytest.raises(InputError, match="Install Debian's package dataset-small, or put its four"):
        load_published(away, timeouts=QUICK)


def test_a_data_folder_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVCLI_DATA", "/no/such/folder")
    with pytest.raises(InputError, match="CONVCLI_DATA is /no/such/folder, which is no folder"):
        load_dataset("mnist")
