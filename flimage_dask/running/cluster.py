"""The workers of a dask cluster, which are other processes, perhaps on other machines.

They are given a bounded number of blocks at a time, each as one task with a small result.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Self
from uuid import uuid4

import dask.array as da
from dask.delayed import Delayed
from numpy.typing import NDArray

from ..errors import ClusterError
from ..memory import reuse_freed_memory_as_a_worker
from ..notices import SchedulerWarning, warn
from .block_tasks import BlockTasks, in_groups, with_shared_values

_PACKAGE = __package__.partition(".")[0]

# Each submission costs the client and the scheduler some 20 ms, whatever its size. It goes out while as many
# blocks as it brings, or two for each thread, are still to be done, so that nobody waits for it.
_BLOCKS_OF_A_SUBMISSION = 64
_BLOCKS_AHEAD_OF_A_THREAD = 2
_SECONDS_BETWEEN_LOOKS, _SECONDS_UNTIL_WARNING, _SECONDS_FOR_AN_ANSWER = 0.1, 60.0, 10.0

_LOST = "the connection to the scheduler was lost before the run was done."


class Cluster:
    """The workers of a cluster.

    Parameters
    ----------
    client
        A `distributed.Client`.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._checks: list[Callable[[list[str] | None], None]] = []
        self._checked: set[str] | None = None

    @property
    def n_threads(self) -> int:
        """Number of threads that share one memory: those of the largest worker."""
        with _failing_clearly(self._client):
            return max(self._client.nthreads().values(), default=1)

    def limited_to(self, n_threads: int) -> Self:
        """Return the same workers: they were started with their threads."""
        return self

    def check_versions(self) -> None:
        """Wait for a worker; refuse workers without this package, or with another version of it.

        Raises
        ------
        ClusterError
            (an OSError) that names the worker and the versions.

        Warns
        -----
        SchedulerWarning
            If no worker comes for a minute.
        """
        self._wait_for_a_worker()
        self._refuse_other_versions()

    def check_input(self, file: Path) -> None:
        """Refuse workers that cannot read a file of this machine.

        Raises
        ------
        ClusterError
            (an OSError) that names the worker and the file.
        """
        self._check(partial(self._refuse_who_cannot_read, file))

    def check_folder(self, folder: Path) -> None:
        """Refuse workers of another version, or that cannot write to a folder of this machine.

        Raises
        ------
        ClusterError
            (an OSError) that names the worker and the folder.
        """
        self.check_versions()
        self._check(partial(self._refuse_who_cannot_write, folder))

    def with_shared_values(self, frames: da.Array) -> da.Array:
        """Compute what all blocks share, and keep it on the cluster as long as the result is kept."""
        return with_shared_values(frames, self._keep)

    def apply(
        self,
        frames: da.Array,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        on_frames: Callable[[int], None],
    ) -> list[Any]:
        """Apply a function to every block, and return its results in the order of the frames."""
        results: dict[int, Any] = {}
        frames = self.with_shared_values(frames)
        for number, result in self.run(frames, range(frames.numblocks[0]), function, *arguments):
            results[number] = result
            on_frames(frames.chunks[0][number])
        return [results[number] for number in range(len(results))]

    def run(
        self, frames: da.Array, numbers: Iterable[int], function: Callable[..., Any], *arguments: Any
    ) -> Iterator[tuple[int, Any]]:
        """Apply a function to some blocks; see `scheduling.Workers.run`.

        Raises
        ------
        ClusterError
            (an OSError) if the cluster is lost, or a block kills its workers.
        """
        from distributed import as_completed, futures_of

        tasks = BlockTasks(frames, _on_worker, (function, arguments), self._keep)
        # Results are fetched as they come, several at a time: one by one each would take 9 ms.
        pending = as_completed(with_results=True)
        unfinished: dict[Any, Any] = {}

        def submit(group: list[int]) -> int:
            with _failing_clearly(self._client):
                futures = futures_of(self._client.persist(tasks.of(group), optimize_graph=False))
                unfinished.update((future.key, future) for future in futures)
                pending.update(futures)
                n_threads: int = sum(self._client.nthreads().values())
            return max(_BLOCKS_OF_A_SUBMISSION, _BLOCKS_AHEAD_OF_A_THREAD * n_threads)

        def take() -> tuple[int, Any]:
            with self._blaming_who_came_late(), _failing_clearly(self._client):
                self._wait_for_one_of(pending)
                future, result = next(pending)
            del unfinished[future.key]
            _, number, *_ = future.key
            return number, result

        try:
            for group in in_groups(numbers, _BLOCKS_OF_A_SUBMISSION):
                most_ahead = submit(group)
                while pending.count() > most_ahead:
                    yield take()
            while pending.count():
                yield take()
        finally:
            self._forget(list(unfinished.values()))

    def _forget(self, futures: list[Any]) -> None:
        """Let a cluster do again what failed: as long as somebody keeps an error, its traceback keeps the futures."""
        if self._client.status == "running":
            self._client.cancel(futures)

    def _wait_for_one_of(self, pending: Any) -> None:
        """Wait for a block that is done.

        Of those that are fetched when a scheduler dies, dask forgets one now and then, and would wait for it for ever.
        """
        warn_at = monotonic() + _SECONDS_UNTIL_WARNING
        while not pending.has_ready():
            if self._client.status == "closed":
                raise ClusterError(_LOST)
            if monotonic() > warn_at:
                self._warn_unless_somebody_is_there()
                warn_at += _SECONDS_UNTIL_WARNING
            with pending.thread_condition:
                pending.thread_condition.wait(_SECONDS_BETWEEN_LOOKS)

    def _wait_for_a_worker(self) -> None:
        with _failing_clearly(self._client):
            if self._client.nthreads():
                return
            # Who only waits for workers asks for none, and a cluster that adapts to what is to be done starts none.
            task = self._client.submit(int, pure=False)
            while True:
                with suppress(TimeoutError):
                    task.result(timeout=_SECONDS_UNTIL_WARNING)
                    return
                self._warn_unless_somebody_is_there()

    def _warn_unless_somebody_is_there(self) -> None:
        if not self._client.nthreads():
            warn(
                "the cluster has no worker, and the run waits for one: start one, or look why the jobs that were to "
                "start some have not begun.",
                SchedulerWarning,
            )

    def _check(self, check: Callable[[list[str] | None], None]) -> None:
        """Check all workers, and take note of what those that come later are to pass too."""
        with _failing_clearly(self._client):
            there = set(self._client.nthreads())
        check(None)
        self._checks.append(check)
        self._checked = there if self._checked is None else self._checked & there

    @contextmanager
    def _blaming_who_came_late(self) -> Iterator[None]:
        """Look whether files are missing only because a worker that came during the run does not see them."""
        try:
            yield
        except ClusterError:
            raise
        except OSError as error:
            with _failing_clearly(self._client):
                late = sorted(set(self._client.nthreads()) - (self._checked or set()))
            for check in self._checks if late else ():
                try:
                    check(late)
                except ClusterError as reason:
                    raise reason from error
                except OSError:
                    # This machine is as unable, which the first error explains.
                    continue
            raise

    def _refuse_other_versions(self) -> None:
        with _failing_clearly(self._client):
            found = self._client.get_versions(packages=[_PACKAGE])
        own = found["client"]["packages"][_PACKAGE]
        for worker, versions in found["workers"].items():
            version = versions["packages"].get(_PACKAGE)
            if version != own:
                has = f"has no {_PACKAGE}" if version is None else f"has {_PACKAGE} {version}"
                raise ClusterError(
                    f"the worker {worker} {has}; this process has {own}: install the same version on both."
                )

    def _refuse_who_cannot_read(self, file: Path, late: list[str] | None) -> None:
        if late is not None:
            file.open("rb").close()
        self._refuse_unable(_try_input, file, late)

    def _refuse_who_cannot_write(self, folder: Path, late: list[str] | None) -> None:
        probe = folder / f".probe.{uuid4().hex[:8]}"
        probe.touch()
        try:
            self._refuse_unable(_try_folder, probe, late)
        finally:
            probe.unlink(missing_ok=True)

    def _refuse_unable(self, probe: Callable[[str], str | None], path: Path, late: list[str] | None) -> None:
        """Refuse workers that have a problem with a path: all of them, or those that came late."""
        with _failing_clearly(self._client):
            if late is None:
                problems = self._client.run(probe, str(path), on_error="return")
            else:
                problems = self._answers_of(late, probe, path)
        for worker, problem in problems.items():
            # Probes raise no such error: the worker was lost meanwhile, and leaves its blocks to others.
            if isinstance(problem, OSError):
                continue
            if isinstance(problem, Exception):
                raise problem
            if problem is not None:
                raise ClusterError(
                    f"the worker {worker} on {problem}: put input and output on a file system that all workers and "
                    f"this machine share, under the same path."
                )

    def _answers_of(self, workers: list[str], probe: Callable[[str], str | None], path: Path) -> dict[str, str | None]:
        """Return what some workers say about a path; those that do not answer soon have no say."""
        from distributed import wait

        tasks = {worker: self._client.submit(probe, str(path), workers=[worker], pure=False) for worker in workers}
        with suppress(TimeoutError):
            wait(list(tasks.values()), timeout=_SECONDS_FOR_AN_ANSWER)
        answers = {worker: task.result() for worker, task in tasks.items() if task.status == "finished"}
        self._forget(list(tasks.values()))
        return answers

    def _keep(self, values: list[Delayed]) -> list[Delayed]:
        """Compute values, which stay on the cluster as long as they are needed."""
        from distributed import futures_of, wait

        with _failing_clearly(self._client):
            there_before = set(self._client.futures)
            kept: list[Delayed] = self._client.persist(values)
            futures = futures_of(kept)
            try:
                wait(futures)
                for future in futures:
                    if future.status != "finished":
                        future.result()
            except BaseException:
                # What the user keeps there, or another run, is not of this one.
                self._forget([future for future in futures if future.key not in there_before])
                raise
        return kept


