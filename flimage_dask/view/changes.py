"""What a correction does to the frames, as rows of a table."""

from ..correction.estimate import BleachingEstimate


def changes(estimate: BleachingEstimate) -> list[tuple[str, str]]:
    """Say how frames are corrected, where it is not the usual factor, and how much the most changed one is.

    Examples
    --------
    >>> from flimage_dask.correction.bleaching import FitOptions, estimate_bleaching
    >>> additive = FitOptions(correction="additive")
    >>> changes(estimate_bleaching(range(9), [0.5**k for k in range(9)], background=0.0, fit=additive))[1]
    ('added', '0 to 0.9961 counts to each pixel')
    """
    kind = estimate.correction_in_words()
    return [*([("correction", kind)] if kind else []), _most(estimate)]


def _most(estimate: BleachingEstimate) -> tuple[str, str]:
    if estimate.adds_only:
        return "added", f"{estimate.shifts_in_words(4)} to each pixel"
    interval = estimate.interval_in_words(4, ", 68 %")
    return "largest factor", f"{estimate.largest_factor:.4g} ({interval})"
