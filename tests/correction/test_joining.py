"""Trials with a fit each, as one estimate."""

from dataclasses import replace

import numpy as np
import pytest

from flimage_dask.correction.bleaching import BleachingEstimate, FitOptions, estimate_bleaching
from flimage_dask.correction.pixels import PixelCounts
from flimage_dask.errors import ParameterError

TIMES = np.arange(30.0)
RATES = 0.05, 0.1, 0.2


def parts(background=2.0, **fit):
    return [
        estimate_bleaching(
            TIMES + 100 * k,
            80 * np.exp(-rate * TIMES) + 20,
            background=background,
            border_px=20,
            fit=FitOptions(**fit),
        )
        for k, rate in enumerate(RATES)
    ]


def test_each_trial_is_corrected_to_its_own_start():
    found = BleachingEstimate.joined(parts())
    expected = np.concatenate([100 / (80 * np.exp(-rate * TIMES) + 20) for rate in RATES])
    np.testing.assert_allclose(found.factors, expected, rtol=1e-9)
    assert found.parameters["rate[2]"] == pytest.approx(0.2)
    assert found.background.tolist() == [2.0] * 90
    assert found.r2 == pytest.approx(1.0)


def test_frames_keep_their_place_in_the_series():
    found = BleachingEstimate.joined(parts(exclude=[3]))
    assert found.excluded == (3, 33, 63)


def test_a_joined_estimate_can_be_written_read_drawn_and_shown():
    found = BleachingEstimate.joined(parts())
    again = BleachingEstimate.from_json(found.to_json())
    assert again.summary() == found.summary()
    assert "90 of 90 frames" in repr(found)
    assert "rate[0]" in found._repr_html_()
    assert len(found.plot().axes) == 4


def test_backgrounds_of_frames_are_joined_too():
    found = BleachingEstimate.joined(parts(background=TIMES))
    assert found.background.tolist() == [*TIMES, *TIMES, *TIMES]


def test_the_goodness_of_fit_is_that_of_the_frames_that_were_fitted():
    stimulated = 80 * np.exp(-0.05 * TIMES) + 20
    stimulated[10:13] += 900
    fit = FitOptions(exclude=slice(10, 13))
    first = estimate_bleaching(TIMES, stimulated, background=2.0, fit=fit)
    found = BleachingEstimate.joined([first, *parts()])
    assert found.r2 == pytest.approx(1.0)
    assert found.rmse == pytest.approx(0.0, abs=1e-9)


def test_parts_bleach_each_by_itself_and_no_share_is_that_of_all():
    found = BleachingEstimate.joined(parts())
    assert np.isnan(found.bleached_fraction)
    assert found.summary()["bleached_fraction"] is None
    assert "half-life   unknown, 3 parts bleach each by itself" in repr(found)
    assert "3 parts bleach each by itself" in found._repr_html_()
    assert BleachingEstimate.from_json(found.to_json()).n_parts == 3


def test_steady_parts_bleach_by_nothing():
    steady = estimate_bleaching(TIMES, np.full(30, 7.0), background=0.0)
    found = BleachingEstimate.joined([steady, steady])
    assert (found.status, found.bleached_fraction, found.half_life) == ("no bleaching", 0.0, np.inf)


def counted(part, saturation=255.0, n_saturated=0):
    counts = PixelCounts(720, np.full(30, 720), np.full(30, n_saturated), saturation)
    return replace(part, pixels=counts)


def test_parts_without_a_curve_are_joined_without_one():
    found = BleachingEstimate.joined(parts(model="ratio"))
    assert found.status == "no fit"
    assert np.isnan(found.r2)
    assert found.rmse == 0.0


def test_pixels_that_were_counted_alike_are_joined():
    first, second, _ = parts()
    found = BleachingEstimate.joined([counted(first, n_saturated=3), counted(second)])
    assert found.pixels.n_saturated.tolist() == [3] * 30 + [0] * 30
    assert found.pixels.n_finite.tolist() == [720] * 60
    assert (found.pixels.n_pixels, found.pixels.saturation) == (720, 255.0)


def test_pixels_that_were_not_counted_alike_are_left_away():
    first, second, _ = parts()
    assert BleachingEstimate.joined([counted(first), counted(second, saturation=100.0)]).pixels is None
    assert BleachingEstimate.joined([counted(first), second]).pixels is None


def test_a_border_that_parts_do_not_share_is_that_of_none():
    first, second, _ = parts()
    assert BleachingEstimate.joined([first, second]).border_px == 20
    assert BleachingEstimate.joined([first, replace(second, border_px=3)]).border_px is None


def test_parts_whose_frames_were_prepared_in_different_ways_are_refused():
    first, second, third = parts()
    with pytest.raises(ParameterError, match="part 2 was made from frames prepared with flat field, part 0 with noth"):
        BleachingEstimate.joined([first, second, replace(third, prepared="flat field")])


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (parts()[0], "takes a list of estimates, not BleachingEstimate"),
        (None, "takes a list of estimates, not NoneType"),
        ([parts()[0], 2], "part 1 is of type int: expected a BleachingEstimate"),
        ("ab", "takes a list of estimates, not str"),
    ],
)
def test_what_is_no_list_of_estimates_is_refused(given, match):
    with pytest.raises(ParameterError, match=match):
        BleachingEstimate.joined(given)


def test_parts_may_come_one_by_one():
    assert BleachingEstimate.joined(part for part in parts()).n_parts == 3


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(ParameterError, match="at least one part"):
        BleachingEstimate.joined([])
    with pytest.raises(ParameterError, match="subtract an image"):
        BleachingEstimate.joined(parts(background=np.zeros((3, 4))))
