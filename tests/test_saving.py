"""Any lazy array becomes a series."""

import json

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flimage_dask import ClippingWarning, FLSeries, to_hdf5
from flimage_dask.errors import FileError, MetaKeyError, OutputExistsError, ParameterError, SeriesError


@pytest.fixture
def fls(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as series:
        yield series


def opened(path):
    return FLSeries(h5file=path, h5mode="r")


def test_an_array_made_from_a_series_keeps_its_metadata(fls, tmp_path):
    to_hdf5(fls.fl.map_blocks(np.sqrt), tmp_path / "out.h5", like=fls)
    with opened(tmp_path / "out.h5") as out:
        assert np.array_equal(out.fl.compute(), np.sqrt(fls.fl.compute()))
        assert out.meta == fls.meta
        assert out.identifier == fls.identifier


def test_part_of_a_series_keeps_the_metadata_of_that_part(fls, tmp_path):
    to_hdf5(fls.fl[::5, 2:20, 2:20], tmp_path / "out.h5", like=fls[::5], identifier="part")
    with opened(tmp_path / "out.h5") as out:
        assert out.identifiers == ["frame_0", "frame_5", "frame_10"]
        assert out.shape == (3, 18, 18)
        assert out.identifier == "part"
    with pytest.raises(ParameterError, match=r"like=fls\[::10\]"):
        to_hdf5(fls.fl[::5], tmp_path / "no.h5", like=fls)


def test_metadata_are_given_for_all_frames_or_each(fls, tmp_path):
    meta = {"pixel size": 2e-7, "focus": np.arange(12.0), "device": [None, "a"] * 6}
    to_hdf5(fls.fl, tmp_path / "out.h5", like=fls, meta=meta, times=np.arange(12) + 5)
    with opened(tmp_path / "out.h5") as out:
        assert out.meta["pixel size"] == [2e-7] * 12
        assert out.meta["focus"] == list(range(12))
        assert out.meta["device"] == [None, "a"] * 6
        assert np.array_equal(out.times, np.arange(12) + 5.0)
        assert "device" not in out[0]


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.ones((3, 4, 5)), "ndarray"),
        (da.ones((4, 5)), r"\(4, 5\)"),
        (da.ones((3, 4, 5), dtype=complex), "complex"),
        (da.ones((3, 4, 5))[da.ones(3) > 0], "unknown size"),
    ],
)
def test_what_is_no_array_of_frames_is_refused(array, match, tmp_path):
    with pytest.raises(ParameterError, match=match):
        to_hdf5(array, tmp_path / "out.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"times": [1, 2]}, ParameterError),
        ({"times": [[1], [2], [3]]}, ParameterError),
        ({"times": ["1 s", "2 s", "3 s"]}, ParameterError),
        ({"meta": {"focus": [1, 2]}}, ParameterError),
        ({"meta": {"wavelength": 1}}, MetaKeyError),
        ({"meta": {"identifier": "same"}}, SeriesError),
        ({"dtype": "complex64"}, ParameterError),
        ({"dtype": "nonsense"}, ParameterError),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(options, error, tmp_path):
    with pytest.raises(error):
        to_hdf5(da.ones((3, 4, 5)), tmp_path / "out.h5", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("resume", [None, True])
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_a_function_that_returns_more_frames_than_it_was_given_is_named(scheduler, resume, tmp_path):
    doubled = da.ones((6, 4, 5), chunks=(2, -1, -1)).map_blocks(np.repeat, 2, axis=0, dtype=float, chunks=(2, 4, 5))
    with (
        dask.config.set(scheduler=scheduler),
        pytest.raises(ParameterError, match=r"at frame \d has 4 frames; expected 2.*Does a function given"),
    ):
        to_hdf5(doubled, tmp_path / "out.h5", resume=resume)
    assert not (tmp_path / "out.h5").exists()


def test_an_empty_array_is_no_series(tmp_path):
    with pytest.raises(SeriesError, match="no pixels"):
        to_hdf5(da.ones((0, 4, 5)), tmp_path / "out.h5")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_frames_are_stored_in_the_type_asked_for(dtype, tmp_path):
    array = da.random.default_rng(0).normal(size=(4, 8, 8), chunks=(3, 8, 8))
    to_hdf5(array, tmp_path / "out.h5", dtype=dtype)
    with opened(tmp_path / "out.h5") as out:
        assert out.raw_fl.dtype == dtype
        assert np.array_equal(out.raw_fl.compute(), array.compute().astype(dtype))


def test_integers_can_be_kept(tmp_path):
    array = da.arange(3 * 16, chunks=-1, dtype="uint16").reshape(3, 4, 4)
    to_hdf5(array, tmp_path / "out.h5", dtype="uint16")
    with opened(tmp_path / "out.h5") as out:
        assert out.raw_fl.dtype == np.uint16
        assert np.array_equal(out.fl.compute(), array.compute())


def test_floats_are_rounded_and_clipped_to_integers_and_the_clipped_counted(tmp_path):
    array = da.from_array(np.array([[[-2.0, 0.4, 1.6, 300.0]]] * 3), chunks=(2, 1, 4))
    with pytest.warns(ClippingWarning, match=r"6 of 12 pixels lie outside uint8 \(0 to 255\).*signed type"):
        to_hdf5(array, tmp_path / "out.h5", dtype="uint8")
    with opened(tmp_path / "out.h5") as out:
        assert out.raw_fl.compute().tolist() == [[[0, 0, 2, 255]]] * 3
        assert json.loads(out.h5.attrs["flimage_dask"])["storage"]["n_clipped"] == 6


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data())
def test_any_chunking_gives_the_same_series(data, tmp_path_factory):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 7)))
    chunks = tuple(data.draw(st.integers(1, size)) for size in shape)
    numbers = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    path = tmp_path_factory.mktemp("chunkings") / "out.h5"
    to_hdf5(da.from_array(numbers, chunks=chunks), path)
    with h5py.File(path) as file:
        assert list(file) == sorted(f"fli_{k}" for k in range(shape[0]))
        assert all(np.array_equal(file[f"fli_{k}/fluorescence/raw"], numbers[k]) for k in range(shape[0]))


