"""Files go both ways between this package and the real flimage, and so do scripts."""

import importlib
import inspect
import warnings

import h5py
import numpy as np
import pytest

import flimage_dask
from flimage_dask import BleachingWarning, FLImage, FLSeries, to_hdf5

from .conftest import make_bleaching_frames, write_series_file


@pytest.fixture
def both(flimage):
    """Return the two libraries, which the same script must run with."""
    return {"flimage": flimage, "flimage_dask": flimage_dask}


def write_as_the_user_guide_says(library, folder):
    """Run what flimage's user guide shows, with either library."""
    frames, times = make_bleaching_frames(6)
    paths = []
    for k, (frame, time) in enumerate(zip(frames, times, strict=True)):
        path = folder / f"image_{k}.h5"
        with library.FLImage(data=frame, meta_data={"time": time, "pixel size": 1e-7}, h5file=path) as fli:
            fli.set_bg_data(np.full(frame.shape, 2.5))
        paths.append(path)
    with library.FLSeries(h5file=folder / "series.h5", h5mode="w", identifier="guide") as fls:
        for k, path in enumerate(paths):
            fls.add_flimage(fli=library.FLImage(h5file=path, h5mode="r"), identifier=f"my_name_{k}")
    return folder / "series.h5"


def read_as_the_user_guide_says(library, path):
    """Return everything that a script sees of a series."""
    with library.FLSeries(h5file=path, h5mode="r") as fls:
        assert fls["my_name_2"] == fls[2] == fls.get_flimage(-4)
        assert "my_name_5" in fls
        versions = ("flimage version", "qpimage version")
        return {
            "identifier": fls.identifier,
            "length": len(fls),
            "fl": np.stack([fli.fl for fli in fls]),
            "raw": np.stack([fli.raw_fl for fli in fls]),
            "bg": np.stack([fli.bg_fl for fli in fls]),
            "meta": [{k: v for k, v in fli.meta.items() if k not in versions} for fli in fls],
            "repr": repr(fls[3]),
        }


def equal(a, b):
    return all(np.array_equal(a[key], b[key]) if isinstance(a[key], np.ndarray) else a[key] == b[key] for key in a)


def test_scripts_and_files_of_either_library_serve_the_other(both, tmp_path):
    seen = []
    for writer in both.values():
        folder = tmp_path / writer.__name__
        folder.mkdir()
        path = write_as_the_user_guide_says(writer, folder)
        seen += [read_as_the_user_guide_says(reader, path) for reader in both.values()]
    assert all(equal(found, seen[0]) for found in seen[1:])


def test_a_file_of_flimage_gives_the_same_values_lazily(flimage, tmp_path):
    path = write_as_the_user_guide_says(flimage, tmp_path)
    expected = read_as_the_user_guide_says(flimage, path)
    with FLSeries(h5file=path, h5mode="r") as fls:
        assert np.array_equal(fls.raw_fl.compute(), expected["raw"])
        assert np.array_equal(fls.fl.compute(), expected["fl"].astype(np.float32))
        assert np.array_equal(fls.bg_fl.compute(), expected["bg"])


@pytest.mark.parametrize("kind", ["counts", "floats"])
def test_flimage_opens_what_is_written_in_parallel_read_only(flimage, tmp_path, kind):
    frames, times = make_bleaching_frames(30)
    if kind == "floats":
        frames += np.random.default_rng(2).normal(size=frames.shape).astype("f4")
    path = write_series_file(tmp_path / "series.h5", frames, times)
    with FLSeries(h5file=path, h5mode="r") as fls:
        fls.bleach_correction(tmp_path / "out.h5", border_px=4)
        expected = fls.bleach_corrected(4).compute()
    with h5py.File(tmp_path / "out.h5") as file:
        raw = file["fli_0/fluorescence/raw"]
        assert (raw.chunks, raw.compression, raw.fletcher32) == (frames.shape[1:], "gzip", True)
        assert raw.attrs["CLASS"] == b"IMAGE"
    with flimage.FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as theirs:
        assert len(theirs) == 30
        assert theirs.identifier == "simulated"
        for k, fli in enumerate(theirs):
            assert np.array_equal(fli.raw_fl, expected[k])
            assert fli["time"] == times[k]
            assert fli["identifier"] == f"frame_{k}"
        assert theirs["frame_7"] == theirs[7]


