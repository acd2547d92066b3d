"""Where the bytes of a file come from: a disk or a URL."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import h5py

from .filters import Bytes
from .layout import path_of
from .local import local_file_of
from .remote import remote_file_of


class ByteSource(Protocol):
    """A file in the state in which it was indexed, which any process can read."""

    @property
    def name(self) -> str:
        """What errors call the file."""
        ...

    def read(self, ranges: Sequence[tuple[int, int]]) -> Iterator[Bytes]:
        """Read ranges of bytes (start, stop), fewer bytes where the file ends; refuse a file that has changed."""
        ...

    def open(self) -> h5py.File:
        """Open the file for HDF5, which alone can read what lies in no single range."""
        ...


def source_of(group: h5py.Group, path: Path | None = None) -> ByteSource | None:
    """Return the file of a group as it is now; None if its bytes can be read through its open handle only.

    Parameters
    ----------
    group, path
        See `local_file_of`.

    Raises
    ------
    FileChangedError
        If the open file is no longer the one of its name.
    """
    return remote_file_of(group) or local_file_of(group, path)


def origin_of(group: h5py.Group) -> str | None:
    """Return the path of a group's file, or its URL without keys; None if it has neither."""
    path, remote = path_of(group), remote_file_of(group)
    if path is not None:
        return str(path)
    return None if remote is None else remote.name
