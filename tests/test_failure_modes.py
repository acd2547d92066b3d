"""What goes wrong with real series, and what is answered: one group of tests for each case of the plan's table."""

import json
import re
import warnings

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from flimage_dask import BleachingEstimate, BleachingWarning, ClippingWarning, FLImage, FLSeries
from flimage_dask.cli import main
from flimage_dask.errors import FitError, ParameterError, SeriesError

from .conftest import write_series_file

N_FRAMES, SHAPE, BORDER = 50, (20, 24), 4
FRAMES = np.arange(N_FRAMES)
CELL = np.zeros(SHAPE)
CELL[6:-6, 6:-6] = 1.0
DECAY = 150 * np.exp(-0.05 * FRAMES) + 10
LAST_FACTOR = 6.973489155439673
MODELS = ["exponential", "biexponential", "linear+exponential", "stretched", "auto"]
NOISE = np.random.default_rng(2).normal(0, 10, N_FRAMES)


def series_of(trace, times=None, background=5.0):
    """Make a series in memory whose cell has a brightness of its own in each frame, without noise."""
    times = range(len(trace)) if times is None else times
    frames = background + np.asarray(trace)[:, None, None] * CELL
    return FLSeries([FLImage(frame, {"time": float(time)}) for frame, time in zip(frames, times, strict=True)])


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# A constant series.


@pytest.mark.parametrize("model", MODELS)
def test_a_constant_series_is_left_as_it_is_without_a_warning(model):
    fls = series_of(np.full(N_FRAMES, 100.0))
    found = fls.estimate_bleaching(BORDER, model=model)
    assert found.status == "no bleaching"
    assert (found.factors == 1.0).all()
    assert "amplitude" not in found.parameters
    assert np.isnan(found.r2)
    assert found.warnings == ()
    corrected = fls.bleach_corrected(BORDER, model=model).compute()
    assert np.array_equal(corrected, fls.fl.compute() - np.float32(5))


# A noisy constant, or an intensity that rises.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "trace",
    [1000 + NOISE, 1000 + 5 * FRAMES + NOISE, 1000.0 + FRAMES, 1000 * (1 - np.exp(-FRAMES / 9)) + NOISE],
    ids=["noisy", "rising in noise", "rising", "saturating"],
)
def test_noise_and_a_rise_never_dim_later_frames_and_are_one_warning(model, trace):
    fls = series_of(trace)
    with pytest.warns(BleachingWarning) as caught:
        found = fls.estimate_bleaching(BORDER, model=model)
    (warning,) = caught
    assert "no bleaching is corrected" in str(warning.message)
    assert found.status == "no bleaching"
    assert (found.factors == 1.0).all()


def test_the_command_line_says_so_in_one_line(tmp_path):
    path = write_series_file(tmp_path / "in.h5", 5 + (1000 + NOISE)[:, None, None] * CELL, FRAMES)
    result = run("correct", path, tmp_path / "out.h5", "--border", BORDER)
    assert result.exit_code == 0
    assert "all factors are 1" in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("flimage-dask: warning: the intensity varies")


# Fewer valid frames than a fit needs.


@pytest.mark.parametrize(
    ("model", "n_needed"),
    [("exponential", 3), ("auto", 3), ("linear+exponential", 5), ("stretched", 5), ("biexponential", 6)],
)
def test_too_few_frames_say_how_many_are_needed_and_what_needs_fewer(model, n_needed):
    fls = series_of(DECAY[: n_needed - 1])
    with pytest.raises(FitError, match=rf"at least {n_needed} frames.*model='ratio'.* need no fit") as caught:
        fls.estimate_bleaching(BORDER, model=model)
    assert isinstance(caught.value, ValueError)
    assert ("'exponential' needs 3" in str(caught.value)) == (n_needed > 3)
    assert fls.estimate_bleaching(BORDER, model="ratio").factors[-1] == pytest.approx(DECAY[0] / DECAY[n_needed - 2])


