"""Traces and estimates of a series, without writing anything."""

import os

import dask.array as da
import h5py
import numpy as np
import pytest

from flimage_dask import BleachingEstimate, BleachingWarning, FLImage, FLSeries, to_hdf5
from flimage_dask.correction.intensity import intensities
from flimage_dask.correction.traced_pixels import EVERYWHERE, TracedPixels
from flimage_dask.errors import ParameterError, SeriesError
from flimage_dask.hdf5.reader import ByteRangeReader

from .conftest import make_bleaching_frames, write_series_file

BORDER = 4
FRAMES, TIMES = make_bleaching_frames(12)
CELL = np.zeros((24, 30), bool)
CELL[8:-8, 8:-8] = True
TRACES = ("positive_sum", "mean", "median", "percentile-90")


@pytest.fixture
def fls(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as series:
        yield series


@pytest.fixture
def n_read(monkeypatch):
    """Count the frames that are read."""
    read, real = [], ByteRangeReader.read
    monkeypatch.setattr(ByteRangeReader, "read", lambda *args: read.append(len(args[2])) or real(*args))
    return read


def in_other_files(path, kind, frames):
    """Write a series whose images lie in one other file each, over those of another series of this kind."""
    with h5py.File(path, "a") as file:
        for number, image in enumerate(frames):
            fluorescence, name = file.require_group(f"fli_{number}/fluorescence"), f"{path}-{number}"
            fluorescence.parent.attrs["time"] = float(number)
            is_new = "raw" not in fluorescence
            if kind == "external storage":
                raw = fluorescence.require_dataset("raw", image.shape, "f4", external=[(name, 0, image.nbytes)])
                raw[...] = image
                continue
            with h5py.File(name, "w") as other:
                other["image"] = image
            if kind == "external link" and is_new:
                fluorescence["raw"] = h5py.ExternalLink(name, "image")
            elif is_new:
                layout = h5py.VirtualLayout(image.shape, "f4")
                layout[...] = h5py.VirtualSource(name, "image", image.shape)
                fluorescence.create_virtual_dataset("raw", layout)
    # The series does not tell that the other files were written.
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("kind", ["external link", "virtual image", "external storage"])
def test_an_estimate_of_frames_in_other_files_is_made_again_each_time(tmp_path, kind):
    path, backgrounds, names = tmp_path / "series.h5", [], set()
    for brightness in (0, 90):
        in_other_files(path, kind, FRAMES + np.float32(brightness))
        with FLSeries(h5file=path, h5mode="r") as fls:
            assert fls.fl.name == fls.fl.name
            names.add(fls.fl.name)
            backgrounds.append(fls.estimate_bleaching(BORDER).background)
    assert backgrounds[1] == pytest.approx(backgrounds[0] + 90)
    assert len(names) == 2


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize(
    "background", [None, "constant", "per-frame", 9.5, pytest.param(np.full((24, 30), 9.5), id="image")]
)
def test_the_trace_of_a_mask_is_that_of_its_pixels(fls, trace, background):
    found = fls.estimate_bleaching(BORDER, trace=trace, mask=CELL, background=background)
    expected = intensities(FRAMES, found.background, trace, TracedPixels.of_mask(CELL))[:, 0]
    np.testing.assert_allclose(found.trace, expected, rtol=1e-12)
    assert found.trace_kind == f"{trace} of a mask of 112 px"
    assert found.status == "bleaching"


def test_the_mean_of_the_mito_series_gets_its_reference_values(mito_path):
    with FLSeries(h5file=mito_path, h5mode="r") as mito:
        single = mito.estimate_bleaching(trace="mean")
        found = mito.estimate_bleaching(trace="mean", model="auto")
    assert single.background == 0.0
    assert single.parameters["rate"] * 3600 == pytest.approx(0.22383381, rel=1e-6)
    assert single.parameters["amplitude"] == pytest.approx(6.7357847, rel=1e-6)
    assert single.parameters["offset"] == pytest.approx(1.6730119, rel=1e-6)
    assert single.r2 == pytest.approx(0.996700, abs=5e-7)
    assert single.factors[-1] == pytest.approx(5.025460, rel=1e-6)
    assert (found.model, round(found.r2, 6)) == ("biexponential", 0.999906)


@pytest.mark.parametrize("trace", ["mean", "median", "percentile-90"])
@pytest.mark.parametrize("background", [None, "constant", "per-frame"])
def test_traces_that_move_with_the_background_need_one_pass(fls, n_read, trace, background):
    fls.estimate_bleaching(BORDER, trace=trace, mask=CELL, background=background)
    assert sum(n_read) == 12


def test_the_lazy_correction_takes_the_same_trace(fls, tmp_path):
    options = {"border_px": BORDER, "trace": "median", "mask": CELL, "background": "per-frame", "model": "auto"}
    estimate = fls.estimate_bleaching(**options)
    fls.bleach_correction(tmp_path / "out.h5", **options)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert np.array_equal(out.fl.compute(), fls.bleach_corrected(**options).compute())
        assert np.array_equal(out.fl.compute(), fls.bleach_corrected(estimate=estimate).compute())


def test_the_output_says_which_trace_it_was(fls, tmp_path):
    fls.bleach_correction(tmp_path / "out.h5", BORDER, trace="mean")
    with h5py.File(tmp_path / "out.h5") as file:
        assert '"trace": "mean"' in file.attrs["flimage_dask"]


def test_every_region_has_a_trace_of_its_own(fls, n_read):
    labels = np.zeros((24, 30), int)
    labels[8:12, 8:20], labels[14:16, 8:12] = 5, 2
    found = fls.intensities(labels=labels)
    np.testing.assert_allclose(found[:, 0], FRAMES[:, 14:16, 8:12].mean((1, 2)), rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], FRAMES[:, 8:12, 8:20].mean((1, 2)), rtol=1e-6)
    assert sum(n_read) == 12


