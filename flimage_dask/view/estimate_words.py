"""An estimate in words: what text, tables and pictures say of it."""

import numpy as np

from ..correction.decay import ROUNDING
from ..correction.estimate import BleachingEstimate
from ..correction.options import ADDITIVE, BLEACHABLE, FACTOR

#: What a correction does to a frame, where it is not multiplied as a whole.
KINDS = {
    BLEACHABLE: "bleachable: the part that bleaches is multiplied, the rest stays",
    ADDITIVE: "additive: counts are added, nothing is multiplied",
}

#: Neighbouring residuals that are more alike than this are worth a word: three frames then count as one.
ALIKE = 0.5


def estimate_repr(estimate: BleachingEstimate) -> str:
    """Write what Python shows of an estimate.

    Examples
    --------
    >>> from flimage_dask.correction.bleaching import estimate_bleaching
    >>> print(estimate_repr(estimate_bleaching(range(9), [0.5**k for k in range(9)], background=0.0)))
    BleachingEstimate: bleaching, 9 of 9 frames fitted
      background  0 counts (constant)
      decay       exponential, R2 1.00000: amplitude 1 ± ... counts, rate 0.693147 ± ... 1/s, offset ...
      half-life   1 s, 99.6% bleached at the end
      factors     up to 256 (256 to 256)
      warning     the correction factor reaches 256 (frame 8), and so does the gain of noise. ...
    """
    found = estimate.summary()
    background = "none" if found["background"] is None else f"{found['background']:.6g} counts"
    lines = [
        f"BleachingEstimate: {estimate.status}, {estimate.n_fitted} of {len(estimate.trace)} frames fitted",
        f"  background  {background} ({found['background_kind']})",
    ]
    if estimate.prepared:
        lines.append(f"  prepared    {estimate.prepared}")
    if estimate.is_corrected:
        lines += _decay_lines(estimate)
    return "\n".join(lines + [f"  warning     {text}" for text in estimate.warnings])


def _decay_lines(estimate: BleachingEstimate) -> list[str]:
    parameters = ", ".join(parameters_in_words(estimate))
    fit = f", R2 {estimate.r2:.5f}: {parameters}" if np.isfinite(estimate.r2) else ""
    half_life = f"{estimate.half_life:.6g} s" if np.isfinite(estimate.half_life) else "unknown"
    return [
        f"  decay       {estimate.model}{fit}",
        f"  half-life   {half_life}, {bleached_in_words(estimate)}",
        *([f"  correction  {kind}"] if (kind := correction_in_words(estimate)) else []),
        f"  shifts      {shifts_in_words(estimate, 6)} a pixel"
        if estimate.adds_only
        else f"  factors     up to {estimate.largest_factor:.6g} ({interval_in_words(estimate, 6)})",
        *([f"  residuals   {words}"] if (words := residuals_in_words(estimate)) else []),
    ]


def changes(estimate: BleachingEstimate) -> list[tuple[str, str]]:
    """Say in rows of a table how frames are corrected, where it is not the usual factor, and by how much at most.

    Examples
    --------
    >>> from flimage_dask.correction.bleaching import FitOptions, estimate_bleaching
    >>> additive = FitOptions(correction="additive")
    >>> changes(estimate_bleaching(range(9), [0.5**k for k in range(9)], background=0.0, fit=additive))[1]
    ('added', '0 to 0.9961 counts to each pixel')
    """
    kind = correction_in_words(estimate)
    return [*([("correction", kind)] if kind else []), _most(estimate)]


def _most(estimate: BleachingEstimate) -> tuple[str, str]:
    if estimate.adds_only:
        return "added", f"{shifts_in_words(estimate, 4)} to each pixel"
    return "largest factor", f"{estimate.largest_factor:.4g} ({interval_in_words(estimate, 4, ', 68 %')})"


def interval_in_words(estimate: BleachingEstimate, digits: int, remark: str = "") -> str:
    """Return the ends of the 68 % interval of the largest factor, with a remark, or that it is unknown."""
    low, high = estimate.largest_factor_interval
    return f"{low:.{digits}g} to {high:.{digits}g}{remark}" if np.isfinite(low) else "interval unknown"


def bleached_in_words(estimate: BleachingEstimate) -> str:
    """Return the bleached share, or that each of several parts has one of its own."""
    if estimate.n_parts > 1:
        return f"{estimate.n_parts} parts bleach each by itself"
    return f"{estimate.bleached_fraction:.1%} bleached at the end"


def correction_in_words(estimate: BleachingEstimate) -> str:
    """Return what the correction does to a frame, or nothing where it is the usual factor."""
    return "" if estimate.correction == FACTOR else KINDS.get(estimate.correction, estimate.correction)


def shifts_in_words(estimate: BleachingEstimate, digits: int) -> str:
    """Return the least and the most that is added to the pixels of a frame."""
    return f"{estimate.shifts.min():.{digits}g} to {estimate.shifts.max():.{digits}g} counts"


def residuals_in_words(estimate: BleachingEstimate) -> str:
    """Return what residuals that follow one another mean, or nothing where they scatter."""
    # What rounding leaves of an exact curve is smooth too, and means nothing.
    is_exact = estimate.rmse <= ROUNDING * float(np.nanmax(np.abs(estimate.trace)))
    if is_exact or not (estimate.is_corrected and estimate.neighbour_correlation > ALIKE):
        return ""
    return (
        f"neighbours alike, correlated by {estimate.neighbour_correlation:.2f}: {estimate.n_fitted} frames count as "
        f"{estimate.n_effective:.3g}; the curve may be the wrong one"
    )


def aicc_in_words(estimate: BleachingEstimate) -> list[str]:
    """Return each model that was tried with its AICc above the lowest, the best first; none without another."""
    lowest = min(estimate.aicc.values(), default=np.inf)
    if len(estimate.aicc) < 2 or not np.isfinite(lowest):
        return []
    ordered = sorted(estimate.aicc.items(), key=lambda entry: entry[1])
    return [f"{name} {value - lowest:+.1f}" for name, value in ordered]


def parameters_in_words(estimate: BleachingEstimate) -> list[str]:
    """Return each parameter with its standard error, where it has one, and its unit."""
    words = []
    for name, value in estimate.parameters.items():
        error = estimate.standard_errors[name]
        spread = f" ± {error:.2g}" if np.isfinite(error) else ""
        words.append(f"{name} {value:.6g}{spread} {estimate.units[name]}".rstrip())
    return words
