"""One estimate of several parts of a series, such as trials, each with a fit of its own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .estimate import ARRAYS, BLEACHING, BleachingEstimate


def joined(parts: Sequence[BleachingEstimate]) -> BleachingEstimate:
    """Join the estimates of consecutive parts of a series to one of all frames.

    Parameters
    ----------
    parts
        In the order of the frames. Each is corrected to its own first frame.

    Returns
    -------
    BleachingEstimate
        Parameters carry the number of their part, such as ``rate[0]``; what describes one fit only (half-life, AICc)
        is NaN or empty. Numbers become per-frame backgrounds.

    Raises
    ------
    ParameterError
        (a ValueError) for no part, or parts that subtract an image.

    Examples
    --------
    >>> from flimage_dask.correction.bleaching import estimate_bleaching
    >>> times = np.arange(9.0)
    >>> parts = [estimate_bleaching(times + start, 0.8**times, background=1.0) for start in (0, 9)]
    >>> joined(parts).factors[[0, 8, 9, 17]].round(3)
    array([1.  , 5.96, 1.  , 5.96])
    """
    if not parts:
        raise ParameterError("give the estimates of at least one part.")
    if any(np.ndim(part.background) > 1 for part in parts):
        raise ParameterError("parts that subtract an image cannot be joined: give the background as a number.")
    starts = np.concatenate([[0], np.cumsum([len(part.trace) for part in parts])[:-1]]).astype(int)
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    residuals = arrays["trace"] - arrays["decay"]
    used = np.isfinite(residuals)
    deviations = arrays["trace"][used] - arrays["trace"][used].mean() if used.any() else residuals[used]
    total = float(deviations @ deviations)
    rss = float(residuals[used] @ residuals[used])
    status = BLEACHING if any(part.is_corrected for part in parts) else parts[0].status
    together: dict[str, Any] = {
        **arrays,
        "background": np.concatenate([np.broadcast_to(part.background, len(part.trace)) for part in parts]),
        "parameters": _numbered(parts, "parameters"),
        "standard_errors": _numbered(parts, "standard_errors"),
        "units": _numbered(parts, "units"),
        "left_out": _shifted(parts, starts, "left_out"),
        "excluded": _shifted(parts, starts, "excluded"),
        "outliers": _shifted(parts, starts, "outliers"),
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
        status=status,
        border_px=parts[0].border_px,
        half_life=np.nan,
        r2=1.0 - rss / total if total > 0.0 else np.nan,
        rmse=float(np.sqrt(rss / max(int(used.sum()), 1))),
        aicc={},
        correction=_common([part.correction for part in parts]),
        robust=any(part.robust for part in parts),
        n_effective=float(sum(part.n_effective for part in parts)),
        neighbour_correlation=max(part.neighbour_correlation for part in parts),
        trace_kind=_common([part.trace_kind for part in parts]),
        prepared=_common([part.prepared for part in parts]),
        **together,
    )


def _common(words: list[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _numbered(parts: Sequence[BleachingEstimate], name: str) -> dict[str, Any]:
    return {f"{key}[{k}]": value for k, part in enumerate(parts) for key, value in getattr(part, name).items()}


def _shifted(parts: Sequence[BleachingEstimate], starts: NDArray[np.int64], name: str) -> tuple[int, ...]:
    return tuple(int(start) + k for start, part in zip(starts, parts, strict=True) for k in getattr(part, name))
