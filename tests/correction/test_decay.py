"""The exponential fit: the global optimum, in any unit."""

import time

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import least_squares

from flimage_dask.correction.decay import MIN_EFFECTIVE, effective_frames, fit_decay
from flimage_dask.correction.models import EXPONENTIAL, NONE

FRAMES = np.arange(50.0)


def fit_exponential(times, trace):
    """Fit flimage's model."""
    return fit_decay(EXPONENTIAL, times, trace)


def fit_constant(times, trace):
    """Fit the mean."""
    return fit_decay(NONE, times, trace)


def curve(times, amplitude, rate, offset):
    """Evaluate the model."""
    return amplitude * np.exp(-rate * (times - times.min())) + offset


def noisy_decay(seed, n=50, rate=0.05, noise=5.0):
    """Make a trace of 150 exp(-rate i) + 10 with white noise."""
    times = np.arange(float(n))
    return times, curve(times, 150, rate, 10) + np.random.default_rng(seed).normal(0, noise, n)


def rss_of_random_starts(times, trace, n_starts=20):
    """Search the best fit with scipy from random starts, an independent reference.

    Between the same rates: a fast one is no different from an infinite one between two frames.
    """
    rng = np.random.default_rng(0)
    span = np.ptp(times)
    bounds = [0, 1e-3 / span, 0], [np.inf, 10 / np.diff(times).min(), np.inf]

    def residuals(parameters):
        return curve(times, *parameters) - trace

    starts = zip(
        rng.uniform(0, 2, n_starts) * np.ptp(trace),
        10 ** rng.uniform(-2, 2, n_starts) / span,
        rng.uniform(0, 1, n_starts) * np.abs(trace).max(),
        strict=True,
    )
    return min(
        2 * least_squares(residuals, start, bounds=bounds, x_scale=(100, 1 / span, 100)).cost for start in starts
    )


@given(st.floats(1e-3, 1e6), st.floats(0.2, 20), st.floats(0, 10), st.integers(5, 60), st.floats(1e-6, 1e6))
@example(973547.0312576472, 0.2, 0.0, 46, 1e-6)  # a slope that changes its sign many times within its rounding
def test_a_synthetic_truth_is_recovered(amplitude, decays_per_span, offset_share, n, span):
    times = np.linspace(0, span, n)
    truth = curve(times, amplitude, decays_per_span / span, offset_share * amplitude)
    fit = fit_exponential(times, truth)
    np.testing.assert_allclose(fit.curve, truth, rtol=0, atol=1e-11 * truth.max())
    # One frame after the first that is not at rest leaves rate and amplitude well determined.
    if decays_per_span < n / 4:
        assert fit.parameters["rate"] == pytest.approx(decays_per_span / span, rel=1e-6)
        assert fit.parameters["amplitude"] == pytest.approx(amplitude, rel=1e-6)
    assert fit.r2 == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("rate", "noise"), [(0.05, 5), (0.005, 1), (1.5, 10), (0.05, 60)])
def test_no_random_start_finds_a_better_fit(seed, rate, noise):
    times, trace = noisy_decay(seed, rate=rate, noise=noise)
    trace = np.maximum(trace, 0)
    assert fit_exponential(times, trace).rss <= rss_of_random_starts(times, trace) * (1 + 1e-9)


def test_the_deepest_of_several_minima_is_found():
    # A bright first frame (a fast decay) on a slow decline: a local optimum for each.
    for height in (3.0, 8.0, 20.0, 60.0):
        trace = 100 - 0.2 * FRAMES
        trace[0] += height
        assert fit_exponential(FRAMES, trace).rss <= rss_of_random_starts(FRAMES, trace) * (1 + 1e-9)


@given(st.integers(0, 50), st.floats(1e-9, 1e9), st.floats(1e-12, 1e12))
def test_the_units_do_not_matter(seed, unit, gain):
    times, trace = noisy_decay(seed)
    fit, scaled = fit_exponential(times, trace), fit_exponential(times * unit, trace * gain)
    np.testing.assert_allclose(scaled.curve / gain, fit.curve, rtol=1e-9)
    assert scaled.parameters["rate"] * unit == pytest.approx(fit.parameters["rate"], rel=1e-8)
    assert scaled.r2 == pytest.approx(fit.r2, rel=1e-9)