@pytest.mark.parametrize(("model", "n_needed"), [("exponential", 4), ("biexponential", 6)])
def test_as_many_frames_as_are_needed_are_enough(model, n_needed):
    found = series_of(DECAY[:n_needed]).estimate_bleaching(BORDER, model=model)
    assert found.factors[-1] == pytest.approx(DECAY[0] / DECAY[n_needed - 1], rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"model": "auto"}, {"robust": True}, {"correction": "bleachable"}], ids=str)
def test_three_frames_are_fitted_with_a_warning_that_nothing_is_known_of_the_errors(options):
    with pytest.warns(BleachingWarning, match=r"3 frames.*none is left to judge") as caught:
        found = series_of(DECAY[:3]).estimate_bleaching(BORDER, **options)
    assert len(caught) == len(found.warnings) == 1
    assert (found.status, found.model, found.outliers) == ("bleaching", "exponential", ())
    expected = DECAY[0] / DECAY[:3] if "correction" not in options else np.exp(0.05 * FRAMES[:3])
    np.testing.assert_allclose(found.factors, expected, rtol=1e-5)
    assert np.isnan([*found.decay_errors, *found.factor_errors[1:], *found.standard_errors.values()]).all()
    assert "(interval unknown)" in repr(found)
    assert "interval unknown" in found._repr_html_()
    again = BleachingEstimate.from_json(found.to_json())
    assert repr(again) == repr(found)
    found.plot()


@pytest.mark.parametrize("trace", [[100, 110, 120], [100, 90, 95], [90, 100, 95], [100, 100, 100]], ids=str)
def test_three_frames_without_a_decay_are_left_as_they_are(trace):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = series_of(np.array(trace, float)).estimate_bleaching(BORDER)
    assert (found.status, found.factors.tolist()) == ("no bleaching", [1.0, 1.0, 1.0])
    assert len(caught) == (np.ptp(trace) > 0)


def test_the_command_line_says_that_three_frames_tell_no_errors(tmp_path):
    path = write_series_file(tmp_path / "in.h5", 5 + DECAY[:3, None, None] * CELL, FRAMES[:3])
    result = run("correct", path, tmp_path / "out.h5", "--border", BORDER)
    assert result.exit_code == 0
    assert re.search(r"largest factor +1.098 \(interval unknown\)", result.stdout)
    (line,) = result.stderr.splitlines()
    assert line.startswith("flimage-dask: warning: 3 frames")
    result = run("correct", path, tmp_path / "out.h5", "--border", BORDER, "--overwrite", "--json")
    assert json.loads(result.stdout)["estimate"]["largest_factor_interval"] == [None, None]


def test_frames_without_a_finite_pixel_do_not_count():
    trace = DECAY[:6].copy()
    trace[[1, 2, 3, 4]] = np.nan
    fls = series_of(trace)
    with pytest.raises(FitError, match=r"at least 3 frames with a finite intensity; 2 of 6 have one"):
        fls.estimate_bleaching(background=5.0, mask=CELL > 0)


# Times that are missing, all equal, duplicate or unsorted.


def test_missing_times_name_the_frames_and_the_way_out():
    fls = series_of(DECAY)
    for frame in (3, 7):
        del fls[frame].h5.attrs["time"]
    with pytest.raises(SeriesError, match=r"2 of 50 frames have no 'time' \(frames 3, 7\).*times=… or frame_interval="):
        fls.estimate_bleaching(BORDER)
    assert fls.estimate_bleaching(BORDER, times=FRAMES).factors[-1] == pytest.approx(LAST_FACTOR)
    assert fls.estimate_bleaching(BORDER, frame_interval=0.1).factors[-1] == pytest.approx(LAST_FACTOR)


