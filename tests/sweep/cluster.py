"""A real scheduler with two workers on the loopback, as processes of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

REASON = "needs the extra cluster: pip install 'convcli[cluster]'"


@dataclass
class Cluster:
    address: str
    workers: list[subprocess.Popen[bytes]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_cluster(workers: int = 2) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason=REASON)
    address = f"tcp://127.0.0.1:{free_port()}"
    started: list[subprocess.Popen[bytes]] = []

    def start(module: str, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    try:
        start("dask_scheduler", "--host", address, "--no-dashboard", "--no-jupyter")
        found = [
            start(
                "dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard",
                "--host", "127.0.0.1", "--local-directory", tempfile.gettempdir(),
            )
            for _ in range(workers)
        ]  # fmt: skip
        wait_for_workers(address, workers)
        yield Cluster(address, found)
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    deadline = time.monotonic() + 60
    while True:
        try:
            with Client(address, timeout=60, set_as_default=False) as client:
                client.wait_for_workers(count, timeout=60)
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
