"""Weights against wrong frames."""

import numpy as np
import pytest

from flimage_dask.correction.decay import fit_decay
from flimage_dask.correction.models import BIEXPONENTIAL, EXPONENTIAL
from flimage_dask.correction.robust import huber_weights

TIMES = np.arange(100.0)
TRUTH = 100 * np.exp(-TIMES / 30) + 20


def disturbed(seed=0, noise=1.0):
    trace = TRUTH + np.random.default_rng(seed).normal(0, noise, 100)
    trace[[10, 11, 60]] += [60.0, 40.0, -25.0]
    return trace


def test_a_few_wrong_frames_do_not_bend_the_curve():
    weights, _ = huber_weights(EXPONENTIAL, TIMES, disturbed())
    bent = fit_decay(EXPONENTIAL, TIMES, disturbed())
    robust = fit_decay(EXPONENTIAL, TIMES, disturbed(), weights)
    assert np.abs(robust.curve - TRUTH).max() < 1.0
    assert np.abs(bent.curve - TRUTH).max() > 3.0


def test_the_wrong_frames_are_named():
    _, outlying = huber_weights(EXPONENTIAL, TIMES, disturbed())
    assert np.flatnonzero(outlying).tolist() == [10, 11, 60]


def test_frames_in_any_order_keep_their_weights():
    order = np.random.default_rng(1).permutation(100)
    weights, _ = huber_weights(BIEXPONENTIAL, TIMES, disturbed())
    permuted, _ = huber_weights(BIEXPONENTIAL, TIMES[order], disturbed()[order])
    np.testing.assert_allclose(permuted, weights[order], rtol=1e-9)


def test_units_do_not_matter():
    weights, _ = huber_weights(EXPONENTIAL, TIMES, disturbed())
    np.testing.assert_allclose(huber_weights(EXPONENTIAL, TIMES * 1e-3, disturbed() * 1e6)[0], weights, rtol=1e-7)


def test_a_perfect_trace_weights_all_frames_alike():
    weights, outlying = huber_weights(EXPONENTIAL, TIMES, np.full(100, 7.0))
    assert (weights == 1.0).all()
    assert not outlying.any()


def test_standard_errors_hold_with_outliers():
    fits = []
    for seed in range(50):
        trace = disturbed(seed)
        fits.append(fit_decay(EXPONENTIAL, TIMES, trace, huber_weights(EXPONENTIAL, TIMES, trace)[0]))
    scatter = np.std([fit.parameters["rate"] for fit in fits])
    assert np.median([fit.standard_errors["rate"] for fit in fits]) == pytest.approx(scatter, rel=0.35)
