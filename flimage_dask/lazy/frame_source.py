"""Where the frames of a series are found: their raw images, their backgrounds, and the difference of the two."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
from dask.base import tokenize
from numpy.typing import NDArray

from ..correction.preparation import Preparation
from ..hdf5.index import NO_IMAGE, ImageIndex, SeriesIndex
from ..hdf5.reader import WHOLE, ImageReader, Region
from ..hdf5.source import ByteSource
from ..memory import reuse_freed_memory
from ..process_local import ProcessLocal


class SharedImages:
    """The background images read last, because neighbouring frames often share one."""

    _CAPACITY = 4

    def __init__(self) -> None:
        self._images: OrderedDict[tuple[str, int], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedImages, ()

    def read(self, reader: ImageReader, index: ImageIndex, image: int) -> NDArray[Any]:
        """Return one whole image, read at most once by however many threads ask for it."""
        key = (index.dataset, int(image))
        with self._lock:
            if key not in self._images:
                out = np.empty((1, *index.shape), index.dtype)
                reader.read(index, np.array([image]), out)
                self._images[key] = out[0]
                if len(self._images) > self._CAPACITY:
                    self._images.popitem(last=False)
            self._images.move_to_end(key)
            return self._images[key]


class KeptBlocks(ProcessLocal):
    """Blocks of images that stay in memory once they are read, up to a size.

    A run that reads a series twice in the same blocks reads that part of it once. In another
    process nothing is kept.
    """

    def __init__(self, n_bytes: int) -> None:
        super().__init__()
        self.n_bytes = n_bytes
        self._room = n_bytes
        self._blocks: dict[bytes, NDArray[Any]] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_kept, (self.local_name,)

    def get(self, numbers: NDArray[np.int64], read: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the block of some frames."""
        key = numbers.tobytes()
        known = self._blocks.get(key)
        if known is not None:
            return known
        block = read()
        with self._lock:
            if block.nbytes <= self._room:
                self._room -= block.nbytes
                block.setflags(write=False)
                self._blocks[key] = block
        return block


@dataclass(frozen=True, eq=False)
class FrameSource:
    """Where lazy arrays find the frames of a series.

    Parameters
    ----------
    reader, index
        How and where to read.
    token
        Identifies the content: equal for equal content, different once the file changes, and different in each
        opening of a series with images in other files.
    stamp
        The file and its state; None for a series in memory, whose changes leave no trace.
    shared, kept
        Images that stay in memory: background images, and raw frames or, if they are prepared, these.
    preparation
        What is done to background-corrected frames before anybody sees them; None for nothing.
    """

    reader: ImageReader
    index: SeriesIndex
    token: str
    stamp: ByteSource | None
    shared: SharedImages = field(default_factory=SharedImages)
    kept: KeptBlocks | None = None
    preparation: Preparation | None = None

    def prepared(self, preparation: Preparation | None) -> "FrameSource":
        """Prepare the frames of this source as they are read."""
        if preparation is None:
            return self
        return replace(self, preparation=preparation, token=tokenize(self.token, preparation), kept=None)

    def keeping(self, n_bytes: int) -> "FrameSource":
        """Keep blocks up to a size in memory, for a run that needs them twice."""
        return replace(self, kept=KeptBlocks(n_bytes))

    @property
    def shows_changes(self) -> bool:
        """Whether content that changes in whatever way has another token afterwards."""
        return self.stamp is not None and not self.index.in_other_files

    def take(self, positions: NDArray[np.int64]) -> "FrameSource":
        """Select frames."""
        return replace(self, index=self.index.take(positions), token=tokenize(self.token, positions), kept=None)

    @property
    def raw_dtype(self) -> np.dtype[Any]:
        """Type of the raw images."""
        return self.index.frames.dtype

    @property
    def fl_dtype(self) -> np.dtype[Any]:
        """Type of background-corrected images: floating point, wide enough for the raw values."""
        return np.result_type(self.raw_dtype, np.float32)

    def raw(self, frames: NDArray[np.int64], region: Region) -> NDArray[Any]:
        """Read raw images. What is kept is returned read-only."""
        keeps_raw = self.preparation is None and _is_whole(self.index.frames.shape, region)
        if self.kept is None or not keeps_raw:
            return self._read_raw(frames, region)
        return self.kept.get(self.index.frames.numbers[frames], lambda: self._read_raw(frames, region))

    def _read_raw(self, frames: NDArray[np.int64], region: Region) -> NDArray[Any]:
        reuse_freed_memory()
        out = np.empty((len(frames), *_cropped(self.index.frames.shape, region)), self.raw_dtype)
        self.reader.read(self.index.frames, frames, out, region)
        return out

    def background(self, frames: NDArray[np.int64], region: Region) -> NDArray[np.float64]:
        """Add up the background images of some frames."""
        out = np.zeros((len(frames), *_cropped(self.index.frames.shape, region)))
        for background, target in zip(self._backgrounds(frames, region), out, strict=True):
            target += background
        return out

    def _backgrounds(self, frames: NDArray[np.int64], region: Region) -> Iterator[NDArray[Any] | float]:
        """Give the sum of the background images of each frame; 0.0 where there is none."""
        images = [(kind.images, kind.image_of[frames]) for kind in self.index.backgrounds]
        for position in range(len(frames)):
            parts = [
                self.shared.read(self.reader, index, image_of[position])[region]
                for index, image_of in images
                if image_of[position] != NO_IMAGE
            ]
            yield reduce(_add, parts) if parts else 0.0

    def fluorescence(self, frames: NDArray[np.int64], region: Region) -> NDArray[Any]:
        """Subtract the background images from raw images, rounding once, and prepare the result."""
        if self.preparation is None:
            return self.less_backgrounds(self.raw(frames, region), frames, region)
        # What is subtracted from a pixel may depend on all of its frame.
        if self.kept is None:
            return self._prepared(frames, self.preparation)[:, *region]
        key, preparation = self.index.frames.numbers[frames], self.preparation
        return self.kept.get(key, lambda: self._prepared(frames, preparation))[:, *region]

    def _prepared(self, frames: NDArray[np.int64], preparation: Preparation) -> NDArray[Any]:
        return preparation.applied(self.less_backgrounds(self._read_raw(frames, WHOLE), frames, WHOLE))

    def less_backgrounds(self, raw: NDArray[Any], frames: NDArray[np.int64], region: Region) -> NDArray[Any]:
        """Subtract the background images from raw images, rounding once."""
        if not self.index.backgrounds:
            return raw.astype(self.fl_dtype, copy=False)
        fl = np.empty(raw.shape, self.fl_dtype)
        for image, background, target in zip(raw, self._backgrounds(frames, region), fl, strict=True):
            np.subtract(image, background, out=target, dtype=np.float64, casting="same_kind")
        return fl


def _find_kept(name: str) -> KeptBlocks:
    try:
        return KeptBlocks.find(name)
    except RuntimeError:
        return KeptBlocks(0)


def _add(image: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.add(image, other, dtype=np.float64)
    return total


def _is_whole(shape: tuple[int, int], region: Region) -> bool:
    return all(range(size)[part] == range(size) for size, part in zip(shape, region, strict=True))


def _cropped(shape: tuple[int, int], region: Region) -> tuple[int, int]:
    y, x = (len(range(size)[part]) for size, part in zip(shape, region, strict=True))
    return y, x
