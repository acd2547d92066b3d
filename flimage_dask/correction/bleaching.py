"""Photobleaching: from the trace of a series to correction factors, and from factors to frames."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FitError, ParameterError, SeriesError
from .background import BackgroundValues, frame_backgrounds
from .decay import DecayFit, fit_constant, fit_exponential
from .estimate import BLEACHING, NO_BLEACHING, BleachingEstimate
from .strips import Strips

__all__ = ["BleachingEstimate", "correct", "estimate_bleaching"]

Array = NDArray[np.float64]

#: A fit of three parameters and one frame to judge it by.
MIN_FRAMES = 4
#: Needed for "bleaching": n_eff ln(RSS_constant / RSS_exponential). Steady series of white noise
#: exceed it in less than 1 % of simulations (tests/correction/test_bleaching.py).
EVIDENCE = 9.0
#: Rounding of a trace, relative to its largest value: sums in float64.
ROUNDING = 1e-13
#: Correction factors above this one are reported.
LARGE_FACTOR = 10.0


def estimate_bleaching(
    times: ArrayLike, trace: ArrayLike, *, background: BackgroundValues, border_px: int | None = None
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

    Returns
    -------
    BleachingEstimate
        In the order of the frames given.

    Raises
    ------
    FitError
        (a ValueError) for fewer than four frames with a finite intensity, fewer than three
        different times, or a fitted curve that reaches zero.
    SeriesError
        (a ValueError) for times that are not finite or all equal.
    ParameterError
        (a ValueError) if times and trace differ in length.

    Notes
    -----
    It bleaches if ``n_eff ln(RSS_constant / RSS_exponential) > 9``, with n_eff the number of
    independent frames (`effective_frames`): a drift within the noise is not corrected.

    Examples
    --------
    >>> times = np.arange(50.0)
    >>> found = estimate_bleaching(times, 150 * np.exp(-0.05 * times) + 10, background=0.0)
    >>> print(f"{found.status}, last factor {found.factors[-1]:.6f}")
    bleaching, last factor 6.973489
    """
    times, trace = np.array(times, np.float64), np.array(trace, np.float64)
    valid = np.isfinite(trace)
    _check_frames(times, trace, valid)
    fit = _choose(times[valid], trace[valid])
    reference = np.flatnonzero(valid)[np.argmin(times[valid])]
    # A frame before the first valid one has no data; its curve is not extrapolated backwards.
    elapsed = np.maximum(times - times[reference], 0.0)
    decay = fit.amplitude * np.exp(-fit.rate * elapsed) + fit.offset
    decay[valid] = fit.curve
    factors = np.ones_like(decay) if fit.model == "none" else _factors(decay, int(reference))
    names = ("amplitude", "rate", "offset")
    found = BleachingEstimate(
        model="exponential",
        status=NO_BLEACHING if fit.model == "none" else BLEACHING,
        background=background,
        border_px=border_px,
        times=times,
        trace=trace,
        decay=decay,
        factors=factors,
        parameters=dict(zip(names, (fit.amplitude, fit.rate, fit.offset), strict=True)),
        standard_errors=dict(zip(names, fit.standard_errors, strict=True)),
        r2=fit.r2,
        rmse=fit.rmse,
        left_out=tuple(int(position) for position in np.flatnonzero(~valid)),
        warnings=_what_needs_a_look(fit, trace[valid], factors),
        n_effective=fit.n_effective,
    )
    for array in (times, trace, decay, factors):
        array.setflags(write=False)
    return found


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


def _check_frames(times: Array, trace: Array, valid: NDArray[np.bool_]) -> None:
    """Refuse a series that no decay can be fitted to."""
    way_out = "Give the acquisition times with times= or frame_interval=."
    if times.ndim != 1 or times.shape != trace.shape:
        raise ParameterError(f"times {times.shape} and trace {trace.shape} need the same shape (n,).")
    unknown = np.flatnonzero(~np.isfinite(times))
    if unknown.size:
        named = ", ".join(map(str, unknown[:5])) + (", …" if unknown.size > 5 else "")
        raise SeriesError(
            f"the times of {unknown.size} of {times.size} frames are not finite (frames {named}). {way_out}"
        )
    n_valid = np.count_nonzero(valid)
    if n_valid < MIN_FRAMES:
        raise FitError(
            f"an exponential decay needs at least {MIN_FRAMES} frames with a finite intensity; {n_valid} of "
            f"{times.size} have one. background_correction needs no fit and takes any number of frames."
        )
    n_times = len(np.unique(times[valid]))
    if n_times == 1:
        raise SeriesError(f"all {n_valid} frames have the same time, {times[valid][0]:g} s. {way_out}")
    if n_times < 3:
        raise FitError(f"an exponential decay needs at least 3 different times, not {n_times}. {way_out}")


def _choose(times: Array, trace: Array) -> DecayFit:
    """Fit a constant and an exponential, and return the one that the trace supports."""
    constant = fit_constant(times, trace)
    rounding = ROUNDING * float(np.abs(trace).max())
    if constant.rmse <= 10.0 * rounding:
        return constant
    exponential = fit_exponential(times, trace)
    # What is left of a perfect fit is rounding, whose correlation of neighbours means nothing.
    if exponential.rmse <= rounding:
        return exponential
    evidence = exponential.n_effective * np.log(constant.rss / exponential.rss)
    return exponential if evidence > EVIDENCE else constant


def _factors(decay: Array, reference: int) -> Array:
    with np.errstate(divide="ignore", over="ignore"):
        factors: Array = decay[reference] / decay
    endless = np.flatnonzero(~np.isfinite(factors))
    if endless.size:
        raise FitError(
            f"the fitted decay reaches 0 at frame {endless[0]}, which no factor can correct. "
            f"Leave out the frames without fluorescence, such as with fls[:{endless[0]}]."
        )
    return factors


def _what_needs_a_look(fit: DecayFit, trace: Array, factors: Array) -> tuple[str, ...]:
    largest = int(np.argmax(factors))
    if factors[largest] > LARGE_FACTOR:
        text = (
            f"the correction factor reaches {factors[largest]:.4g} (frame {largest}), and so does the gain "
            "of noise. Leave out the faintest frames, or denoise first."
        )
        return (text,)
    if fit.model == "none" and fit.rmse > 10.0 * ROUNDING * float(np.abs(trace).max()):
        text = (
            "the intensity varies, but does not decay beyond its noise: no bleaching is corrected, all factors are 1."
        )
        return (text,)
    return ()
