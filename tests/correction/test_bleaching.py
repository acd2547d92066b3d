"""From a trace to correction factors, and from factors to corrected frames."""

import json
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flimage_dask.correction.applying import correct
from flimage_dask.correction.background import border_means
from flimage_dask.correction.bleaching import FitOptions, estimate_bleaching
from flimage_dask.correction.models import AMPLITUDE, OFFSET, RATE, DecayModel
from flimage_dask.correction.trace import positive_sums
from flimage_dask.errors import FitError, ParameterError, SeriesError

FRAMES = np.arange(50)
EXPONENTIAL = 150 * np.exp(-0.05 * FRAMES) + 10
LAST_FACTOR = 6.973489155439673


def estimate(times, trace, **kwargs):
    """Estimate without a background."""
    return estimate_bleaching(times, trace, background=0.0, **kwargs)


@pytest.fixture
def mito(shared_data):
    path = shared_data / "mito_series.h5"
    if not path.exists():
        pytest.skip("the shared data are not here: no mito_series.h5")
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        groups = [file[f"fli_{index}"] for index in range(len(file))]
        times = np.array([group.attrs["time"] for group in groups])
        return times, np.stack([group["fluorescence/raw"][:] for group in groups])


@pytest.mark.parametrize("seconds", [1e-3, 1.0, 3600.0])
def test_the_mito_series_in_any_unit_of_time(mito, seconds):
    times, frames = mito
    background = border_means(frames, 20).mean()
    trace = positive_sums(frames, background)[:, 0]
    found = estimate_bleaching(times / 3600 * seconds, trace, background=background, border_px=20)
    assert "factor reaches 15.61 (frame 46)" in found.warnings[0]
    assert background == pytest.approx(2.31681694, abs=5e-9)
    assert found.status == "bleaching"
    assert found.parameters["rate"] * seconds == pytest.approx(0.21529202, abs=5e-9)
    assert found.parameters["amplitude"] == pytest.approx(1634501.9, abs=0.05)
    assert found.parameters["offset"] == pytest.approx(111780.49, abs=0.005)
    assert found.r2 == pytest.approx(0.997252, abs=5e-7)
    assert found.factors[-1] == pytest.approx(15.6110, abs=5e-5)
    assert found.largest_factor == found.factors[-1]


@pytest.mark.parametrize("start", [0.0, 1.7e9])
@pytest.mark.parametrize("frame_interval", [1e-3, 1.0, 3600.0])
def test_the_last_factor_is_right_in_any_unit_of_time(frame_interval, start):
    found = estimate(start + frame_interval * FRAMES, EXPONENTIAL)
    # float64 resolves 2.4e-7 s at 1.7e9 s: at 1 ms a frame the times themselves are off by 1e-4
    # frames, which no fit can undo. At 1 s and 1 h the times are exact.
    tolerance = 2e-6 if (frame_interval, start) == (1e-3, 1.7e9) else 1e-9
    assert found.factors[-1] == pytest.approx(LAST_FACTOR, rel=tolerance)
    assert found.factors[0] == 1.0
    assert found.half_life == pytest.approx(np.log(2) / 0.05 * frame_interval, rel=1e-5)
    assert found.bleached_fraction == pytest.approx(1 - 1 / LAST_FACTOR, rel=1e-5)
    assert found.warnings == ()


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_weak_bleaching_gets_its_factors(share):
    trace = 1e6 * ((1 - share) + share * np.exp(-0.05 * FRAMES))
    found = estimate(FRAMES, trace)
    np.testing.assert_allclose(found.factors, trace[0] / trace, rtol=1e-12)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_weak_bleaching_in_noise_is_found(share):
    rng = np.random.default_rng(0)
    truth = (1 - share) + share * np.exp(-0.05 * FRAMES)
    found = estimate(FRAMES, 1e6 * truth * rng.normal(1, 0.002, 50))
    assert found.status == "bleaching"
    np.testing.assert_allclose(found.factors, truth[0] / truth, atol=0.005)


@pytest.mark.parametrize("level", [1e-9, 123.456, 1e12])
def test_a_constant_series_has_factors_of_exactly_one_and_no_warning(level):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = estimate(FRAMES, np.full(50, level))
    assert found.status == "no bleaching"
    assert (found.factors == 1.0).all()
    assert found.model == "none"
    assert np.isnan(found.r2)
    assert found.half_life == np.inf
    assert found.bleached_fraction == 0.0
    assert found.warnings == ()


