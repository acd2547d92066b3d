"""A file brought to its disk while it grows, so that little is left to wait for once it is whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Self

# The system by itself waits for seconds, or until a tenth of all memory is to be written.
_PIECE_BYTES = 16 << 20
_SECONDS_BETWEEN_LOOKS = 0.05


class GrowingFile:
    """A file that others write, whose pieces a thread brings to the disk.

    Parameters
    ----------
    path
        Where it is.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "rb+")  # noqa: SIM115
        self._stop = Event()
        self._pool = ThreadPoolExecutor(1)
        self._pieces = self._pool.submit(self._bring_pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        self._file.close()

    def bring_rest(self) -> None:
        """Have all of the file on the disk.

        Raises
        ------
        OSError
            If any of it could not be brought there.
        """
        self._stop.set()
        # The system reports a failure once, to whoever waited for it.
        self._pieces.result()
        os.fsync(self._file.fileno())

    def _bring_pieces(self) -> None:
        bring = getattr(os, "fdatasync", os.fsync)
        n_brought = 0
        while not self._stop.wait(_SECONDS_BETWEEN_LOOKS):
            n_bytes = os.fstat(self._file.fileno()).st_size
            if n_bytes - n_brought >= _PIECE_BYTES:
                bring(self._file.fileno())
                n_brought = n_bytes
