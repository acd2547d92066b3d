"""Frames into a file: blocks are encoded in parallel, and stored in order under one short lock.

A frame's group is a copy of one prepared in memory, to which HDF5 adds a ready-made chunk;
that is seven times faster than making the same objects one by one.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import h5py
import numpy as np
from h5py import h5d, h5g, h5o
from numpy.typing import NDArray

from ..errors import FileError, ParameterError
from ..process_local import ProcessLocal
from .attributes import AttributeWriter, Columns, split_constant
from .backgrounds import NO_BACKGROUND, StoredBackground, choose_encoding, encode_block
from .encoding import FLIMAGE_LIKE, PLAIN, FrameEncoding, Storage, Stored
from .layout import (
    BACKGROUNDS,
    RAW,
    create_image,
    frame_name,
    is_in_memory,
    store_pixels,
    write_attributes,
)
from .output import check_space, explaining_write_errors

#: Encoded frames that wait for their turn, at most.
MOST_WAITING_BYTES = 64 << 20

# What HDF5 adds to the pixels of a frame for its groups and attributes, as measured.
_OBJECT_BYTES = 6000


def check_length(first: int, n_found: int, n_expected: int) -> None:
    """Refuse a block with more or fewer frames than dask was told.

    Raises
    ------
    ParameterError
        (a ValueError) if there is any difference.
    """
    if n_found != n_expected:
        raise ParameterError(
            f"the block that starts at frame {first} has {n_found} frames; expected {n_expected}, up to frame "
            f"{first + n_expected - 1}. Does a function given to map_blocks return more frames than it was given, or "
            f"fewer?"
        )


class SeriesWriter(ProcessLocal):
    """Write blocks of frames as a series into an open, empty HDF5 group.

    Parameters
    ----------
    group
        Where ``fli_0``, ``fli_1``, … are created.
    frame_shape, dtype
        Shape (y, x) and type of every frame. Integers are rounded and clipped, floats too large
        become infinite; `n_clipped` counts.
    columns
        Metadata: for each key one value a frame, or None.
    n_frames
        Number of frames to come, to foresee the size of the output.
    on_stored
        Called with a number of frames whenever some have been stored.
    storage
        How frames are to be stored; `encoding` tells what was chosen.
    background
        What is stored beside each frame.
    most_waiting_bytes
        Blocks that finish early wait, encoded, until those before them are stored, so that the same
        series gives the same file. Should more than this wait, order gives way to memory.
    """

    def __init__(
        self,
        group: h5py.Group,
        *,
        frame_shape: tuple[int, int],
        dtype: np.dtype[Any],
        columns: Columns,
        n_frames: int,
        on_stored: Callable[[int], None],
        storage: Storage = FLIMAGE_LIKE,
        background: StoredBackground = NO_BACKGROUND,
        most_waiting_bytes: int = MOST_WAITING_BYTES,
    ) -> None:
        super().__init__()
        self.n_stored = self.n_clipped = 0
        self.encoding: FrameEncoding = PLAIN
        self._group = group
        self._folder = Path(group.file.filename).absolute().parent
        self._frame_shape = frame_shape
        self._dtype = dtype
        self._n_frames = n_frames
        self._storage = storage
        self._background = background
        self._n_images = 1 + len(background.datasets)
        self._first: str | None = None
        self._most_waiting_bytes = most_waiting_bytes
        self._on_stored = on_stored
        self._constant, self._varying = split_constant(columns)
        self._template: _Template | None = None
        self._attributes = AttributeWriter()
        self._lock = threading.Lock()
        self._unencoded: dict[int, NDArray[Any]] = {}
        self._waiting: dict[int, Sequence[Stored]] = {}
        self._waiting_bytes = 0
        self._seen: set[int] = set()
        self._next = 0
        self._closed = False

    @classmethod
    def elsewhere(cls) -> Exception:
        """Make the error for a task that runs in another process."""
        return FileError("an output file can be written only by the process that opened it.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # A task that still runs after an interrupt must not write into a file that is being removed.
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._unencoded.clear()
            if self._template is not None:
                self._template.close()

    def write(self, first: int, block: NDArray[Any]) -> None:
        """Encode and store the frames of one block, the first of which is at a position."""
        self._check(first, block)
        if len(block) == 0:  # dask may cut blocks without frames
            return
        with self._lock:
            self._check_open()
            if first in self._seen:  # a task that was run again
                return
            self._seen.add(first)
            self._unencoded[first] = block
            template = self._template = self._template or self._prepare()
            if template is None:
                return
            blocks, self._unencoded = self._unencoded, {}
        for start, frames in blocks.items():
            encoded, n_clipped = encode_block(frames, self._dtype, self._background, self.encoding.encode)
            self._take(template, start, encoded, n_clipped)

    def set_encoding(self, encoding: FrameEncoding, share: float) -> None:
        """Fix how frames are stored; refuse an output for which the disk has no room.

        Parameters
        ----------
        encoding
            How they are.
        share
            Share of the uncompressed size that the encoded frames will take.
        """
        frame_bytes = self._n_images * int(np.prod(self._frame_shape)) * self._dtype.itemsize
        check_space(self._folder, int(share * frame_bytes + _OBJECT_BYTES) * self._n_frames)
        self.encoding = encoding
        self._template = self._template_with(encoding)

    def store(self, first: int, frames: Sequence[Stored], n_clipped: int) -> None:
        """Store some encoded frames.

        Parameters
        ----------
        first
            Position of the first of them.
        frames
            All images of each frame, one frame after the other, in the order of `StoredBackground.stored_images`.
        n_clipped
            Pixels that their type could not hold.
        """
        if self._template is None:
            raise FileError("the writer was not told how the frames are encoded.")
        self._take(self._template, first, frames, n_clipped)

    def _prepare(self) -> "_Template | None":
        """Choose how to store frames from a sample of the first block, once it is here.

        The few that finish before it wait, so that the encoding does not depend on which block
        is fastest.
        """
        n_bytes = sum(block.nbytes for block in self._unencoded.values())
        if 0 not in self._unencoded and n_bytes <= self._most_waiting_bytes:
            return None
        block = self._unencoded[min(self._unencoded)]
        if not is_in_memory(self._group) or self._storage != FLIMAGE_LIKE:
            self.set_encoding(*choose_encoding(self._storage, block, self._dtype, self._background))
            return self._template
        return self._template_with(self.encoding)

    def _template_with(self, encoding: FrameEncoding) -> "_Template":
        return _Template(self._frame_shape, self._dtype, self._constant, encoding, self._background)

    def _take(self, template: "_Template", first: int, frames: Sequence[Stored], n_clipped: int) -> None:
        with self._lock:
            self._check_open()
            self.n_clipped += n_clipped
            self._waiting[first] = frames
            self._waiting_bytes += _n_bytes(frames)
            n_before = self.n_stored
            self._store_waiting(template)
            n_new = self.n_stored - n_before
        if n_new:
            self._on_stored(n_new)

    def _check(self, first: int, block: NDArray[Any]) -> None:
        if block.shape[1:] != self._frame_shape:
            raise ParameterError(
                f"the block that starts at frame {first} has frames of shape {block.shape[1:]}; expected "
                f"{self._frame_shape}. Does a function given to map_blocks change the shape without saying so?"
            )

    def _check_open(self) -> None:
        if self._closed:
            raise FileError("the output was closed before all its frames were written.")

    def _store_waiting(self, template: "_Template") -> None:
        """Store the blocks whose turn it is, or was."""
        while self._waiting:
            first = min(self._waiting)
            if first > self._next and self._waiting_bytes <= self._most_waiting_bytes:
                return
            frames = self._waiting.pop(first)
            self._waiting_bytes -= _n_bytes(frames)
            with explaining_write_errors(self._folder):
                for place in range(0, len(frames), self._n_images):
                    number = first + place // self._n_images
                    self._store(template, number, frames[place : place + self._n_images])
            n_frames = len(frames) // self._n_images
            self.n_stored += n_frames
            self._next = max(self._next, first + n_frames)

    def _store(self, template: "_Template", number: int, images: Sequence[Stored]) -> None:
        name = frame_name(number).encode()
        template.copy_to(self._group.id, name)
        attributes = {key: column[number] for key, column in self._varying.items()}
        self._attributes.write(h5g.open(self._group.id, name), attributes)
        for path, image in zip((RAW, *self._background.datasets), images, strict=True):
            store_pixels(h5d.open(self._group.id, name + b"/" + path.encode()), image)
        self._background.attach(self._group, name.decode(), self._first, self._dtype)
        self._first = self._first or name.decode()


class _Template:
    """The group of one frame without pixels, in a file in memory."""

    def __init__(
        self,
        frame_shape: tuple[int, int],
        dtype: np.dtype[Any],
        attributes: Mapping[str, Any],
        encoding: FrameEncoding,
        background: StoredBackground,
    ) -> None:
        self._file = h5py.File(uuid4().hex, "w", driver="core", backing_store=False)
        frame = self._file.create_group("frame")
        frame.create_group(BACKGROUNDS)
        write_attributes(frame, attributes)
        create_image(frame, RAW, frame_shape, dtype, encoding)
        background.create(frame, frame_shape, dtype, encoding)

    def copy_to(self, group: h5g.GroupID, name: bytes) -> None:
        """Make a frame's group."""
        h5o.copy(self._file.id, b"frame", group, name)

    def close(self) -> None:
        """Free the memory."""
        self._file.close()


def _n_bytes(frames: Sequence[Stored]) -> int:
    return sum(frame.nbytes for frame in frames)
