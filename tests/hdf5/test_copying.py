"""Copies of images: all pixels, wherever they lie, or an error that says why not."""

import numpy as np
import pytest

from flimage_dask import FLImage, FLSeries
from flimage_dask.errors import FrameDataError


def write_damaged(path):
    """Write a series whose second frame has a wrong checksum."""
    with FLSeries([FLImage(np.full((6, 8), k)) for k in range(2)], h5file=path) as fls:
        dataset = fls.h5["fli_1/fluorescence/raw"]
        skipped, chunk = dataset.id.read_direct_chunk((0, 0))
        dataset.id.write_direct_chunk((0, 0), chunk[:-1] + bytes([chunk[-1] ^ 1]), skipped)


def test_a_copy_of_a_damaged_frame_names_file_and_frame(tmp_path):
    write_damaged(tmp_path / "series.h5")
    with FLSeries(h5file=tmp_path / "series.h5", h5mode="r") as fls, FLSeries() as in_memory:
        assert fls[0].copy() == fls[0]
        for copy in (fls[1].copy, lambda: in_memory.add_flimage(fls[1])):
            with pytest.raises(FrameDataError, match=r"'/fli_1/fluorescence/raw' of '.*series\.h5' is damaged"):
                copy()
        assert len(in_memory) == 0
