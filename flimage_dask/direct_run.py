"""A run whose threads store their blocks in the output themselves."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import dask.array as da
from numpy.typing import NDArray

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
        self.threads.measure(self.frames, _store, (writer,), lambda n_frames: None)


def _store(block: NDArray[Any], first: int, writer: SeriesWriter) -> None:
    writer.write(first, block)
