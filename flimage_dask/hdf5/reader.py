"""Images out of a file: by byte range where they lie in one, through HDF5 everywhere else.

A reader fills rows of a block. It holds no lock while it inflates, so blocks are read in parallel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, TypeAlias

import h5py
import numpy as np
from h5py import h5d
from numpy.typing import NDArray

from ..errors import FileError, FrameDataError
from ..process_local import ProcessLocal
from .filters import Bytes, DamagedChunkError
from .index import NO_RANGE, FileStamp, ImageIndex, stamp_of
from .layout import is_writable

#: Which part of each image to keep: slices along y and x.
Region: TypeAlias = tuple[slice, slice]

WHOLE: Region = (slice(None), slice(None))

# A frame's own objects lie between the chunks of neighbouring frames; reading over them costs
# less than another system call.
_WIDEST_GAP = 1 << 16
_LONGEST_RUN = 1 << 22


class ImageReader(Protocol):
    """Anything that reads images by their index, in any thread."""

    def read(self, index: ImageIndex, positions: NDArray[np.int64], out: NDArray[Any], region: Region = WHOLE) -> None:
        """Read the images at `positions` of `index`, cropped to `region`, into the rows of `out`."""
        ...


def open_reader(group: h5py.Group) -> ImageReader:
    """Choose how to read the images below a group.

    A file that nobody writes is read by byte range, in any process. One that is open for
    writing, in memory or behind an unusual driver is read through its open handle, which
    alone knows what has not reached the disk.
    """
    stamp = stamp_of(group)
    if stamp is None or is_writable(group) or group.file.userblock_size:
        return OpenFileReader(group, stamp)
    return ByteRangeReader(stamp, group.name)


@dataclass(frozen=True)
class ByteRangeReader:
    """Read the byte ranges of a file directly; it travels to other processes as a path.

    Parameters
    ----------
    stamp
        The file and its state when it was indexed. A file that changed since is refused.
    root
        Name of the series' group in the file.
    """

    stamp: FileStamp
    root: str

    def read(self, index: ImageIndex, positions: NDArray[np.int64], out: NDArray[Any], region: Region = WHOLE) -> None:
        """Read images into the rows of `out`."""
        ranged = index.offsets[positions] != NO_RANGE
        rows = np.flatnonzero(ranged)
        rows = rows[np.argsort(index.offsets[positions[rows]], kind="stable")]
        try:
            with open(self.stamp.path, "rb", buffering=0) as file:
                self.stamp.check(file.fileno())
                for run in _runs(index, positions, rows):
                    self._read_run(file, index, positions, run, out, region)
            if not ranged.all():
                with h5py.File(self.stamp.path, "r") as file:
                    for row in np.flatnonzero(~ranged):
                        out[row] = _read_with_hdf5(file[self.root], index, positions[row])[region]
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"'{self.stamp.path}' cannot be read: {error}.") from error

    def _read_run(
        self,
        file: BinaryIO,
        index: ImageIndex,
        positions: NDArray[np.int64],
        rows: NDArray[np.int64],
        out: NDArray[Any],
        region: Region,
    ) -> None:
        """Read neighbouring images with one request, and decode each into its row."""
        chosen = positions[rows]
        start = int(index.offsets[chosen[0]])
        stop = int((index.offsets[chosen] + index.sizes[chosen]).max())
        file.seek(start)
        stored = memoryview(_read_fully(file, stop - start))
        for row, position in zip(rows, chosen, strict=True):
            first = int(index.offsets[position]) - start
            chunk = stored[first : first + int(index.sizes[position])]
            name = str(self.stamp.path)
            out[row] = _decode(chunk, index, position, int(index.skipped[position]), name)[region]


class OpenFileReader(ProcessLocal):
    """Read through an open HDF5 file of this process.

    In this process it travels between threads by name. To another process it goes as a path,
    if the file has one.
    """

    def __init__(self, group: h5py.Group, stamp: FileStamp | None) -> None:
        super().__init__()
        self._group = group
        self._root = group.name
        self._stamp = stamp

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_reader, (self.local_name, self._stamp, self._root)

    @classmethod
    def elsewhere(cls) -> Exception:
        """Make the error for a task that runs in another process."""
        return FileError(
            "a series in memory cannot be read from another process, or after it was closed: give it a file "
            "(h5file=…), or compute with the threads of this process (dask.config.set(scheduler='threads'))."
        )

    def read(self, index: ImageIndex, positions: NDArray[np.int64], out: NDArray[Any], region: Region = WHOLE) -> None:
        """Read images into the rows of `out`."""
        with self._open() as group:
            for row, position in enumerate(positions):
                out[row] = self._read_image(group, index, position)[region]

    @contextmanager
    def _open(self) -> Iterator[h5py.Group]:
        """Give the open group, or open the file once more if its series was closed."""
        if self._group:
            yield self._group
        elif self._stamp is None:
            raise FileError(
                "the in-memory series behind this array was closed: keep it open while its arrays are "
                "computed, or give it a file (h5file=…)."
            )
        else:
            with h5py.File(self._stamp.path, "r") as file:
                yield file[self._root]

    def _read_image(self, group: h5py.Group, index: ImageIndex, position: int) -> NDArray[Any]:
        """Let HDF5 find and copy the stored chunk, and decode it outside HDF5's lock."""
        if index.offsets[position] == NO_RANGE or not index.pipelines[index.pipeline_of[position]].codes:
            return _read_with_hdf5(group, index, position)
        try:
            dataset = h5d.open(group.id, index.path(position).encode())
            skipped, stored = dataset.read_direct_chunk((0, 0))
        except (KeyError, OSError, ValueError) as error:
            raise _damaged(index, position, group.file.filename, str(error)) from error
        return _decode(stored, index, position, skipped, group.file.filename)


