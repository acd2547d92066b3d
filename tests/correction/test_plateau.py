"""A plateau before a decay."""

import numpy as np
import pytest

from flimage_dask.correction.bleaching import FitOptions, estimate_bleaching
from flimage_dask.correction.choice import choose
from flimage_dask.correction.models import EXPONENTIAL
from flimage_dask.correction.plateau import frames_before_decay
from flimage_dask.correction.scaled import ScaledTrace

TIMES = np.arange(100.0)
WHITE = np.random.default_rng(0).normal(0, 1, 100)


def late(n_level, amplitude=50.0):
    return 100 - amplitude + amplitude * np.exp(-np.maximum(TIMES - n_level, 0) / 30)


def before_decay(times, trace, model=EXPONENTIAL):
    return frames_before_decay(choose(model, ScaledTrace.of(times, trace)))


@pytest.mark.parametrize("n_level", [20, 40, 60])
def test_the_frames_before_the_decay_are_found(n_level):
    assert abs(len(before_decay(TIMES, late(n_level) + 0.2 * WHITE)) - n_level) <= 1


def test_they_are_found_in_any_order_and_unit():
    trace = late(30) + 0.2 * WHITE
    order = np.random.default_rng(1).permutation(100)
    expected = set(before_decay(TIMES, trace))
    assert set(order[before_decay(1e-3 * TIMES[order] + 7, 1e6 * trace[order])]) == expected


@pytest.mark.parametrize("model", [EXPONENTIAL, None])
@pytest.mark.parametrize(
    "trace",
    [late(0) + WHITE, late(0), 100 + WHITE, 100 + np.cumsum(WHITE), 100 + TIMES, np.full(100, 7.0), late(95)],
    ids=["a decay", "an exact decay", "white", "a walk", "a rise", "constant", "a step at the end"],
)
def test_where_there_is_no_plateau_nobody_is_left_out(trace, model):
    assert before_decay(TIMES, trace, model).size == 0


def test_a_plateau_in_a_trace_that_is_called_bleaching_is_a_warning_and_changes_no_fit():
    found = estimate_bleaching(TIMES, late(20) + 1.5 * WHITE, background=0.0)
    assert (found.status, found.excluded) == ("bleaching", ())
    assert "leave these 20 frames out of the fit with exclude=." in found.warnings[0]


def test_given_parameters_are_taken_as_they_are():
    parameters = {"amplitude": 50.0, "rate": 0.03, "offset": 50.0}
    found = estimate_bleaching(TIMES, late(30), background=0.0, fit=FitOptions(parameters=parameters))
    assert found.warnings == ()


def test_few_frames_have_no_plateau():
    assert before_decay(TIMES[:14], late(5)[:14]).size == 0
