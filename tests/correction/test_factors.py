"""What frames are multiplied with, and what is added to them."""

import numpy as np
import pytest

from flimage_dask.correction.applying import correct
from flimage_dask.correction.bleaching import BleachingEstimate, FitOptions, estimate_bleaching
from flimage_dask.errors import FitError, ParameterError

TIMES = np.arange(40.0)
BLEACHED = np.exp(-0.08 * TIMES)
#: Cells of 300 counts that bleach, on 50 counts of autofluorescence that do not.
CELLS = np.random.default_rng(0).uniform(100, 500, (6, 7))
FRAMES = CELLS * BLEACHED[:, None, None] + 50
MEANS = FRAMES.mean(axis=(1, 2))


def estimate(trace=MEANS, n_summed=1, **fit):
    return estimate_bleaching(TIMES, trace, background=0.0, fit=FitOptions(**fit), n_summed=n_summed)


def corrected(found):
    return correct(FRAMES, 0.0, found.factors, found.shifts)


@pytest.mark.parametrize(("trace", "n_summed"), [(MEANS, 1), (FRAMES.sum(axis=(1, 2)), 42)])
def test_what_does_not_bleach_stays_what_it_is(trace, n_summed):
    found = estimate(trace, n_summed, correction="bleachable")
    np.testing.assert_allclose(corrected(found), np.broadcast_to(FRAMES[0], FRAMES.shape), rtol=1e-5)
    assert found.factors[-1] == pytest.approx(1 / BLEACHED[-1], rel=1e-6)
    assert found.bleached_fraction == pytest.approx(1 - MEANS[-1] / MEANS[0])


def test_multiplying_all_of_a_pixel_brightens_the_background_too():
    found = estimate()
    assert (found.shifts == 0).all()
    assert corrected(found)[-1].min() > FRAMES[0].min()
    np.testing.assert_allclose(corrected(found).mean(axis=(1, 2)), MEANS[0], rtol=1e-6)


@pytest.mark.parametrize(("trace", "n_summed"), [(MEANS, 1), (FRAMES.sum(axis=(1, 2)), 42)])
@pytest.mark.parametrize("model", ["exponential", "ratio"])
def test_what_was_lost_is_added_to_each_pixel(trace, n_summed, model):
    found = estimate(trace, n_summed, correction="additive", model=model)
    assert (found.factors == 1).all()
    np.testing.assert_allclose(corrected(found).mean(axis=(1, 2)), MEANS[0], rtol=1e-6)
    np.testing.assert_allclose(corrected(found)[-1] - FRAMES[-1], MEANS[0] - MEANS[-1], rtol=1e-6)


def test_a_drift_and_an_offset_stay_what_they_are():
    steady = 50 - 0.3 * TIMES
    trace = 100 * BLEACHED**4 + steady
    found = estimate(trace, model="linear+exponential", correction="bleachable")
    np.testing.assert_allclose((trace - steady) * found.factors + steady, trace * found.factors + found.shifts)


def test_the_interval_of_the_bleachable_part_is_that_of_its_own_curve():
    noisy = MEANS + np.random.default_rng(1).normal(0, 1, 40)
    found, whole = estimate(noisy, correction="bleachable"), estimate(noisy)
    assert found.factors[-1] > whole.factors[-1]
    assert found.factor_errors[-1] > whole.factor_errors[-1] > 0


def test_a_ratio_makes_all_means_equal_to_the_last_digit():
    trace = MEANS + np.random.default_rng(1).normal(0, 5, 40)
    found = estimate(trace, model="ratio")
    np.testing.assert_allclose(trace * found.factors, trace[0], rtol=1e-15)
    assert (found.model, found.status, found.parameters) == ("ratio", "no fit", {})
    assert "factors" in repr(found)


def test_a_ratio_interpolates_the_factors_of_frames_left_out():
    trace = MEANS.copy()
    trace[[5, 39]] = np.nan
    found = estimate(trace, model="ratio", exclude=[10])
    factors = MEANS[0] / MEANS
    assert found.factors[5] == pytest.approx((factors[4] + factors[6]) / 2)
    assert found.factors[10] == pytest.approx((factors[9] + factors[11]) / 2)
    assert found.factors[39] == pytest.approx(factors[38])


def test_a_ratio_needs_one_frame_only():
    found = estimate_bleaching([3.0], [7.0], background=0.0, fit=FitOptions(model="ratio"))
    assert found.factors.tolist() == [1.0]
    with pytest.raises(FitError, match="none of 2 has one"):
        estimate_bleaching([1, 2], [np.nan, np.nan], background=0.0, fit=FitOptions(model="ratio"))


