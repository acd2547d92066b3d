"""Who computes blocks of frames: threads of this process, or the workers of a dask cluster."""

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import dask
import dask.array as da
import dask.multiprocessing
import dask.threaded
from dask.base import get_scheduler
from dask.delayed import Delayed
from dask.optimization import cull
from dask.system import CPU_COUNT
from dask.utils import format_bytes

from ..notices import SchedulerWarning, warn
from ..process_local import ProcessLocal
from .block_tasks import BlockTasks, in_groups, with_shared_values
from .budget import LARGEST_BLOCK, LARGEST_PART, MemoryPlan, plan_memory
from .cluster import Cluster, workers_of

_log = logging.getLogger(__name__)

# So many blocks of each thread that it never waits for the next ones.
_BLOCKS_OF_A_GROUP = 8

# Blocks that the scheduler is given at a time: so many that it hardly matters that threads wait for each other
# at the end, and no more, because dask's own memory grows with them.
_FEWEST_TOGETHER, _TOGETHER_FOR_A_THREAD = 256, 16


class Workers(Protocol):
    """Anything that computes blocks of frames."""

    @property
    def n_threads(self) -> int:
        """Number of threads that share one memory."""
        ...

    def limited_to(self, n_threads: int) -> Self:
        """Return workers of which no more threads work at a time, where that can be chosen."""
        ...

    def check_folder(self, folder: Path) -> None:
        """Refuse workers that cannot write to a folder.

        Raises
        ------
        ClusterError
            (an OSError) that names the worker and the folder.
        """
        ...

    def with_shared_values(self, frames: da.Array) -> da.Array:
        """Compute what all blocks share once, for all that is to be run on them."""
        ...

    def run(
        self, frames: da.Array, numbers: Iterable[int], function: Callable[..., Any], *arguments: Any
    ) -> Iterator[tuple[int, Any]]:
        """Apply a function to some blocks, and give the number of a block and its result as they come.

        Parameters
        ----------
        frames
            Lazy frames (frame, y, x) in blocks of whole frames.
        numbers
            Of the blocks.
        function, arguments
            Called as ``function(block, first, *arguments)``, where `first` is the position of the first
            frame of the block. Its result should be small.
        """
        ...

    def apply(
        self,
        frames: da.Array,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        on_frames: Callable[[int], None],
    ) -> list[Any]:
        """Apply a function to every block, and return its results in the order of the frames.

        Parameters
        ----------
        frames
            Lazy frames (frame, y, x) in blocks of whole frames.
        function, arguments
            Called as ``function(block, first, *arguments)``; see `run`.
        on_frames
            Called with a number of frames whenever some are done.
        """
        ...


@dataclass(frozen=True)
class Resources:
    """Who does a run, and in what memory.

    Parameters
    ----------
    workers
        Who.
    plan
        What each process of theirs does with its memory.
    """

    workers: Workers
    plan: MemoryPlan

    @classmethod
    def planned(
        cls, workers: Workers, memory: int | str | None, *, n_frames: int, frame_bytes: int, resume: bool | None = None
    ) -> Self:
        """Plan what some workers do with their memory, and take no more of their threads than it allows.

        Parameters
        ----------
        workers
            Who is there.
        memory, n_frames, frame_bytes
            See `budget.plan_memory`.
        resume
            Whether the run is to leave its blocks as parts on threads too.

        Raises
        ------
        ParameterError
            (a ValueError) see `budget.plan_memory`.
        """
        plan = plan_memory(
            memory,
            n_frames=n_frames,
            frame_bytes=frame_bytes,
            n_threads=workers.n_threads,
            largest_block=LARGEST_PART if leaves_parts(workers, resume) else LARGEST_BLOCK,
        )
        allowed = format_bytes(plan.predicted_bytes)
        _log.debug("a run of %d frames may add %s to a process: %s.", n_frames, allowed, plan)
        return cls(workers.limited_to(plan.n_threads), plan)