def test_flimage_goes_on_with_what_was_written(flimage, tmp_path):
    frames, times = make_bleaching_frames(5)
    path = write_series_file(tmp_path / "series.h5", frames, times)
    with flimage.FLSeries(h5file=path) as theirs:
        theirs.add_flimage(flimage.FLImage(data=frames[0], meta_data={"time": 9.0}), identifier="theirs")
        theirs[1]["time"] = 0.75
    with FLSeries(h5file=path, h5mode="r") as ours:
        assert ours.shape == (6, 24, 30)
        assert np.array_equal(ours["theirs"].fl, frames[0])
        assert ours.times[1] == 0.75


def test_frames_that_share_a_background_are_flimages_too(flimage, tmp_path):
    frames, times = make_bleaching_frames(5)
    path = write_series_file(tmp_path / "series.h5", frames, times)
    with FLSeries(h5file=path) as ours:
        ours.set_bg_data(3.0)
        to_hdf5(ours.fl, tmp_path / "out.h5", like=ours)
    with flimage.FLSeries(h5file=path, h5mode="r") as theirs:
        assert np.array_equal(theirs[4].fl, frames[4] - 3.0)
    with flimage.FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as theirs:
        assert np.array_equal(theirs[4].fl, frames[4] - 3.0)


def test_the_real_series_is_the_same_for_both(flimage, mito_path):
    with flimage.FLSeries(h5file=mito_path, h5mode="r") as theirs, FLSeries(h5file=mito_path, h5mode="r") as ours:
        assert ours.shape == (len(theirs), *theirs[0].shape)
        lazy = ours.fl.compute()
        for k in range(0, len(theirs), 9):
            assert np.array_equal(ours[k].fl, theirs[k].fl)
            assert np.array_equal(lazy[k], theirs[k].fl)
            assert dict(ours[k].meta) == dict(theirs[k].meta)


def test_the_documented_names_are_there(flimage):
    for name in ("FLImage", "FLSeries", "META_KEYS_FL", "__version__"):
        assert hasattr(flimage_dask, name)
    assert set(flimage_dask.META_KEYS_FL) == set(flimage.META_KEYS_FL)
    assert importlib.import_module("flimage_dask.core").FLImage is FLImage
    assert flimage_dask.series.FLSeries is FLSeries
    assert flimage_dask.meta.META_KEYS_FL


@pytest.mark.parametrize(
    "method", ["FLImage", "FLSeries", "FLSeries.add_flimage", "FLSeries.bleach_correction", "FLSeries.denoise"]
)
def test_arguments_have_the_names_and_order_of_flimage(flimage, method):
    def parameters(library):
        found = library
        for name in method.split("."):
            found = getattr(found, name)
        return list(inspect.signature(found).parameters)

    theirs, ours = parameters(flimage), parameters(flimage_dask)
    assert ours[: len(theirs)] == theirs


def test_the_package_imports_without_flimage():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = importlib.import_module("flimage_dask")
    assert "flimage" not in vars(module)


def test_three_frames_are_corrected_as_flimage_does(flimage, tmp_path):
    cell = np.pad(np.ones((8, 8)), 8)
    decay = 100 * np.exp(-0.5 * np.arange(3)) + 20
    path = write_series_file(tmp_path / "in.h5", 5 + decay[:, None, None] * cell, range(3))
    with flimage.FLSeries(h5file=path, h5mode="r") as fls:
        fls.bleach_correction(tmp_path / "flimage.h5", border_px=4)
    with FLSeries(h5file=path, h5mode="r") as fls, pytest.warns(BleachingWarning, match="none is left"):
        fls.bleach_correction(tmp_path / "ours.h5", border_px=4)
    outputs = [FLSeries(h5file=tmp_path / name, h5mode="r") for name in ("flimage.h5", "ours.h5")]
    expected, found = (output.fl[:, 12, 12].compute() for output in outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found, 120, rtol=1e-6)