@pytest.mark.parametrize("background", [None, "constant", "per-frame", 3.0])
def test_several_traces_come_from_one_pass(fls, n_read, background):
    traces = ["mean", "median", "percentile-90"]
    labels = np.ones((24, 30), int) + CELL
    options = {"border_px": BORDER, "background": background}
    found = fls.intensities(traces, labels=labels, **options)
    assert found.shape == (12, 3, 2)
    assert sum(n_read) == 12
    for place, trace in enumerate(traces):
        assert np.array_equal(found[:, place], fls.intensities(trace, labels=labels, **options))
    assert np.array_equal(fls.intensities(traces, **options)[:, 1], fls.intensities("median", **options))


def test_intensities_are_the_same_in_little_memory(fls):
    labels = np.ones((24, 30), int) + CELL
    expected = fls.intensities("positive_sum", labels=labels, border_px=BORDER)
    assert np.array_equal(fls.intensities("positive_sum", labels=labels, border_px=BORDER, memory="9 MiB"), expected)
    with pytest.raises(ParameterError, match="memory=1000 is too little for frames"):
        fls.intensities(memory=1000)


def test_a_positive_sum_is_measured_beside_others_above_one_background(fls):
    found = fls.intensities(["positive_sum", "mean"], border_px=BORDER, background="constant")
    assert np.array_equal(found[:, 0], fls.intensities("positive_sum", border_px=BORDER))
    np.testing.assert_allclose(found[:, 1], fls.intensities(border_px=BORDER, background="constant"), rtol=1e-12)


@pytest.mark.parametrize("trace", ["positive_sum", "mean", "percentile-90"])
def test_the_intensity_of_whole_frames_is_the_trace_of_an_estimate(fls, trace):
    found = fls.intensities(trace, border_px=BORDER)
    np.testing.assert_allclose(found, fls.estimate_bleaching(BORDER, trace=trace).trace, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"trace": "max"}, "trace='max'"),
        ({"mask": np.ones((3, 3), bool)}, r"mask= has shape \(3, 3\)"),
        ({"mask": np.zeros((24, 30), bool)}, "at least one True"),
        ({"trace": "mean", "background": "median"}, "'constant' or 'per-frame'"),
    ],
)
def test_a_bad_trace_is_refused_before_anything_is_read(fls, monkeypatch, options, match):
    monkeypatch.setattr("flimage_dask.lazy.remembered_estimates.estimate", lambda *args: pytest.fail("estimated"))
    for method in (fls.estimate_bleaching, fls.bleach_corrected):
        with pytest.raises(ParameterError, match=match):
            method(BORDER, **options)


def test_bad_labels_are_refused(fls):
    with pytest.raises(ParameterError, match=r"labels= has shape \(2, 2\)"):
        fls.intensities(labels=np.ones((2, 2), int))
    with pytest.raises(ParameterError, match="trace='max'"):
        fls.intensities("max")
    for several in ([], ["mean", "positive_sum"], ["mean", "max"]):
        with pytest.raises(ParameterError, match="trace="):
            fls.intensities(several)


