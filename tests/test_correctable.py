"""Background, bleach correction and denoising of a series: right, lazy, deterministic."""

import json
import multiprocessing
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
from distributed import Client

from flimage_dask import BleachingEstimate, BleachingWarning, FLImage, FLSeries, SchedulerWarning, to_hdf5
from flimage_dask.correction.band_sums import Band
from flimage_dask.correction.models import AMPLITUDE, OFFSET, RATE, DecayModel
from flimage_dask.errors import (
    FitError,
    FrameDataError,
    FrameNotFoundError,
    OutputExistsError,
    ParameterError,
    SeriesError,
)
from flimage_dask.hdf5.reader import ByteRangeReader
from flimage_dask.lazy import remembered_estimates, tracing
from flimage_dask.running.provenance import Provenance

from .conftest import make_bleaching_frames, write_series_file

LAST_FACTOR = 6.973489155439673
BORDER = 4


@pytest.fixture
def fls(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as series:
        yield series


def values(path):
    with h5py.File(path) as file:
        return np.stack([file[f"fli_{k}/fluorescence/raw"][()] for k in range(len(file))])


def test_the_mito_series_gets_its_reference_values(mito_path, tmp_path):
    with FLSeries(h5file=mito_path, h5mode="r") as fls, pytest.warns(BleachingWarning, match="factor"):
        background, flint, decay, times = fls.bleach_correction(tmp_path / "out.h5")
    assert background == pytest.approx(2.31681694, abs=5e-9)
    assert decay[0] / decay[-1] == pytest.approx(15.6110, abs=5e-5)
    assert flint.shape == decay.shape == (47,)
    assert np.array_equal(times, 3600.0 * np.arange(47))
    raw, corrected = values(mito_path), values(tmp_path / "out.h5")
    expected = (raw[46].astype(float) - background) * (decay[0] / decay[-1])
    assert np.allclose(corrected[46], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("start", "interval"), [(0, 1e-3), (0, 1), (0, 3600), (1.7e9, 1), (1.7e9, 3600), (1.7e9, 1e-3)]
)
def test_the_factor_is_the_same_in_any_unit_of_time(start, interval):
    intensity = 150 * np.exp(-0.05 * np.arange(50)) + 10
    frame = np.zeros((5, 5))
    frame[2, 2] = 1.0
    fls = FLSeries(
        [FLImage(a * frame, {"time": start + k * interval}, h5dtype="float64") for k, a in enumerate(intensity)]
    )
    _, _, decay, _ = fls.bleach_correction(border_px=1)
    assert decay[0] / decay[-1] == pytest.approx(LAST_FACTOR, rel=1e-6 if start and interval < 1 else 1e-9)


def test_the_result_is_flimages_where_its_fit_converges(flimage, tmp_path):
    frames, times = make_bleaching_frames(20)
    path = write_series_file(tmp_path / "series.h5", frames, 2 * times)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with flimage.FLSeries(h5file=path, h5mode="r") as theirs:
            expected = theirs.bleach_correction(tmp_path / "theirs.h5", border_px=BORDER)
    with FLSeries(h5file=path, h5mode="r") as ours:
        found = ours.bleach_correction(tmp_path / "ours.h5", border_px=BORDER)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    assert np.allclose(found[1], expected[1], rtol=1e-12)
    assert np.allclose(found[2], expected[2], rtol=1e-4)
    assert np.array_equal(found[3], expected[3])
    assert np.allclose(values(tmp_path / "ours.h5"), values(tmp_path / "theirs.h5"), rtol=1e-4, atol=1e-3)


def test_a_warning_points_at_the_line_of_the_user_each_time(mito_path):
    with FLSeries(h5file=mito_path, h5mode="r") as fls, pytest.warns(BleachingWarning) as caught:
        assert len({id(fls[::3].estimate_bleaching()) for _ in range(2)}) == 1
    assert [warning.filename for warning in caught] == [__file__, __file__]


def test_the_lazy_result_is_what_is_written(fls, tmp_path):
    fls.bleach_correction(tmp_path / "out.h5", BORDER)
    lazy = fls.bleach_corrected(BORDER)
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype) == (fls.shape, np.float32)
    assert np.array_equal(lazy.compute(), values(tmp_path / "out.h5"))
    assert np.array_equal(lazy[7, 3:9].compute(), values(tmp_path / "out.h5")[7, 3:9])


def test_nothing_is_read_before_something_is_computed(fls, monkeypatch):
    monkeypatch.setattr("flimage_dask.lazy.remembered_estimates.estimate", lambda *args: pytest.fail("estimated"))
    fls.bleach_corrected(BORDER)


def test_several_lazy_uses_share_one_estimate(fls, monkeypatch):
    calls, real = [], remembered_estimates.estimate
    monkeypatch.setattr(remembered_estimates, "estimate", lambda *args: calls.append(1) or real(*args))
    first, second = fls.bleach_corrected(BORDER), fls.bleach_corrected(BORDER)
    assert first.name == second.name
    dask.compute(first.sum(), second[3], fls.bleach_corrected(BORDER)[::2].max())
    fls.estimate_bleaching(BORDER)
    fls.bleach_correction(border_px=BORDER)
    assert len(calls) == 1
    fls.estimate_bleaching(BORDER + 1)
    assert len(calls) == 2


