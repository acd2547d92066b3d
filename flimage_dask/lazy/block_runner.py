"""Frames of a series measured block by block, by whoever can read them."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ..hdf5.local import LocalFile
from ..progress import ignore_progress
from ..running.cluster import Cluster
from ..running.scheduling import Resources, ThisProcess, Workers, active_workers, threads_because
from .arrays import lazy_series
from .frame_source import FrameSource

# All frames of some rows that are in memory at a time for an image over time.
_STACK_BYTES = 64 << 20


class BlockRunner:
    """Measure frames block by block, and tell a listener how many have been measured.

    Parameters
    ----------
    on_frames
        Called from any thread with a number of frames.
    workers
        Who measures; by default those of the active scheduler.
    block_bytes
        Uncompressed size of a block; by default that of lazy arrays.
    stack_bytes
        What an image over time may have in memory.
    """

    def __init__(
        self,
        on_frames: Callable[[int], None] = ignore_progress,
        workers: Workers | None = None,
        block_bytes: int | None = None,
        stack_bytes: int = _STACK_BYTES,
    ) -> None:
        self.on_frames = on_frames
        self.stack_bytes = stack_bytes
        self._workers = workers
        self._block_bytes = block_bytes

    @classmethod
    def of(cls, resources: Resources, on_frames: Callable[[int], None] = ignore_progress) -> "BlockRunner":
        """Make a runner that keeps to the memory of a run."""
        plan = resources.plan
        return cls(on_frames, resources.workers, plan.block_bytes, plan.kept_bytes // 2)

    def measure(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Apply a function to every block of a source, and return its results in the order of the frames."""
        return self.measure_lazy(source, self.lazy(source), function, *arguments)

    def measure_lazy(
        self, source: FrameSource, fl: da.Array, function: Callable[..., Any], *arguments: Any
    ) -> list[Any]:
        """Apply a function to every block of frames that are made from a source, in the order of the frames."""
        workers = self._workers or workers_for(source)
        return workers.apply(fl, _measure_block, (function, arguments), self.on_frames)

    def measure_raw(self, source: FrameSource, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Apply a function to the positions and the raw images of every block of a source; see `measure`."""
        workers = self._workers or workers_for(source)
        raw = lazy_series(source, self._block_bytes).raw_fl
        return workers.apply(raw, _measure_raw_block, (function, arguments), self.on_frames)

    def lazy(self, source: FrameSource) -> da.Array:
        """Return the frames of a source in blocks of this runner's size."""
        return lazy_series(source, self._block_bytes).fl

    def quietly(self) -> "BlockRunner":
        """Return one whose frames nobody counts."""
        return BlockRunner(workers=self._workers, block_bytes=self._block_bytes, stack_bytes=self.stack_bytes)


def _measure_block(block: NDArray[Any], first: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return function(block, *arguments)


def _measure_raw_block(
    block: NDArray[Any], first: int, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    return function(np.arange(first, first + len(block)), block, *arguments)


def workers_for(source: FrameSource) -> ThisProcess | Cluster:
    """Return those who can read a source: only this process sees a series in its memory.

    Raises
    ------
    ClusterError
        (an OSError) if a worker has another version of this package, or cannot read the file of the source.
    """
    workers = active_workers()
    if not isinstance(workers, Cluster):
        return workers
    if source.stamp is None:
        return threads_because("the series is in the memory of this process, which no worker of the cluster sees")
    workers.check_versions()
    if isinstance(source.stamp, LocalFile):
        workers.check_input(source.stamp.path)
    return workers
