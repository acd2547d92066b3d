"""An estimate as a small table for notebooks."""

from html import escape

import numpy as np

from ..correction.estimate import BleachingEstimate
from .estimate_words import aicc_in_words, bleached_in_words, changes, parameters_in_words, residuals_in_words
from .text import counted, listed, short
from .units import format_time


def estimate_html(estimate: BleachingEstimate) -> str:
    """Write an estimate as an HTML table, without scripts or styles of its own.

    Examples
    --------
    >>> from flimage_dask.correction.bleaching import estimate_bleaching
    >>> text = estimate_html(estimate_bleaching(range(9), [0.7**k for k in range(9)], background=0.0))
    >>> "half-life" in text and "<script" not in text
    True
    """
    rows = "".join(
        f"<tr><td style='text-align:left'>{escape(label)}</td><td style='text-align:left'>{escape(value)}</td></tr>"
        for label, value in _rows(estimate)
    )
    heading = f"Bleaching estimate: {escape(estimate.status)}"
    return f"<table><caption style='text-align:left'><b>{heading}</b></caption>{rows}</table>"


def _rows(estimate: BleachingEstimate) -> list[tuple[str, str]]:
    found = estimate.summary()
    rows = [
        ("frames", f"{estimate.n_fitted:,} of {counted(len(estimate.trace), 'frame')} fitted"),
        ("background", f"{short(found['background'])} counts ({found['background_kind']})"),
        *([("prepared", estimate.prepared)] if estimate.prepared else []),
        ("model", f"{estimate.model}: {estimate.formula}"),
        *(("", line) for line in parameters_in_words(estimate)),
    ]
    if estimate.is_corrected:
        rows += [
            ("half-life", f"{format_time(estimate.half_life)}, {bleached_in_words(estimate)}"),
            *changes(estimate),
            *([("R2", f"{estimate.r2:.6f}")] if np.isfinite(estimate.r2) else []),
            *([("residuals", words)] if (words := residuals_in_words(estimate)) else []),
        ]
    if others := aicc_in_words(estimate):
        rows.append(("AICc above the lowest", ", ".join(others)))
    for label, frames in (("excluded", estimate.excluded), ("outliers", estimate.outliers)):
        if frames:
            rows.append((label, f"frames {listed([str(frame) for frame in frames])}"))
    return rows + [("warning", text) for text in estimate.warnings]
