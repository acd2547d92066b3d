"""A curve fitted to a trace: its parameters, how well it follows the trace, and how sure it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from .decay_model import DecayModel
from .model_probe import probe
from .scaled import ScaledTrace
from .separable import Optimum, fit_globally

Array = NDArray[np.float64]

#: A curve that is nearly right leaves smooth residuals: of the mito series (R2 0.997) they count for
#: 0.2 frames, and no evidence would do. Two frames let an R2 above 0.989 speak for itself, which 1 of
#: 1,000 steady random walks of 8 to 300 frames exceeds at most.
MIN_EFFECTIVE = 2.0
#: Rounding of a trace, relative to its largest value: sums in float64.
ROUNDING = 1e-13
#: Logarithms of the times, in spans, between which a half-life is looked for.
SOONEST, LATEST = np.log(1e-12), np.log(1e6)
#: The share of a normal distribution within one standard deviation.
ONE_SIGMA = 0.6826894921370859


@dataclass(frozen=True, eq=False)
class DecayFit:
    """The best curve of a model for a trace.

    Parameters
    ----------
    model
        What was fitted.
    trace
        What it was fitted to.
    optimum
        The curve, in the units of `trace`.
    covariance
        (p + d, p + d) of the coefficients and of the logarithms of the shape parameters, in the
        units of `trace`, allowing for correlated residuals; NaN where a parameter is held by its
        limit or not determined.
    n_effective
        Frames that the residuals are worth, since neighbouring frames are correlated.
    """

    model: DecayModel
    trace: ScaledTrace
    optimum: Optimum
    covariance: Array = field(repr=False)
    n_effective: float

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters by name, in counts and in the unit of the times."""
        return self._by_name(np.concatenate([self.optimum.coefficients, self.optimum.shape]))

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard errors of the parameters; NaN where one is held by its limit or not determined."""
        errors = np.sqrt(np.diag(self.covariance))
        errors[len(self.optimum.coefficients) :] *= self.optimum.shape
        return self._by_name(errors)

    @property
    def has_errors(self) -> bool:
        """Whether any parameter has an error: none of those that are given, or as many as frames."""
        return bool(np.isfinite(np.diag(self.covariance)).any())

    @property
    def curve(self) -> Array:
        """(n,) the curve at each frame of the trace, in the order the frames were given in [counts]."""
        return self.trace.unsorted(self.optimum.curve * self.trace.largest)

    @property
    def residuals(self) -> Array:
        """(n,) trace minus curve in the order of time [counts]."""
        residuals: Array = (self.trace.intensity - self.optimum.curve) * self.trace.largest
        return residuals

    @property
    def rss(self) -> float:
        """Weighted sum of the squared residuals [counts^2]."""
        # A product of large numbers is infinite, a power of one an error.
        return self.optimum.rss * self.trace.largest * self.trace.largest

    @property
    def rmse(self) -> float:
        """Root of the weighted mean of the squared residuals [counts]."""
        return float(np.sqrt(self.rss / self.trace.weights.sum()))

    @property
    def r2(self) -> float:
        """Share of the variance that is explained; NaN for a constant trace."""
        intensity, weights = self.trace.intensity, self.trace.weights
        if np.ptp(intensity) == 0.0:
            return np.nan
        deviations = intensity - np.average(intensity, weights=weights)
        return 1.0 - self.optimum.rss / float(deviations**2 @ weights)

    @property
    def aicc(self) -> float:
        """Akaike's information criterion for short series (Hurvich & Tsai, Biometrika 76, 297, 1989).

        Up to a constant of the trace; inf with too few frames to tell. Below the rounding of the
        trace all fits are equally good.
        """
        n, k = len(self.trace.tau), self.model.n_parameters + 1
        if n <= k + 1:
            return np.inf
        mean_square = max(self.optimum.rss / n, ROUNDING**2)
        return float(n * np.log(mean_square) + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0))

    @property
    def is_exact(self) -> bool:
        """Whether only rounding is left of the residuals."""
        return bool(np.sqrt(self.optimum.rss / len(self.trace.tau)) <= ROUNDING)

    @property
    def neighbour_correlation(self) -> float:
        """Correlation of neighbouring residuals, from 0 to 0.99."""
        weighted = (self.trace.intensity - self.optimum.curve) * self.trace.weights
        return neighbour_correlation(weighted, self.model.n_parameters)

    @property
    def half_life(self) -> float:
        """Time in which the bleachable part of the curve halves; inf where it has none."""
        # Here, because it takes as long to import as the rest of the package.
        from scipy.optimize import brentq

        bleachable = np.array([parameter.bleachable for parameter in self.model.coefficients])
        coefficients = np.where(bleachable, self.optimum.coefficients, 0.0)
        if not coefficients.any():
            return np.inf

        def above_half(log_tau: float) -> float:
            tau = np.array([0.0, np.exp(log_tau)])
            first, later = self.model.matrix(tau, self.optimum.shape) @ coefficients
            return float(later / first - 0.5)

        if not above_half(SOONEST) > 0.0 > above_half(LATEST):
            return np.nan
        return float(np.exp(brentq(above_half, SOONEST, LATEST, xtol=1e-14)) * self.trace.span)

    @property
    def varies(self) -> bool:
        """Whether the residuals are more than the rounding of a constant trace."""
        return self.rmse > 10.0 * ROUNDING * self.trace.largest

    def bleachable_part(self) -> "DecayFit":
        """Return the part of the curve that bleaches, without offset and drift."""
        coefficients, covariance = self.optimum.coefficients.copy(), self.covariance.copy()
        for place, parameter in enumerate(self.model.coefficients):
            if not parameter.bleachable:
                coefficients[place] = 0.0
                covariance[place, :] = covariance[:, place] = np.nan
        return replace(self, optimum=self.optimum._replace(coefficients=coefficients), covariance=covariance)

    def at(self, times: Array) -> Array:
        """Evaluate the curve at other times (m,) [counts]."""
        matrix = self.model.matrix((times - self.trace.start) / self.trace.span, self.optimum.shape)
        curve: Array = matrix @ self.optimum.coefficients * self.trace.largest
        return curve

    def errors_at(self, times: Array) -> Array:
        """Return the standard error of the curve at some times (m,) [counts]; NaN where no parameter has one."""
        if not self.has_errors:
            return np.full_like(times, np.nan)
        derivatives, covariance = self._free(times)
        variances = np.einsum("mi,ij,mj->m", derivatives, covariance, derivatives)
        errors: Array = np.sqrt(np.maximum(variances, 0.0)) * self.trace.largest
        return errors

    def log_ratio_errors(self, times: Array, reference: float) -> Array:
        """Return half the width of the 68 % interval of ``log(f(reference) / f(times))``.

        Parameters
        ----------
        times
            (m,) where the curve is above 0.
        reference
            A single time.

        Returns
        -------
        numpy.ndarray
            (m,), by the delta method: the gradient of the logarithm carried through the
            covariance, times the quantile of Student's t. Where no parameter has an error, only the ratio
            to itself is certain, and all others are NaN.
        """
        if not self.has_errors:
            return np.where(times == reference, 0.0, np.nan)
        both = np.append(times, reference)
        derivatives, covariance = self._free(both)
        relative = derivatives / (self.at(both) / self.trace.largest)[:, None]
        gradient = relative[-1] - relative[:-1]
        variances = np.einsum("mi,ij,mj->m", gradient, covariance, gradient)
        freedom = max(len(self.trace.tau) - self.model.n_parameters, 1)
        quantile = float(stdtrit(freedom, 0.5 + ONE_SIGMA / 2.0))
        errors: Array = quantile * np.sqrt(np.maximum(variances, 0.0))
        return errors

    def _free(self, times: Array) -> tuple[Array, Array]:
        """Return derivatives and covariance of the parameters that are free to move."""
        free = np.isfinite(np.diag(self.covariance))
        tau = (times - self.trace.start) / self.trace.span
        return _jacobian(self.model, tau, self.optimum)[:, free], self.covariance[np.ix_(free, free)]

    def _by_name(self, values: Array) -> dict[str, float]:
        counts, seconds = self.trace.largest, self.trace.span
        named = {
            parameter.name: parameter.in_units(value, counts, seconds)
            for parameter, value in zip(self.model.parameters, values, strict=True)
        }
        return dict(sorted(named.items(), key=lambda entry: self.model.formula.find(entry[0])))


def fit_decay(model: DecayModel, times: Array, trace: Array, weights: Array | None = None) -> DecayFit:
    """Fit a model to a trace: the global optimum.

    Parameters
    ----------
    model
        Such as `models.EXPONENTIAL`.
    times
        (n,) finite, in any unit and order, not all equal; more frames than the model has parameters.
    trace
        (n,) finite, counts.
    weights
        (n,) of the squared residuals; None weights all frames alike.

    Returns
    -------
    DecayFit
        With times counted from the earliest one.

    Examples
    --------
    >>> from flimage_dask.correction.models import EXPONENTIAL
    >>> times = np.arange(50) / 10
    >>> fit = fit_decay(EXPONENTIAL, times, 150 * np.exp(-0.5 * times) + 10)
    >>> {name: round(value, 9) for name, value in fit.parameters.items()}
    {'amplitude': 150.0, 'rate': 0.5, 'offset': 10.0}
    """
    return fit_scaled(model, ScaledTrace.of(times, trace, weights))


def given_decay(model: DecayModel, trace: ScaledTrace, parameters: Mapping[str, float]) -> DecayFit:
    """Take parameters as they are, in counts and in the unit of the times, instead of fitting them.

    Examples
    --------
    >>> from flimage_dask.correction.models import EXPONENTIAL
    >>> trace = ScaledTrace.of(np.arange(3.0), np.array([90.0, 60.0, 40.0]))
    >>> given_decay(EXPONENTIAL, trace, {"amplitude": 80, "rate": 0.7, "offset": 10}).curve.round(2)
    array([90.  , 49.73, 29.73])
    """
    counts, seconds = 1.0 / trace.largest, 1.0 / trace.span
    values = [parameter.in_units(parameters[parameter.name], counts, seconds) for parameter in model.parameters]
    n_coefficients = len(model.coefficients)
    coefficients, shape = np.array(values[:n_coefficients]), np.array(values[n_coefficients:])
    probe(model, trace.tau, shape, shape)
    curve = model.matrix(trace.tau, shape) @ coefficients
    rss = float((trace.intensity - curve) ** 2 @ trace.weights)
    unknown = np.full((len(values), len(values)), np.nan)
    optimum = Optimum(shape, coefficients, curve, rss, np.zeros(len(shape)))
    return DecayFit(model, trace, optimum, unknown, effective_frames(trace.intensity - curve, model.n_parameters))


def fit_scaled(model: DecayModel, trace: ScaledTrace) -> DecayFit:
    """Fit a model to a trace that is scaled already; see `fit_decay`."""
    optimum = fit_globally(model, trace)
    n_effective = effective_frames((trace.intensity - optimum.curve) * trace.weights, model.n_parameters)
    return DecayFit(model, trace, optimum, _covariance(model, trace, optimum, n_effective), n_effective)


def effective_frames(residuals: Array, n_parameters: int) -> float:
    """Count the independent frames that residuals in the order of time are worth.

    Parameters
    ----------
    residuals
        (n,) trace minus fitted curve.
    n_parameters
        Of the curve.

    Returns
    -------
    float
        ``n (1 - rho) / (1 + rho)``, with rho the `neighbour_correlation`. At least `MIN_EFFECTIVE`.
    """
    rho = neighbour_correlation(residuals, n_parameters)
    return max(len(residuals) * (1.0 - rho) / (1.0 + rho), MIN_EFFECTIVE)


def neighbour_correlation(residuals: Array, n_parameters: int) -> float:
    """Return the correlation rho of neighbouring residuals (n,), from 0 to 0.99.

    The fit takes up part of it; that bias, ``(1 + 3 rho) / n`` for a mean (Marriott & Pope, Biometrika 41,
    390, 1954) and ``1 / n`` for each further parameter, is put back.
    """
    n = len(residuals)
    centred = residuals - residuals.mean()
    power = float(centred @ centred)
    if power == 0.0:
        return 0.0
    rho = float(centred[1:] @ centred[:-1]) / power
    return min(max(rho + (3.0 * rho + n_parameters) / n, 0.0), 0.99)


def _jacobian(model: DecayModel, tau: Array, optimum: Optimum) -> Array:
    """Return the derivatives (n, p + d) of a curve by coefficients and logarithms of shape parameters."""
    columns = model.matrix(tau, optimum.shape)
    slopes = model.slope_matrix(tau, optimum.shape) @ optimum.coefficients
    return np.concatenate([columns, slopes.T], axis=1)


def _covariance(model: DecayModel, trace: ScaledTrace, optimum: Optimum, n_effective: float) -> Array:
    """Propagate the residuals to the parameters that are free to move, by linearisation.

    Where frames are weighted (`robust`), after Huber (Robust Statistics, 1981, eq. 7.6.9): the
    squares of the weighted residuals over the square of the share of frames at full weight.
    """
    n = len(trace.tau)
    derivatives = _jacobian(model, trace.tau, optimum)
    signed = np.array([parameter.lowest == 0.0 for parameter in model.coefficients])
    free = np.concatenate([~signed | (optimum.coefficients > 0.0), np.abs(derivatives[:, len(signed) :]).any(axis=0)])
    covariance = np.full((len(free), len(free)), np.nan)
    n_free = int(free.sum())
    lengths = np.sqrt((derivatives[:, free] ** 2).sum(axis=0))
    if n_free == 0 or n <= n_free or not (lengths > 0.0).all():
        return covariance
    _, triangular = np.linalg.qr(derivatives[:, free] / lengths)
    if np.linalg.matrix_rank(triangular) < n_free:
        return covariance
    inverse = np.linalg.inv(triangular) / lengths[:, None]
    weighted = trace.weights * (trace.intensity - optimum.curve)
    at_full_weight = np.count_nonzero(trace.weights == 1.0) / n
    variance = float(weighted @ weighted) / (n - n_free) / at_full_weight**2
    covariance[np.ix_(free, free)] = variance * (n / n_effective) * (inverse @ inverse.T)
    return covariance
