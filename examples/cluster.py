"""Correct a series on a cluster of two processes, stop half-way, and go on with what is done."""

import sys
from pathlib import Path

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from flimage_dask import FLSeries, to_hdf5
from flimage_dask.simulate import Simulation


def stop_at(block, frame, go_on):
    """Fail at a frame, as a machine might, until a file appears."""
    if block[0, 0, 0] == frame and not go_on.exists():
        raise RuntimeError("the power is gone")
    return block


def main(folder: Path) -> None:
    """Simulate, correct by processes, and compare with threads."""
    folder.mkdir(parents=True)
    simulation = Simulation(n_frames=200, frame_shape=(128, 128))
    to_hdf5(simulation.lazy(), folder / "series.h5", times=simulation.times)

    with FLSeries(h5file=folder / "series.h5", h5mode="r") as fls:
        # For a cluster elsewhere: Client("tcp://address-of-the-scheduler:8786").
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
            Client(cluster),
        ):
            fls.bleach_correction(folder / "by_processes.h5")  # the same call

            numbered = np.broadcast_to(np.arange(40.0)[:, None, None], (40, 64, 64))
            frames = da.from_array(numbered, chunks=(4, -1, -1)).map_blocks(stop_at, 36, folder / "go_on")
            try:
                to_hdf5(frames, folder / "numbered.h5")
            except RuntimeError as error:
                print(error, *error.__notes__, sep="\n")
            (folder / "go_on").touch()
            to_hdf5(frames, folder / "numbered.h5", resume=True)

        fls.bleach_correction(folder / "by_threads.h5")

    with (
        FLSeries(h5file=folder / "by_processes.h5", h5mode="r") as processes,
        FLSeries(h5file=folder / "by_threads.h5", h5mode="r") as threads,
    ):
        print("bitwise the same:", bool((processes.raw_fl == threads.raw_fl).all().compute()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "flimage_dask_cluster"))