def test_a_background_above_all_frames_is_noticed():
    found = estimate(FRAMES, np.zeros(50))
    assert found.status == "no bleaching"
    assert (found.factors == 1.0).all()
    assert found.warnings == ("no frame is brighter than the background: all factors are 1.",)


@pytest.mark.parametrize("model", ["exponential", "auto"])
def test_a_background_above_the_last_frames_is_noticed(model):
    rng = np.random.default_rng(0)
    found = estimate(FRAMES, 100 * np.exp(-FRAMES / 8) - 5 + rng.normal(0, 0.3, 50), fit=FitOptions(model=model))
    n_dark = np.count_nonzero(found.trace < 0)
    assert f"is negative in {n_dark} of 50 frames, first in frame" in found.warnings[0]
    assert "their background is too high" in found.warnings[0]


def test_noise_around_zero_is_no_background_that_is_too_high():
    rng = np.random.default_rng(0)
    for _ in range(20):
        for trace in (rng.normal(size=50), 100 * np.exp(-FRAMES / 8) + rng.normal(size=50)):
            assert not any("negative" in text for text in estimate(FRAMES, trace).warnings)


def test_a_fall_that_no_curve_follows_is_told_from_noise():
    times = np.arange(200.0)
    (text,) = estimate(times, 100 - 50 * (times / 200) ** 2).warnings
    assert "the nearest curve ('exponential', R2 0.896) misses it" in text
    (text,) = estimate(times, 100 + np.sin(times)).warnings
    assert "does not decay beyond its noise" in text


@pytest.mark.parametrize(
    ("dark", "way_out"), [([0], r"exclude=\[0\]"), ([7], r"exclude=\[7\]"), (range(30, 50), r"fls\[:30\]")]
)
def test_dark_frames_are_named_with_the_way_to_leave_them_out(dark, way_out):
    trace = 100 * np.exp(-FRAMES / 30)
    trace[list(dark)] = 0.0
    with pytest.raises(FitError, match=rf"Give a lower background, or .* such as with {way_out}\."):
        estimate(FRAMES, trace, fit=FitOptions(model="ratio"))


NOISE = np.random.default_rng(2).normal(0, 10, 50)


@pytest.mark.parametrize("trace", [1000 + NOISE, 1000 + 5 * FRAMES + NOISE, 1000.0 + FRAMES])
def test_noise_and_a_rise_are_left_alone_with_one_warning(trace):
    found = estimate(FRAMES, trace)
    (warning,) = found.warnings
    assert "no bleaching is corrected" in warning
    assert found.status == "no bleaching"
    assert (found.factors == 1.0).all()
    assert (found.decay == found.decay[0]).all()
    assert found.parameters["offset"] == pytest.approx(trace.mean())


@pytest.mark.parametrize("n", [12, 50, 300])
def test_steady_white_noise_is_seldom_called_bleaching(n):
    rng = np.random.default_rng(n)
    statuses = [estimate(np.arange(n), rng.normal(1000, 20, n)).status for _ in range(150)]
    assert statuses.count("bleaching") <= 0.03 * 150  # simulated with 1,000: .003 to .008


def test_steady_random_walks_are_not_bleaching_because_they_are_fitted_well():
    rng = np.random.default_rng(3)
    statuses = [estimate(np.arange(47), 1e4 + np.cumsum(rng.normal(size=47))).status for _ in range(40)]
    assert statuses.count("bleaching") <= 0.15 * 40  # a walk that drifts down: .082 of 1,000


def test_four_frames_without_noise_are_enough():
    found = estimate([0, 1, 2, 3], 100 * np.exp(-0.5 * np.arange(4)) + 10)
    assert found.status == "bleaching"
    assert found.parameters["rate"] == pytest.approx(0.5)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_frames_are_refused_with_the_number_needed_and_a_way_out(n):
    with pytest.raises(FitError, match=r"at least 3 frames.*background_correction need no fit"):
        estimate(np.arange(n), np.ones(n))


def test_frames_without_an_intensity_count_as_missing():
    with pytest.raises(FitError, match="2 of 5 have one"):
        estimate(np.arange(5), [3, np.nan, np.nan, np.inf, 1])


