"""A series as lazy dask arrays of shape (frame, y, x), in blocks of whole frames.

One array-like object stands for all frames; `dask.array.from_array` cuts it into blocks. So the
graph grows with blocks, a slice of the array is read as that slice, and what travels to
another process is a path and a few arrays.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import dask
import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import MaterializedLayer
from dask.utils import parse_bytes
from numpy.typing import NDArray

from ..hdf5.local import LocalFile
from ..hdf5.reader import Region
from ..running.budget import LARGEST_BLOCK, size_in_bytes
from .frame_source import FrameSource


@dataclass(frozen=True)
class LazySeries:
    """The members of a series as dask arrays (frame, y, x).

    Attributes
    ----------
    raw_fl
        Raw images, in the stored type.
    bg_fl
        Sum of the background images of each frame; 0 where a frame has none.
    fl
        Background-corrected images, ``raw_fl - bg_fl``.
    """

    raw_fl: da.Array
    bg_fl: da.Array
    fl: da.Array


def lazy_series(source: FrameSource, block_bytes: int | str | None = None) -> LazySeries:
    """Expose a source of frames as dask arrays.

    Parameters
    ----------
    source
        Where the frames are.
    block_bytes
        Uncompressed size of a block, as a number or as text such as ``"64 MiB"``; a block holds
        at least one frame. By default dask's ``array.chunk-size``, but no more than 8 MiB.

    Raises
    ------
    ParameterError
        If `block_bytes` is no size.
    """
    n_block = _frames_in_block(source, block_bytes)

    def array(name: str, read: "_ReadFrames", dtype: np.dtype[Any]) -> da.Array:
        frames = _Frames(name, source, read, dtype)
        return da.from_array(
            frames,
            chunks=(n_block, -1, -1),
            name=f"{name}-{tokenize(frames, n_block)}",
            asarray=False,
            meta=np.empty((0, 0, 0), dtype),
        )

    return LazySeries(
        raw_fl=array("raw_fl", source.raw, source.raw_dtype),
        bg_fl=array("bg_fl", source.background, source.fl_dtype),
        fl=array("fl", source.fluorescence, source.fl_dtype),
    )


def files_of(array: da.Array) -> set[Path]:
    """Return the files on a disk whose series an array is made of."""
    # Layers that are more than their tasks apply functions, and hold no frames.
    layers = (layer for layer in array.dask.layers.values() if isinstance(layer, MaterializedLayer))
    found = (frames for layer in layers for task in layer.values() for frames in _frames_in(task))
    return {frames.source.stamp.path for frames in found if isinstance(frames.source.stamp, LocalFile)}


def _frames_in(task: Any) -> Iterator["_Frames"]:
    """Give the frames that a task holds, or those of the tasks that dask fused into it."""
    value = getattr(task, "value", task)
    if isinstance(value, _Frames):
        yield value
    for part in value.values() if isinstance(value, dict) else getattr(task, "args", ()):
        yield from _frames_in(part)


_ReadFrames: TypeAlias = Callable[[NDArray[np.int64], Region], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class _Frames:
    """An array-like of all frames, for `dask.array.from_array`."""

    name: str
    source: FrameSource
    read: _ReadFrames
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self.source.index.frames), *self.source.index.frames.shape)

    @property
    def ndim(self) -> int:
        return 3

    def __getitem__(self, key: tuple[int | slice | None, ...]) -> NDArray[Any]:
        """Read a part; dask hands slices down to here, with None for a new axis."""
        parts = [part for part in key if part is not None]
        frames, y, x = (_as_slice(part, size) for part, size in zip(parts, self.shape, strict=True))
        block = self.read(np.arange(self.shape[0])[frames], (y, x)).astype(self.dtype, copy=False)
        return block[tuple(_index_after_reading(part) for part in key)]

    def __dask_tokenize__(self) -> tuple[str, str]:
        return self.name, self.source.token


def _as_slice(part: int | slice, size: int) -> slice:
    if isinstance(part, slice):
        return part
    start = range(size)[part]
    return slice(start, start + 1)


def _index_after_reading(part: int | slice | None) -> int | slice | None:
    """Keep the axis of a slice, drop that of an int, and add one for None."""
    if isinstance(part, slice):
        return slice(None)
    return None if part is None else 0


def _frames_in_block(source: FrameSource, block_bytes: int | str | None) -> int:
    if block_bytes is None:
        budget = min(int(parse_bytes(dask.config.get("array.chunk-size"))), LARGEST_BLOCK)
    else:
        budget = size_in_bytes(block_bytes, "block_bytes")
    y, x = source.index.frames.shape
    return max(1, budget // (y * x * source.fl_dtype.itemsize))