@pytest.mark.parametrize("missing", [FRAMES, [3, 7]], ids=["all", "some"])
@pytest.mark.parametrize("model", ["ratio", "none"])
def test_what_no_time_enters_needs_none(model, missing, tmp_path):
    expected = series_of(DECAY).estimate_bleaching(BORDER, model=model, exclude=[5, 6]).factors
    fls = series_of(DECAY)
    for frame in missing:
        del fls[int(frame)].h5.attrs["time"]
    found = fls.estimate_bleaching(BORDER, model=model, exclude=[5, 6])
    np.testing.assert_allclose(found.factors, expected, rtol=1e-12)
    assert np.array_equal(np.flatnonzero(np.isnan(found.times)), missing)
    assert found.bleached_fraction == pytest.approx(1 - DECAY[-1] / DECAY[0] if model == "ratio" else 0.0)
    again = BleachingEstimate.from_json(found.to_json())
    assert np.array_equal(again.times, found.times, equal_nan=True)
    *_, times = fls.bleach_correction(tmp_path / "out.h5", BORDER, model=model)
    assert np.array_equal(times, found.times, equal_nan=True)
    corrected = fls.bleach_corrected(BORDER, model=model).compute()
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert np.array_equal(out.fl.compute(), corrected)
        assert np.array_equal(out.times, found.times, equal_nan=True)


@pytest.mark.parametrize("model", ["ratio", "none"])
def test_nothing_that_is_shown_of_unknown_times_is_in_seconds(model):
    fls = series_of(DECAY)
    for frame in fls:
        del frame.h5.attrs["time"]
    found = fls.estimate_bleaching(BORDER, model=model)
    axes = found.plot().axes
    assert [each.get_xlabel() for each in axes if each.get_xlabel()] == ["frame", "frame"]
    assert axes[0].get_lines()[0].get_xdata().tolist() == FRAMES.tolist()
    written = [text.get_text() for each in axes for text in each.texts]
    for text in (repr(found), found._repr_html_(), *written):
        assert not re.search(r"\d (ms|s|min|h)\b", text)


def test_times_that_are_all_equal_matter_to_no_model_without_a_time():
    fls = series_of(DECAY, np.full(N_FRAMES, 3.0))
    assert fls.estimate_bleaching(BORDER, model="ratio").factors[-1] == pytest.approx(DECAY[0] / DECAY[-1])
    assert (fls.estimate_bleaching(BORDER, model="none").factors == 1.0).all()


def test_the_command_line_corrects_by_a_ratio_without_times(tmp_path):
    path = write_series_file(tmp_path / "in.h5", 5 + DECAY[:, None, None] * CELL, FRAMES)
    with FLSeries(h5file=path) as fls:
        for frame in fls:
            del frame.h5.attrs["time"]
    result = run("correct", path, tmp_path / "out.h5", "--border", BORDER, "--model", "ratio", "--max-factor", 5)
    assert result.exit_code == 0
    assert re.search(r"half-life +unknown, 85.7% bleached at the end", result.stdout)


def test_equal_times_are_a_value_error_with_the_way_out():
    with pytest.raises(ValueError, match=r"all 50 frames have the same time, 3 s\. .*times= or frame_interval="):
        series_of(DECAY, np.full(N_FRAMES, 3.0)).estimate_bleaching(BORDER)


def test_duplicate_times_are_fitted():
    found = series_of(np.repeat(DECAY, 2), np.repeat(FRAMES, 2)).estimate_bleaching(BORDER)
    assert found.factors[-1] == pytest.approx(LAST_FACTOR, rel=1e-6)  # the pixels are float32


@pytest.mark.parametrize("model", MODELS)
def test_unsorted_frames_are_fitted_in_order_and_answered_in_theirs(model):
    order = np.random.default_rng(0).permutation(N_FRAMES)
    expected = series_of(DECAY + NOISE / 10).estimate_bleaching(BORDER, model=model)
    fls = series_of((DECAY + NOISE / 10)[order], FRAMES[order])
    assert np.array_equal(fls.estimate_bleaching(BORDER, model=model).factors, expected.factors[order])
    raw, corrected = fls.fl.compute(), fls.bleach_corrected(BORDER, model=model).compute()
    np.testing.assert_array_equal(corrected[order == 0], raw[order == 0] - 5)  # the earliest is the reference


