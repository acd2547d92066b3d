"""The best curve of a model: the global optimum, found without start values.

For given shape parameters (rates, an exponent) the coefficients follow from linear least squares within
their limits, so only one or two dimensions are searched ("variable projection": Golub & Pereyra, SIAM
J. Numer. Anal. 10, 413, 1973; the derivative after Kaufman, BIT 15, 49, 1975). They are scanned on a
grid of logarithms, and each deep minimum is descended by Newton's method until its slope vanishes.
"""

from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from .decay_model import DecayModel
from .model_probe import probe
from .models import FASTEST
from .scaled import ScaledTrace

Array = NDArray[np.float64]

#: Grid points of a dimension, finely and coarsely: 22 or 5 a decade at 10^5 frames.
FINE, COARSE = 200, 48
#: The same, by the number of dimensions.
GRID = {1: FINE, 2: COARSE}
#: Minima of the scan that are descended, the deepest first.
MAX_MINIMA = 6
#: Elements of a temporary in the scan: 2 MiB, which stays in a core's cache.
SCAN_ELEMENTS = 2**18
#: Makes the normal equations of columns that coincide solvable; the scan only needs the basins.
RIDGE = 1e-13
#: Sums of the scan that differ by less, relative to that of the trace, are the same.
SAME_RSS = 1e-10
#: Of a descent: steps at most, and the longest in a logarithm.
MAX_STEPS, LONGEST = 60, 1.5
#: A whole step of Newton so short is the last: what it leaves is less by the error of the curvature, 1e-5 or so.
LAST = 1e-9
UNDAMPED = 1e-12
#: A damped step that is too short to matter.
SHORTEST = 1e-13
#: Step of a logarithm in the differences of slopes that give the curvature.
DIFFERENCE = 1e-5
#: A residual sum that grows by no more than this is as good, if the slope is smaller.
RSS_ROUNDING = 1e-12


class Optimum(NamedTuple):
    """A curve with the coefficients that fit a trace best.

    Attributes
    ----------
    shape
        (d,) shape parameters, times in spans.
    coefficients
        (p,) in units of the largest intensity.
    curve
        (n,) in the order of time.
    rss
        Weighted sum of squared residuals.
    slope
        (d,) derivative of `rss` by the logarithms of the shape parameters.
    """

    shape: Array
    coefficients: Array
    curve: Array
    rss: float
    slope: Array


def fit_globally(model: DecayModel, trace: ScaledTrace) -> Optimum:
    """Find the curve of a model with the least weighted sum of squared residuals.

    Parameters
    ----------
    model
        With at most two shape parameters.
    trace
        With at least as many frames as the model has parameters.

    Raises
    ------
    ParameterError
        (a ValueError) if the columns of the model cannot be fitted, see `model_probe`.

    Examples
    --------
    >>> from flimage_dask.correction.models import BIEXPONENTIAL
    >>> times = np.arange(100.0)
    >>> two_rates = 60 * np.exp(-0.2 * times) + 30 * np.exp(-0.02 * times) + 10
    >>> best = fit_globally(BIEXPONENTIAL, ScaledTrace.of(times, two_rates))
    >>> (best.shape / 99).round(6).tolist(), best.coefficients.round(6).tolist()
    ([0.2, 0.02], [0.6, 0.3, 0.1])
    """
    limits = shape_limits(model, trace)
    probe(model, trace.tau, *np.exp(limits))
    coarse = trace.condensed()
    found = [_descend(model, coarse, start, limits) for start in _deepest(model, coarse, limits)]
    best = min(found, key=_rss_of)
    best = min([best, *_lower_across(model, coarse, best, limits)], key=_rss_of)
    if coarse is not trace:
        best = _descend(model, trace, best.shape, limits)
    return project(model, trace, model.canonical(best.shape))


def fit_nearby(model: DecayModel, trace: ScaledTrace, start: Array) -> Optimum:
    """Find the minimum in whose basin some shape parameters (d,) lie; see `fit_globally`."""
    best = _descend(model, trace, start, shape_limits(model, trace))
    return project(model, trace, model.canonical(best.shape))


def scan_for_rate(model: DecayModel, trace: ScaledTrace) -> tuple[Array, float]:
    """Return the best of a coarse grid of rates (1,), and its residual sum; the model has no other shape parameter."""
    (axis,) = _axes(shape_limits(model, trace), COARSE)
    rates = axis[:, None]
    rss = _scan(model, trace, rates)
    least = int(np.argmin(rss))
    return rates[least], float(rss[least])


