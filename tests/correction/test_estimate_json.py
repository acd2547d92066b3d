"""Estimates as text, and back."""

import json
from dataclasses import replace

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


def in_array(name, value):
    arrays = json.loads(made().to_json())["arrays"]
    arrays[name][7] = value
    return changed(arrays=arrays)


def with_pixels(**values):
    pixels = {"n_pixels": 9, "saturation": None, "n_finite": [9] * 40, "n_saturated": [0] * 40}
    return changed(pixels=pixels | values)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("no json", "as to_json.. writes it"),
        (3, "as to_json.. writes it"),
        ("[1, 2]", "a JSON object with 'format'"),
        ("{}", "a JSON object with 'format'"),
        (changed(format_version=2), "format_version 2; this version of flimage_dask reads 1"),
        (changed(arrays={}), "has no 'arrays.trace': write it again"),
        (changed(arrays=3), "arrays = 3: expected an object"),
        (changed(r2="high"), 'r2 = "high": expected a number or null'),
        (changed(units=3), "units = 3: expected an object"),
        (changed(model=None), "model = null: expected text"),
        (changed(status="bleached"), "status = \"bleached\": expected one of 'bleaching', "),
        (changed(correction="factors"), "correction = \"factors\": expected one of 'factor', "),
        (changed(robust="false"), 'robust = "false": expected true or false'),
        (changed(warnings="abc"), 'warnings = "abc": expected a list'),
        (changed(warnings=[3]), r"warnings\[0\] = 3: expected text"),
        (changed(excluded="12"), 'excluded = "12": expected a list'),
        (changed(excluded=[3, 40]), r"excluded\[1\] = 40: expected a frame, 0 to 39"),
        (changed(outliers=[-1]), r"outliers\[0\] = -1: expected a frame"),
        (changed(left_out=[True]), r"left_out\[0\] = true: expected a frame"),
        (changed(n_frames=39), "n_frames = 39: expected 40, the length of the trace"),
        (changed(n_parts=0), "n_parts = 0: expected an integer from 1 on"),
        (changed(border_px=2.5), "border_px = 2.5: expected an integer from 1 on"),
        (changed(backgrounds=None), "backgrounds = null: expected a number, a list with one a frame, or an image"),
        (changed(backgrounds=[1.0] * 39), r"background has shape \(39,\); the estimate is of 40 frames"),
        (changed(backgrounds=[]), r"background has shape \(0,\)"),
        (changed(backgrounds=[[1, 2], [3]]), r"backgrounds\[1\] = \[3.0\]: expected 2 numbers"),
        (changed(backgrounds=[[1, "2"]]), r'backgrounds\[0\]\[1\] = "2": expected a number or null'),
        (changed(units={"rate": "1/s"}), r"units = .*: expected the names of the parameters, amplitude, rate, offset"),
        (changed(standard_errors={}), "standard_errors = {}: expected the names of the parameters"),
        (changed(parameters={"rate": True}), "parameters.rate = true: expected a number or null"),
        (with_pixels(n_pixels=0), "pixels.n_pixels = 0: expected an integer from 1 on"),
        (with_pixels(n_finite=[1, 2]), r"pixels.n_finite = \[1, 2\]: expected 40 numbers"),
        (with_pixels(n_saturated=[-1] * 40), r"pixels.n_saturated\[0\] = -1: expected an integer from 0 to 9"),
        (in_array("factors", None), r"arrays.factors\[7\] = null: expected a number above 0"),
        (in_array("factors", 0), r"arrays.factors\[7\] = 0: expected a number above 0"),
        (in_array("factors", -2), r"arrays.factors\[7\] = -2: expected a number above 0"),
        (in_array("factors", np.inf), r"arrays.factors\[7\] = Infinity: expected a number above 0"),
        (in_array("factors", 10**400), r"arrays.factors\[7\] = 1000.*…: expected a number above 0"),
        (in_array("factors", "1"), r'arrays.factors\[7\] = "1": expected a number above 0'),
        (in_array("shifts", None), r"arrays.shifts\[7\] = null: expected a number"),
        (in_array("decay", [1]), r"arrays.decay\[7\] = \[1\]: expected a number or null"),
        (changed(n_frames=0, arrays={name: [] for name in ARRAYS}), "n_frames = 0: expected an integer from 1 on"),
        (changed(n_frames=2, arrays={name: [1, 2] if name == "trace" else [1] for name in ARRAYS}), "differ in length"),
    ],
)
def test_what_is_no_estimate_is_refused_with_what_is_wrong(text, match):
    with pytest.raises(ParameterError, match=match):
        BleachingEstimate.from_json(text)


@pytest.mark.parametrize("background", [np.arange(3.0), [1.0, 2.0], np.zeros((2, 3, 4))])
def test_a_background_of_other_frames_fits_no_estimate(background):
    with pytest.raises(ParameterError, match="the estimate is of 40 frames: give a number"):
        replace(made(), background=background)


def test_arrays_of_other_frames_fit_no_estimate():
    with pytest.raises(ParameterError, match="differ in length"):
        replace(made(), factors=np.ones(3))


def test_a_curve_whose_exponential_vanished_has_an_infinite_half_life():
    fit = FitOptions(model="linear+exponential", robust=True, exclude=slice(0, 5), max_factor=3.0)
    times = np.arange(26.0)
    estimate = estimate_bleaching(np.floor(times / 3), 1 - times / 26, background=1.0, fit=fit)
    assert estimate.half_life == np.inf
    assert BleachingEstimate.from_json(estimate.to_json()).half_life == np.inf


def test_huge_counts_are_fitted_as_any_others():
    estimate = estimate_bleaching(np.arange(9.0), 1e200 * np.exp(-np.arange(9.0) / 3), background=0.0)
    assert estimate.factors[-1] == pytest.approx(np.exp(8 / 3))


def test_joined_estimates_have_no_half_life_in_json_either():
    parts = [estimate_bleaching(np.arange(30.0), np.exp(-np.arange(30.0) / 9), background=0.0) for _ in range(2)]
    joined = BleachingEstimate.joined(parts)
    assert np.isnan(joined.half_life)
    assert np.isnan(BleachingEstimate.from_json(joined.to_json()).half_life)
