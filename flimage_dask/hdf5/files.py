"""Open HDF5 files by path, URL, group or not at all, with errors that say what is wrong with a file."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias
from uuid import uuid4

import h5py

from ..errors import (
    FileClosedError,
    FileError,
    FileIsFolderError,
    FileLockedError,
    FileMissingError,
    FilePermissionError,
    FileReadOnlyError,
    FlimageError,
    OutputExistsError,
    ParameterError,
)
from .layout import damage_error, is_writable, where
from .remote import RemoteFile
from .url import Url, is_url, public_name

#: Where an image or a series is kept: a path, a URL, an open group, or None for memory.
H5File: TypeAlias = str | bytes | os.PathLike[str] | Url | h5py.Group | None

# Frames are visited one after the other: eight times as much makes neither reading nor writing faster.
_CACHE_BYTES = 64 << 10
# A name takes 16 bytes of a piece of memory that doubles as it fills up, so that it may be up to twice as large.
_NAME_BYTES = 33

_MODES = ("r", "r+", "w", "w-", "x", "a")


class GroupHolder:
    """Something that is kept in an HDF5 group, and closes the file if it opened it.

    Parameters
    ----------
    h5file
        A path, a URL, an open group, or None for a file in memory.
    h5mode
        How to open a path: "r", "r+", "w", "w-" or "x", "a"; a URL: "r".
    """

    def __init__(self, h5file: H5File, h5mode: str) -> None:
        self._is_owner = not isinstance(h5file, h5py.Group)
        #: The group in which everything is kept.
        self.h5: h5py.Group = _open(h5file, h5mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, unless it was given as an open group.

        Raises
        ------
        FileError
            (an OSError) if what was changed in it does not reach the disk.
        """
        if self._is_owner and self.h5:
            with _reaching_the_disk(where(self.h5)):
                self.h5.file.close()


def bound_metadata_cache(file: h5py.File, n_frames: int) -> None:
    """Let HDF5 keep in memory what the next frames need, and not what all frames ever needed.

    By default its cache grows to 32 MiB by its own count, which is 180 MB of memory. It must hold the
    names of all frames, which are one object and would be read again at every look-up.
    """
    config = file.id.get_mdc_config()
    config.max_size = _CACHE_BYTES + _NAME_BYTES * n_frames
    config.min_size = min(config.min_size, config.max_size)
    config.initial_size = min(config.initial_size, config.max_size)
    file.id.set_mdc_config(config)


def still_open(group: h5py.Group) -> h5py.Group:
    """Return a group, as long as its file is open.

    Raises
    ------
    FileClosedError
        (an OSError, a KeyError and a ValueError) if it is closed.
    """
    if not group:
        raise FileClosedError("the file of this image or series is closed: open it again.")
    return group


def check_writable(group: h5py.Group) -> None:
    """Refuse to change a file that is closed, or open for reading only.

    Raises
    ------
    FileClosedError, FileReadOnlyError
        (OSErrors, KeyErrors and ValueErrors) if it is.
    """
    if not is_writable(still_open(group)):
        raise FileReadOnlyError(f"{where(group)} is open read-only: open it with h5mode='a' to change it.")


@contextmanager
def noticing_damage(group: h5py.Group) -> Iterator[None]:
    """Name the file when HDF5 cannot make sense of what it reads there.

    For reading only: it has many types of errors for that, some of which mean something else when it writes.
    """
    try:
        yield
    except FlimageError:
        raise
    except (KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise damage_error(group, error) from error


def subgroup(group: h5py.Group, name: str) -> h5py.Group:
    """Open a group within another.

    Raises
    ------
    FileError
        If it is damaged, or no group.
    """
    with noticing_damage(group):
        found = group[name]
        if not isinstance(found, h5py.Group):
            raise TypeError(f"'{name}' is not a group")
    return found


@contextmanager
def _reaching_the_disk(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise FileError(
            f"{name} did not reach the disk whole: {_reason(error)}. It may be damaged: make room, and restore it "
            f"from a copy or make it again."
        ) from error


def _open(h5file: H5File, h5mode: str) -> h5py.Group:
    if h5mode not in _MODES:
        raise ParameterError(f"h5mode={h5mode!r}: give one of {', '.join(map(repr, _MODES))}.")
    if isinstance(h5file, h5py.Group):
        if not h5file:
            raise FileClosedError("the HDF5 group is closed: open its file again.")
        return h5file
    if h5file is None:
        return h5py.File(f"memory-{uuid4().hex}", "w", driver="core", backing_store=False)
    if isinstance(h5file, bytes):
        h5file = os.fsdecode(h5file)
    if is_url(h5file):
        return _open_url(h5file, h5mode)
    if not isinstance(h5file, str | os.PathLike):
        raise ParameterError(f"h5file must be a path, a URL, an open h5py.Group or None, not {type(h5file).__name__}.")
    return open_path(Path(h5file), h5mode)


def open_path(path: Path, h5mode: str, locking: bool | None = None) -> h5py.File:
    """Open a file on a disk, with HDF5's lock unless told otherwise.

    Raises
    ------
    FileError
        (an OSError) if it cannot be opened, of the class that tells why.
    """
    try:
        # By this name it is found again, wherever the process goes.
        return h5py.File(path.absolute(), h5mode, locking=locking)
    except OSError as error:
        raise _open_error(path, h5mode, error) from error


def is_being_written(path: Path) -> bool:
    """Tell whether a file is open for writing, here or, where its file system knows of locks, in another process."""
    # What was opened here without HDF5's lock can only be opened again without it.
    return _is_being_written(path, locking=None) or _is_being_written(path, locking=False)


def _is_being_written(path: Path, locking: bool | None) -> bool:
    try:
        with open_path(path, "r", locking) as file:
            # What is open here already HDF5 opens as it was opened first.
            return is_writable(file)
    except FileError as error:
        return isinstance(error, FileLockedError)


def _open_url(url: Url, h5mode: str) -> h5py.File:
    if h5mode != "r":
        raise ParameterError(
            f"'{public_name(url)}' can only be read, because it is a URL: open it with h5mode='r', not {h5mode!r}."
        )
    return RemoteFile.at(url).open()


def _open_error(path: Path, h5mode: str, error: OSError) -> FileError:
    """Find out why a file does not open."""
    if path.is_dir():
        return FileIsFolderError(f"'{path}' is a folder: give the name of an HDF5 file.")
    if not path.exists():
        if h5mode in ("r", "r+"):
            return FileMissingError(f"'{path}' does not exist.")
        kind = FilePermissionError if isinstance(error, PermissionError) else FileMissingError
        return kind(f"'{path}' cannot be created: {_reason(error)}.")
    if h5mode in ("w-", "x"):
        return OutputExistsError(f"'{path}' exists already: choose another name, or h5mode='a' to add to it.")
    if isinstance(error, PermissionError):
        return FilePermissionError(f"'{path}' may not be opened with h5mode='{h5mode}': {_reason(error)}.")
    if isinstance(error, BlockingIOError) or "already open" in str(error):
        return FileLockedError(
            f"'{path}' is open for writing elsewhere, or here in another mode: close it there first."
        )
    if not h5py.is_hdf5(path):
        return FileError(f"'{path}' is not an HDF5 file.")
    if "truncated" in str(error):
        return FileError(f"'{path}' is truncated, it ends before its content does: copy it again from its source.")
    return FileError(f"'{path}' cannot be opened: {error}.")


def _reason(error: OSError | RuntimeError) -> str:
    told = re.search(r"errno = (\d+)", str(error))
    number = int(told[1]) if told else getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
