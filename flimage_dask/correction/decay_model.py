"""What a model of the decay is: a family of curves, each a sum of shapes with linear coefficients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError

Array = NDArray[np.float64]
#: Columns (n,) of the linear part at the times tau (n,), for numbers or arrays (m, 1) of each shape parameter.
Columns: TypeAlias = Callable[..., Sequence[Any]]

#: Step of a logarithm in a central difference: the cube root of float64's rounding.
STEP = 6e-6
#: Shape parameters that can be searched in reasonable time.
MOST_SHAPE_PARAMETERS = 2
#: Units in words, by the powers of counts and of seconds.
UNITS = {(0, 0): "", (0, -1): "1/s", (0, 1): "s", (1, 0): "counts", (1, -1): "counts/s", (1, 1): "counts s"}


#: Slowest rate that is fitted, a decay by a thousandth over the series; and the fastest, which
#: loses all but e^-10 from one frame to the next. Beyond, curves cannot be told apart.
SLOWEST, FASTEST = 1e-3, 10.0


@dataclass(frozen=True)
class Parameter:
    """A parameter of a model, and how it scales.

    Parameters
    ----------
    name
        Such as "amplitude".
    counts, seconds
        Powers of its unit: 1 and -1 for counts per second; see `UNITS`.
    lowest
        The least value of a coefficient: 0, or -inf for one that may have either sign.
    limits
        Of a shape parameter without a unit, both above 0. Those of a rate follow from the times.
    bleachable
        Whether what a coefficient multiplies is what bleaches, rather than what stays or drifts.
    slowest
        The least value of a rate without limits, in the inverse of the span of the series.

    Raises
    ------
    ParameterError
        (a ValueError) for a name that is no text, an unknown unit, another least value, or limits that are none.
    """

    name: str
    counts: int = 0
    seconds: int = 0
    lowest: float = 0.0
    limits: tuple[float, float] | None = None
    bleachable: bool = False
    slowest: float = SLOWEST

    def __post_init__(self) -> None:
        _check_name("a parameter", self.name)
        if (self.counts, self.seconds) not in UNITS:
            raise ParameterError(
                f"the parameter '{self.name}' has counts={self.counts!r}, seconds={self.seconds!r}: expected powers "
                "0 or 1 of counts, and -1, 0 or 1 of seconds."
            )
        if self.lowest not in (0.0, -np.inf):
            raise ParameterError(
                f"the parameter '{self.name}' has lowest={self.lowest!r}: give 0, or -inf for either sign."
            )
        if self.limits is not None and not _are_limits(self.limits):
            raise ParameterError(
                f"the parameter '{self.name}' has limits={self.limits!r}: expected two numbers (low, high) with "
                "0 < low < high."
            )
        if not _are_limits((self.slowest, FASTEST)):
            raise ParameterError(
                f"the parameter '{self.name}' has slowest={self.slowest!r}: expected a number from above 0 to below "
                f"{FASTEST:g}."
            )

    @property
    def unit(self) -> str:
        """The unit in words: "counts", "1/s", "counts/s", or nothing for a pure number."""
        return UNITS[self.counts, self.seconds]

    def in_units(self, value: float, counts: float, seconds: float) -> float:
        """Turn a number in units of the trace's maximum and span into one in counts and seconds."""
        return float(value * counts**self.counts * seconds**self.seconds)


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

    Raises
    ------
    ParameterError
        (a ValueError) for names that are no text or not different, no coefficient, or too many shape parameters.

    Notes
    -----
    Models are told apart by name in results and in the choice among them. A curve must not depend on
    anything but its arguments, or an estimate that is remembered would be wrong. `tau` is read-only. What
    the columns look like is seen when a fit begins (`model_probe`).

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

    def __post_init__(self) -> None:
        _check_name("a model", self.name)
        functions = {"columns": self.columns, "slopes": self.slopes, "canonical": self.canonical}
        for name, function in functions.items():
            if not callable(function) and not (name == "slopes" and function is None):
                raise ParameterError(f"the model '{self.name}' has {name}={function!r}: expected a function.")
        for name in ("coefficients", "shape_parameters"):
            object.__setattr__(self, name, self._as_parameters(name))
        self._check_parameters()

    def _as_parameters(self, name: str) -> tuple[Parameter, ...]:
        """Return the parameters of a field, which may be a list, as a tuple; refuse what is none."""
        given = getattr(self, name)
        if not isinstance(given, tuple | list) or not all(isinstance(one, Parameter) for one in given):
            raise ParameterError(f"the model '{self.name}' has {name}={given!r}: expected a tuple of Parameter.")
        return tuple(given)

    def _check_parameters(self) -> None:
        if not self.coefficients:
            raise ParameterError(f"the model '{self.name}' has no coefficient: give one for each column.")
        if len(self.shape_parameters) > MOST_SHAPE_PARAMETERS:
            raise ParameterError(
                f"the model '{self.name}' has {len(self.shape_parameters)} shape parameters; at most "
                f"{MOST_SHAPE_PARAMETERS} can be searched. Make constants of the others."
            )
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) < len(names):
            raise ParameterError(
                f"the model '{self.name}' has parameters {', '.join(names)}: give each a name of its own."
            )

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
        columns = self.columns(read_only(tau), *each_of(shape))
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
        for place, columns in enumerate(self.slopes(read_only(tau), *shape)):
            for column, values in enumerate(columns):
                full[place, :, column] = values
        return full


def each_of(shape: Array) -> tuple[Any, ...]:
    """Split shape parameters (…, d) into d numbers or arrays (…, 1)."""
    if shape.ndim == 1:
        return tuple(float(value) for value in shape)
    return tuple(shape[..., place, None] for place in range(shape.shape[-1]))


def read_only(values: Array) -> Array:
    """Return an array that shares its numbers, and that nobody can write to."""
    view = values.view()
    view.setflags(write=False)
    return view


def _check_name(owner: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ParameterError(f"{owner} has name={name!r}: expected text, such as 'rate'.")


def _are_limits(limits: object) -> bool:
    """Tell whether something is a pair of numbers between which a logarithm can be searched."""
    try:
        low, high = np.array(limits, np.float64)
    except (TypeError, ValueError):
        return False
    return bool(0.0 < low < high < np.inf)
