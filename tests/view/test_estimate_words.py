"""What an estimate says of itself."""

import numpy as np
import pytest

from flimage_dask.correction.bleaching import BleachingEstimate, FitOptions, estimate_bleaching
from flimage_dask.view.estimate_words import residuals_in_words

TIMES = np.arange(60.0)
DECAY = 100 * np.exp(-TIMES / 15) + 20 + np.random.default_rng(0).normal(0, 1, 60)


def made(trace=DECAY, n_summed=1, **fit):
    return estimate_bleaching(TIMES, trace, background=1.0, fit=FitOptions(**fit), n_summed=n_summed)


def test_an_additive_correction_is_told_in_counts():
    found = made(correction="additive", n_summed=10)
    text = repr(found)
    assert "correction  additive: counts are added" in text
    assert f"shifts      0 to {found.shifts.max():.6g} counts a pixel" in text
    assert "factors" not in text


def test_a_correction_of_what_bleaches_is_told():
    text = repr(made(correction="bleachable"))
    assert "correction  bleachable: the part that bleaches is multiplied" in text
    assert "factors     up to" in text


def test_the_usual_correction_goes_without_saying():
    assert "correction" not in repr(made())


def test_trials_with_different_corrections_name_all_of_them():
    joined = BleachingEstimate.joined([made(), made(correction="additive")])
    assert "correction  factor, additive" in repr(joined)
    assert "factors     up to" in repr(joined)


@pytest.mark.parametrize("correction", ["additive", "bleachable"])
def test_what_is_not_corrected_names_no_correction(correction):
    found = made(1000 + DECAY % 1, correction=correction)
    assert found.status == "no bleaching"
    assert not found.adds_only
    assert correction not in repr(found)


def test_residuals_that_follow_one_another_are_told():
    two_rates = made(DECAY + 30 * np.exp(-TIMES / 3))
    assert two_rates.neighbour_correlation > 0.5
    words = f"correlated by {two_rates.neighbour_correlation:.2f}: 60 frames count as {two_rates.n_effective:.3g}"
    assert words in repr(two_rates)
    assert "the curve may be the wrong one" in repr(two_rates)


@pytest.mark.parametrize(
    "found",
    [made(), made(100 * np.exp(-TIMES / 15) + 20), made(model="ratio"), made(model="none")],
    ids=["scattered", "rounding", "no fit", "not corrected"],
)
def test_residuals_without_a_message_are_not_mentioned(found):
    assert residuals_in_words(found) == ""
    assert "residuals" not in repr(found)
