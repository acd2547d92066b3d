"""Background images that are stored beside frames."""

from itertools import permutations

import h5py
import numpy as np
import pytest

from flimage_dask.hdf5.backgrounds import FittedBackground, SharedBackground
from flimage_dask.hdf5.layout import RAW
from flimage_dask.hdf5.writer import SeriesWriter

SHAPE = (5, 7)
FRAMES = np.random.default_rng(0).normal(100, 10, (12, *SHAPE)).astype(np.float32)


def halves(block):
    """Give half of each frame, always in the same piece of memory."""
    image = np.empty(SHAPE)
    for frame in block:
        np.multiply(frame, 0.5, out=image)
        yield image


HALVES = FittedBackground(halves, {"fit_profile": "half"})
RAMP = SharedBackground(image=np.arange(35.0).reshape(SHAPE), attributes={"made": "by hand"})


@pytest.fixture(params=["disk", "memory"])
def group(request, tmp_path):
    in_memory = {"driver": "core", "backing_store": False} if request.param == "memory" else {}
    with h5py.File(tmp_path / "out.h5", "w", **in_memory) as file:
        yield file


def write(group, background, order=(0, 5, 9), dtype="float32", **options):
    stops = {0: 5, 5: 9, 9: 12}
    writer = SeriesWriter(
        group,
        frame_shape=SHAPE,
        dtype=np.dtype(dtype),
        columns={"time": list(range(12))},
        n_frames=12,
        on_stored=lambda n: None,
        background=background,
        **options,
    )
    with writer:
        for first in order:
            writer.write(first, FRAMES[first : stops[first]])
    assert writer.n_stored == 12


@pytest.mark.parametrize("order", list(permutations([0, 5, 9])), ids=str)
def test_blocks_in_any_order_keep_each_frame_with_its_background(group, order):
    write(group, HALVES, order)
    for k, frame in enumerate(FRAMES):
        fluorescence = group[f"fli_{k}/fluorescence"]
        assert np.array_equal(fluorescence["raw"], frame)
        assert np.array_equal(fluorescence["bg_data/fit"], frame / 2)
        assert fluorescence["bg_data/fit"].attrs["fit_profile"] == "half"
        assert group[f"fli_{k}"].attrs["time"] == k


@pytest.mark.parametrize("order", list(permutations([0, 5, 9])), ids=str)
def test_a_shared_background_is_one_object_whatever_the_order(group, order):
    write(group, RAMP, order, most_waiting_bytes=1)
    images = [group[f"fli_{k}/fluorescence/bg_data/data"] for k in range(12)]
    assert all(np.array_equal(image, RAMP.image) for image in images)
    assert len({h5py.h5o.get_info(image.id).addr for image in images}) == 1
    assert images[3].attrs["made"] == "by hand"
    assert all(np.array_equal(group[f"fli_{k}/{RAW}"], frame) for k, frame in enumerate(FRAMES))


def test_backgrounds_are_found_in_frames_as_they_are_stored(tmp_path):
    seen = []
    background = FittedBackground(lambda block: seen.append(block.dtype) or halves(block), {})
    with h5py.File(tmp_path / "out.h5", "w") as file:
        write(file, background, dtype="float64")
        assert file["fli_0/fluorescence/bg_data/fit"].dtype == np.float64
    assert set(seen) == {np.dtype("float64")}


def test_the_same_blocks_give_the_same_bytes_whatever_their_order(tmp_path):
    for background in (HALVES, RAMP):
        for name, order in (("a.h5", (0, 5, 9)), ("b.h5", (9, 5, 0))):
            with h5py.File(tmp_path / name, "w") as file:
                write(file, background, order)
        assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
