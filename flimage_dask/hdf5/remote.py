"""Files behind a URL, such as http, s3, zip or memory. They are only read.

HDF5 reads the metadata through a file object that keeps blocks; images come by requests for
ranges, several at a time, without HDF5.
"""

import io
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import h5py
from h5py import h5o

from ..errors import FileChangedError, FileError
from .filters import Bytes
from .own_thread import in_own_thread, no_garbage_collection
from .url import Url, locate, may_pass, public_name, url_error

#: Names and values of the marks by which one state of a file differs from another.
Version: TypeAlias = tuple[tuple[str, str], ...]

# What the file systems of fsspec call such marks, in small letters.
_MARKS = {
    *("etag", "versionid", "generation", "crc", "md5hash", "contentmd5", "digest", "sha"),
    *("lastmodified", "modified", "mtime", "updated", "created", "datetime", "modifiedtime", "modificationtime"),
}

# The metadata of a frame take some 2 kB and lie between the images, so blocks are small. Those of
# 1,000 frames stay, because metadata are read in several passes.
_BLOCK_BYTES = 1 << 16
_MOST_BLOCKS = 1 << 10

# How long to wait before a request is repeated [s]: a run of hours outlives a server that restarts.
_PAUSES_S = (0.25, 1.0, 4.0)

