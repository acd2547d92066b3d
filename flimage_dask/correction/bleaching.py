"""Photobleaching: from the trace of a series to correction factors."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FitError, ParameterError, SeriesError
from . import advice
from .background import BackgroundValues
from .choice import CANDIDATES, Choice, choose
from .decay import DecayFit, given_decay
from .decay_model import DecayModel
from .estimate import (
    BLEACHING,
    GIVEN,
    NO_BLEACHING,
    NO_FIT,
    NOT_CORRECTED,
    BleachingEstimate,
    times_or_positions,
)
from .factors import factors_of_curve, factors_of_trace, held
from .models import AUTO, EXPONENTIAL, NONE, RATIO, model_named
from .options import FitOptions
from .plateau import frames_before_decay
from .robust import huber_weights
from .scaled import ScaledTrace

__all__ = ["BleachingEstimate", "FitOptions", "estimate_bleaching"]

Array = NDArray[np.float64]

#: The default, an exponential, is fitted to as few frames as flimage fits: one for each parameter. Others need
#: one more to judge them by.
MIN_FRAMES = EXPONENTIAL.n_parameters
WAY_OUT = "Give the acquisition times with times= or frame_interval=."


def estimate_bleaching(
    times: ArrayLike,
    trace: ArrayLike,
    *,
    background: BackgroundValues,
    border_px: int | None = None,
    fit: FitOptions | None = None,
    n_summed: int = 1,
) -> BleachingEstimate:
    """Fit the decay of a trace and derive the correction factors.

    Parameters
    ----------
    times
        (n,) acquisition times in any order [s]. The models "none" and "ratio" also take the frames as they follow
        each other, where a time is NaN or all are equal.
    trace
        (n,) intensity of each frame above the background [counts]. Frames without a finite
        intensity are left out of the fit.
    background, border_px
        What the trace was made with; kept in the answer.
    fit
        Which model, and which frames; None fits an exponential to all of them.
    n_summed
        Pixels that the trace sums over; 1 for a mean. Only corrections that add something need it.

    Returns
    -------
    BleachingEstimate
        In the order of the frames given.

    Raises
    ------
    FitError
        (a ValueError) for fewer frames with a finite intensity, or fewer different times, than
        the model needs, or a fitted curve that reaches zero.
    SeriesError
        (a ValueError) for times that are not finite or all equal, if the model needs them.
    ParameterError
        (a ValueError) if times and trace differ in length, or there is no such model or frame.

    Notes
    -----
    It bleaches if ``(n_eff - 1) ln(RSS_constant / RSS_exponential) > 9``, with n_eff the number of
    independent frames (`decay.effective_frames`): a drift within the noise is not corrected. Where
    the exponential is the wrong curve, two of them are asked too (`choice.choose`).

    Examples
    --------
    >>> times = np.arange(50.0)
    >>> found = estimate_bleaching(times, 150 * np.exp(-0.05 * times) + 10, background=0.0)
    >>> print(f"{found.status}, last factor {found.factors[-1]:.6f}")
    bleaching, last factor 6.973489
    """
    fit = FitOptions() if fit is None else fit
    times, trace = np.array(times, np.float64), np.array(trace, np.float64)
    _check_shape(times, trace)
    if fit.needs_times:
        _check_times(times)
    measured = _Measured(times, trace, background, border_px, n_summed, fit, fit.excluded(trace.size))
    return _without_fit(measured) if fit.model == RATIO else _with_fit(measured)


@dataclass(frozen=True, eq=False)
class _Measured:
    """What was measured, and what is asked of it; see `estimate_bleaching`."""

    stored_times: Array
    trace: Array
    background: BackgroundValues
    border_px: int | None
    n_summed: int
    fit: FitOptions
    excluded: tuple[int, ...]

    @property
    def times(self) -> Array:
        """(n,) times, or the positions of the frames where these need not be known."""
        return self.stored_times if self.fit.needs_times else times_or_positions(self.stored_times)

    @property
    def used(self) -> NDArray[np.bool_]:
        """(n,) whether a frame takes part in the fit."""
        return np.isfinite(self.trace) & ~np.isin(np.arange(self.trace.size), self.excluded)

    def without(self, frames: NDArray[np.intp]) -> Self:
        """Exclude some more frames (m,)."""
        return replace(self, excluded=tuple(sorted({*self.excluded, *frames.tolist()})))

    @property
    def in_estimate(self) -> dict[str, Any]:
        """What an estimate says of it."""
        return {
            "background": self.background,
            "border_px": self.border_px,
            "times": self.stored_times,
            "trace": self.trace,
            "left_out": tuple(np.flatnonzero(~np.isfinite(self.trace)).tolist()),
            "excluded": self.excluded,
            "robust": self.fit.robust,
            "correction": self.fit.correction,
        }


def _with_fit(measured: _Measured) -> BleachingEstimate:
    times, trace, used, fit = measured.times, measured.trace, measured.used, measured.fit
    model = None if fit.model == AUTO else model_named(fit.model)
    _check_frames(times[used], trace, EXPONENTIAL if model is None else model, is_given=fit.is_given)
    choice, outlying = _chosen(model, times[used], trace[used], fit)
    best = choice.fit
    plateau = np.flatnonzero(used)[[] if fit.is_given else frames_before_decay(choice)]
    if plateau.size and best.model == NONE:
        return _after_plateau(measured, plateau)
    first = float(times[used].min())
    # A frame before the first of the fit has no data; its curve is not extrapolated backwards.
    seen = np.maximum(times, first)
    decay = best.at(seen)
    decay[used] = best.curve
    decay_errors = best.errors_at(seen)
    free = factors_of_curve(best, seen, first, fit.correction, measured.n_summed)
    is_judged = fit.is_given or np.count_nonzero(used) > best.model.n_parameters
    if not is_judged:
        # Only what no fit can change is certain: the factor of the reference, and those that are not used.
        decay_errors = np.full_like(decay, np.nan)
        free = free._replace(errors=np.where(free.factors == 1.0, free.errors, np.nan))
    found = held(free, fit.max_factor)
    return BleachingEstimate(
        model=best.model.name,
        requested=AUTO if model is None else model.name,
        formula=best.model.formula,
        status=_status(best, asked_for=model, is_given=fit.is_given),
        decay=decay,
        decay_errors=decay_errors,
        factors=found.factors,
        factor_errors=found.errors,
        shifts=found.shifts,
        parameters=best.parameters,
        standard_errors=best.standard_errors,
        units={parameter.name: parameter.unit for parameter in best.model.parameters},
        half_life=best.half_life,
        r2=best.r2,
        rmse=best.rmse,
        aicc={name: tried.aicc for name, tried in choice.tried.items()},
        outliers=tuple(int(position) for position in np.flatnonzero(used)[outlying]),
        warnings=(
            *advice.of_dark_frames(trace, used),
            *([] if is_judged else [advice.of_unknown_errors(best.model)]),
            *advice.of_frames_to_leave_out(plateau, times),
            *advice.of_the_choice(choice, found.factors, asked_for=model),
            *advice.of_held_factors(free, found),
        ),
        n_effective=best.n_effective,
        neighbour_correlation=best.neighbour_correlation,
        **measured.in_estimate,
    )


def _after_plateau(measured: _Measured, plateau: NDArray[np.intp]) -> BleachingEstimate:
    """Leave out the frames before the decay, and say so: the curve knows no plateau."""
    found = _with_fit(measured.without(plateau))
    return replace(found, warnings=(advice.of_frames_left_out(plateau, measured.times), *found.warnings))


def _without_fit(measured: _Measured) -> BleachingEstimate:
    """Make each frame as bright as the earliest one."""
    times, trace, used, fit = measured.times, measured.trace, measured.used, measured.fit
    if not used.any():
        raise FitError(f"a ratio of intensities needs a frame with a finite intensity; {_what_is_left(trace, 0)}.")
    reference = int(np.flatnonzero(used)[np.argmin(times[used])])
    free = factors_of_trace(times, trace, used, reference, fit.correction, measured.n_summed)
    found = held(free, fit.max_factor)
    return BleachingEstimate(
        model=RATIO,
        requested=RATIO,
        formula="intensity of the reference / intensity",
        status=NO_FIT,
        decay=trace.copy(),
        decay_errors=np.full_like(trace, np.nan),
        factors=found.factors,
        factor_errors=found.errors,
        shifts=found.shifts,
        parameters={},
        standard_errors={},
        units={},
        half_life=np.nan,
        r2=np.nan,
        rmse=0.0,
        aicc={},
        outliers=(),
        warnings=advice.of_a_large_factor(found.factors) + advice.of_held_factors(free, found),
        n_effective=np.nan,
        neighbour_correlation=np.nan,
        **measured.in_estimate,
    )


def _check_shape(times: Array, trace: Array) -> None:
    """Refuse times that do not fit the trace."""
    if times.ndim != 1 or times.shape != trace.shape:
        raise ParameterError(f"times {times.shape} and trace {trace.shape} need the same shape (n,).")


def _check_times(times: Array) -> None:
    """Refuse times that are unknown."""
    unknown = np.flatnonzero(~np.isfinite(times))
    if unknown.size:
        named = ", ".join(map(str, unknown[:5])) + (", …" if unknown.size > 5 else "")
        raise SeriesError(
            f"the times of {unknown.size} of {times.size} frames are not finite (frames {named}). {WAY_OUT}"
        )


def _check_frames(times: Array, trace: Array, model: DecayModel, *, is_given: bool) -> None:
    """Refuse too few times of the frames that are used, of all in a trace, for a model."""
    curve = "an exponential decay" if model == EXPONENTIAL else f"the model '{model.name}'"
    n_used = len(times)
    n_needed = 2 if is_given else MIN_FRAMES if model == EXPONENTIAL else model.min_frames
    if n_used < n_needed:
        fewer = f"The model 'exponential' needs {MIN_FRAMES}; " if n_needed > MIN_FRAMES else ""
        raise FitError(
            f"{curve} needs at least {n_needed} frames with a finite intensity; {_what_is_left(trace, n_used)}. "
            f"{fewer}model='ratio' and background_correction need no fit and take any number of frames."
        )
    n_times = len(np.unique(times))
    if n_times == 1:
        raise SeriesError(f"all {n_used} frames have the same time, {times[0]:g} s. {WAY_OUT}")
    if n_times < model.n_parameters and not is_given:
        raise FitError(f"{curve} needs at least {model.n_parameters} different times, not {n_times}. {WAY_OUT}")


def _what_is_left(trace: Array, n_used: int) -> str:
    """Say how many frames have an intensity, and how many of them are not excluded."""
    n_finite = int(np.count_nonzero(np.isfinite(trace)))
    have_one = f"{n_finite} of {trace.size} have one" if n_finite else f"none of {trace.size} has one"
    return have_one if n_used == n_finite else f"{have_one}, and exclude= leaves {n_used} of them"


def _chosen(model: DecayModel | None, times: Array, trace: Array, fit: FitOptions) -> tuple[Choice, NDArray[np.bool_]]:
    """Return the curve with what it was chosen from, and which frames are outliers."""
    if model is not None and fit.parameters is not None:
        given = given_decay(model, ScaledTrace.of(times, trace), fit.parameters)
        return Choice(given, {model.name: given}), np.zeros(len(trace), np.bool_)
    weights, outlying = _weights(model, times, trace, fit)
    return choose(model, ScaledTrace.of(times, trace, weights)), outlying


def _status(best: DecayFit, *, asked_for: DecayModel | None, is_given: bool) -> str:
    if best.model != NONE:
        return GIVEN if is_given else BLEACHING
    return NOT_CORRECTED if asked_for == NONE else NO_BLEACHING


def _weights(
    model: DecayModel | None, times: Array, trace: Array, fit: FitOptions
) -> tuple[Array | None, NDArray[np.bool_]]:
    """Weight the frames alike, or those far from the most flexible curve in question less."""
    # A curve through all frames leaves no residuals to weight them by.
    if not fit.robust or len(trace) == (model or EXPONENTIAL).n_parameters:
        return None, np.zeros(len(trace), np.bool_)
    enough = [candidate for candidate in CANDIDATES if len(trace) >= candidate.min_frames]
    return huber_weights(enough[-1] if model is None else model, times, trace)