def _try_input(file: str) -> str | None:
    """Tell that a worker cannot read a file; None if it can."""
    try:
        with open(file, "rb"):
            return None
    except OSError as error:
        return f"'{socket.gethostname()}' cannot read '{file}' ({error.strerror})"


def _try_folder(probe_of_client: str) -> str | None:
    """Tell what a worker cannot do in the folder of a file; None if there is nothing."""
    probe = Path(probe_of_client)
    own = probe.with_name(f"{probe.name}.{uuid4().hex[:8]}")
    try:
        if not probe.is_file():
            return f"'{socket.gethostname()}' does not see the folder '{probe.parent}'"
        own.touch(exist_ok=False)
        own.unlink()
    except OSError as error:
        return f"'{socket.gethostname()}' cannot write to the folder '{probe.parent}' ({error.strerror})"
    return None


def _on_worker(block: NDArray[Any], first: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    reuse_freed_memory_as_a_worker()
    return function(block, first, *arguments)


def workers_of(client: Any) -> list[str]:
    """Return the addresses of the workers of a client.

    Raises
    ------
    ClusterError
        (an OSError) if its scheduler does not answer.
    """
    problem: Exception | None = None
    try:
        info = client.scheduler_info(n_workers=-1)
        # A client that has given up knows nothing any more, and says so without an error.
        if client.status == "running" and "workers" in info:
            return list(info["workers"])
    except (OSError, RuntimeError) as error:
        problem = error
    raise ClusterError(
        f"the scheduler of the active client, {_address_of(client)}, does not answer: connect to one that does with a "
        f"new Client, or work on threads after client.close()."
    ) from problem


def _address_of(client: Any) -> str:
    address = getattr(client.scheduler, "address", None)
    return "which is closed" if address is None else f"'{address}'"


@contextmanager
def _failing_clearly(client: Any) -> Iterator[None]:
    """Turn what dask raises about workers and schedulers into an error that tells what to do."""
    from distributed import CancelledError
    from distributed.client import ClosedClientError
    from distributed.comm import CommClosedError
    from distributed.scheduler import KilledWorker

    lost = CancelledError, ClosedClientError, CommClosedError
    try:
        yield
    except KilledWorker as error:
        n_lost = error.allowed_failures + 1
        raise ClusterError(
            f"a block lost {n_lost} worker{'' if n_lost == 1 else 's'}, the last of them at "
            f"{error.last_worker.address}: they ran out of memory, or their jobs ended. Give workers more memory or "
            f"fewer threads, give memory='200 MiB', or give jobs more time."
        ) from error
    except Exception as error:
        # What a client is asked once it has given up fails in many ways.
        if isinstance(error, lost) or client.status != "running":
            raise ClusterError(_LOST) from error
        raise