def test_equal_times_are_refused_with_a_way_out():
    with pytest.raises(SeriesError, match=r"same time, 3 s.*times= or frame_interval="):
        estimate(np.full(50, 3.0), EXPONENTIAL)


def test_two_times_are_refused():
    with pytest.raises(FitError, match="at least 3 different times"):
        estimate([0, 0, 1, 1], [4, 4, 3, 3])


def test_unknown_times_are_refused_by_their_frames():
    times = FRAMES.astype(float)
    times[[3, 7]] = np.nan, np.inf
    with pytest.raises(SeriesError, match=r"2 of 50 frames.*frames 3, 7.*frame_interval="):
        estimate(times, EXPONENTIAL)


@pytest.mark.parametrize(
    ("times", "trace"),
    [(FRAMES[:-1], EXPONENTIAL), (FRAMES, np.zeros((50, 2))), (np.zeros((50, 2)), np.zeros((50, 2))), (3.0, 4.0)],
)
def test_times_and_trace_of_unlike_shapes_are_refused(times, trace):
    with pytest.raises(ParameterError, match="same shape"):
        estimate(times, trace)


@pytest.mark.parametrize("exclude", [slice(None), slice(2, None)])
def test_a_fit_of_which_too_much_is_excluded_is_refused_with_how_much(exclude):
    n_left = len(FRAMES) - len(FRAMES[exclude])
    with pytest.raises(FitError, match=f"finite intensity; 50 of 50 have one, and exclude= leaves {n_left} of them"):
        fitted(EXPONENTIAL, exclude=exclude)


def test_a_ratio_of_which_all_is_excluded_is_refused_as_well():
    with pytest.raises(FitError, match="50 of 50 have one, and exclude= leaves 0 of them"):
        fitted(EXPONENTIAL, model="ratio", exclude=slice(None))


def test_duplicate_times_are_fitted():
    found = estimate(np.repeat(FRAMES, 2), np.repeat(EXPONENTIAL, 2))
    assert found.factors[-1] == pytest.approx(LAST_FACTOR, rel=1e-12)


@given(st.permutations(range(50)))
def test_frames_in_any_order_are_answered_in_theirs(order):
    order = np.array(order)
    rng = np.random.default_rng(0)
    trace = EXPONENTIAL + rng.normal(0, 2, 50)
    found = estimate(FRAMES[order], trace[order])
    assert np.array_equal(found.factors, estimate(FRAMES, trace).factors[order])
    assert found.bleached_fraction == estimate(FRAMES, trace).bleached_fraction


@given(st.sets(st.integers(0, 49), min_size=1, max_size=40))
def test_frames_left_out_get_a_factor_from_the_curve(missing):
    missing = sorted(missing)
    trace = EXPONENTIAL.copy()
    trace[missing] = np.nan
    found = estimate(FRAMES, trace)
    first = np.flatnonzero(np.isfinite(trace))[0]
    expected = EXPONENTIAL[first] / EXPONENTIAL
    expected[:first] = 1.0
    assert found.left_out == tuple(missing)
    np.testing.assert_allclose(found.factors, expected, rtol=1e-6)


def test_a_decay_close_to_zero_is_reported():
    found = estimate(FRAMES, 1000 * np.exp(-0.1 * FRAMES) + 1)
    (warning,) = found.warnings
    assert found.largest_factor > 100
    assert "noise" in warning


def test_a_decay_that_reaches_zero_is_refused():
    with pytest.raises(FitError, match=r"reaches 0 at frame \d+.*fls\[:"):
        estimate(np.arange(5000), 1e3 * np.exp(-0.5 * np.arange(5000)))


def test_an_estimate_survives_pickling_and_is_read_only():
    found = estimate(FRAMES, EXPONENTIAL, border_px=20)
    again = pickle.loads(pickle.dumps(found))
    assert again.summary() == found.summary()
    assert np.array_equal(again.factors, found.factors)
    with pytest.raises(ValueError, match="read-only"):
        found.factors[0] = 2
    with pytest.raises(AttributeError):
        found.status = "fine"