def test_an_estimate_serves_another_series(fls):
    estimate = fls.estimate_bleaching(BORDER)
    corrected = fls.bleach_corrected(estimate=estimate)
    assert np.array_equal(corrected.compute(), fls.bleach_corrected(BORDER).compute())
    with pytest.raises(ParameterError, match="12 frames"):
        fls[:5].bleach_corrected(estimate=estimate)


def test_an_estimate_that_is_given_is_applied_and_recorded(fls, tmp_path, monkeypatch):
    estimate = BleachingEstimate.from_json(fls.estimate_bleaching(BORDER, model="auto").to_json())
    monkeypatch.setattr("flimage_dask.lazy.remembered_estimates.estimate", lambda *args: pytest.fail("estimated"))
    with multiprocessing.Manager() as manager:
        count, max_count = manager.Value("i", 0), manager.Value("i", 0)
        found = fls.bleach_correction(tmp_path / "out.h5", 1, count=count, max_count=max_count, estimate=estimate)
        assert count.value == max_count.value == 36
    assert found[0] == estimate.background
    assert np.array_equal(values(tmp_path / "out.h5"), fls.bleach_corrected(estimate=estimate).compute())
    with h5py.File(tmp_path / "out.h5") as file:
        provenance = json.loads(file.attrs["flimage_dask"])
    assert provenance["parameters"]["border_px"] == BORDER
    assert provenance["parameters"]["model"] == "auto"
    assert provenance["estimate"] == estimate.summary()


def test_an_estimate_serves_another_channel_with_a_background_of_its_own(fls):
    estimate = replace(fls.estimate_bleaching(BORDER), background=3.0)
    expected = (fls.fl.compute() - 3.0) * estimate.factors[:, None, None]
    assert np.allclose(fls.bleach_corrected(estimate=estimate).compute(), expected, rtol=1e-6)


def test_an_estimate_of_another_shape_of_frames_is_refused(fls, tmp_path):
    estimate = replace(fls.estimate_bleaching(BORDER), background=np.zeros((3, 3)))
    with pytest.raises(ParameterError, match=r"background of the estimate has shape \(3, 3\)"):
        fls.bleach_correction(tmp_path / "out.h5", estimate=estimate)
    with pytest.raises(ParameterError, match="12 frames"):
        fls[:5].bleach_correction(tmp_path / "out.h5", estimate=estimate)


def test_a_denoised_version_is_corrected_with_the_estimate_of_the_original(fls, tmp_path):
    fls.denoise(tmp_path / "denoised.h5")
    with FLSeries(h5file=tmp_path / "denoised.h5", h5mode="r") as denoised:
        background, _, decay, _ = fls.bleach_correction(tmp_path / "out.h5", BORDER, flscorr=denoised)
        expected = (denoised.fl.compute() - background) * (decay[0] / decay)[:, None, None]
        with pytest.raises(SeriesError, match="flscorr has 3 frames"):
            fls.bleach_correction(tmp_path / "no.h5", BORDER, flscorr=denoised[:3])
    smaller = FLSeries([FLImage(np.ones((24, 29))) for _ in fls])
    with pytest.raises(
        SeriesError, match="flscorr has 12 frames of 24 x 29 px; the estimate is for 12 frames of 24 x 30 px"
    ):
        fls.bleach_correction(tmp_path / "no.h5", BORDER, flscorr=smaller)
    assert np.allclose(values(tmp_path / "out.h5"), expected, rtol=1e-6, atol=1e-5)
    assert not (tmp_path / "no.h5").exists()


def test_a_denoised_version_is_not_written_over_itself(fls, tmp_path):
    fls.denoise(tmp_path / "denoised.h5")
    with (
        FLSeries(h5file=tmp_path / "denoised.h5", h5mode="r") as denoised,
        pytest.raises(OutputExistsError, match="input itself"),
    ):
        fls.bleach_correction(tmp_path / "denoised.h5", BORDER, flscorr=denoised, overwrite=True)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (FLSeries.bleach_correction, {"border_px": BORDER}),
        (FLSeries.background_correction, {"border_px": BORDER}),
        (FLSeries.denoise, {}),
        (FLSeries.histogram_matching, {}),
    ],
)
def test_an_output_that_exists_is_refused_before_the_frames_are_looked_for(fls, tmp_path, monkeypatch, method, options):
    (tmp_path / "out.h5").touch()
    monkeypatch.setattr(FLSeries, "_index", None)
    with pytest.raises(OutputExistsError, match="exists already"):
        method(fls, tmp_path / "out.h5", **options)


def test_metadata_and_identifier_go_to_the_output(fls, tmp_path):
    fls.bleach_correction(tmp_path / "out.h5", BORDER)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert out.identifier == "simulated"
        assert out.meta == fls.meta
        assert np.array_equal(out["frame_3"].raw_fl, out.raw_fl[3].compute())


def test_the_output_says_how_it_was_made(fls, tmp_path):
    fls.bleach_correction(tmp_path / "out.h5", BORDER, background="per-frame")
    with h5py.File(tmp_path / "out.h5") as file:
        provenance = json.loads(file.attrs["flimage_dask"])
        frame_keys = set(file["fli_0"].attrs)
    assert provenance["operation"] == "bleach_correction"
    assert provenance["parameters"] == {
        "border_px": BORDER,
        "background": "per-frame",
        "fields": None,
        "trace": "positive_sum",
        "model": "exponential",
        "exclude": [],
        "robust": False,
        "correction": "factor",
        "max_factor": None,
    }
    assert provenance["source"] == {"file": str(fls.path), "identifier": "simulated"}
    assert provenance["estimate"]["status"] == "bleaching"
    assert {"version", "created"} <= set(provenance)
    assert frame_keys == {"time", "identifier", "pixel size", "flimage version", "qpimage version"}


