"""Where trainings run: in processes of this machine, or on the workers of a Dask scheduler."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError

from convcli.data import Dataset
from convcli.environment import thread_count
from convcli.errors import InputError
from convcli.sweep.trial import Job, Trained, train_job


class Engine(Protocol):
    """Where trainings run."""

    def run(self, jobs: Sequence[Job], data: Dataset) -> Iterator[tuple[Job, Trained]]:
        """Yield each job with what came of it when it is done, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Trainings in processes of this machine, each with its share of the threads.

    Attributes:
        processes: at most so many at a time; 0 for one on each core.
    """

    processes: int = 0

    def run(self, jobs: Sequence[Job], data: Dataset) -> Iterator[tuple[Job, Trained]]:
        """Yield each job with what came of it when it is done; see `Engine`."""
        cores = thread_count()
        count = min(self.processes or cores, len(jobs))
        threads = max(1, cores // count)
        if count == 1:
            for job in jobs:
                yield job, train_job(job, data, threads)
            return
        watch = {"initializer": _attend_parent, "initargs": (os.getpid(),)}
        with (
            parallel_config("loky", n_jobs=count, inner_max_num_threads=threads, **watch),
            warnings.catch_warnings(),
        ):
            # that an interruption drops orders is no news here
            warnings.filterwarnings("ignore", r".*tasks (which were|have been)", UserWarning)
            # pre_dispatch keeps few orders in the pipes, so that an interruption finds few
            work = Parallel(return_as="generator_unordered", pre_dispatch=count)
            found = work(delayed(_train)(job, data, threads) for job in jobs)
            try:
                yield from found
            except TerminatedWorkerError as problem:
                raise InputError(
                    "A process of the sweep was killed, perhaps for want of memory. What was "
                    "finished is kept; go on with --resume, and fewer --jobs."
                ) from problem
            finally:
                found.close()


def _train(job: Job, data: Dataset, threads: int) -> tuple[Job, Trained]:
    return job, train_job(job, data, threads)


def _attend_parent(parent: int) -> None:
    """Leave signals to all of a terminal to the parent, and end when it has gone."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True, slots=True)
class ClusterEngine:
    """Trainings on the workers of a Dask scheduler, each with one thread.

    Attributes:
        address: of the scheduler, such as `tcp://10.0.0.1:8786`.
    """

    address: str

    def run(self, jobs: Sequence[Job], data: Dataset) -> Iterator[tuple[Job, Trained]]:
        """Yield each job with what came of it when it is done; see `Engine`."""
        from convcli.sweep.cluster import connected, each_result  # distributed is an extra

        with connected(self.address) as client:
            # the samples are the result of an order too: a lost copy is made again
            samples = client.submit(_same, data, pure=False)
            for place, trained in each_result(client, _train_alone, jobs, samples):
                yield jobs[place], trained


def _same(data: Dataset) -> Dataset:
    return data


def _train_alone(job: Job, data: Dataset) -> Trained:
    return train_job(job, data, threads=1)
