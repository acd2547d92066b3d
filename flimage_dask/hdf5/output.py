"""An output file that appears under its name only when it is whole."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TypeAlias
from uuid import uuid4

import h5py
from dask.utils import format_bytes

from ..errors import (
    FileError,
    FileIsFolderError,
    FileLockedError,
    FileMissingError,
    FilePermissionError,
    OutputExistsError,
    ParameterError,
    SeriesError,
)
from .changes import EVERYTHING, note_change
from .files import is_being_written
from .growing import GrowingFile
from .layout import is_writable, where
from .lock import FileLock
from .url import is_url, public_name

#: What a series can be written to: a path, or an open group.
Output: TypeAlias = str | os.PathLike[str] | h5py.Group


#: How the names of outputs that are not whole end.
PARTIAL = ".partial"
_MORE_IN_PARTIAL_NAME = len(f"..01234567{PARTIAL}")

# What describes the frames lies together in pieces of this size, so that a reader behind a URL gets that of
# many frames with one request, and the pixels of neighbouring frames with another.
_METADATA_BLOCK_BYTES = 256 << 10


def check_output(output: Output, source: Path | None, *, overwrite: bool) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises
    ------
    OutputExistsError
        (a FileExistsError) if it exists and `overwrite` is not given, or is the input itself.
    FileIsFolderError, FileMissingError, FilePermissionError
        (OSErrors) if it is a folder, its folder does not exist, or one of both cannot be written to.
    FileLockedError
        (a BlockingIOError) if it exists and is open for writing, here or, as far as locks tell, elsewhere.
    FileError
        (an OSError) if no file can have its name.
    ParameterError
        (a ValueError) if it is a URL, or neither a path nor a group.
    SeriesError
        (a ValueError) if the group is closed.
    """
    if isinstance(output, h5py.Group):
        _check_group(output)
        return
    refuse_url(output)
    if not isinstance(output, str | os.PathLike):
        raise ParameterError(f"the output must be a path or an open h5py.Group, not {type(output).__name__}.")
    path = Path(output)
    _check_path(path)
    if source is not None and lead_to_one_file(path, source):
        raise OutputExistsError(f"'{path}' is the input itself: write to another file.")
    if path.is_dir():
        raise FileIsFolderError(f"'{path}' is a folder: give the name of a file.")
    if path.exists() and not path.is_file():
        raise FileError(f"'{path}' is a device: give the name of a file.")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"'{path}' exists already: choose another name, or give overwrite=True.")
    folder = path.resolve().parent
    if folder.exists() and not folder.is_dir():
        raise FileMissingError(f"'{folder}' is not a folder: the output '{path.name}' cannot lie in it.")
    if not folder.is_dir():
        raise FileMissingError(f"the folder '{folder}' of the output '{path.name}' does not exist: make it first.")
    if not os.access(folder, os.W_OK):
        raise FilePermissionError(f"the folder '{folder}' of the output '{path.name}' cannot be written to.")
    _check_length(path.resolve())
    if path.exists() and not os.access(path, os.W_OK):
        raise FilePermissionError(f"'{path}' is write-protected: choose another name, or remove the protection.")
    if path.exists() and is_being_written(path):
        raise FileLockedError(f"'{path}' is open for writing: close it first, or choose another name.")


def _check_path(path: Path) -> None:
    """Refuse what no file can be called."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        kind = FilePermissionError if isinstance(error, PermissionError) else FileError
        raise kind(f"the output cannot be '{path}': {error.strerror}. Choose another name.") from error


def _check_length(target: Path) -> None:
    """Refuse a name that leaves no room for the one that the file has until it is whole."""
    if os.name != "posix":
        return
    n_bytes, most = len(os.fsencode(target.name)), os.pathconf(target.parent, "PC_NAME_MAX") - _MORE_IN_PARTIAL_NAME
    if n_bytes > most:
        raise FileError(
            f"the name of the output, '{target.name}', has {n_bytes} bytes, of {most} at most in '{target.parent}': "
            f"choose a shorter one."
        )


def lead_to_one_file(path: str | os.PathLike[str], source: Path) -> bool:
    """Tell whether two paths lead to one file. HDF5 may spread an input over files of other names."""
    try:
        return Path(path).samefile(source)
    except OSError:
        # One of them does not exist, or no file can be called so.
        return False


def refuse_url(output: Output) -> None:
    """Refuse an output that is no file of this machine."""
    if is_url(output):
        raise ParameterError(
            f"the output '{public_name(output)}' is a URL, which can only be read: write to a file, and copy it there."
        )


def check_space(folder: Path, n_bytes: int) -> None:
    """Refuse an output that is larger than what its disk has left."""
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise FileError(
            f"the output needs about {format_bytes(n_bytes)}, but the disk of '{folder}' has {format_bytes(free)} "
            f"left: make room, or write to another disk."
        )


@contextmanager
def explaining_write_errors(folder: Path) -> Iterator[None]:
    """Turn HDF5's errors on writing, which tell addresses in memory, into one that tells the reason."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = re.search(r"error message = '(.+?)'", str(error))
        raise FileError(
            f"the output in '{folder}' cannot be written: {reason[1] if reason else error}. "
            f"Nothing is left of it: make room, or write to another disk."
        ) from error


