"""A loop over the frames with h5py, on one core."""

from pathlib import Path

import h5py
import numpy as np

from flimage_dask.hdf5.layout import RAW, frame_name

from . import arithmetic


def correct(source: Path, output: Path) -> None:
    """Correct a series into one with a gzip-1 dataset a frame."""
    with h5py.File(source, "r") as file, h5py.File(output, "w") as out:
        names = [f"{frame_name(number)}/{RAW}" for number in range(len(file))]
        times = np.array([file[frame_name(number)].attrs["time"] for number in range(len(file))])
        background = np.mean([arithmetic.border_means(file[name][...][None])[0] for name in names])
        trace = np.array([arithmetic.positive_sums(file[name][...][None], background)[0] for name in names])
        factors = arithmetic.factors(times, trace)
        for number, name in enumerate(names):
            frame = arithmetic.correct(file[name][...][None], background, factors[number])[0]
            out.create_dataset(name, data=frame, chunks=frame.shape, compression="gzip", compression_opts=1)
            out[frame_name(number)].attrs["time"] = times[number]


def read(source: Path) -> float:
    """Add up the pixels of all frames."""
    with h5py.File(source, "r") as file:
        return sum(float(file[f"{frame_name(number)}/{RAW}"][...].sum()) for number in range(len(file)))
