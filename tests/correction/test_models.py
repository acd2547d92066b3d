"""The families of curves: what they promise to the fit."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from dask.base import tokenize

from flimage_dask.correction.decay_model import DecayModel
from flimage_dask.correction.models import (
    AMPLITUDE,
    BIEXPONENTIAL,
    EXPONENTIAL,
    MODELS,
    OFFSET,
    RATE,
    STRETCHED,
    model_named,
)
from flimage_dask.correction.options import FitOptions
from flimage_dask.errors import ParameterError

TAU = np.linspace(0.0, 1.0, 30)
WITH_SHAPE = [model for model in MODELS.values() if model.shape_parameters]
SHAPES = {
    "exponential": [3.0],
    "linear+exponential": [3.0],
    "biexponential": [9.0, 2.0],
    "stretched": [3.0, 0.6],
}


def second_order(tau, rate):
    return 1.0 / (1.0 + rate * tau), np.ones_like(tau)


SECOND_ORDER = DecayModel(
    "second order", "amplitude / (1 + rate t) + offset", second_order, (AMPLITUDE, OFFSET), (RATE,)
)


@pytest.mark.parametrize("model", WITH_SHAPE, ids=lambda model: model.name)
def test_the_slopes_are_those_of_differences(model):
    shape = np.array(SHAPES[model.name])
    differences = replace(model, slopes=None)
    np.testing.assert_allclose(model.slope_matrix(TAU, shape), differences.slope_matrix(TAU, shape), atol=1e-9)


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_many_shapes_at_once_give_what_each_gives_alone(model):
    shapes = np.array([SHAPES.get(model.name, []), SHAPES.get(model.name, [])]) * [[1.0], [0.5]]
    together = model.matrix(TAU, shapes)
    assert together.shape == (2, 30, len(model.coefficients))
    for matrix, shape in zip(together, shapes, strict=True):
        assert np.array_equal(matrix, model.matrix(TAU, shape))


def test_a_stretched_decay_of_exponent_one_is_an_exponential():
    stretched = STRETCHED.matrix(TAU, np.array([3.0, 1.0]))
    np.testing.assert_allclose(stretched, EXPONENTIAL.matrix(TAU, np.array([3.0])), rtol=1e-14)


def test_the_faster_of_two_rates_is_the_first():
    assert BIEXPONENTIAL.canonical(np.array([[1.0, 5.0], [5.0, 1.0]])).tolist() == [[5.0, 1.0], [5.0, 1.0]]


def test_numbers_of_parameters_and_of_frames_follow_from_the_model():
    assert [model.n_parameters for model in MODELS.values()] == [1, 3, 5, 4, 4]
    assert EXPONENTIAL.min_frames == 4
    assert BIEXPONENTIAL.min_frames == 6


def test_a_model_is_known_by_its_name_or_is_ones_own():
    assert model_named("stretched") is STRETCHED
    assert model_named(SECOND_ORDER) is SECOND_ORDER


def test_an_unknown_name_is_refused_with_those_that_exist():
    with pytest.raises(ParameterError, match=r"model='cubic': give 'auto', 'none', 'exponential', .*of your own"):
        model_named("cubic")


@pytest.mark.parametrize("name", ["histogram", "Histogram matching"])
def test_a_wish_for_histogram_matching_is_told_where_it_is(name):
    with pytest.raises(ParameterError, match=rf"model='{name}': .*fls\.histogram_matching\(…\).*flimage-dask match"):
        model_named(name)


@pytest.mark.parametrize("model", [*MODELS.values(), SECOND_ORDER], ids=lambda model: model.name)
def test_a_model_travels_to_other_processes(model):
    assert pickle.loads(pickle.dumps(model)) == model


def hyperbola(t, rate):
    return 1.0 / (1.0 + rate * t)


def two_rates(t, fast, slow, share=0.5):
    return share * np.exp(-fast * t) + (1.0 - share) * np.exp(-slow * t)


class Hyperbolas:
    """Has what a `DecayModel` has, and a constant of its own."""

    name = "hyperbolas"
    formula = "amplitude / (1 + scale rate t) + offset"
    coefficients = (AMPLITUDE, OFFSET)
    shape_parameters = (RATE,)

    def __init__(self, scale):
        self.scale = scale

    def columns(self, tau, rate):
        return hyperbola(tau, self.scale * rate), 1.0


@pytest.mark.parametrize("name", ["auto", "ratio", *MODELS])
def test_a_name_that_means_another_model_is_refused(name):
    with pytest.raises(ParameterError, match="of your own has a name that is taken"):
        model_named(replace(SECOND_ORDER, name=name))


def test_a_model_that_there_is_keeps_its_name_wherever_it_has_been():
    assert model_named(pickle.loads(pickle.dumps(STRETCHED))) == STRETCHED


def test_a_function_is_a_curve_with_an_amplitude_and_an_offset():
    model = model_named(hyperbola)
    assert (model.name, model.formula) == ("hyperbola", "amplitude hyperbola(t, rate) + offset")
    assert model.parameters == (AMPLITUDE, OFFSET, RATE)
    for shape in (np.array([3.0]), np.array([[3.0], [4.0]])):
        assert np.array_equal(model.matrix(TAU, shape), SECOND_ORDER.matrix(TAU, shape))


def test_a_function_names_its_rates_and_keeps_its_defaults():
    model = model_named(two_rates)
    assert [(rate.name, rate.unit) for rate in model.shape_parameters] == [("fast", "1/s"), ("slow", "1/s")]


@pytest.mark.parametrize(
    "function",
    [
        lambda: 1.0,
        lambda t: t,
        lambda t, a, b, c: t,
        lambda t, *rates: t,
        lambda t, rate, *, more: t,
        lambda t, rate=1.0: t,
        DecayModel,
    ],
)
def test_a_function_takes_the_time_and_one_or_two_rates(function):
    with pytest.raises(ParameterError, match=r"takes \(.*\): expected a function f\(t, rate\)"):
        model_named(function)


def test_a_function_with_a_name_that_is_taken_is_refused():
    def stretched(t, rate):
        return np.exp(-np.sqrt(rate * t))

    with pytest.raises(ParameterError, match="'stretched' of your own has a name that is taken"):
        FitOptions(stretched)


def test_a_rate_with_the_name_of_a_coefficient_is_refused():
    with pytest.raises(ParameterError, match="parameters amplitude, offset, offset: give each a name of its own"):
        model_named(lambda t, offset: t)


def test_an_object_with_the_attributes_of_a_model_is_one():
    model = model_named(Hyperbolas(2.0))
    assert isinstance(model, DecayModel)
    assert np.array_equal(model.matrix(TAU, np.array([3.0])), SECOND_ORDER.matrix(TAU, np.array([6.0])))


@pytest.mark.parametrize("model", [3, None, ["exponential"], np.arange(3)])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ParameterError, match=r"model=.*: give 'auto', .*a function f\(t, rate\) or DecayModel"):
        FitOptions(model)


def test_a_function_of_a_module_travels_to_other_processes():
    options = FitOptions(hyperbola)
    assert pickle.loads(pickle.dumps(options)) == options == FitOptions(hyperbola)


def scaled(scale):
    return lambda t, rate: hyperbola(t, scale * rate)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (hyperbola, two_rates),
        (scaled(1.0), scaled(2.0)),
        (lambda t, rate: hyperbola(t, rate), lambda t, rate: np.exp(-rate * t)),
        (Hyperbolas(1.0), Hyperbolas(2.0)),
    ],
    ids=["functions", "closures", "lambdas", "objects"],
)
def test_models_are_told_apart_by_what_they_compute_even_with_one_name(one, another):
    assert tokenize(FitOptions(one)) == tokenize(FitOptions(one))
    assert tokenize(FitOptions(one)) != tokenize(FitOptions(another))
