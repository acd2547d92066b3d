"""A series as lazy arrays: blocks, slices, tokens, laziness, places."""

import dask
import numpy as np
import pytest
from dask.base import tokenize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flimage_dask import FLImage, FLSeries
from flimage_dask.errors import FileChangedError, FileError, ParameterError
from flimage_dask.hdf5.reader import ByteRangeReader

from .conftest import make_bleaching_frames, write_series_file


@pytest.fixture
def fls(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as series:
        yield series


@pytest.fixture
def frames_read(monkeypatch):
    """Return a list that collects the positions of all images read from files."""
    read, real = [], ByteRangeReader.read

    def record(self, index, positions, *args, **kwargs):
        read.extend(positions.tolist())
        return real(self, index, positions, *args, **kwargs)

    monkeypatch.setattr(ByteRangeReader, "read", record)
    return read


def test_arrays_hold_what_was_stored(fls, bleaching_frames):
    frames, _ = bleaching_frames
    for array in (fls.raw_fl, fls.fl, fls.fluorescence):
        assert array.dtype == np.float32
        assert np.array_equal(array.compute(), frames)
    assert np.array_equal(fls.bg_fl.compute(), np.zeros_like(frames))


def test_building_arrays_reads_no_pixels(fls, frames_read):
    fls.lazy()
    assert (fls.fl * 2)[3:8].shape == (5, 24, 30)
    assert frames_read == []


def test_a_slice_reads_only_the_frames_it_needs(fls, frames_read):
    for key, expected in [
        ((slice(2, 9, 3), slice(5, 10)), [2, 5, 8]),
        (7, [7]),
        ((slice(3, 5), slice(None), 4), [3, 4]),
    ]:
        frames_read.clear()
        fls.fl[key].compute(scheduler="sync")
        assert sorted(frames_read) == expected


def test_the_graph_grows_with_blocks_and_not_with_frames(tmp_path):
    sizes = []
    for n_frames in (10, 200):
        path = write_series_file(tmp_path / f"{n_frames}.h5", *make_bleaching_frames(n_frames, (20, 20)))
        with FLSeries(h5file=path, h5mode="r") as fls:
            sizes.append(len(dict(fls.fl.__dask_graph__())))
    assert sizes[0] == sizes[1]


def test_blocks_follow_dasks_config_within_a_bound(fls):
    frame_bytes = 24 * 30 * 4
    with dask.config.set({"array.chunk-size": 5 * frame_bytes}):
        assert fls.fl.chunks[0] == (5, 5, 2)
    assert fls.lazy(block_bytes=1).fl.chunks[0] == (1,) * 12
    assert fls.lazy(block_bytes="1 GiB").raw_fl.chunks == ((12,), (24,), (30,))


@pytest.mark.parametrize("size", ["many", 0, -5, "0 B", [1], np.inf])
def test_a_block_size_must_be_one(fls, size):
    with pytest.raises(ParameterError, match="block_bytes"):
        fls.lazy(block_bytes=size)


def test_tokens_are_equal_for_equal_content_and_differ_for_other_content(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        name = fls.fl.name
        assert fls.fl.name == name
        assert fls[:].fl.name == name
        assert fls[1:].fl.name != name
        assert fls.raw_fl.name != name
        assert fls.lazy(block_bytes=6000).fl.name != name
        assert tokenize(fls.bleach_corrected(4)) == tokenize(fls.bleach_corrected(4))
        assert fls.bleach_corrected(4).name != fls.bleach_corrected(5).name
    with FLSeries(h5file=series_path) as fls:
        name = fls.fl.name
        assert fls.fl.name == name
        fls[0].set_bg_data(1)
        assert fls.fl.name != name


def test_a_token_sees_changes_of_a_series_in_memory():
    fls = FLSeries([FLImage(np.ones((4, 4)))])
    before = fls.fl
    assert fls.fl.name == before.name
    fls[0].set_bg_data(1)
    assert fls.fl.name != before.name
    assert fls.fl.sum().compute() == 0


def test_a_file_that_was_replaced_is_refused(series_path, bleaching_frames):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        fl = fls.fl
    write_series_file(series_path, bleaching_frames[0][:5], bleaching_frames[1][:5])
    with pytest.raises(FileChangedError, match="open the series again"):
        fl.compute()


def test_a_series_being_written_shows_what_has_been_written(tmp_path):
    with FLSeries(h5file=tmp_path / "s.h5") as fls:
        for k in range(3):
            fls.add_flimage(FLImage(np.full((4, 4), float(k))))
            assert fls.fl[:, 0, 0].compute().tolist() == list(range(k + 1))
        lazy = fls.fl
    assert lazy[:, 0, 0].compute().tolist() == [0, 1, 2]


def test_pixels_changed_through_h5py_are_seen_by_other_processes_too(series_path):
    with FLSeries(h5file=series_path) as fls:
        before = fls.raw_fl
        for value in (7, 9):
            # Noise takes more room than what was there, so that it is stored at another place.
            fls.h5["fli_3/fluorescence/raw"][...] = value * np.random.default_rng(0).random((24, 30))
            for scheduler in ("threads", "processes"):
                pixels = fls.raw_fl[3].compute(scheduler=scheduler, num_workers=1)
                assert np.array_equal(pixels, fls[3].raw_fl)
        with pytest.raises(FileChangedError, match="changed after its frames were indexed"):
            before[3].compute(scheduler="processes", num_workers=1)


def test_a_series_in_memory_is_lazy_too_as_long_as_it_lives():
    with FLSeries([FLImage(np.full((4, 4), float(k))) for k in range(3)]) as fls:
        lazy = fls.fl
        assert lazy.sum(axis=(1, 2)).compute(scheduler="threads").tolist() == [0, 16, 32]
    with pytest.raises(FileError, match="closed"):
        lazy.compute()


def test_a_series_in_memory_cannot_go_to_another_process():
    fls = FLSeries([FLImage(np.ones((4, 4)))])
    with pytest.raises(FileError, match="another process"):
        fls.fl.compute(scheduler="processes")


def test_each_background_that_frames_share_is_read_once(tmp_path, monkeypatch):
    with FLSeries([FLImage(np.full((8, 8), 5.0)) for _ in range(40)], h5file=tmp_path / "s.h5") as fls:
        fls.set_bg_data(np.arange(64.0).reshape(8, 8))
    images_read, real = [], ByteRangeReader.read

    def record(self, index, *args, **kwargs):
        images_read.append(index.dataset)
        return real(self, index, *args, **kwargs)

    monkeypatch.setattr(ByteRangeReader, "read", record)
    with FLSeries(h5file=tmp_path / "s.h5", h5mode="r") as fls:
        fl = fls.lazy(block_bytes=2 * 256).fl
        assert fl.numblocks == (20, 1, 1)
        assert np.array_equal(fl[39].compute(), 5 - np.arange(64).reshape(8, 8))
        images_read.clear()
        fl.sum().compute()
    assert images_read.count("fluorescence/bg_data/data") <= 1


def test_lists_of_positions_and_new_axes_are_numpys(fls, bleaching_frames):
    frames, _ = bleaching_frames
    for key in ([9, 1, 1], (slice(2, 8), [3, 1]), (slice(3, 5), None), (None, 2, slice(1, 5))):
        assert np.array_equal(fls.fl[key].compute(), frames[key])
    assert np.array_equal(fls.fl[2:9][[0, 3]][:, 4].compute(), frames[2:9][[0, 3]][:, 4])


slices = st.builds(slice, *[st.none() | st.integers(-14, 14)] * 2, st.sampled_from([None, 1, 2, 3, 5, -1, -2]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=hnp.basic_indices((12, 24, 30), allow_newaxis=False, allow_ellipsis=False), n_block=st.integers(1, 13))
def test_any_slice_is_numpys(series_path, bleaching_frames, key, n_block):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        lazy = fls.lazy(block_bytes=n_block * 24 * 30 * 4).fl
        assert np.array_equal(lazy[key].compute(scheduler="sync"), bleaching_frames[0][key])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=slices, second=slices)
def test_views_of_views_are_numpys(series_path, bleaching_frames, first, second):
    frames, times = bleaching_frames
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        view = fls[first][second]
        assert len(view) == len(frames[first][second])
        assert np.array_equal(view.times, times[first][second])
        if len(view):
            assert np.array_equal(view.fl.compute(scheduler="sync"), frames[first][second])


def test_a_correction_whose_estimate_is_yet_to_be_made_is_one_task_a_block(fls):
    with dask.config.set({"array.chunk-size": fls.raw_fl.nbytes // len(fls)}):
        corrected = fls.bleach_corrected(5).map_blocks(np.abs)
    (optimized,) = dask.optimize(corrected)
    assert len(optimized.dask) <= corrected.npartitions + 5