@given(st.integers(0, 50), st.integers(-(10**10), 10**10))
def test_the_origin_of_time_does_not_matter(seed, origin):
    times, trace = noisy_decay(seed)
    assert np.array_equal(fit_exponential(times + origin, trace).curve, fit_exponential(times, trace).curve)


@given(st.permutations(range(30)))
def test_permuted_frames_permute_the_curve(order):
    times, trace = noisy_decay(3, n=30)
    times = times // 2  # two frames at each time
    order = np.array(order)
    permuted, fit = fit_exponential(times[order], trace[order]), fit_exponential(times, trace)
    assert np.array_equal(permuted.curve, fit.curve[order])
    assert str(permuted.standard_errors) == str(fit.standard_errors)  # NaN is NaN
    constants = fit_constant(times[order], trace[order]), fit_constant(times, trace)
    assert constants[0].rss == constants[1].rss


@given(st.integers(0, 200))
def test_parameters_are_never_negative(seed):
    rng = np.random.default_rng(seed)
    trace = np.maximum(rng.normal(20, 15, 12) + rng.uniform(-3, 3) * np.arange(12), 0)
    fit = fit_exponential(np.arange(12.0), trace)
    assert min(fit.parameters["amplitude"], fit.parameters["rate"], fit.parameters["offset"]) >= 0
    assert fit.rss <= fit_constant(np.arange(12.0), trace).rss * (1 + 1e-12)


def test_a_trace_that_rises_is_fitted_by_its_mean():
    fit = fit_exponential(FRAMES, 10 + FRAMES)
    assert fit.parameters["amplitude"] == 0.0
    assert fit.half_life == np.inf
    assert fit.parameters["offset"] == pytest.approx(34.5)
    assert np.isnan([fit.standard_errors["amplitude"], fit.standard_errors["rate"]]).all()


def test_an_offset_below_zero_becomes_zero():
    fit = fit_exponential(FRAMES, curve(FRAMES, 100, 0.02, -20))
    assert fit.parameters["offset"] == 0.0
    assert np.isnan(fit.standard_errors["offset"])
    assert np.isfinite([fit.standard_errors["amplitude"], fit.standard_errors["rate"]]).all()
    assert fit.rss <= rss_of_random_starts(FRAMES, curve(FRAMES, 100, 0.02, -20)) * (1 + 1e-9)


def test_standard_errors_are_the_scatter_of_repeated_experiments():
    fits = [fit_exponential(*noisy_decay(seed, n=200, rate=0.02)) for seed in range(200)]
    for name in ("amplitude", "rate", "offset"):
        scatter = np.std([fit.parameters[name] for fit in fits])
        assert np.median([fit.standard_errors[name] for fit in fits]) == pytest.approx(scatter, rel=0.2)


def test_a_constant_fit_is_the_mean():
    fit = fit_constant(FRAMES, np.full(50, 7.0))
    assert fit.parameters["offset"] == pytest.approx(7.0, rel=1e-15)
    assert fit.is_exact
    assert np.isnan(fit.r2)


def test_correlated_residuals_count_for_fewer_frames():
    rng = np.random.default_rng(5)
    white = rng.normal(size=2000)
    walk = np.cumsum(white)
    assert effective_frames(white, 3) == pytest.approx(2000, rel=0.1)
    assert effective_frames(np.convolve(white, [0.5, 0.5]), 3) == pytest.approx(2000 / 3, rel=0.15)
    assert MIN_EFFECTIVE <= effective_frames(walk, 3) < 50
    assert effective_frames(np.zeros(10), 3) == 10


def test_a_hundred_thousand_frames_take_a_second_and_little_memory():
    times, trace = noisy_decay(0, n=100_000, rate=3e-5)
    start = time.perf_counter()
    fit = fit_exponential(times, trace)
    assert time.perf_counter() - start < 5  # measured 0.15 s; a busy machine is no failure
    assert fit.parameters["rate"] == pytest.approx(3e-5, rel=0.01)


def test_frames_far_apart_in_time_do_no_harm():
    times = np.array([0.0, 1e-9, 1.0, 2.0, 3.0, 1e6])
    fit = fit_exponential(times, curve(times, 50, 0.7, 5))
    np.testing.assert_allclose(fit.curve, curve(times, 50, 0.7, 5), rtol=1e-9)