_T = TypeVar("_T")


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL, in the state in which it was opened. It travels to other processes.

    Attributes
    ----------
    filesystem, path
        How fsspec finds the file. Both may hold keys, so they are not shown.
    name
        The URL without user, password and query.
    size
        Number of bytes.
    version
        Marks of this state, such as ``ETag``, as far as the server tells any.
    """

    filesystem: Any = field(repr=False)
    path: str = field(repr=False)
    name: str
    size: int
    version: Version

    @classmethod
    def at(cls, url: Url) -> Self:
        """Find a file.

        Raises
        ------
        ImportError
            If the package for this kind of URL is not installed (the extra ``remote``).
        ParameterError
            (a ValueError) if no such kind of URL is known.
        FileError
            (an OSError) if the file does not exist, may not be read or cannot be reached.
        """
        filesystem, path = locate(url)
        name = public_name(url)
        return cls(filesystem, path, name, *_ask(name, lambda: _state(filesystem, path, name)))

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        # The file system's own token differs from process to process.
        return "RemoteFile", self.filesystem.unstrip_protocol(self.path), self.size, self.version

    def read(self, ranges: Sequence[tuple[int, int]]) -> Iterator[Bytes]:
        """Fetch some ranges of bytes (start, stop), several at a time; fewer bytes where the file ends.

        Raises
        ------
        FileChangedError
            If the file is no longer the one that was opened.
        FileError
            If it cannot be read.
        """
        try:
            fetched = self.fetch(ranges)
        finally:
            # A file that is unchanged after the answers was so when they were made, and a change explains an error.
            self._check()
        yield from fetched

    def fetch(self, ranges: Sequence[tuple[int, int]]) -> list[Bytes]:
        """Fetch some ranges of bytes (start, stop) without asking whether the file has changed."""
        within = [(start, min(stop, self.size)) for start, stop in ranges]
        asked = [(start, stop) for start, stop in within if start < stop]
        answers = iter(_ask(self.name, lambda: self._request(asked), _PAUSES_S))
        return [next(answers) if start < stop else b"" for start, stop in within]

    def open(self) -> h5py.File:
        """Open the file for HDF5.

        Raises
        ------
        FileError
            If it is no HDF5 file, is truncated or cannot be read.
        """
        handle = RemoteHandle(self)
        try:
            file = h5py.File(handle, "r")
        except FileError:
            raise
        except OSError as error:
            raise _not_opened(self.name, error) from error
        handle.is_open = True
        _handles[_file_number(file)] = handle
        return file

    def _request(self, ranges: Sequence[tuple[int, int]]) -> list[Bytes]:
        starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
        answers = self.filesystem.cat_ranges([self.path] * len(ranges), starts, stops, on_error="return")
        for answer, (start, stop) in zip(answers, ranges, strict=True):
            if isinstance(answer, Exception):
                raise answer
            if len(answer) != stop - start:
                raise FileError(
                    f"'{self.name}' sent {len(answer)} bytes for the {stop - start} from byte {start} on: it has "
                    f"changed, or its server ignores requests for ranges. Download the file and open it from the disk."
                )
        return list(answers)

    def _check(self) -> None:
        state = _ask(self.name, lambda: _state(self.filesystem, self.path, self.name), _PAUSES_S)
        if state != (self.size, self.version):
            raise FileChangedError(
                f"'{self.name}' changed after its frames were indexed: open the series again and repeat."
            )


class RemoteHandle(io.RawIOBase):
    """A remote file as HDF5 reads it: in blocks, of which the latest are kept."""

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self.file = file
        self._apart = replace(file, filesystem=in_own_thread(file.filesystem))
        self.is_open = False
        self._position = 0
        self._blocks: OrderedDict[int, Bytes] = OrderedDict()

    def __repr__(self) -> str:
        # h5py takes it for the name of the file.
        return self.file.name

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.file.size}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the byte at which the next read begins."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        # A link to another file makes HDF5 open that through this same object, so that it would take this
        # file for the other. It begins with the first bytes, which it reads at no other time.
        if self.is_open and self._position == 0:
            raise FileError(f"a link in '{self.file.name}' leads to another file, which a URL cannot reach.")
        with memoryview(buffer).cast("B") as view:
            part = self._read(self._position, min(self._position + len(view), self.file.size))
            view[: len(part)] = part
        self._position += len(part)
        return len(part)

    def _read(self, start: int, stop: int) -> Bytes:
        """Read what is long at once, and what is short from blocks."""
        if stop - start >= _BLOCK_BYTES:
            return self._fetch(start, stop)
        first = start // _BLOCK_BYTES
        numbers = range(first, -(-stop // _BLOCK_BYTES))
        origin = first * _BLOCK_BYTES
        return b"".join(self._block(number) for number in numbers)[start - origin : stop - origin]

    def _block(self, number: int) -> Bytes:
        if number not in self._blocks:
            start = number * _BLOCK_BYTES
            self._blocks[number] = self._fetch(start, start + _BLOCK_BYTES)
            if len(self._blocks) > _MOST_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _fetch(self, start: int, stop: int) -> Bytes:
        with no_garbage_collection():
            return self._apart.fetch([(start, stop)])[0]


_handles: "WeakValueDictionary[int, RemoteHandle]" = WeakValueDictionary()


def remote_file_of(item: h5py.HLObject) -> RemoteFile | None:
    """Return the remote file of a group or a dataset; None if it has another one."""
    handle = _handles.get(_file_number(item)) if item.file.driver == "fileobj" else None
    return None if handle is None else handle.file


def refuse_local_data(dataset: h5py.Dataset) -> None:
    """Refuse a dataset of a remote file whose data HDF5 would look for in other files on this disk.

    Raises
    ------
    FileError
        If it does.
    """
    if remote_file_of(dataset) is not None and dataset.external:
        raise FileError("its data lie in other files, which a URL cannot reach")


def _state(filesystem: Any, path: str, name: str) -> tuple[int, Version]:
    """Ask for the size of a file and the marks of its version."""
    filesystem.invalidate_cache(path)
    info = filesystem.info(path)
    if info.get("type") == "directory":
        raise FileError(f"'{name}' is a folder: give the name of an HDF5 file.")
    if info.get("size") is None:
        raise FileError(f"'{name}' does not tell its size: download the file and open it from the disk.")
    marks = {key.replace("-", "").replace("_", "").lower(): str(value) for key, value in info.items()}
    return int(info["size"]), tuple(sorted((key, value) for key, value in marks.items() if key in _MARKS))


def _ask(name: str, request: Callable[[], _T], pauses_s: Sequence[float] = ()) -> _T:
    """Make a request, again after each pause as long as it fails in a way that may pass."""
    pauses = iter(pauses_s)
    while True:
        try:
            return request()
        except FileError:
            raise
        # Each file system has errors of its own.
        except Exception as error:
            pause = next(pauses, None) if may_pass(error) else None
            if pause is None:
                raise url_error(name, error) from error
        time.sleep(pause)


def _not_opened(name: str, error: OSError) -> FileError:
    """Find out why HDF5 does not open a remote file."""
    if "signature not found" in str(error):
        return FileError(f"'{name}' is not an HDF5 file.")
    if "truncated" in str(error):
        return FileError(f"'{name}' is truncated, it ends before its content does: copy it again from its source.")
    return FileError(f"'{name}' cannot be opened: {error}.")


def _file_number(item: h5py.HLObject) -> int:
    return int(h5o.get_info(item.id).fileno)
