import numpy as np

from flimage_dask.correction.bleaching import FitOptions, estimate_bleaching
from flimage_dask.correction.models import AMPLITUDE, OFFSET, RATE, DecayModel

TIMES = np.arange(50.0)
DECAY = 100 * np.exp(-TIMES / 15) + 20 + np.random.default_rng(0).normal(0, 1, 50)


def html(trace=DECAY, **fit):
    return estimate_bleaching(TIMES, trace, background=1.0, fit=FitOptions(**fit))._repr_html_()


def test_a_notebook_shows_what_matters():
    text = html(model="auto", exclude=[3, 4])
    for words in ("48 of 50 frames", "exponential", "±", "half-life", "68 %", "AICc", "frames 3, 4"):
        assert words in text


def test_a_series_that_does_not_bleach_has_no_half_life():
    text = html(1000 + DECAY % 1)
    assert "no bleaching" in text
    assert "half-life" not in text


def test_names_cannot_smuggle_in_markup():
    model = DecayModel("<script>", "a < b", lambda tau, rate: (np.exp(-rate * tau), 1.0), (AMPLITUDE, OFFSET), (RATE,))
    text = html(model=model)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_an_additive_correction_shows_counts_and_no_factor():
    text = html(correction="additive")
    assert "additive: counts are added" in text
    assert "counts to each pixel" in text
    assert "largest factor" not in text


def test_a_correction_of_what_bleaches_is_named():
    assert "bleachable: the part that bleaches" in html(correction="bleachable")


def test_residuals_that_follow_one_another_have_a_row():
    assert "<td style='text-align:left'>residuals</td>" in html(DECAY + 30 * np.exp(-TIMES / 3))
    assert "residuals" not in html()
