"""The size of an output, against that of the same frames deflated as flimage does."""

import zlib
from itertools import islice
from pathlib import Path

import h5py

from flimage_dask.hdf5.layout import RAW, frame_name

from .. import data
from ..bench import Bench, middle
from ..findings import Findings, Value
from ..measure import Turns

_LEVEL_OF_FLIMAGE = 9


def compare_sizes(bench: Bench) -> Findings:
    """Deflate some corrected frames as flimage does, and compare the sizes."""
    found = Findings()
    for kind in data.KINDS:
        recipe, n_part = middle(bench.scale, kind), bench.scale.n_middle_part
        ratio = _size_against_flimage(bench.corrected(recipe), step=recipe.n_frames // n_part)
        found.values[f"size.{kind}"] = Value(Turns((ratio,)), f"{n_part} of {recipe.n_frames} frames")
    return found


def _size_against_flimage(corrected: Path, step: int) -> float:
    """Compare the sizes of every step-th frame. The checksum, 4 bytes, is in neither."""
    with h5py.File(corrected, "r") as file:
        numbers = range(0, len(file), step)
        ours = sum(file[f"{frame_name(number)}/{RAW}"].id.get_storage_size() - 4 for number in numbers)
    frames = islice(data.frames_of(corrected), 0, None, step)
    return ours / sum(len(zlib.compress(frame.tobytes(), _LEVEL_OF_FLIMAGE)) for frame in frames)