def test_a_ratio_to_nothing_is_refused_by_its_frame():
    trace = MEANS.copy()
    trace[7] = 0.0
    with pytest.raises(FitError, match="reaches 0 at frame 7"):
        estimate(trace, model="ratio")


@pytest.mark.parametrize("options", [{}, {"correction": "bleachable"}, {"model": "ratio"}])
def test_factors_are_held_at_the_largest_that_is_allowed(options):
    free, found = estimate(**options), estimate(max_factor=2.0, **options)
    assert found.factors.max() == 2.0
    early = free.factors <= 2.0
    assert np.array_equal(found.factors[early], free.factors[early])
    assert np.array_equal(found.shifts[early], free.shifts[early])
    assert any("are held at 2" in text for text in found.warnings)


def test_a_held_bleachable_factor_still_leaves_the_steady_part_alone():
    found = estimate(max_factor=2.0, correction="bleachable")
    expected = (FRAMES[-1] - 50) * 2 + 50
    np.testing.assert_allclose(corrected(found)[-1], expected, rtol=1e-5)


def test_parameters_that_are_given_are_not_fitted():
    given = {"amplitude": 300.0, "rate": 0.08, "offset": 50.0}
    found = estimate(MEANS + 30, parameters=given)
    truth = 300 * BLEACHED + 50
    assert found.parameters == pytest.approx(given)
    assert found.status == "given"
    np.testing.assert_allclose(found.factors, truth[0] / truth)
    assert np.isnan(list(found.standard_errors.values())).all()


GIVEN = {"amplitude": 300.0, "rate": 0.08, "offset": 50.0}


@pytest.mark.parametrize("options", [{"model": "ratio"}, {"parameters": GIVEN}], ids=["ratio", "given"])
def test_where_nothing_tells_the_errors_only_the_reference_is_certain(options):
    found = estimate(MEANS + np.random.default_rng(1).normal(0, 5, 40), exclude=[0], **options)
    assert found.factors[1] == 1.0
    assert found.factor_errors[1] == 0.0
    assert np.isnan([*found.factor_errors[2:], *found.decay_errors]).all()
    assert "(interval unknown)" in repr(found)
    assert "(interval unknown)" in found._repr_html_()
    again = BleachingEstimate.from_json(found.to_json())
    assert again.summary()["largest_factor_interval"] == [None, None]
    assert repr(again) == repr(found)
    (numbers,) = found.plot().axes[3].texts
    assert "(interval unknown)" in numbers.get_text()


@pytest.mark.parametrize("options", [{"model": "ratio"}, {"parameters": GIVEN}], ids=["ratio", "given"])
def test_factors_that_are_held_are_certain_whatever_they_come_from(options):
    found = estimate(max_factor=2.0, **options)
    assert (found.factor_errors[found.factors == 2.0] == 0.0).all()
    assert "up to 2 (2 to 2)" in repr(found)


@pytest.mark.parametrize("options", [{"model": "ratio"}, {"parameters": GIVEN}], ids=["ratio", "given"])
def test_factors_of_an_additive_correction_are_certainly_one(options):
    found = estimate(correction="additive", **options)
    assert (found.factors == 1.0).all()
    assert (found.factor_errors == 0.0).all()


def test_given_parameters_need_few_frames():
    given = {"amplitude": 300.0, "rate": 0.08, "offset": 50.0}
    found = estimate_bleaching([0, 5], [350, 300], background=0.0, fit=FitOptions(parameters=given))
    assert found.factors[1] == pytest.approx(350 / (300 * np.exp(-0.4) + 50))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"correction": "divide"}, "'factor', 'bleachable', 'additive'"),
        ({"model": "ratio", "correction": "bleachable"}, "has no steady part"),
        ({"max_factor": 1.0}, "max_factor=1.0 must be a number above 1"),
        ({"max_factor": np.nan}, "max_factor=nan"),
        ({"max_factor": "5"}, "max_factor='5' must be a number above 1"),
        ({"parameters": [1.0, 2.0, 3.0]}, "parameters= must be a dict of name and value, not list"),
        ({"parameters": {"amplitude": "1", "rate": 1.0, "offset": 0.0}}, "parameters= has amplitude='1'"),
        ({"parameters": {"rate": 1.0}}, "parameters= has rate; the model 'exponential' has amplitude, offset, rate"),
        ({"parameters": {"amplitude": 1.0, "rate": -1.0, "offset": 0.0}}, "rate=-1.0: expected a number from 0"),
        ({"model": "auto", "parameters": {"rate": 1.0}}, "give its name instead of 'auto'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, match):
    with pytest.raises(ParameterError, match=match):
        FitOptions(**options)
