"""The families of curves: what they promise to the fit."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

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


@pytest.mark.parametrize("model", [*MODELS.values(), SECOND_ORDER], ids=lambda model: model.name)
def test_a_model_travels_to_other_processes(model):
    assert pickle.loads(pickle.dumps(model)) == model
