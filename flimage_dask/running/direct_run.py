"""A run whose threads store their blocks in the output themselves."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from ..hdf5.parts import PartFolder
from ..hdf5.writer import SeriesWriter, check_length
from ..progress import ignore_progress
from .scheduling import Workers


@dataclass(frozen=True, eq=False)
class DirectRun:
    """A run whose threads, those of this process, store their blocks in the output.

    Parameters
    ----------
    frames
        Lazy frames (frame, y, x) in blocks of whole frames.
    threads
        Who does it, in this process.
    left
        What an earlier run left, which nobody needs.
    """

    frames: da.Array
    threads: Workers
    left: PartFolder | None = None

    @property
    def scratch(self) -> None:
        """Where the output lies until it is whole: beside its own name."""
        return None

    def opened(self) -> AbstractContextManager[None]:
        """Keep nothing on the disk but the output."""
        if self.left is not None:
            self.left.remove()
        return nullcontext()

    def fill(self, writer: SeriesWriter) -> None:
        """Compute and store all blocks."""
        starts = np.cumsum((0, *self.frames.chunks[0]))
        self.threads.apply(self.frames, _store, (writer, starts), ignore_progress)


def _store(block: NDArray[Any], first: int, writer: SeriesWriter, starts: NDArray[np.int64]) -> None:
    following = starts[min(int(np.searchsorted(starts, first, side="right")), len(starts) - 1)]
    # dask may cut blocks without frames, each with the place of the one behind it.
    check_length(first, len(block), int(following) - first if len(block) else 0)
    writer.write(first, block)
