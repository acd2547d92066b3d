"""Photobleaching: from the trace of a series to correction factors, and from factors to frames."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FitError, ParameterError, SeriesError
from .background import BackgroundValues, frame_backgrounds
from .choice import CANDIDATES, Choice, choose, exceeds_noise
from .decay import ROUNDING
from .estimate import BLEACHING, NO_BLEACHING, NOT_CORRECTED, BleachingEstimate
from .models import EXPONENTIAL, NONE, DecayModel, model_named
from .options import AUTO, FitOptions
from .robust import huber_weights
from .scaled import ScaledTrace
from .strips import Strips

__all__ = ["BleachingEstimate", "FitOptions", "correct", "estimate_bleaching"]

Array = NDArray[np.float64]

#: The default, an exponential: three parameters and one frame to judge it by.
MIN_FRAMES = EXPONENTIAL.min_frames
#: Correction factors above this one are reported.
LARGE_FACTOR = 10.0
#: Factors below 1 by more than rounding are reported.
BELOW_ONE = 1.0 - 1e-9


def estimate_bleaching(
    times: ArrayLike,
    trace: ArrayLike,
    *,
    background: BackgroundValues,
    border_px: int | None = None,
    fit: FitOptions | None = None,
) -> BleachingEstimate:
    """Fit the decay of a trace and derive the correction factors.

    Parameters
    ----------
    times
        (n,) acquisition times in any order [s].
    trace
        (n,) intensity of each frame above the background [counts]. Frames without a finite
        intensity are left out of the fit.
    background, border_px
        What the trace was made with; kept in the answer.
    fit
        Which model, and which frames; None fits an exponential to all of them.

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
        (a ValueError) for times that are not finite or all equal.
    ParameterError
        (a ValueError) if times and trace differ in length, or there is no such model or frame.

    Notes
    -----
    It bleaches if ``n_eff ln(RSS_constant / RSS_exponential) > 9``, with n_eff the number of
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
    model = None if fit.model == AUTO else model_named(fit.model)
    measured = np.isfinite(trace)
    excluded = fit.excluded(trace.size)
    used = measured & ~np.isin(np.arange(trace.size), excluded)
    _check_frames(times, trace, used, EXPONENTIAL if model is None else model)

    weights, outlying = _weights(model, times[used], trace[used], fit)
    choice = choose(model, ScaledTrace.of(times[used], trace[used], weights))
    best = choice.fit
    first = float(times[used].min())
    # A frame before the first of the fit has no data; its curve is not extrapolated backwards.
    seen = np.maximum(times, first)
    decay = best.at(seen)
    decay[used] = best.curve
    is_constant = best.model == NONE
    factors = np.ones_like(decay) if is_constant else _factors(decay, int(np.argmax(used & (times == first))))
    return BleachingEstimate(
        model=best.model.name,
        requested=AUTO if model is None else model.name,
        formula=best.model.formula,
        status=NOT_CORRECTED if model == NONE else NO_BLEACHING if is_constant else BLEACHING,
        background=background,
        border_px=border_px,
        times=times,
        trace=trace,
        decay=decay,
        decay_errors=best.errors_at(seen),
        factors=factors,
        factor_errors=np.zeros_like(decay) if is_constant else best.log_ratio_errors(seen, first),
        parameters=best.parameters,
        standard_errors=best.standard_errors,
        units={parameter.name: parameter.unit for parameter in best.model.parameters},
        half_life=best.half_life,
        r2=best.r2,
        rmse=best.rmse,
        aicc={name: tried.aicc for name, tried in choice.tried.items()},
        left_out=_positions(~measured),
        excluded=excluded,
        outliers=tuple(int(position) for position in np.flatnonzero(used)[outlying]),
        robust=fit.robust,
        warnings=_what_needs_a_look(choice, factors, asked_for=model),
        n_effective=best.n_effective,
        neighbour_correlation=best.neighbour_correlation,
    )