def _find_reader(name: str, stamp: FileStamp | None, root: str) -> ImageReader:
    """Unpickle a reader: the open file where it lives, its path elsewhere."""
    try:
        return OpenFileReader.find(name)
    except FileError:
        if stamp is None:
            raise
        return ByteRangeReader(FileStamp.of(stamp.path), root)


def _runs(index: ImageIndex, positions: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Split rows, sorted by offset, into runs that one request each can read."""
    first, n_bytes = 0, 0
    for k in range(1, len(rows) + 1):
        here = positions[rows[k - 1]]
        end = index.offsets[here] + index.sizes[here]
        n_bytes += int(index.sizes[here])
        gap = index.offsets[positions[rows[k]]] - end if k < len(rows) else _WIDEST_GAP + 1
        if gap > _WIDEST_GAP or gap < 0 or n_bytes > _LONGEST_RUN:
            yield rows[first:k]
            first, n_bytes = k, 0


def _read_fully(file: BinaryIO, n_bytes: int) -> Bytes:
    """Read up to `n_bytes`; fewer only at the end of the file."""
    buffer = bytearray(n_bytes)
    view, done = memoryview(buffer), 0
    while done < n_bytes and (got := file.readinto(view[done:])):  # type: ignore[attr-defined]
        done += got
    return view[:done]


def _decode(stored: Bytes, index: ImageIndex, position: int, skipped: int, filename: str) -> NDArray[Any]:
    pipeline = index.pipelines[index.pipeline_of[position]]
    try:
        data = pipeline.decode(stored, index.image_bytes, skipped)
    except DamagedChunkError as error:
        raise _damaged(index, position, filename, str(error)) from error
    return np.frombuffer(data, index.dtype).reshape(index.shape)


def _read_with_hdf5(group: h5py.Group, index: ImageIndex, position: int) -> NDArray[Any]:
    image = np.empty(index.shape, index.dtype)
    try:
        group[index.path(position)].read_direct(image)
    except (KeyError, OSError) as error:
        raise _damaged(index, position, group.file.filename, str(error)) from error
    return image


def _damaged(index: ImageIndex, position: int, filename: str, reason: str) -> FrameDataError:
    number, offset = int(index.numbers[position]), int(index.offsets[position])
    place = "" if offset == NO_RANGE else f", at byte {offset}"
    return FrameDataError(
        f"frame {number} of '{filename}' ('{index.path(position)}'{place}) is damaged: {reason}. "
        f"Restore the file from a copy, or leave the frame out with slices of the series."
    )