def project(model: DecayModel, trace: ScaledTrace, shape: Array) -> Optimum:
    """Solve for the best coefficients within their limits, for given shape parameters (d,)."""
    matrix = model.matrix(trace.tau, shape)
    roots = np.sqrt(trace.weights)
    coefficients = _solve(matrix * roots[:, None], trace.intensity * roots, model)
    curve = matrix @ coefficients
    residuals = trace.intensity - curve
    weighted = trace.weights * residuals
    slope = -2.0 * (model.slope_matrix(trace.tau, shape) @ coefficients) @ weighted
    return Optimum(shape, coefficients, curve, float(residuals @ weighted), slope)


def shape_limits(model: DecayModel, trace: ScaledTrace) -> tuple[Array, Array]:
    """Return the logarithms of the least and of the largest shape parameters."""
    fastest = FASTEST / trace.shortest_step
    limits = [parameter.limits or (parameter.slowest, fastest) for parameter in model.shape_parameters]
    low, high = np.log(np.array(limits, dtype=np.float64).reshape(-1, 2)).T
    return low, high


def _deepest(model: DecayModel, trace: ScaledTrace, limits: tuple[Array, Array]) -> list[Array]:
    """Scan a grid of shape parameters and return the deepest of its minima."""
    n_dimensions = len(model.shape_parameters)
    if n_dimensions == 0:
        return [np.empty(0)]
    mesh = np.stack(np.meshgrid(*_axes(limits, GRID[n_dimensions]), indexing="ij"), axis=-1)
    points = mesh.reshape(-1, n_dimensions)
    # Of equivalent curves, one is enough.
    scanned = np.flatnonzero((model.canonical(points) == points).all(axis=1))
    rss = np.full(len(points), np.inf)
    rss[scanned] = _scan(model, trace, points[scanned])
    lowest_around = minimum_filter(rss.reshape(mesh.shape[:-1]), size=3, mode="nearest").ravel()
    minima = np.flatnonzero((rss <= lowest_around) & np.isfinite(rss))
    minima = minima[np.argsort(rss[minima], kind="stable")]
    # A coefficient of 0 makes a plateau, on which every point is a minimum: one of them is enough.
    is_another = np.diff(rss[minima], prepend=-np.inf) > SAME_RSS * float(trace.weights @ trace.intensity**2)
    return [points[place] for place in minima[is_another][:MAX_MINIMA]]


def _lower_across(
    model: DecayModel, trace: ScaledTrace, optimum: Optimum, limits: tuple[Array, Array]
) -> list[Optimum]:
    """Look for lower sums far away along one shape parameter, with the others at their optimum.

    A second rate that matters for a frame or two only has a basin so narrow in the first rate that
    it falls between the points of the grid.
    """
    found: list[Optimum] = []
    n_dimensions = len(optimum.shape)
    for dimension, axis in enumerate(_axes(limits, GRID[n_dimensions])) if n_dimensions > 1 else ():
        line = np.tile(optimum.shape, (len(axis), 1))
        line[:, dimension] = axis
        lowest = line[np.argmin(_scan(model, trace, line))]
        found.append(_descend(model, trace, lowest, limits))
    best = min(found, key=_rss_of, default=optimum)
    if best.rss < optimum.rss * (1.0 - RSS_ROUNDING):
        found += _lower_across(model, trace, best, limits)
    return found


def _axes(limits: tuple[Array, Array], n_points: int) -> list[Array]:
    """Return the values of each shape parameter that a scan takes."""
    return [np.exp(np.linspace(low, high, n_points)) for low, high in zip(*limits, strict=True)]


def _rss_of(optimum: Optimum) -> float:
    return optimum.rss