def test_given_times_replace_those_of_the_frames(fls, tmp_path):
    estimate = fls.estimate_bleaching(BORDER)
    slow = fls.estimate_bleaching(BORDER, frame_interval=1.0)
    assert slow.parameters["rate"] == pytest.approx(estimate.parameters["rate"] / 2)
    assert np.allclose(slow.factors, estimate.factors, rtol=1e-9)
    fls.bleach_correction(tmp_path / "out.h5", BORDER, times=np.arange(12.0) + 100)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert np.array_equal(out.times, np.arange(12.0) + 100)


def test_missing_times_are_named_with_the_way_out(tmp_path, bleaching_frames):
    frames, _ = bleaching_frames
    fls = FLSeries([FLImage(frame) for frame in frames])
    fls[0]["time"] = 0.0
    with pytest.raises(
        SeriesError, match=r"11 of 12 frames have no 'time' \(frames 1, 2, 3, 4, 5, …\).*frame_interval="
    ):
        fls.bleach_correction(tmp_path / "out.h5", BORDER)
    assert not list(tmp_path.glob("*out*"))
    assert fls.estimate_bleaching(BORDER, frame_interval=0.5).status == "bleaching"


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"border_px": 0}, ParameterError, "border_px=0"),
        ({"border_px": 12}, ParameterError, "1 to 11"),
        ({"background": "median"}, ParameterError, "'constant' or 'per-frame'"),
        ({"background": np.zeros((3, 3))}, ParameterError, "shape"),
        ({"background": np.nan}, ParameterError, "finite"),
        ({"times": [1, 2]}, ParameterError, r"\(12,\)"),
        ({"times": np.zeros(12)}, SeriesError, "same time"),
        ({"times": [np.nan] * 12}, SeriesError, "not finite"),
        ({"frame_interval": 0}, ParameterError, "positive"),
        ({"times": range(12), "frame_interval": 1}, ParameterError, "either"),
    ],
)
def test_a_bad_argument_is_one_clear_error_and_nothing_is_written(fls, tmp_path, options, error, match):
    with pytest.raises(error, match=match):
        fls.bleach_correction(tmp_path / "out.h5", **{"border_px": BORDER} | options)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("seed", range(5))
def test_unsorted_times_are_answered_in_the_order_of_the_frames(fls, seed):
    shuffled = np.random.default_rng(seed).permutation(12)
    expected = fls.estimate_bleaching(BORDER)
    found = fls[shuffled].estimate_bleaching(BORDER)
    assert found.background == expected.background
    assert np.array_equal(found.factors, expected.factors[shuffled])


def test_too_few_frames_say_how_many_are_needed(fls):
    with pytest.raises(FitError, match="at least 3 frames"):
        fls[:1].bleach_correction(border_px=BORDER)
    with pytest.raises(ValueError, match="at least 3 frames"):
        fls[:2].bleach_correction(border_px=BORDER)


@pytest.mark.filterwarnings("ignore:no frame is brighter than the background")
def test_frames_of_zeros_are_not_corrected(tmp_path):
    fls = FLSeries([FLImage(np.zeros((9, 9)), {"time": k}) for k in range(6)])
    estimate = fls.estimate_bleaching(2)
    assert estimate.status == "no bleaching"
    assert np.array_equal(estimate.factors, np.ones(6))
    assert np.isnan(estimate.r2)
    fls.bleach_correction(tmp_path / "out.h5", 2)
    assert not values(tmp_path / "out.h5").any()


def test_pixels_that_are_not_finite_stay_and_harm_nothing_else(fls, bleaching_frames, tmp_path):
    frames, times = bleaching_frames
    expected = fls.estimate_bleaching(BORDER)
    frames[2, 0, 0], frames[5] = np.inf, np.nan
    path = write_series_file(tmp_path / "nan.h5", frames, times)
    with FLSeries(h5file=path, h5mode="r") as damaged:
        estimate = damaged.estimate_bleaching(BORDER)
        corrected = damaged.bleach_corrected(BORDER).compute()
    assert estimate.left_out == (5,)
    assert np.allclose(estimate.factors, expected.factors, rtol=0.02)
    assert np.isinf(corrected[2, 0, 0])
    assert np.isnan(corrected[5]).all()
    assert np.isfinite(corrected).sum() == corrected.size - 1 - corrected[5].size


def test_progress_counters_reach_their_maximum(fls, tmp_path):
    count, max_count = multiprocessing.Value("i", 0), multiprocessing.Value("i", 0)
    fls.bleach_correction(tmp_path / "a.h5", BORDER, count=count, max_count=max_count)
    assert count.value == max_count.value == 36
    fls.denoise(tmp_path / "b.h5", count=count, max_count=max_count)
    assert count.value == max_count.value == 48
    fls.bleach_correction(None, BORDER, None, count, max_count)
    assert (count.value, max_count.value) == (72, 84)


@pytest.fixture(params=["counts", "floats"])
def long_path(request, tmp_path):
    """Return a file with 130 frames (64, 64), enough that a few of them foretell the background."""
    frames, times = make_bleaching_frames(130, (64, 64))
    if request.param == "floats":
        frames += np.random.default_rng(3).normal(size=frames.shape).astype("f4")
    return write_series_file(tmp_path / "long.h5", frames, times)


