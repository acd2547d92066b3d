"""What a model of the decay may be made of."""

import numpy as np
import pytest

from flimage_dask.correction.decay_model import DecayModel, Parameter
from flimage_dask.correction.models import AMPLITUDE, OFFSET, RATE
from flimage_dask.errors import ParameterError


def two_columns(tau, rate):
    return np.exp(-rate * tau), 1.0


def model(coefficients=(AMPLITUDE, OFFSET), shape_parameters=(RATE,), columns=two_columns, name="my own", **more):
    return DecayModel(name, "of no matter", columns, coefficients, shape_parameters, **more)


@pytest.mark.parametrize(
    ("powers", "unit"),
    [((1, 0), "counts"), ((0, -1), "1/s"), ((1, -1), "counts/s"), ((0, 0), ""), ((0, 1), "s"), ((1, 1), "counts s")],
)
def test_units_are_written_as_people_do(powers, unit):
    assert Parameter("any", counts=powers[0], seconds=powers[1]).unit == unit


@pytest.mark.parametrize("powers", [{"seconds": -2}, {"counts": 2}, {"counts": 0.5}])
def test_a_unit_that_is_unknown_is_refused(powers):
    with pytest.raises(ParameterError, match=r"'rate' has counts=.*expected powers 0 or 1 of counts"):
        Parameter("rate", **powers)


@pytest.mark.parametrize("limits", [(0, 2), (2, 1), (1, 1), (0.1, np.inf), (np.nan, 1), (1,), (1, 2, 3), 3, "ab"])
def test_limits_are_two_ascending_numbers_above_0(limits):
    with pytest.raises(ParameterError, match=r"'exponent' has limits=.*0 < low < high"):
        Parameter("exponent", limits=limits)


def test_a_coefficient_is_not_negative_or_has_either_sign():
    with pytest.raises(ParameterError, match="'slope' has lowest=-1: give 0, or -inf"):
        Parameter("slope", lowest=-1)


@pytest.mark.parametrize("name", ["", 3, None])
def test_names_are_text(name):
    with pytest.raises(ParameterError, match="a parameter has name="):
        Parameter(name)
    with pytest.raises(ParameterError, match="a model has name="):
        model(name=name)


def test_parameters_have_different_names():
    with pytest.raises(ParameterError, match=r"'my own' has parameters amplitude, amplitude, rate: .*of its own"):
        model(coefficients=(AMPLITUDE, AMPLITUDE))
    with pytest.raises(ParameterError, match="of its own"):
        model(shape_parameters=(Parameter("offset", seconds=-1),))


def test_a_model_has_a_coefficient():
    with pytest.raises(ParameterError, match="'my own' has no coefficient"):
        model(coefficients=())


def test_no_more_shape_parameters_than_can_be_searched():
    three = tuple(Parameter(f"rate_{k}", seconds=-1) for k in range(3))
    with pytest.raises(ParameterError, match="'my own' has 3 shape parameters; at most 2 can be searched"):
        model(shape_parameters=three)


@pytest.mark.parametrize("parameters", [RATE, None, ("rate",), "rate"])
def test_what_is_no_parameter_is_refused(parameters):
    with pytest.raises(ParameterError, match=r"'my own' has shape_parameters=.*a tuple of Parameter"):
        model(shape_parameters=parameters)


def test_parameters_may_come_as_lists():
    assert model(coefficients=[AMPLITUDE, OFFSET], shape_parameters=[RATE]) == model()


@pytest.mark.parametrize("field", ["columns", "slopes", "canonical"])
def test_what_is_no_function_is_refused(field):
    with pytest.raises(ParameterError, match=f"'my own' has {field}=3: expected a function"):
        model(**{field: 3})
