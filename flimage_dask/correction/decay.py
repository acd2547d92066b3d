"""The decay of a trace: the best exponential there is, found without start values.

``f(tau) = amplitude * exp(-rate * tau) + offset``, all three at least 0. For a known rate the
other two are linear, so that only one dimension is searched (separable least squares, "variable
projection": Golub & Pereyra, SIAM J. Numer. Anal. 10, 413, 1973). Times are counted in units of
their span and intensities in units of the largest, so the units of the data do not matter.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar

Array = NDArray[np.float64]

#: Rates that are scanned: 22 a decade at 10^5 frames, more at fewer. On 300 irregular traces a grid
#: a hundred times as fine found nothing better after refinement.
N_RATES = 200
#: Local minima of the scan that are refined, the deepest first.
MAX_MINIMA = 4
#: A curve that is nearly right leaves smooth residuals: of the mito series (R2 0.997) they count for
#: 0.2 frames, and no evidence would do. Two frames let an R2 above 0.989 speak for itself, which 1 of
#: 1,000 steady random walks of 8 to 300 frames exceeds at most.
MIN_EFFECTIVE = 2.0
#: Elements of a temporary in the scan: 1 MiB, which stays in a core's cache.
SCAN_ELEMENTS = 2**17


@dataclass(frozen=True, eq=False)
class DecayFit:
    """A curve fitted to an intensity trace.

    Parameters
    ----------
    model
        "exponential", or "none" for a constant.
    amplitude, rate, offset
        Of the curve [counts, one over the unit of the times, counts].
    standard_errors
        Of amplitude, rate and offset, allowing for correlated residuals; NaN where a parameter
        is held by its limit or not determined.
    curve
        (n,) the fitted curve at each time [counts].
    r2
        Share of the variance that is explained; NaN for a constant trace.
    rmse
        Root of the mean squared residual [counts].
    rss
        Sum of the squared residuals [counts^2].
    n_effective
        Frames that the residuals are worth, since neighbouring frames are correlated.
    """

    model: str
    amplitude: float
    rate: float
    offset: float
    standard_errors: tuple[float, float, float]
    curve: Array
    r2: float
    rmse: float
    rss: float
    n_effective: float


class _Projection(NamedTuple):
    """The best amplitude and offset for each of some rates, and the derivative by log(rate)."""

    amplitude: Array
    offset: Array
    rss: Array
    slope: Array


def fit_exponential(times: Array, trace: Array) -> DecayFit:
    """Fit an exponential with an offset to a trace: the global optimum.

    Parameters
    ----------
    times
        (n,) finite, n at least 4, in any unit and order, at least three of them different.
    trace
        (n,) finite, not negative, counts.

    Returns
    -------
    DecayFit
        With ``tau = times - times.min()``.

    Examples
    --------
    >>> times = np.arange(50) / 10
    >>> fit = fit_exponential(times, 150 * np.exp(-0.5 * times) + 10)
    >>> print(f"{fit.amplitude:.9f} {fit.rate:.9f} {fit.offset:.9f}")
    150.000000000 0.500000000 10.000000000
    """
    # Sums in one order, whichever order the frames come in: a permuted series gets the same bits.
    order = np.lexsort((trace, times))
    start, span = float(times[order[0]]), float(np.ptp(times))
    largest = float(np.abs(trace).max()) or 1.0
    t, y = (times[order] - start) / span, trace[order] / largest
    rate = _best_rate(t, y)
    best = _project(np.array([rate]), t, y)
    amplitude, offset = float(best.amplitude[0]), float(best.offset[0])
    if amplitude == 0.0:
        rate = 0.0
    curve = amplitude * np.exp(-rate * t) + offset
    errors = _standard_errors(t, y - curve, amplitude, rate, offset)
    units = (largest, 1.0 / span, largest)
    return _describe(
        "exponential",
        (amplitude * largest, rate / span, offset * largest),
        (errors[0] * units[0], errors[1] * units[1], errors[2] * units[2]),
        _unsort(curve * largest, order),
        trace,
        order,
    )


def fit_constant(times: Array, trace: Array) -> DecayFit:
    """Fit a constant: the mean of the trace, for the parameters see `fit_exponential`."""
    order = np.lexsort((trace, times))
    in_time = trace[order]
    mean = float(in_time.mean())
    error = float(in_time.std(ddof=1) / np.sqrt(effective_frames(in_time - mean)))
    curve = np.full(len(trace), mean)
    return _describe("none", (0.0, 0.0, mean), (np.nan, np.nan, error), curve, trace, order)


def effective_frames(residuals: Array) -> float:
    """Count the independent frames that residuals in the order of time are worth.

    Parameters
    ----------
    residuals
        (n,) trace minus fitted curve.

    Returns
    -------
    float
        ``n (1 - rho) / (1 + rho)``, with rho the correlation of neighbours. The fit takes up
        part of it; that bias, ``(1 + 3 rho) / n + 2 / n``, is put back. At least `MIN_EFFECTIVE`.
    """
    n = len(residuals)
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    if power == 0.0:
        return float(n)
    rho = float(centred[1:] @ centred[:-1]) / power
    rho = min(max(rho + (1.0 + 3.0 * rho) / n + 2.0 / n, 0.0), 0.99)
    return max(n * (1.0 - rho) / (1.0 + rho), MIN_EFFECTIVE)


def _best_rate(t: Array, y: Array) -> float:
    """Scan the rates that n frames can tell apart, and refine every deep minimum."""
    steps = np.diff(t)
    rates = np.geomspace(1e-3, 10.0 / steps[steps > 0.0].min(), N_RATES)
    rows = max(1, SCAN_ELEMENTS // len(t))
    rss = np.concatenate([_project(rates[i : i + rows], t, y).rss for i in range(0, N_RATES, rows)])
    fenced = np.concatenate([[np.inf], rss, [np.inf]])
    minima = np.flatnonzero((rss <= fenced[:-2]) & (rss <= fenced[2:]))
    deepest = minima[np.argsort(rss[minima], kind="stable")[:MAX_MINIMA]]
    refined = [_refine(rates[max(i - 1, 0)], rates[i], rates[min(i + 1, N_RATES - 1)], t, y) for i in deepest]
    return float(min(refined, key=lambda rate: float(_project(np.array([rate]), t, y).rss[0])))


def _refine(slower: float, rate: float, faster: float, t: Array, y: Array) -> float:
    """Find the minimum between two rates.

    Where the slope is zero rather than where the sum is lowest: near a minimum the sum changes
    by less than its rounding, and half of the digits of the rate would be lost.
    """

    def slope(log_rate: float) -> float:
        return float(_project(np.exp([log_rate]), t, y).slope[0])

    def rss(log_rate: float) -> float:
        return float(_project(np.exp([log_rate]), t, y).rss[0])

    limits = np.log(slower), np.log(faster)
    if slope(limits[0]) < 0.0 < slope(limits[1]):
        # Where rounding makes the slope change its sign many times, any of these places is the minimum.
        return float(np.exp(brentq(slope, *limits, xtol=1e-15, rtol=1e-15, disp=False)))
    found = minimize_scalar(rss, bounds=limits, method="bounded")
    return float(np.exp(found.x)) if found.fun < rss(float(np.log(rate))) else rate


def _project(rates: Array, t: Array, y: Array) -> _Projection:
    """Solve for amplitude and offset, neither below zero, at each rate."""
    decay = np.exp(-rates[:, None] * t)
    mean = decay.mean(axis=1)
    centred = decay - mean[:, None]
    amplitude = centred @ (y - y.mean()) / np.einsum("ij,ij->i", centred, centred)
    offset = y.mean() - amplitude * mean
    # Outside the limits the optimum lies on one of them: no amplitude, or no offset.
    alone = np.maximum(decay @ y / np.einsum("ij,ij->i", decay, decay), 0.0)
    rises = amplitude < 0.0
    amplitude = np.where(rises, 0.0, np.where(offset < 0.0, alone, amplitude))
    offset = np.where(rises, max(float(y.mean()), 0.0), np.maximum(offset, 0.0))
    slopes = decay * t
    decay *= amplitude[:, None]
    decay += offset[:, None]
    decay -= y
    rss = np.einsum("ij,ij->i", decay, decay)
    slope = -2.0 * rates * amplitude * np.einsum("ij,ij->i", decay, slopes)
    return _Projection(amplitude, offset, rss, slope)


def _standard_errors(
    t: Array, residuals: Array, amplitude: float, rate: float, offset: float
) -> tuple[float, float, float]:
    """Propagate the residuals to the parameters that are free to move, by linearisation."""
    decay = np.exp(-rate * t)
    columns = np.stack([decay, -amplitude * t * decay, np.ones_like(t)], axis=1)
    free = np.array([amplitude > 0.0, amplitude > 0.0, offset > 0.0])
    errors = np.full(3, np.nan)
    if free.any() and np.linalg.matrix_rank(columns[:, free]) == free.sum():
        inverse = np.linalg.pinv(columns[:, free])
        variance = residuals @ residuals / (len(t) - free.sum())
        correlated = len(t) / effective_frames(residuals)
        errors[free] = np.sqrt(variance * correlated * np.einsum("ij,ij->i", inverse, inverse))
    return float(errors[0]), float(errors[1]), float(errors[2])


def _describe(
    model: str,
    parameters: tuple[float, float, float],
    errors: tuple[float, float, float],
    curve: Array,
    trace: Array,
    order: NDArray[np.intp],
) -> DecayFit:
    """Say how well a curve follows a trace."""
    residuals = (trace - curve)[order]
    rss = float(residuals @ residuals)
    deviations = trace[order] - trace[order].mean()
    total = float(deviations @ deviations)
    return DecayFit(
        model,
        *parameters,
        standard_errors=errors,
        curve=curve,
        r2=1.0 - rss / total if np.ptp(trace) > 0.0 else np.nan,
        rmse=float(np.sqrt(rss / len(trace))),
        rss=rss,
        n_effective=effective_frames(residuals),
    )


def _unsort(values: Array, order: NDArray[np.intp]) -> Array:
    """Put values that follow an order back to where they came from."""
    unsorted = np.empty_like(values)
    unsorted[order] = values
    return unsorted
