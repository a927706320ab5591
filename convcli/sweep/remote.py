"""Trainings on other machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from convcli.data import Dataset
from convcli.sweep.cluster import connected, each_result
from convcli.sweep.trial import Job, Outcome, train_job


@dataclass(frozen=True, slots=True)
class ClusterEngine:
    """Trainings on the workers of a Dask scheduler, each with one thread.

    Attributes:
        address: of the scheduler, such as `tcp://10.0.0.1:8786`.
    """

    address: str

    def run(self, jobs: Sequence[Job], data: Dataset) -> Iterator[tuple[Job, Outcome]]:
        """Yield each job with its outcome when it is done; see `Engine`."""
        with connected(self.address) as client:
            # the samples are the result of an order too: a lost copy is made again
            samples = client.submit(_same, data, pure=False)
            for place, outcome in each_result(client, _train, jobs, samples):
                yield jobs[place], outcome


def _same(data: Dataset) -> Dataset:
    return data


def _train(job: Job, data: Dataset) -> Outcome:
    return train_job(job, data, threads=1)
