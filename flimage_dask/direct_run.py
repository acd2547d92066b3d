"""A run whose threads store their blocks in the output themselves."""

import operator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed

from .hdf5.writer import SeriesWriter
from .scheduling import ThisProcess


@dataclass(frozen=True, eq=False)
class DirectRun:
    """Frames, and the threads of this process that compute and store them.

    Parameters
    ----------
    frames
        Lazy frames (frame, y, x) in blocks of whole frames.
    threads
        Who does it.
    """

    frames: da.Array
    threads: ThisProcess

    @property
    def scratch(self) -> None:
        """Where the output lies until it is whole: beside its own name."""
        return None

    def opened(self) -> AbstractContextManager[None]:
        """Keep nothing on the disk but the output."""
        return nullcontext()

    def fill(self, writer: SeriesWriter) -> None:
        """Compute and store all blocks."""
        self.threads.compute(_stored_in_order(self.frames, writer))


def _stored_in_order(frames: da.Array, target: SeriesWriter) -> Delayed:
    """Store blocks in the order of the frames.

    dask would run them in the order of their names, 9 before 10 before 1, and those that come too
    early would wait in memory. A chain of empty tasks, each behind one block, gives them their order.
    """
    store = dask.delayed(operator.setitem, pure=False)
    follow = dask.delayed(_follow, pure=False)
    shared = dask.delayed(target, traverse=False)
    last_frame = np.cumsum(frames.chunks[0])
    done = None
    for block, n_frames, stop in zip(frames.to_delayed().ravel(), frames.chunks[0], last_frame, strict=True):
        where = (slice(int(stop) - n_frames, int(stop)), slice(None), slice(None))
        done = follow(store(shared, where, block), done)
    return done


def _follow(stored: None, before: None) -> None:
    """Come after a block and all blocks before it."""
