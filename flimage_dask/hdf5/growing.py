"""A file brought to its disk while it grows, so that little is left to wait for once it is whole."""

import os
from pathlib import Path
from threading import Event, Thread
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
        self._error: OSError | None = None
        # Nobody waits at the exit of the process for one that was not stopped, because of an interrupt.
        self._thread = Thread(target=self._bring_pieces, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._end()
        finally:
            self._file.close()

    def bring_rest(self) -> None:
        """Have all of the file on the disk.

        Raises
        ------
        OSError
            If any of it could not be brought there.
        """
        self._end()
        # The system reports a failure once, to whoever waited for it.
        if self._error is not None:
            raise self._error
        os.fsync(self._file.fileno())

    def _end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _bring_pieces(self) -> None:
        bring = getattr(os, "fdatasync", os.fsync)
        n_brought = 0
        try:
            while not self._stop.wait(_SECONDS_BETWEEN_LOOKS):
                n_bytes = os.fstat(self._file.fileno()).st_size
                if n_bytes - n_brought >= _PIECE_BYTES:
                    bring(self._file.fileno())
                    n_brought = n_bytes
        except OSError as error:
            self._error = error