def _scan(model: DecayModel, trace: ScaledTrace, points: Array) -> Array:
    """Return the least residual sums (m,) of shape parameters (m, d), a few at a time."""
    rows = max(1, SCAN_ELEMENTS // (len(trace.tau) * len(model.coefficients)))
    parts = [points[first : first + rows] for first in range(0, len(points), rows)]
    return np.concatenate([_approximate_rss(model, trace, part) for part in parts])


def _approximate_rss(model: DecayModel, trace: ScaledTrace, shapes: Array) -> Array:
    """Return the least residual sums (m,) of many shapes (m, d), by normal equations."""
    roots = np.sqrt(trace.weights)
    matrices = model.matrix(trace.tau, shapes)
    matrices *= roots[:, None]
    lengths = np.sqrt(np.einsum("mnp,mnp->mp", matrices, matrices))
    matrices /= np.where(lengths > 0.0, lengths, 1.0)[:, None, :]
    target = trace.intensity * roots
    normal = matrices.transpose(0, 2, 1) @ matrices
    projected = target @ matrices
    total = float(target @ target)
    least = np.full(len(shapes), total)
    signed = np.array([parameter.lowest == 0.0 for parameter in model.coefficients])
    for kept in _supports(tuple(signed)):
        part = normal[:, kept][:, :, kept] + RIDGE * np.eye(len(kept))
        solved = np.linalg.solve(part, projected[:, kept, None])[..., 0]
        allowed = (solved[:, signed[list(kept)]] >= 0.0).all(axis=1)
        rss = total - np.einsum("mp,mp->m", solved, projected[:, kept])
        least = np.where(allowed, np.minimum(least, rss), least)
    return least


def _solve(matrix: Array, target: Array, model: DecayModel) -> Array:
    """Solve linear least squares with some coefficients not below 0, by trying which are held at 0."""
    signed = np.array([parameter.lowest == 0.0 for parameter in model.coefficients])
    orthogonal, triangular = np.linalg.qr(matrix)
    projected = target @ orthogonal
    best, least = np.zeros(len(signed)), np.inf
    for kept in _supports(tuple(signed)):
        columns = triangular[:, kept]
        solved = np.linalg.lstsq(columns, projected, rcond=1e-15)[0]
        if (solved[signed[list(kept)]] < 0.0).any():
            continue
        missed = projected - columns @ solved
        rss = float(missed @ missed)
        if rss < least:
            best, least = np.zeros(len(signed)), rss
            best[list(kept)] = solved
        if len(kept) == len(signed):
            break  # What is best without limits and keeps them is best within them.
    return best


@cache
def _supports(signed: tuple[bool, ...]) -> tuple[tuple[int, ...], ...]:
    """Return which coefficients may differ from 0, the largest sets first."""
    places = range(len(signed))
    held = [place for place in places if signed[place]]
    sets = (set(places) - set(zero) for n in range(len(held) + 1) for zero in combinations(held, n))
    return tuple(tuple(sorted(kept)) for kept in sets if kept)


def _descend(model: DecayModel, trace: ScaledTrace, start: Array, limits: tuple[Array, Array]) -> Optimum:
    """Follow Newton's steps in the logarithms of the shape parameters to the bottom of a basin.

    Where the slope is zero rather than where the sum is lowest: near a minimum the sum changes
    by less than its rounding, and half of the digits would be lost.
    """
    low, high = limits
    place = np.log(start)
    here = project(model, trace, start)
    if len(start) == 0:
        return here
    damping = 1e-3
    curvature = _curvature(model, trace, place, here, high)
    for _ in range(MAX_STEPS):
        free = ~((place <= low) & (here.slope > 0.0)) & ~((place >= high) & (here.slope < 0.0))
        if not here.slope[free].any():
            break
        downhill = here.slope[free], curvature[np.ix_(free, free)]
        whole = _newton_step(*downhill, UNDAMPED)
        is_last = np.abs(whole).max() < LAST
        step = np.zeros_like(place)
        step[free] = whole if is_last else _newton_step(*downhill, damping)
        next_place = np.clip(place + step, low, high)
        if np.abs(next_place - place).max() < SHORTEST:
            break
        there = project(model, trace, np.exp(next_place))
        if is_last:
            return there if _is_lower(there, here, free) else here
        if _is_lower(there, here, free):
            place, here, damping = next_place, there, damping / 10.0
            curvature = _curvature(model, trace, place, here, high)
        else:
            damping = max(10.0 * damping, 1e-6)
    return here


def _is_lower(there: Optimum, here: Optimum, free: NDArray[np.bool_]) -> bool:
    if there.rss < here.rss * (1.0 - RSS_ROUNDING):
        return True
    flatter = float(np.abs(there.slope[free]).max()) < float(np.abs(here.slope[free]).max())
    return flatter and there.rss <= here.rss * (1.0 + RSS_ROUNDING)


def _newton_step(slope: Array, curvature: Array, damping: float) -> Array:
    """Step downhill: Newton's step, with negative curvatures turned round and all of them damped."""
    values, vectors = np.linalg.eigh(curvature)
    sizes = np.abs(values)
    steepness = np.maximum(sizes + damping * sizes.max(), np.finfo(float).tiny)
    step: Array = -vectors @ ((slope @ vectors) / steepness)
    length = float(np.abs(step).max())
    return step * (LONGEST / length) if length > LONGEST else step


def _curvature(model: DecayModel, trace: ScaledTrace, place: Array, here: Optimum, high: Array) -> Array:
    """Return the second derivatives (d, d) of the residual sum, from differences of its slope."""
    rows = np.empty((len(place), len(place)))
    for dimension in range(len(place)):
        difference = DIFFERENCE if place[dimension] + DIFFERENCE <= high[dimension] else -DIFFERENCE
        beside = place.copy()
        beside[dimension] += difference
        rows[dimension] = (project(model, trace, np.exp(beside)).slope - here.slope) / difference
    return (rows + rows.T) / 2.0
