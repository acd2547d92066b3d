"""Files on a disk that this process sees."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import h5py

from ..errors import FileChangedError, FileError
from .files import open_path
from .filters import Bytes

# Drivers that keep a file as one run of bytes on a disk.
_DRIVERS_OF_ONE_FILE = ("sec2", "windows")


@dataclass(frozen=True)
class LocalFile:
    """A file on a disk, in the state in which it was indexed. It travels to other processes as a path."""

    path: Path
    size: int
    modified_ns: int
    inode: int

    @classmethod
    def at(cls, path: Path) -> Self:
        """Find a file."""
        return cls._from(path, path.stat())

    @property
    def name(self) -> str:
        """What errors call the file."""
        return str(self.path)

    def read(self, ranges: Sequence[tuple[int, int]]) -> Iterator[Bytes]:
        """Read some ranges of bytes (start, stop) one by one; fewer bytes where the file ends.

        Raises
        ------
        FileChangedError
            If the file is no longer the one that was indexed.
        FileError
            If it cannot be read.
        """
        try:
            with open(self.path, "rb", buffering=0) as file:
                self._check(file.fileno())
                for start, stop in ranges:
                    file.seek(start)
                    # A damaged index may ask for more memory than there is.
                    yield _read_fully(file, max(0, min(stop, self.size) - start))
                self._check(file.fileno())
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"'{self.path}' cannot be read: {error}.") from error

    def open(self) -> h5py.File:
        """Open the file for HDF5."""
        return open_path(self.path, "r")

    def _check(self, descriptor: int) -> None:
        """Refuse an open file that is not the one that was indexed."""
        if self._from(self.path, os.fstat(descriptor)) != self:
            raise FileChangedError(
                f"'{self.path}' changed after its frames were indexed: open the series again and repeat."
            )

    @classmethod
    def _from(cls, path: Path, stat: os.stat_result) -> Self:
        return cls(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


def local_file_of(group: h5py.Group, path: Path | None = None) -> LocalFile | None:
    """Return the file of a group as it is now; None if it has no single file of its own on a disk.

    Parameters
    ----------
    group
        The group.
    path
        Where its file is, for one that was opened by a relative name and perhaps from another folder.

    Raises
    ------
    FileChangedError
        If the open file is no longer the one of its name.
    """
    file = group.file
    if file.driver not in _DRIVERS_OF_ONE_FILE:
        return None
    path = (path or Path(file.filename)).resolve()
    try:
        found = LocalFile.at(path)
        # Elsewhere than under POSIX an open file cannot be replaced.
        is_same = os.name != "posix" or os.fstat(file.id.get_vfd_handle()).st_ino == found.inode
    except OSError as error:
        raise FileChangedError(f"'{path}' is gone from under its open series: {error.strerror}.") from error
    if not is_same:
        raise FileChangedError(f"'{path}' was replaced while its series was open: open the series again and repeat.")
    return found


def is_file_of(path: Path, group: h5py.Group) -> bool:
    """Tell whether a path leads to the file that a group lies in, whatever name that was opened by."""
    file = group.file
    if file.driver not in _DRIVERS_OF_ONE_FILE or not path.exists():
        return False
    if os.name != "posix":
        return path.samefile(file.filename)
    return os.path.samestat(path.stat(), os.fstat(file.id.get_vfd_handle()))


def check_in_place(path: Path | None, group: h5py.Group) -> None:
    """Refuse a group whose file is no longer the one under its path: what is written to it would be lost.

    Raises
    ------
    FileChangedError
        If it is not.
    """
    if path is not None and group.file.driver in _DRIVERS_OF_ONE_FILE and not is_file_of(path, group):
        raise FileChangedError(
            f"'{path}' was removed or replaced while it was open: what is added would be lost. Open it again."
        )


def _read_fully(file: BinaryIO, n_bytes: int) -> Bytes:
    """Read up to `n_bytes`; fewer only at the end of the file."""
    buffer = bytearray(n_bytes)
    view, done = memoryview(buffer), 0
    while done < n_bytes and (got := file.readinto(view[done:])):  # type: ignore[attr-defined]
        done += got
    return view[:done]