# Times from a clock, or in another unit.


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("times", [1.7e9 + FRAMES, 1e-3 * FRAMES, 3600.0 * FRAMES], ids=["epoch", "ms", "h"])
def test_the_origin_and_the_unit_of_time_do_not_change_a_factor(model, times):
    trace = DECAY + NOISE / 10
    expected = series_of(trace).estimate_bleaching(BORDER, model=model).factors
    found = series_of(trace, times).estimate_bleaching(BORDER, model=model).factors
    np.testing.assert_allclose(found, expected, rtol=1e-9)


# A border that cannot be used.


@pytest.mark.parametrize("border_px", [0, -1, 10, 1000])
def test_a_border_that_cannot_be_is_refused_with_the_allowed_range(border_px, tmp_path):
    fls = series_of(DECAY)
    for method in (fls.estimate_bleaching, fls.bleach_corrected, lambda px: fls.bleach_correction(tmp_path / "o", px)):
        with pytest.raises(ParameterError, match=rf"border_px={border_px}\b.*1 to 9"):
            method(border_px)
    assert not list(tmp_path.iterdir())


# Pixels that are NaN or infinite.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("trace", ["positive_sum", "mean", "median", "percentile-90"])
def test_pixels_that_are_not_finite_are_left_out_counted_and_stay_what_they_are(value, trace, tmp_path):
    frames = 5 + DECAY[:, None, None] * CELL
    frames[7, 8, 9], frames[20] = value, value
    path = write_series_file(tmp_path / "in.h5", frames.astype(np.float32), FRAMES)
    how = {"border_px": BORDER, "background": 5.0, "trace": trace, "mask": CELL > 0}
    with FLSeries(h5file=path, h5mode="r") as fls:
        found = fls.estimate_bleaching(**how)
        fls.bleach_correction(tmp_path / "out.h5", **how)
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        corrected = out.fl.compute()
    assert found.left_out == (20,)
    assert found.pixels.n_finite[[0, 7, 20]].tolist() == [96, 95, 0]
    assert found.factors[-1] == pytest.approx(LAST_FACTOR, rel=1e-5)
    assert found.factors[20] == pytest.approx(DECAY[0] / DECAY[20], rel=1e-5)
    np.testing.assert_array_equal(corrected[7, 8, 9], np.float32(value))
    np.testing.assert_array_equal(corrected[20], np.full(SHAPE, value, np.float32))
    assert np.isfinite(np.delete(corrected, [7, 20], axis=0)).all()


# A curve near 0.


def test_a_curve_near_zero_warns_of_its_factor_and_of_the_noise():
    fls = series_of(1000 * np.exp(-0.1 * FRAMES) + 1)
    with pytest.warns(BleachingWarning, match=r"factor reaches [\d.]+ \(frame 49\), and so does the gain of noise"):
        found = fls.estimate_bleaching(BORDER)
    assert found.largest_factor > 100
    assert found.noise_gain == pytest.approx(found.largest_factor**0.5)


def test_factors_are_held_on_request():
    fls = series_of(DECAY)
    with pytest.warns(BleachingWarning, match=r"factors are held at 3 in \d+ of 50 frames, which leaves them too dark"):
        found = fls.estimate_bleaching(BORDER, max_factor=3.0)
    assert found.largest_factor == 3.0


def test_a_curve_that_reaches_zero_is_refused_with_the_first_such_frame():
    fls = series_of(np.maximum(100.0 - 4 * FRAMES, 0))
    with pytest.raises(FitError, match=r"reaches 0 at frame 25.*fls\[:25\]"):
        fls.estimate_bleaching(BORDER, model="ratio")
    with pytest.raises(FitError, match=r"reaches 0 at frame 15.*fls\[:15\]"):
        fls.estimate_bleaching(BORDER, parameters={"amplitude": 100, "rate": 2, "offset": 0})


# Saturated pixels.