class ThisProcess:
    """The threads of this process.

    Parameters
    ----------
    n_threads
        How many work at a time, at most; by default as many as the active scheduler has.
    scheduler
        "threads": those of dask, instead of the active scheduler and of a pool of the user's.
    because
        Why the active one cannot be used, which is a warning once there is something to do.
    """

    def __init__(
        self, n_threads: int | None = None, scheduler: Literal["threads"] | None = None, because: str | None = None
    ) -> None:
        self._limit = n_threads
        self._scheduler = scheduler
        self._because = because

    @property
    def n_threads(self) -> int:
        """Number of threads."""
        there = self._n_there
        return there if self._limit is None else min(self._limit, there)

    def limited_to(self, n_threads: int) -> Self:
        """Return no more than some of the threads."""
        return type(self)(n_threads, self._scheduler, self._because)

    def check_folder(self, folder: Path) -> None:
        """Do nothing: what these threads cannot write to, the output cannot be written to either."""

    def with_shared_values(self, frames: da.Array) -> da.Array:
        """Compute what all blocks share, and keep it as long as the result is kept."""
        return with_shared_values(frames, self._keep)

    def run(
        self, frames: da.Array, numbers: Iterable[int], function: Callable[..., Any], *arguments: Any
    ) -> Iterator[tuple[int, Any]]:
        """Apply a function to some blocks; see `Workers.run`."""
        self._warn()
        get = self._get
        tasks = BlockTasks(frames, function, arguments, self._keep)
        with ThreadPoolExecutor(self.n_threads) as pool:
            number_of: dict[Future[Any], int] = {}
            try:
                for group in in_groups(numbers, _BLOCKS_OF_A_GROUP * self.n_threads):
                    results = tasks.of(group)
                    graph = dict(results[0].dask)
                    for number, result in zip(group, results, strict=True):
                        needed, _ = cull(graph, [result.key])
                        number_of[pool.submit(get, needed, result.key)] = number
                    while len(number_of) > self.n_threads:
                        yield from _done(number_of)
                while number_of:
                    yield from _done(number_of)
            finally:
                pool.shutdown(cancel_futures=True)

    def apply(
        self,
        frames: da.Array,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        on_frames: Callable[[int], None],
    ) -> list[Any]:
        """Apply a function to every block; see `Workers.apply`."""
        self._warn()
        shared = function, arguments, _Listener(on_frames)
        frames = self.with_shared_values(frames)
        if self._is_limited and self._client is not None:
            # A client has all its threads work on what it knows, so it is told of no more than may be worked on.
            found = dict(self.run(frames, range(frames.numblocks[0]), _apply_and_tell, *shared))
            return [found[number] for number in range(len(found))]
        tasks = BlockTasks(frames, _apply_and_tell, shared, self._keep)
        n_together = max(_FEWEST_TOGETHER, _TOGETHER_FOR_A_THREAD * self.n_threads)
        return [result for results in tasks.in_turn(n_together) for result in self._compute(results)[0]]

    @property
    def _get(self) -> Callable[[Any, Any], Any]:
        """What computes a graph in the thread that calls it, or as a client in this process can."""
        client = self._client
        get: Callable[[Any, Any], Any] = dask.get if client is None else client.get
        return get

    @property
    def _client(self) -> Any | None:
        """The client that computes, if one does."""
        return _active_client() if self._scheduler is None else None

    @property
    def _n_there(self) -> int:
        return _count_threads() if self._scheduler is None else _count_dasks_threads()

    @property
    def _is_limited(self) -> bool:
        """Whether fewer threads are to work than there are."""
        return self.n_threads < self._n_there

    def _compute(self, *collections: Any) -> tuple[Any, ...]:
        results: tuple[Any, ...]
        if self._scheduler is None and (self._client is not None or not self._is_limited):
            results = dask.compute(*collections)
            return results
        # A pool of the user's cannot be limited, and a task in it cannot wait for other tasks there. Nor can dask's
        # configuration say so, which all threads share.
        with ThreadPoolExecutor(self.n_threads) as pool:
            results = dask.compute(*collections, scheduler="threads", pool=pool)
        return results

    def _warn(self) -> None:
        if self._because is not None:
            warn(f"{self._because}: the threads of this process do the work.", SchedulerWarning)

    def _keep(self, values: list[Delayed]) -> list[Delayed]:
        """Compute values, which stay in this process."""
        computed = self._compute(*values)
        return [Delayed(value.key, {value.key: found}) for value, found in zip(values, computed, strict=True)]


