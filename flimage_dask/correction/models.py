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

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .decay_model import DecayModel, Parameter

__all__ = [
    "AMPLITUDE",
    "BIEXPONENTIAL",
    "EXPONENTIAL",
    "FASTEST",
    "LINEAR_EXPONENTIAL",
    "MODELS",
    "NONE",
    "OFFSET",
    "RATE",
    "SLOWEST",
    "STRETCHED",
    "DecayModel",
    "Parameter",
    "model_named",
]

Array = NDArray[np.float64]

#: Slowest rate that is fitted, a decay by a thousandth over the series; and the fastest, which
#: loses all but e^-10 from one frame to the next. Beyond, curves cannot be told apart.
SLOWEST, FASTEST = 1e-3, 10.0

AMPLITUDE = Parameter("amplitude", counts=1, bleachable=True)
OFFSET = Parameter("offset", counts=1)
RATE = Parameter("rate", seconds=-1)


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
