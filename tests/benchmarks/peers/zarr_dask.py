"""The same job on zarr 3 through dask: zarr's default codec, blocks of 8 frames."""

from pathlib import Path

import dask.array as da
import numpy as np
import zarr

from .. import data
from . import arithmetic

BLOCK_FRAMES = 8


def convert(series: Path, store: Path) -> Path:
    """Write the frames of a series into a zarr store."""
    frames = np.stack(list(data.frames_of(series)))
    array = zarr.create_array(
        store, shape=frames.shape, dtype=frames.dtype, chunks=(min(BLOCK_FRAMES, len(frames)), *frames.shape[1:])
    )
    array[...] = frames
    array.attrs["times"] = list(map(float, range(len(frames))))
    return store


def correct(source: Path, output: Path) -> None:
    """Correct a zarr store into another."""
    times = np.array(zarr.open_array(source, mode="r").attrs["times"])
    frames = da.from_zarr(str(source))
    background = frames.map_blocks(arithmetic.border_means, drop_axis=(1, 2), dtype=float).compute().mean()
    sums = frames.map_blocks(arithmetic.positive_sums, background, drop_axis=(1, 2), dtype=float)
    factors = da.from_array(arithmetic.factors(times, sums.compute()), chunks=(frames.chunks[0],))
    corrected = frames.map_blocks(arithmetic.correct, background, factors[:, None, None], dtype=np.float32)
    corrected.to_zarr(str(output))
