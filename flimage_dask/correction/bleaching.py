"""Photobleaching: from the trace of a series to correction factors, and from factors to frames."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FitError, ParameterError, SeriesError
from .background import BackgroundValues, frame_backgrounds
from .choice import CANDIDATES, Choice, choose, exceeds_noise
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
from .factors import Factors, factors_of_curve, factors_of_trace, held
from .models import AUTO, EXPONENTIAL, NONE, RATIO, model_named
from .options import FitOptions
from .plateau import frames_before_decay
from .robust import huber_weights
from .scaled import ScaledTrace
from .strips import Strips

__all__ = ["BleachingEstimate", "FitOptions", "correct", "estimate_bleaching"]

Array = NDArray[np.float64]

#: The default, an exponential, is fitted to as few frames as flimage fits: one for each parameter. Others need
#: one more to judge them by.
MIN_FRAMES = EXPONENTIAL.n_parameters
#: Correction factors above this one are reported.
LARGE_FACTOR = 10.0
WAY_OUT = "Give the acquisition times with times= or frame_interval=."
#: Intensities whose mean is this far below 0, relative to the largest, have too high a background.
DARK = 0.01
#: The median of the steps from one value of noise to the next, in standard deviations.
MEDIAN_STEP = 0.954
#: Where a curve explains this share of a trace, it is said to change rather than to vary.
FALLS = 0.5
#: Factors below 1 by more than rounding are reported.
BELOW_ONE = 1.0 - 1e-9


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
    the exponential is the wrong curve, two of them are asked too (`choice.bleaches`).

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
    measured = np.isfinite(trace)
    excluded = fit.excluded(trace.size)
    used = measured & ~np.isin(np.arange(trace.size), excluded)
    origin: dict[str, Any] = {
        "background": background,
        "border_px": border_px,
        "times": times,
        "trace": trace,
        "left_out": _positions(~measured),
        "excluded": excluded,
        "robust": fit.robust,
        "correction": fit.correction,
    }
    if fit.needs_times:
        _check_times(times)
    else:
        times = times_or_positions(times)
    if fit.model == RATIO:
        return _without_fit(times, trace, used, fit, n_summed, origin)
    return _with_fit(times, trace, used, fit, n_summed, origin)


def _with_fit(
    times: Array, trace: Array, used: NDArray[np.bool_], fit: FitOptions, n_summed: int, origin: dict[str, Any]
) -> BleachingEstimate:
    model = None if fit.model == AUTO else model_named(fit.model)
    _check_frames(times[used], trace, EXPONENTIAL if model is None else model, is_given=fit.parameters is not None)
    choice, outlying = _chosen(model, times[used], trace[used], fit)
    best = choice.fit
    level = np.flatnonzero(used)[[] if fit.parameters is not None else frames_before_decay(choice)]
    if level.size and best.model == NONE:
        return _after_plateau(times, trace, used, level, fit, n_summed, origin)
    first = float(times[used].min())
    # A frame before the first of the fit has no data; its curve is not extrapolated backwards.
    seen = np.maximum(times, first)
    decay = best.at(seen)
    decay[used] = best.curve
    decay_errors = best.errors_at(seen)
    free = factors_of_curve(best, seen, first, fit.correction, n_summed)
    is_judged = fit.parameters is not None or np.count_nonzero(used) > best.model.n_parameters
    if not is_judged:
        # Only what no fit can change is certain: the factor of the reference, and those that are not used.
        decay_errors = np.full_like(decay, np.nan)
        free = free._replace(errors=np.where(free.factors == 1.0, free.errors, np.nan))
    found = held(free, fit.max_factor)
    return BleachingEstimate(
        model=best.model.name,
        requested=AUTO if model is None else model.name,
        formula=best.model.formula,
        status=_status(best, asked_for=model, is_given=fit.parameters is not None),
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
            *_what_is_dark(trace, used),
            *([] if is_judged else [_what_is_not_known(best.model)]),
            *_what_to_leave_out(level, times),
            *_what_needs_a_look(choice, found.factors, asked_for=model),
            *_what_is_held(free, found),
        ),
        n_effective=best.n_effective,
        neighbour_correlation=best.neighbour_correlation,
        **origin,
    )


def _after_plateau(
    times: Array,
    trace: Array,
    used: NDArray[np.bool_],
    level: NDArray[np.intp],
    fit: FitOptions,
    n_summed: int,
    origin: dict[str, Any],
) -> BleachingEstimate:
    """Leave out the frames before the decay, and say so: the curve knows no plateau."""
    later = used.copy()
    later[level] = False
    excluded = tuple(sorted({*origin["excluded"], *level.tolist()}))
    found = _with_fit(times, trace, later, fit, n_summed, {**origin, "excluded": excluded})
    text = f"{_what_is_level(level, times)}: these {len(level)} frames are left out of the fit, their factors are 1."
    return replace(found, warnings=(text, *found.warnings))


def _without_fit(
    times: Array, trace: Array, used: NDArray[np.bool_], fit: FitOptions, n_summed: int, origin: dict[str, Any]
) -> BleachingEstimate:
    """Make each frame as bright as the earliest one."""
    if not used.any():
        raise FitError(f"a ratio of intensities needs a frame with a finite intensity; {_what_is_left(trace, 0)}.")
    reference = int(np.flatnonzero(used)[np.argmin(times[used])])
    free = factors_of_trace(times, trace, used, reference, fit.correction, n_summed)
    found = held(free, fit.max_factor)
    return BleachingEstimate(
        model=RATIO,
        requested=RATIO,
        formula="intensity of the reference / intensity",
        status=NO_FIT,
        decay=trace.copy(),
        decay_errors=np.zeros_like(trace),
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
        warnings=_large_factor(found.factors) + _what_is_held(free, found),
        n_effective=np.nan,
        neighbour_correlation=np.nan,
        **origin,
    )


def correct(
    block: NDArray[Any], background: BackgroundValues, factors: ArrayLike, shifts: ArrayLike | None = None
) -> NDArray[Any]:
    """Subtract the background of frames, multiply them with their factors, and add what is to be added.

    Parameters
    ----------
    block
        (frame, y, x), counts. Pixels that are not finite stay as they are.
    background
        Counts: a number, (frame,) numbers, or an image (y, x).
    factors
        (frame,) correction factors.
    shifts
        (frame,) counts that are added to each pixel; None adds nothing.

    Returns
    -------
    numpy.ndarray
        (frame, y, x), counts: ``(block - background) * factors + shifts``, computed in float64 and
        rounded once to float32, or to float64 for pixels of 32-bit integers and wider types.

    Raises
    ------
    ParameterError
        (a ValueError) if background or factors do not fit the block.

    Examples
    --------
    >>> correct(np.array([[[5, 7]]], np.uint8), 2.0, [1.5])
    array([[[4.5, 7.5]]], dtype=float32)
    """
    factors = np.asarray(factors, np.float64)
    if factors.shape != block.shape[:1]:
        raise ParameterError(f"{len(block)} frames need as many factors, not an array {factors.shape}.")
    added = np.zeros_like(factors) if shifts is None else np.asarray(shifts, np.float64)
    corrected = np.empty(block.shape, np.result_type(block.dtype, np.float32))
    strips = Strips.of(block)
    levels = frame_backgrounds(background, block)
    for frame, level, factor, shift, target in zip(block, levels, factors, added, corrected, strict=True):
        for rows, above in strips.above(frame, level):
            np.multiply(above, factor, out=above)
            if shift != 0.0:
                np.add(above, shift, out=above)
            np.copyto(target[rows], above, casting="same_kind")
    return corrected


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


def _what_needs_a_look(choice: Choice, factors: Array, *, asked_for: DecayModel | None) -> tuple[str, ...]:
    fit = choice.fit
    if fit.model == NONE:
        return (_what_is_no_decay(choice),) if fit.varies and asked_for != NONE else ()
    texts = _large_factor(factors)
    constant = choice.tried.get(NONE.name)
    if constant is not None and asked_for == fit.model == EXPONENTIAL and not exceeds_noise(constant, fit):
        texts = ("the intensity decays, but not as an exponential: give model='auto'.", *texts)
    least = int(np.argmin(factors))
    if factors[least] < BELOW_ONE:
        texts += (
            f"the fitted decay rises: frame {least} is dimmed, by a factor of {factors[least]:.4g}. "
            "The model 'exponential' never falls below a factor of 1.",
        )
    return texts


def _what_is_no_decay(choice: Choice) -> str:
    """Tell noise and drift from an intensity that falls, but in another way than the curves."""
    nearest = max(choice.tried.values(), key=lambda tried: tried.r2)
    if nearest.r2 < FALLS:
        return (
            "the intensity varies, but does not decay beyond its noise: no bleaching is corrected, all factors are 1."
        )
    return (
        f"the intensity changes, but the nearest curve ('{nearest.model.name}', R2 {nearest.r2:.3f}) misses it by a "
        f"drift that neighbouring frames share: no bleaching is corrected, all factors are 1. Look at plot(); another "
        f"background=, exclude= or model='ratio' may help."
    )


def _what_is_dark(trace: Array, used: NDArray[np.bool_]) -> tuple[str, ...]:
    """Name the frames whose background is too high."""
    largest = float(trace[used].max())
    if largest <= 0.0:
        return ("no frame is brighter than the background: all factors are 1.",)
    dark = np.flatnonzero(used & (trace < 0.0))
    steps = np.abs(np.diff(trace[used]))
    noise = float(np.median(steps)) / MEDIAN_STEP if steps.size else 0.0
    if dark.size == 0 or -trace[dark].mean() <= max(2.0 * noise, DARK * largest):
        return ()
    return (
        f"the intensity is negative in {dark.size} frames, first in frame {dark[0]}: their background is too high.",
    )


def _what_is_not_known(model: DecayModel) -> str:
    n = model.n_parameters
    return (
        f"{n} frames determine the {n} parameters of the model '{model.name}', and none is left to judge it by: "
        "the errors of the factors are unknown."
    )


def _what_to_leave_out(level: NDArray[np.intp], times: Array) -> tuple[str, ...]:
    if not level.size:
        return ()
    return (f"{_what_is_level(level, times)}: leave these {len(level)} frames out of the fit with exclude=.",)


def _what_is_level(level: NDArray[np.intp], times: Array) -> str:
    last = int(level[np.argmax(times[level])])
    return (
        f"the intensity is level up to frame {last} and decays afterwards, as where the first frames are saturated "
        "or a shutter opens late"
    )


def _large_factor(factors: Array) -> tuple[str, ...]:
    largest = int(np.argmax(factors))
    if factors[largest] <= LARGE_FACTOR:
        return ()
    return (
        f"the correction factor reaches {factors[largest]:.4g} (frame {largest}), and so does the gain "
        "of noise. Leave out the faintest frames, denoise first, or give max_factor=.",
    )


def _what_is_held(free: Factors, found: Factors) -> tuple[str, ...]:
    n_held = int(np.count_nonzero(found.factors < free.factors))
    if n_held == 0:
        return ()
    return (f"the factors of {n_held} frames are held at {found.factors.max():g}: these frames stay too dark.",)


def _positions(marked: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(position) for position in np.flatnonzero(marked))
