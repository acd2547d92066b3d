"""What was found out about the bleaching of a series: one value from the fit to the output file."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..plain_json import plain
from .background import BackgroundValues
from .named_values import NamedValues
from .options import ADDITIVE
from .pixels import PixelCounts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

BLEACHING = "bleaching"
NO_BLEACHING = "no bleaching"
#: Somebody asked for the model "none".
NOT_CORRECTED = "not corrected"
#: Somebody gave the parameters of the curve.
GIVEN = "given"
#: The model "ratio".
NO_FIT = "no fit"
STATUSES = (BLEACHING, NO_BLEACHING, NOT_CORRECTED, GIVEN, NO_FIT)

#: Those with one number a frame.
ARRAYS = ("times", "trace", "decay", "decay_errors", "factors", "factor_errors", "shifts")
#: Those with one value a parameter, or a model.
BY_NAME = ("parameters", "standard_errors", "units", "aicc")


@dataclass(frozen=True, eq=False)
class BleachingEstimate:
    """How a series bleaches, and the factors that make up for it.

    Parameters
    ----------
    model
        The curve that the factors come from; "none", a constant, where the trace does not decay beyond
        its noise.
    requested
        The model that was asked for, such as "auto".
    formula
        The curve in the names of the parameters, with ``t`` the time since the reference.
    status
        "bleaching"; "no bleaching" where a constant describes the trace as well; "not
        corrected" where the model "none" was asked for; "given" for given parameters; "no fit"
        for a ratio of intensities.
    background
        Subtracted from the frames [counts]: a number, (n,) numbers or an image (y, x).
    border_px
        Width of the border the background comes from [px]; None where it was given.
    times
        (n,) acquisition times [s]; NaN where a frame has none, which only the models "none" and "ratio" allow.
    trace
        (n,) intensity of each frame above the background [counts].
    decay
        (n,) fitted curve at each time [counts].
    decay_errors
        (n,) its standard errors [counts].
    factors
        (n,) the curve at the reference, the earliest frame of the fit, over the curve; 1.0 without
        bleaching.
    factor_errors
        (n,) half the widths of the 68 % intervals of ``log(factors)``; NaN, as those of the curve, where nothing
        tells them: for given parameters, for the model "ratio", and where as many frames as parameters were fitted.
        0 at the reference, and for factors that are held at ``max_factor``.
    shifts
        (n,) what is added to each pixel after the multiplication [counts]; 0 unless `correction` asks for it.
    parameters, standard_errors, units
        By name, those of the curve. An error is NaN where a parameter is held by its limit or not
        determined. Both widths and errors allow for correlated residuals, but not for a curve that
        is the wrong one.
    half_life
        Time in which the bleachable part of the curve halves [s]; inf without bleaching, NaN where the
        curve has none.
    r2
        Share of the trace's variance that is explained; NaN for a constant trace.
    rmse
        Root of the mean squared residual [counts].
    aicc
        Akaike's criterion of every model that was tried, by name; the lower the better.
    left_out
        Positions of frames without a finite intensity. They take no part in the fit, and get a factor.
    excluded
        Positions of frames that were to be left out. They get a factor too.
    outliers
        Positions of frames further than 3.5 standard deviations from a robust fit.
    correction
        "factor", "bleachable" or "additive"; see `FitOptions`.
    robust
        Whether frames far from the curve counted less.
    warnings
        If something should be checked: messages that say what.
    n_effective
        Independent frames that the fit's residuals are worth.
    neighbour_correlation
        Correlation of neighbouring residuals, from 0 to 0.99.
    trace_kind
        How the intensity of a frame was found, such as "positive_sum".
    prepared
        What was done to the frames before: fields, and backgrounds that have an image for each frame.
    pixels
        How many pixels of each frame were finite and saturated; None for a trace from elsewhere.
    n_parts
        Fits that are joined in this estimate, each with a reference of its own; see `joined`.

    Raises
    ------
    ParameterError
        (a ValueError) if arrays or the background are of unlike numbers of frames.

    Notes
    -----
    The arrays, and the values by name, are read-only copies, because an estimate may be shared by several lazy arrays.
    """

    model: str
    requested: str
    formula: str
    status: str
    background: BackgroundValues
    border_px: int | None
    times: Array
    trace: Array
    decay: Array
    decay_errors: Array
    factors: Array
    factor_errors: Array
    shifts: Array
    parameters: Mapping[str, float]
    standard_errors: Mapping[str, float]
    units: Mapping[str, str]
    half_life: float
    r2: float
    rmse: float
    aicc: Mapping[str, float]
    left_out: tuple[int, ...]
    excluded: tuple[int, ...]
    outliers: tuple[int, ...]
    correction: str
    robust: bool
    warnings: tuple[str, ...]
    n_effective: float
    neighbour_correlation: float
    trace_kind: str = "positive_sum"
    prepared: str = ""
    pixels: PixelCounts | None = None
    n_parts: int = 1

    def __post_init__(self) -> None:
        for name in ARRAYS:
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        for name in BY_NAME:
            object.__setattr__(self, name, NamedValues(getattr(self, name)))
        if isinstance(self.background, np.ndarray):
            object.__setattr__(self, "background", _frozen(self.background))
        self._check_lengths()

    def _check_lengths(self) -> None:
        """Refuse arrays, and a background, of other frames than those of the trace."""
        lengths = {name: len(getattr(self, name)) for name in ARRAYS}
        if len(set(lengths.values())) != 1:
            raise ParameterError(f"the arrays of the estimate differ in length: {lengths}.")
        shape = np.shape(self.background)
        if len(shape) > 2 or (len(shape) == 1 and shape != self.trace.shape):
            raise ParameterError(
                f"the background has shape {shape}; the estimate is of {len(self.trace)} frames: give a number, an "
                f"array ({len(self.trace)},) with one number a frame, or an image (y, x)."
            )

    @property
    def is_corrected(self) -> bool:
        """Whether frames are changed, beyond the background."""
        return self.status not in (NO_BLEACHING, NOT_CORRECTED)

    @property
    def adds_only(self) -> bool:
        """Whether frames are corrected by adding counts alone, so that their factors say nothing."""
        return self.is_corrected and self.correction == ADDITIVE

    @property
    def n_fitted(self) -> int:
        """Number of frames that took part in the fit."""
        return len(self.trace) - len({*self.excluded, *self.left_out})

    @property
    def has_times(self) -> bool:
        """Whether the times tell when each frame was acquired; if not, frames follow each other as in the series."""
        return tell_time(self.times)

    @property
    def order(self) -> NDArray[np.intp]:
        """(n,) positions of the frames in the order of time."""
        return np.argsort(times_or_positions(self.times), kind="stable")

    @property
    def residuals(self) -> Array:
        """(n,) trace minus curve [counts]; NaN for frames without a finite intensity."""
        residuals: Array = self.trace - self.decay
        return residuals

    @property
    def factor_interval(self) -> tuple[Array, Array]:
        """Lower and upper ends (n,) of the 68 % intervals of the factors."""
        spread = np.exp(self.factor_errors)
        return self.factors / spread, self.factors * spread

    @property
    def bleached_fraction(self) -> float:
        """Share of the fluorescence lost from the earliest to the latest frame, as the curve has it.

        NaN for parts that are joined: each bleaches by itself.
        """
        if not self.is_corrected:
            return 0.0
        if self.n_parts > 1:
            return np.nan
        order = self.order
        if self.status == NO_FIT:
            # Without a curve, frames that took no part have an intensity of their own.
            order = order[~np.isin(order, [*self.excluded, *self.left_out])]
        in_time = self.decay[order]
        known = in_time[np.isfinite(in_time)]
        return 1.0 - float(known[-1] / known[0])

    @property
    def largest_factor(self) -> float:
        """The largest correction factor, by which the noise of its frame is multiplied too."""
        return float(self.factors.max())

    @property
    def largest_factor_interval(self) -> tuple[float, float]:
        """Lower and upper end of the 68 % interval of the largest factor."""
        largest = int(np.argmax(self.factors))
        low, high = self.factor_interval
        return float(low[largest]), float(high[largest])

    @property
    def noise_gain(self) -> float:
        """Noise of the most corrected frame relative to the reference frame, if it is noise of the light.

        The root of the largest factor: a frame that bleached to a quarter has half the shot noise,
        which is then multiplied by four. Noise of the camera is multiplied by the whole factor.
        """
        return float(np.sqrt(self.largest_factor))

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
        summary: dict[str, Any] = plain(
            {
                "model": self.model,
                "requested": self.requested,
                "formula": self.formula,
                "status": self.status,
                "prepared": self.prepared,
                "background_kind": kind,
                "background": float(finite.mean()) if finite.size else None,
                "border_px": self.border_px,
                "trace_kind": self.trace_kind,
                "n_frames": len(self.trace),
                "n_parts": self.n_parts,
                "most_saturated": None if self.pixels is None else int(self.pixels.n_saturated.max(initial=0)),
                "n_left_out": len(self.left_out),
                "excluded": self.excluded,
                "correction": self.correction,
                "robust": self.robust,
                "outliers": self.outliers,
                "n_effective": self.n_effective,
                "neighbour_correlation": self.neighbour_correlation,
                "parameters": self.parameters,
                "standard_errors": self.standard_errors,
                "units": self.units,
                "half_life": self.half_life,
                "bleached_fraction": self.bleached_fraction,
                "largest_factor": self.largest_factor,
                "largest_factor_interval": self.largest_factor_interval,
                "noise_gain": self.noise_gain,
                "r2": self.r2,
                "rmse": self.rmse,
                "aicc": self.aicc,
                "warnings": self.warnings,
            }
        )
        return summary

    def to_json(self) -> str:
        """Write everything as one JSON object, such as for another program or another series.

        Returns
        -------
        str
            The keys of `summary`, and the arrays; see `estimate_json`.

        Examples
        --------
        >>> from flimage_dask.correction.bleaching import estimate_bleaching
        >>> found = estimate_bleaching(range(9), 0.7 ** np.arange(9), background=0.0)
        >>> again = BleachingEstimate.from_json(found.to_json())
        >>> bool((again.factors == found.factors).all())
        True
        """
        from .estimate_json import as_json

        return as_json(self)

    @classmethod
    def from_json(cls, text: str) -> "BleachingEstimate":
        """Read what `to_json` wrote.

        Parameters
        ----------
        text
            One JSON object.

        Returns
        -------
        BleachingEstimate
            The same to the last bit.

        Raises
        ------
        ParameterError
            (a ValueError) if the text is no such object, or holds what no estimate can hold.
        """
        from .estimate_json import from_json

        return from_json(text)

    @classmethod
    def joined(cls, parts: "Iterable[BleachingEstimate]") -> "BleachingEstimate":
        """Join the estimates of consecutive parts of a series, such as trials with a fit each; see `joining`.

        Parameters
        ----------
        parts
            In the order of their frames.

        Returns
        -------
        BleachingEstimate
            Of as many frames as all parts together.

        Raises
        ------
        ParameterError
            (a ValueError) for no part, something that is no estimate, parts that subtract an image, or parts
            whose frames were prepared in different ways.
        """
        from .joining import joined

        return joined(parts)

    def plot(self, path: "str | os.PathLike[str] | None" = None, *, title: str | None = None) -> "Figure":
        """Draw the trace with the fit, the factors (or shifts) and the residuals, each with what is sure about it.

        Parameters
        ----------
        path
            A PNG file to write or replace. None writes nothing.
        title
            A heading. None leaves it out.

        Returns
        -------
        matplotlib.figure.Figure
            Which a notebook shows.

        Raises
        ------
        ParameterError, FileError
            (a ValueError, an OSError) if `path` is no PNG, or cannot be written.
        """
        from ..view.fit_picture import draw_fit

        return draw_fit(self, path, title=title)

    def _repr_html_(self) -> str:
        from ..view.html import estimate_html

        return estimate_html(self)

    def __repr__(self) -> str:
        from ..view.estimate_words import estimate_repr

        return estimate_repr(self)


def tell_time(times: Array) -> bool:
    """Tell whether times are known and not all alike."""
    return bool(np.isfinite(times).all()) and len(np.unique(times)) > 1


def times_or_positions(times: Array) -> Array:
    """Return the times (n,) of frames, or their positions if the times do not tell one frame from another."""
    return times if tell_time(times) else np.arange(len(times), dtype=np.float64)


def _frozen(values: Array) -> Array:
    copy = values.copy()
    copy.setflags(write=False)
    return copy