@pytest.fixture
def n_read(monkeypatch):
    """Return a list with the number of frames of each block that is read."""
    read, real = [], ByteRangeReader.read
    monkeypatch.setattr(ByteRangeReader, "read", lambda *args: read.append(len(args[2])) or real(*args))
    return read


def test_the_estimate_reads_each_frame_once_and_answers_as_if_it_read_it_twice(long_path, n_read, monkeypatch):
    with FLSeries(h5file=long_path, h5mode="r") as fls:
        once = fls.estimate_bleaching(BORDER)
        n_once = sum(n_read)
        monkeypatch.setattr(remembered_estimates, "_KEPT_ESTIMATES", 0)
        remembered_estimates.forget()
        monkeypatch.setattr(tracing, "_expected_band", lambda *args: None)
        twice = fls.estimate_bleaching(BORDER)
    assert n_once == 130 + 16
    assert sum(n_read) - n_once == 2 * 130
    assert once.background == twice.background
    assert np.allclose(once.trace, twice.trace, rtol=1e-13)


def estimate_both(monkeypatch, *series):
    """Estimate two series in threads, and tell whether both were at it at a time, and how many estimates were made."""
    real, made, meeting = remembered_estimates.estimate, [], threading.Barrier(2)

    def meet(*arguments):
        made.append(1)
        with suppress(threading.BrokenBarrierError):
            meeting.wait(1.0)
        return real(*arguments)

    remembered_estimates.forget()
    monkeypatch.setattr(remembered_estimates, "estimate", meet)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda fls: fls.estimate_bleaching(BORDER), series))
    return not meeting.broken, len(made)


def test_estimates_of_unrelated_series_do_not_wait_for_each_other(fls, long_path, monkeypatch):
    with FLSeries(h5file=long_path, h5mode="r") as other:
        assert estimate_both(monkeypatch, fls, other) == (True, 2)
    assert len(remembered_estimates._locks) == 0


def test_an_estimate_that_two_ask_for_at_once_is_made_once(fls, monkeypatch):
    assert estimate_both(monkeypatch, fls, fls) == (False, 1)


