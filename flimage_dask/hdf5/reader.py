"""Images out of a file: by byte range where they lie in one, through HDF5 everywhere else.

A reader fills rows of a block. It holds no lock while it inflates, so blocks are read in parallel.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import h5py
import numpy as np
from h5py import h5d
from h5py._objects import phil
from numpy.typing import NDArray

from ..errors import FileChangedError, FileError, FrameDataError
from ..process_local import ProcessLocal
from .encoding import load_filters
from .files import open_path
from .filters import Bytes, DamagedChunkError
from .image_layout import NO_RANGE, ImageLayout
from .index import ImageIndex, index_images
from .layout import is_writable, said
from .local import LocalFile, local_file_of
from .remote import refuse_local_data
from .source import ByteSource, source_of

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


def open_reader(group: h5py.Group, path: Path | None = None) -> ImageReader:
    """Choose how to read the images below a group, whose file is at a path if that is given.

    A file that nobody writes is read by byte range, from its disk or its URL, in any process. One
    that is open for writing, in memory or behind an unusual driver is read through its open
    handle, which alone knows what has not reached the disk.
    """
    if is_writable(group):
        group.file.flush()
        return OpenFileReader(group, local_file_of(group, path))
    source = source_of(group, path)
    return OpenFileReader(group, None) if source is None else ByteRangeReader(source, group.name)


@dataclass(frozen=True)
class ByteRangeReader:
    """Read the byte ranges of a file directly; it travels to other processes as a path or a URL.

    Parameters
    ----------
    source
        The file, in the state in which it was indexed. One that changed since is refused.
    root
        Name of the series' group in the file.
    """

    source: ByteSource
    root: str

    def read(self, index: ImageIndex, positions: NDArray[np.int64], out: NDArray[Any], region: Region = WHOLE) -> None:
        """Read images into the rows of `out`."""
        ranged = index.offsets[positions] != NO_RANGE
        rows = np.flatnonzero(ranged)
        rows = rows[np.argsort(index.offsets[positions[rows]], kind="stable")]
        runs = _runs(index, positions, rows)
        extents = [_extent(index, positions[run]) for run in runs]
        for run, extent, stored in zip(runs, extents, self.source.read(extents), strict=True):
            self._decode_run(memoryview(stored), extent[0], index, positions, run, out, region)
        if not ranged.all():
            with self.source.open() as file:
                for row in np.flatnonzero(~ranged):
                    out[row] = _read_with_hdf5(file[self.root], index, positions[row])[region]

    def _decode_run(
        self,
        stored: memoryview,
        origin: int,
        index: ImageIndex,
        positions: NDArray[np.int64],
        rows: NDArray[np.int64],
        out: NDArray[Any],
        region: Region,
    ) -> None:
        """Decode neighbouring images, which were read from the byte `origin` on, each into its row."""
        chosen = positions[rows]
        starts = index.offsets[chosen] - origin
        ends = starts + index.sizes[chosen]
        for row, position, start, end in zip(
            rows.tolist(), chosen.tolist(), starts.tolist(), ends.tolist(), strict=True
        ):
            chunk = stored[start:end]
            out[row] = _decode(chunk, index, position, int(index.skipped[position]), self.source.name)[region]


@dataclass(frozen=True)
class ReopeningReader:
    """Read a file that was open for writing when its images were indexed, and has been closed since.

    Closing it may have moved its images and renewed its time, so every read finds them anew.
    """

    file: LocalFile
    root: str

    def read(self, index: ImageIndex, positions: NDArray[np.int64], out: NDArray[Any], region: Region = WHOLE) -> None:
        """Read images into the rows of `out`."""
        with open_path(self.file.path, "r") as opened:
            now = local_file_of(opened)
            if now is None or now.inode != self.file.inode:
                raise FileChangedError(
                    f"'{self.file.path}' was replaced after its frames were indexed: open the series again and repeat."
                )
            found = index_images(opened[self.root], index.numbers[positions], index.dataset, index.shape)
            ByteRangeReader(now, self.root).read(found, np.arange(len(found)), out, region)


class UnreachableReader:
    """Stand for a series in memory where it is not.

    It refuses when it reads: what is raised while a task is unpickled is lost on a cluster, which waits for ever.
    """

    def read(self, index: ImageIndex, positions: NDArray[np.int64], out: NDArray[Any], region: Region = WHOLE) -> None:
        """Refuse to read."""
        raise FileError(
            "a series in memory cannot be read from another process, or after it was closed: give it a file "
            "(h5file=…), or compute with the threads of this process (dask.config.set(scheduler='threads'))."
        )


class OpenFileReader(ProcessLocal):
    """Read through an open HDF5 file of this process.

    In this process it travels between threads by name. To another process it goes as a path,
    if the file has one.
    """

    def __init__(self, group: h5py.Group, file: LocalFile | None) -> None:
        super().__init__()
        self._group = group
        self._root = group.name
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_reader, (self.local_name, self._reader_elsewhere())

    def read(self, index: ImageIndex, positions: NDArray[np.int64], out: NDArray[Any], region: Region = WHOLE) -> None:
        """Read images into the rows of `out`."""
        if self._group:
            self._read_open(index, positions, out, region)
            return
        if self._file is None:
            raise FileError(
                "the in-memory series behind this array was closed: keep it open while its arrays are "
                "computed, or give it a file (h5file=…)."
            )
        ReopeningReader(self._file, self._root).read(index, positions, out, region)

    def _reader_elsewhere(self) -> ImageReader:
        """Return what reads the same images in another process, where only the disk can be seen."""
        if self._file is None:
            return UnreachableReader()
        if not self._group:
            return ReopeningReader(self._file, self._root)
        self._group.file.flush()
        return ByteRangeReader(self._file, self._root)

    def _read_open(self, index: ImageIndex, positions: NDArray[np.int64], out: NDArray[Any], region: Region) -> None:
        """Let HDF5 find and copy the stored chunks, and decode them outside its lock."""
        filename = self._group.file.filename
        chunks: dict[int, tuple[int, bytes]] = {}
        layout: ImageLayout | None = None
        # Threads that took h5py's lock in turns, call by call, would spend their time on waiting for it.
        with phil:
            for row, position in enumerate(positions.tolist()):
                pipeline = index.pipelines[index.pipeline_of[position]]
                if index.offsets[position] != NO_RANGE and pipeline.codes:
                    dataset, layout = self._find(index, position, layout)
                    # Another program, or the user through h5py, may store it anew in another way.
                    if layout.is_chunk_of(pipeline):
                        chunks[row] = self._read_chunk(dataset, index, position)
                        continue
                out[row] = _read_with_hdf5(self._group, index, position)[region]
        for row, (skipped, stored) in chunks.items():
            out[row] = _decode(stored, index, int(positions[row]), skipped, filename)[region]

    def _find(self, index: ImageIndex, position: int, layout: ImageLayout | None) -> tuple[h5d.DatasetID, ImageLayout]:
        """Open an image, and tell how it is stored: mostly as the one before, in `layout`."""
        filename = self._group.file.filename
        try:
            dataset = h5d.open(self._group.id, index.path(position).encode())
            if layout is None or not layout.fits(dataset):
                layout = ImageLayout.of(dataset)
        except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
            raise _unreadable(index, position, filename, error) from error
        if (layout.shape, layout.dtype) != (index.shape, index.dtype):
            raise FileChangedError(
                f"'{index.path(position)}' of '{filename}' changed after it was indexed: make the lazy array anew."
            )
        return dataset, layout

    def _read_chunk(self, dataset: h5d.DatasetID, index: ImageIndex, position: int) -> tuple[int, bytes]:
        try:
            chunk: tuple[int, bytes] = dataset.read_direct_chunk((0, 0))
        except (OSError, RuntimeError, ValueError) as error:
            raise _unreadable(index, position, self._group.file.filename, error) from error
        return chunk


def _find_reader(name: str, otherwise: ImageReader) -> ImageReader:
    """Unpickle a reader: the open file where it lives, its path elsewhere."""
    try:
        return OpenFileReader.find(name)
    except RuntimeError:
        return otherwise


def _runs(index: ImageIndex, positions: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split rows, sorted by offset, into runs that one request each can read."""
    starts = index.offsets[positions[rows]]
    gaps = starts[1:] - (starts + index.sizes[positions[rows]])[:-1]
    apart = np.append(True, (gaps < 0) | (gaps > _WIDEST_GAP))[: len(rows)]
    # Within what lies together, a new run begins in each further piece of the longest length.
    piece = (starts - np.maximum.accumulate(np.where(apart, starts, 0))) // _LONGEST_RUN
    apart[1:] |= np.diff(piece) != 0
    return np.split(rows, np.flatnonzero(apart)[1:]) if len(rows) else []