@contextmanager
def open_output(output: Output, *, overwrite: bool, scratch: Path | None = None) -> Iterator[h5py.Group]:
    """Open the group that a new series is written to.

    A file is written under a temporary name beside its target, or in the folder `scratch` on the same disk, brought
    to the disk, and renamed when the block ends; on any exception it is removed. An open group is written in
    place, and emptied again on any exception.
    """
    if isinstance(output, h5py.Group):
        with _open_group(output):
            yield output
        return
    # A link is followed, so that the file it leads to is replaced, on its own disk.
    target = Path(output).resolve()
    partial = (scratch or target.parent) / f".{target.name}.{uuid4().hex[:8]}{PARTIAL}"
    try:
        with _open_partial(partial) as file:
            yield file
        _publish(partial, target, overwrite=overwrite)
    except BaseException:
        # On a disk that cannot be written to any more, this fails too; the first error is the one to report.
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def _open_partial(partial: Path) -> Iterator[h5py.File]:
    with explaining_write_errors(partial.parent):
        # Without HDF5's own lock, which ends before all of the file is on the disk.
        file = h5py.File(partial, "w-", meta_block_size=_METADATA_BLOCK_BYTES, locking=False)
    try:
        with explaining_write_errors(partial.parent):
            growing, lock = GrowingFile(partial), FileLock(partial)
        with growing, _seen_to_be_in_use(lock):
            yield file
            with explaining_write_errors(partial.parent):
                if file:
                    # On a full disk this fails, and closing does not; see `_discard`.
                    file.flush()
                    file.close()
                growing.bring_rest()
    except BaseException:
        # The first error is the one to report.
        with suppress(OSError, RuntimeError):
            _discard(file)
        raise


def _discard(file: h5py.File) -> None:
    """Close a file that nobody needs any more, though its disk is full.

    HDF5 keeps a file that it could not close, half destroyed, and crashes once something looks for open files. So what
    it still has to write goes elsewhere. After a flush that failed, it needs another one to be able to close.
    """
    if file and os.name == "posix":
        with _file_elsewhere() as elsewhere:
            os.dup2(elsewhere.fileno(), file.id.get_vfd_handle())
        with suppress(OSError, RuntimeError):
            file.flush()
    file.close()


def _file_elsewhere() -> IO[bytes]:
    """Open a file in memory, or on the disk of temporary files."""
    return open(os.memfd_create("discarded"), "rb+") if sys.platform == "linux" else TemporaryFile()


@contextmanager
def _seen_to_be_in_use(lock: FileLock) -> Iterator[None]:
    # Elsewhere than under POSIX a lock would keep HDF5 from writing; and nobody can remove what is open.
    if os.name == "posix":
        lock.take()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _open_group(group: h5py.Group) -> Iterator[None]:
    attributes = set(group.attrs)
    try:
        yield
        with explaining_write_errors(Path(group.file.filename).parent):
            group.file.flush()
    except BaseException:
        if group:
            for name in list(group):
                del group[name]
            for name in set(group.attrs) - attributes:
                del group.attrs[name]
        raise
    finally:
        if group:
            note_change(group, EVERYTHING)


def _check_group(group: h5py.Group) -> None:
    if not group:
        raise SeriesError("the output group is closed: open its file for writing.")
    if not is_writable(group):
        raise FileError(f"the output {where(group)} is open read-only: open it with mode 'a'.")
    if len(group) > 0:
        raise OutputExistsError(f"the output group {where(group)} is not empty: give an empty group.")


def _publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Give a whole file its name, without replacing one that appeared in the meantime."""
    if not overwrite and target.exists():
        raise OutputExistsError(f"'{target}' appeared while it was being written: choose another name.")
    partial.replace(target)
    # The output is there. Some file systems bring no folder to the disk, and some folders may be written to only.
    if os.name == "posix":
        with suppress(OSError):
            _bring_to_disk(target.absolute().parent)


def _bring_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