def test_an_estimate_does_not_hold_the_arrays_it_was_given():
    times, trace = FRAMES.astype(float), EXPONENTIAL.copy()
    found = estimate(times, trace)
    times[:] = trace[:] = 0
    assert np.array_equal(found.times, FRAMES)
    assert np.array_equal(found.trace, EXPONENTIAL)


@pytest.mark.parametrize("trace", [EXPONENTIAL, np.ones(50), 1000 + NOISE])
@pytest.mark.parametrize("background", [2.5, np.full(50, 2.5), np.full((3, 4), 2.5), np.full(50, np.nan)])
def test_a_summary_is_strict_json(trace, background):
    found = estimate_bleaching(FRAMES, trace, background=background, border_px=20)
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert summary["n_frames"] == 50
    assert summary["background"] == (None if np.isnan(background).all() else 2.5)
    assert 3 <= len(repr(found).splitlines()) <= 6 or found.status == "no bleaching"
    assert found.status in repr(found)


@given(
    hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(-1e4, 1e4),
    hnp.arrays(float, (3,), elements=st.floats(0.5, 50)),
)
def test_correction_equals_flimage_bit_by_bit(block, background, factors):
    frames = [((x - np.float64(background)) * g).astype(np.float32) for x, g in zip(block, factors, strict=True)]
    corrected = correct(block, background, factors)
    assert corrected.dtype == np.float32
    assert np.array_equal(corrected, frames)
    assert np.array_equal(np.concatenate([correct(block[:1], background, factors[:1])]), corrected[:1])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("u1", "f4"),
        ("u2", "f4"),
        ("i2", "f4"),
        ("f4", "f4"),
        (">f4", "f4"),
        ("i4", "f8"),
        ("u4", "f8"),
        ("f8", "f8"),
    ],
)
def test_results_keep_their_precision(dtype, expected):
    corrected = correct(np.full((1, 2, 2), 5, dtype), 2, [1.5])
    assert corrected.dtype == np.dtype(expected)
    assert (corrected == 4.5).all()


def test_backgrounds_of_frames_and_images_are_subtracted():
    block = np.random.default_rng(0).normal(100, 5, (3, 4, 5))
    factors, levels, image = (
        np.array([1.0, 2.0, 3.0]),
        np.array([5.0, 6.0, 7.0]),
        np.arange(20.0).reshape(4, 5),
    )
    by_level = (block - levels[:, None, None]) * factors[:, None, None]
    assert np.array_equal(correct(block, levels, factors), by_level)
    assert np.array_equal(correct(block, image, factors), (block - image) * factors[:, None, None])


def test_pixels_that_are_not_finite_stay_so():
    block = np.array([[[np.nan, np.inf], [-np.inf, 1.0]]], np.float32)
    np.testing.assert_array_equal(correct(block, 1.0, [2.0])[0], [[np.nan, np.inf], [-np.inf, 0.0]])


def test_factors_must_fit_the_block():
    with pytest.raises(ParameterError, match="3 frames need as many factors"):
        correct(np.zeros((3, 2, 2)), 0.0, np.ones(2))


# models and options

TWO_RATES = 60 * np.exp(-0.2 * FRAMES) + 30 * np.exp(-0.02 * FRAMES) + 10
WHITE = np.random.default_rng(6).normal(0, 1, 50)


def fitted(trace, times=FRAMES, **options):
    """Estimate with options of the fit."""
    return estimate(times, trace, fit=FitOptions(**options))


@pytest.mark.parametrize("model", ["exponential", "biexponential", "linear+exponential", "stretched", "auto"])
@pytest.mark.parametrize(("unit", "start"), [(1e-3, 0.0), (3600.0, 0.0), (1.0, 1.7e9)])
@pytest.mark.parametrize("gain", [1e-6, 1e6])
def test_the_factors_of_every_model_are_the_same_in_any_unit(model, unit, start, gain):
    expected = fitted(TWO_RATES + WHITE, model=model)
    found = fitted(gain * (TWO_RATES + WHITE), start + unit * FRAMES, model=model)
    assert found.model == expected.model
    np.testing.assert_allclose(found.factors, expected.factors, rtol=1e-9)
    np.testing.assert_allclose(found.factor_errors, expected.factor_errors, rtol=1e-6)