def _extent(index: ImageIndex, positions: NDArray[np.int64]) -> tuple[int, int]:
    """Return the range of bytes (start, stop) that holds some images, sorted by offset."""
    starts = index.offsets[positions]
    return int(starts[0]), int((starts + index.sizes[positions]).max())


def _decode(stored: Bytes, index: ImageIndex, position: int, skipped: int, filename: str) -> NDArray[Any]:
    pipeline = index.pipelines[index.pipeline_of[position]]
    try:
        data = pipeline.decode(stored, index.image_bytes, skipped)
    except DamagedChunkError as error:
        raise _damaged(index, position, filename, error) from error
    return np.frombuffer(data, index.dtype).reshape(index.shape)


def _read_with_hdf5(group: h5py.Group, index: ImageIndex, position: int) -> NDArray[Any]:
    image = np.empty(index.shape, index.dtype)
    try:
        dataset = group[index.path(position)]
        refuse_local_data(dataset)
        load_filters(dataset.id)
        dataset.read_direct(image)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise _unreadable(index, position, group.file.filename, error) from error
    return image


def _unreadable(index: ImageIndex, position: int, filename: str, error: Exception) -> FrameDataError:
    return FrameDataError(
        f"{_place(index, position, filename)} cannot be read: {said(error)}. Restore the file from a copy, install "
        f"the filter that it needs (hdf5plugin), or leave the frame out with slices of the series."
    )


def _damaged(index: ImageIndex, position: int, filename: str, error: Exception) -> FrameDataError:
    return FrameDataError(
        f"{_place(index, position, filename)} is damaged: {error}. "
        f"Restore the file from a copy, or leave the frame out with slices of the series."
    )


def _place(index: ImageIndex, position: int, filename: str) -> str:
    offset = int(index.offsets[position])
    at_byte = "" if offset == NO_RANGE else f", at byte {offset}"
    return f"frame {int(index.numbers[position])} of '{filename}' ('{index.path(position)}'{at_byte})"
