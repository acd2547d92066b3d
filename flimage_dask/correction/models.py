"""Models of the decay: families of curves, each a sum of shapes with linear coefficients.

A model says what the columns of the linear part look like for given rates (and exponents), and the
fit (`separable`) does the rest. A model of your own is one more `DecayModel`:

>>> def columns(tau, rate):
...     return 1.0 / (1.0 + rate * tau), np.ones_like(tau)
>>> second_order = DecayModel(
...     "second order",
...     formula="amplitude / (1 + rate t) + offset",
...     columns=columns,
...     coefficients=(AMPLITUDE, OFFSET),
...     shape_parameters=(RATE,),
... )
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError

Array = NDArray[np.float64]
#: Columns (n,) of the linear part at the times tau (n,), for numbers or arrays (m, 1) of each shape parameter.
Columns: TypeAlias = Callable[..., Sequence[Any]]

#: Slowest rate that is fitted, a decay by a thousandth over the series; and the fastest, which
#: loses all but e^-10 from one frame to the next. Beyond, curves cannot be told apart.
SLOWEST, FASTEST = 1e-3, 10.0
#: Step of a logarithm in a central difference: the cube root of float64's rounding.
STEP = 6e-6


@dataclass(frozen=True)
class Parameter:
    """A parameter of a model, and how it scales.

    Parameters
    ----------
    name
        Such as "amplitude".
    counts, seconds
        Powers of its unit: 1 and -1 for counts per second.
    lowest
        The least value of a coefficient: 0, or -inf for one that may have either sign.
    limits
        Of a shape parameter without a unit, both above 0. Those of a rate follow from the times.
    bleachable
        Whether what a coefficient multiplies is what bleaches, rather than what stays or drifts.
    """

    name: str
    counts: int = 0
    seconds: int = 0
    lowest: float = 0.0
    limits: tuple[float, float] | None = None
    bleachable: bool = False

    @property
    def unit(self) -> str:
        """The unit in words: "counts", "1/s", "counts/s", or nothing for a pure number."""
        above = "counts" if self.counts else ""
        below = {0: "", -1: "/s", 1: " s"}[self.seconds]
        return (above or ("1" if below == "/s" else "")) + below

    def in_units(self, value: float, counts: float, seconds: float) -> float:
        """Turn a number in units of the trace's maximum and span into one in counts and seconds."""
        return float(value * counts**self.counts * seconds**self.seconds)


AMPLITUDE = Parameter("amplitude", counts=1, bleachable=True)
OFFSET = Parameter("offset", counts=1)
RATE = Parameter("rate", seconds=-1)


def _itself(shape: Array) -> Array:
    return shape


