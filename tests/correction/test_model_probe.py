"""Models that misbehave are named before they spoil a fit."""

import warnings

import numpy as np
import pytest

from flimage_dask.correction.bleaching import FitOptions, estimate_bleaching
from flimage_dask.correction.decay_model import DecayModel
from flimage_dask.correction.models import AMPLITUDE, OFFSET, RATE
from flimage_dask.errors import ParameterError

TIMES = np.arange(60.0)
TRACE = 80.0 / (1.0 + 0.3 * TIMES) + 20.0


def fitted(columns, trace=TRACE, coefficients=(AMPLITUDE, OFFSET), shape_parameters=(RATE,), **more):
    model = DecayModel("my own", "of no matter", columns, coefficients, shape_parameters, **more)
    return estimate_bleaching(TIMES, trace, background=0.0, fit=FitOptions(model))


def second_order(tau, rate):
    return 1.0 / (1.0 + rate * tau), 1.0


def changing_tau(tau, rate):
    tau *= -rate
    return np.exp(tau), 1.0


def without_arrays(tau, rate):
    return np.exp(-float(rate) * tau), 1.0


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        (lambda tau, rate: (second_order(tau, rate)[0],), r"2 coefficients \(amplitude, offset\), but returned 1 col"),
        (lambda tau, rate: (*second_order(tau, rate), tau), "returned 3 columns: return a tuple with one for each"),
        (lambda tau, rate: second_order(tau, rate)[0], "but returned 60 columns"),
        (lambda tau, rate: (np.exp(-rate * tau), np.nan), "column 'offset' of the model 'my own' is not finite"),
        (lambda tau, rate: (np.log(rate * tau), 1.0), "column 'amplitude' .*is not finite for rate = 0.001 "),
        (lambda tau, rate: (np.exp(2 * rate * tau), 1.0), "column 'amplitude' .*is not finite for rate = 590 "),
        (lambda tau, rate: (np.exp(1j * rate * tau), 1.0), "column 'amplitude' .*is of type complex128"),
        (lambda tau, rate: (None, 1.0), "column 'amplitude' .*is of type object"),
        (lambda tau, rate: (np.exp(-rate * tau)[..., :5], 1.0), r"has shape \(5,\), not \(60,\),"),
        (lambda tau, rate: None, "columns of the model 'my own' raised TypeError"),
        (lambda tau: (tau, 1.0), "columns of the model 'my own' raised TypeError for rate = 0.001"),
        (changing_tau, "columns of the model 'my own' raised ValueError .*leave tau"),
        (without_arrays, "columns of the model 'my own' raised TypeError for 2 values of rate at once"),
    ],
)
def test_columns_that_cannot_be_fitted_are_refused(columns, match):
    with pytest.raises(ParameterError, match=match):
        fitted(columns)


def test_columns_that_cannot_be_evaluated_at_given_parameters_are_refused():
    model = DecayModel("my own", "of no matter", lambda tau, rate: (np.log(tau * rate),), (AMPLITUDE,), (RATE,))
    with pytest.raises(ParameterError, match="'my own' is not finite for rate ="):
        estimate_bleaching(
            TIMES, TRACE, background=0.0, fit=FitOptions(model, parameters={"amplitude": 1.0, "rate": 0.1})
        )


@pytest.mark.parametrize(
    ("slopes", "match"),
    [
        (lambda tau, rate: (), "slopes of the model 'my own' are 0; it has 1 shape parameters"),
        (lambda tau, rate: ((tau,),), "returned 1 columns"),
        (lambda tau, rate: ((tau, np.inf),), "column 'offset by rate' .*is not finite"),
        (lambda tau, rate: 1 / 0, "slopes of the model 'my own' raised ZeroDivisionError"),
    ],
)
def test_slopes_that_cannot_be_used_are_refused(slopes, match):
    with pytest.raises(ParameterError, match=match):
        fitted(second_order, slopes=slopes)


def test_a_linear_model_needs_no_shape_parameter():
    def parabola(tau):
        return (1.0 - tau) ** 2, 1.0

    found = fitted(parabola, 80.0 * (1.0 - TIMES / 59.0) ** 2 + 10.0, shape_parameters=())
    assert found.parameters == pytest.approx({"amplitude": 80.0, "offset": 10.0})


def test_a_model_is_looked_at_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ParameterError, match="is not finite"):
            fitted(lambda tau, rate: (1.0 / (rate * tau), 1.0))