def test_auto_names_its_model_and_the_criterion_of_each_it_tried():
    found = fitted(TWO_RATES + WHITE / 10, model="auto")
    assert (found.requested, found.model) == ("auto", "biexponential")
    assert found.aicc.keys() == {"none", "exponential", "biexponential", "linear+exponential", "stretched"}
    assert min(found.aicc, key=found.aicc.get) == "biexponential"
    assert found.units == {
        "amplitude_1": "counts",
        "amplitude_2": "counts",
        "offset": "counts",
        "rate_1": "1/s",
        "rate_2": "1/s",
    }
    assert found.parameters["rate_1"] == pytest.approx(0.2, abs=3 * found.standard_errors["rate_1"])


def test_the_mean_of_the_mito_series_follows_two_exponentials(mito):
    _, frames = mito
    trace = frames.mean(axis=(1, 2), dtype=float)
    single = fitted(trace, np.arange(47))
    assert single.parameters["rate"] == pytest.approx(0.22383381, rel=1e-6)
    assert single.parameters["amplitude"] == pytest.approx(6.7357847, rel=1e-6)
    assert single.parameters["offset"] == pytest.approx(1.6730119, rel=1e-6)
    assert single.r2 == pytest.approx(0.996700, abs=5e-7)
    assert single.factors[-1] == pytest.approx(5.025460, rel=1e-6)
    found = fitted(trace, np.arange(47), model="auto")
    assert found.model == "biexponential"
    assert found.r2 == pytest.approx(0.999906, abs=5e-7)
    truth = 6.17729 * np.exp(-0.2710269 * np.arange(47)) + 0.9780081 * np.exp(-0.04296002 * np.arange(47)) + 1.404825
    np.testing.assert_allclose(found.decay, truth, rtol=1e-5)


def test_the_model_none_corrects_nothing_and_says_so():
    found = fitted(EXPONENTIAL + WHITE, model="none")
    assert found.status == "not corrected"
    assert (found.factors == 1.0).all()
    assert found.warnings == ()


def second_order(tau, rate):
    return 1 / (1 + rate * tau), 1.0


def test_a_model_of_ones_own_is_fitted_like_any_other():
    model = DecayModel("second order", "amplitude / (1 + rate t) + offset", second_order, (AMPLITUDE, OFFSET), (RATE,))
    truth = 80 / (1 + 0.3 * FRAMES) + 20
    found = fitted(truth, model=model)
    assert found.model == "second order"
    assert found.parameters == pytest.approx({"amplitude": 80, "rate": 0.3, "offset": 20})
    assert found.half_life == pytest.approx(1 / 0.3)
    np.testing.assert_allclose(found.factors, truth[0] / truth)
    assert pickle.loads(pickle.dumps(found)).summary() == found.summary()


def hyperbola(t, rate):
    return 1 / (1 + rate * t)


def test_a_function_is_fitted_with_an_amplitude_and_an_offset():
    found = fitted(80 / (1 + 0.3 * FRAMES) + 20, model=hyperbola)
    assert (found.model, found.requested) == ("hyperbola", "hyperbola")
    assert found.parameters == pytest.approx({"amplitude": 80, "rate": 0.3, "offset": 20})
    assert found.units == {"amplitude": "counts", "rate": "1/s", "offset": "counts"}


def test_the_half_life_is_that_of_the_bleachable_part():
    found = fitted(TWO_RATES, model="biexponential")
    at_half = 60 * np.exp(-0.2 * found.half_life) + 30 * np.exp(-0.02 * found.half_life)
    assert at_half == pytest.approx(45)
    stretched = fitted(50 * np.exp(-((0.1 * FRAMES) ** 0.5)) + 50, model="stretched")
    assert stretched.half_life == pytest.approx(np.log(2) ** 2 / 0.1, rel=1e-5)


def test_excluded_frames_do_not_bend_the_curve_and_are_corrected():
    trace = EXPONENTIAL.copy()
    trace[10:12] += 200
    found = fitted(trace, exclude=slice(10, 12))
    assert found.excluded == (10, 11)
    assert found.left_out == ()
    np.testing.assert_allclose(found.factors, EXPONENTIAL[0] / EXPONENTIAL, rtol=1e-9)
    assert found.residuals[10] == pytest.approx(200)
    assert "48 of 50 frames fitted" in repr(found)


