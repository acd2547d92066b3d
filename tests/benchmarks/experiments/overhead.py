"""What a frame costs beyond its codec: Python, HDF5's objects, dask's tasks, the disk. On frames of 64 x 64."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from flimage_dask import FLSeries, to_hdf5

from .. import data
from ..bench import Bench, small
from ..findings import Findings, Value
from ..measure import Job, alias, in_turns
from ..peers.codec import CodecAlone

# As many frames as the lazy arrays of a series have in a block.
_BLOCK_FRAMES = 1024


def measure_overhead(bench: Bench) -> Findings:
    """Write and read a short and a long series, and take off what the codec alone takes."""
    found = Findings()
    for length, n_frames in {"short": bench.scale.n_short, "long": bench.scale.n_long}.items():
        series = bench.series(small(n_frames))
        frames = np.stack(list(data.frames_of(series)))
        written = bench.folder / f"written_{n_frames}_corrected.h5"
        _writing(frames, written)()
        codec = CodecAlone(series, written)
        jobs: dict[str, Job] = {
            "write": lambda scratch, frames=frames: _writing(frames, scratch / "output.h5"),
            "deflate": lambda scratch, codec=codec: codec.deflate,
            "read": lambda scratch, series=series: _reading(alias(series, scratch)),
            "inflate": lambda scratch, codec=codec: codec.inflate,
        }
        seconds = in_turns(jobs, bench.n_turns, bench.folder)
        for way, codec_alone in (("write", "deflate"), ("read", "inflate")):
            milliseconds = seconds[way].beyond(seconds[codec_alone]).times(1e3 / n_frames)
            found.values[f"overhead.{way}.{length}"] = Value(milliseconds, f"{n_frames:,} frames")
    return found


def _writing(frames: NDArray[np.float32], output: Path) -> Callable[[], None]:
    """Prepare to write frames that are in memory."""
    array = da.from_array(frames, chunks=(_BLOCK_FRAMES, -1, -1), name=False)
    times = np.arange(len(frames), dtype=np.float64)
    return partial(to_hdf5, array, output, times=times, overwrite=True, progress=False)


def _reading(series: Path) -> Callable[[], Any]:
    """Prepare to read frames whose place in the file is known; finding it has a goal of its own."""
    with FLSeries(h5file=series, h5mode="r") as fls:
        total = fls.raw_fl.sum()
    return total.compute