@dataclass(frozen=True)
class DecayModel:
    """A family of curves ``f(t) = sum_j coefficient_j column_j(t; shape parameters)``.

    Parameters
    ----------
    name
        What users call it.
    formula
        The curve in the names of the parameters, for people.
    columns
        ``columns(tau, *shape)`` returns one array for each coefficient: the curve that the
        coefficient multiplies, at the times tau (n,), counted from the earliest frame in units of
        the span. Each shape parameter is a number or an array (m, 1) that is to be broadcast
        with tau.
    coefficients
        The linear parameters, in the order of the columns.
    shape_parameters
        What the columns depend on, all above 0. At most two of them can be searched in reasonable
        time. None for a model that is linear.
    slopes
        ``slopes(tau, *shape)`` returns, for each shape parameter, the derivatives of the columns by
        its logarithm. None takes central differences.
    canonical
        Gives the shape parameters (…, d) of equivalent curves one order.

    Notes
    -----
    Models are told apart by name in results and in the choice among them. A curve must not depend on
    anything but its arguments, or an estimate that is remembered would be wrong.

    Examples
    --------
    >>> from flimage_dask.correction.models import EXPONENTIAL
    >>> EXPONENTIAL.matrix(np.array([0.0, 1.0]), np.array([2.0])).round(3)
    array([[1.   , 1.   ],
           [0.135, 1.   ]])
    """

    name: str
    formula: str
    columns: Columns
    coefficients: tuple[Parameter, ...]
    shape_parameters: tuple[Parameter, ...] = ()
    slopes: Callable[..., Sequence[Sequence[Any]]] | None = None
    canonical: Callable[[Array], Array] = _itself

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters: coefficients, then shape parameters."""
        return self.coefficients + self.shape_parameters

    @property
    def n_parameters(self) -> int:
        """How many parameters a fit has."""
        return len(self.parameters)

    @property
    def min_frames(self) -> int:
        """How many frames a fit needs to be judged: one for each parameter, and one more."""
        return self.n_parameters + 1

    def matrix(self, tau: Array, shape: Array) -> Array:
        """Evaluate the columns.

        Parameters
        ----------
        tau
            (n,) times from the earliest frame in units of the span.
        shape
            (…, d) shape parameters.

        Returns
        -------
        numpy.ndarray
            (…, n, p).
        """
        columns = self.columns(tau, *_each(shape))
        full = np.empty((*shape.shape[:-1], len(tau), len(self.coefficients)))
        for place, column in enumerate(columns):
            full[..., place] = column
        return full

    def slope_matrix(self, tau: Array, shape: Array) -> Array:
        """Evaluate the derivatives of the columns by the logarithms of the shape parameters, (d, n, p)."""
        full = np.empty((len(self.shape_parameters), len(tau), len(self.coefficients)))
        if self.slopes is None:
            for place in range(len(full)):
                step = np.zeros(len(full))
                step[place] = STEP
                above, below = (self.matrix(tau, shape * np.exp(sign * step)) for sign in (1.0, -1.0))
                full[place] = (above - below) / (2.0 * STEP)
            return full
        for place, columns in enumerate(self.slopes(tau, *shape)):
            for column, values in enumerate(columns):
                full[place, :, column] = values
        return full


def model_named(model: "str | DecayModel") -> DecayModel:
    """Return a model by its name, or the model itself.

    Raises
    ------
    ParameterError
        (a ValueError) if there is none of that name.

    Examples
    --------
    >>> model_named("stretched").formula
    'amplitude exp(-(rate t)^exponent) + offset'
    """
    if isinstance(model, DecayModel):
        return model
    if model not in MODELS:
        names = ", ".join(repr(name) for name in MODELS)
        raise ParameterError(f"model={model!r}: give 'auto', {names}, 'ratio', or a DecayModel of your own.")
    return MODELS[model]


def _each(shape: Array) -> tuple[Any, ...]:
    """Split shape parameters (…, d) into d numbers or arrays (…, 1)."""
    if shape.ndim == 1:
        return tuple(float(value) for value in shape)
    return tuple(shape[..., place, None] for place in range(shape.shape[-1]))


def _constant(tau: Array) -> Sequence[Any]:
    return (1.0,)


def _exponential(tau: Array, rate: Any) -> Sequence[Any]:
    return np.exp(-rate * tau), 1.0


def _exponential_slopes(tau: Array, rate: Any) -> Sequence[Sequence[Any]]:
    return ((-rate * tau * np.exp(-rate * tau), 0.0),)


def _biexponential(tau: Array, fast: Any, slow: Any) -> Sequence[Any]:
    return np.exp(-fast * tau), np.exp(-slow * tau), 1.0


def _biexponential_slopes(tau: Array, fast: Any, slow: Any) -> Sequence[Sequence[Any]]:
    return (-fast * tau * np.exp(-fast * tau), 0.0, 0.0), (0.0, -slow * tau * np.exp(-slow * tau), 0.0)


def _fast_first(shape: Array) -> Array:
    return np.sort(shape, axis=-1)[..., ::-1]


def _linear_exponential(tau: Array, rate: Any) -> Sequence[Any]:
    return np.exp(-rate * tau), tau, 1.0


def _linear_exponential_slopes(tau: Array, rate: Any) -> Sequence[Sequence[Any]]:
    return ((-rate * tau * np.exp(-rate * tau), 0.0, 0.0),)


def _stretched(tau: Array, rate: Any, exponent: Any) -> Sequence[Any]:
    return np.exp(-((rate * tau) ** exponent)), 1.0


def _stretched_slopes(tau: Array, rate: Any, exponent: Any) -> Sequence[Sequence[Any]]:
    decays = rate * tau
    powers = decays**exponent
    by_log_power = -powers * np.exp(-powers)
    logarithms = np.log(decays, out=np.zeros_like(decays), where=decays > 0.0)
    return (by_log_power * exponent, 0.0), (by_log_power * exponent * logarithms, 0.0)


NONE = DecayModel("none", "offset", _constant, (OFFSET,))

#: flimage's model.
EXPONENTIAL = DecayModel(
    "exponential",
    "amplitude exp(-rate t) + offset",
    _exponential,
    (AMPLITUDE, OFFSET),
    (RATE,),
    _exponential_slopes,
)

#: Two populations of dye, or two pathways: Song et al., Biophys. J. 68, 2588 (1995); Vicente et al.,
#: J. Phys. Conf. Ser. 90, 012068 (2007).
BIEXPONENTIAL = DecayModel(
    "biexponential",
    "amplitude_1 exp(-rate_1 t) + amplitude_2 exp(-rate_2 t) + offset",
    _biexponential,
    (
        Parameter("amplitude_1", counts=1, bleachable=True),
        Parameter("amplitude_2", counts=1, bleachable=True),
        OFFSET,
    ),
    (Parameter("rate_1", seconds=-1), Parameter("rate_2", seconds=-1)),
    _biexponential_slopes,
    _fast_first,
)

#: An exponential on a steady drift, such as that of a lamp or of slow bleaching far from its end.
LINEAR_EXPONENTIAL = DecayModel(
    "linear+exponential",
    "amplitude exp(-rate t) + slope t + offset",
    _linear_exponential,
    (
        AMPLITUDE,
        Parameter("slope", counts=1, seconds=-1, lowest=-np.inf),
        Parameter("offset", counts=1, lowest=-np.inf),
    ),
    (RATE,),
    _linear_exponential_slopes,
)

#: A spread of rates: Kohlrausch's function, used for dyes in unlike surroundings.
STRETCHED = DecayModel(
    "stretched",
    "amplitude exp(-(rate t)^exponent) + offset",
    _stretched,
    (AMPLITUDE, OFFSET),
    (RATE, Parameter("exponent", limits=(0.1, 1.0))),
    _stretched_slopes,
)

MODELS = {model.name: model for model in (NONE, EXPONENTIAL, BIEXPONENTIAL, LINEAR_EXPONENTIAL, STRETCHED)}