@pytest.mark.parametrize("with_background_images", [False, True])
def test_saturated_pixels_of_integers_are_counted_and_many_are_a_warning(tmp_path, with_background_images):
    frames = np.minimum(5 + 2 * DECAY[:, None, None] * CELL, 255).astype(np.uint8)
    with FLSeries(h5file=tmp_path / "in.h5", h5mode="w") as fls:
        for time, frame in enumerate(frames):
            fls.add_flimage(FLImage(frame, {"time": time}, h5dtype="uint8"))
        if with_background_images:
            fls.set_bg_data(np.full(SHAPE, 3))
    with FLSeries(h5file=tmp_path / "in.h5", h5mode="r") as fls, pytest.warns(BleachingWarning) as caught:
        found = fls.estimate_bleaching(BORDER)
    plateau, saturated = (str(warning.message) for warning in caught)
    assert "level up to frame 4" in plateau
    assert "20.0% of the pixels of frame 0 are saturated (from 255 counts)" in saturated
    assert "exclude=" in saturated
    assert np.array_equal(found.pixels.n_saturated, (frames == 255).sum((1, 2)))
    result = run("estimate", tmp_path / "in.h5", "--border", BORDER)
    assert "saturated" in result.stderr
    assert "--exclude" in result.stderr


def test_a_few_saturated_pixels_are_counted_and_no_warning():
    frames = (5 + DECAY[:, None, None] * np.kron(CELL, np.ones((4, 4)))).astype(np.uint8)
    frames[:, 50, 50] = 255
    fls = FLSeries([FLImage(frame, {"time": time}, h5dtype="uint8") for time, frame in enumerate(frames)])
    found = fls.estimate_bleaching(BORDER)
    assert found.pixels.n_saturated.tolist() == [1] * N_FRAMES
    assert found.warnings == ()


# Integer output.


@pytest.fixture
def noisy_path(tmp_path):
    noise = np.random.default_rng(0).normal(0, 2, (N_FRAMES, *SHAPE))
    frames = 5 + DECAY[:, None, None] * CELL + noise
    return write_series_file(tmp_path / "in.h5", frames.astype(np.float32), FRAMES)


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint16", "int8"])
def test_integer_output_is_rounded_and_clipped_and_the_clipped_pixels_are_reported(noisy_path, tmp_path, dtype):
    info = np.iinfo(dtype)
    with FLSeries(h5file=noisy_path, h5mode="r") as fls, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exact = np.rint(fls.bleach_corrected(BORDER).compute())
        fls.bleach_correction(tmp_path / "out.h5", BORDER, dtype=dtype)
    with h5py.File(tmp_path / "out.h5") as file:
        stored = np.stack([file[f"fli_{k}/fluorescence/raw"][:] for k in range(N_FRAMES)])
        told = json.loads(file.attrs["flimage_dask"])["storage"]
    n_clipped = int(((exact < info.min) | (exact > info.max)).sum())
    assert stored.dtype == told["dtype"] == dtype
    assert np.array_equal(stored, np.clip(exact, info.min, info.max))
    assert told["n_clipped"] == n_clipped
    texts = [str(warning.message) for warning in caught if warning.category is ClippingWarning]
    assert len(texts) == (n_clipped > 0)
    assert all(f"{n_clipped:,} of 24,000 pixels lie outside {dtype}" in text for text in texts)


def test_integer_output_of_the_command_line_is_reported_in_one_line(noisy_path, tmp_path):
    result = run("correct", noisy_path, tmp_path / "out.h5", "--border", BORDER, "--dtype", "uint8")
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert "pixels lie outside uint8 (0 to 255)" in line
    assert line.startswith("flimage-dask: warning: ")


def test_floating_output_counts_nothing(noisy_path, tmp_path):
    with FLSeries(h5file=noisy_path, h5mode="r") as fls:
        fls.bleach_correction(tmp_path / "out.h5", BORDER, dtype="float64")
    with FLSeries(h5file=tmp_path / "out.h5", h5mode="r") as out:
        assert out.raw_fl.dtype == np.float64
        assert "n_clipped" not in json.loads(out.h5.attrs["flimage_dask"])["storage"]


