"""From a fitted curve, or from the trace itself, to what each frame is multiplied with and what is added to it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import FitError
from .decay import ROUNDING, DecayFit
from .models import NONE
from .options import ADDITIVE, BLEACHABLE

Array = NDArray[np.float64]


class Factors(NamedTuple):
    """How frames are corrected: ``(x - background) * factors + shifts``.

    Attributes
    ----------
    factors
        (n,) correction factors.
    errors
        (n,) half the widths of the 68 % intervals of their logarithms; NaN where nothing tells them.
    shifts
        (n,) counts a pixel.
    """

    factors: Array
    errors: Array
    shifts: Array


def factors_of_curve(fit: DecayFit, times: Array, reference: float, correction: str, n_summed: int) -> Factors:
    """Derive factors and shifts from a curve f.

    Parameters
    ----------
    fit
        The curve.
    times
        (n,) times of the frames, none before the reference.
    reference
        Time of the frame that all others are made like.
    correction
        "factor": ``g = f(reference) / f(t)``; "bleachable": the same of the part of the curve that bleaches,
        while the rest c of a pixel, such as autofluorescence, stays: ``(x - c) g + c``; "additive":
        ``x + f(reference) - f(t)`` a pixel.
    n_summed
        Pixels that the trace sums over: 1 for a mean.

    Raises
    ------
    FitError
        (a ValueError) if the curve reaches 0, which no factor can correct.
    """
    nothing = np.zeros_like(times)
    if fit.model == NONE:
        return Factors(np.ones_like(times), nothing, nothing)
    curve, at_reference = fit.at(times), float(fit.at(np.array([reference]))[0])
    if correction == ADDITIVE:
        return Factors(np.ones_like(times), nothing, (at_reference - curve) / n_summed)
    bleachable = fit.bleachable_part() if correction == BLEACHABLE else fit
    factors = ratios(bleachable.at(times), float(bleachable.at(np.array([reference]))[0]))
    steady = (curve - bleachable.at(times)) / n_summed
    return Factors(factors, bleachable.log_ratio_errors(times, reference), steady * (1.0 - factors))


def factors_of_trace(
    times: Array, trace: Array, used: NDArray[np.bool_], reference: int, correction: str, n_summed: int
) -> Factors:
    """Derive factors and shifts from a trace itself: after the correction all frames have the same intensity.

    Between the frames that are used, factors are interpolated in time. Without a curve nothing tells noise from decay,
    so that the errors are unknown.
    """
    order = np.flatnonzero(used)[np.argsort(times[used], kind="stable")]
    nothing = np.zeros_like(trace)
    if correction == ADDITIVE:
        shifts = np.interp(times, times[order], (trace[reference] - trace[order]) / n_summed)
        shifts[order] = (trace[reference] - trace[order]) / n_summed
        return Factors(np.ones_like(trace), nothing, shifts)
    known = np.full_like(trace, np.inf)
    known[order] = trace[order]
    exact = ratios(known, float(trace[reference]))
    factors = np.interp(times, times[order], exact[order])
    factors[order] = exact[order]
    errors = np.full_like(trace, np.nan)
    errors[reference] = 0.0
    return Factors(factors, errors, nothing)


def ratios(curve: Array, at_reference: float) -> Array:
    """Return the intensity at the reference over that of each frame.

    Raises
    ------
    FitError
        (a ValueError) if the intensity of a frame is 0 or less, to rounding.
    """
    endless = np.flatnonzero(curve <= ROUNDING * at_reference)
    if endless.size:
        first = int(endless[0])
        # What is dark to the end was bleached, or the light was off.
        to_the_end = first > 0 and len(endless) == len(curve) - first
        way_out = f"fls[:{first}]" if to_the_end else f"exclude={endless[:5].tolist()}"
        raise FitError(
            f"the intensity, or the decay fitted to it, reaches 0 at frame {first}, which no factor can correct. "
            f"Give a lower background, or leave out the frames without fluorescence, such as with {way_out}."
        )
    factors: Array = at_reference / curve
    return factors


def held(found: Factors, max_factor: float | None) -> Factors:
    """Hold factors at a largest one."""
    if max_factor is None or found.factors.max() <= max_factor:
        return found
    factors = np.minimum(found.factors, max_factor)
    # What is added to keep the steady part is proportional to 1 - g.
    share = np.divide(1.0 - factors, 1.0 - found.factors, out=np.ones_like(factors), where=found.factors != 1.0)
    return Factors(factors, np.where(factors < found.factors, 0.0, found.errors), found.shifts * share)