def correct(block: NDArray[Any], background: BackgroundValues, factors: ArrayLike) -> NDArray[Any]:
    """Subtract the background of frames and multiply them with their factors.

    Parameters
    ----------
    block
        (frame, y, x), counts. Pixels that are not finite stay as they are.
    background
        Counts: a number, (frame,) numbers, or an image (y, x).
    factors
        (frame,) correction factors.

    Returns
    -------
    numpy.ndarray
        (frame, y, x), counts: ``(block - background) * factors``, computed in float64 and
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
    corrected = np.empty(block.shape, np.result_type(block.dtype, np.float32))
    strips = Strips.of(block)
    levels = frame_backgrounds(background, block)
    for frame, level, factor, target in zip(block, levels, factors, corrected, strict=True):
        for rows, above in strips.above(frame, level):
            np.multiply(above, factor, out=above)
            np.copyto(target[rows], above, casting="same_kind")
    return corrected


def _check_frames(times: Array, trace: Array, used: NDArray[np.bool_], model: DecayModel) -> None:
    """Refuse a series that a model cannot be fitted to."""
    way_out = "Give the acquisition times with times= or frame_interval=."
    if times.ndim != 1 or times.shape != trace.shape:
        raise ParameterError(f"times {times.shape} and trace {trace.shape} need the same shape (n,).")
    unknown = np.flatnonzero(~np.isfinite(times))
    if unknown.size:
        named = ", ".join(map(str, unknown[:5])) + (", …" if unknown.size > 5 else "")
        raise SeriesError(
            f"the times of {unknown.size} of {times.size} frames are not finite (frames {named}). {way_out}"
        )
    curve = "an exponential decay" if model == EXPONENTIAL else f"the model '{model.name}'"
    n_used = np.count_nonzero(used)
    if n_used < model.min_frames:
        fewer = f"The model 'exponential' needs {MIN_FRAMES}; " if model.min_frames > MIN_FRAMES else ""
        raise FitError(
            f"{curve} needs at least {model.min_frames} frames with a finite intensity; {n_used} of "
            f"{times.size} have one. {fewer}background_correction needs no fit and takes any number of frames."
        )
    n_times = len(np.unique(times[used]))
    if n_times == 1:
        raise SeriesError(f"all {n_used} frames have the same time, {times[used][0]:g} s. {way_out}")
    if n_times < model.n_parameters:
        raise FitError(f"{curve} needs at least {model.n_parameters} different times, not {n_times}. {way_out}")


def _weights(
    model: DecayModel | None, times: Array, trace: Array, fit: FitOptions
) -> tuple[Array | None, NDArray[np.bool_]]:
    """Weight the frames alike, or those far from the most flexible curve in question less."""
    if not fit.robust:
        return None, np.zeros(len(trace), np.bool_)
    enough = [candidate for candidate in CANDIDATES if len(trace) >= candidate.min_frames]
    return huber_weights(enough[-1] if model is None else model, times, trace)


def _factors(decay: Array, reference: int) -> Array:
    endless = np.flatnonzero(decay <= ROUNDING * decay[reference])
    if endless.size:
        raise FitError(
            f"the fitted decay reaches 0 at frame {endless[0]}, which no factor can correct. "
            f"Leave out the frames without fluorescence, such as with fls[:{endless[0]}]."
        )
    factors: Array = decay[reference] / decay
    return factors


def _what_needs_a_look(choice: Choice, factors: Array, *, asked_for: DecayModel | None) -> tuple[str, ...]:
    fit = choice.fit
    if fit.model == NONE:
        text = (
            "the intensity varies, but does not decay beyond its noise: no bleaching is corrected, all factors are 1."
        )
        return (text,) if fit.varies and asked_for != NONE else ()
    texts = []
    if fit.model == EXPONENTIAL and asked_for is not None and not exceeds_noise(choice.tried[NONE.name], fit):
        texts.append("the intensity decays, but not as an exponential: give model='auto'.")
    largest, least = int(np.argmax(factors)), int(np.argmin(factors))
    if factors[largest] > LARGE_FACTOR:
        texts.append(
            f"the correction factor reaches {factors[largest]:.4g} (frame {largest}), and so does the gain "
            "of noise. Leave out the faintest frames, or denoise first."
        )
    if factors[least] < BELOW_ONE:
        texts.append(
            f"the fitted decay rises: frame {least} is dimmed, by a factor of {factors[least]:.4g}. "
            "The model 'exponential' never falls below a factor of 1."
        )
    return tuple(texts)


def _positions(marked: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(position) for position in np.flatnonzero(marked))
