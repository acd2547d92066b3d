"""One estimate of several parts of a series, such as trials, each with a fit of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .estimate import ARRAYS, BLEACHING, BleachingEstimate
from .pixels import PixelCounts

Array = NDArray[np.float64]


def joined(parts: Iterable[BleachingEstimate]) -> BleachingEstimate:
    """Join the estimates of consecutive parts of a series to one of all frames.

    Parameters
    ----------
    parts
        In the order of the frames. Each is corrected to its own first frame.

    Returns
    -------
    BleachingEstimate
        Parameters carry the number of their part, such as ``rate[0]``; what describes one fit only (half-life,
        bleached fraction, AICc) is NaN or empty. Numbers become per-frame backgrounds. R2 and RMSE are those of the
        frames that took part in the fits; pixels are None unless all parts counted them alike.

    Raises
    ------
    ParameterError
        (a ValueError) for no part, something that is no estimate, parts that subtract an image, or parts whose
        frames were prepared in different ways.

    Examples
    --------
    >>> from flimage_dask.correction.bleaching import estimate_bleaching
    >>> times = np.arange(9.0)
    >>> parts = [estimate_bleaching(times + start, 0.8**times, background=1.0) for start in (0, 9)]
    >>> joined(parts).factors[[0, 8, 9, 17]].round(3)
    array([1.  , 5.96, 1.  , 5.96])
    """
    parts = _checked(parts)
    starts = np.concatenate([[0], np.cumsum([len(part.trace) for part in parts])[:-1]]).astype(int)
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    left_out, excluded = (_shifted(parts, starts, name) for name in ("left_out", "excluded"))
    is_corrected = any(part.is_corrected for part in parts)
    statuses = {part.status for part in parts}
    together: dict[str, Any] = {
        **arrays,
        **_goodness(arrays["trace"], arrays["decay"], (*left_out, *excluded)),
        "background": np.concatenate([np.broadcast_to(part.background, len(part.trace)) for part in parts]),
        "parameters": _numbered(parts, "parameters"),
        "standard_errors": _numbered(parts, "standard_errors"),
        "units": _numbered(parts, "units"),
        "warnings": tuple(
            f"frames {start} to {start + len(part.trace) - 1}: {text}"
            for start, part in zip(starts, parts, strict=True)
            for text in part.warnings
        ),
    }
    return BleachingEstimate(
        model=_common([part.model for part in parts]),
        requested=_common([part.requested for part in parts]),
        formula=f"{len(parts)} parts, each {_common([part.formula for part in parts])}",
        status=BLEACHING if is_corrected and len(statuses) > 1 else parts[0].status,
        border_px=parts[0].border_px if len({part.border_px for part in parts}) == 1 else None,
        half_life=np.nan if is_corrected else np.inf,
        aicc={},
        left_out=left_out,
        excluded=excluded,
        outliers=_shifted(parts, starts, "outliers"),
        correction=_common([part.correction for part in parts]),
        robust=any(part.robust for part in parts),
        n_effective=float(sum(part.n_effective for part in parts)),
        neighbour_correlation=max(part.neighbour_correlation for part in parts),
        trace_kind=_common([part.trace_kind for part in parts]),
        prepared=parts[0].prepared,
        pixels=_pixels(parts),
        n_parts=sum(part.n_parts for part in parts),
        **together,
    )


def _checked(parts: Iterable[BleachingEstimate]) -> list[BleachingEstimate]:
    """Refuse what is no list of estimates that frames of one series can have."""
    if not isinstance(parts, Iterable) or isinstance(parts, str):
        raise ParameterError(f"joined() takes a list of estimates, not {type(parts).__name__}.")
    listed = list(parts)
    if not listed:
        raise ParameterError("give the estimates of at least one part.")
    for place, part in enumerate(listed):
        if not isinstance(part, BleachingEstimate):
            raise ParameterError(f"part {place} is of type {type(part).__name__}: expected a BleachingEstimate.")
        if np.ndim(part.background) > 1:
            raise ParameterError("parts that subtract an image cannot be joined: give the background as a number.")
        if part.prepared != listed[0].prepared:
            raise ParameterError(
                f"part {place} was made from frames prepared with {part.prepared or 'nothing'}, part 0 with "
                f"{listed[0].prepared or 'nothing'}: give all the same background=, dark= and flat=."
            )
    return listed


def _goodness(trace: Array, decay: Array, aside: tuple[int, ...]) -> dict[str, float]:
    """Compare curves with the frames that took part in their fits."""
    fitted = np.isfinite(trace - decay)
    fitted[list(aside)] = False
    if not fitted.any():
        return {"r2": np.nan, "rmse": 0.0}
    residuals, deviations = trace[fitted] - decay[fitted], trace[fitted] - trace[fitted].mean()
    rss, total = float(residuals @ residuals), float(deviations @ deviations)
    # Without a curve nothing is left, and nothing was explained.
    is_judged = total > 0.0 and rss > 0.0
    return {"r2": 1.0 - rss / total if is_judged else np.nan, "rmse": float(np.sqrt(rss / fitted.sum()))}


def _pixels(parts: Sequence[BleachingEstimate]) -> PixelCounts | None:
    """Return the counts of all frames, where they are of as many pixels up to the same saturation."""
    counts = [part.pixels for part in parts if part.pixels is not None]
    if len(counts) < len(parts) or len({(one.n_pixels, one.saturation) for one in counts}) > 1:
        return None
    return replace(
        counts[0],
        n_finite=np.concatenate([one.n_finite for one in counts]),
        n_saturated=np.concatenate([one.n_saturated for one in counts]),
    )


def _common(words: list[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _numbered(parts: Sequence[BleachingEstimate], name: str) -> dict[str, Any]:
    return {f"{key}[{k}]": value for k, part in enumerate(parts) for key, value in getattr(part, name).items()}


def _shifted(parts: Sequence[BleachingEstimate], starts: NDArray[np.int64], name: str) -> tuple[int, ...]:
    return tuple(int(start) + k for start, part in zip(starts, parts, strict=True) for k in getattr(part, name))