def test_a_series_without_a_finite_border_needs_a_number(tmp_path):
    frames = np.full((6, 9, 9), np.nan)
    frames[:, 4, 4] = [24, 16, 12, 10, 9, 8.5]
    series = FLSeries([FLImage(frame, {"time": k}) for k, frame in enumerate(frames)])
    with pytest.raises(SeriesError, match="give the background as a number"):
        series.estimate_bleaching(2, trace="mean", background="constant")
    assert series.estimate_bleaching(2, trace="mean").trace.tolist() == [24, 16, 12, 10, 9, 8.5]


def integer_series(path, brightest):
    """Write a bleaching series of 8-bit counts, which end at 255."""
    decay = (0.3 + 0.7 * np.exp(-np.arange(20) / 4))[:, None, None]
    frames = np.minimum(10 + brightest * decay * CELL, 255).astype(np.uint8)
    to_hdf5(da.from_array(frames, chunks=(5, -1, -1)), path, times=np.arange(20), dtype="uint8")
    return path


def test_saturated_pixels_of_integers_are_counted_and_warned_of(tmp_path):
    with (
        FLSeries(h5file=integer_series(tmp_path / "bright.h5", 260), h5mode="r") as fls,
        pytest.warns(BleachingWarning, match=r"15.6% of the pixels of frame 0 are saturated \(from 255 counts\)"),
    ):
        found = fls.estimate_bleaching(BORDER)
    assert found.pixels.n_saturated[[0, 19]].tolist() == [112, 0]
    assert (found.pixels.n_finite == 720).all()
    again = BleachingEstimate.from_json(found.to_json())
    assert again.pixels.n_saturated.tolist() == found.pixels.n_saturated.tolist()


def test_without_saturation_there_is_no_warning(tmp_path):
    with FLSeries(h5file=integer_series(tmp_path / "dim.h5", 200), h5mode="r") as fls:
        found = fls.estimate_bleaching(BORDER)
    assert found.pixels.saturation == 255
    assert not found.pixels.n_saturated.any()


def test_the_user_may_say_where_the_camera_saturates(fls):
    with pytest.warns(BleachingWarning, match="saturated"):
        found = fls.estimate_bleaching(BORDER, saturation=400)
    assert np.array_equal(found.pixels.n_saturated, (FRAMES >= 400).sum((1, 2)))


def test_pixels_that_are_not_finite_are_counted(tmp_path):
    frames = FRAMES.copy()
    frames[3, 0, :5] = np.nan
    with FLSeries(h5file=write_series_file(tmp_path / "holes.h5", frames, TIMES), h5mode="r") as fls:
        assert fls.estimate_bleaching(BORDER).pixels.n_finite.tolist() == [720] * 3 + [715] + [720] * 8


def with_backgrounds(path, frames, images):
    """Write frames of 8-bit counts, each with a background image or None."""
    with FLSeries(h5file=path, h5mode="w") as fls:
        for time, (frame, image) in enumerate(zip(frames, images, strict=True)):
            flimage = FLImage(frame, {"time": time}, h5dtype="uint8")
            if image is not None:
                flimage.set_bg_data(image)
            fls.add_flimage(flimage)
    return path


@pytest.mark.parametrize("trace", ["positive_sum", "mean"])
def test_saturated_pixels_are_counted_where_frames_carry_background_images(tmp_path, n_read, trace):
    decay = (0.3 + 0.7 * np.exp(-np.arange(20) / 4))[:, None, None]
    frames = np.minimum(10 + 260 * decay * CELL, 255).astype(np.uint8)
    images = [np.full((24, 30), 3 + time % 2) if time % 3 else None for time in range(20)]
    with FLSeries(h5file=with_backgrounds(tmp_path / "bright.h5", frames, images), h5mode="r") as fls:
        n_read.clear()
        with pytest.warns(BleachingWarning, match=r"15.6% of the pixels of frame 0 are saturated \(from 255 counts\)"):
            found = fls.estimate_bleaching(BORDER, trace=trace, background=2.0)
        expected = intensities(fls.fl.compute(), 2.0, trace, EVERYWHERE)[:, 0]
    assert np.array_equal(found.trace, expected)
    assert np.array_equal(found.pixels.n_saturated, (frames == 255).sum((1, 2)))


def test_functions_of_one_name_do_not_share_what_is_remembered(fls):
    found = [
        fls.estimate_bleaching(BORDER, model=function)
        for function in (lambda t, rate: np.exp(-rate * t), lambda t, rate: 1.0 / (1.0 + rate * t))
    ]
    assert [one.model for one in found] == ["<lambda>", "<lambda>"]
    assert found[0].rmse != found[1].rmse
