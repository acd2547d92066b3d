"""A look at the columns of a model before it is fitted: what a function of a user's may return."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .decay_model import DecayModel, each_of, read_only

Array = NDArray[np.float64]


def probe(model: DecayModel, tau: Array, low: Array, high: Array) -> None:
    """Refuse a model whose columns or slopes no fit can use.

    Parameters
    ----------
    model
        Whose functions are called: for single shape parameters, and for several at once.
    tau
        (n,) times in spans.
    low, high
        (d,) the least and the largest shape parameters that a fit may come to.

    Raises
    ------
    ParameterError
        (a ValueError) if a function raises; for another number of columns than coefficients; and for columns
        that do not broadcast with tau, or hold something else than finite real numbers.

    Examples
    --------
    >>> from flimage_dask.correction.models import EXPONENTIAL
    >>> probe(EXPONENTIAL, np.array([0.0, 0.5, 1.0]), np.array([1e-3]), np.array([20.0]))
    """
    corners = np.array(list(product(*zip(low, high, strict=True))))
    names, times = [parameter.name for parameter in model.coefficients], read_only(tau)
    for shape in corners:
        _check_columns(model, _returned(model, "columns", model.columns, times, shape), names, tau.shape, shape)
    if model.shape_parameters:
        several = _returned(model, "columns", model.columns, times, corners)
        _check_columns(model, several, names, (len(corners), *tau.shape), corners)
    if model.slopes is not None:
        _check_slopes(model, model.slopes, times, corners[0])


def _check_slopes(model: DecayModel, slopes: Callable[..., Any], tau: Array, shape: Array) -> None:
    by_each = _returned(model, "slopes", slopes, tau, shape)
    if len(by_each) != len(shape):
        raise ParameterError(
            f"the slopes of the model '{model.name}' are {len(by_each)}; it has {len(shape)} shape parameters: return "
            "the derivatives of all columns by the logarithm of each."
        )
    for parameter, columns in zip(model.shape_parameters, by_each, strict=True):
        names = [f"{coefficient.name} by {parameter.name}" for coefficient in model.coefficients]
        _check_columns(model, tuple(columns), names, tau.shape, shape)


def _returned(model: DecayModel, name: str, function: Callable[..., Any], tau: Array, shape: Array) -> tuple[Any, ...]:
    """Call a function of a model; say which one it was if it fails."""
    try:
        with np.errstate(all="ignore"):
            return tuple(function(tau, *each_of(shape)))
    except Exception as error:
        raise ParameterError(
            f"the {name} of the model '{model.name}' raised {type(error).__name__} for {_in_words(model, shape)}: "
            f"{error}. They must take numbers and arrays (m, 1), and leave tau (n,) as it is."
        ) from error


def _check_columns(
    model: DecayModel, columns: Sequence[Any], names: Sequence[str], expected: tuple[int, ...], shape: Array
) -> None:
    """Refuse columns that are not one for each name, with as many finite real numbers as expected."""
    if len(columns) != len(names):
        raise ParameterError(
            f"the model '{model.name}' has {len(names)} coefficients ({', '.join(names)}), but returned "
            f"{len(columns)} columns: return a tuple with one for each."
        )
    for name, column in zip(names, columns, strict=True):
        wrong = _what_is_wrong(column, expected)
        if wrong:
            raise ParameterError(
                f"the column '{name}' of the model '{model.name}' {wrong} for {_in_words(model, shape)}: expected "
                "finite real numbers that broadcast with tau."
            )


def _what_is_wrong(column: Any, expected: tuple[int, ...]) -> str:
    try:
        values = np.asarray(column)
    except ValueError:
        return "is ragged"
    if values.dtype.kind not in "biuf":
        return f"is of type {values.dtype}"
    if not _broadcasts(values.shape, expected):
        return f"has shape {values.shape}, not {expected},"
    return "" if np.isfinite(values).all() else "is not finite"


def _broadcasts(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, expected) == expected
    except ValueError:
        return False


def _in_words(model: DecayModel, shape: Array) -> str:
    """Name the shape parameters of a call, such as "rate = 0.001 (times in spans)"."""
    if not model.shape_parameters:
        return "the times of the trace"
    if shape.ndim > 1:
        return f"{len(shape)} values of {', '.join(parameter.name for parameter in model.shape_parameters)} at once"
    named = zip(model.shape_parameters, shape, strict=True)
    return ", ".join(f"{parameter.name} = {value:g}" for parameter, value in named) + " (times in spans)"
