"""Write any lazy array of frames as a series."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .errors import ParameterError
from .estimate_options import as_times
from .hdf5.attributes import Column, Columns
from .hdf5.encoding import Compression, Storage
from .hdf5.output import Output, lead_to_one_file
from .lazy.arrays import files_of
from .running.destination import Destination, stored_type
from .running.execution import NewSeries, check_frames, write_series
from .running.provenance import Provenance
from .sequence import FrameSequence


def to_hdf5(
    array: da.Array,
    path: Output,
    *,
    like: FrameSequence[Any] | None = None,
    times: ArrayLike | None = None,
    meta: Mapping[str, Any] | None = None,
    identifier: str | None = None,
    dtype: DTypeLike = "float32",
    compression: Compression = "gzip",
    level: int | None = None,
    shuffle: bool | None = None,
    overwrite: bool = False,
    resume: bool | None = None,
    progress: bool | None = None,
) -> None:
    """Compute a dask array block by block and write it as a series, in bounded memory.

    Parameters
    ----------
    array
        Frames (frame, y, x), real numbers.
    path
        A path, where the series appears when it is whole, or an empty open group.
    like
        A series, or a view of one, with as many frames, whose metadata and identifier are taken over.
    times
        Acquisition times (n,) of the frames [s]; they replace those of `like`.
    meta
        Metadata in SI units: for each key one value for all frames, or a list or an array of one
        value a frame. They replace those of `like`.
    identifier
        Identifier of the series, instead of that of `like`.
    dtype
        Type in which frames are stored. Integers are rounded and clipped to the range of the type.
    compression
        "gzip", which every HDF5 program reads; "lzf"; None; or a filter such as ``hdf5plugin.Zstd()``.
    level
        Of "gzip", 0 to 9; by default a fast one.
    shuffle
        Group bytes of equal significance; by default what makes a sample of the array smaller.
    overwrite
        Replace a file that exists.
    resume
        See `FLSeries.bleach_correction`. An array whose name is another one each time, such as one of random
        numbers, is never resumed.
    progress
        Show a progress bar; None shows it in a terminal and in a notebook.

    Raises
    ------
    ParameterError
        (a ValueError) if the array is not three-dimensional, real and of known shape; if the
        metadata or times are not one a frame; if pixels are masked; if `dtype` is no type of real numbers.
    MetaKeyError
        (a KeyError) for metadata outside the vocabulary.
    FileError
        (an OSError) if the output exists, cannot be written, or is the file of `like` or of a series that the array
        is made of. Nothing is left of an output that is not whole.

    Warns
    -----
    ClippingWarning
        If pixels lie outside the range of an integer type.

    Examples
    --------
    >>> import dask.array as da
    >>> from flimage_dask import FLSeries, to_hdf5
    >>> folder = getfixture("tmp_path")
    >>> to_hdf5(da.ones((10, 64, 64)), folder / "ones.h5", times=range(10), meta={"pixel size": 1e-7})
    >>> with FLSeries(h5file=folder / "ones.h5", h5mode="r") as fls:
    ...     fls.shape, float(fls.times[9])
    ((10, 64, 64), 9.0)
    """
    check_frames(array)
    if not isinstance(like, FrameSequence | None):
        raise ParameterError(f"like= must be an open series, or a part of one, not {type(like).__name__}.")
    if not isinstance(meta, Mapping | None):
        raise ParameterError(f"meta= must be a dictionary, such as {{'pixel size': 1e-7}}, not {type(meta).__name__}.")
    storage = Storage(compression, level, shuffle)
    destination = Destination(path, _input_at(path, array, like), storage, stored_type(dtype), overwrite, resume)
    columns: Columns = {} if like is None else like.meta
    if like is not None and len(like) != array.shape[0]:
        raise ParameterError(
            f"the array has {array.shape[0]} frames, but like= has {len(like)}: give the same part of the series, "
            f"such as like=fls[::10]."
        )
    columns |= {key: _as_column(value, array.shape[0]) for key, value in (meta or {}).items()}
    if times is not None:
        columns["time"] = as_times(times, array.shape[0]).tolist()
    provenance = Provenance("to_hdf5", None if like is None else {"file": like.origin, "identifier": like.identifier})
    name = identifier or (like.identifier if like is not None else None)
    write_series(NewSeries(array, columns, provenance, name), destination, progress=progress)


def _input_at(output: Output, array: da.Array, like: FrameSequence[Any] | None) -> Path | None:
    """Return the file that frames or metadata come from, if it is the one that the output would replace."""
    if not isinstance(output, str | os.PathLike):
        return None
    inputs = files_of(array) if like is None or like.path is None else {*files_of(array), like.path}
    return next((path for path in inputs if lead_to_one_file(output, path)), None)


def _as_column(value: Any, n_frames: int) -> Column:
    """Spread one value over all frames, or take one a frame."""
    if isinstance(value, np.ndarray) and value.ndim:
        return list(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    return [value] * n_frames