def test_a_failure_in_the_middle_leaves_nothing(fls, tmp_path):
    def fail(block, block_info=None):
        if block_info[None]["chunk-location"][0] == 2:
            raise ArithmeticError("no such root")
        return block

    path = tmp_path / "out.h5"
    path.write_text("old")
    broken = fls.lazy(block_bytes=24 * 30 * 4 * 3).fl.map_blocks(fail, dtype="f4")
    with pytest.raises(ArithmeticError):
        to_hdf5(broken, path, like=fls, overwrite=True)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == ["out.h5"]


def test_a_block_of_another_shape_is_named(fls, tmp_path):
    halved = fls.lazy(block_bytes=24 * 30 * 4 * 4).fl.map_blocks(lambda block: block[:, ::2], dtype="f4")
    with pytest.raises(ParameterError, match=r"frame \d+ .*\(12, 30\).*\(24, 30\)"):
        to_hdf5(halved, tmp_path / "out.h5")
    dropped = fls.lazy(block_bytes=24 * 30 * 4 * 4).fl.map_blocks(lambda block: block[1:], dtype="f4")
    with pytest.raises(ParameterError, match=r"at frame \d has 3 frames; expected 4, up to frame \d"):
        to_hdf5(dropped, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_the_file_that_an_array_reads_is_not_replaced(fls):
    with pytest.raises(OutputExistsError, match="input itself"):
        to_hdf5(fls.fl, fls.path, like=fls, overwrite=True)


def test_the_file_that_an_array_reads_is_not_replaced_by_whatever_is_made_of_it(fls, tmp_path):
    (tmp_path / "link.h5").symlink_to(fls.path)
    joined = da.concatenate([da.zeros((3, 24, 30)), fls.bleach_corrected(4)[::2]]).rechunk((4, 24, 30))
    for path in (fls.path, tmp_path / "link.h5"):
        with pytest.raises(OutputExistsError, match="input itself"):
            to_hdf5(joined, path, overwrite=True)
    (optimized,) = dask.optimize(fls.fl + 1)
    delayed = da.from_delayed(dask.delayed(fls.fl) + 0, fls.shape, "f4")
    for array in (optimized, delayed):
        with pytest.raises(OutputExistsError, match="input itself"):
            to_hdf5(array, fls.path, overwrite=True)
    assert len(FLSeries(h5file=fls.path, h5mode="r")) == 12


@pytest.mark.parametrize(("path", "error"), [(5, ParameterError), (None, ParameterError), ("x" * 300, FileError)])
def test_what_is_not_the_name_of_an_output_is_refused(fls, path, error):
    for options in ({}, {"like": fls}):
        with pytest.raises(error):
            to_hdf5(fls.fl, path, **options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"like": "series.h5"}, "like= must be an open series.*not str"),
        ({"like": [1]}, "like= must be an open series.*not list"),
        ({"meta": ["device"]}, "meta= must be a dictionary.*not list"),
    ],
)
def test_what_metadata_cannot_come_from_is_named(options, problem, tmp_path):
    with pytest.raises(ParameterError, match=problem):
        to_hdf5(da.ones((3, 4, 5)), tmp_path / "out.h5", **options)


def test_metadata_in_bytes_are_one_value(tmp_path):
    to_hdf5(da.ones((3, 4, 5)), tmp_path / "out.h5", meta={"device": b"abc"})
    with opened(tmp_path / "out.h5") as out:
        assert out.meta["device"] == ["abc"] * 3


def test_the_result_of_a_string_path_is_the_same(fls, tmp_path):
    to_hdf5(fls.fl, str(tmp_path / "out.h5"), like=fls)
    with opened(str(tmp_path / "out.h5")) as out:
        assert len(out) == 12


def test_times_of_numpy_know_their_unit(fls, tmp_path):
    minutes = np.arange(12) * np.timedelta64(1, "m")
    for times, first in ((minutes, 0.0), (np.datetime64("1970-01-02", "ms") + minutes, 86400.0)):
        to_hdf5(fls.fl, tmp_path / "out.h5", times=times, overwrite=True)
        with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
            assert np.array_equal(out.times, first + 60.0 * np.arange(12))
        found = fls.estimate_bleaching(4, times=times)
        assert found.half_life == pytest.approx(fls.estimate_bleaching(4, frame_interval=60).half_life)


def test_what_lies_under_a_mask_is_not_written(tmp_path):
    counts = da.arange(18).reshape(2, 3, 3)
    with pytest.raises(ParameterError, match="masked"):
        to_hdf5(da.ma.masked_greater(counts, 10), tmp_path / "out.h5")
    assert list(tmp_path.iterdir()) == []
    to_hdf5(da.ma.masked_greater(counts, 20), tmp_path / "nothing_masked.h5")
    to_hdf5(da.ma.filled(da.ma.masked_greater(counts.astype("f4"), 10), np.nan), tmp_path / "out.h5")
    with opened(tmp_path / "out.h5") as out:
        assert np.isnan(out.fl.compute()).sum() == 7
