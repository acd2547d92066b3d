"""Models of the decay: families of curves, each a sum of shapes with linear coefficients.

A model says what the columns of the linear part look like for given rates (and exponents), and the
fit (`separable`) does the rest. A curve of your own with an amplitude and an offset is a function of the time
and of one or two rates, which is the model:

>>> def hyperbola(t, rate):
...     return 1.0 / (1.0 + rate * t)
>>> model_named(hyperbola).name
'hyperbola'

The function gets the time since the earliest frame in units of the span of the series, the rates in the inverse of it,
and numbers or arrays (m, 1) of rates; so it may depend on their products only, and uses numpy. Any other model is
one more `DecayModel`, or an object with the same attributes (`LikeDecayModel`):

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
from dataclasses import dataclass, fields, replace
from inspect import signature
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .decay_model import FASTEST, MOST_SHAPE_PARAMETERS, SLOWEST, Columns, DecayModel, Parameter

__all__ = [
    "AMPLITUDE",
    "AUTO",
    "BIEXPONENTIAL",
    "EXPONENTIAL",
    "FASTEST",
    "LINEAR_EXPONENTIAL",
    "MODELS",
    "NONE",
    "OFFSET",
    "RATE",
    "RATIO",
    "SLOWEST",
    "STRETCHED",
    "DecayModel",
    "LikeDecayModel",
    "ModelLike",
    "Parameter",
    "model_named",
]

Array = NDArray[np.float64]

#: The best of several models, if there is bleaching at all.
AUTO = "auto"
#: No curve: each frame is made as bright as the reference.
RATIO = "ratio"

AMPLITUDE = Parameter("amplitude", counts=1, bleachable=True)
OFFSET = Parameter("offset", counts=1)
RATE = Parameter("rate", seconds=-1)


@runtime_checkable
class LikeDecayModel(Protocol):
    """What an object must have to be taken for a `DecayModel`; it may have `slopes` and `canonical` too."""

    @property
    def name(self) -> str:
        """What users call it."""

    @property
    def formula(self) -> str:
        """The curve in the names of the parameters, for people."""

    @property
    def columns(self) -> Columns:
        """``columns(tau, *shape)`` returns one array for each coefficient."""

    @property
    def coefficients(self) -> Sequence[Parameter]:
        """The linear parameters, in the order of the columns."""

    @property
    def shape_parameters(self) -> Sequence[Parameter]:
        """What the columns depend on."""


#: A name; a function ``f(t, rate)`` or ``f(t, rate_1, rate_2)``, which stands for ``amplitude f(t, rate) + offset``;
#: a `DecayModel`; or an object with its attributes.
ModelLike: TypeAlias = str | LikeDecayModel | Callable[..., Any]


def model_named(model: ModelLike) -> DecayModel:
    """Return the model that is meant by a name, or one's own.

    Parameters
    ----------
    model
        See `ModelLike`.

    Raises
    ------
    ParameterError
        (a ValueError) if there is none of that name; for something that is no model, or a function that takes
        no time and one or two rates; and for a model of one's own with a name that means another.

    Examples
    --------
    >>> model_named("stretched").formula
    'amplitude exp(-(rate t)^exponent) + offset'
    >>> def hyperbola(t, rate):
    ...     return 1.0 / (1.0 + rate * t)
    >>> model_named(hyperbola).formula
    'amplitude hyperbola(t, rate) + offset'
    """
    if isinstance(model, str):
        if model not in MODELS:
            raise _no_model(model)
        return MODELS[model]
    own = _own_model(model)
    if own.name in (AUTO, RATIO, *MODELS) and own != MODELS.get(own.name):
        raise ParameterError(f"the model '{own.name}' of your own has a name that is taken: give it another one.")
    return own


def _own_model(model: LikeDecayModel | Callable[..., Any]) -> DecayModel:
    if isinstance(model, DecayModel):
        return model
    if isinstance(model, LikeDecayModel):
        given = {field.name: getattr(model, field.name) for field in fields(DecayModel) if hasattr(model, field.name)}
        return DecayModel(**given)
    if callable(model):
        return _model_of_function(model)
    raise _no_model(model)


def _model_of_function(function: Callable[..., Any]) -> DecayModel:
    name = getattr(function, "__name__", type(function).__name__)
    rates = _rates_of(function, name)
    return DecayModel(
        name,
        f"amplitude {name}(t, {', '.join(rates)}) + offset",
        _CurveAndOffset(function),
        (AMPLITUDE, OFFSET),
        tuple(Parameter(rate, seconds=-1) for rate in rates),
    )


def _rates_of(function: Callable[..., Any], name: str) -> list[str]:
    """Return the names of the arguments after the time; those with a default keep it."""
    try:
        arguments = signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise ParameterError(f"model={name}: what it takes is unknown ({error}): wrap it in a function.") from error
    needed = [argument for argument in arguments if argument.default is argument.empty]
    by_place = [one.name for one in needed if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(by_place) != len(needed) or not 2 <= len(by_place) <= 1 + MOST_SHAPE_PARAMETERS:
        raise ParameterError(
            f"model={name} takes ({', '.join(map(str, arguments))}): expected a function f(t, rate) or "
            "f(t, rate_1, rate_2). Others are written as a DecayModel."
        )
    return by_place[1:]


@dataclass(frozen=True)
class _CurveAndOffset:
    """The columns of ``amplitude f(t, rate) + offset``; no closure, so that it travels wherever f does."""

    curve: Callable[..., Any]

    def __call__(self, tau: Array, *rates: Any) -> Sequence[Any]:
        return self.curve(tau, *rates), 1.0


def _no_model(model: object) -> ParameterError:
    if isinstance(model, str) and "histogram" in model.lower():
        return ParameterError(
            f"model={model!r}: histograms are matched without a model: call fls.histogram_matching(…), or "
            "fls.histogram_matched() for a lazy array; on the command line it is flimage-dask match."
        )
    names = ", ".join(repr(name) for name in MODELS)
    return ParameterError(
        f"model={model!r}: give '{AUTO}', {names}, '{RATIO}', or a function f(t, rate) or DecayModel of your own."
    )


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
    # Beside a line a slower exponential is a parabola, whatever its rate.
    (replace(RATE, slowest=0.03),),
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
