"""The obvious script with dask: an array for each frame, stacked, corrected, and stored under a lock."""

from pathlib import Path

import dask.array as da
import h5py
import numpy as np

from flimage_dask.hdf5.layout import RAW, frame_name

from . import arithmetic


def correct(source: Path, output: Path) -> None:
    """Correct a series into one with a gzip-1 dataset a frame."""
    with h5py.File(source, "r") as file, h5py.File(output, "w") as out:
        names = [f"{frame_name(number)}/{RAW}" for number in range(len(file))]
        times = np.array([file[frame_name(number)].attrs["time"] for number in range(len(file))])
        stack = da.stack([da.from_array(file[name], chunks=file[name].shape) for name in names])
        background = stack.map_blocks(arithmetic.border_means, drop_axis=(1, 2), dtype=float).compute().mean()
        sums = stack.map_blocks(arithmetic.positive_sums, background, drop_axis=(1, 2), dtype=float)
        factors = arithmetic.factors(times, sums.compute())
        corrected = ((stack - background) * factors[:, None, None]).astype(np.float32)
        targets = [
            out.create_dataset(
                name, shape=stack.shape[1:], dtype="f4", chunks=stack.shape[1:], compression="gzip", compression_opts=1
            )
            for name in names
        ]
        for number, time in enumerate(times):
            out[frame_name(number)].attrs["time"] = time
        da.store(list(corrected), targets, lock=True)
