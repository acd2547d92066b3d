"""A lock that one run at a time holds, which other threads, processes and machines see."""

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

_IS_POSIX = os.name == "posix"
_locks = import_module("fcntl" if _IS_POSIX else "msvcrt")


class FileLock:
    """An exclusive lock on a file, which ends with its process at the latest.

    Parameters
    ----------
    path
        The file, which must be there; the lock changes nothing in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def take(self) -> bool:
        """Take the lock, and tell whether it was free. Where the file system has no locks, everyone gets it."""
        self._file = open(self._path, "rb+")  # noqa: SIM115
        try:
            if _IS_POSIX:
                _locks.flock(self._file, _locks.LOCK_EX | _locks.LOCK_NB)
            else:
                _locks.locking(self._file.fileno(), _locks.LK_NBLCK, 1)
        except (BlockingIOError, PermissionError):
            self.release()
            return False
        except OSError:
            return True
        return True

    def release(self) -> None:
        """Let others take it."""
        if self._file is None:
            return
        if _IS_POSIX:
            # A process that was forked meanwhile keeps the file open.
            with suppress(OSError):
                _locks.flock(self._file, _locks.LOCK_UN)
        self._file.close()
        self._file = None


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds the lock on a file."""
    lock = FileLock(path)
    is_free = lock.take()
    lock.release()
    return not is_free