def active_workers() -> ThisProcess | Cluster:
    """Return those who compute on the active scheduler; within a task of a client, the threads of its process.

    Raises
    ------
    ClusterError
        (an OSError) if the scheduler of the active client does not answer.
    """
    client = _active_client()
    if client is not None and (n_threads := _threads_of_this_task()) is not None:
        # A task cannot wait for other tasks of its own scheduler, as all threads may be taken by such tasks.
        return ThisProcess(n_threads, scheduler="threads")
    if client is not None and not _is_in_process(client):
        return Cluster(client)
    pool = _pool_of_the_user()
    if get_scheduler() is dask.multiprocessing.get or _is_of_processes(pool):
        return threads_because("the scheduler 'processes' cannot work with an open file")
    if threading.current_thread() in _threads_of(pool):
        return ThisProcess(scheduler="threads")
    return ThisProcess()


def threads_because(reason: str) -> ThisProcess:
    """Return the threads of this process, which warn why they work instead of the active scheduler."""
    return ThisProcess(scheduler="threads", because=reason)


def leaves_parts(workers: Workers, resume: bool | None) -> bool:
    """Tell whether blocks become parts: those of other processes do, and those of threads that are to resume."""
    return bool(resume) or not isinstance(workers, ThisProcess)


class _Listener(ProcessLocal):
    """Who is told of frames that are done, in graphs that may be pickled."""

    def __init__(self, on_frames: Callable[[int], None]) -> None:
        super().__init__()
        self.on_frames = on_frames


def _done(number_of: "dict[Future[Any], int]") -> Iterator[tuple[int, Any]]:
    """Wait for the next results."""
    done, _ = wait(number_of, return_when=FIRST_COMPLETED)
    for future in done:
        yield number_of.pop(future), future.result()


def _apply_and_tell(
    block: Any, first: int, function: Callable[..., Any], arguments: tuple[Any, ...], listener: _Listener
) -> Any:
    result = function(block, first, *arguments)
    listener.on_frames(len(block))
    return result


def _count_threads() -> int:
    client = _active_client()
    if get_scheduler() is dask.get:
        return 1
    if client is not None and _is_in_process(client):
        return sum(client.nthreads().values())
    return _size_of(_pool_of_the_user()) or _count_dasks_threads()


def _count_dasks_threads() -> int:
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def _pool_of_the_user() -> Any | None:
    """Return what dask was told to run tasks in, instead of threads of its own."""
    scheduler = dask.config.get("scheduler", None)
    return scheduler if isinstance(scheduler, Executor) else dask.config.get("pool", None)


def _size_of(pool: Any | None) -> int | None:
    """Return the number of threads of a pool; None if it does not tell."""
    # dask asks in the same way. Those of concurrent.futures and of multiprocessing have no other.
    size: int | None = getattr(pool, "_max_workers", None) or getattr(pool, "_processes", None)
    return size


def _is_of_processes(pool: Any | None) -> bool:
    """Tell whether the tasks of a pool run in other processes."""
    is_multiprocessings = isinstance(pool, Pool) and not isinstance(pool, ThreadPool)
    return is_multiprocessings or isinstance(pool, ProcessPoolExecutor)


def _threads_of(pool: Any | None) -> Collection[Any]:
    """Return the threads of a pool: a task in one of them cannot wait for other tasks there."""
    threads: Collection[Any] = getattr(pool, "_threads", None) or getattr(pool, "_pool", None) or ()
    return threads


def _active_client() -> Any | None:
    """Return the `distributed.Client` that is the active scheduler, if there is one."""
    client = getattr(get_scheduler(), "__self__", None)
    return client if hasattr(client, "scheduler_info") else None


def _threads_of_this_task() -> int | None:
    """Return how many threads the worker of a client has whose task this is; None where this is no such task."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return None
    n_threads: int = worker.state.nthreads
    return n_threads


def _is_in_process(client: Any) -> bool:
    addresses = workers_of(client)
    return bool(addresses) and all(address.startswith("inproc://") for address in addresses)


def _forget_threads_of_dask() -> None:
    """Let a forked process make threads of its own: it has dask's pools, but not the threads in them."""
    dask.threaded.default_pool = None
    dask.threaded.pools.clear()
    dask.threaded.pools_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads_of_dask)