@pytest.mark.parametrize("px", [32, 4])
def test_several_traces_of_any_number_of_regions_are_read_once_too(long_path, n_read, monkeypatch, px):
    rows, columns = np.indices((64, 64)) // px
    labels = rows * 64 + columns
    with FLSeries(h5file=long_path, h5mode="r") as fls:
        once = fls.intensities(["mean", "positive_sum"], border_px=BORDER, labels=labels, background="constant")
        of_mask = fls.estimate_bleaching(BORDER, mask=labels > 0)
        assert sum(n_read) == 2 * (130 + 16)
        monkeypatch.setattr(tracing, "_expected_band", lambda *args: None)
        twice = fls.intensities(["mean", "positive_sum"], border_px=BORDER, labels=labels, background="constant")
    assert once.shape == (130, 2, (64 // px) ** 2 - 1)
    np.testing.assert_allclose(once, twice, rtol=1e-12)
    np.testing.assert_allclose(of_mask.trace, twice[:, 1].sum(axis=1), rtol=1e-12)


def test_a_background_that_was_not_foreseen_is_read_again(long_path, n_read, monkeypatch):
    monkeypatch.setattr(tracing, "_expected_band", lambda *args: Band(500.0, 501.0))
    with FLSeries(h5file=long_path, h5mode="r") as fls:
        estimate = fls.estimate_bleaching(BORDER)
        assert sum(n_read) == 2 * 130
        raw = fls.raw_fl.compute().astype(float)
    assert np.allclose(estimate.trace, np.maximum(raw - estimate.background, 0).sum(axis=(1, 2)))


@pytest.mark.parametrize("background", [10.0, "constant", "per-frame", np.full((24, 30), 10.0)])
def test_backgrounds_are_subtracted_lazily_and_into_a_file(fls, tmp_path, background):
    lazy = fls.background_corrected(background, BORDER)
    fls.background_correction(tmp_path / "out.h5", BORDER, background=background)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert np.array_equal(lazy.compute(), out.fl.compute())
    border = np.ones((24, 30), bool)
    border[BORDER:-BORDER, BORDER:-BORDER] = False
    levels = fls.raw_fl.compute()[:, border].mean(axis=1, dtype=float)
    level = {"constant": levels.mean(), "per-frame": levels[:, None, None]}
    expected = fls.raw_fl.compute() - level.get(background if isinstance(background, str) else "", 10.0)
    assert np.allclose(lazy.compute(), expected, atol=1e-4)


def test_attached_background_images_take_part(tmp_path, series_path):
    with FLSeries(h5file=series_path) as fls:
        plain = fls.bleach_corrected(BORDER, background=0.0).compute()
        fls.set_bg_data(np.linspace(0, 5, 24 * 30).reshape(24, 30))
        raw, bg = fls.raw_fl.compute(), fls.bg_fl.compute()
        assert np.array_equal(fls.fl.compute(), (raw - bg.astype(float)).astype(np.float32))
        assert not np.array_equal(fls.bleach_corrected(BORDER, background=0.0).compute(), plain)


def test_denoising_is_skimages_frame_by_frame(fls, tmp_path):
    restoration = pytest.importorskip("skimage.restoration", reason="needs the extra 'denoise'")
    expected = np.stack([restoration.denoise_tv_chambolle(fli.fl, weight=2) for fli in fls])
    assert np.allclose(fls.denoised().compute(), expected, rtol=1e-6)
    fls.denoise(tmp_path / "out.h5", weight=2)
    assert np.array_equal(values(tmp_path / "out.h5"), fls.denoised().compute())
    with pytest.raises(ParameterError, match="weight"):
        fls.denoised(weight=0)


def test_an_open_group_is_written_in_place(fls, tmp_path):
    with h5py.File(tmp_path / "group.h5", "w") as file:
        group = file.create_group("results/corrected")
        fls.bleach_correction(group, BORDER)
        with FLSeries(h5file=group) as out:
            assert np.array_equal(out.raw_fl.compute(), fls.bleach_corrected(BORDER).compute())
        assert list(file) == ["results"]
        with pytest.raises(OutputExistsError, match="not empty"):
            fls.bleach_correction(group, BORDER)


def test_a_group_in_memory_is_written_in_place(fls):
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        fls.bleach_correction(file, BORDER)
        assert FLSeries(h5file=file)[3] == FLImage(fls.bleach_corrected(BORDER)[3].compute(), dict(fls[3].meta))


def test_an_existing_output_is_kept_unless_told_otherwise(fls, tmp_path):
    path = tmp_path / "out.h5"
    path.write_text("precious")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        fls.bleach_correction(path, BORDER)
    assert path.read_text() == "precious"
    fls.bleach_correction(path, BORDER, overwrite=True)
    assert values(path).shape == (12, 24, 30)
    with pytest.raises(OutputExistsError, match="input itself"):
        fls.bleach_correction(fls.path, BORDER, overwrite=True)


def test_a_damaged_frame_is_named_and_nothing_is_written(series_path, tmp_path):
    with h5py.File(series_path) as file:
        chunk = file["fli_7/fluorescence/raw"].id.get_chunk_info(0)
    damaged = bytearray(series_path.read_bytes())
    damaged[chunk.byte_offset + 9] ^= 64
    series_path.write_bytes(damaged)
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        with pytest.raises(FrameDataError, match=rf"frame 7 of '{series_path}'.*checksum"):
            fls.bleach_correction(tmp_path / "out.h5", BORDER)
        with pytest.raises(FrameDataError, match="frame 7"):
            fls.background_correction(tmp_path / "out.h5", background=1.0)
    assert not list(tmp_path.glob("*out*"))


def corrected_with(path, **config):
    with FLSeries(h5file=path, h5mode="r") as fls, dask.config.set(config):
        estimate = fls.estimate_bleaching(BORDER)
        return estimate.trace, estimate.factors, fls.bleach_corrected(BORDER).compute()


@pytest.mark.filterwarnings("ignore::flimage_dask.SchedulerWarning")
@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
@pytest.mark.parametrize("frames_in_block", [1, 5, 100])
def test_values_do_not_depend_on_scheduler_or_blocks(series_path, scheduler, frames_in_block):
    expected = corrected_with(series_path, scheduler="sync")
    remembered_estimates.forget()
    block_bytes = frames_in_block * 24 * 30 * 4
    found = corrected_with(series_path, scheduler=scheduler, num_workers=2, **{"array.chunk-size": block_bytes})
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_distributed_client_in_this_process_does_the_work(fls, tmp_path):
    expected = fls.bleach_corrected(BORDER).compute(scheduler="sync")
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0"):
        fls.bleach_correction(tmp_path / "out.h5", BORDER)
        assert np.array_equal(fls.bleach_corrected(BORDER).compute(), expected)
    assert np.array_equal(values(tmp_path / "out.h5"), expected)


def test_the_scheduler_of_processes_leaves_writing_to_threads(fls, tmp_path):
    with (
        dask.config.set(scheduler="processes"),
        pytest.warns(SchedulerWarning, match="cannot work with an open file: the threads of this process"),
    ):
        fls.bleach_correction(tmp_path / "out.h5", BORDER + 1)
    assert np.array_equal(values(tmp_path / "out.h5"), fls.bleach_corrected(BORDER + 1).compute(scheduler="sync"))


def test_arrays_survive_pickling_and_the_end_of_their_series(series_path):
    with FLSeries(h5file=series_path, h5mode="r") as fls:
        expected = fls.fl.compute()
        pickled = pickle.dumps((fls.fl, fls.bleach_corrected(BORDER), fls.raw_fl[3:5]))
    assert len(pickled) < 50_000
    fl, corrected, raw = pickle.loads(pickled)
    assert np.array_equal(fl.compute(), expected)
    assert np.array_equal(raw.compute(), expected[3:5])
    assert corrected.compute().shape == expected.shape


def second_order(tau, rate):
    return 1 / (1 + rate * tau), 1.0


SECOND_ORDER = DecayModel(
    "second order", "amplitude / (1 + rate t) + offset", second_order, (AMPLITUDE, OFFSET), (RATE,)
)


@pytest.mark.parametrize("model", ["none", "biexponential", "linear+exponential", "stretched", "auto", SECOND_ORDER])
def test_the_lazy_result_of_any_model_is_what_is_written(fls, tmp_path, model):
    options = {"border_px": BORDER, "model": model, "exclude": [3, slice(5, 6)], "robust": True}
    fls.bleach_correction(tmp_path / "out.h5", **options)
    lazy = fls.bleach_corrected(**options)
    estimate = fls.estimate_bleaching(**options)
    assert np.array_equal(lazy.compute(), values(tmp_path / "out.h5"))
    expected = (fls.fl.compute() - estimate.background) * estimate.factors[:, None, None]
    assert np.allclose(lazy.compute(), expected, rtol=1e-6, atol=1e-4)
    assert estimate.excluded == (3, 5)


def test_the_same_frames_named_in_another_way_share_an_estimate(fls):
    first = fls.estimate_bleaching(BORDER, exclude=[3, 4, -1])
    assert fls.estimate_bleaching(BORDER, exclude=[slice(3, 5), 11]) is first
    assert fls.estimate_bleaching(BORDER, exclude=np.isin(np.arange(12), [3, 4, 11])) is first


def test_an_unknown_model_is_refused_before_anything_is_read(fls, monkeypatch):
    monkeypatch.setattr("flimage_dask.lazy.remembered_estimates.estimate", lambda *args: pytest.fail("estimated"))
    with pytest.raises(ParameterError, match="model='cubic'"):
        fls.bleach_corrected(BORDER, model="cubic")
    with pytest.raises(ParameterError, match="exclude= names 12"):
        fls.bleach_corrected(BORDER, exclude=12)


@pytest.mark.parametrize("memory", ["64 MiB", 100_000_000, None])
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_memory_and_scheduler_do_not_change_a_bit(fls, tmp_path, memory, scheduler):
    fls.bleach_correction(tmp_path / "expected.h5", BORDER)
    remembered_estimates.forget()
    with dask.config.set(scheduler=scheduler, num_workers=3):
        fls.bleach_correction(tmp_path / "out.h5", BORDER, memory=memory)
    assert np.array_equal(values(tmp_path / "out.h5"), values(tmp_path / "expected.h5"))


def test_frames_that_stay_in_memory_are_read_once_for_estimate_and_correction(fls, tmp_path, monkeypatch):
    read, asked = ByteRangeReader.read, []

    def note(self, index, positions, *more):
        asked.extend(positions.tolist())
        return read(self, index, positions, *more)

    monkeypatch.setattr(ByteRangeReader, "read", note)
    fls.bleach_correction(tmp_path / "out.h5", BORDER)
    assert sorted(asked) == list(range(12))


WRITERS = {
    "bleach_correction": lambda fls, path, **how: fls.bleach_correction(path, BORDER, **how),
    "background_correction": lambda fls, path, **how: fls.background_correction(path, BORDER, **how),
    "denoise": lambda fls, path, **how: fls.denoise(path, **how),
    "to_hdf5": lambda fls, path, **how: to_hdf5(fls.fl, path, like=fls, **how),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, ("gzip", 2)),
        ({"level": 7, "shuffle": True}, ("gzip", 7)),
        ({"compression": "lzf", "shuffle": True}, ("lzf", None)),
        ({"compression": None, "shuffle": False}, (None, None)),
    ],
)
def test_the_user_chooses_how_frames_are_stored_and_the_output_tells(fls, tmp_path, write, how, expected):
    if write is WRITERS["denoise"]:
        pytest.importorskip("skimage")
    write(fls, tmp_path / "default.h5")
    write(fls, tmp_path / "out.h5", **how)
    with h5py.File(tmp_path / "out.h5") as file:
        raw = file["fli_3/fluorescence/raw"]
        assert (raw.compression, raw.compression_opts) == expected
        assert raw.shuffle == how.get("shuffle", raw.shuffle)
        assert raw.fletcher32
        told = json.loads(file.attrs["flimage_dask"])["storage"]
        assert (told.get("compression"), told.get("compression_opts"), told["shuffle"]) == (*expected, raw.shuffle)
    assert np.array_equal(values(tmp_path / "out.h5"), values(tmp_path / "default.h5"))