def test_a_type_that_is_none_is_refused_before_anything_is_read(noisy_path, tmp_path, monkeypatch):
    monkeypatch.setattr("flimage_dask.lazy.remembered_estimates.estimate", lambda *args: pytest.fail("estimated"))
    with FLSeries(h5file=noisy_path, h5mode="r") as fls:
        for dtype in ("complex64", "bool", "nonsense", "U3"):
            with pytest.raises(ParameterError, match="dtype="):
                fls.bleach_correction(tmp_path / "out.h5", BORDER, dtype=dtype)
    assert not (tmp_path / "out.h5").exists()


# A plateau before the decay, as saturated first frames leave it.

LATE = np.concatenate([np.full(20, 160.0), DECAY[:30]])


@pytest.mark.parametrize("model", MODELS)
def test_a_plateau_before_a_decay_is_left_out_of_the_fit_with_a_warning(model):
    fls = series_of(LATE)
    with pytest.warns(BleachingWarning, match=r"level up to frame 19 .* these 20 frames are left out of the fit"):
        found = fls.estimate_bleaching(BORDER, model=model)
    assert found.status == "bleaching"
    assert found.excluded == tuple(range(20))
    assert (found.factors[:20] == 1.0).all()
    np.testing.assert_allclose(found.factors, 160 / LATE, rtol=1e-3)


# Numbers beyond the largest one of a floating-point type.


@pytest.mark.parametrize("resume", [None, True])
def test_pixels_that_a_float_type_cannot_hold_are_counted_in_one_warning(tmp_path, resume):
    fls = series_of(DECAY * 1000)
    out, n_too_large = tmp_path / "out.h5", N_FRAMES * int(CELL.sum())
    with pytest.warns(ClippingWarning) as caught:
        fls.bleach_correction(out, BORDER, dtype="float16", resume=resume)
    (warning,) = caught
    expected = rf"{n_too_large:,} of 24,000 pixels lie outside float16 \(up to 6.55e\+04\) and became infinite: a wider"
    assert re.match(expected, str(warning.message))
    with FLSeries(h5file=out, h5mode="r") as written:
        assert np.isinf(written.fl.compute()).sum() == n_too_large
        assert json.loads(written.h5.attrs["flimage_dask"])["storage"]["n_clipped"] == n_too_large


def test_an_image_beyond_its_type_is_stored_with_a_warning():
    with pytest.warns(
        ClippingWarning, match=r"1 of 480 pixels lie outside float32 and became infinite: h5dtype='float64'"
    ):
        FLImage(np.where(np.arange(480).reshape(SHAPE) == 7, 1e39, 0.0))


def test_frames_that_their_correction_takes_beyond_float32_are_a_warning(tmp_path):
    frames = 5 + DECAY[:, None, None] * CELL
    frames[:, 0, 0] = 3e38
    path = write_series_file(tmp_path / "in.h5", frames, FRAMES)
    how = {"background": 5.0, "mask": CELL > 0}
    with FLSeries(h5file=path, h5mode="r") as fls:
        with pytest.warns(ClippingWarning, match=r"exceed the largest number of float32 \(3.4e\+38\).*max_factor="):
            fls.bleach_correction(tmp_path / "out.h5", BORDER, **how)
        with pytest.warns(ClippingWarning, match="exceed"):
            corrected = fls.bleach_corrected(BORDER, **how).compute()
    assert np.isinf(corrected[3:, 0, 0]).all()
    assert np.isfinite(corrected[:, 1:]).all()
    np.save(tmp_path / "mask.npy", CELL > 0)
    options = ("--background", 5, "--mask", tmp_path / "mask.npy", "--overwrite")
    (line,) = run("correct", path, tmp_path / "out.h5", *options).stderr.splitlines()
    assert line.startswith("flimage-dask: warning: corrected pixels exceed the largest number of float32")
    assert "--max-factor" in line
