"""What the command line says of an estimate."""

import numpy as np

from flimage_dask.correction.bleaching import FitOptions, estimate_bleaching
from flimage_dask.view.estimate_words import residuals_in_words
from flimage_dask.view.run import estimate_text

TIMES = np.arange(60.0)
DECAY = 100 * np.exp(-TIMES / 15) + 20 + np.random.default_rng(0).normal(0, 1, 60)


def text_of(trace=DECAY, **fit):
    found = estimate_bleaching(TIMES, trace, background=1.0, fit=FitOptions(**fit))
    return estimate_text("series.h5", found, []), found


def test_an_additive_correction_shows_counts_and_no_factor():
    text, found = text_of(correction="additive")
    assert "  correction       additive: counts are added, nothing is multiplied\n" in text
    assert f"  added            0 to {found.shifts.max():.4g} counts to each pixel\n" in text
    assert "factor" not in text


def test_a_correction_of_what_bleaches_is_named_beside_its_factor():
    text, found = text_of(correction="bleachable")
    assert "  correction       bleachable: the part that bleaches is multiplied, the rest stays\n" in text
    assert f"  largest factor   {found.largest_factor:.4g} (" in text


def test_the_usual_correction_goes_without_saying():
    text, _ = text_of()
    assert "correction" not in text


def test_residuals_that_follow_one_another_have_a_line():
    text, found = text_of(DECAY + 30 * np.exp(-TIMES / 3))
    assert f"  residuals        {residuals_in_words(found)}\n" in text + "\n"
    assert "residuals" not in text_of()[0]
