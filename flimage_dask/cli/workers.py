"""Options that say who does the work: the workers of a cluster, processes of this machine, or threads."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, TypeVar

import click

from ..errors import ClusterError
from .interrupts import out_of_reach_of_interrupts

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SECONDS_TO_CONNECT = 5


def worker_options(command: _Command) -> _Command:
    """Add the options --scheduler, --workers and --threads, and run a command on those that they name."""

    @wraps(command)
    def run(*arguments: Any, scheduler: str | None, workers: int | None, threads: int | None, **options: Any) -> Any:
        with _working(scheduler, workers, threads):
            return command(*arguments, **options)

    added: tuple[Callable[[Any], Any], ...] = (
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Let the workers of a dask cluster do it, such as tcp://127.0.0.1:8786. They must see IN and OUT "
            "under the same paths.",
        ),
        click.option(
            "--workers",
            metavar="N",
            type=click.IntRange(1),
            help="Start so many processes on this machine and let them do it.",
        ),
        click.option(
            "--threads",
            metavar="N",
            type=click.IntRange(1),
            help="Work on so many threads, with --workers in each process. By default one for each core.",
        ),
    )
    decorated: Any = run
    for option in reversed(added):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


@contextmanager
def _working(scheduler: str | None, n_workers: int | None, n_threads: int | None) -> Iterator[None]:
    if scheduler is not None and (n_workers or n_threads):
        raise click.UsageError("--scheduler brings its own workers: leave out --workers and --threads")
    if scheduler is not None:
        with _connected_to(scheduler):
            yield
    elif n_workers is not None:
        with _processes(n_workers, n_threads):
            yield
    else:
        import dask

        with dask.config.set({} if n_threads is None else {"num_workers": n_threads}):
            yield


@contextmanager
def _connected_to(address: str) -> Iterator[None]:
    from distributed import Client

    try:
        client = Client(address, timeout=_SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise ClusterError(f"no scheduler answers at '{address}': start one with: dask scheduler.") from error
    with client:
        yield


@contextmanager
def _processes(n_workers: int, n_threads: int | None) -> Iterator[None]:
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster, WorkerPlugin

    class IgnoringInterrupts(WorkerPlugin):  # type: ignore[misc]  # of any type to mypy
        """Leave what Ctrl-C means to the client, on Windows as well, where a process inherits no mask of signals."""

        def setup(self, worker: Any) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    start = partial(
        LocalCluster,
        n_workers=n_workers,
        threads_per_worker=n_threads or max(1, CPU_COUNT // n_workers),
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        # It listens all the same, for others than people: at any free port, so that no other run is in its way.
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
        # What goes wrong reaches the client as an error, and is one line there.
        silence_logs=logging.CRITICAL,
    )
    with out_of_reach_of_interrupts(start) as cluster, Client(cluster) as client:
        client.register_plugin(IgnoringInterrupts())
        yield
