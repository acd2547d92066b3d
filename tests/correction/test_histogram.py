"""Histogram matching, both published variants."""

import numpy as np
import pytest

from flimage_dask.correction.histogram import distribution, match_histograms
from flimage_dask.errors import ParameterError, SeriesError

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(60 * np.exp(-np.arange(5) / 3)[:, None, None] * np.ones((5, 20, 30))).astype(np.float32)
FLOATS = RNG.normal(100, 10, (5, 20, 30)) * np.exp(-np.arange(5) / 3)[:, None, None]


def fijis(frame, reference):
    """Match as Fiji does, with histograms of 256 bins and the lowest bin of at least the same share."""
    table = np.zeros(256)
    own, theirs = (np.cumsum(np.bincount(image.astype(int).ravel(), minlength=256)) for image in (frame, reference))
    for value in range(256):
        table[value] = np.flatnonzero(theirs >= own[value])[0]
    return table[frame.astype(int)]


def test_the_variant_of_fiji_is_that_of_its_histograms():
    matched = match_histograms(COUNTS, distribution(COUNTS[0]), "fiji")
    expected = [fijis(frame, COUNTS[0]) for frame in COUNTS]
    assert np.array_equal(matched, expected)
    assert set(np.unique(matched)) <= set(np.unique(COUNTS[0]))


@pytest.mark.parametrize("frames", [COUNTS, FLOATS])
def test_the_interpolated_variant_is_that_of_scikit_image(frames):
    exposure = pytest.importorskip("skimage.exposure")
    matched = match_histograms(frames, distribution(frames[0]), "interpolated")
    expected = [exposure.match_histograms(frame, frames[0]) for frame in frames]
    np.testing.assert_allclose(matched, expected, rtol=1e-6)


@pytest.mark.parametrize("variant", ["fiji", "interpolated"])
def test_the_reference_stays_what_it_is(variant):
    assert np.array_equal(match_histograms(FLOATS[:1], distribution(FLOATS[0]), variant), FLOATS[:1])


@pytest.mark.parametrize("variant", ["fiji", "interpolated"])
def test_pixels_that_are_not_finite_stay_so_and_do_not_count(variant):
    frames = FLOATS.copy()
    frames[1, 0, :2] = np.nan, np.inf
    frames[2] = np.nan
    matched = match_histograms(frames, distribution(FLOATS[0]), variant)
    np.testing.assert_array_equal(matched[1, 0, :2], [np.nan, np.inf])
    assert np.isfinite(matched[1]).sum() == 598
    assert np.isnan(matched[2]).all()


def test_a_reference_without_a_finite_pixel_is_refused():
    with pytest.raises(SeriesError, match="choose another frame with reference="):
        distribution(np.full((2, 2), np.nan))


def test_an_unknown_variant_is_refused():
    with pytest.raises(ParameterError, match="'fiji' or 'interpolated'"):
        match_histograms(COUNTS, distribution(COUNTS[0]), "exact")