def test_a_storage_that_cannot_be_had_is_refused_before_anything_is_read(fls, tmp_path, monkeypatch):
    monkeypatch.setattr("flimage_dask.lazy.remembered_estimates.estimate", lambda *args: pytest.fail("estimated"))
    with pytest.raises(ParameterError, match="compression='rar'"):
        fls.bleach_correction(tmp_path / "out.h5", BORDER, compression="rar")
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize(
    "options",
    [
        {"model": "ratio"},
        {"correction": "bleachable"},
        {"correction": "additive", "trace": "mean"},
        {"max_factor": 1.5, "correction": "bleachable"},
        {"parameters": {"amplitude": 4e5, "rate": 0.5, "offset": 1e5}},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:factors are held", "ignore:the correction factor reaches")
def test_every_kind_of_correction_is_lazy_and_written_alike(fls, tmp_path, options):
    estimate = fls.estimate_bleaching(BORDER, **options)
    fls.bleach_correction(tmp_path / "out.h5", BORDER, **options)
    lazy = fls.bleach_corrected(BORDER, **options).compute()
    expected = (fls.fl.compute() - estimate.background) * estimate.factors[:, None, None]
    assert np.array_equal(lazy, values(tmp_path / "out.h5"))
    assert np.allclose(lazy, expected + estimate.shifts[:, None, None], rtol=1e-6, atol=1e-4)
    assert (options.get("correction") in ("bleachable", "additive")) == estimate.shifts.any()


def test_after_a_ratio_of_means_all_frames_have_the_same_mean(fls):
    found = fls.bleach_corrected(BORDER, model="ratio", trace="mean").mean(axis=(1, 2), dtype=float).compute()
    assert np.allclose(found, found[0], rtol=1e-7)


def test_trials_are_corrected_with_a_fit_each(fls):
    parts = [fls[:6], fls[6:]]
    joined = BleachingEstimate.joined([part.estimate_bleaching(BORDER) for part in parts])
    expected = np.concatenate([part.bleach_corrected(BORDER).compute() for part in parts])
    assert np.array_equal(fls.bleach_corrected(estimate=joined).compute(), expected)


@pytest.mark.parametrize("variant", ["fiji", "interpolated"])
def test_histograms_are_matched_lazily_and_written_alike(fls, tmp_path, variant):
    fls.histogram_matching(tmp_path / "out.h5", variant, -1)
    lazy = fls.histogram_matched(variant, reference=11)
    assert np.array_equal(lazy.compute(), values(tmp_path / "out.h5"))
    assert np.array_equal(lazy[11].compute(), fls.fl[11].compute())
    assert abs(float(lazy[0].mean().compute()) / float(lazy[11].mean().compute()) - 1) < 0.05


def test_bad_references_and_variants_are_refused_before_anything_is_written(fls, tmp_path):
    with pytest.raises(FrameNotFoundError, match="no frame 12"):
        fls.histogram_matching(tmp_path / "out.h5", reference=12)
    for reference in ("f2", 1.0, True):
        with pytest.raises(ParameterError, match=f"reference= names {reference!r}"):
            fls.histogram_matching(tmp_path / "out.h5", reference=reference)
    with pytest.raises(ParameterError, match="variant='exact'"):
        fls.histogram_matched("exact")
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_an_output_holds_the_whole_estimate(fls, tmp_path, where):
    in_memory = {"driver": "core", "backing_store": False} if where == "memory" else {}
    with h5py.File(tmp_path / "out.h5", "w", **in_memory) as file:
        fls.bleach_correction(file, BORDER, model="auto")
        with FLSeries(h5file=file) as out:
            found, expected = out.applied_estimate, fls.estimate_bleaching(BORDER, model="auto")
            assert found.to_json() == expected.to_json()
            assert len(file) == len(fls)
    assert fls.applied_estimate is None


def test_flimage_does_not_mind_the_estimate(fls, tmp_path, flimage):
    fls.bleach_correction(tmp_path / "out.h5", BORDER)
    with flimage.FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert len(out) == len(fls)
        assert np.allclose(out[3].fl, fls.bleach_corrected(BORDER)[3].compute())


@pytest.mark.parametrize("content", ["{}", "nonsense"])
def test_an_estimate_that_cannot_be_read_is_refused(fls, tmp_path, content):
    fls.bleach_correction(tmp_path / "out.h5", BORDER)
    with h5py.File(tmp_path / "out.h5", "a") as file:
        file.attrs["flimage_dask estimate"] = content
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out, pytest.raises(ParameterError):
        assert out.applied_estimate


def test_arguments_may_be_numbers_of_numpy(fls, tmp_path):
    options = {"border_px": BORDER, "max_factor": 9.0, "saturation": 4000}
    fls.bleach_correction(tmp_path / "python.h5", **options)
    of_numpy = {"border_px": np.int64(BORDER), "max_factor": np.float32(9), "saturation": np.int64(4000)}
    fls.bleach_correction(tmp_path / "numpy.h5", **of_numpy)
    assert np.array_equal(values(tmp_path / "numpy.h5"), values(tmp_path / "python.h5"))
    found = fls.estimate_bleaching(**of_numpy)
    assert BleachingEstimate.from_json(found.to_json()).border_px == BORDER
    fls.histogram_matching(tmp_path / "matched.h5", reference=np.int64(3))


def test_the_identifier_of_a_series_may_be_bytes_or_a_number(fls, tmp_path):
    in_memory = FLSeries(fls[:2], identifier=5)
    assert in_memory.identifier == "5"
    in_memory.h5.attrs["identifier"] = np.bytes_("cell")
    in_memory.background_correction(tmp_path / "out.h5", BORDER)
    with h5py.File(tmp_path / "out.h5") as out:
        assert out.attrs["identifier"] == "cell"


def test_what_cannot_be_recorded_is_refused_before_any_work(fls, tmp_path, monkeypatch):
    monkeypatch.setattr(ByteRangeReader, "read", None)
    with pytest.raises(ParameterError, match="saturation=inf must be a finite number"):
        fls.bleach_correction(tmp_path / "out.h5", BORDER, saturation=np.inf)
    with pytest.raises(ParameterError, match="an argument cannot be recorded in the output"):
        Provenance("test", parameters={"of": object()})
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("operation", ["bleach_corrected", "background_corrected", "histogram_matched", "denoised"])
def test_what_is_made_again_has_the_same_name(series_path, operation):
    """A run that is resumed knows its blocks by it."""
    names = set()
    for _ in range(2):
        with FLSeries(h5file=series_path, h5mode="r") as fls:
            options = () if operation in ("histogram_matched", "denoised") else (4,)
            names |= {getattr(fls, operation)(*options).name for _ in range(2)}
    assert len(names) == 1


def test_an_estimate_is_the_same_whether_or_not_frames_stay_in_memory(tmp_path):
    frames, times = make_bleaching_frames(120)
    path = write_series_file(tmp_path / "series.h5", frames, times)
    traces = []
    for made_alone in (False, True):
        remembered_estimates.forget()
        with FLSeries(h5file=path, h5mode="r") as fls:
            if made_alone:
                fls.estimate_bleaching(BORDER)
            fls.bleach_correction(tmp_path / "out.h5", BORDER, overwrite=True)
        with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
            traces.append(out.applied_estimate.trace)
    assert np.array_equal(*traces)


def test_nobody_changes_what_is_remembered(fls):
    first = fls.bleach_correction(None, BORDER, background="per-frame")
    expected = [np.array(values) for values in first]
    for values in first:
        values -= 5
    again = fls.bleach_correction(None, BORDER, background="per-frame")
    assert all(np.array_equal(a, b) for a, b in zip(again, expected, strict=True))


def test_a_lazy_array_does_not_follow_the_arrays_of_its_arguments(fls):
    image, times = np.full(fls.shape[1:], 9.0), np.arange(12.0)
    lazy = fls.bleach_corrected(BORDER, background=image, times=times), fls.background_corrected(image, BORDER)
    expected = [array.compute() for array in lazy]
    remembered_estimates.forget()
    image[:], times[:] = 0, 0
    assert all(np.array_equal(array.compute(), values) for array, values in zip(lazy, expected, strict=True))


def test_the_arrays_of_an_estimate_are_its_own(fls):
    mine = np.ones(12)
    changed = replace(fls.estimate_bleaching(BORDER), factors=mine)
    mine[:] = 3
    assert (changed.factors == 1).all()
    assert not changed.factors.flags.writeable


@pytest.mark.parametrize(
    "unused",
    [{"max_factor": 2.0}, {"model": "auto"}, {"trace": "mean"}, {"exclude": [3]}, {"mask": np.ones((24, 30)) > 0}],
    ids=str,
)
def test_arguments_that_a_known_estimate_leaves_no_use_for_are_refused(fls, tmp_path, unused):
    estimate = fls.estimate_bleaching(BORDER)
    (name,) = unused
    with pytest.raises(ParameterError, match=f"{name}= could change"):
        fls.bleach_correction(tmp_path / "out.h5", estimate=estimate, **unused)
    with pytest.raises(ParameterError, match=f"{name}= could change"):
        fls.bleach_corrected(estimate=estimate, **unused)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("background", [7.5, np.full((24, 30), 7.5)], ids=["number", "image"])
def test_the_estimate_of_another_channel_takes_the_background_of_this_one(fls, tmp_path, background):
    estimate = fls.estimate_bleaching(BORDER)
    expected = (fls.fl.compute() - 7.5) * estimate.factors[:, None, None]
    lazy = fls.bleach_corrected(estimate=estimate, background=background)
    assert np.allclose(lazy.compute(), expected, rtol=1e-5, atol=1e-4)
    found, *_ = fls.bleach_correction(tmp_path / "out.h5", estimate=estimate, background=background)
    assert np.array_equal(found, background)
    assert np.array_equal(values(tmp_path / "out.h5"), lazy.compute())
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert np.array_equal(out.applied_estimate.background, background)


@pytest.mark.parametrize("background", ["constant", "per-frame"])
def test_a_background_that_would_have_to_be_measured_does_not_go_with_a_known_estimate(fls, background):
    with pytest.raises(ParameterError, match=f"background='{background}' would have to be measured: .* a number or an"):
        fls.bleach_corrected(estimate=fls.estimate_bleaching(BORDER), background=background)


@pytest.mark.parametrize("estimate", ["est.json", {"model": "exponential"}, BleachingEstimate])
def test_what_is_no_estimate_is_refused_with_the_way_to_one(fls, estimate):
    with pytest.raises(ParameterError, match=r"must be a BleachingEstimate, not \w+: .*from_json"):
        fls.bleach_corrected(estimate=estimate)


def test_an_estimate_made_at_other_times_is_applied_with_a_warning(fls):
    estimate = fls.estimate_bleaching(BORDER)
    later = replace(estimate, times=estimate.times + 100.0)
    expected = fls.bleach_corrected(estimate=later).compute()
    slower = replace(estimate, times=2 * estimate.times)
    with pytest.warns(BleachingWarning, match="made at other times .* give its model= and parameters="):
        found = fls.bleach_corrected(estimate=slower)
    assert np.array_equal(found.compute(), expected)
    fls.bleach_corrected(estimate=replace(estimate, model="ratio", times=2 * estimate.times))


def test_two_frames_of_one_name_are_refused_before_any_frame_is_read(tmp_path, monkeypatch):
    frames, times = make_bleaching_frames(5)
    alike = [FLImage(frame, {"time": t}) for frame, t in zip(frames, times, strict=True)]
    with FLSeries(alike, meta_data={"identifier": "x"}, h5file=tmp_path / "alike.h5") as fls:
        fls.h5.file.flush()
    with FLSeries(h5file=tmp_path / "alike.h5", h5mode="r") as fls:
        monkeypatch.setattr(ByteRangeReader, "read", None)
        with pytest.raises(SeriesError, match="the identifier 'x' occurs twice"):
            fls.bleach_correction(tmp_path / "out.h5", BORDER)


def test_frames_of_flimage_cannot_be_corrected_instead(flimage, fls):
    with pytest.raises(ParameterError, match="frames of flimage_dask, not of flimage"):
        fls.bleach_correction(None, BORDER, flscorr=flimage.FLSeries())


def test_a_ratio_has_no_half_life(fls):
    assert "half-life   unknown, " in repr(fls.estimate_bleaching(BORDER, model="ratio"))
    with pytest.raises(ParameterError, match="'ratio'"):
        fls.estimate_bleaching(BORDER, model="ration")
