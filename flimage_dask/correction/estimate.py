"""What was found out about the bleaching of a series: one value from the fit to the output file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .background import BackgroundValues

Array = NDArray[np.float64]

BLEACHING = "bleaching"
NO_BLEACHING = "no bleaching"


@dataclass(frozen=True, eq=False)
class BleachingEstimate:
    """How a series bleaches, and the factors that make up for it.

    Parameters
    ----------
    model
        The curve that was fitted: "exponential".
    status
        "bleaching", or "no bleaching" where a constant describes the trace as well.
    background
        Subtracted from the frames [counts]: a number, (n,) numbers or an image (y, x).
    border_px
        Width of the border the background comes from [px]; None where it was given.
    times
        (n,) acquisition times [s].
    trace
        (n,) intensity of each frame above the background [counts].
    decay
        (n,) fitted curve at each time [counts].
    factors
        (n,) the curve at the earliest valid frame over the curve; 1.0 without bleaching.
    parameters
        ``amplitude`` [counts], ``rate`` [1/s] and ``offset`` [counts] of
        ``amplitude * exp(-rate * (t - t0)) + offset``, t0 the time of the earliest valid frame.
    standard_errors
        Of the parameters; NaN where a parameter is held by its limit or not determined.
    r2
        Share of the trace's variance that is explained; NaN for a constant trace.
    rmse
        Root of the mean squared residual [counts].
    left_out
        Positions of frames without a finite intensity. They take no part in the fit, and get a factor.
    warnings
        What needs a look.
    n_effective
        Independent frames that the fit's residuals are worth.

    Notes
    -----
    The arrays are read-only, because an estimate may be shared by several lazy arrays.
    """

    model: str
    status: str
    background: BackgroundValues
    border_px: int | None
    times: Array
    trace: Array
    decay: Array
    factors: Array
    parameters: dict[str, float]
    standard_errors: dict[str, float]
    r2: float
    rmse: float
    left_out: tuple[int, ...]
    warnings: tuple[str, ...]
    n_effective: float = np.nan

    @property
    def half_life(self) -> float:
        """Time in which the bleachable part halves [s]; inf without bleaching."""
        rate = self.parameters["rate"]
        return float(np.log(2.0) / rate) if rate > 0.0 else np.inf

    @property
    def bleached_fraction(self) -> float:
        """Share of the fluorescence lost from the earliest to the latest frame."""
        return 1.0 - 1.0 / float(self.factors[np.argmax(self.times)])

    @property
    def largest_factor(self) -> float:
        """The largest correction factor, by which the noise of its frame is multiplied too."""
        return float(self.factors.max())

    def summary(self) -> dict[str, Any]:
        """Return the estimate without its arrays, ready for JSON.

        Returns
        -------
        dict
            Numbers that are not finite are None. Of several background values, ``background``
            is the mean.
        """
        kind = {0: "constant", 1: "per-frame", 2: "image"}[np.ndim(self.background)]
        values = np.asarray(self.background, np.float64)
        finite = values[np.isfinite(values)]
        return {
            "model": self.model,
            "status": self.status,
            "background_kind": kind,
            "background": float(finite.mean()) if finite.size else None,
            "border_px": self.border_px,
            "n_frames": len(self.trace),
            "n_left_out": len(self.left_out),
            "n_effective": _json_number(self.n_effective),
            "parameters": {name: _json_number(value) for name, value in self.parameters.items()},
            "standard_errors": {name: _json_number(value) for name, value in self.standard_errors.items()},
            "half_life": _json_number(self.half_life),
            "bleached_fraction": _json_number(self.bleached_fraction),
            "largest_factor": _json_number(self.largest_factor),
            "r2": _json_number(self.r2),
            "rmse": _json_number(self.rmse),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        found = self.summary()
        n_fitted = len(self.trace) - len(self.left_out)
        background = "none" if found["background"] is None else f"{found['background']:.6g} counts"
        lines = [
            f"BleachingEstimate: {self.status}, {n_fitted} of {len(self.trace)} frames fitted",
            f"  background  {background} ({found['background_kind']})",
        ]
        if self.status == BLEACHING:
            amplitude, rate, offset = (self.parameters[name] for name in ("amplitude", "rate", "offset"))
            lines += [
                f"  decay       {amplitude:.6g} exp(-{rate:.6g}/s t) + {offset:.6g} counts, R2 {self.r2:.5f}",
                f"  half-life   {self.half_life:.6g} s, {self.bleached_fraction:.1%} bleached at the end",
                f"  factors     up to {self.largest_factor:.6g}",
            ]
        return "\n".join(lines + [f"  warning     {text}" for text in self.warnings])


def _json_number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
