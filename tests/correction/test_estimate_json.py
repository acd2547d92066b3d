"""Estimates as text, and back."""

import json

import numpy as np
import pytest

from flimage_dask.correction.bleaching import BleachingEstimate, FitOptions, estimate_bleaching
from flimage_dask.correction.estimate_json import ARRAYS
from flimage_dask.errors import ParameterError

TIMES = np.arange(40.0)
DECAY = 100 * np.exp(-0.1 * TIMES) + 20 + np.random.default_rng(0).normal(0, 1, 40)


def made(trace=DECAY, background=2.5, **fit):
    return estimate_bleaching(TIMES, trace, background=background, border_px=20, fit=FitOptions(**fit))


def with_gap():
    trace = DECAY.copy()
    trace[[0, 7]] = np.nan
    return trace


@pytest.mark.parametrize(
    "estimate",
    [
        made(),
        made(model="auto", exclude=[3, 4], robust=True),
        made(with_gap()),
        made(1000 + DECAY % 1),
        made(np.full(40, 7.0)),
        made(model="none"),
        made(background=np.linspace(1, 2, 40)),
        made(background=np.arange(12.0).reshape(3, 4)),
        made(background=np.where(TIMES == 5, np.nan, 1.0)),
    ],
    ids=["plain", "options", "gap", "steady", "constant", "none", "per-frame", "image", "unknown-background"],
)
def test_an_estimate_comes_back_to_the_last_bit(estimate):
    text = estimate.to_json()
    again = BleachingEstimate.from_json(text)
    for name in (*ARRAYS, "background"):
        np.testing.assert_array_equal(getattr(again, name), getattr(estimate, name))
    assert str(again) == str(estimate)
    assert again.summary() == estimate.summary()
    assert (again.left_out, again.half_life) == (estimate.left_out, estimate.half_life)
    assert again.to_json() == text


def test_the_keys_that_people_look_for_are_on_top():
    content = json.loads(made(model="auto").to_json())
    assert content["model"] == "exponential"
    assert content["parameters"]["rate"] == pytest.approx(0.1, rel=0.1)
    assert {"r2", "aicc", "half_life", "standard_errors", "units", "status"} <= content.keys()
    assert len(content["arrays"]["factors"]) == 40


def test_an_estimate_that_came_back_cannot_be_changed():
    again = BleachingEstimate.from_json(made().to_json())
    with pytest.raises(ValueError, match="read-only"):
        again.factors[0] = 2


def changed(**values):
    return json.dumps(json.loads(made().to_json()) | values)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("no json", "as to_json.. writes it"),
        ("[1, 2]", "a JSON object with 'format'"),
        ("{}", "a JSON object with 'format'"),
        (changed(format_version=2), "format_version 2; this version of flimage_dask reads 1"),
        (changed(arrays={}), "has no 'times'"),
        (changed(r2="high"), "something unexpected"),
        (changed(units=3), "something unexpected"),
        (changed(arrays={name: [1, 2] if name == "trace" else [1] for name in ARRAYS}), "differ in length"),
        (changed(arrays={name: [[1]] for name in ARRAYS}), "2 dimensions where 1"),
    ],
)
def test_what_is_no_estimate_is_refused_with_what_is_wrong(text, match):
    with pytest.raises(ParameterError, match=match):
        BleachingEstimate.from_json(text)
