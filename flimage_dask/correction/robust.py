"""Weights that keep a few wrong frames from bending a fit."""

import numpy as np
from numpy.typing import NDArray

from .decay_model import DecayModel
from .scaled import ScaledTrace
from .separable import fit_globally, fit_nearby

Array = NDArray[np.float64]

#: Residuals beyond this many standard deviations count less; 95 % as efficient as least squares where
#: all is well (Huber, Ann. Math. Statist. 35, 73, 1964).
TUNING = 1.345
#: Residuals beyond this many standard deviations are reported as outliers (Iglewicz & Hoaglin, 1993).
OUTLYING = 3.5
#: The median of the absolute deviations of a normal distribution, to its standard deviation.
MEDIAN_TO_SIGMA = 1.4826
MAX_REWEIGHTINGS, SETTLED = 30, 1e-4


def huber_weights(model: DecayModel, times: Array, trace: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Find weights that let the bulk of the frames decide on the curve.

    Parameters
    ----------
    model
        The most flexible curve that is considered.
    times, trace
        (n,) finite; see `decay.fit_decay`.

    Returns
    -------
    weights : numpy.ndarray
        (n,) from 0 to 1: 1.345 s / |residual| beyond 1.345 s, with s 1.4826 times the median of
        the absolute residuals.
    outlying : numpy.ndarray
        (n,) bool, beyond 3.5 s.

    Notes
    -----
    Iteratively reweighted least squares (Holland & Welsch, Commun. Statist. A 6, 813, 1977).

    Examples
    --------
    >>> from flimage_dask.correction.models import EXPONENTIAL
    >>> times = np.arange(50.0)
    >>> trace = 100 * np.exp(-times / 20) + np.random.default_rng(0).normal(0, 1, 50)
    >>> trace[7] += 80
    >>> weights, outlying = huber_weights(EXPONENTIAL, times, trace)
    >>> np.flatnonzero(outlying), bool(weights[7] < 0.05)
    (array([7]), True)
    """
    scaled = ScaledTrace.of(times, trace)
    best = fit_globally(model, scaled)
    weights, sizes = np.ones(len(trace)), np.zeros(len(trace))
    for _ in range(MAX_REWEIGHTINGS):
        residuals = scaled.unsorted(scaled.intensity - best.curve)
        deviation = MEDIAN_TO_SIGMA * float(np.median(np.abs(residuals)))
        if deviation == 0.0:
            break
        sizes = np.abs(residuals) / deviation
        new = np.minimum(1.0, TUNING / np.maximum(sizes, TUNING))
        settled = np.abs(new - weights).max() < SETTLED
        weights = new
        if settled:
            break
        scaled = ScaledTrace.of(times, trace, weights)
        best = fit_nearby(model, scaled, best.shape)
    return weights, sizes > OUTLYING
