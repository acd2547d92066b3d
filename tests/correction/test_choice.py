"""Whether a trace bleaches, and along which curve."""

import numpy as np
import pytest

from flimage_dask.correction.choice import choose
from flimage_dask.correction.models import (
    BIEXPONENTIAL,
    EXPONENTIAL,
    LINEAR_EXPONENTIAL,
    MODELS,
    NONE,
    STRETCHED,
)
from flimage_dask.correction.scaled import ScaledTrace

TIMES = np.arange(200.0)
CURVES = {
    "exponential": 80 * np.exp(-0.03 * TIMES) + 20,
    "biexponential": 50 * np.exp(-0.15 * TIMES) + 40 * np.exp(-0.01 * TIMES) + 10,
    "linear+exponential": 40 * np.exp(-0.1 * TIMES) - 0.2 * TIMES + 60,
    "stretched": 90 * np.exp(-((0.05 * TIMES) ** 0.5)) + 10,
}


def chosen(trace, model=None):
    return choose(model, ScaledTrace.of(TIMES[: len(trace)], trace)).fit.model.name


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("seed", range(3))
def test_the_curve_a_trace_was_made_from_is_chosen(name, seed):
    trace = CURVES[name] + np.random.default_rng(seed).normal(0, 0.3, 200)
    assert chosen(trace) == name


@pytest.mark.parametrize("name", CURVES)
def test_without_noise_too(name):
    assert chosen(CURVES[name]) == name


def test_an_exponential_is_seldom_taken_for_a_richer_curve():
    rng = np.random.default_rng(0)
    names = [chosen(CURVES["exponential"][:60] + rng.normal(0, 1, 60)) for _ in range(20)]
    assert names.count("exponential") >= 18  # simulated with 1,000: 97 %


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_steady_series_are_left_alone(correlation):
    rng = np.random.default_rng(1)
    names = []
    for _ in range(30):
        noise = rng.normal(0, 1, 100)
        for k in range(1, 100):
            noise[k] = correlation * noise[k - 1] + np.sqrt(1 - correlation**2) * noise[k]
        names.append(chosen(1000 + 20 * noise))
    assert names.count("none") >= 29


def test_two_clear_rates_are_bleaching_though_one_exponential_fits_badly():
    trace = 60 * np.exp(-0.2 * TIMES[:100]) + 30 * np.exp(-0.02 * TIMES[:100]) + 10
    assert chosen(trace, EXPONENTIAL) == "exponential"
    assert chosen(trace) == "biexponential"


@pytest.mark.parametrize("model", [EXPONENTIAL, BIEXPONENTIAL, LINEAR_EXPONENTIAL, STRETCHED, None])
def test_a_trace_that_rises_is_not_bleaching_for_any_model(model):
    assert chosen(100 + TIMES + np.random.default_rng(0).normal(0, 3, 200), model) == "none"


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_a_model_that_is_asked_for_is_taken(model):
    assert chosen(CURVES["biexponential"], model) == model.name


def test_asking_for_none_fits_nothing_else():
    choice = choose(NONE, ScaledTrace.of(TIMES, CURVES["exponential"]))
    assert list(choice.tried) == ["none"]


def test_all_models_that_were_tried_are_kept():
    choice = choose(None, ScaledTrace.of(TIMES, CURVES["stretched"]))
    assert choice.tried.keys() == MODELS.keys()
    assert min(choice.tried, key=lambda name: choice.tried[name].aicc) == "stretched"


def test_models_with_too_many_parameters_for_the_frames_are_not_tried():
    choice = choose(None, ScaledTrace.of(TIMES[:5], CURVES["biexponential"][:5]))
    assert BIEXPONENTIAL.name not in choice.tried
