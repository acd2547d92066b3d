"""Traces without units, in the order of time."""

import numpy as np

from flimage_dask.correction.scaled import MANY_FRAMES, ScaledTrace


def test_times_run_from_zero_to_one_and_intensities_up_to_one():
    trace = ScaledTrace.of(np.array([7.0, 3.0, 5.0]), np.array([10.0, 40.0, 20.0]))
    assert trace.tau.tolist() == [0.0, 0.5, 1.0]
    assert trace.intensity.tolist() == [1.0, 0.5, 0.25]
    assert (trace.start, trace.span, trace.largest) == (3.0, 4.0, 40.0)


def test_values_go_back_to_where_the_frames_came_from():
    times = np.random.default_rng(0).permutation(20).astype(float)
    trace = ScaledTrace.of(times, times + 1.0)
    assert np.array_equal(trace.unsorted(trace.tau), times / 19)


def test_a_trace_of_zeros_is_left_as_it_is():
    trace = ScaledTrace.of(np.arange(5.0), np.zeros(5))
    assert trace.largest == 1.0
    assert not trace.intensity.any()


def test_coinciding_frames_do_not_count_as_the_shortest_step():
    assert ScaledTrace.of(np.array([0.0, 0.0, 1.0, 4.0]), np.ones(4)).shortest_step == 0.25


def test_a_short_trace_is_not_condensed():
    trace = ScaledTrace.of(np.arange(100.0), np.ones(100))
    assert trace.condensed() is trace


def test_a_long_trace_is_condensed_to_means_that_keep_its_sums():
    n = 20 * MANY_FRAMES
    rng = np.random.default_rng(1)
    trace = ScaledTrace.of(np.arange(float(n)), rng.uniform(0.5, 1, n), rng.uniform(0, 1, n))
    coarse = trace.condensed()
    assert len(coarse.tau) < MANY_FRAMES
    np.testing.assert_allclose(coarse.tau[:1000], trace.tau[:1000], rtol=1e-12)
    assert (np.diff(coarse.tau) > 0).all()
    np.testing.assert_allclose(coarse.weights.sum(), trace.weights.sum())
    np.testing.assert_allclose(coarse.weights @ coarse.intensity, trace.weights @ trace.intensity)


def test_frames_without_weight_leave_no_hole_in_a_condensed_trace():
    n = 2 * MANY_FRAMES
    weights = np.ones(n)
    weights[n // 2 :] = 0.0
    coarse = ScaledTrace.of(np.arange(float(n)), np.ones(n), weights).condensed()
    assert np.isfinite(coarse.tau).all()
    assert np.isfinite(coarse.intensity).all()