def test_a_frame_that_takes_no_part_in_a_ratio_does_not_tell_how_much_bleached():
    trace = 100 * np.exp(-FRAMES / 30)
    trace[0], trace[-1] = 500.0, 3.0
    found = fitted(trace, model="ratio", exclude=[0, 49])
    assert found.bleached_fraction == pytest.approx(1 - trace[48] / trace[1])


def test_a_frame_that_is_both_excluded_and_without_an_intensity_is_missing_once():
    trace = EXPONENTIAL.copy()
    trace[10] = np.nan
    found = fitted(trace, exclude=slice(10, 12))
    assert (found.excluded, found.left_out, found.n_fitted) == ((10, 11), (10,), 48)
    assert "48 of 50 frames fitted" in repr(found)


def test_without_the_first_frames_the_reference_is_the_next_one():
    found = fitted(EXPONENTIAL, exclude=slice(0, 3))
    assert (found.factors[:4] == 1.0).all()
    np.testing.assert_allclose(found.factors[3:], EXPONENTIAL[3] / EXPONENTIAL[3:], rtol=1e-9)


def test_excluded_frames_are_not_counted():
    with pytest.raises(FitError, match=r"at least 6 frames.*leaves 3 of them.*'exponential' needs 3"):
        fitted(EXPONENTIAL, model="biexponential", exclude=slice(3, None))


def test_a_robust_fit_names_the_outliers_and_is_not_bent_by_them():
    trace = EXPONENTIAL + WHITE
    trace[[5, 30]] += [90, -8]
    plain, robust = fitted(trace), fitted(trace, robust=True)
    truth = EXPONENTIAL[0] / EXPONENTIAL
    assert robust.outliers == (5, 30)
    assert plain.outliers == ()
    assert np.abs(np.log(robust.factors / truth)).max() < 0.05 < np.abs(np.log(plain.factors / truth)).max()
    assert fitted(trace, robust=True, model="auto").model == "exponential"


def test_the_intervals_of_the_factors_hold_the_truth_in_two_of_three():
    truth = EXPONENTIAL[0] / EXPONENTIAL
    shares = []
    for seed in range(150):
        low, high = estimate(FRAMES, EXPONENTIAL + np.random.default_rng(seed).normal(0, 2, 50)).factor_interval
        shares.append(((low <= truth) & (truth <= high))[1:].mean())
    assert np.mean(shares) == pytest.approx(0.68, abs=0.08)


def test_intervals_widen_with_correlated_residuals():
    wandering = np.convolve(np.random.default_rng(0).normal(0, 2, 53), np.ones(4) / 2, "valid")
    white, correlated = estimate(FRAMES, EXPONENTIAL + 2 * WHITE), estimate(FRAMES, EXPONENTIAL + wandering)
    assert correlated.neighbour_correlation > 0.5 > white.neighbour_correlation
    assert correlated.factor_errors[-1] / correlated.rmse > 1.5 * white.factor_errors[-1] / white.rmse


def test_the_reference_frame_has_no_error_and_the_interval_holds_the_factor():
    found = estimate(FRAMES, EXPONENTIAL + WHITE)
    low, high = found.factor_interval
    assert found.factor_errors[0] == 0.0
    assert (low <= found.factors).all()
    assert (found.factors <= high).all()
    assert (found.decay_errors > 0).all()


def test_an_exponential_that_is_the_wrong_curve_is_still_bleaching_and_says_so():
    trace = 60 * np.exp(-0.2 * np.arange(100)) + 30 * np.exp(-0.02 * np.arange(100)) + 10
    found = estimate(np.arange(100), trace)
    assert (found.status, found.model) == ("bleaching", "exponential")
    assert "model='auto'" in found.warnings[0]


def test_a_curve_that_rises_above_its_start_warns_that_frames_are_dimmed():
    times = np.append(np.arange(30), 400)
    rising = 100 * np.exp(-0.5 * times) + 50 + 0.3 * times
    found = fitted(rising, times, model="linear+exponential", exclude=-1)
    assert found.factors[-1] == pytest.approx(150 / 170)
    assert "frame 30 is dimmed, by a factor of 0.8824" in found.warnings[-1]


def test_the_noise_gain_is_that_of_the_light():
    assert estimate(FRAMES, EXPONENTIAL).noise_gain == pytest.approx(LAST_FACTOR**0.5)
