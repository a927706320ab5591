"""Work on several machines: the workers of a Dask scheduler.

An order holds all its bytes, and the scheduler keeps it until the result is there; so when a worker
dies, another takes its orders, and nothing depends on files that the machines would have to share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from convcli import __version__
from convcli.errors import InputError, UsageError, missing_extra

CONNECT_SECONDS = 10
ORDERS_A_THREAD = 2
"""Orders under way for each thread of the workers; more would only fill the scheduler's memory."""

Order = TypeVar("Order")
Result = TypeVar("Result")


def map_on_cluster(
    address: str, function: Callable[[Order], Result], orders: Sequence[Order]
) -> Iterator[tuple[int, Result]]:
    """Yield the place of each order and its result when it is done, in any order.

    Args:
        address: of the scheduler.
        function: found by its name on the workers.
        orders: values that can be sent.

    Raises:
        InputError: nobody answers, the workers have no or another convcli, or one order after
            another killed its worker. What `function` raises leaves as it is.
    """
    with connected(address) as client:
        yield from each_result(client, function, orders)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield a client of the scheduler whose workers all run this version of convcli.

    Raises:
        UsageError: the address is malformed.
        InputError: Dask is missing, nobody answers, or the workers do not fit.
    """
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise missing_extra("distributed", "cluster", "Clusters") from None
    quiet = {"distributed.admin.large-graph-warning-threshold": "100GB", "logging.distributed": 50}
    with dask.config.set(quiet):
        try:
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError) as problem:
            raise InputError(
                f"No scheduler answers at {address} within {CONNECT_SECONDS} s. Start one with "
                "`dask scheduler`, and workers with `dask worker ADDRESS`."
            ) from problem
        except ValueError as problem:
            raise UsageError(
                f"--cluster {address}: {problem}. Write tcp://HOST:PORT, such as "
                "tcp://127.0.0.1:8786."
            ) from None
        try:
            _check_workers(client, address)
            yield client
        finally:
            client.close(timeout=2)


def each_result(
    client: Any, function: Callable[..., Result], orders: Sequence[Any], *shared: Any
) -> Iterator[tuple[int, Result]]:
    """Yield the place of each order and its result; few are under way at a time."""
    from concurrent.futures import CancelledError

    from distributed import as_completed
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    def submit(place: int) -> Any:
        future = client.submit(function, orders[place], *shared, pure=False)
        places[future.key] = place
        return future

    places: dict[str, int] = {}
    threads = sum(client.nthreads().values())
    begun = min(len(orders), max(1, threads) * ORDERS_A_THREAD)
    under_way = as_completed([submit(place) for place in range(begun)], loop=client.loop)
    for future in under_way:
        try:
            result = future.result()
        except KilledWorker as problem:
            raise InputError(
                f"Order {places[future.key] + 1} of {len(orders)} was given up: {problem}. Has the "
                "worker enough memory?"
            ) from None
        except (CancelledError, CommClosedError) as problem:
            raise InputError(
                "The scheduler has gone. What was finished is kept; start it again and go on."
            ) from problem
        yield places.pop(future.key), result
        if begun < len(orders):
            under_way.add(submit(begun))
            begun += 1


def _check_workers(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise InputError(
            f"The scheduler at {address} has no workers. Start some: dask worker {address}"
        ) from None
    found = client.run(_version, on_error="return")
    for worker, version in found.items():
        if version != __version__:
            told = "no convcli" if isinstance(version, Exception) else f"convcli {version}"
            raise InputError(
                f"The worker {worker} has {told}, and this is {__version__}. Install the same "
                "version there: pip install 'convcli[cluster]'"
            )


def _version() -> str:
    return __version__
